//! A host as a value: copied and compared, for the simulator to try every order.
//!
//! Functions cannot be compared: of the commands that are registered and the requests that wait, only
//! the names and the ids are.

use std::cmp::Ordering;
use std::sync::Arc;

use super::call::Call;
use super::command::{Failure, MessageId};
use super::context::{Context, Stage, Waiting};
use super::registry::Registry;
use super::{Application, Host};
use crate::chord::Chord;
use crate::id::NodeHandle;

impl<A: Application<Event: Clone> + Clone> Clone for Host<A> {
    fn clone(&self) -> Host<A> {
        let Host { application, cx, predecessor, stops } = self;
        Host { application: application.clone(), cx: cx.clone(), predecessor: *predecessor, stops: *stops }
    }
}

impl<A: Application<Event: Clone>> Clone for Context<A> {
    fn clone(&self) -> Context<A> {
        Context {
            chord: self.chord.clone(),
            registry: self.registry.clone(),
            now: self.now,
            stage: self.stage.clone(),
            wants_to_leave: self.wants_to_leave,
            handed_over_to: self.handed_over_to,
            waiting: self.waiting.clone(),
            failed: self.failed.clone(),
            events: self.events.clone(),
        }
    }
}

impl<A: Application> Clone for Registry<A> {
    fn clone(&self) -> Registry<A> {
        Registry { commands: self.commands.clone() }
    }
}

impl<A: Application> Clone for Waiting<A> {
    fn clone(&self) -> Waiting<A> {
        match self {
            Waiting::Reply(resume) => Waiting::Reply(Arc::clone(resume)),
            Waiting::Root(then) => Waiting::Root(*then),
        }
    }
}

/// What of a host is compared.
type Comparable<'a, A> = (
    (&'a A, &'a Chord<Call>, &'a Stage, Option<NodeHandle>),
    (Vec<&'static str>, Vec<MessageId>, Vec<&'a (MessageId, Failure)>),
    (bool, bool, Option<NodeHandle>, usize),
);

impl<A: Application> Host<A> {
    fn comparable(&self) -> Comparable<'_, A> {
        let Host { application, cx, predecessor, stops } = self;
        (
            (application, &cx.chord, &cx.stage, *predecessor),
            (cx.commands().collect(), cx.waiting.keys().copied().collect(), cx.failed.iter().collect()),
            (*stops, cx.wants_to_leave, cx.handed_over_to, cx.events.len()),
        )
    }
}

impl<A: Application + Eq> PartialEq for Host<A> {
    fn eq(&self, other: &Host<A>) -> bool {
        self.comparable() == other.comparable()
    }
}

impl<A: Application + Eq> Eq for Host<A> {}

impl<A: Application + Ord> PartialOrd for Host<A> {
    fn partial_cmp(&self, other: &Host<A>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<A: Application + Ord> Ord for Host<A> {
    fn cmp(&self, other: &Host<A>) -> Ordering {
        self.comparable().cmp(&other.comparable())
    }
}
