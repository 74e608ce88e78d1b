//! Trace: the initiator asks each hop in turn for the next one, and shows the way.
//!
//! n -> hop: GetNextHop { key, linear, last, avoid }
//! hop -> n: NextHop { step }
//!
//! This is the iterative lookup of the paper; messages are routed recursively.
//! Who belongs to no ring can look up as well, from a node of the ring on.

use std::fmt;
use std::time::Duration;

use super::message::{Message, Number, Step};
use super::route::Hop;
use super::{Chord, Membership, Upcall};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long a hop may be silent before the way goes around it.
const HOP_SILENCE: Duration = Duration::from_secs(1);

/// How long a trace may take.
const TRACE_DEADLINE: Duration = Duration::from_secs(30);

/// The longest way by fingers, in nodes.
const HOPS_MAX: usize = 128;

/// The longest way successor by successor, in nodes.
const LINEAR_HOPS_MAX: usize = 1024;

/// How many nodes that did not answer a trace works around: three times as many as one trace in a hundred meets
/// right after half of all nodes have crashed.
pub(super) const AVOID_MAX: usize = 64;

/// How many traces may be under way.
const TRACES_MAX: usize = 64;

/// The way to the root of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Whose root was looked for.
    pub key: Id,
    /// Whether it went successor by successor.
    pub linear: bool,
    /// The nodes that were asked, in order, and how long each took to answer; a member begins with itself.
    pub hops: Vec<(NodeHandle, Duration)>,
    /// The nodes that did not answer.
    pub silent: Vec<NodeHandle>,
    /// The root, or why the way ends before it.
    pub end: Result<NodeHandle, DeadEnd>,
}

impl Way {
    /// The nodes on it, in order, and the root if it is found: that is told of by the last hop, and not always asked.
    pub fn nodes(&self) -> Vec<NodeHandle> {
        let mut nodes: Vec<NodeHandle> = self.hops.iter().map(|(node, _)| *node).collect();
        nodes.extend(self.end.ok().filter(|root| !nodes.contains(root)));
        nodes
    }
}

/// Why a trace did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadEnd {
    /// The last node knows nobody nearer.
    NobodyNearer,
    /// Too many nodes did not answer.
    NoAnswer,
    /// The way is longer than is allowed, or takes longer.
    TooLong,
    /// Too many traces are under way.
    TooMany,
}

impl fmt::Display for DeadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeadEnd::NobodyNearer => "the last node does not know yet who is nearer; try again",
            DeadEnd::NoAnswer => "too many nodes did not answer",
            DeadEnd::TooLong => "the way is too long, or takes too long",
            DeadEnd::TooMany => "too many traces are under way",
        })
    }
}

/// How the next hop is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The successor rather than the closest known node.
    pub(super) linear: bool,
    /// The one before took this node for the root.
    pub(super) last: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trace {
    way: Way,
    asked: NodeHandle,
    since: Time,
    deadline: Time,
    /// When whoever wants the way is told as much of it as is known, if they do not wait until the deadline.
    told_at: Option<Time>,
}

impl Trace {
    pub(super) fn next_wakeup(&self) -> Time {
        let next = self.deadline.min(self.since + HOP_SILENCE);
        self.told_at.map_or(next, |at| at.min(next))
    }
}

impl<P: Clone> Chord<P> {
    /// Looks for the way to the root of `key`: [`Upcall::Traced`] follows, with the number that is returned.
    pub fn trace(&mut self, now: Time, key: Id, linear: bool) -> Number {
        self.trace_from(now, self.me, key, linear)
    }

    /// The same for who does not wait longer than `limit`: then the way ends with what is known of it.
    pub fn trace_within(&mut self, now: Time, key: Id, linear: bool, limit: Duration) -> Number {
        self.begin_trace(now, self.me, key, linear, Some(limit))
    }

    /// The same from `first` on, which is in the ring; this node need not be.
    pub fn trace_from(&mut self, now: Time, first: NodeHandle, key: Id, linear: bool) -> Number {
        self.begin_trace(now, first, key, linear, None)
    }

    fn begin_trace(
        &mut self,
        now: Time,
        first: NodeHandle,
        key: Id,
        linear: bool,
        limit: Option<Duration>,
    ) -> Number {
        self.set_time(now);
        let id = self.new_number();
        let way = Way { key, linear, hops: Vec::new(), silent: Vec::new(), end: Err(DeadEnd::NobodyNearer) };
        let deadline = self.now + TRACE_DEADLINE;
        let told_at = limit.map(|limit| self.now + limit);
        let trace = Trace { way, asked: first, since: self.now, deadline, told_at };
        if self.traces.len() == TRACES_MAX {
            self.end_trace(id, trace, Err(DeadEnd::TooMany));
        } else {
            self.ask_hop(id, trace, first);
        }
        id
    }

    fn next_step(&self, key: Id, Manner { linear, last }: Manner, avoid: &[NodeHandle]) -> Step {
        // As a message would, the way leads to who takes the place of a node that goes.
        let hands_over = |to| if avoid.contains(&to) { Step::Unknown } else { Step::To(to) };
        let is_root = match &self.membership {
            Membership::Member => self.is_root(key),
            Membership::Leaving(leaving) => {
                let was_root = self.predecessor.map(|predecessor| key.in_arc(predecessor.id(), self.me.id()));
                if was_root == Some(true) {
                    return leaving.taken_over_by().map_or(Step::Here, hands_over);
                }
                was_root
            }
            Membership::Left { to: Some(to) } => return hands_over(*to),
            Membership::Outside | Membership::Joining(_) | Membership::Left { to: None } => {
                return Step::Unknown;
            }
        };
        if last {
            match (is_root, self.predecessor.filter(|node| !avoid.contains(node))) {
                // As in `route`: whoever came between knows better than the one who named this node.
                (Some(false), Some(predecessor)) => return Step::To(predecessor),
                // Nobody is left between the one who named this node and this one: it is the root as soon as it
                // has seen that.
                (Some(false), None) => return Step::Here,
                // It has, and waits for who is before it now.
                (None, None) if self.doubt.is_none() => return Step::Here,
                _ => {}
            }
        }
        match (self.next_hop(key, avoid), self.successors.iter().find(|node| !avoid.contains(node))) {
            (Hop::Here, _) => Step::Here,
            (Hop::Root(_) | Hop::Before(_), Some(&successor)) if linear => Step::To(successor),
            (Hop::Root(node) | Hop::Before(node), _) => Step::To(node),
            (Hop::Unknown, _) => Step::Unknown,
        }
    }

    pub(super) fn on_get_next_hop(
        &mut self,
        from: NodeHandle,
        question: Number,
        key: Id,
        manner: Manner,
        avoid: &[NodeHandle],
    ) {
        let step = self.next_step(key, manner, avoid);
        self.send(from, Message::NextHop { question, step });
    }

    pub(super) fn on_next_hop(&mut self, from: NodeHandle, question: Number, step: Step) {
        match self.traces.remove(&question) {
            Some(trace) if trace.asked == from => self.take_step(question, trace, step),
            Some(trace) => {
                self.traces.insert(question, trace);
            }
            None => {}
        }
    }

    fn take_step(&mut self, id: Number, mut trace: Trace, step: Step) {
        trace.way.hops.push((trace.asked, self.now.since(trace.since)));
        let hops_max = if trace.way.linear { LINEAR_HOPS_MAX } else { HOPS_MAX };
        let is_over = trace.deadline <= self.now || hops_max <= trace.way.hops.len();
        match step {
            Step::Here => {
                let root = trace.asked;
                self.end_trace(id, trace, Ok(root));
            }
            Step::Unknown => self.end_trace(id, trace, Err(DeadEnd::NobodyNearer)),
            Step::To(_) if is_over => {
                self.end_trace(id, trace, Err(DeadEnd::TooLong));
            }
            Step::To(node) => {
                trace.since = self.now;
                self.ask_hop(id, trace, node);
            }
        }
    }

    fn ask_hop(&mut self, id: Number, mut trace: Trace, node: NodeHandle) {
        trace.asked = node;
        let (key, linear) = (trace.way.key, trace.way.linear);
        let before = trace.way.hops.last().map(|&(before, _)| before);
        let last = before.is_some_and(|before| key.in_arc(before.id(), node.id()));
        if node == self.me {
            if before == Some(node) {
                return self.end_trace(id, trace, Err(DeadEnd::NobodyNearer));
            }
            let step = self.next_step(key, Manner { linear, last }, &trace.way.silent);
            return self.take_step(id, trace, step);
        }
        let avoid = trace.way.silent.clone();
        self.traces.insert(id, trace);
        self.send(node, Message::GetNextHop { question: id, key, linear, last, avoid });
    }

    pub(super) fn retry_traces(&mut self) {
        let late: Vec<_> = self
            .traces
            .iter()
            .filter(|(_, trace)| trace.next_wakeup() <= self.now)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            self.end_untimely(id);
            self.go_around(id);
        }
    }

    /// Tells as much of a way as is known, if nobody waits for more of it.
    fn end_untimely(&mut self, id: Number) {
        let is_due = |trace: &Trace| trace.told_at.is_some_and(|at| at <= self.now);
        if !self.traces.get(&id).is_some_and(is_due) {
            return;
        }
        let Some(mut trace) = self.traces.remove(&id) else { return };
        // Whoever was asked only just now is not silent yet.
        if trace.since + HOP_SILENCE <= self.now {
            trace.way.silent.push(trace.asked);
        }
        self.end_trace(id, trace, Err(DeadEnd::TooLong));
    }

    pub(super) fn trace_failed_at(&mut self, peer: NodeHandle) {
        let stuck: Vec<_> =
            self.traces.iter().filter(|(_, trace)| trace.asked == peer).map(|(&id, _)| id).collect();
        for id in stuck {
            self.go_around(id);
        }
    }

    /// The node that was asked does not answer: asks the one before it for another.
    fn go_around(&mut self, id: Number) {
        let Some(mut trace) = self.traces.remove(&id) else { return };
        trace.way.silent.push(trace.asked);
        if trace.way.silent.len() == AVOID_MAX || trace.deadline <= self.now {
            return self.end_trace(id, trace, Err(DeadEnd::NoAnswer));
        }
        // The one before answered once; if it is silent, too, it is the next to be avoided.
        let Some((before, _)) = trace.way.hops.pop() else {
            return self.end_trace(id, trace, Err(DeadEnd::NoAnswer));
        };
        trace.since = self.now;
        self.ask_hop(id, trace, before);
    }

    fn end_trace(&mut self, id: Number, mut trace: Trace, end: Result<NodeHandle, DeadEnd>) {
        trace.way.end = end;
        self.upcall(Upcall::Traced { id, way: trace.way });
    }
}
