//! A random walk of ring maintenance: joins, leaves, crashes and messages in every order.
//!
//! Time stands still, so nobody is taken for dead who lives: a message to a dead node comes back.

mod cut;

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{Member, Violation, check, check_large, check_list, is_ideal, is_robust};
use crate::chord::{Chord, Message, Mutant, Output, Upcall};
use crate::id::NodeHandle;
use crate::machine::Input;
use crate::time::Time;

type Node = Chord<()>;
type NodeInput = Input<std::convert::Infallible, Message<()>>;

/// How many steps a mutant has to show itself: some do so in one walk of a thousand.
const MUTANT_STEPS: u64 = 2_000_000;

/// How many messages a ring may need until it is ideal: more are a circle that never ends.
const SETTLE_MESSAGES_MAX: usize = 100_000;

/// The rules of a walk.
#[derive(Clone, Copy)]
struct Rules {
    nodes: usize,
    successors: usize,
    mutant: Option<Mutant>,
    kind: Kind,
}

/// How small the ring may be, and when a member may crash or leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It begins with one node.
    Small,
    /// It begins ideal with r+1 nodes, and keeps as many principals.
    Large,
    /// As large, and each question is answered before anything else happens, as in the paper:
    /// then the invariant of the paper holds in full.
    Atomic,
    /// As small, and the network is cut in two and made whole again.
    Cut,
    /// As large, but a guard that counts members instead of principals.
    Unguarded,
}

struct Walk {
    rules: Rules,
    random: Pcg64,
    addresses: Vec<NodeHandle>,
    nodes: Vec<Node>,
    /// Who is in the second part of a network that is cut.
    part: BTreeSet<NodeHandle>,
    /// Whether a cut has ended, and the two rings are not one yet.
    unites: bool,
    in_flight: Vec<(NodeHandle, NodeInput)>,
    /// The best node that has notified each and waits for the old predecessor's answer.
    candidates: BTreeMap<NodeHandle, NodeHandle>,
    /// A candidate that was passed over for a worse one.
    forgotten: Option<NodeHandle>,
    steps: u64,
    story: Vec<String>,
}

/// What a walk found.
#[derive(Debug)]
struct Found {
    violation: String,
    story: Vec<String>,
}

impl Walk {
    fn new(rules: Rules, seed: u64) -> Result<Walk, Found> {
        let mut random = Pcg64::seed_from_u64(seed);
        let addresses = (0..rules.nodes)
            .map(|_| NodeHandle::new(([127, 0, 0, 1], random.random_range(1..=u16::MAX)).into()))
            .collect();
        let mut walk = Walk {
            rules,
            random,
            addresses,
            nodes: Vec::new(),
            part: BTreeSet::new(),
            unites: false,
            in_flight: Vec::new(),
            candidates: BTreeMap::new(),
            forgotten: None,
            steps: 0,
            story: Vec::new(),
        };
        let first = walk.addresses[0];
        let mut node = walk.new_node(first);
        node.create(walk.start());
        walk.nodes.push(node);
        walk.collect(first);
        while !matches!(rules.kind, Kind::Small | Kind::Cut) && walk.nodes.len() <= rules.successors {
            walk.steps += 1;
            walk.someone_joins();
            if !walk.settle() {
                return Err(walk.found("joins one by one do not come to rest".to_owned()));
            }
        }
        Ok(walk)
    }

    /// Each node begins later than those before, so that no number is used twice.
    fn start(&self) -> Time {
        Time::from_micros(self.steps * 1_000_000)
    }

    fn new_node(&self, address: NodeHandle) -> Node {
        let node = Chord::new(address, self.rules.successors, self.start());
        match self.rules.mutant {
            Some(mutant) => node.with_mutant(mutant),
            None => node,
        }
    }

    fn index(&self, node: NodeHandle) -> Option<usize> {
        self.nodes.iter().position(|chord| chord.me() == node)
    }

    fn pick(&mut self, below: usize) -> usize {
        (self.random.next_u64() % below as u64) as usize
    }

    fn collect(&mut self, node: NodeHandle) {
        let Some(i) = self.index(node) else { return };
        let mut gone = false;
        while let Some(output) = self.nodes[i].next_output() {
            match output {
                // Everyone stabilizes at any time here.
                Output::Send { message: Message::ListChanged, .. } => {}
                Output::Send { to, message } => {
                    self.in_flight.push((to, Input::Message { from: node, message }));
                }
                Output::Upcall(Upcall::Left { .. } | Upcall::JoinFailed { .. }) => gone = true,
                Output::Upcall(_) => {}
            }
        }
        if gone {
            self.nodes.remove(i);
        }
    }

    fn deliver(&mut self, to: NodeHandle, input: NodeInput) {
        if let Input::Message { from, .. } = &input
            && self.are_cut(*from, to)
        {
            return self.stop(to, input);
        }
        match (self.index(to), input) {
            (Some(i), input) => {
                let before = self.nodes[i].predecessor();
                self.nodes[i].handle(Time::default(), input.clone());
                self.watch_candidates(i, before, &input);
                self.collect(to);
            }
            // Nobody there: the message comes back.
            (None, Input::Message { from, message }) => {
                let undelivered = vec![message];
                self.in_flight.push((from, Input::Unreachable { peer: to, undelivered }));
            }
            (None, _) => {}
        }
    }

    /// "A pending notify candidate is replaced only by a better one": remembers the best node that has
    /// notified node `i` and waits, and notices when another that is further away is preferred.
    fn watch_candidates(&mut self, i: usize, before: Option<NodeHandle>, input: &NodeInput) {
        let (node, after) = (self.nodes[i].me(), self.nodes[i].predecessor());
        let nearer = |a: NodeHandle, b: NodeHandle| a.id().between(b.id(), node.id());
        let best = self.candidates.remove(&node);
        if before != after {
            if let (Some(best), Some(after)) = (best, after)
                && nearer(best, after)
                && self.index(best).is_some()
                && !self.are_cut(best, node)
            {
                self.forgotten = Some(best);
            }
            return;
        }
        match input {
            Input::Message { message: Message::Pong { .. }, .. } => {}
            // Who leaves waits no longer.
            Input::Message { from, message: Message::Leaving { .. } } if best == Some(*from) => {}
            Input::Message { from, message: Message::Notify }
                if after != Some(*from) && self.nodes[i].is_in_ring() && !self.nodes[i].is_closing_gap() =>
            {
                let best = best.filter(|&best| nearer(best, *from)).unwrap_or(*from);
                self.candidates.insert(node, best);
            }
            _ => self.candidates.extend(best.map(|best| (node, best))),
        }
    }

    fn members<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<Member<'a>> {
        let mut members: Vec<Member<'a>> =
            nodes.into_iter().filter(|chord| chord.is_in_ring()).map(Member::from).collect();
        members.sort_by_key(|member| member.node.id());
        members
    }

    /// Whether the ring would still be right without these nodes, whether those that leave have gone yet
    /// or not, and also after each answer under way.
    fn may_go(&self, gone: &[NodeHandle]) -> bool {
        self.parts_know_each_other_without(gone)
            && [false, true].into_iter().all(|leavers_stay| {
                let stays =
                    |chord: &Node| (leavers_stay || !chord.is_leaving()) && !gone.contains(&chord.me());
                let holds_with = |changed: Option<&Node>| {
                    let is_changed = |chord: &Node| changed.is_some_and(|changed| changed.me() == chord.me());
                    let in_reach = |chord: &&Node| gone.iter().all(|&gone| !self.are_cut(gone, chord.me()));
                    let others = self.nodes.iter().filter(|chord| !is_changed(chord)).filter(in_reach);
                    self.holds(&Walk::members(others.chain(changed).filter(|chord| stays(chord))))
                };
                holds_with(None) && self.answers_under_way().all(|changed| holds_with(Some(&changed)))
            })
    }

    fn holds(&self, members: &[Member<'_>]) -> bool {
        match self.rules.kind {
            Kind::Small | Kind::Cut => !members.is_empty() && is_robust(members),
            Kind::Large | Kind::Atomic => check_large(members, self.rules.successors).is_ok(),
            Kind::Unguarded => self.rules.successors < members.len(),
        }
    }

    /// What each answer that is under way makes of the node that it is for.
    fn answers_under_way(&self) -> impl Iterator<Item = Node> {
        self.in_flight.iter().filter_map(|(to, input)| {
            let Input::Message { message, .. } = input else { return None };
            let changes_a_list = matches!(
                message,
                Message::Neighbors { .. }
                    | Message::SameNeighbors { .. }
                    | Message::Place { .. }
                    | Message::Gone { .. }
            );
            let mut changed = self.nodes[self.index(*to).filter(|_| changes_a_list)?].clone();
            changed.handle(Time::default(), input.clone());
            Some(changed)
        })
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        let at_rest = self.rules.kind != Kind::Atomic || self.in_flight.is_empty();
        let choices = match self.rules.kind {
            Kind::Cut => 110,
            _ if at_rest => 100,
            _ => 70,
        };
        match self.pick(choices) {
            0..70 if !self.in_flight.is_empty() => {
                let i = self.pick(self.in_flight.len());
                let (to, input) = self.in_flight.swap_remove(i);
                if !self.may_be_delivered(&input) {
                    self.in_flight.push((to, input));
                    return Ok(());
                }
                self.tell(|| format!("{to:?} <- {input:?}"));
                self.deliver(to, input);
            }
            0..86 => {
                let i = self.pick(self.nodes.len());
                let node = self.nodes[i].me();
                self.tell(|| format!("{node:?} stabilizes"));
                self.nodes[i].stabilize();
                self.collect(node);
            }
            86..92 => self.someone_joins(),
            92..96 => self.someone_goes(false),
            96..100 => self.someone_goes(true),
            100..108 => self.someone_asks(),
            _ => self.cut_or_heal(),
        }
        if self.rules.kind == Kind::Cut {
            return self.check_parts();
        }
        let stay = self.nodes.iter().filter(|chord| !chord.is_leaving());
        let (members, stay) = (Walk::members(&self.nodes), Walk::members(stay));
        if stay.is_empty() {
            return Ok(());
        }
        match self.rules.kind {
            Kind::Atomic => {
                // Whose place has been taken is known to its predecessor only.
                let counted = self.nodes.iter().filter(|chord| !chord.is_closing_gap());
                check_large(&Walk::members(counted), self.rules.successors)
            }
            // An answer under way may be out of date when it arrives: then, for a while, a list skips a
            // member that it did not skip before. What the invariant implies holds all the same.
            // A leaver belongs to the ring as long as others count on it.
            Kind::Small | Kind::Cut | Kind::Large | Kind::Unguarded => {
                check(&members).or_else(|_| check(&stay))
            }
        }
    }

    /// Whether the ring can do without who leaves by this input, if it is one by which somebody does.
    ///
    /// Like a crash, a leave must not come while too few members are known to all; nor while the leaver
    /// tells its predecessor of nodes that have crashed.
    fn may_be_delivered(&self, input: &NodeInput) -> bool {
        let Input::Message { from, message: Message::Leaving { .. } } = input else { return true };
        let Some(leaver) = self.index(*from) else { return true };
        let tells_of = self.nodes[leaver].successors();
        self.may_go(&[*from]) && tells_of.iter().all(|&node| self.index(node).is_some())
    }

    fn someone_joins(&mut self) {
        let absent: Vec<NodeHandle> = self
            .addresses
            .iter()
            .copied()
            .filter(|&node| self.index(node).is_none() && !self.is_spoken_of(node))
            .collect();
        if absent.is_empty() {
            return;
        }
        let joiner = absent[self.pick(absent.len())];
        let i = self.pick(self.nodes.len());
        let via = self.nodes[i].me();
        self.tell(|| format!("{joiner:?} joins through {via:?}"));
        let mut node = self.new_node(joiner);
        node.join(self.start(), via);
        self.candidates.retain(|node, best| *node != joiner && *best != joiner);
        self.nodes.push(node);
        self.collect(joiner);
    }

    /// Whether something under way is from or to a former self at this address.
    fn is_spoken_of(&self, node: NodeHandle) -> bool {
        self.in_flight.iter().any(|(to, input)| {
            *to == node || matches!(input, Input::Message { from: peer, .. } | Input::Unreachable { peer, .. } if *peer == node)
        })
    }

    fn someone_goes(&mut self, leaves: bool) {
        let i = self.pick(self.nodes.len());
        let node = self.nodes[i].me();
        if !self.nodes[i].is_member() || !self.may_go(&[node]) {
            return;
        }
        // In the smallest rings, two at once are too many: one may tell of the other.
        if self.rules.kind == Kind::Cut && self.nodes.iter().any(Node::is_leaving) {
            return;
        }
        if leaves {
            self.tell(|| format!("{node:?} leaves"));
            let now = Time::default();
            self.nodes[i].leave(now);
            self.collect(node);
        } else {
            self.tell(|| format!("{node:?} crashes"));
            self.nodes.remove(i);
            // A reset reaches some of the others at once.
            for other in 0..self.nodes.len() {
                if self.random.random_bool(0.5) {
                    let input = Input::Unreachable { peer: node, undelivered: Vec::new() };
                    self.in_flight.push((self.nodes[other].me(), input));
                }
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.story.push(what());
        if 2000 < self.story.len() {
            self.story.drain(..200);
        }
    }

    /// Delivers everything and lets everyone stabilize until the ring is ideal: progress.
    fn settle(&mut self) -> bool {
        let mut delivered = 0;
        for _ in 0..60 {
            while let Some((to, input)) = self.in_flight.pop() {
                delivered += 1;
                if SETTLE_MESSAGES_MAX < delivered {
                    return false;
                }
                let may_be_delivered = self.may_be_delivered(&input);
                match input {
                    // It can never go from so small a ring: it stays.
                    Input::Message { from, message: Message::Leaving { question, .. } }
                        if !may_be_delivered =>
                    {
                        let message = Message::LeavingHeard { question, accepted: false };
                        self.deliver(from, Input::Message { from: to, message });
                    }
                    input => self.deliver(to, input),
                }
            }
            self.heal();
            if is_ideal(&Walk::members(&self.nodes), self.rules.successors) {
                return true;
            }
            for i in 0..self.nodes.len() {
                let node = self.nodes[i].me();
                self.nodes[i].stabilize();
                self.nodes[i].ask_lost();
                self.collect(node);
            }
        }
        false
    }

    fn found(mut self, violation: String) -> Found {
        for node in &self.nodes {
            let (successors, predecessor) = (node.successors(), node.predecessor());
            let state = if node.is_member() { "" } else { " (not a member)" };
            let lost = Vec::from_iter(node.remembered());
            self.story.push(format!(
                "at the end: {:?}{state}: {predecessor:?} -> {successors:?}, asks after {lost:?}",
                node.me()
            ));
        }
        Found { violation, story: self.story }
    }
}

/// Walks so many steps, in walks of a few hundred, each of which must come to rest in the end.
fn walk(rules: Rules, seed: u64, steps: u64) -> Result<(), Found> {
    let mut walked = 0;
    let mut number = seed << 32;
    while walked < steps {
        number += 1;
        let mut walk = Walk::new(rules, number)?;
        let length = 50 + walk.random.next_u64() % 450;
        for _ in 0..length {
            if walk.nodes.is_empty() {
                break;
            }
            if let Err(violation) = walk.step() {
                return Err(walk.found(violation.to_string()));
            }
            if let Some(candidate) = walk.forgotten {
                return Err(walk.found(format!("{candidate} was passed over for a worse candidate")));
            }
        }
        if !walk.settle() {
            return Err(walk.found("the ring does not become ideal".to_owned()));
        }
        walked += length;
    }
    Ok(())
}

fn rules(kind: Kind, successors: usize) -> Rules {
    Rules { nodes: 9, successors, mutant: None, kind }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn seed() -> u64 {
    from_environment("SEED", 1)
}

fn keeps_the_ring(rules: Rules) {
    let steps = from_environment("STEPS", 250_000);
    if let Err(found) = walk(rules, seed(), steps) {
        for line in &found.story {
            println!("{line}");
        }
        panic!("{}; again with SEED={} STEPS={steps} cargo test sim::ring::walk", found.violation, seed());
    }
}

#[test]
fn a_walk_from_one_node_keeps_the_ring_with_two_successors() {
    keeps_the_ring(rules(Kind::Small, 2));
}

#[test]
fn a_walk_from_one_node_keeps_the_ring_with_three_successors() {
    keeps_the_ring(rules(Kind::Small, 3));
}

#[test]
fn a_walk_of_a_large_ring_keeps_the_ring_with_two_successors() {
    keeps_the_ring(rules(Kind::Large, 2));
}

#[test]
fn a_walk_of_a_large_ring_keeps_the_ring_with_three_successors() {
    keeps_the_ring(rules(Kind::Large, 3));
}

#[test]
fn a_walk_of_atomic_steps_keeps_the_invariant_with_two_successors() {
    keeps_the_ring(rules(Kind::Atomic, 2));
}

#[test]
fn a_walk_of_atomic_steps_keeps_the_invariant_with_three_successors() {
    keeps_the_ring(rules(Kind::Atomic, 3));
}

#[test]
fn a_walk_through_cuts_keeps_each_ring_and_unites_them_with_two_successors() {
    keeps_the_ring(rules(Kind::Cut, 2));
}

#[test]
fn a_walk_through_cuts_keeps_each_ring_and_unites_them_with_three_successors() {
    keeps_the_ring(rules(Kind::Cut, 3));
}

/// What the oracle says of a mutant, if it notices it in one kind of walk or the other.
fn caught(mutant: Mutant, kinds: &[Kind]) -> Option<String> {
    let walk = |&kind| walk(Rules { mutant: Some(mutant), ..rules(kind, 3) }, seed(), MUTANT_STEPS);
    kinds.iter().find_map(|kind| walk(kind).err()).map(|found| found.violation)
}

#[test]
fn the_oracle_catches_every_mutant() {
    const WHOLE: [Kind; 2] = [Kind::Small, Kind::Large];
    for (mutant, kinds) in [
        (Mutant::AdoptsWithoutAsking, &WHOLE[..]),
        (Mutant::ForgetsBetterCandidate, &WHOLE),
        (Mutant::DoesNotPing, &WHOLE),
        (Mutant::JoinsWithSuccessorOnly, &WHOLE),
        (Mutant::WrapsSmallRings, &WHOLE),
        (Mutant::UnitesWithAnyone, &[Kind::Cut]),
        (Mutant::ForgetsTheLost, &[Kind::Cut]),
    ] {
        let violation = caught(mutant, kinds);
        println!("{mutant:?}: {violation:?}");
        assert!(violation.is_some(), "the oracle did not notice {mutant:?}");
    }
}

#[test]
fn the_oracle_catches_a_guard_on_members_instead_of_principals() {
    assert!(walk(rules(Kind::Unguarded, 3), seed(), 200_000).is_err());
}
