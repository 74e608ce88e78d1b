//! The ring and key-based routing: correct Chord.
//!
//! The algorithm is Chord of Stoica, Morris, Liben-Nowell, Karger, Kaashoek, Dabek and
//! Balakrishnan (IEEE/ACM ToN 11(1), 2003), with ring maintenance as corrected by Zave
//! ("Reasoning about identifier spaces: how to make Chord correct", IEEE TSE 43(12), 2017).
//! The interface to the application is the common API for key-based routing of Dabek,
//! Zhao, Druschel, Kubiatowicz and Stoica (IPTPS 2003).
//!
//! [`Chord`] is generic in the payload `P` and knows nothing of what is built on it.

mod asleep;
mod failure;
pub(crate) mod fingers;
mod ideal;
mod join;
mod leave;
pub mod message;
mod mutant;
#[cfg(test)]
mod tests;
mod rectify;
mod request;
mod round_trip;
mod route;
mod search;
mod stabilize;
mod suspect;
pub mod trace;
pub(crate) mod unite;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::message::Message;
use self::message::{Number, Route};
#[cfg(test)]
pub(crate) use self::mutant::Mutant;
use self::trace::Manner;
pub use self::unite::REMEMBERED_MAX;
use crate::id::{Id, NodeHandle};
use crate::machine::Input;
use crate::time::Time;

/// The length of a successor list, where there are so many nodes: *r* in the papers.
pub const SUCCESSORS: usize = 16;

/// How often a node stabilizes: with the silence after which a successor is taken for dead, and the
/// first pause before it is asked again, less than 2.5 s.
pub const STABILIZE_EVERY: Duration = Duration::from_millis(1200);

/// A node of the ring as a value.
///
/// Feed it with [`Chord::handle`] and the methods that a user of key-based routing calls,
/// then take what should be done with [`Chord::next_output`] until there is nothing left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chord<P> {
    me: NodeHandle,
    /// *r*: at most so many successors are kept.
    successors_max: usize,
    now: Time,
    outputs: VecDeque<Output<P>>,
    membership: Membership,
    predecessor: Option<NodeHandle>,
    predecessor_heard: Time,
    successor_heard: Time,
    /// After which node the range of keys began that [`Upcall::Update`] last told of.
    range_start: Option<NodeHandle>,
    /// The predecessor that was lost or has left last.
    predecessor_before: Option<NodeHandle>,
    /// Nearest first, without this node: an empty list means that this node is its own successor.
    successors: Vec<NodeHandle>,
    /// Whether `successors` goes all the way round to this node: then it holds every other member.
    comes_round: bool,
    /// The joiners that were given a place last: until they show as neighbours, they may know nobody else.
    newcomers: Vec<join::Newcomer>,
    /// Whom a neighbour has told of last, and who may know the ring when all neighbours have gone.
    acquaintances: Vec<NodeHandle>,
    remembered: unite::Remembered,
    /// Under way while few are left, until those that were lost are known to be gone.
    search: Option<search::Search>,
    /// Who has left in good order of late, the last one last, and until when that is told.
    departed: VecDeque<(NodeHandle, Time)>,
    /// Rises with each change of `successors`.
    version: u64,
    question: Option<stabilize::Question>,
    /// What the last answer told.
    neighbors: Option<stabilize::Neighbors>,
    probe: Option<rectify::Probe>,
    /// Those who are asked whether they are there, like the successors after one that is late.
    suspects: Vec<rectify::Probe>,
    /// To whom something was handed on of late, and when it was asked whether they are there.
    relied_on: BTreeMap<NodeHandle, Time>,
    doubt: Option<asleep::Doubt>,
    candidate: Option<NodeHandle>,
    next_stabilize: Time,
    /// Whether the predecessor has not been told of a change of `successors`.
    list_has_news: bool,
    fingers: fingers::Fingers,
    next_number: Number,
    requests: request::Requests<P>,
    round_trip: round_trip::RoundTrip,
    answers: request::Answers<P>,
    held: VecDeque<(Time, Route<P>)>,
    traces: BTreeMap<Number, trace::Trace>,
    #[cfg(test)]
    mutant: Option<Mutant>,
}

/// Whether a node belongs to the ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Membership {
    /// Has not been told to create or join a ring.
    Outside,
    /// Looks for its place.
    Joining(join::Joining),
    Member,
    /// Waits for the neighbours to close the gap.
    Leaving(leave::Leaving),
    /// Has left, and passes on what still comes.
    Left {
        to: Option<NodeHandle>,
    },
}

/// What a node of the ring wants done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output<P> {
    /// Send a message.
    Send {
        /// Who gets it.
        to: NodeHandle,
        /// What it says.
        message: Message<P>,
    },
    /// Tell the application.
    Upcall(Upcall<P>),
}

/// What the application is told, in the words of Dabek et al.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upcall<P> {
    /// This node is a member now.
    Joined,
    /// No place was found until the deadline.
    JoinFailed {
        /// Through which node it was tried.
        via: NodeHandle,
    },
    /// This node is the root of the key of a request; answer with [`Chord::reply`].
    Deliver {
        /// Whose root was asked.
        key: Id,
        /// What is asked.
        request: Request<P>,
    },
    /// A request for this very node; answer with [`Chord::reply`].
    Receive {
        /// What is asked.
        request: Request<P>,
    },
    /// Something for this very node that needs no answer.
    Told {
        /// Who says it.
        from: NodeHandle,
        /// What it says.
        payload: P,
    },
    /// The answer to an own request.
    Reply {
        /// The number that the request was given.
        id: Number,
        /// Who answered.
        from: NodeHandle,
        /// What was answered.
        payload: P,
    },
    /// The answer to [`Chord::find_root`].
    Root {
        /// The number that the question was given.
        id: Number,
        /// The root of the key.
        root: NodeHandle,
        /// How many times the question was handed on.
        hops: u8,
    },
    /// An own request has not been answered, and will not be.
    Failed {
        /// The number that the request was given.
        id: Number,
        /// Why not.
        why: Failure,
    },
    /// Something told to a node is certain not to have reached it.
    Undelivered {
        /// Whom it was for.
        to: NodeHandle,
        /// What it said.
        payload: P,
    },
    /// The range of keys for which this node is the root has changed.
    Update(Update),
    /// The successor list has changed; [`Chord::successors`] gives it.
    SuccessorsChanged {
        /// The successor before.
        before: Option<NodeHandle>,
    },
    /// A neighbour does not answer any more.
    Lost(NodeHandle),
    /// A neighbour has left in good order.
    NeighbourLeft(NodeHandle),
    /// The answer to [`Chord::trace`].
    Traced {
        /// The number that the question was given.
        id: Number,
        /// The way.
        way: trace::Way,
    },
    /// This node has left the ring.
    Left {
        /// Who is now the root of what it was the root of; nobody if it was alone.
        to: Option<NodeHandle>,
    },
    /// The successor could not take over; once that is mended, [`Chord::leave`] may be called again.
    LeaveFailed,
}

/// A request that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request<P> {
    /// Who asks.
    pub origin: NodeHandle,
    /// The number that the origin gave it: a repeat has the same, and is not delivered twice.
    pub id: Number,
    /// What is asked.
    pub payload: P,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody answered until the deadline.
    NoAnswer,
    /// The node that it was for cannot be reached.
    Unreachable,
    /// Too many requests wait for an answer.
    TooMany,
}

/// A change of the range of keys for which a node is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Update {
    /// Whether this node is now the root of the range, or no longer.
    pub gained: bool,
    /// The range.
    pub range: Range,
    /// The node after which the range begins.
    pub after: NodeHandle,
    /// Who is the root of the range if it was lost, and who was it if it was gained, as far as is known.
    pub peer: Option<NodeHandle>,
    /// Why.
    pub why: Why,
}

/// The keys in the clockwise arc (`from`, `to`]; the whole circle if the two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The last point before the range.
    pub from: Id,
    /// The last point of the range.
    pub to: Id,
}

impl Range {
    /// Whether `key` is in the range.
    pub fn contains(&self, key: Id) -> bool {
        key.in_arc(self.from, self.to)
    }
}

/// Why a range of keys has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// This node has created the ring.
    Created,
    /// This node has joined; or it was asleep, and may have been replaced meanwhile.
    Joined,
    /// A node has come between this one and its predecessor.
    NewPredecessor,
    /// The predecessor does not answer any more.
    PredecessorLost,
    /// The predecessor has left in good order: this node had all of its records before.
    PredecessorLeft,
}

impl<P: Clone> Chord<P> {
    /// A node that keeps up to `successors_max` successors and belongs to no ring yet.
    ///
    /// `now` is its start: the numbers of its requests begin there, so that a node that
    /// restarts does not repeat those of its former self.
    pub fn new(me: NodeHandle, successors_max: usize, now: Time) -> Chord<P> {
        assert!(0 < successors_max, "a node needs a successor");
        Chord {
            me,
            successors_max,
            now,
            outputs: VecDeque::new(),
            membership: Membership::Outside,
            predecessor: None,
            predecessor_heard: now,
            successor_heard: now,
            range_start: None,
            predecessor_before: None,
            successors: Vec::new(),
            comes_round: true,
            newcomers: Vec::new(),
            acquaintances: Vec::new(),
            remembered: unite::Remembered::new(now),
            search: None,
            departed: VecDeque::new(),
            version: 0,
            question: None,
            neighbors: None,
            probe: None,
            suspects: Vec::new(),
            relied_on: BTreeMap::new(),
            doubt: None,
            candidate: None,
            next_stabilize: now,
            list_has_news: false,
            fingers: fingers::Fingers::new(now),
            next_number: now.as_micros(),
            requests: request::Requests::default(),
            round_trip: round_trip::RoundTrip::new(),
            answers: request::Answers::default(),
            held: VecDeque::new(),
            traces: BTreeMap::new(),
            #[cfg(test)]
            mutant: None,
        }
    }

    /// Reacts to `input` at the time `now`.
    pub fn handle(&mut self, now: Time, input: Input<std::convert::Infallible, Message<P>>) {
        self.set_time(now);
        match input {
            Input::Command(never) => match never {},
            Input::Message { from, message } => self.on_message(from, message),
            Input::Unreachable { peer, undelivered } => self.on_unreachable(peer, undelivered),
            Input::Wakeup => self.on_wakeup(),
        }
        self.tell_predecessor();
    }

    fn on_message(&mut self, from: NodeHandle, message: Message<P>) {
        self.heard(from);
        match message {
            Message::GetNeighbors { question } => self.on_get_neighbors(from, question, None),
            Message::Neighbors { question, predecessor, successors } => {
                self.on_neighbors(from, question, predecessor, &successors);
            }
            Message::Notify => self.on_notify(from),
            Message::NewPredecessor => self.on_new_predecessor(from),
            Message::Ping { question } => self.on_ping(from, question),
            Message::Pong { question } => self.on_pong(from, question),
            Message::NotMember => self.on_not_member(from),
            Message::Place { id, successors } => self.on_place(from, id, &successors),
            Message::Leaving { question, predecessor, successors } => {
                self.on_leaving(from, question, predecessor, &successors);
            }
            Message::LeavingHeard { question, accepted } => self.on_leaving_heard(from, question, accepted),
            Message::Gone { question, successors } => self.on_gone(from, question, &successors),
            Message::GoneHeard { question } => self.on_gone_heard(from, question),
            Message::Route(route) => self.on_route(route),
            Message::Reply { id, hops, answer } => self.on_reply(from, id, hops, answer),
            Message::Request { id, payload } => self.on_request(from, id, payload),
            Message::Tell(payload) => self.upcall(Upcall::Told { from, payload }),
            Message::GetNextHop { question, key, linear, last, avoid } => {
                self.on_get_next_hop(from, question, key, Manner { linear, last }, &avoid);
            }
            Message::NextHop { question, step } => self.on_next_hop(from, question, step),
            Message::Displaced { by } => self.on_displaced(by),
            Message::ListChanged => self.on_list_changed(from),
            Message::GetNewNeighbors { question, known } => {
                self.on_get_neighbors(from, question, Some(known));
            }
            Message::SameNeighbors { question } => self.on_same_neighbors(from, question),
            Message::Remember { lost } => self.on_remember(&lost),
            Message::HaveLeft { nodes } => self.on_have_left(&nodes),
        }
    }

    fn on_wakeup(&mut self) {
        self.retry_join();
        self.retry_leave();
        self.retry_question();
        self.retry_probe();
        self.retry_suspects();
        self.end_doubt_when_due();
        self.end_search_when_due();
        if self.is_member() && self.next_stabilize <= self.now {
            self.next_stabilize = self.now + STABILIZE_EVERY;
            self.stabilize();
            self.watch_predecessor();
        }
        self.ask_lost_when_due();
        self.fix_fingers_when_due();
        self.retry_requests();
        self.retry_traces();
        self.drop_held_too_long();
    }

    /// When [`Input::Wakeup`] is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        let of_the_ring = self.is_member().then(|| self.next_stabilize.min(self.fingers.next_fix()));
        [
            of_the_ring,
            self.question.as_ref().map(stabilize::Question::next_wakeup),
            self.probe.as_ref().map(rectify::Probe::next_wakeup),
            self.suspects.iter().map(rectify::Probe::next_wakeup).min(),
            self.doubt.as_ref().map(asleep::Doubt::next_wakeup),
            self.search.as_ref().map(search::Search::next_wakeup),
            self.membership_wakeup(),
            self.requests.next_wakeup(),
            self.traces.values().map(trace::Trace::next_wakeup).min(),
            self.held.front().map(|(deadline, _)| *deadline),
            self.remembered.next_wakeup().filter(|_| self.is_member()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn membership_wakeup(&self) -> Option<Time> {
        match &self.membership {
            Membership::Joining(joining) => Some(joining.next_wakeup()),
            Membership::Leaving(leaving) => Some(leaving.next_wakeup()),
            Membership::Outside | Membership::Member | Membership::Left { .. } => None,
        }
    }

    /// Whether something should be done.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// What should be done next.
    pub fn next_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// This node's handle.
    pub fn me(&self) -> NodeHandle {
        self.me
    }

    /// The node before this one, if known.
    pub fn predecessor(&self) -> Option<NodeHandle> {
        self.predecessor
    }

    /// The nodes after this one, nearest first; none if this node is alone.
    pub fn successors(&self) -> &[NodeHandle] {
        &self.successors
    }

    /// Whether the successor list is shorter than it might be because it goes all the way round to this
    /// node, as in a small ring: then it holds every other member.
    pub fn comes_round(&self) -> bool {
        self.comes_round
    }

    /// The fingers: the first exponent that each stands for, and the node.
    pub fn fingers(&self) -> impl Iterator<Item = (u32, NodeHandle)> + '_ {
        self.fingers.iter()
    }

    /// Whether this node belongs to a ring and has not begun to leave it.
    pub fn is_member(&self) -> bool {
        self.membership == Membership::Member
    }

    /// Whether this node has begun to leave, and a neighbour has not heard of it yet.
    pub fn is_leaving(&self) -> bool {
        matches!(self.membership, Membership::Leaving(_))
    }

    /// Whether others may still count on this node: it is a member, or leaving.
    pub fn is_in_ring(&self) -> bool {
        self.is_member() || self.is_leaving()
    }

    /// Whether this node is a member and knows of no other.
    pub fn is_alone(&self) -> bool {
        self.is_member() && self.has_nobody()
    }

    /// Whether no other node is known that may belong to the ring.
    fn has_nobody(&self) -> bool {
        self.successors.is_empty()
            && self.predecessor.is_none()
            && self.acquaintances.is_empty()
            && self.fingers.is_empty()
    }

    /// Whether this node is the root of `key`; nothing if that is not known yet.
    pub fn is_root(&self, key: Id) -> Option<bool> {
        if !self.is_member() || self.doubt.is_some() {
            return None;
        }
        match (self.predecessor, self.range_start) {
            (Some(predecessor), _) => Some(key.in_arc(predecessor.id(), self.me.id())),
            (None, _) if self.has_nobody() => Some(true),
            // The range only grows by the loss of a predecessor: what was here still is.
            (None, Some(start)) if key.in_arc(start.id(), self.me.id()) => Some(true),
            (None, _) => None,
        }
    }

    /// The node after which the range of keys begins that the application was last told of.
    pub fn range_start(&self) -> Option<NodeHandle> {
        self.range_start
    }

    /// Starts a ring of this node alone.
    pub fn create(&mut self, now: Time) {
        self.set_time(now);
        assert_eq!(self.membership, Membership::Outside, "a node creates a ring once, before it joins one");
        self.membership = Membership::Member;
        self.next_stabilize = now + STABILIZE_EVERY;
        self.upcall(Upcall::Joined);
        self.tell_update(Why::Created);
    }

    fn send(&mut self, to: NodeHandle, message: Message<P>) {
        debug_assert_ne!(to, self.me, "a node does not write to itself");
        self.outputs.push_back(Output::Send { to, message });
    }

    fn upcall(&mut self, upcall: Upcall<P>) {
        self.outputs.push_back(Output::Upcall(upcall));
    }

    pub(crate) fn new_number(&mut self) -> Number {
        self.next_number += 1;
        self.next_number
    }
}
