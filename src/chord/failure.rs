//! What a node does when a peer does not answer: the network's failures as inputs.

use super::message::Message;
use super::{Chord, Membership, Upcall, Why};
use crate::id::NodeHandle;

impl<P: Clone> Chord<P> {
    /// Any message is a sign of life.
    pub(super) fn heard(&mut self, from: NodeHandle) {
        if self.predecessor == Some(from) {
            self.predecessor_heard = self.now;
        }
        if let Some(question) = self.question.as_mut().filter(|question| question.to == from) {
            question.silent_since = self.now;
        }
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.to == from) {
            probe.silent_since = self.now;
        }
        if let Some(suspect) = self.suspects.iter_mut().find(|suspect| suspect.to == from) {
            suspect.silent_since = self.now;
        }
        if self.successors.first() == Some(&from) {
            self.successor_heard = self.now;
        }
    }

    pub(super) fn on_unreachable(&mut self, peer: NodeHandle, undelivered: Vec<Message<P>>) {
        if !self.tries_again(peer) {
            self.lose(peer);
        }
        self.search_failed_at(peer);
        for message in undelivered {
            match message {
                // "A node that fails to forward tries the next best": it routes around.
                Message::Route(route) if route.origin != self.me => self.forward_again(route),
                Message::Tell(payload) => self.upcall(Upcall::Undelivered { to: peer, payload }),
                // Own requests and questions have been seen to by `lose`; answers find nobody.
                _ => {}
            }
        }
    }

    /// The peer answers, but is not in the ring: to the ring, it is dead.
    pub(super) fn on_not_member(&mut self, from: NodeHandle) {
        self.do_without(from);
    }

    pub(super) fn knows_as_neighbour(&self, peer: NodeHandle) -> bool {
        self.predecessor == Some(peer) || self.successors.contains(&peer)
    }

    /// Does without `peer` from now on, but asks after it.
    pub(super) fn lose(&mut self, peer: NodeHandle) {
        let was_known = self.knows(peer);
        self.do_without(peer);
        if was_known && self.is_member() {
            self.ask_after(peer);
        }
    }

    fn knows(&self, peer: NodeHandle) -> bool {
        self.knows_as_neighbour(peer)
            || self.acquaintances.contains(&peer)
            || self.fingers.iter().any(|(_, node)| node == peer)
    }

    /// Does without `peer` from now on.
    fn do_without(&mut self, peer: NodeHandle) {
        if self.is_member() && (self.predecessor == Some(peer) || self.successors.first() == Some(&peer)) {
            self.upcall(Upcall::Lost(peer));
        }
        self.forget(peer, Why::PredecessorLost);
        self.fail_requests_to(peer);
        self.join_failed_through(peer);
        self.leave_failed_to(peer);
        self.trace_failed_at(peer);
    }

    /// Strikes `peer` from every table, and goes on with the operations that waited for it.
    ///
    /// `why` says how it went, in case its range falls to this node.
    pub(super) fn forget(&mut self, peer: NodeHandle, why: Why) {
        let was_successor = self.successors.first() == Some(&peer);
        let had_nobody = self.has_nobody();
        self.fingers.remove(peer, self.now);
        self.acquaintances.retain(|&node| node != peer);
        self.newcomers.retain(|newcomer| newcomer.node != peer);
        self.suspects.retain(|suspect| suspect.to != peer);
        if self.candidate == Some(peer) {
            self.candidate = None;
        }
        if self.successors.contains(&peer) {
            let successors = self.successors.iter().copied().filter(|&node| node != peer).collect();
            self.set_successors(successors);
            if self.successors.is_empty() && self.predecessor.is_none() {
                // Nobody can say any more that it is before this node: the whole circle is its own.
                self.tell_update(why);
            }
        }
        if self.predecessor == Some(peer) {
            self.predecessor_before = self.predecessor.take();
            self.probe = None;
            match self.candidate.take() {
                Some(candidate) => self.set_predecessor(candidate, why),
                None => self.tell_update(why),
            }
        }
        if let Some(question) = self.question.take_if(|question| question.to == peer) {
            self.question_failed(&question);
        }
        if self.has_nobody() && !had_nobody {
            self.tell_update(why);
        } else if was_successor || self.successors.is_empty() {
            self.stabilize();
        }
    }

    fn join_failed_through(&mut self, peer: NodeHandle) {
        if matches!(&self.membership, Membership::Joining(joining) if joining.via() == peer) {
            self.fail_join(peer);
        }
    }
}
