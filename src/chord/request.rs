//! Requests: the origin asks until it is answered, the other side acts once.
//!
//! origin -> … -> root: Route { key, id, Request(payload) }      or
//! origin -> node: Request { id, payload }
//! root or node -> origin: Reply { id, Payload(payload) }
//!
//! The origin has a deadline and sends the same number again, another way; who answers a repeat does
//! not act twice, but gives the same answer.
//!
//! What is asked again and again goes to whoever was the root last: "a lookup's answer is a hint", and who is
//! not the root any more hands it on like any other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::message::{Answer, Body, Message, Number, Route};
use super::route::Hop;
use super::{Chord, Failure, Request, Upcall};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long the origin waits for an answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Each pause before a request is sent again is half as long again as the one before, up to this, or to
/// the first one if that is longer: who takes over from a silent root hears of the request soon after.
const PAUSE_GROWN_MAX: Duration = Duration::from_millis(250);

/// A request that is sent again avoids so many of the ways that it began with last.
const WAYS_AVOIDED_MAX: usize = 3;

/// How many own requests may wait for an answer.
const REQUESTS_MAX: usize = 65_536;

/// How long an answer is kept for an origin that asks again: as long as it may.
const ANSWER_KEPT: Duration = REQUEST_DEADLINE.saturating_mul(2);

/// How many answers are kept.
const ANSWERS_MAX: usize = 8_192;

/// The own requests that wait for an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requests<P> {
    waiting: BTreeMap<Number, Waiting<P>>,
    wakeups: BTreeSet<(Time, Number)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting<P> {
    target: Target,
    /// Who may be the root: the first try begins there.
    hint: Option<NodeHandle>,
    body: Body<P>,
    deadline: Time,
    /// When it was sent, if that was once.
    sent_once: Option<Time>,
    retry: Time,
    pause: Duration,
    /// Where the last tries began, and where the next one does not; the last one stands at the end.
    hops: Vec<NodeHandle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Root(Id),
    Node(NodeHandle),
}

impl<P> Default for Requests<P> {
    fn default() -> Requests<P> {
        Requests { waiting: BTreeMap::new(), wakeups: BTreeSet::new() }
    }
}

impl<P> Requests<P> {
    pub(super) fn next_wakeup(&self) -> Option<Time> {
        self.wakeups.first().map(|&(time, _)| time)
    }

    fn insert(&mut self, id: Number, waiting: Waiting<P>) {
        self.wakeups.insert((waiting.wakeup(), id));
        self.waiting.insert(id, waiting);
    }

    fn remove(&mut self, id: Number) -> Option<Waiting<P>> {
        let waiting = self.waiting.remove(&id)?;
        self.wakeups.remove(&(waiting.wakeup(), id));
        Some(waiting)
    }
}

impl<P> Waiting<P> {
    fn wakeup(&self) -> Time {
        self.retry.min(self.deadline)
    }

    fn begins_at(&mut self, node: NodeHandle) {
        if self.hops.len() == WAYS_AVOIDED_MAX {
            self.hops.remove(0);
        }
        self.hops.push(node);
    }
}

/// The answers given, so that a repeat gets the same; the oldest are forgotten.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answers<P> {
    /// Nothing yet while the application still works on it.
    given: BTreeMap<(NodeHandle, Number), Option<P>>,
    oldest_first: VecDeque<(Time, NodeHandle, Number)>,
}

impl<P> Answers<P> {
    /// Makes room for a request that has come at `now`.
    fn expect(&mut self, now: Time, origin: NodeHandle, id: Number) {
        while let Some(&(time, origin, id)) = self.oldest_first.front()
            && (time + ANSWER_KEPT <= now || self.oldest_first.len() == ANSWERS_MAX)
        {
            self.oldest_first.pop_front();
            self.given.remove(&(origin, id));
        }
        self.oldest_first.push_back((now, origin, id));
        self.given.insert((origin, id), None);
    }

    /// A repeat of the request will be delivered again.
    pub(super) fn forget(&mut self, origin: NodeHandle, id: Number) {
        self.given.remove(&(origin, id));
    }
}

impl<P> Default for Answers<P> {
    fn default() -> Answers<P> {
        Answers { given: BTreeMap::new(), oldest_first: VecDeque::new() }
    }
}

impl<P: Clone> Chord<P> {
    /// Asks the application at the root of `key`: [`Upcall::Reply`] or [`Upcall::Failed`] follows,
    /// with the number that is returned.
    pub fn request(&mut self, now: Time, key: Id, payload: P) -> Number {
        self.request_by_hint(now, key, None, payload)
    }

    /// As [`Chord::request`], of whom it is known who was the root last, if so: that takes one hop.
    ///
    /// Nobody on the way notices that the root is silent, so it is not for what somebody waits for.
    pub fn request_by_hint(&mut self, now: Time, key: Id, hint: Option<NodeHandle>, payload: P) -> Number {
        self.set_time(now);
        self.ask_application(Target::Root(key), hint, Body::Request(payload))
    }

    /// Asks the application of `node`: [`Upcall::Reply`] or [`Upcall::Failed`] follows,
    /// with the number that is returned.
    pub fn request_to(&mut self, now: Time, node: NodeHandle, payload: P) -> Number {
        self.set_time(now);
        self.ask_application(Target::Node(node), None, Body::Request(payload))
    }

    /// Looks for the root of `key`: [`Upcall::Root`] or [`Upcall::Failed`] follows,
    /// with the number that is returned.
    pub fn find_root(&mut self, now: Time, key: Id) -> Number {
        self.set_time(now);
        self.ask_application(Target::Root(key), None, Body::FindRoot)
    }

    /// Tells the application of `node` something that needs no answer.
    pub fn tell(&mut self, now: Time, node: NodeHandle, payload: P) {
        self.set_time(now);
        if node == self.me {
            self.upcall(Upcall::Told { from: node, payload });
        } else {
            self.send(node, Message::Tell(payload));
        }
    }

    /// Answers the request `id` of `origin`.
    pub fn reply(&mut self, now: Time, origin: NodeHandle, id: Number, payload: P) {
        self.set_time(now);
        if let Some(answer) = self.answers.given.get_mut(&(origin, id)) {
            *answer = Some(payload.clone());
        }
        self.send_reply(origin, id, 0, Answer::Payload(payload));
    }

    /// Answers the request `id` of `origin`, a repeat of which changes nothing more.
    ///
    /// The answer is not kept: if it is lost, the application is asked again.
    pub fn reply_read(&mut self, now: Time, origin: NodeHandle, id: Number, payload: P) {
        self.set_time(now);
        self.answers.forget(origin, id);
        self.send_reply(origin, id, 0, Answer::Payload(payload));
    }

    fn ask_application(&mut self, target: Target, hint: Option<NodeHandle>, body: Body<P>) -> Number {
        let id = self.new_number();
        if REQUESTS_MAX <= self.requests.waiting.len() {
            self.upcall(Upcall::Failed { id, why: Failure::TooMany });
            return id;
        }
        let pause = self.round_trip.pause();
        let waiting = Waiting {
            target,
            hint,
            body,
            deadline: self.now + REQUEST_DEADLINE,
            sent_once: Some(self.now),
            retry: self.now + pause,
            pause,
            hops: Vec::new(),
        };
        self.try_request(id, waiting);
        id
    }

    /// Whether the request `id` is under way.
    pub(super) fn is_waiting(&self, id: Number) -> bool {
        self.requests.waiting.contains_key(&id)
    }

    fn try_request(&mut self, id: Number, mut waiting: Waiting<P>) {
        let body = waiting.body.clone();
        match waiting.target {
            Target::Node(node) => {
                self.requests.insert(id, waiting);
                let Body::Request(payload) = body else { unreachable!("a node is not asked for its root") };
                if node == self.me {
                    self.accept(None, node, id, 0, payload);
                } else {
                    self.send(node, Message::Request { id, payload });
                }
            }
            Target::Root(key) => {
                if self.successors.iter().all(|node| waiting.hops.contains(node)) {
                    // All ways were tried.
                    waiting.hops.clear();
                }
                let hop = match (waiting.hint.take(), self.next_hop(key, &waiting.hops)) {
                    (Some(hint), Hop::Root(_) | Hop::Before(_)) if hint != self.me => Hop::Before(hint),
                    (_, hop) => hop,
                };
                let mut route = Route { key, origin: self.me, id, hops: 0, last: false, body };
                if let (Hop::Root(node) | Hop::Before(node), true) = (hop, self.is_member()) {
                    route.last = hop == Hop::Root(node);
                    waiting.begins_at(node);
                    self.requests.insert(id, waiting);
                    self.send(node, Message::Route(route));
                    self.relies_on(node);
                } else {
                    self.requests.insert(id, waiting);
                    self.on_route(route);
                }
            }
        }
    }

    pub(super) fn retry_requests(&mut self) {
        while let Some(&(time, id)) = self.requests.wakeups.first() {
            if self.now < time {
                return;
            }
            let Some(mut waiting) = self.requests.remove(id) else { return };
            if waiting.deadline <= self.now {
                self.fail_request(id, Failure::NoAnswer);
            } else {
                let longer = waiting.pause * 3 / 2;
                waiting.pause = longer.min(PAUSE_GROWN_MAX.max(waiting.pause));
                waiting.retry = self.now + waiting.pause;
                self.try_again(id, waiting);
            }
        }
    }

    fn try_again(&mut self, id: Number, mut waiting: Waiting<P>) {
        waiting.sent_once = None;
        self.try_request(id, waiting);
    }

    fn fail_request(&mut self, id: Number, why: Failure) {
        if !self.finger_not_found(id) {
            self.upcall(Upcall::Failed { id, why });
        }
    }

    /// Sends again what went by way of `peer`, and gives up what was for `peer` itself.
    pub(super) fn fail_requests_to(&mut self, peer: NodeHandle) {
        let concerned =
            |waiting: &Waiting<P>| waiting.hops.last() == Some(&peer) || waiting.target == Target::Node(peer);
        let ids: Vec<Number> = self
            .requests
            .waiting
            .iter()
            .filter(|(_, waiting)| concerned(waiting))
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            let Some(waiting) = self.requests.remove(id) else { continue };
            match waiting.target {
                Target::Node(_) => self.upcall(Upcall::Failed { id, why: Failure::Unreachable }),
                Target::Root(_) => self.try_again(id, waiting),
            }
        }
    }

    pub(super) fn on_request(&mut self, from: NodeHandle, id: Number, payload: P) {
        self.accept(None, from, id, 0, payload);
    }

    /// Gives a request to the application, once.
    pub(super) fn accept(&mut self, key: Option<Id>, origin: NodeHandle, id: Number, hops: u8, payload: P) {
        match self.answers.given.get(&(origin, id)) {
            Some(Some(answer)) => {
                let answer = Answer::Payload(answer.clone());
                return self.send_reply(origin, id, hops, answer);
            }
            Some(None) => return,
            None => {}
        }
        self.answers.expect(self.now, origin, id);
        let request = Request { origin, id, payload };
        self.upcall(match key {
            Some(key) => Upcall::Deliver { key, request },
            None => Upcall::Receive { request },
        });
    }

    pub(super) fn on_reply(&mut self, from: NodeHandle, id: Number, hops: u8, answer: Answer<P>) {
        // A number that is not known has been answered before, or given up.
        let Some(waiting) = self.requests.waiting.get(&id) else { return };
        let fits = matches!(
            (&waiting.body, &answer),
            (Body::FindRoot, Answer::Root) | (Body::Request(_), Answer::Payload(_))
        );
        if !fits {
            // A confused peer: the request goes on, and ends at its deadline.
            return;
        }
        match waiting.sent_once {
            Some(sent) if from != self.me => self.round_trip.measured(self.now.since(sent)),
            Some(_) => {}
            None => self.round_trip.was_late(),
        }
        self.requests.remove(id);
        match answer {
            Answer::Payload(payload) => self.upcall(Upcall::Reply { id, from, payload }),
            Answer::Root if self.found_finger(id, from) => {}
            Answer::Root => self.upcall(Upcall::Root { id, root: from, hops }),
        }
    }
}
