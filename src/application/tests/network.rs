//! Whole networks: what is promised holds while nodes come, go and crash.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::sim::{Links, Network, Observer, seeds};

const SECOND: Duration = Duration::from_secs(1);

/// What each node told, in order.
#[derive(Default)]
struct Log(Vec<(NodeHandle, Told)>);

impl Observer<Host<Probe>> for Log {
    fn told(&mut self, _: &Network<Host<Probe>>, node: NodeHandle, event: &Told) {
        self.0.push((node, event.clone()));
    }
}

struct World {
    network: Network<Host<Probe>>,
    log: Rc<RefCell<Log>>,
}

impl World {
    /// A ring of nodes 1 to `nodes`, at rest.
    fn of(nodes: u16, seed: u64, links: Links) -> World {
        let log = Rc::new(RefCell::new(Log::default()));
        let mut network = Network::new(seed, links);
        network.observe(Rc::clone(&log));
        let mut world = World { network, log };
        for number in 1..=nodes {
            world.start(number);
            world.rest();
        }
        world
    }

    fn start(&mut self, number: u16) {
        self.network.add(Probe::host_at(node(number), self.network.now()));
        self.order(number, if number == 1 { Order::Create } else { Order::Join(node(1)) });
    }

    fn order(&mut self, number: u16, order: Order<Do>) {
        self.network.command(node(number), order);
    }

    fn command(&mut self, number: u16, command: Do) {
        self.order(number, Order::Command(command));
    }

    fn rest(&mut self) {
        self.network.run_for(6 * SECOND);
    }

    /// What has been told since the last call.
    fn told(&self) -> Vec<(NodeHandle, Told)> {
        std::mem::take(&mut self.log.borrow_mut().0)
    }

    fn updates_of(&self, node: NodeHandle) -> Vec<Update> {
        let updates = self.told().into_iter().filter_map(|(teller, told)| match told {
            Told::Update(update) if teller == node => Some(update),
            _ => None,
        });
        updates.collect()
    }

    /// Who claims to be the root of `key`.
    fn roots(&self, key: Id) -> Vec<NodeHandle> {
        let claims = |host: &&Host<Probe>| host.chord().is_root(key) == Some(true);
        self.network.machines().filter(claims).map(Machine::me).collect()
    }
}

#[test]
fn a_joining_node_claims_nothing() {
    let mut world = World::of(4, 0, Links::wide_area());
    world.start(5);
    world.network.step();
    let mut waited = 0;
    while !world.told().contains(&(node(5), Told::Joined)) {
        let joiner = world.network.get(node(5)).unwrap();
        for key in [node(5).id(), Id::hash("key"), node(1).id()] {
            assert_eq!(joiner.chord().is_root(key), None, "it is not known yet");
        }
        waited += 1;
        world.network.step();
    }
    assert!(1 < waited);
    world.rest();
    assert_eq!(world.roots(node(5).id()), [node(5)]);
}

#[test]
fn a_node_is_told_which_keys_it_gains_and_loses_and_to_whom_and_why() {
    let mut world = World::of(1, 0, Links::good());
    let (one, two) = (node(1), node(2));
    let (all, theirs) = (Range { from: one.id(), to: one.id() }, Range { from: one.id(), to: two.id() });
    let created =
        Update { gained: true, range: all, peer: None, before: None, predecessor: None, why: Why::Created };
    assert_eq!(world.updates_of(one), [created]);
    let lost = Update {
        gained: false,
        range: theirs,
        peer: Some(two),
        before: None,
        predecessor: Some(two),
        why: Why::NewPredecessor,
    };
    let gained = |why| Update {
        gained: true,
        range: theirs,
        peer: Some(two),
        before: Some(two),
        predecessor: None,
        why,
    };
    world.start(2);
    world.rest();
    let told = world.told();
    let joined = Update { gained: true, peer: Some(one), predecessor: Some(one), why: Why::Joined, ..lost };
    assert!(told.contains(&(one, Told::Update(lost))) && told.contains(&(two, Told::Update(joined))));
    world.order(2, Order::Leave);
    world.rest();
    let told = world.told();
    assert!(told.contains(&(one, Told::Gone(Gone::Left(two)))));
    assert!(told.contains(&(two, Told::Left(Departure::To(one)))));
    assert!(told.contains(&(one, Told::Successors(Some(two), vec![]))));
    assert!(told.contains(&(one, Told::Update(gained(Why::PredecessorLeft)))));
    world.start(2);
    world.rest();
    assert_eq!(world.updates_of(one), [lost]);
    world.network.crash(two);
    world.rest();
    assert_eq!(world.updates_of(one), [gained(Why::PredecessorLost)]);
}

/// Follows what one node is told, and checks that each update continues from the one before.
fn follow(node: NodeHandle, updates: &[Update]) -> Option<Id> {
    let mut start = None;
    let mut predecessor = None;
    for update in updates {
        let Update { gained, range, before, .. } = *update;
        match start {
            None => {
                assert!(gained && range.to == node.id(), "at first, all up to the node: {update:?}");
            }
            Some(start) if gained => assert_eq!(range.to, start, "it grows where it ended: {update:?}"),
            Some(start) => assert_eq!(range.from, start, "it shrinks where it began: {update:?}"),
        }
        assert_eq!(before, predecessor, "the old neighbour: {update:?}");
        predecessor = update.predecessor;
        let now = if gained { range.from } else { range.to };
        assert_eq!(now, predecessor.map_or(node.id(), |node| node.id()), "the new neighbour: {update:?}");
        if !gained {
            assert_eq!(update.peer, predecessor, "who has it now: {update:?}");
        }
        start = Some(now);
    }
    start
}

#[test]
fn updates_add_up_to_the_range_of_each_node_whatever_happens() {
    for seed in seeds(30) {
        let mut world = World::of(3, seed, Links::wide_area());
        for number in 4..16 {
            world.start(number);
            world.network.run_for(SECOND / 2);
            match number % 4 {
                0 => world.order(number - 2, Order::Leave),
                1 if world.network.get(node(number - 1)).is_some() => world.network.crash(node(number - 1)),
                _ => {}
            }
        }
        world.network.run_for(20 * SECOND);
        let mut updates: BTreeMap<NodeHandle, Vec<Update>> = BTreeMap::new();
        for (node, told) in world.told() {
            if let Told::Update(update) = told {
                updates.entry(node).or_default().push(update);
            }
        }
        for (node, updates) in updates {
            let start = follow(node, &updates);
            if let Some(host) = world.network.get(node) {
                assert_eq!(start, host.chord().predecessor().map(|node| node.id()), "SEED={seed}: {node}");
            }
        }
        for key in 0..100 {
            assert_eq!(world.roots(Id::hash(format!("{key}"))).len(), 1, "SEED={seed}");
        }
    }
}

#[test]
fn each_request_is_served_once_though_messages_are_lost_and_doubled() {
    for seed in seeds(20) {
        let mut world = World::of(8, seed, Links::good());
        world.told();
        world.network.links = Links { loss: 0.03, duplicates: 0.2, ..Links::wide_area() };
        for n in 0..200u8 {
            let key = Id::hash([n]);
            world.command(1 + u16::from(n % 8), Do::Ask(key, n));
            world.network.run_for(SECOND / 100);
        }
        world.rest();
        let (mut served, mut replied) = (BTreeMap::new(), BTreeMap::new());
        for (node, told) in world.told() {
            match told {
                Told::Served(from, id, ..) => *served.entry((node, from, id)).or_insert(0) += 1,
                Told::Replied(id, _, Ok(_)) => *replied.entry((node, id)).or_insert(0) += 1,
                Told::Replied(_, _, Err(failure)) => panic!("SEED={seed}: {failure}"),
                _ => {}
            }
        }
        assert_eq!(replied.len(), 200, "SEED={seed}: all are answered");
        assert!(served.values().chain(replied.values()).all(|&times| times == 1), "SEED={seed}");
        assert_eq!(served.len(), 200, "SEED={seed}: the roots did not change, so each by one node");
    }
}

#[test]
fn messages_for_a_node_that_leaves_are_served_by_the_next_one() {
    for seed in seeds(20) {
        let mut world = World::of(6, seed, Links::wide_area());
        let leaver = node(4);
        let successor = world.network.get(leaver).unwrap().chord().successors()[0];
        world.command(4, Do::Linger);
        world.rest();
        world.order(4, Order::Leave);
        world.network.run_for(SECOND / 10);
        world.told();
        for n in 0..50 {
            world.command([1, 2, 3, 5, 6][usize::from(n) % 5], Do::Ask(leaver.id(), n));
            world.network.run_for(SECOND / 50);
            if n == 25 {
                assert_eq!(world.told(), [], "SEED={seed}: nothing is served by who hands over");
                world.command(4, Do::HandOver(successor));
            }
        }
        world.rest();
        let told = world.told();
        let of = |wanted: fn(&Told) -> bool| told.iter().filter(move |(_, told)| wanted(told));
        assert_eq!(of(|told| matches!(told, Told::Left(Departure::To(_)))).count(), 1, "SEED={seed}");
        assert_eq!(of(|told| matches!(told, Told::Replied(_, _, Ok(_)))).count(), 50, "SEED={seed}");
        let servers = Vec::from_iter(of(|told| matches!(told, Told::Served(..))).map(|(node, _)| *node));
        assert_eq!(servers, [successor; 50], "SEED={seed}");
    }
}

#[test]
fn all_nodes_find_the_same_root_and_it_is_the_one_that_says_so() {
    let mut world = World::of(8, 0, Links::wide_area());
    world.told();
    for n in 0..40u16 {
        let key = Id::hash(n.to_be_bytes());
        (1..=8).for_each(|number| world.command(number, Do::Find(key)));
        world.network.run_for(2 * SECOND);
        let found = world.told().into_iter().filter_map(|(_, told)| match told {
            Told::Found(_, root) => Some(root.unwrap()),
            _ => None,
        });
        let root = world.roots(key)[0];
        assert_eq!(Vec::from_iter(found), [root; 8]);
    }
}

#[test]
fn a_request_to_a_root_that_is_none_any_more_is_answered_so() {
    let mut world = World::of(3, 0, Links::good());
    world.told();
    let key = node(2).id();
    world.command(1, Do::AskRoot(node(2), key, 5));
    world.command(1, Do::AskRoot(node(3), key, 6));
    world.command(1, Do::AskNode(node(9), 7));
    world.rest();
    let answers = world.told().into_iter().filter_map(|(_, told)| match told {
        Told::Replied(_, from, answer) => Some((from, answer)),
        _ => None,
    });
    let mut answers = Vec::from_iter(answers);
    answers.sort();
    assert_eq!(
        answers,
        [(None, Err(Failure::Unreachable)), (Some(node(2)), Ok(5)), (Some(node(3)), Err(Failure::NotRoot)),]
    );
}

#[test]
fn who_finds_no_ring_is_told_and_may_try_again() {
    let mut world = World::of(1, 0, Links::good());
    world.told();
    world.network.add(Probe::host(node(2)));
    world.order(2, Order::Join(node(9)));
    world.rest();
    assert_eq!(world.told(), [(node(2), Told::JoinFailed(node(9)))]);
    world.order(2, Order::Join(node(1)));
    world.rest();
    assert!(world.told().contains(&(node(2), Told::Joined)));
}

#[test]
fn the_same_seed_runs_the_same() {
    let run = || World::of(6, 3, Links::wide_area()).network.fingerprint();
    assert_eq!(run(), run());
}
