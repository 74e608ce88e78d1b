//! Repair: a copy that has not heard of a record for a while asks its root.
//!
//! copy -> … -> root of the key: Offer { key, horizon }
//! root -> copy: Offered { digest, horizon, keep }
//! copy -> root, if the copy has another digest: Merge
//!
//! copy -> whoever else told it to keep the record, the last one first, until one still wants that: Offer
//! it -> copy: Offered
//!
//! So what a root missed reaches it in the end, and a node that should no longer keep a copy drops
//! it, once the root has everything that it knows.
//!
//! Each side drops old messages by its own count and clock, and neither takes back what it has dropped.
//! So only what stands after both horizons is compared and told: otherwise two copies would offer each
//! other for ever what the other does not want.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::channel::Place;
use super::facts::Facts;
use super::{KEEPERS_MAX, Message, Mutant, Record, RecordKey, Records, Statement};
use crate::chord::{Chord, Failure};
use crate::id::NodeHandle;
use crate::time::Time;

/// How often a copy asks after its records.
pub(crate) const REPAIR_EVERY: Duration = Duration::from_secs(60);

/// How long after the ring has changed around it: what has gone astray finds its root then.
const REPAIR_SOON: Duration = Duration::from_secs(2);

/// How many records are offered at once when a range has moved on.
const OFFERED_AT_ONCE_MAX: usize = 1024;

/// How many records are asked after at a time.
const OFFERS_MAX: usize = 64;

/// How long after them the next ones are.
const REPAIR_GOES_ON: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repair {
    next: Option<Time>,
    /// The record that was asked after last, if there are more: the round goes on from there.
    last: Option<RecordKey>,
    under_way: BTreeMap<u64, Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Offered(Asked),
    /// The root does not want it kept: somebody who did is being asked.
    AskedKeeper(RecordKey, NodeHandle),
    Told(Told),
}

/// A record after which the root has been asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    key: RecordKey,
    /// Whether somebody has told this node to keep it since.
    keep: bool,
}

/// A record of which the root is being told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    key: RecordKey,
    /// Whether it is kept afterwards.
    keep: bool,
    /// Up to where the root has dropped messages: those it does not take back.
    horizon: Option<Place>,
    /// Up to which revision the root has been told.
    reached: u64,
}

/// What the root of a record has of it.
pub(super) struct Offered {
    pub(super) digest: u64,
    pub(super) horizon: Option<Place>,
    pub(super) keep: bool,
}

impl Records {
    /// Does what is due.
    pub fn on_wakeup<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        self.retry_takeovers(now, chord);
        match self.repair.next {
            Some(next) if now < next => {}
            Some(_) => {
                self.prune(now);
                self.offer(now, chord);
                let goes_on = self.repair.last.is_some() || self.is(Mutant::RepairsWithoutPause);
                let pause = if goes_on { REPAIR_GOES_ON } else { REPAIR_EVERY };
                self.repair.next = Some(now + pause);
            }
            None => self.repair.next = Some(now + REPAIR_EVERY),
        }
    }

    pub(super) fn repair_soon(&mut self, now: Time) {
        let soon = now + REPAIR_SOON;
        self.repair.next = Some(self.repair.next.map_or(soon, |next| next.min(soon)));
    }

    /// When [`Records::on_wakeup`] is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        [self.takeovers_wakeup(), self.repair.next, self.pushes_wakeup()].into_iter().flatten().min()
    }

    fn offer<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        let last = self.repair.last.take();
        let after = |key: &RecordKey| last.as_ref().is_none_or(|last| last < key);
        let due: BTreeSet<RecordKey> = self
            .held
            .iter()
            .filter(|(key, held)| after(key) && chord.is_root(held.id) == Some(false))
            .take(OFFERS_MAX)
            .map(|(key, _)| key.clone())
            .collect();
        if due.len() == OFFERS_MAX {
            self.repair.last = due.last().cloned();
        }
        self.offer_keys(now, chord, due);
    }

    /// Asks the roots of these records at once.
    pub(super) fn offer_keys<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        keys: BTreeSet<RecordKey>,
    ) {
        // What is too much for now, the next rounds offer.
        for key in keys.into_iter().take(OFFERED_AT_ONCE_MAX) {
            let id = key.id();
            let horizon = self.horizon(&key);
            let number = chord.request(now, id, Message::Offer { key: key.clone(), horizon }.into());
            self.repair.under_way.insert(number, Step::Offered(Asked { key, keep: false }));
        }
    }

    /// Keeps the records for `root`: none is dropped because of what others say who were asked before.
    /// What the root lacks, it is told all the same.
    pub(super) fn keep_for(&mut self, root: NodeHandle, keys: &BTreeSet<RecordKey>) {
        for key in keys {
            if let Some(held) = self.held.get_mut(key) {
                held.keepers.retain(|&keeper| keeper != root);
                held.keepers.push(root);
                if KEEPERS_MAX < held.keepers.len() {
                    held.keepers.remove(0);
                }
            }
        }
        self.repair.under_way.retain(|_, step| match step {
            Step::Offered(Asked { key, keep }) | Step::Told(Told { key, keep, .. }) => {
                *keep |= keys.contains(key);
                true
            }
            Step::AskedKeeper(key, _) => !keys.contains(key),
        });
    }

    pub(super) fn on_offer<P: Clone>(
        &self,
        now: Time,
        chord: &Chord<P>,
        from: NodeHandle,
        key: &RecordKey,
        horizon: Option<Place>,
    ) -> Message {
        // Who is taking over has yet to learn who its copies are.
        let keeps = self.is_copy(from) && chord.is_root(key.id()) != Some(false);
        let keep = keeps || !self.is_ready(key.id());
        let own = self.horizon(key);
        Message::Offered { digest: self.digest(now, key, horizon.max(own)), horizon: own, keep }
    }

    pub(super) fn on_offered<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        Offered { digest, horizon, keep }: Offered,
    ) -> bool {
        let Asked { key, keep: is_kept } = match self.repair.under_way.remove(&id) {
            Some(Step::Offered(asked)) => asked,
            Some(Step::AskedKeeper(key, _)) => {
                if !keep {
                    self.drop_copy(now, chord, from, key);
                }
                return true;
            }
            Some(Step::Told(_)) | None => return false,
        };
        if from == chord.me() {
            return true;
        }
        let keep = keep || is_kept;
        if self.digest(now, &key, horizon.max(self.horizon(&key))) != digest {
            self.tell_root(now, chord, from, Told { key, keep, horizon, reached: 0 });
        } else if !keep {
            self.drop_copy(now, chord, from, key);
        }
        true
    }

    /// Tells the root the next part of a record; after the last, drops it unless it should be kept.
    fn tell_root<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        root: NodeHandle,
        Told { key, keep, horizon, reached }: Told,
    ) {
        let (mut statements, reached) = self.statements_after(now, reached, |_, other, _| *other == key);
        statements.retain(|(_, statement)| match statement {
            Statement::Message(entry) => horizon < Some(entry.place),
            _ => true,
        });
        if !statements.is_empty() {
            let message = Message::Merge { migrates: None, statements };
            let number = chord.request_to(now, root, message.into());
            self.repair.under_way.insert(number, Step::Told(Told { key, keep, horizon, reached }));
        } else if reached < self.revision {
            self.tell_root(now, chord, root, Told { key, keep, horizon, reached });
        } else if !keep {
            self.drop_copy(now, chord, root, key);
        }
    }

    pub(super) fn on_offer_merged<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
    ) -> bool {
        match self.repair.under_way.remove(&id) {
            Some(Step::Told(told)) => self.tell_root(now, chord, from, told),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// A keeper that is gone counts on nothing any more; all else the next round asks again.
    pub(super) fn offer_failed<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        why: Failure,
    ) -> bool {
        let Some(step) = self.repair.under_way.remove(&id) else { return false };
        if let (Step::AskedKeeper(key, gone), Failure::Unreachable) = (step, why) {
            self.drop_copy(now, chord, gone, key);
        }
        true
    }

    /// Drops a record that `root` knows and does not want kept here, unless another still counts on it.
    fn drop_copy<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        root: NodeHandle,
        key: RecordKey,
    ) {
        let Some(held) = self.held.get_mut(&key) else { return };
        held.keepers.retain(|&keeper| keeper != root && keeper != chord.me());
        match held.keepers.last().copied() {
            Some(keeper) => {
                let horizon = self.horizon(&key);
                let number =
                    chord.request_to(now, keeper, Message::Offer { key: key.clone(), horizon }.into());
                self.repair.under_way.insert(number, Step::AskedKeeper(key, keeper));
            }
            None => self.drop_record_of_another(chord, &key),
        }
    }

    fn drop_record_of_another<P: Clone>(&mut self, chord: &Chord<P>, key: &RecordKey) {
        // This node may have become the root meanwhile.
        if chord.is_root(key.id()) == Some(false) {
            self.drop_record(key);
        }
    }

    fn horizon(&self, key: &RecordKey) -> Option<Place> {
        match self.held.get(key).map(|held| &held.record) {
            Some(Record::Channel(channel)) => channel.log.horizon(),
            Some(Record::Name(_) | Record::Mailbox(_) | Record::Value(_)) | None => None,
        }
    }

    /// A record summed up, of a channel's messages those after `horizon`: two copies that know the same have
    /// the same digest.
    pub fn digest(&self, now: Time, key: &RecordKey, horizon: Option<Place>) -> u64 {
        let mut facts = Facts::default();
        match self.held.get(key).map(|held| &held.record) {
            Some(Record::Channel(channel)) => channel.write_facts(now, &mut facts, horizon),
            Some(Record::Name(claims)) => claims.write_facts(now, &mut facts),
            Some(Record::Mailbox(mailbox)) => mailbox.write_facts(&mut facts),
            Some(Record::Value(value)) => value.write_facts(&mut facts),
            None => {}
        }
        facts.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Entry, KEPT_FOR, LOG_MAX, Membership, MessageId};
    use super::super::lease::Age;
    use super::*;
    use crate::chord::{self as ring, Output, Upcall};
    use crate::machine::Input;

    const START: Time = Time::from_micros(1_800_000_000_000_000);

    /// The root of a channel and another node that has it.
    struct Pair {
        nodes: Vec<(Chord<Message>, Records)>,
        key: RecordKey,
        now: Time,
    }

    impl Pair {
        fn new() -> Pair {
            let mut ring = [7000, 7001].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
            ring.sort();
            let key = RecordKey::Channel("rust".parse().unwrap());
            let mut nodes: Vec<_> =
                ring.iter().map(|&me| (Chord::ideal(&ring, me, 16, START), Records::default())).collect();
            nodes.sort_by_key(|(chord, _)| chord.is_root(key.id()) != Some(true));
            let mut pair = Pair { nodes, key, now: START };
            assert_eq!(pair.repair(), 0, "the first round is yet to come");
            pair
        }

        fn learn(&mut self, node: usize, counters: std::ops::RangeInclusive<u64>, at: Time) {
            let author = self.nodes[0].0.me();
            for seq in counters {
                let place = Place { epoch: 1, root: author, seq };
                let id = MessageId { author, counter: seq };
                let entry = Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at };
                self.nodes[node].1.merge(self.now, &self.key, Statement::Message(entry));
            }
        }

        /// One round of repair; returns how many times one tells the other messages.
        fn repair(&mut self) -> usize {
            self.wake_after(REPAIR_EVERY)
        }

        fn wake_after(&mut self, pause: Duration) -> usize {
            self.now = self.now + pause;
            let mut told = 0;
            for (chord, records) in &mut self.nodes {
                records.on_wakeup(self.now, chord);
            }
            while let Some((from, output)) = self.next_output() {
                match output {
                    Output::Send { to, message } => {
                        told += usize::from(format!("{message:?}").contains("Merge {"));
                        let from = self.nodes[from].0.me();
                        let (chord, _) = self.nodes.iter_mut().find(|(chord, _)| chord.me() == to).unwrap();
                        chord.handle(self.now, Input::Message { from, message });
                    }
                    Output::Upcall(Upcall::Deliver { request, .. } | Upcall::Receive { request }) => {
                        let (chord, records) = &mut self.nodes[from];
                        let ring::Request { origin, id, payload } = request;
                        let answer = records.on_request(self.now, chord, origin, payload).unwrap();
                        chord.reply_read(self.now, origin, id, answer);
                    }
                    Output::Upcall(Upcall::Reply { id, from: root, payload }) => {
                        let (chord, records) = &mut self.nodes[from];
                        records.on_reply(self.now, chord, id, root, payload);
                    }
                    Output::Upcall(_) => {}
                }
            }
            told
        }

        /// The root tells its copy everything, and then the copy the root.
        fn settle(&mut self) {
            assert_ne!((self.repair(), self.repair()), (0, 0));
        }

        fn next_output(&mut self) -> Option<(usize, Output<Message>)> {
            for (chord, records) in &mut self.nodes {
                records.push(self.now, chord);
            }
            self.nodes.iter_mut().enumerate().find_map(|(i, (chord, _))| Some((i, chord.next_output()?)))
        }

        /// A member's lease is renewed, and this node hears of it.
        fn renew(&mut self, node: usize, version: u64) {
            let member = self.nodes[0].0.me();
            let nick = "n".parse().unwrap();
            let membership = Membership { node: member, version, joined: true, nick };
            self.nodes[node].1.merge(self.now, &self.key, Statement::Member(membership, Age::NEW));
        }

        fn is_equal(&self) -> bool {
            let digest = |node: usize| self.nodes[node].1.digest(self.now, &self.key, None);
            digest(0) == digest(1)
        }

        fn horizon(&self, node: usize) -> Option<u64> {
            self.nodes[node].1.horizon(&self.key).map(|place| place.seq)
        }
    }

    #[test]
    fn two_copies_that_have_dropped_differently_fall_silent() {
        const MORE: u64 = LOG_MAX as u64 + 300;
        for (root, copy) in [(301..=MORE, 1..=MORE), (1..=MORE, 301..=MORE), (1..=MORE, 1..=900)] {
            let mut pair = Pair::new();
            pair.learn(0, root.clone(), START);
            pair.learn(1, copy.clone(), START);
            pair.settle();
            assert_eq!(pair.repair(), 0, "{root:?} {copy:?}");
        }
        // The root has dropped by its clock what the copy still keeps, and the other way round.
        for (early, late) in [(0, 1), (1, 0)] {
            let mut pair = Pair::new();
            pair.learn(0, 1..=20, START);
            pair.learn(1, 1..=20, START);
            pair.learn(late, 21..=30, START + KEPT_FOR);
            pair.learn(early, 21..=25, START + KEPT_FOR);
            pair.nodes[early].1.prune(START + KEPT_FOR);
            assert_eq!((pair.horizon(early), pair.horizon(late)), (Some(20), None));
            pair.settle();
            assert_eq!(pair.repair(), 0, "{early} first");
        }
    }

    #[test]
    fn a_copy_asks_after_all_of_many_records_in_one_round() {
        let mut pair = Pair::new();
        let copy = pair.nodes[1].0.me();
        let keys = (0..).map(|i| RecordKey::Channel(format!("c{i}").parse().unwrap()));
        let of_the_root = keys.filter(|key| pair.nodes[0].0.is_root(key.id()) == Some(true));
        let keys: BTreeSet<RecordKey> = of_the_root.take(3 * OFFERS_MAX).collect();
        for key in &keys {
            let member = Membership { node: copy, version: 1, joined: true, nick: "n".parse().unwrap() };
            pair.nodes[1].1.merge(pair.now, key, Statement::Member(member, Age::NEW));
        }
        pair.repair();
        pair.wake_after(REPAIR_GOES_ON);
        pair.wake_after(REPAIR_GOES_ON);
        assert!(pair.nodes[0].1.keys().map(|(key, _)| key).eq(&keys));
    }

    /// The copy has asked the root, which tells it to keep the record, and then answers what was true before.
    fn is_answered_late(pair: &mut Pair, digest: u64) -> &Records {
        let (root, keys) = (pair.nodes[0].0.me(), BTreeSet::from([pair.key.clone()]));
        let (chord, records) = &mut pair.nodes[1];
        records.offer_keys(START, chord, keys.clone());
        let id = *records.repair.under_way.first_key_value().unwrap().0;
        records.keep_for(root, &keys);
        records.on_offered(START, chord, id, root, Offered { digest, horizon: None, keep: false });
        records
    }

    #[test]
    fn what_the_root_lacks_it_is_told_although_it_tells_something_meanwhile() {
        let mut pair = Pair::new();
        pair.learn(1, 1..=5, START);
        let records = is_answered_late(&mut pair, 0);
        let step = records.repair.under_way.values().next();
        assert!(matches!(step, Some(Step::Told(Told { keep: true, .. }))), "{step:?}");
    }

    #[test]
    fn what_the_root_tells_a_node_to_keep_is_not_dropped_for_an_earlier_answer() {
        let mut pair = Pair::new();
        pair.learn(1, 1..=5, START);
        let digest = pair.nodes[1].1.digest(START, &pair.key, None);
        assert_eq!(is_answered_late(&mut pair, digest).keys().count(), 1);
    }

    /// While a cut network heals, a node may take itself for the root and tell others to keep what is not its own.
    #[test]
    fn a_record_is_dropped_when_nobody_wants_it_kept_any_more() {
        let at = |port| NodeHandle::new(([127, 0, 0, 1], port).into());
        for (is_wanted, left) in [(true, 1), (false, 0)] {
            let mut pair = Pair::new();
            pair.learn(1, 1..=5, START);
            let (chord, records) = &mut pair.nodes[1];
            let keys = BTreeSet::from([pair.key.clone()]);
            let digest = records.digest(START, &pair.key, None);
            let [first, gone, last, another] = [7002, 7003, 7004, 7005].map(at);
            for keeper in [first, gone, last] {
                records.keep_for(keeper, &keys);
            }
            records.offer_keys(START, chord, keys);
            for (asked, keep) in [(another, false), (last, false), (gone, false), (first, is_wanted)] {
                let id = *records.repair.under_way.first_key_value().unwrap().0;
                if asked == gone {
                    assert!(records.offer_failed(START, chord, id, Failure::Unreachable));
                    continue;
                }
                records.on_offered(START, chord, id, asked, Offered { digest, horizon: None, keep });
            }
            assert!(records.repair.under_way.is_empty());
            assert_eq!(records.keys().count(), left);
        }
    }

    #[test]
    fn what_the_root_lacks_it_is_told_once() {
        let mut pair = Pair::new();
        pair.learn(0, 1..=20, START);
        pair.learn(1, 1..=25, START);
        pair.settle();
        assert_eq!(pair.repair(), 0);
        assert!(pair.is_equal());
    }

    #[test]
    fn a_renewal_that_the_root_has_missed_reaches_it_once_the_lease_has_ended_there() {
        let mut pair = Pair::new();
        pair.renew(0, 1);
        pair.settle();
        pair.renew(0, 2);
        pair.renew(1, 3);
        assert!(pair.is_equal(), "both hold");
        pair.repair();
        pair.renew(1, 4);
        assert_ne!(pair.repair(), 0, "after two minutes, that of the root has ended");
        assert!(pair.is_equal());
        let RecordKey::Channel(name) = &pair.key else { panic!("{}", pair.key) };
        let root = pair.nodes[0].1.channel(name).unwrap();
        assert!(root.is_member(pair.now, pair.nodes[0].0.me()));
    }
}
