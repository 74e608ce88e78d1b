//! A node that is nothing but its part in the ring, for experiments with rings.

use crate::chord::message::Number;
use crate::chord::{Chord, Message, Output, Upcall};
use crate::id::{Id, NodeHandle};
use crate::machine::{self, Input, Machine};
use crate::time::Time;

/// A node of a ring without an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bare(pub Chord<()>);

/// What a [`Bare`] node can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// Join the ring through this node.
    Join(NodeHandle),
    /// Leave it.
    Leave,
    /// Look the root of a key up as in the paper, iteratively: see [`Chord::trace`].
    Trace(Id),
    /// Look it up as the chat does: the message is handed on, and sent again where no answer comes.
    /// See [`Chord::find_root`].
    Find(Id),
}

/// What a [`Bare`] node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Since now the root of this key is looked for, under this number.
    Looks(Number, Id),
    /// What its part in the ring tells.
    Up(Upcall<()>),
}

impl Machine for Bare {
    type Command = Do;
    type Event = Told;
    type Message = Message<()>;

    fn me(&self) -> NodeHandle {
        self.0.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Do, Message<()>>,
        outputs: &mut Vec<machine::Output<Told, Message<()>>>,
    ) {
        let looks = |number, key| machine::Output::Event(Told::Looks(number, key));
        match input {
            Input::Command(Do::Join(via)) => self.0.join(now, via),
            Input::Command(Do::Leave) => self.0.leave(now),
            Input::Command(Do::Trace(key)) => outputs.push(looks(self.0.trace(now, key, false), key)),
            Input::Command(Do::Find(key)) => outputs.push(looks(self.0.find_root(now, key), key)),
            Input::Message { from, message } => self.0.handle(now, Input::Message { from, message }),
            Input::Unreachable { peer, undelivered } => {
                self.0.handle(now, Input::Unreachable { peer, undelivered });
            }
            Input::Wakeup => self.0.handle(now, Input::Wakeup),
        }
        while let Some(output) = self.0.next_output() {
            let has_left = matches!(output, Output::Upcall(Upcall::Left { .. }));
            outputs.push(match output {
                Output::Send { to, message } => machine::Output::Send { to, message },
                Output::Upcall(upcall) => machine::Output::Event(Told::Up(upcall)),
            });
            if has_left {
                outputs.push(machine::Output::Stop);
            }
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.0.next_wakeup()
    }
}
