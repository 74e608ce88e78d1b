//! Leave: a node goes in good order, and its neighbours close the gap.
//!
//! n -> successor, if n has lost somebody: Remember { lost }     see `unite`
//! n -> successor: Leaving { predecessor, successors }
//! successor -> n: LeavingHeard { accepted }
//! n -> predecessor: Gone { successors }
//! predecessor -> n: GoneHeard
//! each node in turn -> the node before it, before Neighbors: HaveLeft { n }
//!
//! The application has handed over its records before; from the first message on, what is
//! routed to the leaver waits, and is passed on to the successor once that has accepted.
//! The leaver stays in the ring until both have answered: so nobody's only successor goes.
//! And nobody who finds it in no list any more takes it for lost (see `unite`).

use std::time::Duration;

use super::message::{Message, Number};
use super::stabilize::{RESEND, SILENCE};
use super::{Chord, Membership, Upcall, Why};
use crate::id::NodeHandle;
use crate::time::Time;

/// How long it is told who has left: by then it has come to everyone who had them in a list.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Of how many that is told.
const DEPARTED_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaving {
    step: Step,
    question: Number,
    since: Time,
    resend: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The successor is asked to take over.
    TakeOver { successor: NodeHandle },
    /// It has; the predecessor is told.
    CloseGap { successor: NodeHandle, predecessor: NodeHandle },
}

impl Leaving {
    pub(super) fn waits_for(&self) -> NodeHandle {
        match self.step {
            Step::TakeOver { successor } => successor,
            Step::CloseGap { predecessor, .. } => predecessor,
        }
    }

    /// Who is the root of what the leaver was, once it is.
    pub(super) fn taken_over_by(&self) -> Option<NodeHandle> {
        match self.step {
            Step::TakeOver { .. } => None,
            Step::CloseGap { successor, .. } => Some(successor),
        }
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
        let successor = self.successors.first().copied();
        match (successor, self.predecessor) {
            (Some(successor), Some(_)) if !self.has_newcomers() => {
                self.say_leaving(Step::TakeOver { successor });
            }
            (None, None) if !self.has_newcomers() => self.left(None),
            // Someone has just come, and is to find its place in the ring first; or the node before this one has
            // gone, and until the next one shows, nobody knows what else this one is the root of, and hands over.
            _ => {
                self.stabilize();
                self.upcall(Upcall::LeaveFailed);
            }
        }
    }

    fn say_leaving(&mut self, step: Step) {
        let question = self.new_number();
        let leaving = Leaving { step, question, since: self.now, resend: self.now + RESEND };
        self.say_again(&leaving);
        self.membership = Membership::Leaving(leaving);
    }

    fn say_again(&mut self, leaving: &Leaving) {
        let (question, successors) = (leaving.question, self.own_list());
        let message = match leaving.step {
            Step::TakeOver { successor } => {
                self.hand_on_remembered(successor);
                Message::Leaving { question, predecessor: self.predecessor, successors }
            }
            Step::CloseGap { .. } => Message::Gone { question, successors },
        };
        self.send(leaving.waits_for(), message);
    }

    pub(super) fn retry_leave(&mut self) {
        let Membership::Leaving(leaving) = &mut self.membership else { return };
        if leaving.since + SILENCE <= self.now {
            let silent = leaving.waits_for();
            self.lose(silent);
        } else if leaving.resend <= self.now {
            leaving.resend = self.now + RESEND;
            let leaving = leaving.clone();
            self.say_again(&leaving);
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
            if self.knows_as_neighbour(from) {
                self.upcall(Upcall::NeighbourLeft(from));
            }
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
            self.is_not_lost(from);
            self.note_departed(from);
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
            Membership::Leaving(leaving)
                if leaving.taken_over_by().is_none() && self.me.id() < leaver.id() =>
            {
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

    pub(super) fn on_gone(&mut self, from: NodeHandle, question: Number, successors: &[NodeHandle]) {
        if self.successors.contains(&from) {
            self.upcall(Upcall::NeighbourLeft(from));
            self.drop_successor(from, successors);
        }
        // It has handed over to its own successor, which need not be this node.
        self.forget(from, Why::PredecessorLost);
        self.is_not_lost(from);
        self.note_departed(from);
        self.leave_failed_to(from);
        self.stabilize();
        self.send(from, Message::GoneHeard { question });
    }

    /// It is told for a while that `leaver` has left in good order.
    fn note_departed(&mut self, leaver: NodeHandle) {
        let now = self.now;
        self.departed.retain(|&(node, until)| node != leaver && now < until);
        if self.departed.len() == DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((leaver, now + TOLD_FOR));
    }

    /// Those of whom this node knows that they have left in good order of late.
    pub fn departed(&self) -> impl Iterator<Item = NodeHandle> + '_ {
        self.departed.iter().filter(|(_, until)| self.now < *until).map(|(node, _)| *node)
    }

    pub(super) fn has_departed(&self, node: NodeHandle) -> bool {
        self.departed().any(|departed| departed == node)
    }

    /// What is known of these otherwise stays as it is: one of them may have come back, and been lost.
    pub(super) fn on_have_left(&mut self, nodes: &[NodeHandle]) {
        for &node in nodes.iter().take(DEPARTED_MAX) {
            // The neighbours hear it from the leaver itself: this one is back.
            let is_neighbour = self.predecessor == Some(node) || self.successors.first() == Some(&node);
            if node != self.me && !is_neighbour && !self.has_departed(node) {
                self.note_departed(node);
            }
        }
    }

    /// Whether this node leaves, and its successor has taken its place already.
    pub(crate) fn is_closing_gap(&self) -> bool {
        matches!(&self.membership, Membership::Leaving(leaving) if leaving.taken_over_by().is_some())
    }

    pub(super) fn on_gone_heard(&mut self, from: NodeHandle, question: Number) {
        if let Membership::Leaving(leaving) = &self.membership
            && leaving.question == question
            && leaving.waits_for() == from
            && let Some(successor) = leaving.taken_over_by()
        {
            self.left(Some(successor));
        }
    }

    /// The successor leaves: its list is an answer to a question of this node, then it drops; unless this
    /// node knows one that is nearer, whom the list of the leaver skips.
    fn drop_successor(&mut self, leaver: NodeHandle, successors: &[NodeHandle]) {
        if self.successors.first() != Some(&leaver) {
            return;
        }
        let distance = |node: &NodeHandle| self.me.id().distance_to(node.id());
        let told = successors.iter().find(|&&node| node != leaver && node != self.me).map(distance);
        let known = self.successors.get(1).map(distance);
        if known.is_none() || told.is_some_and(|told| Some(told) < known) {
            self.adopt(leaver, leaver, successors);
        }
    }

    pub(super) fn on_leaving_heard(&mut self, from: NodeHandle, question: Number, accepted: bool) {
        match &self.membership {
            Membership::Leaving(leaving) if leaving.question == question && leaving.waits_for() == from => {}
            _ => return,
        }
        if !accepted {
            return self.stay();
        }
        match self.predecessor {
            Some(predecessor) if predecessor != from => {
                self.say_leaving(Step::CloseGap { successor: from, predecessor });
                self.release_held();
            }
            _ => self.left(Some(from)),
        }
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

    /// A neighbour that is gone itself need not hear of it.
    pub(super) fn leave_failed_to(&mut self, peer: NodeHandle) {
        let Membership::Leaving(leaving) = &self.membership else { return };
        if leaving.waits_for() != peer {
            return;
        }
        match leaving.taken_over_by() {
            Some(successor) => self.left(Some(successor)),
            None => self.stay(),
        }
    }
}
