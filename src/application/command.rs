//! Commands: what one node asks of another, by name.
//!
//! origin -> … -> root of a key, or a node: name, payload
//! it -> origin: Ok(payload), UnknownCommand, NotRoot or Refused(reason)

use std::fmt;
use std::marker::PhantomData;

use super::Context;
use crate::chord;
use crate::chord::message::Number;
use crate::id::{Id, NodeHandle};

/// The longest name of a command, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The number that a node gives to a request of its own; it never gives the same one twice, not even
/// after a restart.
/// Together with the node's handle it names the request everywhere.
pub type MessageId = Number;

/// The name of a command, with the types of what is asked and of what is answered.
///
/// Both sides use the same constant, so they cannot disagree about the types.
///
/// ```
/// use chord_chat::application::Command;
///
/// /// Counts a word, and answers how often it has been counted.
/// const ADD: Command<String, u64> = Command::new("add");
/// assert_eq!(ADD.name(), "add");
/// ```
///
/// A name that cannot be one is an error of the compiler:
///
/// ```compile_fail
/// # use chord_chat::application::Command;
/// const ADD: Command<String, u64> = Command::new("add a word");
/// ```
pub struct Command<Q, R> {
    name: &'static str,
    types: PhantomData<fn(Q) -> R>,
}

impl<Q, R> Command<Q, R> {
    /// The command of this name.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than [`NAME_BYTES_MAX`], or has white space or control characters
    /// in it.
    pub const fn new(name: &'static str) -> Command<Q, R> {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= NAME_BYTES_MAX, "a name has 1 to 64 bytes");
        let mut i = 0;
        while i < bytes.len() {
            assert!(b' ' < bytes[i] && bytes[i] != 0x7f, "a name has no white space in it");
            i += 1;
        }
        Command { name, types: PhantomData }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<Q, R> Clone for Command<Q, R> {
    fn clone(&self) -> Command<Q, R> {
        *self
    }
}

impl<Q, R> Copy for Command<Q, R> {}

impl<Q, R> fmt::Debug for Command<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.name).finish()
    }
}

/// A function that serves a command.
///
/// Functions run one at a time, and none may wait: who cannot answer yet returns [`Answer::Later`].
///
/// ```
/// use chord_chat::application::{Answer, Application, Context, Handler, Request};
/// # struct Tally;
/// # impl Application for Tally {
/// #     type Command = ();
/// #     type Event = ();
/// #     fn on_command(&mut self, _: &mut Context<Tally>, _: ()) {}
/// # }
/// fn length(_: &mut Tally, _: &mut Context<Tally>, request: Request<String, usize>) -> Answer<usize> {
///     Answer::Ok(request.payload.len())
/// }
/// let serve: Handler<Tally, String, usize> = length;
/// ```
pub type Handler<A, Q, R> = fn(&mut A, &mut Context<A>, Request<Q, R>) -> Answer<R>;

/// A function that is called with the answer to an own request, or with why there is none.
/// It is called once for each request.
pub type ReplyHandler<A, R> = fn(&mut A, &mut Context<A>, Reply<R>);

/// A command that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request<Q, R> {
    /// Who asks.
    pub from: NodeHandle,
    /// The number that the sender gave it: a repeat has the same one, and is not delivered again.
    pub id: MessageId,
    /// *Deliver*: the key of which this node is the root.
    /// *Receive*: nothing, when the sender asked for this very node.
    pub key: Option<Id>,
    /// What is asked.
    pub payload: Q,
    pub(super) answer: PhantomData<fn() -> R>,
}

impl<Q, R> Request<Q, R> {
    /// With what an [`Answer::Later`] is given when it is there.
    ///
    /// ```
    /// use chord_chat::application::{Answer, Application, Context, Request, Ticket};
    ///
    /// /// Answers each request when the next one comes.
    /// #[derive(Default)]
    /// struct Slow(Option<Ticket<u8>>);
    ///
    /// impl Application for Slow {
    ///     type Command = ();
    ///     type Event = ();
    ///     fn on_command(&mut self, _: &mut Context<Slow>, _: ()) {}
    /// }
    ///
    /// fn echo(slow: &mut Slow, cx: &mut Context<Slow>, request: Request<u8, u8>) -> Answer<u8> {
    ///     if let Some(before) = slow.0.replace(request.ticket()) {
    ///         cx.reply(before, request.payload);
    ///     }
    ///     Answer::Later
    /// }
    /// ```
    pub fn ticket(&self) -> Ticket<R> {
        Ticket { origin: self.from, id: self.id, answer: PhantomData }
    }
}

/// The right to answer a request later, by [`Context::reply`] or [`Context::refuse`].
///
/// Whoever drops it leaves the origin without an answer, until its deadline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "the request is not answered yet"]
pub struct Ticket<R> {
    pub(super) origin: NodeHandle,
    pub(super) id: MessageId,
    answer: PhantomData<fn() -> R>,
}

/// What a [`Handler`] answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer<R> {
    /// It is done; this is the answer.
    Ok(R),
    /// It is not done, for this reason.
    ///
    /// Of a reason longer than [`REASON_BYTES_MAX`](super::REASON_BYTES_MAX) only the beginning is sent.
    Refused(String),
    /// The answer comes later, by the [`Ticket`] of the request.
    /// The origin waits for 5 s.
    Later,
}

impl<R> Answer<R> {
    /// Refuses for this reason.
    ///
    /// ```
    /// use chord_chat::application::Answer;
    ///
    /// assert_eq!(Answer::<u64>::refused("no vote twice"), Answer::Refused("no vote twice".to_owned()));
    /// ```
    pub fn refused(reason: impl Into<String>) -> Answer<R> {
        Answer::Refused(reason.into())
    }
}

/// What became of an own request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reply<R> {
    /// The number that [`Context::request`] returned.
    pub id: MessageId,
    /// Who answered; nobody if nobody did.
    pub from: Option<NodeHandle>,
    /// The answer, or why there is none.
    pub answer: Result<R, Failure>,
}

/// Why an own request was not done, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The node that was asked has no such command: nothing was done.
    UnknownCommand,
    /// The node that was asked is not the root of the key, or is about to leave: nothing was done.
    /// Only for [`Context::request_to_root`]; what is sent by key alone is routed on.
    NotRoot,
    /// The node that was asked does not want to, for this reason.
    Refused(String),
    /// The payload is so many bytes long, which is more than [`PAYLOAD_BYTES_MAX`](super::PAYLOAD_BYTES_MAX):
    /// it was not sent.
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Too many own requests wait for an answer: it was not sent.
    TooMany,
    /// Nobody answered until the deadline: it may have been done all the same.
    NoAnswer,
    /// The node cannot be reached: it may have been done all the same.
    Unreachable,
    /// The answer does not decode as the type that it should have: it was done.
    Malformed,
    /// This node has left the ring meanwhile: it may have been done all the same.
    Left,
}

impl From<chord::Failure> for Failure {
    fn from(failure: chord::Failure) -> Failure {
        match failure {
            chord::Failure::NoAnswer => Failure::NoAnswer,
            chord::Failure::Unreachable => Failure::Unreachable,
            chord::Failure::TooMany => Failure::TooMany,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::UnknownCommand => f.write_str("the node does not know the command"),
            Failure::NotRoot => f.write_str("the node is not the root of the key"),
            Failure::Refused(reason) => write!(f, "refused: {reason}"),
            Failure::TooLong { bytes } => {
                write!(f, "{bytes} bytes are too long; the limit is {}", super::PAYLOAD_BYTES_MAX)
            }
            Failure::TooMany => f.write_str("too many requests wait for an answer"),
            Failure::NoAnswer => f.write_str("nobody answered in time"),
            Failure::Unreachable => f.write_str("the node cannot be reached"),
            Failure::Malformed => f.write_str("the answer is malformed"),
            Failure::Left => f.write_str("this node has left the ring"),
        }
    }
}

impl std::error::Error for Failure {}
