//! Suspicion: a successor that is late may be dead, and some of those after it, too.
//!
//! n -> each of the next successors: Ping
//! it -> n: Pong
//! n -> whoever has answered: Notify
//!
//! Whoever is notified makes sure that its own predecessor lives (see `rectify`), while n still waits for
//! its successor: so all who are dead are found dead at the same time, from both sides.

use std::collections::btree_map::Entry;
use std::time::Duration;

use super::Chord;
use super::message::{Message, Number};
use super::rectify::Probe;
use super::stabilize::Question;
use crate::id::NodeHandle;
use crate::time::Time;

/// How many of the successors after the one that is late are asked.
const SUSPECTS_MAX: usize = 4;

/// How many nodes are being asked at a time, all in all.
const ASKED_MAX: usize = 32;

/// How often another node is asked while something is handed on to it.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A successor that was heard not longer ago is not asked when something is handed on to it.
const HEARD_LATELY: Duration = Duration::from_millis(100);

impl<P: Clone> Chord<P> {
    /// Something goes by way of `peer`: this is the moment to ask whether it is there, because somebody waits
    /// for the answer.
    ///
    /// Departs from the paper: there, a silent successor is found with the next round, and a silent finger when
    /// it is looked up again.
    pub(super) fn relies_on(&mut self, peer: NodeHandle) {
        if self.successors.first() != Some(&peer) {
            return self.check_now_and_then(peer);
        }
        if self.successor_heard + HEARD_LATELY <= self.now && self.question.is_none() {
            self.next_stabilize = self.now + super::STABILIZE_EVERY;
            self.stabilize();
        }
    }

    /// Everyone who looks for a key near a finger comes through it: one that has fallen silent would swallow all
    /// that, whichever way it is sent again.
    fn check_now_and_then(&mut self, peer: NodeHandle) {
        let now = self.now;
        self.relied_on.retain(|_, checked| now < *checked + CHECK_EVERY);
        if let Entry::Vacant(vacant) = self.relied_on.entry(peer) {
            vacant.insert(now);
            self.make_sure_of(peer);
        }
    }

    /// The successor is late: asks those after it.
    pub(super) fn suspect(&mut self) {
        let next: Vec<NodeHandle> = self.successors.iter().copied().skip(1).take(SUSPECTS_MAX).collect();
        for node in next {
            self.make_sure_of(node);
        }
    }

    /// Makes sure that `node` is there: if it stays silent, what was requested of it fails long before
    /// its deadline.
    pub fn check(&mut self, now: Time, node: NodeHandle) {
        self.set_time(now);
        self.make_sure_of(node);
    }

    pub(super) fn make_sure_of(&mut self, node: NodeHandle) {
        let is_asked = self.suspects.iter().any(|suspect| suspect.to == node);
        if node != self.me && !is_asked && self.suspects.len() < ASKED_MAX {
            let number = self.new_number();
            self.suspects.push(Probe::new(node, number, self.now));
            self.send(node, Message::Ping { question: number });
        }
    }

    pub(super) fn retry_suspects(&mut self) {
        let now = self.now;
        let silent = |suspect: &&Probe| suspect.is_silent(now);
        while let Some(dead) = self.suspects.iter().find(silent).map(|suspect| suspect.to) {
            self.lose(dead);
        }
        let late: Vec<(NodeHandle, Number)> =
            self.suspects.iter_mut().filter_map(|suspect| suspect.resend_when_due(now)).collect();
        for (to, number) in late {
            self.send(to, Message::Ping { question: number });
        }
    }

    /// Whether `from` has answered as a suspect.
    pub(super) fn is_cleared(&mut self, from: NodeHandle, number: Number) -> bool {
        let before = self.suspects.len();
        self.suspects.retain(|suspect| suspect.to != from || suspect.number != number);
        let cleared = self.suspects.len() < before;
        if cleared && self.is_member() && self.question.as_ref().is_some_and(Question::suspects_successor) {
            self.send(from, Message::Notify);
        }
        cleared
    }
}
