//! Leave: the application hands over first, then the node goes.
//!
//! user -> node: leave
//! node -> application: on_leaving(successor)
//! application -> successor: whatever it hands over
//! application -> node: handed_over(successor)
//! node -> successor, predecessor: see `chord/leave.rs`
//! node -> successor: the requests for its keys that have come meanwhile
//! node -> application: on_left
//!
//! If the successor changes or cannot take over, the application is asked again.
//! Whatever does not answer, it is over after [`LEAVE_DEADLINE`].

use std::collections::VecDeque;
use std::time::Duration;

use super::call::Call;
use super::command::Failure;
use super::context::Stage;
use super::{Application, Host};
use crate::chord::Request;
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How long it takes at most to leave.
pub const LEAVE_DEADLINE: Duration = Duration::from_millis(4500);

/// How long until a leave is tried again that the successor could not follow.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How many requests for the leaver's keys wait until the successor is their root.
pub(super) const HELD_MAX: usize = 1024;

/// How a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Departure {
    /// This node has taken over.
    To(NodeHandle),
    /// There was nobody else.
    Alone,
    /// Nobody had taken over when the time was up.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaving {
    deadline: Time,
    step: Step,
    /// Requests for a key since the application began to hand over, and for this node since it has.
    held: VecDeque<(Option<Id>, Request<Call>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    HandingOver { to: NodeHandle },
    Departing,
    Pausing { until: Time },
}

impl Leaving {
    pub(super) fn next_wakeup(&self) -> Time {
        match self.step {
            Step::Pausing { until } => until.min(self.deadline),
            Step::HandingOver { .. } | Step::Departing => self.deadline,
        }
    }

    /// Whether the application has handed over, and should learn no more.
    pub(super) fn is_departing(&self) -> bool {
        self.step == Step::Departing
    }
}

impl<A: Application> Host<A> {
    pub(super) fn begin_to_leave(&mut self) {
        match self.cx.stage {
            Stage::Outside | Stage::Joining => self.end(Departure::Alone),
            Stage::Member => {
                let deadline = self.cx.now + LEAVE_DEADLINE;
                let (step, held) = (Step::Departing, VecDeque::new());
                self.cx.stage = Stage::Leaving(Leaving { deadline, step, held });
                self.hand_over();
            }
            Stage::Leaving(_) | Stage::Left => {}
        }
    }

    /// Lets the application hand over to the successor, if there is one.
    fn hand_over(&mut self) {
        match self.cx.successor() {
            Some(to) => {
                self.set_step(Step::HandingOver { to });
                self.application.on_leaving(&mut self.cx, to);
            }
            None => self.depart(),
        }
    }

    fn set_step(&mut self, step: Step) {
        if let Stage::Leaving(leaving) = &mut self.cx.stage {
            leaving.step = step;
        }
    }

    fn depart(&mut self) {
        self.set_step(Step::Departing);
        self.cx.chord.leave(self.cx.now);
    }

    /// The application says that `successor` has everything.
    pub(super) fn on_handed_over(&mut self, successor: NodeHandle) {
        match &self.cx.stage {
            // It asks itself again with whoever has come between.
            Stage::Leaving(Leaving { step: Step::HandingOver { to }, .. })
                if *to == successor && self.cx.successor() == Some(successor) =>
            {
                self.depart();
            }
            _ => {}
        }
    }

    /// What was handed over to the former successor, the new one has not got.
    pub(super) fn hand_over_to_another(&mut self) {
        let successor = self.cx.successor();
        match &self.cx.stage {
            Stage::Leaving(Leaving { step: Step::HandingOver { to }, .. }) if Some(*to) != successor => {
                self.hand_over();
            }
            _ => {}
        }
    }

    /// Keeps a request for a key until it can be passed on, or for this node until it is known whether
    /// the node stays.
    pub(super) fn hold(&mut self, key: Option<Id>, request: Request<Call>) {
        match &mut self.cx.stage {
            Stage::Leaving(leaving) if leaving.held.len() < HELD_MAX => {
                leaving.held.push_back((key, request));
            }
            _ => self.refuse(&request, "the node leaves the ring, and too many requests wait"),
        }
    }

    fn refuse(&mut self, request: &Request<Call>, reason: &str) {
        let refusal = Call::refused(reason.to_owned());
        self.cx.chord.reply(self.cx.now, request.origin, request.id, refusal);
    }

    /// The successor could not take over: it may be another one in a moment.
    pub(super) fn on_leave_failed(&mut self) {
        let Stage::Leaving(leaving) = &mut self.cx.stage else { return };
        leaving.step = Step::Pausing { until: self.cx.now + TRY_AGAIN };
        let (routed, direct) =
            std::mem::take(&mut leaving.held).into_iter().partition(|(key, _)| key.is_some());
        leaving.held = routed;
        let direct: VecDeque<_> = direct;
        for (_, request) in direct {
            self.serve(None, request);
        }
    }

    pub(super) fn leave_when_due(&mut self) {
        let Stage::Leaving(leaving) = &self.cx.stage else { return };
        if leaving.deadline <= self.cx.now {
            self.end(Departure::Late);
        } else if matches!(leaving.step, Step::Pausing { until } if until <= self.cx.now) {
            self.hand_over();
        }
    }

    /// The node has left, or does not wait any longer.
    pub(super) fn end(&mut self, departure: Departure) {
        let before = std::mem::replace(&mut self.cx.stage, Stage::Left);
        if let Stage::Leaving(leaving) = before {
            for (key, request) in leaving.held {
                self.see_off(key, request, departure);
            }
        }
        for (id, waiting) in std::mem::take(&mut self.cx.waiting) {
            self.fail(id, &waiting, Failure::Left);
        }
        self.application.on_left(&mut self.cx, departure);
        self.stops = true;
    }

    /// Passes on a request that was held, if anybody can be found to do it.
    fn see_off(&mut self, key: Option<Id>, request: Request<Call>, departure: Departure) {
        match (key, departure) {
            // Nobody is here any longer who waits for the answer.
            _ if request.origin == self.cx.me() => {}
            (Some(key), Departure::To(_)) => self.cx.chord.pass_on(self.cx.now, key, request),
            // Its origin asks again, and finds the next root.
            (Some(_), Departure::Alone | Departure::Late) => {}
            (None, _) => self.refuse(&request, "the node has left the ring"),
        }
    }
}
