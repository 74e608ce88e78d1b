//! Survey: what any node tells of its place in the ring and of what it keeps, to whoever looks at the whole of it.
//!
//! n -> node: Survey
//! node -> n: Surveyed { predecessor, successors, left, fingers, kept }
//!
//! Of a record only its place on the circle and its kind are told, neither its name nor what it says.

use serde::{Deserialize, Serialize};

use super::payload::Payload;
use super::{Chat, Context};
use crate::chord;
use crate::id::{Id, NodeHandle};
use crate::records::RecordKey;

/// How many records a node tells of; how many it keeps, it tells all the same.
pub const KEPT_MAX: usize = 1024;

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
    pub(super) fn on_survey(cx: &mut Context<'_>, request: &chord::Request<Payload>) {
        let chord = &*cx.chord;
        let keeps = cx.records.keys().map(|(key, id)| {
            let as_root = chord.is_root(id) == Some(true);
            Kept { id, kind: RecordKind::of(key), as_root }
        });
        let (mut kept, copies): (Vec<Kept>, Vec<Kept>) = keeps.partition(|kept| kept.as_root);
        let (records_as_root, records_as_copy) = (kept.len(), copies.len());
        kept.extend(copies);
        kept.truncate(KEPT_MAX);
        let surveyed = Surveyed {
            predecessor: chord.predecessor(),
            successors: chord.successors().to_vec(),
            left: chord.departed().collect(),
            fingers: chord.fingers().collect(),
            kept,
            records_as_root: count(records_as_root),
            records_as_copy: count(records_as_copy),
        };
        cx.reply_read(request, Payload::Surveyed(surveyed));
    }
}

fn count(records: usize) -> u32 {
    u32::try_from(records).unwrap_or(u32::MAX)
}
