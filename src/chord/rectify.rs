//! Rectify: a node learns of a new predecessor and makes sure that the old one is gone.
//!
//! candidate -> n: Notify
//! n -> the predecessor so far, if it is nearer: Ping
//! it -> n: Pong
//! n -> whichever of the two is further away: NewPredecessor

use std::time::Duration;

use super::message::{Message, Number};
use super::mutant::Mutant;
use super::stabilize::{RESEND, SILENCE};
use super::{Chord, Range, STABILIZE_EVERY, Upcall, Update, Why};
use crate::id::NodeHandle;
use crate::time::Time;

/// A predecessor asks every [`STABILIZE_EVERY`]; one that has not for so long is pinged.
const PREDECESSOR_SILENCE: Duration = STABILIZE_EVERY.saturating_mul(2);

/// A ping under way to the predecessor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe {
    pub(super) to: NodeHandle,
    pub(super) number: Number,
    pub(super) silent_since: Time,
    resend: Time,
}

impl Probe {
    pub(super) fn new(to: NodeHandle, number: Number, now: Time) -> Probe {
        Probe { to, number, silent_since: now, resend: now + RESEND }
    }

    /// Whether it has been silent for so long that it is taken for dead.
    pub(super) fn is_silent(&self, now: Time) -> bool {
        self.silent_since + SILENCE <= now
    }

    /// Who is to be pinged once more, if that is due.
    pub(super) fn resend_when_due(&mut self, now: Time) -> Option<(NodeHandle, Number)> {
        if now < self.resend {
            return None;
        }
        self.resend = now + RESEND;
        Some((self.to, self.number))
    }

    pub(super) fn next_wakeup(&self) -> Time {
        self.resend.min(self.silent_since + SILENCE)
    }
}

impl<P: Clone> Chord<P> {
    /// Takes `candidate` for the predecessor if it is nearer than the one so far, or that one is dead.
    ///
    /// "between(prdc, c, n) → prdc := c; else old prdc answers a ping → unchanged; else → prdc := c"
    /// (Zave 2017, rectify).
    pub(super) fn on_notify(&mut self, candidate: NodeHandle) {
        if !self.is_in_ring() || self.is_closing_gap() || candidate == self.me {
            return;
        }
        match self.predecessor {
            Some(predecessor) if predecessor == candidate => {}
            Some(predecessor) if !candidate.id().between(predecessor.id(), self.me.id()) => {
                self.consider(candidate, predecessor);
            }
            before => {
                if let Some(before) = before {
                    // Departs from the paper: there, the one before learns of it when it stabilizes next.
                    self.send(before, Message::NewPredecessor);
                }
                self.set_predecessor(candidate, Why::NewPredecessor);
                if self.successors.is_empty() {
                    // Its own successor so far: whoever comes is between.
                    self.stabilize();
                }
            }
        }
    }

    pub(super) fn on_new_predecessor(&mut self, from: NodeHandle) {
        if self.successors.first() == Some(&from) {
            self.stabilize();
        }
    }

    /// Hears of `candidate` otherwise than by its notify; returns whether it is the predecessor now.
    pub fn notified(&mut self, now: Time, candidate: NodeHandle) -> bool {
        self.set_time(now);
        self.on_notify(candidate);
        self.predecessor == Some(candidate)
    }

    fn consider(&mut self, candidate: NodeHandle, predecessor: NodeHandle) {
        if self.is(Mutant::DoesNotPing) {
            return;
        }
        // A candidate that waits is replaced only by a better one.
        match self.candidate {
            Some(waiting)
                if !candidate.id().between(waiting.id(), self.me.id())
                    && !self.is(Mutant::ForgetsBetterCandidate) => {}
            _ => self.candidate = Some(candidate),
        }
        self.ping(predecessor);
    }

    pub(super) fn ping(&mut self, predecessor: NodeHandle) {
        if self.probe.is_some() {
            return;
        }
        let number = self.new_number();
        self.probe = Some(Probe::new(predecessor, number, self.now));
        self.send(predecessor, Message::Ping { question: number });
    }

    /// Pings a predecessor from which nothing has been heard for a while.
    ///
    /// Departs from the paper: there, a dead predecessor is noticed when the next one notifies.
    /// Asking at the same time halves the time until the root's range has a root again.
    pub(super) fn watch_predecessor(&mut self) {
        if let Some(predecessor) = self.predecessor
            && self.predecessor_heard + PREDECESSOR_SILENCE <= self.now
        {
            self.ping(predecessor);
        }
    }

    pub(super) fn retry_probe(&mut self) {
        let Some(probe) = &mut self.probe else { return };
        if probe.is_silent(self.now) {
            let to = probe.to;
            self.lose(to);
        } else if let Some((to, number)) = probe.resend_when_due(self.now) {
            self.send(to, Message::Ping { question: number });
        }
    }

    pub(super) fn on_ping(&mut self, from: NodeHandle, question: Number) {
        let answer = if self.is_in_ring() { Message::Pong { question } } else { Message::NotMember };
        self.send(from, answer);
    }

    pub(super) fn on_pong(&mut self, from: NodeHandle, question: Number) {
        if self.is_cleared(from, question) {
            return;
        }
        if self.probe.as_ref().is_some_and(|probe| probe.number == question && probe.to == from) {
            self.probe = None;
            if let Some(candidate) = self.candidate.take() {
                // It has not heard of the one between.
                self.send(candidate, Message::NewPredecessor);
            }
        }
    }

    pub(super) fn set_predecessor(&mut self, predecessor: NodeHandle, why: Why) {
        self.predecessor = Some(predecessor);
        self.is_not_lost(predecessor);
        self.departed.retain(|(node, _)| *node != predecessor);
        self.predecessor_heard = self.now;
        self.probe = None;
        self.candidate = None;
        self.tell_update(why);
        self.release_held();
    }

    /// Tells the application which keys this node is now the root of, and no longer.
    pub(super) fn tell_update(&mut self, why: Why) {
        let me = self.me;
        let start = match self.predecessor {
            Some(predecessor) => predecessor,
            None if self.has_nobody() && self.doubt.is_none() => me,
            // Who is before the lost predecessor will say so, or it is known when this node is sure of its place.
            None => return,
        };
        let before = self.range_start.replace(start);
        let (lost_to, gained_from) = (self.predecessor, self.predecessor_before);
        let mut tell = |gained, after: NodeHandle, to: NodeHandle, why| {
            let peer = if gained { gained_from } else { lost_to };
            let range = Range { from: after.id(), to: to.id() };
            self.upcall(Upcall::Update(Update { gained, range, after, peer, why }));
        };
        match before {
            None => tell(true, start, me, why),
            Some(before) if before == start => {}
            Some(before) if start.id().between(before.id(), me.id()) => {
                tell(false, before, start, Why::NewPredecessor);
            }
            // A notify made the range larger: the one before it has gone.
            Some(before) if why == Why::NewPredecessor => tell(true, start, before, Why::PredecessorLost),
            Some(before) => tell(true, start, before, why),
        }
    }
}
