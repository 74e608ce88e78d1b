//! Survey: what any node tells of its place in the ring, of what it keeps and of what it sends, to whoever looks at
//! the whole of it.
//!
//! n -> node: Survey { known }
//! node -> n: Surveyed { predecessor, successors, left, fingers, kept, sent }
//!
//! Of a record only its place on the circle and its kind are told, neither its name nor what it says; of a message,
//! to whom it went and what it is about.
//! Who looks for whom, and who writes to whom in private, is told to nobody.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::payload::Payload;
use super::{Chat, Context};
use crate::chord::{self, Message};
use crate::id::{Id, NodeHandle};
use crate::records::RecordKey;
use crate::time::Time;

/// How many records a node tells of; how many it keeps, it tells all the same.
pub const KEPT_MAX: usize = 1024;

/// How many messages a node tells of: the last ones.
pub const SENT_MAX: usize = 128;

/// For how long a node that was asked remembers what it sends, for the next question.
const LOOKED_AT_FOR: Duration = Duration::from_secs(5);

/// What a node tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Surveyed {
    /// Who is before it, if that is known.
    pub predecessor: Option<NodeHandle>,
    /// Those after it, the nearest first.
    pub successors: Vec<NodeHandle>,
    /// Who has left in good order of late, as far as it knows.
    pub left: Vec<NodeHandle>,
    /// The first exponent that each finger stands for, and the finger.
    pub fingers: Vec<(u32, NodeHandle)>,
    /// What it keeps, those first of which it is the root, at most [`KEPT_MAX`].
    pub kept: Vec<Kept>,
    /// How many records it keeps as their root.
    pub records_as_root: u32,
    /// How many it keeps as a copy.
    pub records_as_copy: u32,
    /// How many messages it has sent while somebody looked: what is known, the next time.
    pub sent: u64,
    /// Those of the last [`SENT_MAX`] that were not known, each that differs from the others once.
    pub messages: Vec<Sent>,
}

/// A message that a node has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sent {
    /// The node that it went to.
    pub to: NodeHandle,
    /// What it is about.
    pub topic: Topic,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// The ring's own upkeep.
    Ring,
    /// Where the root of a key is.
    Lookup,
    /// The copies of records.
    Record,
    /// A value.
    Value,
    /// What is said in channels, and who is there.
    Chat,
}

impl Topic {
    /// The topic of a message, if others may know of it.
    ///
    /// Those who look at the whole ring do not see what they cause themselves either.
    pub fn of(message: &Message<Payload>) -> Option<Topic> {
        match message.payload() {
            Some(Payload::Survey { .. } | Payload::Surveyed(_)) => None,
            Some(Payload::Records(_)) => Some(Topic::Record),
            Some(Payload::Put(_) | Payload::Wrote { .. } | Payload::Get(_) | Payload::Value(_)) => {
                Some(Topic::Value)
            }
            Some(payload) => is_of_channel(payload).then_some(Topic::Chat),
            None if message.is_of_lookup() => Some(Topic::Lookup),
            None => Some(Topic::Ring),
        }
    }

    /// It in a word.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Ring => "ring",
            Topic::Lookup => "lookup",
            Topic::Record => "record",
            Topic::Value => "value",
            Topic::Chat => "chat",
        }
    }
}

/// Whether it is said in a channel, or of one, as everybody may hear.
fn is_of_channel(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::Join(_)
            | Payload::Joined(_)
            | Payload::Leave(_)
            | Payload::Send(_)
            | Payload::Stored(_)
            | Payload::Delivery(_)
            | Payload::Renew(_)
            | Payload::Renewed(_)
            | Payload::MemberChanged(_)
            | Payload::Who(_)
            | Payload::Members(_)
            | Payload::History(_)
            | Payload::Past(_)
    )
}

/// What a node has sent while somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SentOfLate {
    /// Until when somebody looks, unless they ask again.
    until: Option<Time>,
    count: u64,
    /// The last of them, at most [`SENT_MAX`].
    last: VecDeque<Sent>,
}

impl SentOfLate {
    fn note(&mut self, now: Time, to: NodeHandle, message: &Message<Payload>) {
        if self.until.is_none_or(|until| until < now) {
            self.last.clear();
        } else if let Some(topic) = Topic::of(message) {
            self.count += 1;
            self.last.truncate(SENT_MAX - 1);
            self.last.push_front(Sent { to, topic });
        }
    }

    /// What has come after the first `known`; and whoever asks this looks on.
    fn after(&mut self, now: Time, known: u64) -> Vec<Sent> {
        self.until = Some(now + LOOKED_AT_FOR);
        // Who knows of more has asked a former self of this node.
        let new = self.count.checked_sub(known).unwrap_or(self.count);
        let new = usize::try_from(new).unwrap_or(SENT_MAX);
        BTreeSet::from_iter(self.last.iter().take(new).copied()).into_iter().collect()
    }
}

/// A record that a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kept {
    /// Where the record lives.
    pub id: Id,
    /// What it is about.
    pub kind: RecordKind,
    /// Whether the node is its root, or keeps a copy.
    pub as_root: bool,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// A channel.
    Channel,
    /// The name of a person.
    Name,
    /// Private messages for people who have or had a name.
    Mailbox,
    /// A value.
    Value,
}

impl RecordKind {
    fn of(key: &RecordKey) -> RecordKind {
        match key {
            RecordKey::Channel(_) => RecordKind::Channel,
            RecordKey::Name(_) => RecordKind::Name,
            RecordKey::Mailbox(_) => RecordKind::Mailbox,
            RecordKey::Value(_) => RecordKind::Value,
        }
    }
}

impl Chat {
    /// The node sends this: whoever looks is told.
    pub fn on_sent(&mut self, now: Time, to: NodeHandle, message: &Message<Payload>) {
        if to != self.me {
            self.sent_of_late.note(now, to, message);
        }
    }

    pub(super) fn on_survey(&mut self, cx: &mut Context<'_>, request: &chord::Request<Payload>, known: u64) {
        let chord = &*cx.chord;
        let keeps = cx.records.keys().map(|(key, id)| {
            let as_root = chord.is_root(id) == Some(true);
            Kept { id, kind: RecordKind::of(key), as_root }
        });
        let (mut kept, copies): (Vec<Kept>, Vec<Kept>) = keeps.partition(|kept| kept.as_root);
        let (records_as_root, records_as_copy) = (kept.len(), copies.len());
        kept.extend(copies);
        kept.truncate(KEPT_MAX);
        let messages = self.sent_of_late.after(cx.now, known);
        let surveyed = Surveyed {
            predecessor: chord.predecessor(),
            successors: chord.successors().to_vec(),
            left: chord.departed().collect(),
            fingers: chord.fingers().collect(),
            kept,
            records_as_root: count(records_as_root),
            records_as_copy: count(records_as_copy),
            sent: self.sent_of_late.count,
            messages,
        };
        cx.reply_read(request, Payload::Surveyed(surveyed));
    }
}

fn count(records: usize) -> u32 {
    u32::try_from(records).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::sim::START;

    fn at(port: u16) -> NodeHandle {
        NodeHandle::new(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn get() -> Message<Payload> {
        Message::Tell(Payload::Get("k".parse().unwrap()))
    }

    fn sent(port: u16) -> Sent {
        Sent { to: at(port), topic: Topic::Value }
    }

    #[test]
    fn what_is_sent_is_remembered_while_somebody_looks_and_told_once() {
        let mut of_late = SentOfLate::default();
        of_late.note(START, at(1), &get());
        assert_eq!(of_late.after(START, 0), [], "nobody had asked before");
        for port in [2, 3, 2] {
            of_late.note(START, at(port), &get());
        }
        let survey = Message::Tell(Payload::Survey { known: 0 });
        of_late.note(START, at(4), &survey);
        assert_eq!(of_late.count, 3, "questions like this one do not count");
        for private in [Payload::LookUp("bob".parse().unwrap()), Payload::Receipt(Vec::new()), Payload::Done]
        {
            of_late.note(START, at(4), &Message::Tell(private));
        }
        assert_eq!(of_late.count, 3, "nor does what two have to do with one another");
        of_late.note(START, at(5), &Message::Tell(Payload::Who("#rust".parse().unwrap())));
        assert_eq!(of_late.after(START, 3), [Sent { to: at(5), topic: Topic::Chat }]);
        of_late.last.pop_front();
        of_late.count = 3;
        // Two look, and one of them has been told of the first message.
        assert_eq!(of_late.after(START, 0), [sent(3), sent(2)]);
        assert_eq!(of_late.after(START, 2), [sent(2)]);
        assert_eq!(of_late.after(START, 3), []);
        assert_eq!(of_late.after(START, 4), [sent(3), sent(2)], "a former self had sent more");
        let later = START + LOOKED_AT_FOR + Duration::from_micros(1);
        of_late.note(later, at(5), &get());
        assert_eq!((of_late.count, of_late.after(later, 0)), (3, vec![]), "nobody has looked any more");
        for port in 0..=SENT_MAX as u16 {
            of_late.note(later, at(1000 + port), &get());
        }
        let last = Vec::from_iter((1..=SENT_MAX as u16).map(|port| sent(1000 + port)));
        let mut told = of_late.after(later, 0);
        told.sort_by_key(|sent| sent.to.addr());
        assert_eq!(told, last);
    }
}
