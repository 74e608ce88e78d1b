//! A channel: who is in it, and what was said.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Merged;
use super::age::Age;
use super::facts::Facts;
use super::lease::{Leased, Leases};
use super::name::Nick;
use crate::id::NodeHandle;
use crate::time::Time;

/// The longest message, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// How many messages of a channel are kept: the newest.
pub const LOG_MAX: usize = 1000;

/// How long a message is kept at most after its root gave it its place, unless the root's clock is far behind.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A channel's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    members: Leases<Membership>,
    /// What was said, in order.
    pub log: Log,
}

/// "I am in this channel", or no longer; written by the member alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// The member's node.
    pub node: NodeHandle,
    /// Rises with each statement of the member.
    pub version: u64,
    /// Whether the member is in the channel.
    pub joined: bool,
    /// The member's name.
    pub nick: Nick,
}

impl Leased for Membership {
    fn author(&self) -> NodeHandle {
        self.node
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Channel {
    pub(super) fn merge_member(
        &mut self,
        now: Time,
        membership: Membership,
        age: Age,
        revision: u64,
    ) -> Merged {
        self.members.merge(now, membership, age, revision)
    }

    /// Who is in the channel.
    pub fn members(&self, now: Time) -> impl Iterator<Item = &Membership> {
        self.members.live(now).filter(|membership| membership.joined)
    }

    /// Whether the node is in the channel.
    pub fn is_member(&self, now: Time, node: NodeHandle) -> bool {
        self.members(now).any(|membership| membership.node == node)
    }

    /// Whether the member has said something later than `membership`, which was held up on its way.
    pub fn has_later_than(&self, membership: &Membership) -> bool {
        let known = self.member(Time::default(), &membership.node);
        known.is_some_and(|(known, _)| membership.version < known.version)
    }

    /// The name of the member at `node`.
    pub fn nick(&self, now: Time, node: NodeHandle) -> Option<&Nick> {
        self.members(now).find(|membership| membership.node == node).map(|membership| &membership.nick)
    }

    /// Who was in the channel until the lease ended, after `since` and not later than `now`.
    pub fn lost_members(&self, since: Time, now: Time) -> impl Iterator<Item = &Membership> {
        self.members.ended(since, now).filter(|membership| membership.joined)
    }

    pub(super) fn member(&self, now: Time, node: &NodeHandle) -> Option<(&Membership, Age)> {
        self.members.get(now, node)
    }

    /// Writes what a copy must know to know the same, of its log only what stands after `horizon`.
    ///
    /// Which renewal of a lease a copy knows makes no difference while it holds: the next one is under way.
    pub(super) fn write_facts(&self, now: Time, facts: &mut Facts, horizon: Option<Place>) {
        facts.number(self.members.len() as u64);
        for (member, holds) in self.members.all(now) {
            facts.node(member.node).flag(member.joined).flag(holds).bytes(member.nick.as_str().as_bytes());
        }
        for Entry { place, id, .. } in self.log.after(horizon) {
            facts.node(id.author).number(id.counter);
            facts.number(place.epoch).node(place.root).number(place.seq);
        }
    }

    /// How many people have a statement here, in the channel or not.
    pub(super) fn statements(&self) -> usize {
        self.members.len()
    }

    pub(super) fn set_member_revision(&mut self, node: &NodeHandle, revision: u64) {
        self.members.set_revision(node, revision);
    }

    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        let mut pruned = self.members.prune(now);
        self.log.prune(now, &mut pruned);
        pruned
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.log.is_empty()
    }
}

/// The unique id of a message: its author's node and a number that the author never uses twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// The node on which it was written.
    pub author: NodeHandle,
    /// Rises with each message; begins with the author's clock, so that a restart never repeats one.
    pub counter: u64,
}

impl MessageId {
    /// Messages summed up: the same ones make the same sum, in whatever order.
    pub fn sum(ids: impl Iterator<Item = MessageId>) -> u64 {
        ids.fold(0, |sum, id| sum.wrapping_add(id.mixed()))
    }

    /// A number that tells messages apart, also in sums: every bit depends on all bits of the id.
    ///
    /// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn mixed(self) -> u64 {
        let author = self.author.id();
        let author: [u8; 8] = std::array::from_fn(|i| author.as_bytes()[i]);
        let mut bits = u64::from_be_bytes(author).wrapping_add(self.counter);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.author.id().short(), self.counter)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a message stands in its channel's log: the order of places is the order of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The term of the root that gave it out: it rises when another node becomes the root.
    pub epoch: u64,
    /// That root: two roots at once, in a network that is cut, give out different places.
    pub root: NodeHandle,
    /// Counts the messages of the term, from 1.
    pub seq: u64,
}

/// A message in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// Which message it is.
    pub id: MessageId,
    /// Who wrote it.
    pub from: Nick,
    /// What it says.
    pub text: String,
    /// When the root gave it its place, by the root's clock.
    pub at: Time,
}

/// An entry as a node keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    entry: Entry,
    /// When its root gave it its place, by this node's clock.
    made: Time,
    revision: u64,
}

/// The messages of a channel, the newest [`LOG_MAX`] of the last [`KEPT_FOR`], each once and in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Log {
    entries: BTreeMap<Place, Held>,
    places: BTreeMap<MessageId, Place>,
    /// The newest place that was dropped, for want of room or for its age: nothing up to here is accepted
    /// again.
    horizon: Option<Place>,
}

impl Log {
    /// Learns a message, and returns whether it was news.
    ///
    /// "A message has one place": of two that roots have given it, the earlier one.
    /// No root gives out a place twice: its epochs begin with its clock, so one that has lost its memory
    /// does not come back to a former one. Were it to, the first message here would keep the place.
    /// The revisions of what had to go are added to `dropped`.
    pub(super) fn merge(
        &mut self,
        now: Time,
        entry: Entry,
        age: Age,
        revision: u64,
        dropped: &mut Vec<u64>,
    ) -> bool {
        let made = age.made(now);
        if made + KEPT_FOR <= now || Some(entry.place) <= self.horizon {
            return false;
        }
        if let Some(held) = self.entries.get_mut(&entry.place) {
            if held.entry == entry {
                held.made = held.made.min(made);
            }
            return false;
        }
        if self.places.get(&entry.id).is_some_and(|&known| known < entry.place) {
            return false;
        }
        if let Some(later) = self.places.insert(entry.id, entry.place) {
            dropped.extend(self.entries.remove(&later).map(|held| held.revision));
        }
        self.entries.insert(entry.place, Held { entry, made, revision });
        while LOG_MAX < self.entries.len() {
            dropped.extend(self.drop_first());
        }
        !dropped.contains(&revision)
    }

    /// Forgets the messages that have been kept long enough; the revisions that they had are added to
    /// `dropped`.
    fn prune(&mut self, now: Time, dropped: &mut Vec<u64>) {
        while self.entries.first_key_value().is_some_and(|(_, oldest)| oldest.made + KEPT_FOR <= now) {
            dropped.extend(self.drop_first());
        }
    }

    fn drop_first(&mut self) -> Option<u64> {
        let (place, oldest) = self.entries.pop_first()?;
        self.places.remove(&oldest.entry.id);
        self.horizon = Some(place);
        Some(oldest.revision)
    }

    /// The newest place that was dropped: what two copies have up to there is not compared.
    pub fn horizon(&self) -> Option<Place> {
        self.horizon
    }

    /// The message with this id.
    pub fn get(&self, id: &MessageId) -> Option<&Entry> {
        self.held(id).map(|held| &held.entry)
    }

    /// How long ago the message with this id got its place.
    pub(super) fn age(&self, now: Time, id: &MessageId) -> Option<Age> {
        self.held(id).map(|held| Age::since(held.made, now))
    }

    fn held(&self, id: &MessageId) -> Option<&Held> {
        self.places.get(id).and_then(|place| self.entries.get(place))
    }

    /// Whether the author of this message has said something later.
    pub fn has_later_than(&self, id: MessageId) -> bool {
        let latest = MessageId { counter: u64::MAX, ..id };
        id < latest && self.places.range((Bound::Excluded(id), Bound::Included(latest))).next().is_some()
    }

    /// The place of the newest message.
    pub fn last(&self) -> Option<Place> {
        self.entries.last_key_value().map(|(&place, _)| place)
    }

    /// The newest place, also if its message was dropped: what is said next comes after it.
    pub fn end(&self) -> Option<Place> {
        self.last().or(self.horizon)
    }

    /// The message in this place.
    pub fn at(&self, place: Place) -> Option<&Entry> {
        self.entries.get(&place).map(|held| &held.entry)
    }

    /// The place of the message before `place`.
    pub fn before(&self, place: Place) -> Option<Place> {
        self.entries.range(..place).next_back().map(|(&place, _)| place).or(self.horizon)
    }

    /// The messages after `place`, or all, oldest first.
    pub fn after(&self, place: Option<Place>) -> impl Iterator<Item = &Entry> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range((from, Bound::Unbounded)).map(|(_, held)| &held.entry)
    }

    /// The messages before `place`, or all, newest first.
    pub fn newest_before(&self, place: Option<Place>) -> impl Iterator<Item = &Entry> {
        let to = place.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range((Bound::Unbounded, to)).rev().map(|(_, held)| &held.entry)
    }

    /// The messages after `after` and up to `upto`, summed up: whoever was shown the same has the same sum.
    pub fn sum(&self, after: Option<Place>, upto: Option<Place>) -> u64 {
        let ids = self.after(after).take_while(|entry| Some(entry.place) <= upto).map(|entry| entry.id);
        MessageId::sum(ids)
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn set_revision(&mut self, id: &MessageId, revision: u64) {
        if let Some(held) = self.places.get(id).and_then(|place| self.entries.get_mut(place)) {
            held.revision = revision;
        }
    }
}
