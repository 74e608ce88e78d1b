//! What the functions of an application can do and ask while they run.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Application;
use super::call::{Call, Payload};
use super::command::{Command, Failure, Handler, MessageId, Reply, ReplyHandler, Ticket};
use super::leave::Leaving;
use super::registry::{NotRegistered, Registry};
use crate::chord::Chord;
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How a node of the ring looks to its application: the ring, the registered commands, and whoever
/// runs the node.
///
/// Whatever is asked for here is done after the function that asks has returned.
///
/// ```
/// use chord_chat::application::{Answer, Application, Command, Context, Reply, Request};
/// use chord_chat::id::Id;
///
/// const ADD: Command<String, u64> = Command::new("add");
///
/// struct Tally;
///
/// impl Application for Tally {
///     type Command = String;
///     type Event = String;
///
///     fn on_command(&mut self, cx: &mut Context<Tally>, word: String) {
///         if cx.is_root(Id::hash(&word)) == Some(true) {
///             cx.emit(format!("{word} is counted here, by {}", cx.me()));
///         }
///         cx.request(Id::hash(&word), ADD, word, Tally::added);
///     }
/// }
///
/// impl Tally {
///     fn added(&mut self, cx: &mut Context<Tally>, reply: Reply<u64>) {
///         cx.emit(match reply.answer {
///             Ok(count) => format!("{count} times"),
///             Err(failure) => format!("not counted: {failure}"),
///         });
///     }
/// }
/// ```
pub struct Context<A: Application> {
    pub(super) chord: Chord<Call>,
    pub(super) registry: Registry<A>,
    pub(super) now: Time,
    pub(super) stage: Stage,
    /// Whether [`Context::leave`] was called and has not been seen to.
    pub(super) wants_to_leave: bool,
    /// For whom [`Context::handed_over`] was called and has not been seen to.
    pub(super) handed_over_to: Option<NodeHandle>,
    pub(super) waiting: BTreeMap<MessageId, Waiting<A>>,
    /// Own requests that were not even sent.
    pub(super) failed: VecDeque<(MessageId, Failure)>,
    pub(super) events: Vec<A::Event>,
}

/// Where a node is on its way into the ring and out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Outside,
    Joining,
    Member,
    Leaving(Leaving),
    Left,
}

/// Who waits for an answer.
pub(super) enum Waiting<A: Application> {
    Reply(Resume<A>),
    Root(ReplyHandler<A, NodeHandle>),
}

/// A [`ReplyHandler`] whose type of answer is forgotten.
pub(super) type Resume<A> = Arc<dyn Fn(&mut A, &mut Context<A>, Reply<Payload>) + Send + Sync>;

impl<A: Application> Context<A> {
    pub(super) fn new(chord: Chord<Call>, now: Time) -> Context<A> {
        Context {
            chord,
            registry: Registry::default(),
            now,
            stage: Stage::Outside,
            wants_to_leave: false,
            handed_over_to: None,
            waiting: BTreeMap::new(),
            failed: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// The time; it stands still while a function runs.
    pub fn now(&self) -> Time {
        self.now
    }

    /// This node.
    pub fn me(&self) -> NodeHandle {
        self.chord.me()
    }

    /// Whether this node is the root of `key`: yes, no, or not known yet.
    ///
    /// A node that has not joined, or does not know who is before it, claims nothing that it might not
    /// be the root of.
    pub fn is_root(&self, key: Id) -> Option<bool> {
        self.chord.is_root(key)
    }

    /// The node before this one; nobody if this node is alone, or does not know.
    pub fn predecessor(&self) -> Option<NodeHandle> {
        self.chord.predecessor()
    }

    /// The node after this one; nobody if this node is alone.
    pub fn successor(&self) -> Option<NodeHandle> {
        self.successors().first().copied()
    }

    /// The nodes after this one, nearest first, at most [`SUCCESSORS`](crate::chord::SUCCESSORS).
    pub fn successors(&self) -> &[NodeHandle] {
        self.chord.successors()
    }

    /// Whether this node has been told to leave.
    pub fn is_leaving(&self) -> bool {
        self.wants_to_leave || matches!(self.stage, Stage::Leaving(_) | Stage::Left)
    }

    /// Has the root of `key` do `command`; `then` is called once, with its answer or with the failure.
    ///
    /// The ring finds the root, goes around nodes that are dead, and asks again, under the same id,
    /// until there is an answer or 5 s have passed; no node acts on the same id twice.
    /// After a change of root, two nodes may have acted: whoever counts, counts ids.
    pub fn request<Q, R>(
        &mut self,
        key: Id,
        command: Command<Q, R>,
        payload: impl Borrow<Q>,
        then: ReplyHandler<A, R>,
    ) -> MessageId
    where
        Q: Serialize,
        R: DeserializeOwned + 'static,
    {
        let send = |chord: &mut Chord<Call>, now, call| chord.request(now, key, call);
        self.ask(command, None, payload.borrow(), then, send)
    }

    /// Has this very `node` do `command`; `then` is called once, with its answer or with the failure.
    pub fn request_to<Q, R>(
        &mut self,
        node: NodeHandle,
        command: Command<Q, R>,
        payload: impl Borrow<Q>,
        then: ReplyHandler<A, R>,
    ) -> MessageId
    where
        Q: Serialize,
        R: DeserializeOwned + 'static,
    {
        let send = |chord: &mut Chord<Call>, now, call| chord.request_to(now, node, call);
        self.ask(command, None, payload.borrow(), then, send)
    }

    /// Has this very `node` do `command`, but only if it is the root of `key`:
    /// otherwise it answers [`Failure::NotRoot`].
    ///
    /// For who has looked for the root before: it saves the way through the ring.
    pub fn request_to_root<Q, R>(
        &mut self,
        node: NodeHandle,
        key: Id,
        command: Command<Q, R>,
        payload: impl Borrow<Q>,
        then: ReplyHandler<A, R>,
    ) -> MessageId
    where
        Q: Serialize,
        R: DeserializeOwned + 'static,
    {
        let send = |chord: &mut Chord<Call>, now, call| chord.request_to(now, node, call);
        self.ask(command, Some(key), payload.borrow(), then, send)
    }

    fn ask<Q, R>(
        &mut self,
        command: Command<Q, R>,
        root_of: Option<Id>,
        payload: &Q,
        then: ReplyHandler<A, R>,
        send: impl FnOnce(&mut Chord<Call>, Time, Call) -> MessageId,
    ) -> MessageId
    where
        Q: Serialize,
        R: DeserializeOwned + 'static,
    {
        let id = match Payload::of(payload) {
            // Nobody is called after the end.
            _ if self.stage == Stage::Left => return self.chord.new_number(),
            Ok(payload) => {
                let name = command.name().to_owned();
                send(&mut self.chord, self.now, Call::Command { name, root_of, payload })
            }
            Err(bytes) => {
                let id = self.chord.new_number();
                self.failed.push_back((id, Failure::TooLong { bytes }));
                id
            }
        };
        let resume: Resume<A> = Arc::new(move |application, cx, reply| {
            let Reply { id, from, answer } = reply;
            let answer = answer.and_then(|payload| payload.read().ok_or(Failure::Malformed));
            then(application, cx, Reply { id, from, answer });
        });
        self.waiting.insert(id, Waiting::Reply(resume));
        id
    }

    /// Looks for the root of `key`; `then` is called once, with the root or with the failure.
    ///
    /// The answer is a hint: when it comes, another node may be the root.
    pub fn find_root(&mut self, key: Id, then: ReplyHandler<A, NodeHandle>) -> MessageId {
        if self.stage == Stage::Left {
            return self.chord.new_number();
        }
        let id = self.chord.find_root(self.now, key);
        self.waiting.insert(id, Waiting::Root(then));
        id
    }

    /// Answers a request for which [`Answer::Later`](super::Answer::Later) was returned.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one answer")]
    pub fn reply<R: Serialize>(&mut self, ticket: Ticket<R>, answer: impl Borrow<R>) {
        self.chord.reply(self.now, ticket.origin, ticket.id, Call::answered(answer.borrow()));
    }

    /// Refuses a request for which [`Answer::Later`](super::Answer::Later) was returned.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one answer")]
    pub fn refuse<R>(&mut self, ticket: Ticket<R>, reason: impl Into<String>) {
        self.chord.reply(self.now, ticket.origin, ticket.id, Call::refused(reason.into()));
    }

    /// Tells whoever runs this node.
    pub fn emit(&mut self, event: A::Event) {
        self.events.push(event);
    }

    /// Leaves the ring in good order: see [`Application::on_leaving`].
    pub fn leave(&mut self) {
        self.wants_to_leave = true;
    }

    /// Says that `successor` has all that it should have: this node may go.
    ///
    /// If another node has come between meanwhile, [`Application::on_leaving`] is called with that one.
    pub fn handed_over(&mut self, successor: NodeHandle) {
        self.handed_over_to = Some(successor);
    }

    /// Serves a command from now on; see [`Host::register`](super::Host::register).
    pub fn register<Q, R>(
        &mut self,
        command: Command<Q, R>,
        handler: Handler<A, Q, R>,
    ) -> Result<(), NotRegistered>
    where
        Q: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        self.registry.insert(command, handler)
    }

    /// Serves a command no longer; see [`Host::unregister`](super::Host::unregister).
    pub fn unregister(&mut self, name: &str) -> bool {
        self.registry.remove(name)
    }

    /// The names of the commands that are registered here, built-in ones not included.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> {
        self.registry.names()
    }
}
