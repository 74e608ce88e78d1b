//! Takeover: a node that becomes the root of a range first learns what others have of it.
//!
//! new root -> its next successors: Fetch { range, after }
//! each -> new root: Fetched { accepted, statements, next }
//!
//! What is acknowledged is on 3 of the 5 nodes that keep a record, so whoever asks the first three
//! others learns it, also after two crashes.
//! Until then, requests for keys of the range wait.
//! To the successor, the question is a notify as well: it stops being the root with the answer, so
//! that nothing is written there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ACKNOWLEDGED, Message, RecordKey, Records, Statement, Why};
use crate::chord::{self, Chord, Range, Update};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long the others are waited for; then the range is served with what is known.
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(3);

/// How long until a successor is asked again that had another predecessor.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a node has of a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fetched {
    /// Whether it agrees that the asker is its predecessor, if it was asked as the successor.
    pub accepted: bool,
    /// Where the range began that it was the root of until it heard of the asker: what comes before is
    /// not its to give.
    pub start: Option<Id>,
    /// Its statements.
    pub statements: Vec<(RecordKey, Statement)>,
    /// Where to go on, if that is not all.
    pub next: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Takeovers {
    running: Vec<Takeover>,
    /// Who took the last range that this node lost, and where it began.
    given: Option<(NodeHandle, Id)>,
    /// New predecessors that fetch their range themselves.
    fetching: BTreeMap<NodeHandle, Range>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Takeover {
    range: Range,
    why: Why,
    peer: Option<NodeHandle>,
    deadline: Time,
    sources: BTreeMap<NodeHandle, Source>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Asked {
        number: u64,
        to_successor: bool,
    },
    /// It had another predecessor: it is asked again then.
    Refused {
        again: Time,
    },
    Done,
}

impl Records {
    /// This node's range of keys has changed.
    pub fn on_update<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>, update: Update) {
        if !update.gained {
            self.takeovers.running.retain(|takeover| !update.range.contains(takeover.range.to));
            self.takeovers.given = update.peer.map(|peer| (peer, update.range.from));
            self.repair_soon(now);
            let Some(peer) = update.peer else { return };
            match self.takeovers.fetching.remove(&peer) {
                None => self.migrate(update.range, peer),
                Some(fetched) => {
                    let mut others = self.keys_in(update.range);
                    others.retain(|key| !fetched.contains(key.id()));
                    self.offer_keys(now, chord, others);
                }
            }
            return;
        }
        self.repair_soon(now);
        let why = match update.why {
            chord::Why::Created => return,
            chord::Why::Joined | chord::Why::NewPredecessor => Why::NewPredecessor,
            chord::Why::PredecessorLost => Why::Crash,
            chord::Why::PredecessorLeft => Why::Leave,
        };
        let mut takeover = Takeover {
            range: update.range,
            why,
            peer: update.peer,
            deadline: now + TAKEOVER_DEADLINE,
            sources: BTreeMap::new(),
        };
        // Who left in good order had told this node everything.
        if why != Why::Leave {
            takeover.ask_enough(now, chord);
        }
        if why != Why::NewPredecessor
            && let Some(peer) = takeover.peer
        {
            let keys = self.keys_in(update.range);
            self.tell_migrated(keys, true, peer, why);
        }
        self.takeovers.running.push(takeover);
        self.finish_takeovers(now);
    }

    fn keys_in(&self, range: Range) -> BTreeSet<RecordKey> {
        self.keys().filter(|&(_, id)| range.contains(id)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether this node, as the root of `key`, knows all that it must to answer.
    pub fn is_ready(&self, key: Id) -> bool {
        !self.takeovers.running.iter().any(|takeover| takeover.range.contains(key))
    }

    /// Whether no takeover is under way.
    pub fn is_settled(&self) -> bool {
        self.takeovers.running.is_empty()
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
        let accepted = !to_successor || (chord.is_member() && chord.notified(now, from));
        let is_new = to_successor && accepted && before != Some(from);
        if is_new {
            self.takeovers.fetching.insert(from, range);
        }
        let given = self.takeovers.given.filter(|(to, _)| *to == from && before == Some(from));
        let start = if is_new { own_start } else { given.map(|(_, start)| start) };
        let (statements, reached) = self.statements_after(now, after, |_, _, id| range.contains(id));
        if to_successor && accepted {
            let keys = statements.iter().map(|(key, _)| key.clone()).collect();
            self.tell_migrated(keys, false, from, Why::NewPredecessor);
        }
        let next = (reached < self.revision).then_some(reached);
        Message::Fetched(Fetched { accepted, start, statements, next })
    }

    pub(super) fn on_fetched<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        Fetched { accepted, start, statements, next }: Fetched,
    ) -> bool {
        let Some((takeover, to_successor)) = self.takeovers.find(id) else { return false };
        let why = takeover.why;
        let range = takeover.range;
        let source = match next {
            _ if !accepted => Source::Refused { again: now + ASK_AGAIN },
            Some(after) => {
                let number = ask(now, chord, from, range, after, to_successor);
                Source::Asked { number, to_successor }
            }
            None => Source::Done,
        };
        takeover.sources.insert(from, source);
        let others = start.and_then(|start| takeover.split_off(start, from));
        self.takeovers.running.extend(others);
        let mut keys = BTreeSet::new();
        for (key, statement) in statements {
            if range.contains(key.id()) {
                self.learn(now, &key, statement);
                keys.insert(key);
            }
        }
        if why == Why::NewPredecessor && to_successor && accepted {
            self.tell_migrated(keys, true, from, why);
        }
        self.finish_takeovers(now);
        true
    }

    pub(super) fn fetch_failed<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
    ) -> bool {
        let Some((takeover, _)) = self.takeovers.find(id) else { return false };
        takeover.sources.retain(|_, source| !matches!(source, Source::Asked { number, .. } if *number == id));
        takeover.ask_enough(now, chord);
        self.finish_takeovers(now);
        true
    }

    /// Asks again where it is due, and ends what has waited too long.
    pub(super) fn retry_takeovers<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        for takeover in &mut self.takeovers.running {
            let due = |source: &Source| matches!(source, Source::Refused { again } if *again <= now);
            if takeover.sources.values().any(due) {
                takeover.sources.retain(|_, source| !due(source));
                takeover.ask_enough(now, chord);
            }
        }
        self.finish_takeovers(now);
    }

    pub(super) fn takeovers_wakeup(&self) -> Option<Time> {
        self.takeovers.running.iter().map(Takeover::next_wakeup).min()
    }

    fn finish_takeovers(&mut self, now: Time) {
        let (finished, running) = std::mem::take(&mut self.takeovers.running)
            .into_iter()
            .partition::<Vec<_>, _>(|takeover| takeover.is_done() || takeover.deadline <= now);
        self.takeovers.running = running;
        for takeover in finished {
            // The copies have been told of this range by another root, or not at all.
            self.restamp(takeover.range);
        }
    }
}

impl Takeovers {
    fn find(&mut self, id: u64) -> Option<(&mut Takeover, bool)> {
        self.running.iter_mut().find_map(|takeover| {
            let asked = takeover.sources.values().find_map(|source| match source {
                Source::Asked { number, to_successor } if *number == id => Some(*to_successor),
                _ => None,
            })?;
            Some((takeover, asked))
        })
    }
}

impl Takeover {
    /// Asks the next successors that have not been asked, until enough have been.
    fn ask_enough<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        for (i, node) in chord.successors().to_vec().into_iter().enumerate() {
            if ACKNOWLEDGED <= self.sources.len() {
                return;
            }
            if !self.sources.contains_key(&node) {
                let number = ask(now, chord, node, self.range, 0, i == 0);
                self.sources.insert(node, Source::Asked { number, to_successor: i == 0 });
            }
        }
    }

    /// The successor was not the root of what lies before `start`: another node has come there and will
    /// say so, or it is gone when the deadline is over.
    fn split_off(&mut self, start: Id, successor: NodeHandle) -> Option<Takeover> {
        if !start.between(self.range.from, self.range.to) {
            return None;
        }
        let range = Range { from: std::mem::replace(&mut self.range.from, start), to: start };
        let sources = BTreeMap::from([(successor, Source::Refused { again: self.deadline })]);
        Some(Takeover { range, sources, ..self.clone() })
    }

    fn is_done(&self) -> bool {
        self.sources.values().all(|source| *source == Source::Done)
    }

    fn next_wakeup(&self) -> Time {
        let again = self.sources.values().filter_map(|source| match source {
            Source::Refused { again } => Some(*again),
            _ => None,
        });
        again.chain([self.deadline]).min().unwrap_or(self.deadline)
    }
}

fn ask<P: Clone + From<Message>>(
    now: Time,
    chord: &mut Chord<P>,
    node: NodeHandle,
    range: Range,
    after: u64,
    to_successor: bool,
) -> u64 {
    chord.request_to(now, node, Message::Fetch { range, after, to_successor }.into())
}
