//! What the driver and the simulator run: a value that turns inputs into outputs.

pub mod batches;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::NodeHandle;
use crate::time::Time;

/// What happens to a node.
///
/// A failure of the network is an input like any other, never an error to handle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input<C, M> {
    /// The user, or the program that embeds the node, wants something.
    Command(C),
    /// A message from the node that the greeting of its connection named.
    Message {
        /// Who sent it.
        from: NodeHandle,
        /// What it says.
        message: M,
    },
    /// A peer cannot be reached: nothing listens there, the connection broke, or it does not read.
    Unreachable {
        /// Who cannot be reached.
        peer: NodeHandle,
        /// What is certain not to have reached it, oldest first.
        undelivered: Vec<M>,
    },
    /// The time that [`Machine::next_wakeup`] named has come.
    Wakeup,
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output<E, M> {
    /// Send a message.
    /// It arrives once, or [`Input::Unreachable`] comes, or it is lost without a word.
    Send {
        /// Who gets it.
        to: NodeHandle,
        /// What it says.
        message: M,
    },
    /// Tell the user, or the program that embeds the node.
    Event(E),
    /// Keep something on the disk, if there is one.
    Keep(Keep),
    /// The node has left the ring: send what is still queued, then end.
    Stop,
}

/// A change of what is kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keep {
    /// What it is kept under.
    pub key: Vec<u8>,
    /// What is kept from now on; nothing to forget it.
    pub value: Option<Vec<u8>>,
    /// How long it may take until it is written.
    ///
    /// Zero means that whatever is put out after it rests on it: nothing of that leaves the node before
    /// this is on the disk.
    pub within: Duration,
}

/// A node as a value: no socket, clock, task, thread, file or unseeded randomness.
pub trait Machine {
    /// What the user can ask for.
    type Command;
    /// What the user is told.
    type Event: fmt::Debug;
    /// What nodes say to one another.
    type Message: Serialize + DeserializeOwned + Clone + fmt::Debug;

    /// The node's own handle.
    fn me(&self) -> NodeHandle;

    /// Reacts to `input` at the time `now`, which is never earlier than in the call before.
    ///
    /// What should be done is appended to `outputs`, in order.
    fn handle(
        &mut self,
        now: Time,
        input: Input<Self::Command, Self::Message>,
        outputs: &mut Vec<Output<Self::Event, Self::Message>>,
    );

    /// When [`Input::Wakeup`] is due, if no input comes before.
    /// It may have changed after every input.
    fn next_wakeup(&self) -> Option<Time>;

    /// The number of the lookup that this machine begins or repeats with `message`, if it does: later
    /// lookups have greater numbers.
    /// Whoever runs the machine counts them by it; a machine without lookups has nothing to say.
    fn lookup(&self, _message: &Self::Message) -> Option<u64> {
        None
    }

    /// What a message is about, in a word, for people who watch the messages of a node as they pass; nothing if they
    /// are not shown it.
    fn topic(_message: &Self::Message) -> Option<&'static str> {
        None
    }
}
