//! What a node keeps on the disk, and how it begins again with it.
//!
//! ```text
//! disk ── Kept ──► Node::with_disk        before the node starts
//! node ── Output::Keep ──► disk           whenever something has changed, ahead of what rests on it
//! ```
//!
//! Each value begins with the number of its format.
//! What does not decode is left alone, and counted: another version may have written it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Node, Turn};
use crate::chat::event::Event;
use crate::chat::payload::Payload;
use crate::chat::restore;
use crate::chord::Message;
use crate::id::NodeHandle;
use crate::machine::{Keep, Output};
use crate::records::name::Person;
use crate::records::{self, RecordKey, Statement, Subject};
use crate::time::Time;
use crate::wire;

/// The number with which every value begins: it rises when one that was written before could be read for another.
const FORMAT: u8 = 1;

/// How many nodes are remembered for the next start.
const KNOWN_MAX: usize = 32;

/// How often the list of them is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long it may take until a change of the list is written.
const KNOWN_WITHIN: Duration = Duration::from_millis(100);

/// How often it is written when there is no room in it, and others take the places of old ones.
const REPLACE_EVERY: Duration = Duration::from_secs(30);

/// Under what something of a node is kept.
///
/// A new variant goes to the end: its place is its number on the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    /// Who the user is: a [`Person`].
    Person,
    /// Where the node was: a [`NodeHandle`].
    Node,
    /// Other nodes, through which the ring may be found again: a list of [`NodeHandle`].
    Known,
    /// A [`Statement`] of a record, and when it was written, at which it had the age that it states.
    Statement(RecordKey, Subject),
    /// Of the chat: a [`restore::Value`].
    Chat(restore::Key),
    /// The name of the network to which all this belongs: a [`String`].
    Network,
}

/// What was on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Who the user is.
    pub person: Option<Person>,
    /// The network to which it belongs.
    pub network: Option<String>,
    /// Where the node was last.
    pub node: Option<NodeHandle>,
    /// Other nodes, through which the ring may be found again.
    pub known: Vec<NodeHandle>,
    /// How many values could not be read.
    pub unreadable: usize,
    statements: Vec<(RecordKey, Subject, Statement, Time)>,
    chat: Vec<(restore::Key, restore::Value)>,
}

impl Kept {
    /// Reads what [`Keep`]s have left: each key with its value.
    pub fn read(items: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Kept {
        let mut kept = Kept::default();
        for (key, value) in items {
            if kept.take(&key, &value).is_none() {
                kept.unreadable += 1;
            }
        }
        kept
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match wire::decode(key).ok()? {
            Key::Person => self.person = Some(decode(value)?),
            Key::Network => self.network = Some(decode(value)?),
            Key::Node => self.node = Some(decode(value)?),
            Key::Known => self.known = decode(value)?,
            Key::Statement(key, subject) => {
                let (statement, at) = decode(value)?;
                self.statements.push((key, subject, statement, at));
            }
            Key::Chat(key) => self.chat.push((key, decode(value)?)),
        }
        Some(())
    }
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (&format, encoded) = value.split_first()?;
    (format == FORMAT).then(|| wire::decode(encoded).ok()).flatten()
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    wire::encode_into(value, &mut bytes);
    bytes
}

fn keep<T: Serialize>(key: &Key, value: Option<&T>, within: Duration) -> Keep {
    Keep { key: wire::encode(key), value: value.map(encode), within }
}

/// Something of a chat, as it lies on the disk.
#[cfg(test)]
pub(super) fn item_of_chat(key: restore::Key, value: &restore::Value) -> (Vec<u8>, Vec<u8>) {
    (wire::encode(&Key::Chat(key)), encode(value))
}

/// Whether something of a chat lies on the disk under this key.
#[cfg(test)]
pub(super) fn is_of_chat(key: &[u8]) -> bool {
    matches!(wire::decode(key), Ok(Key::Chat(_)))
}

/// What a node with a disk remembers of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Disk {
    /// What is written with the first turn.
    first: Vec<Keep>,
    known: Vec<NodeHandle>,
    look: Time,
    replace: Time,
}

impl Node {
    /// Gives the node a disk: what was kept on it holds again, and what changes is put out to be kept.
    ///
    /// `person` is who the user is if nobody was kept, and `network` is where the node runs: what was kept must
    /// belong there, or to no network yet.
    pub fn with_disk(mut self, now: Time, kept: Kept, person: Person, network: &str) -> Node {
        for &peer in &kept.known {
            // They may be in a ring of their own by now.
            self.chord.remember(now, peer);
        }
        let mut disk = Disk { known: kept.known, ..Disk::default() };
        self.chat.set_person(kept.person.unwrap_or(person));
        if kept.person.is_none() {
            disk.first.push(keep(&Key::Person, Some(&person), Duration::ZERO));
        }
        if kept.network.is_none() {
            disk.first.push(keep(&Key::Network, Some(&network), Duration::ZERO));
        }
        let me = self.chord.me();
        if kept.node != Some(me) {
            disk.first.push(keep(&Key::Node, Some(&me), Duration::ZERO));
        }
        self.records.remember_changes();
        for (key, subject, statement, at) in kept.statements {
            self.records.restore(now, &key, subject, statement.aged(now.since(at)));
        }
        self.chat.remember_changes();
        for (key, value) in kept.chat {
            self.chat.restore(key, value);
        }
        self.disk = Some(disk);
        self
    }
}

impl Turn<'_> {
    /// Puts out what has changed in this turn, ahead of all that was put out since `start` and rests on it.
    pub(super) fn keep(&mut self, start: usize) {
        let Node { chord, records, chat, disk: Some(disk), .. } = &mut *self.node else { return };
        let mut keeps = std::mem::take(&mut disk.first);
        for change in records.take_changes(self.now) {
            let value = change.statement.map(|statement| (statement, self.now));
            keeps.push(keep(&Key::Statement(change.key, change.subject), value.as_ref(), change.within));
        }
        for (key, value, within) in chat.take_changes() {
            keeps.push(keep(&Key::Chat(key), value.as_ref(), within));
        }
        // Whoever knows nobody yet must not be ended before it has kept the first.
        if disk.look <= self.now || disk.known.is_empty() {
            disk.look = self.now + LOOK_EVERY;
            let fingers = chord.fingers().map(|(_, node)| node);
            let others = chord.successors().iter().copied().chain(chord.predecessor()).chain(fingers);
            if disk.meet(self.now, others) {
                keeps.push(keep(&Key::Known, Some(&disk.known), KNOWN_WITHIN));
            }
        }
        if keeps.is_empty() {
            return;
        }
        // The copies write at the same time as this node: that it has told them is no promise of its own.
        let put_out = self.outputs.split_off(start);
        let (copies, others): (Vec<_>, Vec<_>) = put_out.into_iter().partition(tells_a_copy);
        self.outputs.extend(copies);
        self.outputs.extend(keeps.into_iter().map(Output::Keep));
        self.outputs.extend(others);
    }
}

fn tells_a_copy(output: &Output<Event, Message<Payload>>) -> bool {
    let Output::Send { message: Message::Request { payload: Payload::Records(message), .. }, .. } = output
    else {
        return false;
    };
    matches!(message, records::Message::Merge { migrates: None, .. })
}

impl Disk {
    /// Remembers nodes, the latest first, and returns whether the list is to be written.
    ///
    /// Those that were lost stay, as long as there is room: they may be there again after a restart.
    fn meet(&mut self, now: Time, others: impl Iterator<Item = NodeHandle>) -> bool {
        let mut known: Vec<NodeHandle> = Vec::new();
        for node in others.chain(self.known.iter().copied()) {
            if known.len() < KNOWN_MAX && !known.contains(&node) {
                known.push(node);
            }
        }
        let has_new = known.iter().any(|node| !self.known.contains(node));
        if !has_new || (self.known.len() == KNOWN_MAX && now < self.replace) {
            return false;
        }
        self.known = known;
        self.replace = now + REPLACE_EVERY;
        true
    }
}
