//! Value: bytes under a key that anyone may write; the last writer wins.
//!
//! The root gives each write a version that is newer than the one it knows: so of two writes that it has
//! answered, the second holds.
//! Where a network was cut, there were two roots, and the version with the later time holds.
//! A deletion is a version as well, without bytes, and is kept for two weeks: a copy that was away for less
//! does not bring back what has been deleted meanwhile.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Merged;
use super::age::Age;
use super::facts::Facts;
use crate::id::NodeHandle;
use crate::time::Time;

/// The longest key, in characters.
pub const KEY_CHARS_MAX: usize = 256;

/// How many bytes of UTF-8 that may be.
pub(super) const KEY_BYTES_MAX: usize = 4 * KEY_CHARS_MAX;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// How many bytes of values, with their keys and what they cost besides, a node keeps, for whichever root, if it is to
/// take another one as the root. What other roots have taken, it keeps all the same, up to the sum for as many roots
/// as may count on it.
pub const VALUES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The same for the number of values, with those that were deleted.
pub const VALUES_MAX: usize = 8192;

/// How long it is remembered that a value was deleted.
pub const DELETED_KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a value costs besides its bytes, about.
const OVERHEAD: usize = 256;

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAKey {
    /// It is empty.
    Empty,
    /// It has more than [`KEY_CHARS_MAX`] characters.
    TooLong,
    /// It has a control character.
    BadCharacter,
}

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAKey::Empty => f.write_str("a key is not empty"),
            NotAKey::TooLong => write!(f, "a key has at most {KEY_CHARS_MAX} characters"),
            NotAKey::BadCharacter => f.write_str("a key has no control characters"),
        }
    }
}

impl std::error::Error for NotAKey {}

/// The key of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueKey(String);

impl ValueKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ValueKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<ValueKey, NotAKey> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for ValueKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<ValueKey, NotAKey> {
        if text.is_empty() {
            return Err(NotAKey::Empty);
        }
        if KEY_CHARS_MAX < text.chars().count() {
            return Err(NotAKey::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NotAKey::BadCharacter);
        }
        Ok(ValueKey(text))
    }
}

impl From<ValueKey> for String {
    fn from(key: ValueKey) -> String {
        key.0
    }
}

impl fmt::Display for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which of two writes is the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// When it was written by the clock of the root, or just after the version before, whichever is later.
    pub at: Time,
    /// The root that has written it.
    pub root: NodeHandle,
}

impl Version {
    /// The version of what `root` writes after `before`.
    pub fn after(before: Option<Version>, now: Time, root: NodeHandle) -> Version {
        Version { at: now.after(before.map(|version| version.at)), root }
    }
}

/// What was written under a key last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Written {
    /// When, and by whom.
    pub version: Version,
    /// The value; nothing if it was deleted.
    pub value: Option<Vec<u8>>,
}

/// How much room values take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Usage {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Usage {
    /// Of a value of so many bytes, or of one that was deleted.
    pub(super) fn of(key_bytes: usize, value_bytes: usize) -> Usage {
        Usage { count: 1, bytes: OVERHEAD + key_bytes + value_bytes }
    }

    /// Whether one value may take that much instead of what it took `before`, where there is room for the values of
    /// so many roots.
    ///
    /// What takes no more than before always has room, so the deletion of what is there has.
    pub(super) fn has_room(self, roots: usize, before: Usage, after: Usage) -> bool {
        let fits = |all: usize, before: usize, after: usize, max: usize| {
            after <= before || all - before + after <= roots * max
        };
        fits(self.count, before.count, after.count, VALUES_MAX)
            && fits(self.bytes, before.bytes, after.bytes, VALUES_BYTES_MAX)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Usage {
    fn sub_assign(&mut self, other: Usage) {
        self.count -= other.count;
        self.bytes -= other.bytes;
    }
}

/// What was written, when its root wrote it, by this node's clock, and the revision at which it was learnt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    written: Written,
    made: Time,
    revision: u64,
}

impl Held {
    /// Whether it is a deletion that need not be remembered any more.
    fn is_over(&self, now: Time) -> bool {
        self.written.value.is_none() && self.made + DELETED_KEPT_FOR <= now
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    key_bytes: usize,
    written: Option<Held>,
}

impl Value {
    /// Nothing is known of `key`.
    pub(super) fn new(key: &ValueKey) -> Value {
        Value { key_bytes: key.as_str().len(), written: None }
    }

    /// What was written last, if anything was.
    pub fn written(&self) -> Option<&Written> {
        self.written.as_ref().map(|held| &held.written)
    }

    /// How much room it takes.
    pub(super) fn usage(&self) -> Usage {
        self.written().map_or_else(Usage::default, |written| {
            Usage::of(self.key_bytes, written.value.as_ref().map_or(0, Vec::len))
        })
    }

    /// Of one version there is one value; where a confused peer tells another, all keep the same.
    pub(super) fn merge(&mut self, now: Time, written: Written, age: Age, revision: u64) -> Merged {
        let told = Held { written, made: age.made(now), revision };
        if told.is_over(now) {
            return Merged::Known;
        }
        match &mut self.written {
            Some(held) if told.written == held.written => held.made = held.made.min(told.made),
            Some(held) if told.written < held.written => {}
            _ => {
                let before = self.written.replace(told).map(|held| held.revision);
                return Merged::News { before };
            }
        }
        Merged::Known
    }

    /// What was written last, with its age.
    pub(super) fn told(&self, now: Time) -> Option<(Written, Age)> {
        self.written.as_ref().map(|held| (held.written.clone(), Age::since(held.made, now)))
    }

    /// Writes what a copy must know to know the same.
    pub(super) fn write_facts(&self, facts: &mut Facts) {
        facts.flag(self.written.is_some());
        if let Some(Written { version, value }) = self.written() {
            facts.number(version.at.as_micros()).node(version.root).flag(value.is_some());
        }
    }

    pub(super) fn set_revision(&mut self, revision: u64) {
        if let Some(held) = &mut self.written {
            held.revision = revision;
        }
    }

    /// Forgets a deletion that is too old, and returns the revision that it had.
    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        let over = self.written.take_if(|held| held.is_over(now));
        over.into_iter().map(|held| held.revision).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written.is_none()
    }
}
