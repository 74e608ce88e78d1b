//! Stabilize: a node asks its successor, and who has come between, for their neighbours.
//!
//! n -> successor: GetNeighbors, or GetNewNeighbors { known } after the first time
//! successor -> n: Neighbors { predecessor, successors }, or SameNeighbors
//! n -> the successor's predecessor, if it is between: GetNeighbors
//! it -> n: Neighbors
//! n -> the successor that n has now: Notify
//!
//! A node that has found a nearer successor asks that one at once. A successor that is late is asked
//! again, and those after it are, too: see `suspect`.

use std::time::Duration;

use super::message::{Message, Number};
use super::mutant::Mutant;
use super::{Chord, Upcall};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long a node waits for an answer before it asks again: so often that even where one message in
/// ten is lost, some of the questions and answers get through before [`SILENCE`] is over.
pub(super) const RESEND: Duration = Duration::from_millis(100);

/// The first time it waits as long as answers usually take, up to this.
pub(super) const RESEND_FIRST_MAX: Duration = Duration::from_millis(250);

/// How long a node that is asked again and again may be silent before it is taken for dead.
pub(super) const SILENCE: Duration = Duration::from_millis(1000);

/// How long after its list has changed the successor is asked: several changes are told together.
const STABILIZE_SOON: Duration = Duration::from_millis(100);

/// How many nodes are remembered that a neighbour has told of.
const ACQUAINTANCES_MAX: usize = 2 + super::SUCCESSORS;

/// A question under way: "Stabilizing" in Zave's model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) to: NodeHandle,
    number: Number,
    /// The version of the successor list when the question was asked.
    version: u64,
    kind: Kind,
    pub(super) silent_since: Time,
    resend: Time,
    /// Whether an answer is late.
    is_late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// StabilizeFromSuccessor.
    Successor,
    /// StabilizeFromPredecessor: the successor's predecessor may be a better successor.
    Between,
}

impl Question {
    pub(super) fn next_wakeup(&self) -> Time {
        self.resend.min(self.silent_since + SILENCE)
    }

    /// Whether the successor was asked and its answer is late.
    pub(super) fn suspects_successor(&self) -> bool {
        self.kind == Kind::Successor && self.is_late
    }
}

/// What a node has told of its neighbours.
///
/// Most rounds find them as they were, and then a digest goes over the wire instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Neighbors {
    of: NodeHandle,
    predecessor: Option<NodeHandle>,
    successors: Vec<NodeHandle>,
}

/// The same for the same neighbours, on every machine.
pub(super) fn digest(predecessor: Option<NodeHandle>, successors: &[NodeHandle]) -> u64 {
    // Whether the first one is the predecessor is part of it.
    let first = [u8::from(predecessor.is_some())];
    let ids = predecessor.iter().chain(successors).flat_map(|node| *node.id().as_bytes());
    let hash = Id::hash(first.into_iter().chain(ids).collect::<Vec<u8>>());
    hash.as_bytes()[..8].iter().fold(0, |digest, &byte| digest << 8 | u64::from(byte))
}

impl<P: Clone> Chord<P> {
    /// "n asks its successor for the successor's predecessor p, and decides whether p should be
    /// n's successor instead" (Stoica et al., section IV-E).
    ///
    /// A node that is alone is its own successor: it asks its predecessor at once.
    pub fn stabilize(&mut self) {
        if self.question.is_some() || !self.is_in_ring() {
            return;
        }
        let candidate = self.remembered.candidate.take();
        if let Some(candidate) = candidate.filter(|&candidate| self.comes_between(candidate)) {
            return self.ask(candidate, Kind::Between);
        }
        match (self.successors.first(), self.predecessor) {
            (Some(&successor), _) => self.ask(successor, Kind::Successor),
            (None, Some(predecessor)) => {
                // The predecessor is the last one clockwise; a finger is nearer to the successor.
                let known = self.fingers.iter().map(|(_, node)| node).chain([predecessor]);
                self.ask(self.nearest_of(known).unwrap_or(predecessor), Kind::Between);
            }
            (None, None) => {
                // Whoever was known has gone: the others that they told of may know the ring, or a finger.
                let nearest_finger = || self.nearest_of(self.fingers.iter().map(|(_, node)| node));
                if let Some(node) = self.acquaintances.first().copied().or_else(nearest_finger) {
                    self.ask(node, Kind::Between);
                }
            }
        }
    }

    /// The one of `nodes` that comes first after this one.
    fn nearest_of(&self, nodes: impl Iterator<Item = NodeHandle>) -> Option<NodeHandle> {
        nodes.min_by_key(|node| self.me.id().distance_to(node.id()))
    }

    /// Whether a question to the successor is under way.
    pub fn asks_successor(&self) -> bool {
        self.question.as_ref().is_some_and(|question| question.kind == Kind::Successor)
    }

    fn ask(&mut self, to: NodeHandle, kind: Kind) {
        let number = self.new_number();
        self.question = Some(Question {
            to,
            number,
            version: self.version,
            kind,
            silent_since: self.now,
            resend: self.now + self.round_trip.pause().clamp(RESEND, RESEND_FIRST_MAX),
            is_late: false,
        });
        self.send_question(to, number);
    }

    fn send_question(&mut self, to: NodeHandle, question: Number) {
        let known = self.neighbors.as_ref().filter(|neighbors| neighbors.of == to);
        let message = match known.map(|known| digest(known.predecessor, &known.successors)) {
            Some(known) => Message::GetNewNeighbors { question, known },
            None => Message::GetNeighbors { question },
        };
        self.send(to, message);
    }

    pub(super) fn retry_question(&mut self) {
        let Some(question) = &mut self.question else { return };
        let (to, number) = (question.to, question.number);
        if question.silent_since + SILENCE <= self.now {
            self.lose(to);
        } else if question.resend <= self.now {
            question.resend = self.now + RESEND;
            let is_suspicious = question.kind == Kind::Successor && !question.is_late;
            question.is_late = true;
            self.send_question(to, number);
            if is_suspicious {
                self.suspect();
            }
        }
    }

    pub(super) fn on_get_neighbors(&mut self, from: NodeHandle, question: Number, known: Option<u64>) {
        if self.is_in_ring() {
            let (predecessor, successors) = (self.predecessor, self.own_list());
            if known == Some(digest(predecessor, &successors)) {
                return self.send(from, Message::SameNeighbors { question });
            }
            let nodes: Vec<NodeHandle> = self.departed().filter(|&node| node != from).collect();
            if !nodes.is_empty() {
                self.send(from, Message::HaveLeft { nodes });
            }
            self.send(from, Message::Neighbors { question, predecessor, successors });
        } else {
            self.send(from, Message::NotMember);
        }
    }

    pub(super) fn on_same_neighbors(&mut self, from: NodeHandle, number: Number) {
        if let Some(Neighbors { predecessor, successors, .. }) =
            self.neighbors.clone().filter(|neighbors| neighbors.of == from)
        {
            self.on_neighbors(from, number, predecessor, &successors);
        }
    }

    pub(super) fn on_neighbors(
        &mut self,
        from: NodeHandle,
        number: Number,
        predecessor: Option<NodeHandle>,
        successors: &[NodeHandle],
    ) {
        let question = match self.question.take() {
            Some(question) if question.number == number && question.to == from => question,
            other => {
                self.question = other;
                return;
            }
        };
        // Nobody has more neighbours to tell of.
        let is_short = successors.len() <= super::SUCCESSORS + 1;
        self.neighbors =
            is_short.then(|| Neighbors { of: from, predecessor, successors: successors.to_vec() });
        self.acquaint(from, predecessor, successors);
        if question.kind == Kind::Successor {
            self.end_doubt(predecessor);
        }
        if question.version != self.version && !self.successors.is_empty() {
            // The list has changed since the question was asked, so the answer may be out of date.
            self.remembered.candidate = (question.kind == Kind::Between).then_some(from);
            self.stabilize();
            return;
        }
        let before = self.successors.first().copied();
        self.adopt(from, from, successors);
        self.tell_displaced(before);
        match predecessor {
            Some(between)
                if question.kind == Kind::Successor && between.id().between(self.me.id(), from.id()) =>
            {
                // A pointer is adopted only once its target has answered (Zave 2017).
                if self.is(Mutant::AdoptsWithoutAsking) {
                    self.adopt(between, between, &self.own_list());
                    self.notify();
                } else {
                    self.ask(between, Kind::Between);
                }
            }
            _ => {
                // Whose predecessor this node is already has no use for a notice.
                if predecessor != Some(self.me) {
                    self.notify();
                }
                if question.kind == Kind::Between {
                    // Several may have come: the nearest is found step by step.
                    self.stabilize();
                }
            }
        }
    }

    /// Remembers whom a neighbour tells of, for when all own neighbours have gone.
    pub(super) fn acquaint(
        &mut self,
        from: NodeHandle,
        predecessor: Option<NodeHandle>,
        successors: &[NodeHandle],
    ) {
        let told = [from].into_iter().chain(predecessor).chain(successors.iter().copied());
        self.acquaintances = told.filter(|&node| node != self.me).take(ACQUAINTANCES_MAX).collect();
    }

    /// Goes on after the node that was asked has turned out to be dead.
    pub(super) fn question_failed(&mut self, question: &Question) {
        match question.kind {
            // The head has been dropped: "notify the new head, try again with it".
            Kind::Successor => {
                self.notify();
                self.stabilize();
            }
            // "No answer: keep the list, notify succ(t)[0]."
            Kind::Between => {
                self.notify();
                if self.successors.is_empty() {
                    self.stabilize();
                }
            }
        }
    }

    /// The successor list as others are told it: in a small ring, it ends with this node.
    pub(super) fn own_list(&self) -> Vec<NodeHandle> {
        let mut list = self.successors.clone();
        if self.comes_round || self.has_nobody() {
            list.push(self.me);
        }
        list
    }

    /// "succ(t) := first r of (s :: succ(s))", of which `from` has told the tail.
    ///
    /// The list ends where it comes round to this node: in a small ring it holds everyone else once.
    pub(super) fn adopt(&mut self, from: NodeHandle, head: NodeHandle, tail: &[NodeHandle]) {
        assert_ne!(head, self.me, "a node is not in its own successor list");
        let mut successors = Vec::with_capacity((tail.len() + 1).min(self.successors_max));
        let mut comes_round = tail.last() == Some(&from);
        let mut distance = Id::new([0; 20]);
        for &node in std::iter::once(&head).chain(tail) {
            let further = self.me.id().distance_to(node.id());
            if further <= distance && !self.is(Mutant::WrapsSmallRings) {
                comes_round = true;
                break;
            }
            if successors.len() == self.successors_max {
                break;
            }
            distance = further;
            successors.push(node);
        }
        // A full list says no more than that: with its head dropped, it must not claim the whole ring.
        self.comes_round = comes_round && successors.len() < self.successors_max;
        self.set_successors(successors);
    }

    pub(super) fn set_successors(&mut self, successors: Vec<NodeHandle>) {
        if successors == self.successors {
            return;
        }
        // The last entry is none of the predecessor's.
        let shared = self.successors_max - 1;
        if !successors.iter().take(shared).eq(self.successors.iter().take(shared)) {
            self.list_has_news = true;
        }
        let former = std::mem::replace(&mut self.successors, successors);
        self.ask_after_skipped(&former);
        // Who is there has come back.
        self.departed.retain(|(node, _)| !self.successors.contains(node));
        self.version += 1;
        let before = former.first().copied();
        self.upcall(Upcall::SuccessorsChanged { before });
    }

    /// Departs from the paper: there, a change reaches the node before with its next round, and those
    /// before it one round later each.
    pub(super) fn tell_predecessor(&mut self) {
        if !std::mem::take(&mut self.list_has_news) {
            return;
        }
        if let Some(predecessor) = self.predecessor
            && self.is_in_ring()
        {
            self.send(predecessor, Message::ListChanged);
        }
    }

    pub(super) fn on_list_changed(&mut self, from: NodeHandle) {
        if self.successors.first() == Some(&from) {
            self.next_stabilize = self.next_stabilize.min(self.now + STABILIZE_SOON);
        }
    }

    fn notify(&mut self) {
        // A leaver's successor may have taken over already.
        if let Some(&successor) = self.successors.first()
            && self.is_member()
        {
            self.send(successor, Message::Notify);
        }
    }
}
