//! The commands that a node serves.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::builtin;
use super::call::{Call, Payload};
use super::command::{Answer, Command, Handler, Request};
use super::{Application, Context};
use crate::chord;
use crate::id::Id;

/// A command that has arrived, as bytes.
pub(super) struct Arrived {
    /// The key of which this node is the root, if it came by key.
    pub(super) key: Option<Id>,
    pub(super) request: chord::Request<Call>,
}

/// A [`Handler`] whose types are forgotten; returns nothing if the answer comes later.
pub(super) type Serve<A> = Arc<dyn Fn(&mut A, &mut Context<A>, Arrived) -> Option<Call> + Send + Sync>;

pub(super) struct Registry<A: Application> {
    pub(super) commands: BTreeMap<&'static str, Serve<A>>,
}

/// Why a command was not registered; nothing has changed.
///
/// ```
/// use chord_chat::application::NotRegistered;
///
/// assert_eq!(NotRegistered::Twice("add").to_string(), "the command add is registered already");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRegistered {
    /// A command of this name is registered already.
    Twice(&'static str),
    /// Every node has a command of this name; see [`builtin`].
    BuiltIn(&'static str),
}

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRegistered::Twice(name) => write!(f, "the command {name} is registered already"),
            NotRegistered::BuiltIn(name) => write!(f, "the command {name} is built in"),
        }
    }
}

impl std::error::Error for NotRegistered {}

impl<A: Application> Default for Registry<A> {
    fn default() -> Registry<A> {
        Registry { commands: BTreeMap::new() }
    }
}

impl<A: Application> Registry<A> {
    pub(super) fn insert<Q, R>(
        &mut self,
        command: Command<Q, R>,
        handler: Handler<A, Q, R>,
    ) -> Result<(), NotRegistered>
    where
        Q: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        let name = command.name();
        if builtin::NAMES.contains(&name) {
            return Err(NotRegistered::BuiltIn(name));
        }
        if self.commands.contains_key(name) {
            return Err(NotRegistered::Twice(name));
        }
        let serve: Serve<A> = Arc::new(move |application, cx, arrived| {
            let Arrived { key, request: chord::Request { origin: from, id, payload: call } } = arrived;
            let Some(payload) = call.payload().and_then(Payload::read) else {
                return Some(Call::refused(format!("the payload is not one of the command {name}")));
            };
            match handler(application, cx, Request { from, id, key, payload, answer: PhantomData }) {
                Answer::Ok(answer) => Some(Call::answered(&answer)),
                Answer::Refused(reason) => Some(Call::refused(reason)),
                Answer::Later => None,
            }
        });
        self.commands.insert(name, serve);
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.commands.remove(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<Serve<A>> {
        self.commands.get(name).cloned()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.commands.keys().copied()
    }
}
