//! What a user can see: the one truth that every front end renders.

use std::fmt;
use std::time::Duration;

use super::ask::{Answer, Ticket};
use crate::id::{Id, IdPrefix, NodeHandle};
pub use crate::records::Why;
pub use crate::records::channel::MessageId;
use crate::records::name::{ChannelName, Nick};
use crate::records::value::ValueKey;

/// How many characters of a message tell it from others.
const SHORTENED_CHARS_MAX: usize = 30;

/// The beginning of a message, which tells the user which one is meant.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHORTENED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// Something that the user is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The node is a member of the ring and the nick is the user's.
    Ready {
        /// The user's nick.
        nick: Nick,
        /// The node's own handle.
        node: NodeHandle,
        /// Whether the ring began with this node.
        ring: RingOrigin,
    },
    /// The user is a member of a channel.
    Joined {
        /// Which channel.
        channel: ChannelName,
        /// Everyone who is in it, in order.
        members: Vec<Nick>,
    },
    /// The user is no longer a member of a channel.
    Left {
        /// Which channel.
        channel: ChannelName,
    },
    /// Someone else came to a channel or went.
    Member {
        /// Which channel.
        channel: ChannelName,
        /// Who.
        nick: Nick,
        /// What happened.
        change: MemberChange,
    },
    /// A message in a channel.
    Message {
        /// Which channel.
        channel: ChannelName,
        /// Who wrote it.
        from: Nick,
        /// What it says; it may hold any character.
        text: String,
        /// Its unique id.
        id: MessageId,
        /// The root's term: it rises when another node becomes the channel's root.
        epoch: u64,
        /// The place within the epoch, from 1.
        seq: u64,
        /// Whether it was said before: before the user came, or while they were away.
        history: bool,
        /// Whether it stands before messages that were shown already: it was said where the network was cut
        /// off from here.
        late: bool,
    },
    /// Two parts of the network, or two logs of a channel, have become one again.
    Healed {
        /// Which channel.
        channel: ChannelName,
        /// Everyone who is in it, in order, if they are not too many to list.
        members: Vec<Nick>,
    },
    /// More was said in a channel than is kept, while the user was away: the oldest of it is not shown any more.
    Gap {
        /// Which channel.
        channel: ChannelName,
    },
    /// The user has another nick.
    Renamed {
        /// The nick from now on.
        nick: Nick,
        /// The one so far.
        was: Nick,
        /// The node of the person who claimed that one earlier.
        holder: NodeHandle,
    },
    /// What the user asked for of a channel's past has been shown.
    History {
        /// Which channel.
        channel: ChannelName,
        /// How many messages that was.
        messages: usize,
    },
    /// A private message for the user.
    Private {
        /// Who wrote it.
        from: Nick,
        /// What it says; it may hold any character.
        text: String,
        /// Its unique id.
        id: MessageId,
        /// Whether it was written while the user was away.
        history: bool,
    },
    /// How far a message of the user's has come.
    Sent {
        /// Its unique id.
        id: MessageId,
        /// To whom.
        to: Recipient,
        /// What it says.
        text: String,
        /// How far.
        state: SentState,
    },
    /// A record has moved to or from this node.
    Migrated {
        /// What kind of record: `channel` or `name`.
        kind: &'static str,
        /// Its name: the channel's without `#`, or the nick.
        name: String,
        /// Which way.
        direction: Direction,
        /// The other node.
        peer: NodeHandle,
        /// Why.
        why: Why,
    },
    /// The ring around this node has changed.
    Ring {
        /// What has changed.
        change: RingChange,
        /// The node that it is about.
        peer: NodeHandle,
    },
    /// A command could not be carried out, or something went wrong by itself.
    Error {
        /// The command's name, or `node` when no command is to blame.
        command: String,
        /// What happened, to what, and what to do.
        message: String,
    },
    /// The answer to `help`.
    Help {
        /// Lines to show.
        text: String,
    },
    /// The answer to `who`: the members of a channel.
    Who {
        /// Which channel.
        channel: ChannelName,
        /// Everyone who is in it, with their nodes.
        members: Vec<(Nick, NodeHandle)>,
    },
    /// The answer to `channels`: the channels of this session.
    Channels {
        /// The channels that the user has joined.
        channels: Vec<ChannelName>,
    },
    /// The answer to `names`: the people that this session knows.
    Names {
        /// Their nicks, in order.
        names: Vec<Nick>,
    },
    /// The answer to `whois`.
    Whois {
        /// The nick that was asked for.
        nick: Nick,
        /// The node of its holder.
        node: NodeHandle,
        /// The node that keeps the name.
        root: NodeHandle,
    },
    /// The answer to `ring`.
    RingState {
        /// This node.
        node: NodeHandle,
        /// The node before it, if known.
        predecessor: Option<NodeHandle>,
        /// The nodes after it, nearest first.
        successors: Vec<NodeHandle>,
        /// The fingers: the first exponent each stands for, and the node.
        fingers: Vec<(u32, NodeHandle)>,
        /// How many records it keeps as their root.
        records_as_root: usize,
        /// How many records it keeps as copies for other roots.
        records_as_copy: usize,
    },
    /// The answer to `trace`.
    Trace {
        /// What was looked for: `#channel`, a nick or an id.
        target: String,
        /// Its place on the circle.
        key: Id,
        /// The nodes that were asked, in order, this one first, and how long each took to answer.
        hops: Vec<(NodeHandle, Duration)>,
        /// The root of the key, or why it was not found.
        root: Result<NodeHandle, String>,
        /// Whether the way went successor by successor.
        linear: bool,
    },
    /// The answer to `put` and `del`: enough nodes have it to survive crashes.
    Written {
        /// Under which key.
        key: ValueKey,
        /// Whether the value was deleted.
        deleted: bool,
        /// Whether there was a value before.
        was_there: bool,
        /// The node that keeps it, with its copies.
        root: NodeHandle,
    },
    /// The answer to `get`.
    Value {
        /// Which key.
        key: ValueKey,
        /// The value, if there is one: any bytes.
        value: Option<Vec<u8>>,
        /// The node that has answered.
        root: NodeHandle,
        /// If that was asked for: the nodes on the way there, this one first, and how long each took to answer.
        path: Vec<(NodeHandle, Duration)>,
    },
    /// The answer to a program's question: it is for that alone, and no user is shown it.
    Answer {
        /// Whose answer it is.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// The node has left; nothing comes after this.
    Bye {
        /// What could not be handed over, in words; empty when the node left in good order.
        not_handed_over: Vec<String>,
    },
}

/// How a node came to its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RingOrigin {
    /// It began with this node.
    Created,
    /// It was there.
    Joined,
}

/// What happened to a member of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum MemberChange {
    /// Came.
    Joined,
    /// Went, by `leave` or `exit`.
    Left,
    /// Has not been heard of until the lease ended.
    Lost,
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Recipient {
    /// To a channel.
    Channel(ChannelName),
    /// To a person.
    Nick(Nick),
    /// To whoever is at the node whose id begins so.
    Node(IdPrefix),
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::Channel(channel) => write!(f, "{channel}"),
            Recipient::Nick(nick) => write!(f, "{nick}"),
            Recipient::Node(prefix) => write!(f, "@{prefix}"),
        }
    }
}

/// How far a message has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SentState {
    /// On its way.
    Queued,
    /// On its way again after a restart, before which it waited already.
    Waiting,
    /// Kept by enough nodes to survive crashes.
    Stored,
    /// Shown by the receiver's own node.
    Delivered,
    /// Nobody has acknowledged it: it has not arrived, or the answer was lost.
    Failed {
        /// Why not.
        reason: String,
    },
}

/// Which way a record moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To this node.
    In,
    /// From this node.
    Out,
}

/// How the ring around a node has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RingChange {
    /// Another node is now the successor.
    Successor,
    /// Another node is now the predecessor.
    Predecessor,
    /// A neighbour does not answer any more.
    Lost,
    /// A neighbour has left in good order.
    Left,
    /// This node is alone.
    Alone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_shortened_at_a_character() {
        assert_eq!(shortened("hello"), "hello");
        assert_eq!(shortened(&"ž".repeat(30)), "ž".repeat(30));
        assert_eq!(shortened(&"ž".repeat(31)), format!("{}…", "ž".repeat(30)));
        assert_eq!(shortened("where the thirtieth character is blank"), "where the thirtieth character…");
    }
}
