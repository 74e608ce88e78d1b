//! Asleep: a node that was stopped or suspended finds out what has become of its place.
//!
//! n -> successor, when n goes on: GetNeighbors
//! successor -> n: Neighbors { predecessor }
//!
//! The silence was n's own: nobody is dead for it, and that a connection broke meanwhile says nothing yet.
//! But n may have been taken for dead, and the successor for the root of its range.
//! Until the successor has answered, n does not say that it is the root of anything; if another node is
//! the predecessor there, n takes its range over again, as if it had just joined.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Chord, Range, Upcall, Update, Why};
use crate::id::NodeHandle;
use crate::time::Time;

/// A member that was not run for so long was stopped or asleep: it wakes up more often, every
/// [`STABILIZE_EVERY`](super::STABILIZE_EVERY), and who is silent for so long may be taken for dead.
const ASLEEP: Duration = Duration::from_millis(1500);

/// How long a node waits for an answer of a neighbour until it goes by what it knows.
const DOUBT_MAX: Duration = Duration::from_secs(5);

/// A node that has woken up does not know yet whether it has been replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt {
    until: Time,
    /// The neighbours whose connection has broken since: each is tried once more.
    tried_again: BTreeSet<NodeHandle>,
}

impl Doubt {
    pub(super) fn next_wakeup(&self) -> Time {
        self.until
    }
}

impl<P: Clone> Chord<P> {
    /// Whether this node was stopped or asleep, and goes on `now`, with others in its ring as far as it knows.
    pub fn goes_on(&self, now: Time) -> bool {
        self.has_slept(now) && self.is_member() && !self.has_nobody()
    }

    fn has_slept(&self, now: Time) -> bool {
        ASLEEP < now.since(self.now)
    }

    pub(super) fn set_time(&mut self, now: Time) {
        let slept = self.has_slept(now);
        self.now = self.now.max(now);
        if slept {
            self.wake_up();
        }
    }

    fn wake_up(&mut self) {
        // Who is asked now has not been silent: nobody listened.
        self.predecessor_heard = self.now;
        for probe in self.probe.iter_mut().chain(&mut self.suspects) {
            probe.silent_since = self.now;
        }
        if self.is_member() && !self.has_nobody() {
            self.doubt = Some(Doubt { until: self.now + DOUBT_MAX, tried_again: BTreeSet::new() });
        } else {
            // It may have been found meanwhile, and not know.
            self.search_now();
        }
        // An answer from before is out of date.
        self.question = None;
        self.stabilize();
    }

    /// Whether `peer`, which cannot be reached, is a neighbour whose connection broke during the sleep, as
    /// far as is known: then it is tried again.
    pub(super) fn tries_again(&mut self, peer: NodeHandle) -> bool {
        let is_neighbour = self.knows_as_neighbour(peer);
        let Some(doubt) = self.doubt.as_mut().filter(|_| is_neighbour) else { return false };
        if !doubt.tried_again.insert(peer) {
            return false;
        }
        self.question.take_if(|question| question.to == peer);
        self.probe.take_if(|probe| probe.to == peer);
        self.stabilize();
        if self.predecessor == Some(peer) {
            self.ping(peer);
        }
        true
    }

    /// The successor has answered, and has this `predecessor`.
    pub(super) fn end_doubt(&mut self, predecessor: Option<NodeHandle>) {
        if self.doubt.take().is_none() {
            return;
        }
        if let Some(nearer) = predecessor.filter(|&nearer| nearer != self.me)
            && self.predecessor.is_some_and(|before| nearer.id().between(before.id(), self.me.id()))
        {
            // It came while this node was asleep, and has not heard of it.
            self.on_notify(nearer);
        }
        if predecessor != Some(self.me) {
            self.take_over_again();
        }
        self.release_held();
    }

    /// Another node may have been the root of this node's range.
    fn take_over_again(&mut self) {
        let Some(after) = self.range_start else { return };
        let range = Range { from: after.id(), to: self.me.id() };
        let peer = self.successors.first().copied();
        self.upcall(Upcall::Update(Update { gained: true, range, after, peer, why: Why::Joined }));
    }

    /// Nobody has answered: this node goes by what it knows.
    pub(super) fn end_doubt_when_due(&mut self) {
        if self.doubt.take_if(|doubt| doubt.until <= self.now).is_some() {
            self.take_over_again();
            self.tell_update(Why::PredecessorLost);
            self.release_held();
        }
    }
}
