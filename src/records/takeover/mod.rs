//! Takeover: a node that becomes the root of a range first learns what others have of it.
//!
//! new root -> its next successors: Fetch { range, after }
//! each -> new root: Fetched { accepted, start, keepers, statements, next }
//! after a crash, new root -> whoever counted on it or them to keep records of the range: Fetch
//!
//! What is acknowledged is on 3 of the 5 nodes that keep a record, so whoever asks the first three
//! others learns it, also after two crashes.
//! Until then, requests for keys of the range wait.
//!
//! Two must not be the root at once.
//! To the successor of a node that joins, the question is a notify as well: it stops being the root with
//! the answer, so that nothing is written there afterwards; what it has yet to take over itself, it does
//! not give.
//! After a crash, nodes may live between the lost predecessor and the one before that have not notified
//! yet: each that is asked says so, and its part of the range is left to it.

mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::sources::{Source, Takeover, ask};
use super::{Message, Mutant, RecordKey, Records, Statement, Why};
use crate::chord::{self, Chord, Range, Update};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long the others are waited for; then the range is served with what is known.
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(3);

/// For how many nodes a copy says that it keeps records of a range.
const KEEPERS_MAX: usize = 8;

/// How long after it became the root of a range a node may still hear of what its root so far has written.
const ESTABLISHED: Duration = Duration::from_secs(5);

/// How long until a node is asked again that did not agree.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a node has of a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fetched {
    /// Whether it agrees: that the asker is its predecessor, if it was asked as the successor, otherwise
    /// that it is not the root of the range or some of it.
    pub accepted: bool,
    /// After which node the range began that it was the root of until it heard of the asker: what comes
    /// before is that node's to give.
    pub start: Option<NodeHandle>,
    /// For whom it keeps records of the range: one of them may still be their root.
    pub keepers: Vec<NodeHandle>,
    /// Its statements.
    pub statements: Vec<(RecordKey, Statement)>,
    /// Where to go on, if that is not all.
    pub next: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Takeovers {
    running: Vec<Takeover>,
    /// Who took the last range that this node lost, and after which node that began.
    given: Option<(NodeHandle, NodeHandle)>,
    /// Of which ranges this node became the root of late, and when.
    gained: Vec<(Range, Time)>,
    /// The new predecessor that fetches its range itself.
    fetching: Option<(NodeHandle, Range)>,
}

impl Records {
    /// This node's range of keys has changed.
    pub fn on_update<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>, update: Update) {
        if !update.gained {
            let start = self.takeovers.lose(update.range, update.after);
            self.takeovers.given = update.peer.map(|peer| (peer, start));
            self.repair_soon(now);
            let Some(peer) = update.peer else { return };
            match self.takeovers.fetching.take_if(|(node, _)| *node == peer) {
                None => self.migrate(update.range, peer),
                Some((_, fetched)) => {
                    let mut others = self.keys_in(update.range);
                    others.retain(|key| !fetched.contains(key.id()));
                    self.offer_keys(now, chord, others);
                }
            }
            return;
        }
        self.repair_soon(now);
        self.takeovers.gained.retain(|&(_, at)| now < at + ESTABLISHED);
        self.takeovers.gained.push((update.range, now));
        let why = match update.why {
            chord::Why::Created => return,
            chord::Why::Joined | chord::Why::NewPredecessor => Why::NewPredecessor,
            chord::Why::PredecessorLost => Why::Crash,
            chord::Why::PredecessorLeft => Why::Leave,
        };
        let mut takeover = Takeover::new(update.range, why, update.peer, now + TAKEOVER_DEADLINE);
        // Who left in good order had told this node everything.
        if why != Why::Leave {
            takeover.ask_enough(now, chord);
        }
        if why == Why::Crash {
            let keepers = self.keepers(update.range, chord.me());
            takeover.ask_roots(now, chord, keepers);
        }
        if why != Why::NewPredecessor
            && let Some(peer) = takeover.peer
        {
            let keys = self.keys_in(update.range);
            self.tell_migrated(keys, true, peer, why);
        }
        self.takeovers.running.push(takeover);
        self.finish_takeovers(now, chord);
    }

    fn keys_in(&self, range: Range) -> BTreeSet<RecordKey> {
        self.keys().filter(|&(_, id)| range.contains(id)).map(|(key, _)| key.clone()).collect()
    }

    /// Who told this node last to keep each record of `range`, besides `asker`.
    fn keepers(&self, range: Range, asker: NodeHandle) -> BTreeSet<NodeHandle> {
        let held = self.held.values().filter(|held| range.contains(held.id));
        held.filter_map(|held| held.keepers.last().copied()).filter(|&keeper| keeper != asker).collect()
    }

    /// Whether this node, as the root of `key`, knows all that it must to answer.
    pub fn is_ready(&self, key: Id) -> bool {
        !self.takeovers.running.iter().any(|takeover| takeover.range.contains(key))
    }

    /// Whether this node, the root of `key`, has been it for so long that the root before it has nothing more to
    /// say.
    pub(super) fn is_established(&self, now: Time, key: Id) -> bool {
        let has_just_become = |&(range, at): &(Range, Time)| now < at + ESTABLISHED && range.contains(key);
        !self.takeovers.gained.iter().any(has_just_become)
    }

    fn is_taking_over(&self, range: Range) -> bool {
        let overlaps = |other: Range| other.contains(range.to) || range.contains(other.to);
        self.takeovers.running.iter().any(|takeover| overlaps(takeover.range))
    }

    /// Whether no takeover is under way of a range whose root this node is.
    pub fn is_settled<P: Clone>(&self, chord: &Chord<P>) -> bool {
        let is_own = |takeover: &Takeover| chord.is_root(takeover.range.to) != Some(false);
        !self.takeovers.running.iter().any(is_own)
    }

    pub(super) fn on_fetch<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        from: NodeHandle,
        range: Range,
        after: u64,
        to_successor: bool,
    ) -> Message {
        let (before, own_start) = (chord.predecessor(), chord.range_start());
        // A leaver has told its successor what that takes over: it gives away no part of it any more.
        // A node that is taking over the range itself has yet to learn what it would give.
        let accepted = if to_successor {
            chord.is_member() && !self.is_taking_over(range) && chord.notified(now, from)
        } else {
            let is_its_own = range.contains(chord.me().id()) || chord.is_root(range.to) == Some(true);
            !(chord.is_in_ring() && is_its_own)
        };
        let is_new = to_successor && accepted && before != Some(from);
        if is_new {
            self.takeovers.fetching = Some((from, range));
        }
        let given = self.takeovers.given.filter(|(to, _)| *to == from && before == Some(from));
        let start = if is_new { own_start } else { given.map(|(_, start)| start) };
        let (statements, reached) = self.statements_after(now, after, |_, _, id| range.contains(id));
        if to_successor && accepted {
            let keys = statements.iter().map(|(key, _)| key.clone()).collect();
            self.tell_migrated(keys, false, from, Why::NewPredecessor);
        }
        let next = (reached < self.revision).then_some(reached);
        let keepers = self.keepers(range, from).into_iter().take(KEEPERS_MAX).collect();
        Message::Fetched(Fetched { accepted, start, keepers, statements, next })
    }

    pub(super) fn on_fetched<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        Fetched { accepted, start, keepers, statements, next }: Fetched,
    ) -> bool {
        let Some((takeover, reached, to_successor)) = self.takeovers.find(id) else { return false };
        let why = takeover.why;
        let range = takeover.range;
        let source = match next {
            _ if !accepted => Source::Refused { again: now + ASK_AGAIN, to_successor },
            Some(after) if reached < after => {
                let number = ask(now, chord, from, range, after, to_successor);
                Source::Asked { number, after, to_successor }
            }
            _ => Source::Done { to_successor },
        };
        takeover.sources.insert(from, source.clone());
        if takeover.root == Some(from) {
            takeover.ask_enough(now, chord);
        }
        // Others may live in the range that the next node has not heard of yet.
        takeover.ask_roots(now, chord, keepers);
        let is_in_range = !accepted && !to_successor && range.contains(from.id());
        let others = match start {
            _ if is_in_range => takeover.split_off(from, now + TAKEOVER_DEADLINE),
            Some(start) if why == Why::NewPredecessor => takeover.split_off(start, now + TAKEOVER_DEADLINE),
            // Where the root so far is gone, only its copies are left to ask.
            _ => None,
        };
        // Who has come there may have said so already.
        if let Some(mut others) = others.filter(|others| chord.is_root(others.range.to) != Some(false)) {
            if is_in_range {
                others.sources.insert(from, source);
            }
            others.ask_roots(now, chord, others.root);
            self.takeovers.running.push(others);
        }
        let mut keys = BTreeSet::new();
        for (key, statement) in statements {
            if range.contains(key.id()) {
                self.learn(now, &key, statement);
                keys.insert(key);
            }
        }
        // Another node may have come before this one: what is that one's goes there.
        let others = keys.iter().filter(|key| chord.is_root(key.id()) == Some(false)).cloned().collect();
        self.offer_keys(now, chord, others);
        if why == Why::NewPredecessor && to_successor && accepted {
            self.tell_migrated(keys, true, from, why);
        }
        self.finish_takeovers(now, chord);
        true
    }

    pub(super) fn fetch_failed<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
    ) -> bool {
        let Some((takeover, ..)) = self.takeovers.find(id) else { return false };
        takeover.sources.retain(|_, source| !matches!(source, Source::Asked { number, .. } if *number == id));
        takeover.ask_enough(now, chord);
        self.finish_takeovers(now, chord);
        true
    }

    /// Asks again where it is due, and ends what has waited too long.
    pub(super) fn retry_takeovers<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        for takeover in &mut self.takeovers.running {
            takeover.deadline.take_if(|deadline| *deadline <= now);
            takeover.ask_again(now, chord);
        }
        self.finish_takeovers(now, chord);
    }

    /// This node has other successors: one that joins must be the predecessor of the first.
    pub fn on_successors_changed<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        for takeover in &mut self.takeovers.running {
            takeover.ask_enough(now, chord);
        }
        self.finish_takeovers(now, chord);
    }

    pub(super) fn takeovers_wakeup(&self) -> Option<Time> {
        self.takeovers.running.iter().filter_map(Takeover::next_wakeup).min()
    }

    fn finish_takeovers<P: Clone>(&mut self, now: Time, chord: &Chord<P>) {
        let successor = chord.successors().first();
        let believes_one = self.is(Mutant::BelievesTheFirst);
        let (finished, running) = std::mem::take(&mut self.takeovers.running)
            .into_iter()
            .partition::<Vec<_>, _>(|takeover| takeover.is_finished(successor, believes_one));
        self.takeovers.running = running;
        for takeover in finished {
            // The copies have been told of this range by another root, or not at all.
            if !self.is(Mutant::KeepsToItself) {
                self.restamp(takeover.range);
            }
            self.remind_members(now, takeover.range);
        }
    }

    /// The root so far may have gone before it told everyone what it had acknowledged.
    fn remind_members(&mut self, now: Time, range: Range) {
        let behind: Vec<_> = self
            .channels()
            .filter(|&(_, id, _)| range.contains(id))
            .map(|(name, _, channel)| {
                (name.clone(), channel.members(now).map(|member| member.node).collect())
            })
            .collect();
        self.behind.extend(behind);
    }
}

impl Takeovers {
    /// A range that begins after `after` has another root now; returns after which node the part begins
    /// that is this node's to give.
    ///
    /// What is still being found out of the range goes on: until then nothing of it is given.
    fn lose(&mut self, range: Range, after: NodeHandle) -> NodeHandle {
        let mut start = after;
        self.running.retain(|takeover| match takeover.root {
            Some(root) if range.contains(takeover.range.to) => {
                if range.from.distance_to(start.id()) < range.from.distance_to(root.id()) {
                    start = root;
                }
                false
            }
            _ => true,
        });
        start
    }

    /// The takeover that waits for the answer `id`, what has come before it, and how it was asked for.
    fn find(&mut self, id: u64) -> Option<(&mut Takeover, u64, bool)> {
        self.running.iter_mut().find_map(|takeover| {
            let (after, to_successor) = takeover.sources.values().find_map(|source| match source {
                Source::Asked { number, after, to_successor } if *number == id => {
                    Some((*after, *to_successor))
                }
                _ => None,
            })?;
            Some((takeover, after, to_successor))
        })
    }
}
