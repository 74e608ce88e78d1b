//! Push: a node tells others what they should keep.
//!
//! root -> each copy, and root so far -> new root: Merge { statements }
//! it -> root: Merged
//!
//! To each receiver one message is under way at a time, with all that has changed since the last:
//! so writes that come close together go out together, and what is acknowledged is one number.
//!
//! What nobody waits for, a renewed lease, goes with the next question of the ring to the next node only,
//! which is the root after a crash: so it costs no packet of its own.
//! The others are told of it with the next write, or after a few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{ACKNOWLEDGED, COPIES, Message, Migrated, Mutant, RecordKey, Records, Statement, Why};
use crate::chord::{Chord, Failure, Range};
use crate::id::NodeHandle;
use crate::time::Time;

/// How long the other copies may not know that a lease was renewed, which holds much longer anyway.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pushes {
    /// The last change that all copies must be told of at once.
    pub(super) urgent: u64,
    /// When all are told of the others as well.
    due: Option<Time>,
    copies: BTreeMap<NodeHandle, Push>,
    /// How many nodes there were to keep copies, when this node last looked.
    copies_before: usize,
    /// Whether too few are known, and there may be more.
    may_lack_copies: bool,
    migrations: BTreeMap<NodeHandle, Migration>,
}

/// How far a receiver has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Push {
    acknowledged: u64,
    /// The request under way, and the revision that it reaches.
    under_way: Option<(u64, u64)>,
}

/// What the new root of a range has been told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Migration {
    range: Range,
    push: Push,
    keys: BTreeSet<RecordKey>,
}

impl Records {
    /// Learns a statement that is made to this node as the root, and only says once more what it said before.
    ///
    /// The next node learns it within a round of [stabilizing](Chord::stabilize).
    /// Where this one crashes before, or that one together with it, the renewal may be lost: the author
    /// renews often enough for that.
    pub fn refresh(&mut self, now: Time, key: &RecordKey, statement: Statement) {
        let urgent = self.pushes.urgent;
        self.write(now, key, statement);
        self.pushes.urgent = urgent;
        self.pushes.due.get_or_insert(now + REFRESH_PAUSE);
    }

    /// Tells copies at once of what could wait.
    pub fn hurry(&mut self) {
        self.pushes.urgent = self.revision;
        self.pushes.due = None;
    }

    /// When copies are told of what could wait until then.
    pub(super) fn pushes_wakeup(&self) -> Option<Time> {
        self.pushes.due
    }

    /// Tells the next nodes what they do not know yet of this root's records, and new roots of theirs.
    pub fn push<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        self.search_copies(now, chord);
        let targets = &chord.successors()[..chord.successors().len().min(COPIES - 1)];
        self.pushes.copies.retain(|node, _| targets.contains(node));
        for &target in targets {
            self.pushes.copies.entry(target).or_default();
        }
        let everywhere = self.pushes.copies.values().map(|push| push.acknowledged).min();
        self.written = self.written.split_off(&everywhere.map_or(u64::MAX, |revision| revision + 1));
        if self.pushes.due.is_some_and(|due| due <= now) {
            self.hurry();
        }
        let asked = targets.first().filter(|_| chord.asks_successor());
        for (node, push) in self.idle_copies(asked) {
            let mine = |revision, _: &RecordKey, id| {
                (chord.is_root(id) != Some(false) && self.is_ready(id)) || self.written.contains(&revision)
            };
            let (statements, reached) = self.statements_after(now, push.acknowledged, mine);
            let under_way = tell(now, chord, node, None, statements);
            self.pushes.copies.insert(node, push.after_telling(under_way, reached));
        }
        for (node, mut migration) in self.idle_migrations() {
            let range = migration.range;
            let (statements, reached) =
                self.statements_after(now, migration.push.acknowledged, |_, _, id| range.contains(id));
            if statements.is_empty() {
                self.pushes.migrations.remove(&node);
                continue;
            }
            migration.keys.extend(statements.iter().map(|(key, _)| key.clone()));
            let under_way = tell(now, chord, node, Some(Why::NewPredecessor), statements);
            migration.push = migration.push.after_telling(under_way, reached);
            self.pushes.migrations.insert(node, migration);
        }
    }

    /// Who has just lost so many that too few nodes are known to keep copies looks for others first.
    fn search_copies<P: Clone>(&mut self, now: Time, chord: &mut Chord<P>) {
        let known = chord.successors().len();
        if known < ACKNOWLEDGED - 1 && known < self.pushes.copies_before {
            chord.search(now);
        }
        self.pushes.copies_before = known;
        self.pushes.may_lack_copies = known < ACKNOWLEDGED - 1 && chord.may_lack_successors();
    }

    /// The copies that are to be told something now; the one that is `asked` something, whatever there is.
    fn idle_copies(&self, asked: Option<&NodeHandle>) -> Vec<(NodeHandle, Push)> {
        let idle = |node: &NodeHandle, push: &Push| {
            let revision = if asked == Some(node) { self.revision } else { self.pushes.urgent };
            push.under_way.is_none() && push.acknowledged < revision
        };
        self.pushes
            .copies
            .iter()
            .filter(|(node, push)| idle(node, push))
            .map(|(&node, push)| (node, push.clone()))
            .collect()
    }

    fn idle_migrations(&self) -> Vec<(NodeHandle, Migration)> {
        let idle = |migration: &Migration| migration.push.under_way.is_none();
        self.pushes
            .migrations
            .iter()
            .filter(|(_, migration)| idle(migration))
            .map(|(&node, migration)| (node, migration.clone()))
            .collect()
    }

    /// Begins to tell the new root of `range` what this node has.
    pub(super) fn migrate(&mut self, range: Range, to: NodeHandle) {
        let migration = Migration { range, push: Push::default(), keys: BTreeSet::new() };
        self.pushes.migrations.insert(to, migration);
    }

    /// Learns what a root, or a root so far, tells.
    pub(super) fn on_merge<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        from: NodeHandle,
        migrates: Option<Why>,
        statements: Vec<(RecordKey, Statement)>,
    ) -> Message {
        let mut keys = BTreeSet::new();
        for (key, statement) in statements {
            let (known, says_something) = (self.revision, statement.is_in_force());
            let is_message = matches!(statement, Statement::Message(..));
            self.learn(now, &key, statement);
            let is_served = chord.is_root(key.id()) == Some(true) && self.is_ready(key.id());
            if known < self.revision && says_something && is_served {
                // Nobody but this root writes it, unless the network was cut, or the root before it has just done so.
                let was_cut = self.is_established(now, key.id());
                if was_cut || is_message {
                    *self.healed.entry(key.clone()).or_default() |= was_cut;
                }
            }
            keys.insert(key);
        }
        if migrates.is_none() {
            self.keep_for(from, &keys);
        }
        if let Some(why) = migrates {
            // Another node may have come before this one: what is that one's goes there.
            let others = keys.iter().filter(|key| chord.is_root(key.id()) == Some(false)).cloned().collect();
            self.offer_keys(now, chord, others);
            self.tell_migrated(keys, true, from, why);
        }
        Message::Merged
    }

    pub(super) fn on_merged(&mut self, id: u64) -> bool {
        let Some((node, push)) = self.pushes.find(id) else { return false };
        if let Some((_, reached)) = push.under_way.take() {
            push.acknowledged = reached;
        }
        if let Some(migration) = self.pushes.migrations.get_mut(&node)
            && migration.push.under_way.is_none()
        {
            let keys = std::mem::take(&mut migration.keys);
            self.tell_migrated(keys, false, node, Why::NewPredecessor);
        }
        true
    }

    pub(super) fn push_failed(&mut self, id: u64, why: Failure) -> bool {
        let Some((node, push)) = self.pushes.find(id) else { return false };
        push.under_way = None;
        if why == Failure::Unreachable {
            // A dead copy is replaced by the next node, and the range of a dead root comes back.
            self.pushes.copies.remove(&node);
            self.pushes.migrations.remove(&node);
        }
        true
    }

    pub(super) fn tell_migrated(
        &mut self,
        keys: BTreeSet<RecordKey>,
        incoming: bool,
        peer: NodeHandle,
        why: Why,
    ) {
        self.told.extend(keys.into_iter().map(|key| Migrated { key, incoming, peer, why }));
    }

    /// The number of the newest change that says more than that a lease still holds: whoever waits until copies
    /// know what this node knows need not wait for renewals.
    pub fn newest_write(&self) -> u64 {
        self.pushes.urgent
    }

    /// Whether enough copies have what was merged up to `revision`: 3 nodes, or all where there are fewer, as far as
    /// is certain.
    pub fn is_acknowledged(&self, revision: u64) -> bool {
        let enough = ACKNOWLEDGED - usize::from(self.is(Mutant::AcknowledgesSooner));
        let known = self.pushes.copies.len();
        if known < enough - 1 && self.pushes.may_lack_copies {
            return false;
        }
        let needed = (enough - 1).min(known);
        needed <= self.pushes.copies.values().filter(|push| revision <= push.acknowledged).count()
    }

    /// Whether `node` has all that this root keeps.
    pub fn is_handed_over_to(&self, node: NodeHandle) -> bool {
        self.pushes.copies.get(&node).is_some_and(|push| push.acknowledged == self.revision)
    }

    /// Whether every new root has been told what this node had of its range.
    pub fn has_migrated(&self) -> bool {
        self.pushes.migrations.is_empty()
    }

    /// Whether `node` is one of those that keep copies for this root.
    pub(super) fn is_copy(&self, node: NodeHandle) -> bool {
        self.pushes.copies.contains_key(&node)
    }
}

impl Pushes {
    fn find(&mut self, id: u64) -> Option<(NodeHandle, &mut Push)> {
        let migrations = self.migrations.iter_mut().map(|(&node, migration)| (node, &mut migration.push));
        self.copies
            .iter_mut()
            .map(|(&node, push)| (node, push))
            .chain(migrations)
            .find(|(_, push)| push.under_way.is_some_and(|(number, _)| number == id))
    }
}

impl Push {
    fn after_telling(self, under_way: Option<u64>, reached: u64) -> Push {
        match under_way {
            Some(number) => Push { under_way: Some((number, reached)), ..self },
            // Nothing of what changed concerns the receiver.
            None => Push { acknowledged: reached, under_way: None },
        }
    }
}

fn tell<P: Clone + From<Message>>(
    now: Time,
    chord: &mut Chord<P>,
    node: NodeHandle,
    migrates: Option<Why>,
    statements: Vec<(RecordKey, Statement)>,
) -> Option<u64> {
    if statements.is_empty() {
        return None;
    }
    Some(chord.request_to(now, node, Message::Merge { migrates, statements }.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::Output;
    use crate::chord::message;
    use crate::machine::Input;
    use crate::records::age::Age;
    use crate::records::channel::Membership;

    const START: Time = Time::from_micros(1_000_000);

    fn membership(member: NodeHandle, version: u64) -> Statement {
        let nick = "n".parse().unwrap();
        Statement::Member(Membership { node: member, nick, version, joined: true }, Age::NEW)
    }

    /// How many statements each of the other nodes is told, and acknowledges.
    fn told(now: Time, records: &mut Records, chord: &mut Chord<Message>) -> Vec<usize> {
        records.push(now, chord);
        let mut counts = vec![0; chord.successors().len()];
        while let Some(output) = chord.next_output() {
            // The ring may have something to say as well, and the reply the records are given here.
            let Output::Send { to, message: message::Message::Request { id, payload } } = output else {
                continue;
            };
            let Message::Merge { statements, .. } = payload else { panic!("{payload:?}") };
            let place = chord.successors().iter().position(|&node| node == to).unwrap();
            counts[place] += statements.len();
            let answer = message::Answer::Payload(Message::Merged);
            let reply = message::Message::Reply { id, hops: 0, answer };
            chord.handle(now, Input::Message { from: to, message: reply });
            assert!(records.on_merged(id));
        }
        counts
    }

    #[test]
    fn who_has_just_lost_all_copies_acknowledges_nothing_until_they_are_known_to_be_gone() {
        let mut ring = [7000, 7001, 7002].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        ring.sort();
        let [me, peers @ ..] = ring;
        let key = RecordKey::Channel("rust".parse().unwrap());
        let (mut chord, mut records) = (Chord::ideal(&ring, me, 16, START), Records::default());
        told(START, &mut records, &mut chord);
        records.write(START, &key, membership(peers[0], 1));
        let mut cannot_be_reached = |records: &mut Records, peer| {
            chord.handle(START, Input::Unreachable { peer, undelivered: Vec::new() });
            told(START, records, &mut chord);
        };
        for peer in peers {
            cannot_be_reached(&mut records, peer);
        }
        assert!(!records.is_acknowledged(records.newest_write()), "it has asked them whether they are there");
        for peer in peers {
            cannot_be_reached(&mut records, peer);
        }
        assert!(records.is_acknowledged(records.newest_write()), "nobody else is there");
    }

    #[test]
    fn a_renewed_lease_goes_to_the_next_node_with_a_question_and_to_the_others_with_a_write_or_later() {
        let mut ring = [7000, 7001, 7002].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        let key = RecordKey::Channel("rust".parse().unwrap());
        ring.sort();
        let me = *ring
            .iter()
            .find(|&&me| Chord::<Message>::ideal(&ring, me, 16, START).is_root(key.id()) == Some(true))
            .unwrap();
        let mut chord = Chord::ideal(&ring, me, 16, START);
        let mut records = Records::default();
        records.write(START, &key, membership(ring[0], 1));
        assert_eq!(told(START, &mut records, &mut chord), [1, 1]);

        records.refresh(START, &key, membership(ring[0], 2));
        assert_eq!(told(START, &mut records, &mut chord), [0, 0]);
        assert!(records.is_acknowledged(records.newest_write()), "who only reads does not wait for it");
        chord.stabilize();
        assert_eq!(told(START, &mut records, &mut chord), [1, 0]);
        records.write(START, &key, membership(ring[1], 1));
        assert_eq!(told(START, &mut records, &mut chord), [1, 2], "together");

        records.refresh(START, &key, membership(ring[0], 3));
        assert_eq!(told(START, &mut records, &mut chord), [1, 0]);
        records.refresh(START, &key, membership(ring[1], 2));
        assert_eq!(told(START, &mut records, &mut chord), [1, 0]);
        let due = records.next_wakeup().unwrap();
        assert!(due <= START + REFRESH_PAUSE);
        assert_eq!(told(START + REFRESH_PAUSE, &mut records, &mut chord), [0, 2]);
        assert_eq!(records.pushes_wakeup(), None);

        records.refresh(START, &key, membership(ring[0], 4));
        records.hurry();
        assert_eq!(told(START, &mut records, &mut chord), [1, 1]);
    }
}
