//! The commands that every node serves, whatever its application: what it knows of the ring.
//!
//! ```
//! use chord_chat::application::{Application, Context, Reply, builtin};
//! use chord_chat::id::NodeHandle;
//!
//! /// Tells who is before each node that it is asked about.
//! struct Explorer;
//!
//! impl Application for Explorer {
//!     type Command = NodeHandle;
//!     type Event = Option<NodeHandle>;
//!
//!     fn on_command(&mut self, cx: &mut Context<Explorer>, node: NodeHandle) {
//!         cx.request_to(node, builtin::PREDECESSOR, (), Explorer::told);
//!     }
//! }
//!
//! impl Explorer {
//!     fn told(&mut self, cx: &mut Context<Explorer>, reply: Reply<Option<NodeHandle>>) {
//!         if let Ok(predecessor) = reply.answer {
//!             cx.emit(predecessor);
//!         }
//!     }
//! }
//! ```

use super::call::Call;
use super::command::Command;
use super::{Application, Context};
use crate::id::NodeHandle;

/// Whether the node answers.
pub const PING: Command<(), ()> = Command::new("ping");

/// Who is before the node, if it knows.
pub const PREDECESSOR: Command<(), Option<NodeHandle>> = Command::new("predecessor");

/// Who is after the node, nearest first; nobody if it is alone.
pub const SUCCESSORS: Command<(), Vec<NodeHandle>> = Command::new("successors");

/// The names of the commands that are registered at the node, built-in ones not included.
pub const COMMANDS: Command<(), Vec<String>> = Command::new("commands");

pub(super) const NAMES: [&str; 4] = [PING.name(), PREDECESSOR.name(), SUCCESSORS.name(), COMMANDS.name()];

/// The answer to a built-in command; nothing if `name` is another one.
pub(super) fn answer<A: Application>(cx: &Context<A>, name: &str) -> Option<Call> {
    match name {
        _ if name == PING.name() => Some(Call::answered(&())),
        _ if name == PREDECESSOR.name() => Some(Call::answered(&cx.predecessor())),
        _ if name == SUCCESSORS.name() => Some(Call::answered(&cx.successors())),
        _ if name == COMMANDS.name() => Some(Call::answered(&cx.commands().collect::<Vec<_>>())),
        _ => None,
    }
}
