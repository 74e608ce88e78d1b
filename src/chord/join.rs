//! Join: a node finds its place and copies the successor list of the node before it.
//!
//! j -> bootstrap -> … -> m: Route { key: j, FindPlace }
//! m -> j: Place { successors }
//! m -> j, if m has lost somebody: Remember { lost }     see `unite`

use std::time::Duration;

use super::message::{Body, Message, Number, Route};
use super::mutant::Mutant;
use super::{Chord, Membership, STABILIZE_EVERY, Upcall, Why};
use crate::id::NodeHandle;
use crate::time::Time;

/// How long a joiner waits for an answer before it asks again.
const JOIN_RETRY: Duration = Duration::from_millis(500);

/// How long a joiner tries.
const JOIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long a node that leaves waits for a joiner to which it gave a place.
const NEWCOMER_SETTLES: Duration = Duration::from_secs(2);

/// For how many joiners it waits: the last ones.
const NEWCOMERS_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Joining {
    via: NodeHandle,
    id: Number,
    retry: Time,
    deadline: Time,
}

/// A joiner that was given its place here, and for what request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Newcomer {
    pub(super) node: NodeHandle,
    id: Number,
    /// Until when a node that leaves waits for it.
    settles: Time,
}

impl Newcomer {
    fn is(&self, node: NodeHandle, id: Number) -> bool {
        self.node == node && self.id == id
    }
}

impl Joining {
    pub(super) fn via(&self) -> NodeHandle {
        self.via
    }

    pub(super) fn next_wakeup(&self) -> Time {
        self.retry.min(self.deadline)
    }
}

impl<P: Clone> Chord<P> {
    /// Joins the ring of `via`: [`Upcall::Joined`] or [`Upcall::JoinFailed`] follows.
    pub fn join(&mut self, now: Time, via: NodeHandle) {
        self.set_time(now);
        assert_eq!(self.membership, Membership::Outside, "a node joins while it belongs to no ring");
        let joining =
            Joining { via, id: self.new_number(), retry: now + JOIN_RETRY, deadline: now + JOIN_DEADLINE };
        self.find_place(&joining);
        self.membership = Membership::Joining(joining);
    }

    pub(super) fn retry_join(&mut self) {
        let Membership::Joining(joining) = &self.membership else { return };
        let mut joining = joining.clone();
        if joining.deadline <= self.now {
            self.fail_join(joining.via);
        } else if joining.retry <= self.now {
            joining.retry = self.now + JOIN_RETRY;
            self.find_place(&joining);
            self.membership = Membership::Joining(joining);
        }
    }

    pub(super) fn fail_join(&mut self, via: NodeHandle) {
        self.membership = Membership::Outside;
        self.upcall(Upcall::JoinFailed { via });
    }

    fn find_place(&mut self, joining: &Joining) {
        let route = Route {
            key: self.me.id(),
            origin: self.me,
            id: joining.id,
            hops: 0,
            last: false,
            body: Body::FindPlace,
        };
        self.send(joining.via, Message::Route(route));
    }

    /// Whether a joiner with the key of `route` comes between this node and its successor.
    pub(super) fn is_before(&self, route: &Route<P>) -> bool {
        match self.successors.first() {
            Some(successor) => route.key.in_arc(self.me.id(), successor.id()),
            // It may only have lost sight of the others.
            None => self.has_nobody(),
        }
    }

    /// "Find member m with between(m, j, m.succ[0]); succ(j) := succ(m), copied whole" (Zave 2017, join).
    ///
    /// In a small ring, where the list of `m` holds everyone else, `m` itself is the joiner's last
    /// successor: so the joiner knows everyone, too.
    pub(super) fn give_place(&mut self, route: &Route<P>) {
        let joiner = route.origin;
        let is_repeated = self.newcomers.iter().any(|newcomer| newcomer.is(joiner, route.id));
        if self.knows_as_neighbour(joiner) && !is_repeated {
            // Its former self: a node that joins has lost what it knew.
            self.lose(joiner);
        }
        self.expect_newcomer(joiner, route.id);
        self.send(joiner, Message::Place { id: route.id, successors: self.own_list() });
        self.hand_on_remembered(joiner);
    }

    fn expect_newcomer(&mut self, node: NodeHandle, id: Number) {
        self.newcomers.retain(|newcomer| newcomer.node != node);
        self.newcomers.truncate(NEWCOMERS_MAX - 1);
        self.newcomers.insert(0, Newcomer { node, id, settles: self.now + NEWCOMER_SETTLES });
    }

    /// Whether a joiner may depend on this node alone: it has a place from here, and nobody else has
    /// told of it yet.
    pub(super) fn has_newcomers(&self) -> bool {
        self.newcomers
            .iter()
            .any(|newcomer| self.now < newcomer.settles && !self.knows_as_neighbour(newcomer.node))
    }

    pub(super) fn on_place(&mut self, from: NodeHandle, id: Number, successors: &[NodeHandle]) {
        let via = match &self.membership {
            Membership::Joining(joining) if joining.id == id => joining.via,
            // Asked twice, answered twice; or asked by a member.
            _ => return self.on_place_there(id, successors),
        };
        let Some((&successor, rest)) = successors.split_first() else { return };
        if successor == self.me || from == self.me {
            return;
        }
        self.membership = Membership::Member;
        self.settle_in(via);
        self.acquaint(from, None, successors);
        self.adopt(from, successor, if self.is(Mutant::JoinsWithSuccessorOnly) { &[] } else { rest });
        self.predecessor = Some(from);
        self.predecessor_heard = self.now;
        self.upcall(Upcall::Joined);
        self.tell_update(Why::Joined);
        self.next_stabilize = self.now + STABILIZE_EVERY;
        self.stabilize();
        self.fix_all_fingers();
        // The node before is to learn of this node first.
        self.list_has_news = false;
        self.release_held();
    }
}
