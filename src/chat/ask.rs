//! Ask: what a program wants of the node that serves it, beside the user's own session.
//!
//! Each question has a ticket, and its answer goes to whoever holds that: see [`Event::Answer`].

use std::time::Duration;

use super::command::{Command, Refusal};
use super::event::{Event, MessageId, Recipient};
use super::payload::Payload;
use super::survey::Surveyed;
use super::value::Put;
use super::{Chat, Context, Pending, Stage, join, leave, send};
use crate::chord::Failure;
use crate::chord::trace::Way;
use crate::id::{Id, NodeHandle};
use crate::records::RecordKey;
use crate::records::channel::Entry;
use crate::records::name::{ChannelName, Nick};
use crate::records::value::ValueKey;

/// How long a way may take of which a program asks: as long as it takes to notice two silent nodes, and less than a
/// program waits.
pub const WAY_TIME_MAX: Duration = Duration::from_millis(2400);

/// Names a question, so that its answer finds who has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// What the node knows of itself and its place; answered by [`Answer::Node`].
    Node,
    /// What is under a key; answered by [`Answer::Value`].
    Get(ValueKey),
    /// Writes a value, or deletes the one that is there; answered by [`Answer::Written`].
    Put(ValueKey, Option<Vec<u8>>),
    /// The way to the root of a key, by fingers or successor by successor; answered by [`Answer::Way`].
    Find {
        /// Whose root is looked for.
        key: Id,
        /// Whether the way goes successor by successor.
        linear: bool,
    },
    /// All nodes, in the order of the ring, this one first, as far as they answer; answered by [`Answer::Way`].
    Ring,
    /// What a node tells of its place, of what it keeps and of what it sends; answered by [`Answer::Survey`].
    Survey {
        /// Who is asked.
        node: NodeHandle,
        /// Of how many of its messages it has told already: [`Surveyed::sent`].
        known: u64,
    },
    /// The values that this node keeps, as a root or as a copy, in the order of their keys: those after a key, and how
    /// many at most; answered by [`Answer::Values`].
    Values(Option<ValueKey>, usize),
    /// Unites this ring with that of another node, if that is in another; answered by [`Answer::Done`].
    Unite(NodeHandle),
    /// The user says something, which is 1 to [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX) bytes; answered by
    /// [`Answer::Queued`].
    Say(Recipient, String),
    /// The user joins a channel; answered by [`Answer::Done`] when that has begun.
    Join(ChannelName),
    /// The user leaves a channel; answered by [`Answer::Done`] when that has begun.
    Leave(ChannelName),
    /// The newest messages of a channel, and how many at most; answered by [`Answer::Past`].
    Past(ChannelName, usize),
    /// The channels that the user is in; answered by [`Answer::Channels`].
    Channels,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// What the node knows of itself.
    Node(Box<About>),
    /// The value under a key, if there is one, and the root that has it.
    Value {
        /// Any bytes.
        value: Option<Vec<u8>>,
        /// Who has answered.
        root: NodeHandle,
    },
    /// It was written, and enough nodes have it.
    Written {
        /// Whether there was a value before.
        was_there: bool,
        /// Who keeps it.
        root: NodeHandle,
    },
    /// The way.
    Way(Box<Way>),
    /// What the node tells of itself.
    Survey(Box<Surveyed>),
    /// Values that this node keeps.
    Values {
        /// The first of those that were asked for.
        values: Vec<KeptValue>,
        /// How many more there are after these.
        more: usize,
    },
    /// It is begun.
    Done,
    /// The message has this id, by which [`Event::Sent`] tells how far it comes.
    Queued(MessageId),
    /// What was said, oldest first.
    Past(Vec<Entry>),
    /// The channels, in the order of their names.
    Channels(Vec<ChannelName>),
    /// It does not fit what the user does, for this reason.
    Conflict(String),
    /// The root refuses, for this reason.
    Refused(String),
    /// No node has answered.
    Failed(Failure),
    /// The node is not in a ring yet, or leaves it.
    NotReady,
}

/// A value that a node keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptValue {
    /// Its key.
    pub key: ValueKey,
    /// How many bytes it has.
    pub bytes: usize,
    /// Whether the node is its root.
    pub as_root: bool,
}

/// What a node knows of itself and its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// Itself.
    pub node: NodeHandle,
    /// Its user.
    pub nick: Nick,
    /// Who is before it, if that is known.
    pub predecessor: Option<NodeHandle>,
    /// Those after it, the nearest first.
    pub successors: Vec<NodeHandle>,
    /// The first exponent that each finger stands for, and the finger.
    pub fingers: Vec<(u32, NodeHandle)>,
    /// How many records it keeps as their root.
    pub records_as_root: usize,
    /// How many it keeps as a copy.
    pub records_as_copy: usize,
}

impl Chat {
    /// A program asks something.
    pub fn on_ask(&mut self, cx: &mut Context<'_>, ticket: Ticket, ask: Ask) {
        if self.stage != Stage::Ready {
            return answer(cx, ticket, Answer::NotReady);
        }
        let id = match ask {
            Ask::Node => return answer(cx, ticket, Answer::Node(Box::new(self.about(cx)))),
            Ask::Values(after, count) => {
                let answered = values(cx, after.as_ref(), count);
                return answer(cx, ticket, answered);
            }
            Ask::Unite(node) => {
                cx.chord.remember(cx.now, node);
                return answer(cx, ticket, Answer::Done);
            }
            Ask::Get(key) => cx.ask_root(&RecordKey::Value(key.clone()), Payload::Get(key)),
            Ask::Put(key, value) => {
                cx.ask_root(&RecordKey::Value(key.clone()), Payload::Put(Put { key, value }))
            }
            Ask::Find { key, linear } => cx.chord.trace_within(cx.now, key, linear, WAY_TIME_MAX),
            // Whoever goes on until the one before itself has met everyone.
            Ask::Ring => {
                let last = cx.chord.predecessor().unwrap_or(self.me);
                cx.chord.trace_within(cx.now, last.id(), true, WAY_TIME_MAX)
            }
            Ask::Survey { node, known } => cx.chord.request_to(cx.now, node, Payload::Survey { known }),
            Ask::Channels => {
                let channels = self.joined().cloned().collect();
                return answer(cx, ticket, Answer::Channels(channels));
            }
            Ask::Past(channel, wanted) => return self.read_past_for(cx, ticket, channel, wanted),
            Ask::Say(to, text) => {
                let queued = self.queue(cx, to, text).map(Answer::Queued);
                return answer(cx, ticket, queued.unwrap_or_else(conflict_in(&send::COMMAND)));
            }
            Ask::Join(channel) => {
                let begun = self.join_channel(cx, channel, None).map(|()| Answer::Done);
                return answer(cx, ticket, begun.unwrap_or_else(conflict_in(&join::COMMAND)));
            }
            Ask::Leave(channel) => {
                let begun = self.leave_channel_if_in(cx, channel).map(|()| Answer::Done);
                return answer(cx, ticket, begun.unwrap_or_else(conflict_in(&leave::COMMAND)));
            }
        };
        self.pending.insert(id, Pending::Ask(ticket));
    }

    pub(super) fn about(&self, cx: &Context<'_>) -> About {
        let as_root = cx.records.keys().filter(|&(_, id)| cx.chord.is_root(id) == Some(true)).count();
        About {
            node: self.me,
            nick: self.nick.clone(),
            predecessor: cx.chord.predecessor(),
            successors: cx.chord.successors().to_vec(),
            fingers: cx.chord.fingers().collect(),
            records_as_root: as_root,
            records_as_copy: cx.records.keys().count() - as_root,
        }
    }

    /// A program's question is answered by a root, or by the node that was named.
    pub(super) fn on_ask_answered(cx: &mut Context<'_>, ticket: Ticket, root: NodeHandle, payload: Payload) {
        let told = match payload {
            Payload::Value(value) => Answer::Value { value, root },
            Payload::Wrote { was_there } => Answer::Written { was_there, root },
            Payload::Surveyed(surveyed) => Answer::Survey(Box::new(surveyed)),
            Payload::Refused(reason) => Answer::Refused(reason),
            _ => Answer::Refused(format!("{root} gave an answer that does not fit")),
        };
        answer(cx, ticket, told);
    }
}

/// Some of the values that this node keeps, without those that were deleted.
fn values(cx: &Context<'_>, after: Option<&ValueKey>, count: usize) -> Answer {
    let mut kept = cx.records.keys().filter_map(|(key, id)| match key {
        RecordKey::Value(key) if after.is_none_or(|after| after < key) => {
            let bytes = cx.records.value(key)?.value.as_ref()?.len();
            Some(KeptValue { key: key.clone(), bytes, as_root: cx.chord.is_root(id) == Some(true) })
        }
        _ => None,
    });
    let values = kept.by_ref().take(count).collect();
    Answer::Values { values, more: kept.count() }
}

/// What is told of a command that is not carried out.
fn conflict_in(command: &Command) -> impl FnOnce(Refusal) -> Answer {
    |refusal| Answer::Conflict(refusal.describe(command))
}

pub(super) fn answer(cx: &mut Context<'_>, ticket: Ticket, answer: Answer) {
    cx.tell(Event::Answer { ticket, answer });
}
