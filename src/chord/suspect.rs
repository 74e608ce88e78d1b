//! Suspicion: a successor that is late may be dead, and some of those after it, too.
//!
//! n -> each of the next successors: Ping
//! it -> n: Pong
//! n -> whoever has answered: Notify
//!
//! Whoever is notified makes sure that its own predecessor lives (see `rectify`), while n still waits for
//! its successor: so all who are dead are found dead at the same time, from both sides.

use std::time::Duration;

use super::Chord;
use super::message::{Message, Number};
use super::rectify::Probe;
use crate::id::NodeHandle;

/// How many of the successors after the one that is late are asked.
const SUSPECTS_MAX: usize = 4;

/// A successor that was heard not longer ago is not asked when something is handed on to it.
const HEARD_LATELY: Duration = Duration::from_millis(100);

impl<P: Clone> Chord<P> {
    /// Something goes by way of `peer`: if that is the successor, this is the moment to ask whether it
    /// is there, because somebody waits for the answer.
    ///
    /// Departs from the paper: there, a silent successor is found with the next round.
    pub(super) fn relies_on(&mut self, peer: NodeHandle) {
        if self.successors.first() == Some(&peer)
            && self.successor_heard + HEARD_LATELY <= self.now
            && self.question.is_none()
        {
            self.next_stabilize = self.now + super::STABILIZE_EVERY;
            self.stabilize();
        }
    }

    /// The successor is late: asks those after it.
    pub(super) fn suspect(&mut self) {
        let next: Vec<NodeHandle> = self.successors.iter().copied().skip(1).take(SUSPECTS_MAX).collect();
        for node in next {
            if self.suspects.iter().all(|suspect| suspect.to != node) {
                let number = self.new_number();
                self.suspects.push(Probe::new(node, number, self.now));
                self.send(node, Message::Ping { question: number });
            }
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
        if cleared && self.is_member() {
            self.send(from, Message::Notify);
        }
        cleared
    }
}
