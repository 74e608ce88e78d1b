//! Leave: a node goes in good order, and its neighbours close the gap.
//!
//! n -> successor: Leaving { predecessor, successors }
//! successor -> n: LeavingHeard { accepted }
//! n -> predecessor: Gone { successors }
//!
//! The application has handed over its records before; from the first message on, what is
//! routed to the leaver waits, and is passed on to the successor once that has accepted.

use super::message::{Message, Number};
use super::stabilize::{RESEND, SILENCE};
use super::{Chord, Membership, Upcall, Why};
use crate::id::NodeHandle;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaving {
    to: NodeHandle,
    question: Number,
    since: Time,
    resend: Time,
}

impl Leaving {
    pub(super) fn to(&self) -> NodeHandle {
        self.to
    }

    pub(super) fn next_wakeup(&self) -> Time {
        self.resend.min(self.since + SILENCE)
    }
}

impl<P: Clone> Chord<P> {
    /// Leaves the ring: [`Upcall::Left`] or [`Upcall::LeaveFailed`] follows.
    pub fn leave(&mut self, now: Time) {
        self.set_time(now);
        if !self.is_member() {
            return;
        }
        let Some(&successor) = self.successors.first() else {
            if self.predecessor.is_none() {
                self.left(None);
            } else {
                // Someone has just come: it becomes the successor first.
                self.stabilize();
                self.upcall(Upcall::LeaveFailed);
            }
            return;
        };
        let question = self.new_number();
        self.membership = Membership::Leaving(Leaving {
            to: successor,
            question,
            since: self.now,
            resend: self.now + RESEND,
        });
        self.say_leaving(successor, question);
    }

    fn say_leaving(&mut self, to: NodeHandle, question: Number) {
        let (predecessor, successors) = (self.predecessor, self.own_list());
        self.send(to, Message::Leaving { question, predecessor, successors });
    }

    pub(super) fn retry_leave(&mut self) {
        let Membership::Leaving(leaving) = &mut self.membership else { return };
        let (to, question) = (leaving.to, leaving.question);
        if leaving.since + SILENCE <= self.now {
            self.lose(to);
        } else if leaving.resend <= self.now {
            leaving.resend = self.now + RESEND;
            self.say_leaving(to, question);
        }
    }

    pub(super) fn on_leaving(
        &mut self,
        from: NodeHandle,
        question: Number,
        predecessor: Option<NodeHandle>,
        successors: &[NodeHandle],
    ) {
        let accepted = self.takes_over_from(from);
        if accepted {
            self.membership = Membership::Member;
            self.upcall(Upcall::NeighbourLeft(from));
            self.acquaintances.retain(|&node| node != from);
            self.drop_successor(from, successors);
            if self.successors == [from] {
                // Nobody else is left: what follows is told as to a node that is alone.
                self.set_successors(Vec::new());
            }
            if self.predecessor == Some(from) {
                self.replace_predecessor(predecessor);
            }
            self.forget(from, Why::PredecessorLeft);
            self.release_held();
        }
        self.send(from, Message::LeavingHeard { question, accepted });
    }

    /// The predecessor leaves: the one before it takes its place, or who has notified and is nearer.
    fn replace_predecessor(&mut self, before: Option<NodeHandle>) {
        let candidates = [before, self.candidate.take()].into_iter().flatten();
        let nearest = candidates
            .filter(|&node| node != self.me && Some(node) != self.predecessor)
            .min_by_key(|node| node.id().distance_to(self.me.id()));
        self.probe = None;
        self.predecessor_before = self.predecessor.take();
        match nearest {
            Some(nearest) => self.set_predecessor(nearest, Why::PredecessorLeft),
            None => self.tell_update(Why::PredecessorLeft),
        }
    }

    /// Whether this node is the root after `leaver`, as far as it knows, and stays.
    fn takes_over_from(&mut self, leaver: NodeHandle) -> bool {
        let stays = match &self.membership {
            Membership::Member => true,
            // Two neighbours leave at once, each waiting for the other: in every circle of leavers one
            // has a smaller id than the one before it. That one stays until the other has gone.
            Membership::Leaving(_) if self.me.id() < leaver.id() => {
                self.upcall(Upcall::LeaveFailed);
                true
            }
            _ => false,
        };
        stays
            && self.predecessor.is_none_or(|predecessor| {
                predecessor == leaver || !predecessor.id().between(leaver.id(), self.me.id())
            })
    }

    pub(super) fn on_gone(&mut self, from: NodeHandle, successors: &[NodeHandle]) {
        if self.successors.contains(&from) {
            self.upcall(Upcall::NeighbourLeft(from));
            self.drop_successor(from, successors);
        }
        // It has handed over to its own successor, which need not be this node.
        self.forget(from, Why::PredecessorLost);
        self.stabilize();
    }

    /// The only successor known leaves: its list is an answer to a question of this node, then it drops.
    ///
    /// Whoever knows others goes on with those: the list of the leaver may skip a node that has come.
    fn drop_successor(&mut self, leaver: NodeHandle, successors: &[NodeHandle]) {
        if self.successors == [leaver] {
            self.adopt(leaver, leaver, successors);
        }
    }

    pub(super) fn on_leaving_heard(&mut self, from: NodeHandle, question: Number, accepted: bool) {
        match &self.membership {
            Membership::Leaving(leaving) if leaving.question == question && leaving.to == from => {}
            _ => return,
        }
        if !accepted {
            self.stay();
            return;
        }
        if let Some(predecessor) = self.predecessor.filter(|&predecessor| predecessor != from) {
            let successors = self.own_list();
            self.send(predecessor, Message::Gone { successors });
        }
        self.left(Some(from));
    }

    fn left(&mut self, to: Option<NodeHandle>) {
        self.membership = Membership::Left { to };
        self.release_held();
        self.upcall(Upcall::Left { to });
    }

    fn stay(&mut self) {
        self.membership = Membership::Member;
        self.stabilize();
        self.release_held();
        self.upcall(Upcall::LeaveFailed);
    }

    pub(super) fn leave_failed_to(&mut self, peer: NodeHandle) {
        if matches!(&self.membership, Membership::Leaving(leaving) if leaving.to == peer) {
            self.stay();
        }
    }
}
