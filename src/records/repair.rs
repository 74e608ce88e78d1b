//! Repair: a copy that has not heard of a record for a while asks its root.
//!
//! copy -> … -> root of the key: Offer { key, digest }
//! root -> copy: Offered { wanted, keep }
//! copy -> root, if wanted: Merge
//!
//! copy -> whoever told it last to keep the record, if that is not the root: Offer
//! it -> copy: Offered
//!
//! So what a root missed reaches it in the end, and a node that should no longer keep a copy drops
//! it, once the root has everything that it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::{Message, Record, RecordKey, Records};
use crate::chord::{Chord, Failure};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How often a copy asks after its records.
const REPAIR_EVERY: Duration = Duration::from_secs(30);

/// How long after the ring has changed around it: what has gone astray finds its root then.
const REPAIR_SOON: Duration = Duration::from_secs(2);

/// How many records are offered at once when a range has moved on.
const OFFERED_AT_ONCE_MAX: usize = 1024;

/// How many records are asked after at a time; the others come in the next rounds.
const OFFERS_MAX: usize = 64;

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
    /// The root does not want it kept: whoever last did is being asked.
    AskedKeeper(RecordKey),
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

    pub(super) fn repair_soon(&mut self, now: Time) {
        let soon = now + REPAIR_SOON;
        self.repair.next = Some(self.repair.next.map_or(soon, |next| next.min(soon)));
    }

    /// When [`Records::on_wakeup`] is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.takeovers_wakeup().into_iter().chain(self.repair.next).min()
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
            let digest = self.digest(&key);
            let number = chord.request(now, id, Message::Offer { key: key.clone(), digest }.into());
            self.repair.under_way.insert(number, Step::Offered(key));
        }
    }

    /// Keeps the records for `root`; what was to become of them when that was not known is not done.
    pub(super) fn keep_for(&mut self, root: NodeHandle, keys: &BTreeSet<RecordKey>) {
        for key in keys {
            if let Some(held) = self.held.get_mut(key) {
                held.keeper = Some(root);
            }
        }
        self.repair.under_way.retain(|_, step| {
            let (Step::Offered(key) | Step::AskedKeeper(key) | Step::Told(Told { key, .. })) = step;
            !keys.contains(key)
        });
    }

    pub(super) fn on_offer<P: Clone>(
        &self,
        chord: &Chord<P>,
        from: NodeHandle,
        key: &RecordKey,
        digest: u64,
    ) -> Message {
        // Who is taking over has yet to learn who its copies are.
        let keeps = self.is_copy(from) && chord.is_root(key.id()) != Some(false);
        let keep = keeps || !self.is_ready(key.id());
        Message::Offered { wanted: self.digest(key) != digest, keep }
    }

    pub(super) fn on_offered<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        (wanted, keep): (bool, bool),
    ) -> bool {
        let key = match self.repair.under_way.remove(&id) {
            Some(Step::Offered(key)) => key,
            Some(Step::AskedKeeper(key)) => {
                if !keep {
                    self.drop_record_of_another(chord, &key);
                }
                return true;
            }
            Some(Step::Told(_)) | None => return false,
        };
        if from == chord.me() {
            return true;
        }
        if wanted {
            self.tell_root(now, chord, from, Told { key, keep, reached: 0 });
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
        Told { key, keep, reached }: Told,
    ) {
        let (statements, reached) = self.statements_after(now, reached, |_, other, _| *other == key);
        if !statements.is_empty() {
            let message = Message::Merge { migrates: None, statements };
            let number = chord.request_to(now, root, message.into());
            self.repair.under_way.insert(number, Step::Told(Told { key, keep, reached }));
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

    /// The next round asks again.
    pub(super) fn offer_failed(&mut self, id: u64, why: Failure) -> bool {
        let Some(step) = self.repair.under_way.remove(&id) else { return false };
        if let (Step::AskedKeeper(key), Failure::Unreachable) = (step, why)
            && let Some(held) = self.held.get_mut(&key)
        {
            held.keeper = None;
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
        let keeper = self.held.get(&key).and_then(|held| held.keeper);
        match keeper.filter(|&keeper| keeper != root && keeper != chord.me()) {
            Some(keeper) => {
                let digest = self.digest(&key);
                let number =
                    chord.request_to(now, keeper, Message::Offer { key: key.clone(), digest }.into());
                self.repair.under_way.insert(number, Step::AskedKeeper(key));
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
