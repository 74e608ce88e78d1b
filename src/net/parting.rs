//! Why two nodes part before they talk, in words.

use std::fmt;
use std::io;
use std::time::Duration;

use super::greeting::PROTOCOL_VERSION;
use crate::id::NodeHandle;

/// Why there is no connection between this node and another.
#[derive(Debug)]
pub enum Parting {
    /// Nothing listens there, or the system says otherwise why not.
    Connect(io::Error),
    /// No connection within this time.
    ConnectTimeout(Duration),
    /// The name of the host cannot be resolved.
    Resolve(io::Error),
    /// What answers is not a node of chord-chat.
    NotChordChat,
    /// The other node speaks another version of the protocol.
    Version {
        /// The other's version; ours is [`PROTOCOL_VERSION`].
        theirs: u16,
    },
    /// The other node belongs to another network.
    Network {
        /// The name of the other's network.
        theirs: String,
        /// The name of ours.
        ours: String,
    },
    /// No greeting within this time.
    Silent(Duration),
    /// The other side closed the connection in the middle of the greeting.
    Closed,
    /// The address is the node's own.
    Itself,
    /// Another node than the one that was called has answered.
    Another(NodeHandle),
    /// The two have a connection already, or the other one is about to make it.
    Duplicate,
    /// The other node is about to leave.
    Leaving,
    /// The other node has as many connections as it can have.
    Full,
}

impl Parting {
    /// Whether the other one is a node that means well, so that people should know why the two part.
    pub(super) fn is_between_nodes(&self) -> bool {
        matches!(self, Parting::Version { .. } | Parting::Network { .. })
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Parting::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => write!(f, "nothing listens there"),
                _ => write!(f, "cannot connect: {error}"),
            },
            Parting::ConnectTimeout(after) => write!(f, "no connection within {after:?}"),
            Parting::Resolve(error) => write!(f, "cannot find the host: {error}"),
            Parting::NotChordChat => write!(f, "what answers there is not chord-chat"),
            Parting::Version { theirs } => {
                write!(f, "that node speaks protocol version {theirs}, this one {PROTOCOL_VERSION}")
            }
            // The name comes from a stranger and goes to a terminal.
            Parting::Network { theirs, ours } => {
                let theirs = theirs.escape_debug();
                write!(f, "that node is in the network '{theirs}', this one in '{ours}'")
            }
            Parting::Silent(after) => write!(f, "no greeting within {after:?}"),
            Parting::Closed => write!(f, "closed the connection in the middle of the greeting"),
            Parting::Itself => write!(f, "is this node itself"),
            Parting::Another(node) => write!(f, "another node answers there: {node}"),
            Parting::Duplicate => write!(f, "there is a connection already"),
            Parting::Leaving => write!(f, "that node is leaving"),
            Parting::Full => write!(f, "that node has too many connections"),
        }
    }
}

impl std::error::Error for Parting {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Parting::Connect(error) | Parting::Resolve(error) => Some(error),
            _ => None,
        }
    }
}
