//! Whom a new root asks, and what each has said.

use std::collections::BTreeMap;

use super::KEEPERS_MAX;
use crate::chord::{Chord, Range};
use crate::id::NodeHandle;
use crate::records::{ACKNOWLEDGED, Message, Why};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::records) struct Takeover {
    pub(super) range: Range,
    pub(super) why: Why,
    /// Who was the root, as far as is known.
    pub(super) peer: Option<NodeHandle>,
    /// Who is the root, unless it is gone.
    pub(super) root: Option<NodeHandle>,
    /// Until when the others are waited for; nothing once that is over.
    pub(super) deadline: Option<Time>,
    pub(super) sources: BTreeMap<NodeHandle, Source>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::records) enum Source {
    Asked {
        number: u64,
        /// What has come from it: up to this revision of its own.
        after: u64,
        to_successor: bool,
    },
    /// It had another predecessor, does not know everything itself yet, or is in the range: it is asked
    /// again then.
    Refused { again: Time, to_successor: bool },
    Done {
        /// Whether it was asked as the successor, and has stopped being the root.
        to_successor: bool,
    },
}

impl Takeover {
    pub(super) fn new(range: Range, why: Why, peer: Option<NodeHandle>, deadline: Time) -> Takeover {
        Takeover { range, why, peer, root: None, deadline: Some(deadline), sources: BTreeMap::new() }
    }

    /// Asks the next successors that have not been asked, until enough have been.
    ///
    /// A node that joins asks the first as its successor, whoever that is by now.
    pub(super) fn ask_enough<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        let waits_for = self.root.and_then(|root| self.sources.get(&root));
        if matches!(waits_for, Some(Source::Asked { .. } | Source::Refused { .. })) {
            // As long as it may live, it may write what no copy has told of yet.
            return;
        }
        let joins = self.why == Why::NewPredecessor;
        for (i, node) in chord.successors().to_vec().into_iter().enumerate() {
            let to_successor = joins && i == 0;
            let is_asked = match self.sources.get(&node) {
                None => ACKNOWLEDGED <= self.sources.len() && !to_successor,
                Some(
                    Source::Asked { to_successor: before, .. }
                    | Source::Refused { to_successor: before, .. }
                    | Source::Done { to_successor: before },
                ) => *before || !to_successor,
            };
            if !is_asked {
                let number = ask(now, chord, node, self.range, 0, to_successor);
                self.sources.insert(node, Source::Asked { number, after: 0, to_successor });
            }
        }
    }

    /// What lies before `start` is that node's: it will say so, unless it is gone.
    pub(super) fn split_off(&mut self, start: NodeHandle, deadline: Time) -> Option<Takeover> {
        if self.root == Some(start) || !start.id().between(self.range.from, self.range.to) {
            return None;
        }
        self.sources.remove(&start);
        let range = Range { from: std::mem::replace(&mut self.range.from, start.id()), to: start.id() };
        Some(Takeover { root: Some(start), ..Takeover::new(range, Why::Crash, self.peer, deadline) })
    }

    /// Asks those again who did not agree, where it is time; who is the successor may have changed.
    pub(super) fn ask_again<P: Clone + From<Message>>(&mut self, now: Time, chord: &mut Chord<P>) {
        for (node, source) in std::mem::take(&mut self.sources) {
            let source = match source {
                Source::Refused { again, to_successor: true } if again <= now => continue,
                Source::Refused { again, to_successor } if again <= now => {
                    let number = ask(now, chord, node, self.range, 0, to_successor);
                    Source::Asked { number, after: 0, to_successor }
                }
                source => source,
            };
            self.sources.insert(node, source);
        }
        self.ask_enough(now, chord);
    }

    /// Asks those who were the roots of some of it: whoever still is says so.
    pub(super) fn ask_roots<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        roots: impl IntoIterator<Item = NodeHandle>,
    ) {
        for root in roots.into_iter().take(KEEPERS_MAX) {
            if root != chord.me() && Some(root) != self.peer && !self.sources.contains_key(&root) {
                let number = ask(now, chord, root, self.range, 0, false);
                self.sources.insert(root, Source::Asked { number, after: 0, to_successor: false });
            }
        }
    }

    /// Whether all have answered, or have had the time to.
    ///
    /// A node that joins is the root only once its successor has stopped being it.
    /// A mutant `believes_one` of those it asks after a crash.
    pub(super) fn is_finished(&self, successor: Option<&NodeHandle>, believes_one: bool) -> bool {
        let is_done = |source: &Source| matches!(source, Source::Done { .. });
        let is_accepted = self.why != Why::NewPredecessor
            || successor.is_none_or(|it| self.sources.get(it) == Some(&Source::Done { to_successor: true }));
        if believes_one && self.why == Why::Crash && self.sources.values().any(is_done) {
            return true;
        }
        is_accepted && (self.deadline.is_none() || self.sources.values().all(is_done))
    }

    pub(super) fn next_wakeup(&self) -> Option<Time> {
        let again = self.sources.values().filter_map(|source| match source {
            Source::Refused { again, .. } => Some(*again),
            _ => None,
        });
        again.chain(self.deadline).min()
    }
}

pub(super) fn ask<P: Clone + From<Message>>(
    now: Time,
    chord: &mut Chord<P>,
    node: NodeHandle,
    range: Range,
    after: u64,
    to_successor: bool,
) -> u64 {
    // One that is silent must not hold up the others.
    chord.check(now, node);
    chord.request_to(now, node, Message::Fetch { range, after, to_successor }.into())
}
