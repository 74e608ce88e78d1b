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

/// How long after it a node that leaves asks after more of what was on its disk.
const MAKE_SURE_EVERY: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repair {
    next: Option<Time>,
    /// The record that was asked after last, if there are more: the round goes on from there.
    last: Option<RecordKey>,
    under_way: BTreeMap<u64, Step>,
    /// What was on the disk at the start, and no root is known to have: it may be the only copy of something.
    unsure: BTreeSet<RecordKey>,
    /// When the roots of these were asked last because this node leaves.
    made_sure: Option<Time>,
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

    /// A record was on the disk.
    pub(super) fn note_restored(&mut self, key: &RecordKey) {
        self.repair.unsure.insert(key.clone());
    }

    /// Those of the records that were on the disk of which this node is not the root, and that the root is not known
    /// to have: before a node leaves, they are to be none.
    pub fn unsure<P: Clone>(&self, chord: &Chord<P>) -> impl Iterator<Item = &RecordKey> {
        self.repair
            .unsure
            .iter()
            .filter(|key| self.held.get(key).is_some_and(|held| chord.is_root(held.id) != Some(true)))
    }

    /// Asks the roots of these now, and does not wait for the next round.
    pub fn make_sure<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        if self.repair.unsure.is_empty()
            || self.repair.made_sure.is_some_and(|last| now < last + MAKE_SURE_EVERY)
        {
            return;
        }
        self.repair.made_sure = Some(now);
        let asked: BTreeSet<&RecordKey> = self
            .repair
            .under_way
            .values()
            .filter_map(|step| match step {
                Step::Offered(Asked { key, .. }) | Step::Told(Told { key, .. }) => Some(key),
                Step::AskedKeeper(..) => None,
            })
            .collect();
        let room = OFFERED_AT_ONCE_MAX.saturating_sub(asked.len());
        let due = self.unsure(chord).filter(|key| !asked.contains(key)).take(room).cloned().collect();
        self.offer_keys(now, chord, due);
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
        } else {
            self.root_knows(now, chord, from, key, keep);
        }
        true
    }

    /// The root has all that this node knows of a record, which is dropped unless it should be kept.
    fn root_knows<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        root: NodeHandle,
        key: RecordKey,
        keep: bool,
    ) {
        self.repair.unsure.remove(&key);
        if !keep {
            self.drop_copy(now, chord, root, key);
        }
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
            Statement::Message(entry, _) => horizon < Some(entry.place),
            _ => true,
        });
        if !statements.is_empty() {
            let message = Message::Merge { migrates: None, statements };
            let number = chord.request_to(now, root, message.into());
            self.repair.under_way.insert(number, Step::Told(Told { key, keep, horizon, reached }));
        } else if reached < self.revision {
            self.tell_root(now, chord, root, Told { key, keep, horizon, reached });
        } else {
            self.root_knows(now, chord, root, key, keep);
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
mod tests;
