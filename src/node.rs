//! What a front end may ask of a node.

use crate::id::NodeHandle;

/// What the user, or the program that embeds the node, wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Join the ring of `bootstrap`, or begin one.
    Start {
        /// A node of the ring.
        bootstrap: Option<NodeHandle>,
    },
    /// A line as the user typed it.
    Line(String),
    /// Leave in good order.
    Exit,
}
