//! Route: a message finds the root of its key, from hop to hop.
//!
//! origin -> … -> root: Route { key, body }
//! root -> origin: Reply
//!
//! Each hop hands the message on and keeps nothing; a hop that cannot reach the next one routes
//! around it. The choice of the next hop is made in one place, [`Chord::next_hop`].

use std::time::Duration;

use super::message::{Answer, Body, Message, Number, Route};
use super::{Chord, Membership, Request};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// A message is handed on at most so many times: it ends loops.
const HOPS_MAX: u8 = 128;

/// How many messages wait until it is known who their root is.
const HELD_MAX: usize = 1024;

/// How long a message waits; its origin sends it again in the end.
const HELD_FOR: Duration = Duration::from_secs(3);

/// Where a message goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// Nowhere: this node is the root.
    Here,
    /// To the root, as far as this node knows.
    Root(NodeHandle),
    /// To the closest node known before the key.
    Before(NodeHandle),
    /// This node does not know yet whether it is the root.
    Unknown,
}

impl<P: Clone> Chord<P> {
    /// "If id falls between n and its successor, find_successor is finished and node n returns its
    /// successor; otherwise n searches its finger table for the node whose id most immediately
    /// precedes id" (Stoica et al., section IV-D).
    pub(super) fn next_hop(&self, key: Id, avoid: &[NodeHandle]) -> Hop {
        if self.is_root(key) == Some(true) {
            return Hop::Here;
        }
        let usable = |node: &NodeHandle| !avoid.contains(node);
        match self.successors.iter().copied().find(usable) {
            Some(successor) if key.in_arc(self.me.id(), successor.id()) => Hop::Root(successor),
            Some(successor) => Hop::Before(self.closest_preceding_node(key, avoid).unwrap_or(successor)),
            // Its own successor: all that it knows is who has just come.
            None => match self.predecessor.filter(usable) {
                Some(predecessor) => Hop::Root(predecessor),
                None => Hop::Unknown,
            },
        }
    }

    fn closest_preceding_node(&self, key: Id, avoid: &[NodeHandle]) -> Option<NodeHandle> {
        // Fingers alone would do; the successors save hops near the key.
        let fingers = self.fingers.iter().map(|(_, node)| node);
        self.successors
            .iter()
            .copied()
            .chain(fingers)
            .filter(|node| node.id().between(self.me.id(), key) && !avoid.contains(node))
            .min_by_key(|node| node.id().distance_to(key))
    }

    pub(super) fn on_route(&mut self, route: Route<P>) {
        let deadline = self.now + HELD_FOR;
        self.route_on(route, deadline);
    }

    fn route_on(&mut self, mut route: Route<P>, deadline: Time) {
        match self.membership {
            Membership::Member => {}
            Membership::Left { to: Some(to) } => return self.hand_on(route, to, true),
            Membership::Leaving(ref leaving) => {
                return match leaving.taken_over_by() {
                    Some(root) => self.hand_on(route, root, true),
                    None => self.hold(route, deadline),
                };
            }
            Membership::Joining(_) => return self.hold(route, deadline),
            Membership::Outside | Membership::Left { to: None } => return,
        }
        if matches!(route.body, Body::FindPlace | Body::Unite) {
            return self.route_to_place(route);
        }
        if route.last {
            // A lookup's answer is a hint: whoever came between knows better.
            match (self.is_root(route.key), self.predecessor) {
                (Some(false), Some(predecessor)) => return self.hand_on(route, predecessor, true),
                (None, _) => return self.hold(route, deadline),
                _ => {}
            }
        }
        match self.next_hop(route.key, &[]) {
            Hop::Here => self.deliver(route),
            Hop::Root(node) => self.hand_on(route, node, true),
            Hop::Before(node) => self.hand_on(route, node, false),
            Hop::Unknown => {
                route.last = true;
                self.hold(route, deadline);
            }
        }
    }

    fn route_to_place(&mut self, route: Route<P>) {
        if route.origin == self.me {
            return;
        }
        if self.is_before(&route) {
            match route.body {
                Body::Unite => self.on_unite(&route),
                _ => self.give_place(&route),
            }
        } else if let Some(node) = self.closest_preceding_node(route.key, &[route.origin]) {
            self.hand_on(route, node, false);
        }
    }

    fn hand_on(&mut self, mut route: Route<P>, to: NodeHandle, last: bool) {
        if to == self.me || HOPS_MAX <= route.hops {
            // Dropped: the origin sends it again, or tells its user.
            return;
        }
        route.hops += 1;
        route.last = last;
        self.send(to, Message::Route(route));
        self.relies_on(to);
    }

    /// Gives a request for `key` that was delivered here, and not answered, to whoever is the root now.
    pub fn pass_on(&mut self, now: Time, key: Id, request: Request<P>) {
        self.set_time(now);
        let Request { origin, id, payload } = request;
        self.answers.forget(origin, id);
        self.on_route(Route { key, origin, id, hops: 0, last: false, body: Body::Request(payload) });
    }

    /// Forgets a request that was delivered here and will not be answered: a repeat is delivered again.
    pub fn drop_request(&mut self, request: &Request<P>) {
        self.answers.forget(request.origin, request.id);
    }

    /// Routes around a hop that did not take the message.
    pub(super) fn forward_again(&mut self, mut route: Route<P>) {
        route.last = false;
        self.on_route(route);
    }

    fn deliver(&mut self, route: Route<P>) {
        match route.body {
            Body::FindRoot => self.send_reply(route.origin, route.id, route.hops, Answer::Root),
            Body::Request(payload) => {
                self.accept(Some(route.key), route.origin, route.id, route.hops, payload);
            }
            Body::FindPlace | Body::Unite => unreachable!("a place is not looked for at the root"),
        }
    }

    pub(super) fn send_reply(&mut self, origin: NodeHandle, id: Number, hops: u8, answer: Answer<P>) {
        if origin == self.me {
            self.on_reply(origin, id, hops, answer);
        } else {
            self.send(origin, Message::Reply { id, hops, answer });
        }
    }

    fn hold(&mut self, route: Route<P>, deadline: Time) {
        if self.held.len() == HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back((deadline, route));
    }

    /// Routes what waited until it was known who the root is.
    pub(super) fn release_held(&mut self) {
        for (deadline, route) in std::mem::take(&mut self.held) {
            self.route_on(route, deadline);
        }
    }

    pub(super) fn drop_held_too_long(&mut self) {
        let now = self.now;
        self.held.retain(|(deadline, _)| now < *deadline);
    }
}
