//! Repair: a copy that has not heard of a record for a while asks its root.
//!
//! copy -> … -> root of the key: Offer { key, digest }
//! root -> copy: Offered { wanted, keep }
//! copy -> root, if wanted: Merge
//!
//! So what a root missed reaches it in the end, and a node that should no longer keep a copy drops
//! it, once the root has everything that it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::{Message, Record, RecordKey, Records};
use crate::chord::Chord;
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How often a copy asks after its records.
const REPAIR_EVERY: Duration = Duration::from_secs(30);

/// How many records are asked after at a time; the others come in the next rounds.
const OFFERS_MAX: usize = 64;

/// How many records are handed on at once.
const HANDED_ON_MAX: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repair {
    next: Option<Time>,
    /// The record that was asked after last: the next round goes on from there.
    last: Option<RecordKey>,
    under_way: BTreeMap<u64, Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Offered(RecordKey),
    Told(Told),
}

/// A record of which the root is being told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    key: RecordKey,
    /// Whether it is kept afterwards.
    keep: bool,
    /// Up to which revision the root has been told.
    reached: u64,
}

impl Records {
    /// Does what is due.
    pub fn on_wakeup<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        self.retry_takeovers(now, chord);
        match self.repair.next {
            Some(next) if now < next => {}
            Some(_) => {
                self.repair.next = Some(now + REPAIR_EVERY);
                self.prune(now);
                self.offer(now, chord);
            }
            None => self.repair.next = Some(now + REPAIR_EVERY),
        }
    }

    /// When [`Records::on_wakeup`] is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.takeovers_wakeup().into_iter().chain(self.repair.next).min()
    }

    fn offer<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        let last = self.repair.last.take();
        let after = |key: &RecordKey| last.as_ref().is_none_or(|last| last < key);
        let due: Vec<(RecordKey, Id)> = self
            .held
            .iter()
            .filter(|(key, held)| after(key) && chord.is_root(held.id) == Some(false))
            .take(OFFERS_MAX)
            .map(|(key, held)| (key.clone(), held.id))
            .collect();
        if due.len() == OFFERS_MAX {
            self.repair.last = due.last().map(|(key, _)| key.clone());
        }
        for (key, id) in due {
            self.offer_one(now, chord, key, id);
        }
    }

    /// Offers what another node has told this one as the root, which it is no longer, to those who are.
    ///
    /// Where several nodes come at once, a record may pass through a node that has just lost its range.
    pub(super) fn hand_on<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        keys: &BTreeSet<RecordKey>,
    ) {
        // What is too much for now, the next rounds offer.
        for key in keys.iter().take(HANDED_ON_MAX) {
            if chord.is_root(key.id()) == Some(false) {
                self.offer_one(now, chord, key.clone(), key.id());
            }
        }
    }

    fn offer_one<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        key: RecordKey,
        id: Id,
    ) {
        let digest = self.digest(&key);
        let number = chord.request(now, id, Message::Offer { key: key.clone(), digest }.into());
        self.repair.under_way.insert(number, Step::Offered(key));
    }

    pub(super) fn on_offer(&self, from: NodeHandle, key: &RecordKey, digest: u64) -> Message {
        Message::Offered { wanted: self.digest(key) != digest, keep: self.is_copy(from) }
    }

    pub(super) fn on_offered<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        (wanted, keep): (bool, bool),
    ) -> bool {
        let Some(Step::Offered(key)) = self.repair.under_way.remove(&id) else { return false };
        if from == chord.me() {
            return true;
        }
        if wanted {
            self.tell_root(now, chord, from, Told { key, keep, reached: 0 });
        } else if !keep {
            self.drop_copy(chord, &key);
        }
        true
    }

    /// Tells the root the next part of a record; after the last, drops it unless it should be kept.
    fn tell_root<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        root: NodeHandle,
        Told { key, keep, reached }: Told,
    ) {
        let (statements, reached) = self.statements_after(now, reached, |_, other, _| *other == key);
        if !statements.is_empty() {
            let message = Message::Merge { migrates: None, statements };
            let number = chord.request_to(now, root, message.into());
            self.repair.under_way.insert(number, Step::Told(Told { key, keep, reached }));
        } else if !keep {
            self.drop_copy(chord, &key);
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

    /// The next round asks again.
    pub(super) fn offer_failed(&mut self, id: u64) -> bool {
        self.repair.under_way.remove(&id).is_some()
    }

    fn drop_copy<P: Clone>(&mut self, chord: &Chord<P>, key: &RecordKey) {
        // It may have become the root meanwhile.
        if chord.is_root(key.id()) == Some(false) {
            self.drop_record(key);
        }
    }

    /// A record summed up: two copies that know the same have the same digest.
    pub fn digest(&self, key: &RecordKey) -> u64 {
        let mut facts = String::new();
        let known = match self.held.get(key).map(|held| &held.record) {
            Some(Record::Channel(channel)) => channel.write_facts(&mut facts),
            Some(Record::Name(claims)) => claims.write_facts(&mut facts),
            None => write!(facts, "nothing"),
        };
        known.expect("writing to a text cannot fail");
        let hash = Id::hash(facts);
        u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    }
}
