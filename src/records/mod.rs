//! What a node keeps for the ring: records, which are sets of statements that merge.
//!
//! A statement is written by one node and has a version; of two statements about the same thing the
//! newer one holds.
//! So a record is a value with a `merge` that is commutative, associative and idempotent, and
//! replication, migration to a new predecessor, hand-over at exit and repair after a crash are all
//! the same: telling another node statements that it merges.
//!
//! Every change of a statement gets the next *revision*, a number that only this node knows.
//! The journal orders the statements by it: what a peer has not been told is what comes after the
//! revision that it has acknowledged.

pub mod age;
pub mod channel;
pub mod claims;
mod facts;
pub mod kept;
pub mod lease;
pub mod mailbox;
pub mod message;
mod mutant;
pub mod name;
mod push;
mod record;
pub(crate) mod repair;
#[cfg(test)]
mod tests;
pub mod takeover;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::age::Age;
use self::channel::{Channel, Entry, Membership, MessageId, TEXT_BYTES_MAX};
use self::claims::{Claim, Claims};
use self::mailbox::{Holder, Letter, Mailbox};
pub use self::message::Message;
pub(crate) use self::mutant::Mutant;
use self::name::{ChannelName, Nick};
use self::record::Record;
use self::value::{KEY_BYTES_MAX, VALUE_BYTES_MAX, ValueKey, Written};
use crate::chord::{Chord, Range};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How many nodes keep a record, where there are so many: its root and the next ones.
pub const COPIES: usize = 5;

/// How many of them must have a statement before it is acknowledged, or all where there are fewer.
pub const ACKNOWLEDGED: usize = 3;

/// How many records a node keeps, besides [values](value), if it is to take another one as the root; what other roots
/// have taken, it keeps all the same, up to [`COPIES`] times as many.
pub const RECORDS_MAX: usize = 65_536;

/// How many nodes are remembered that count on a copy: as many parts as a network is cut into have a root each
/// until they are one, and some nodes take themselves for it meanwhile.
const KEEPERS_MAX: usize = 8;

/// How many people may be in a channel, or claim a name: each has one statement.
pub const STATEMENTS_MAX: usize = 4096;

/// How far the clock of another node may be ahead, also of one that was never told the time and begins in 1970: no honest
/// node has written what is from later than that.
pub const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How many bytes of statements one message holds, about.
const STATEMENTS_BYTES: usize = 256 * 1024;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecordKey {
    /// A channel.
    Channel(ChannelName),
    /// The name of a person.
    Name(Nick),
    /// Private messages for people who have or had a name.
    Mailbox(Nick),
    /// A value.
    Value(ValueKey),
}

impl RecordKey {
    /// Where the record lives: the hash of the channel's name with its `#`, of the nick, or of the value's key;
    /// so the root of a name is the root of its mailbox, too.
    pub fn id(&self) -> Id {
        match self {
            RecordKey::Channel(channel) => Id::hash(channel.to_string()),
            RecordKey::Name(nick) | RecordKey::Mailbox(nick) => Id::hash(nick.as_str()),
            RecordKey::Value(key) => Id::hash(key.as_str()),
        }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordKey::Channel(channel) => write!(f, "channel {channel}"),
            RecordKey::Name(nick) => write!(f, "name {nick}"),
            RecordKey::Mailbox(nick) => write!(f, "mailbox of {nick}"),
            RecordKey::Value(key) => write!(f, "value of {key}"),
        }
    }
}

/// The smallest part of a record that is told on its own, with its age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Statement {
    /// Someone is in a channel, or is not; written by the member.
    Member(Membership, Age),
    /// A message has its place in a channel; written by the channel's root.
    Message(Entry, Age),
    /// Someone has a name, or has given it up; written by the holder.
    Claim(Claim, Age),
    /// A private message waits for someone, or has been shown to them; written by the mailbox's root.
    Letter(Letter, Age),
    /// Someone had a name; written by the mailbox's root.
    Holder(Holder, Age),
    /// A value was written or deleted; written by its root.
    Written(Written, Age),
}

/// What a statement is about, within its record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// Whether this node's person is in the channel.
    Member(NodeHandle),
    /// This message.
    Message(MessageId),
    /// Whether this node's person has the name.
    Claim(NodeHandle),
    /// This message in a mailbox.
    Letter(MessageId),
    /// Who had the name of the mailbox last.
    Holder,
    /// The value.
    Written,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    id: Id,
    /// Who told this node to keep a copy, the last one last, at most [`KEEPERS_MAX`]: they count on that.
    keepers: Vec<NodeHandle>,
    record: Record,
}

/// The records of one node, for whichever root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Records {
    held: BTreeMap<RecordKey, Held>,
    /// How much room the values among them take.
    values: value::Usage,
    revision: u64,
    /// What changed at each revision; a statement stands at its last one only.
    journal: BTreeMap<u64, (RecordKey, Subject)>,
    /// The revisions of what was written here as the root, and not all copies have been told.
    written: BTreeSet<u64>,
    pushes: push::Pushes,
    takeovers: takeover::Takeovers,
    repair: repair::Repair,
    told: Vec<Migrated>,
    /// Members who may have missed what another root has acknowledged.
    behind: BTreeMap<ChannelName, BTreeSet<NodeHandle>>,
    /// Records of which this root has learnt what another has written: meanwhile, or maybe before it.
    healed: BTreeMap<RecordKey, bool>,
    /// What is to be written to the disk, if there is one.
    changed: kept::Changed,
    #[cfg(test)]
    mutant: Option<Mutant>,
}

/// A record has moved; the node tells its user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Migrated {
    /// Which record.
    pub key: RecordKey,
    /// Whether it came to this node or went from it.
    pub incoming: bool,
    /// The other node.
    pub peer: NodeHandle,
    /// Why.
    pub why: Why,
}

/// Why a record has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Why {
    /// A node has come between the key and its root so far.
    NewPredecessor,
    /// The root so far has left in good order.
    Leave,
    /// The root so far does not answer any more.
    Crash,
}

impl Records {
    /// The channel, if this node keeps it.
    pub fn channel(&self, name: &ChannelName) -> Option<&Channel> {
        match self.held.get(&RecordKey::Channel(name.clone())).map(|held| &held.record) {
            Some(Record::Channel(channel)) => Some(channel),
            _ => None,
        }
    }

    /// The claims of a name, if this node keeps them.
    pub fn claims(&self, nick: &Nick) -> Option<&Claims> {
        match self.held.get(&RecordKey::Name(nick.clone())).map(|held| &held.record) {
            Some(Record::Name(claims)) => Some(claims),
            _ => None,
        }
    }

    /// The mailbox of a name, if this node keeps it.
    pub fn mailbox(&self, nick: &Nick) -> Option<&Mailbox> {
        match self.held.get(&RecordKey::Mailbox(nick.clone())).map(|held| &held.record) {
            Some(Record::Mailbox(mailbox)) => Some(mailbox),
            _ => None,
        }
    }

    /// What was written last under a key, if this node keeps that.
    pub fn value(&self, key: &ValueKey) -> Option<&Written> {
        match self.held.get(&RecordKey::Value(key.clone())).map(|held| &held.record) {
            Some(Record::Value(value)) => value.written(),
            _ => None,
        }
    }

    /// The channels that this node keeps, and where they live.
    pub fn channels(&self) -> impl Iterator<Item = (&ChannelName, Id, &Channel)> {
        self.held.iter().filter_map(|(key, held)| match (key, &held.record) {
            (RecordKey::Channel(name), Record::Channel(channel)) => Some((name, held.id, channel)),
            _ => None,
        })
    }

    /// The keys of all records that this node keeps, and where they live.
    pub fn keys(&self) -> impl Iterator<Item = (&RecordKey, Id)> {
        self.held.iter().map(|(key, held)| (key, held.id))
    }

    /// Whether a statement of another author about `key` could be kept, with room for what so many roots take.
    ///
    /// A lease that finds none is renewed soon.
    fn has_room(&self, roots: usize, key: &RecordKey) -> bool {
        match self.held.get(key).map(|held| &held.record) {
            Some(Record::Channel(channel)) => channel.statements() < STATEMENTS_MAX,
            Some(Record::Name(claims)) => claims.statements() < STATEMENTS_MAX,
            Some(Record::Mailbox(mailbox)) => mailbox.has_room(roots),
            // A confused peer: a value has no authors.
            Some(Record::Value(_)) => false,
            None if matches!(key, RecordKey::Value(_)) => false,
            None => self.held.len() - self.values.count < roots * RECORDS_MAX,
        }
    }

    /// Whether this node, as the root, has room for a value of so many bytes under `key`.
    pub fn has_room_for_value(&self, key: &ValueKey, bytes: usize) -> bool {
        self.has_room_for_values_of(1, key, bytes)
    }

    fn has_room_for_values_of(&self, roots: usize, key: &ValueKey, bytes: usize) -> bool {
        let known = self.held.get(&RecordKey::Value(key.clone()));
        let before = known.map(|held| held.record.usage()).unwrap_or_default();
        self.values.has_room(roots, before, value::Usage::of(key.as_str().len(), bytes))
    }

    /// Learns a statement that is made to this node as the root.
    ///
    /// Its copies are told of it even if another becomes the root before they have been.
    pub fn write(&mut self, now: Time, key: &RecordKey, statement: Statement) {
        if self.merge(now, key, statement) {
            self.written.insert(self.revision);
        }
    }

    /// Learns a statement from another node.
    ///
    /// One from the far future, which nothing would ever replace, is dropped; what is on the own disk was not that
    /// when it came.
    fn learn(&mut self, now: Time, key: &RecordKey, statement: Statement) {
        if let Statement::Written(written, _) = &statement
            && now + CLOCK_AHEAD_MAX < written.version.at
        {
            return;
        }
        if self.is(Mutant::UnitesSets) {
            return self.unite(now, key, statement);
        }
        let member = match (key, &statement) {
            (RecordKey::Channel(channel), Statement::Member(member, _)) if member.joined => {
                Some((channel.clone(), member.node))
            }
            _ => None,
        };
        if self.merge(now, key, statement)
            && let Some((channel, member)) = member
        {
            self.behind.entry(channel).or_default().insert(member);
        }
    }

    /// What [`Mutant::UnitesSets`] learns.
    fn unite(&mut self, now: Time, key: &RecordKey, statement: Statement) {
        match statement {
            Statement::Member(member, _) if !member.joined => {}
            Statement::Member(mut member, age) => {
                let RecordKey::Channel(name) = key else { return };
                let known = self.channel(name).and_then(|channel| channel.member(now, &member.node));
                if let Some((known, _)) = known.filter(|(known, _)| !known.joined) {
                    member.version = known.version + 1;
                }
                self.merge(now, key, Statement::Member(member, age));
            }
            statement => {
                self.merge(now, key, statement);
            }
        }
    }

    /// Learns a statement, and returns whether it was news.
    ///
    /// A statement for which there is no room, or that no honest node makes, is dropped.
    pub fn merge(&mut self, now: Time, key: &RecordKey, statement: Statement) -> bool {
        // What a root has taken, its copies keep: each may be one for as many others.
        if !statement.is_sound() || !self.has_room_for_what(COPIES, key, &statement) {
            return false;
        }
        let is_renewal = self.changed.is_wanted() && self.is_renewal(now, key, &statement);
        let held = match self.held.get_mut(key) {
            Some(held) => held,
            None => {
                let record = Record::new(key);
                self.held.entry(key.clone()).or_insert(Held { id: key.id(), keepers: Vec::new(), record })
            }
        };
        let revision = self.revision + 1;
        let (merged, subject) = match (&mut held.record, statement) {
            (Record::Channel(channel), Statement::Member(membership, age)) => {
                let subject = Subject::Member(membership.node);
                (channel.merge_member(now, membership, age, revision), subject)
            }
            (Record::Channel(channel), Statement::Message(entry, age)) => {
                let subject = Subject::Message(entry.id);
                let mut dropped = Vec::new();
                let news = channel.log.merge(now, entry, age, revision, &mut dropped);
                for revision in dropped {
                    forget(&mut self.journal, &mut self.changed, revision);
                }
                (if news { Merged::News { before: None } } else { Merged::Known }, subject)
            }
            (Record::Name(claims), Statement::Claim(claim, age)) => {
                let subject = Subject::Claim(claim.holder);
                (claims.merge(now, claim, age, revision), subject)
            }
            (Record::Mailbox(mailbox), Statement::Letter(letter, age)) => {
                let subject = Subject::Letter(letter.id);
                (mailbox.merge_letter(now, letter, age, revision), subject)
            }
            (Record::Mailbox(mailbox), Statement::Holder(holder, age)) => {
                (mailbox.merge_holder(now, holder, age, revision), Subject::Holder)
            }
            (Record::Value(value), Statement::Written(written, age)) => {
                self.values -= value.usage();
                let merged = value.merge(now, written, age, revision);
                self.values += value.usage();
                (merged, Subject::Written)
            }
            // A confused peer: a statement of another kind of record.
            _ => return false,
        };
        if let Merged::News { before } = merged {
            self.revision = revision;
            self.pushes.urgent = revision;
            if let Some(before) = before {
                self.journal.remove(&before);
            }
            self.changed.note(key, subject.clone(), !is_renewal);
            self.journal.insert(revision, (key.clone(), subject));
        } else if held.record.is_empty() {
            self.held.remove(key);
        }
        matches!(merged, Merged::News { .. })
    }

    /// Whether a message for the channel could be kept: its log makes room by itself.
    pub fn has_room_for_messages(&self, channel: &ChannelName) -> bool {
        self.channel(channel).is_some() || self.held.len() - self.values.count < RECORDS_MAX
    }

    /// Whether this node, as the root, has room for `statement`: a new author needs it, or a larger value; another
    /// statement of an author that is known takes its place.
    pub fn has_room_for(&self, key: &RecordKey, statement: &Statement) -> bool {
        self.has_room_for_what(1, key, statement)
    }

    fn has_room_for_what(&self, roots: usize, key: &RecordKey, statement: &Statement) -> bool {
        if let (RecordKey::Value(key), Statement::Written(written, _)) = (key, statement) {
            return self.has_room_for_values_of(roots, key, written.value.as_ref().map_or(0, Vec::len));
        }
        let is_known = match (self.held.get(key).map(|held| &held.record), statement) {
            (Some(Record::Channel(channel)), Statement::Member(membership, _)) => {
                channel.member(Time::default(), &membership.node).is_some()
            }
            (Some(Record::Name(claims)), Statement::Claim(claim, _)) => {
                claims.get(Time::default(), &claim.holder).is_some()
            }
            (Some(Record::Mailbox(mailbox)), Statement::Letter(letter, _)) => {
                mailbox.letter(&letter.id).is_some()
            }
            // The log makes room by itself, and of holders only the last is kept.
            (Some(Record::Channel(_)), Statement::Message(..))
            | (Some(Record::Mailbox(_)), Statement::Holder(..)) => true,
            _ => false,
        };
        is_known || self.has_room(roots, key)
    }

    /// The number of the newest change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Statements that changed after revision `after`, oldest first, and the revision that they reach;
    /// not many more than fit a message.
    fn statements_after(
        &self,
        now: Time,
        after: u64,
        wanted: impl Fn(u64, &RecordKey, Id) -> bool,
    ) -> (Vec<(RecordKey, Statement)>, u64) {
        let mut statements = Vec::new();
        let mut bytes = 0;
        let mut reached = after;
        for (&revision, (key, subject)) in self.journal.range(after.saturating_add(1)..) {
            if STATEMENTS_BYTES < bytes {
                return (statements, reached);
            }
            reached = revision;
            let Some(held) = self.held.get(key).filter(|held| wanted(revision, key, held.id)) else {
                continue;
            };
            if let Some(statement) = held.record.statement(now, subject) {
                bytes += statement.bytes();
                statements.push((key.clone(), statement));
            }
        }
        (statements, self.revision)
    }

    /// Gives every statement in `range` a new revision: peers that were not told of this range are then.
    fn restamp(&mut self, range: Range) {
        let stale: Vec<u64> = self
            .journal
            .iter()
            .filter(|(_, (key, _))| self.held.get(key).is_some_and(|held| range.contains(held.id)))
            .map(|(&revision, _)| revision)
            .collect();
        for before in stale {
            let Some((key, subject)) = self.journal.remove(&before) else { continue };
            self.revision += 1;
            if self.written.remove(&before) {
                self.written.insert(self.revision);
            }
            if let Some(held) = self.held.get_mut(&key) {
                held.record.set_revision(&subject, self.revision);
            }
            self.journal.insert(self.revision, (key, subject));
        }
        self.pushes.urgent = self.revision;
    }

    /// Forgets what has been kept for long enough.
    pub fn prune(&mut self, now: Time) {
        let (journal, changed) = (&mut self.journal, &mut self.changed);
        let mut values = value::Usage::default();
        self.held.retain(|_, held| {
            for revision in held.record.prune(now) {
                forget(journal, changed, revision);
            }
            values += held.record.usage();
            !held.record.is_empty()
        });
        self.values = values;
    }

    fn drop_record(&mut self, key: &RecordKey) {
        if let Some(held) = self.held.remove(key) {
            self.values -= held.record.usage();
        }
        for (_, (_, subject)) in self.journal.extract_if(.., |_, (other, _)| other == key) {
            self.changed.note(key, subject, true);
        }
    }

    /// Takes the members who may have missed something, of channels that this node is ready to serve.
    pub fn take_behind<P: Clone>(&mut self, chord: &Chord<P>) -> BTreeMap<ChannelName, BTreeSet<NodeHandle>> {
        let key = |channel: &ChannelName| RecordKey::Channel(channel.clone()).id();
        let mut behind = std::mem::take(&mut self.behind);
        behind.retain(|channel, _| chord.is_root(key(channel)) == Some(true));
        let (ready, waiting) = behind.into_iter().partition(|(channel, _)| self.is_ready(key(channel)));
        self.behind = waiting;
        ready
    }

    /// Takes the records of which this root has learnt what another has written, and whether that must have been
    /// meanwhile, in another part of a network that was cut.
    pub fn take_healed(&mut self) -> BTreeMap<RecordKey, bool> {
        std::mem::take(&mut self.healed)
    }

    /// Takes what has moved since the last call, for the user.
    pub fn take_migrated(&mut self) -> Vec<Migrated> {
        std::mem::take(&mut self.told)
    }
}

/// A statement is no longer kept.
fn forget(journal: &mut BTreeMap<u64, (RecordKey, Subject)>, changed: &mut kept::Changed, revision: u64) {
    if let Some((key, subject)) = journal.remove(&revision) {
        changed.note(&key, subject, true);
    }
}

/// What became of a statement that was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merged {
    /// It was news, and replaced what was learnt at the revision `before`.
    News { before: Option<u64> },
    /// It was known, or older than what is known.
    Known,
}

impl Statement {
    /// Whether it keeps the limits that every root keeps.
    fn is_sound(&self) -> bool {
        match self {
            Statement::Message(Entry { text, .. }, _)
            | Statement::Letter(Letter { text: Some(text), .. }, _) => {
                (1..=TEXT_BYTES_MAX).contains(&text.len())
            }
            Statement::Member(..) | Statement::Claim(..) => true,
            Statement::Letter(..) | Statement::Holder(..) => true,
            Statement::Written(written, _) => {
                written.value.as_ref().is_none_or(|value| value.len() <= VALUE_BYTES_MAX)
            }
        }
    }

    /// Whether it says something that is so, and not only what is over.
    fn is_in_force(&self) -> bool {
        match self {
            Statement::Message(..) => true,
            Statement::Member(membership, age) => membership.joined && age.is_in_force(),
            Statement::Claim(claim, age) => claim.held && age.is_in_force(),
            Statement::Letter(..) | Statement::Holder(..) => false,
            // Nobody is told that a value was two.
            Statement::Written(..) => false,
        }
    }

    /// About how many bytes it takes on the wire.
    fn bytes(&self) -> usize {
        const FIXED: usize = 100;
        match self {
            Statement::Message(Entry { text, .. }, _)
            | Statement::Letter(Letter { text: Some(text), .. }, _) => FIXED + text.len(),
            Statement::Written(Written { value, .. }, _) => {
                FIXED + KEY_BYTES_MAX + value.as_ref().map_or(0, Vec::len)
            }
            _ => FIXED,
        }
    }
}
