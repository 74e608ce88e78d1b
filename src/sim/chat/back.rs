//! Who comes back after a crash, with what is on their disk: what that may have forgotten, and nothing else.
//!
//! "What is written a moment later, and may be lost by a crash: that a message was shown (it is shown once more), waits
//! or was delivered (0.1 s)."
//! A batch may be under way when that time is over, and the one after it takes its time, too.
//! Who had asked to leave a channel, and was not told yet that they have left it, is in it or not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Oracle, Person, Promise};
use crate::chat::event::{MessageId, SentState};
use crate::chat::restore::WRITTEN_WITHIN;
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::channel::Place;
use crate::records::name::ChannelName;
use crate::sim::Network;
use crate::time::Time;

/// For how long it is remembered when something was shown: longer than a disk may wait, also while its node is
/// frozen.
const RECENT: Duration = Duration::from_secs(60);

/// What someone was shown lately.
#[derive(Debug)]
pub(super) struct Shown {
    at: Time,
    id: MessageId,
    /// Where it stood, if it was said in a channel.
    place: Option<(ChannelName, Place)>,
}

/// The newest place of what was shown of a channel, as the node remembers it: at least and at most.
type Newest = (Option<Place>, Option<Place>);

/// How far someone's screen has come: as told, and as it is on their disk for certain.
#[derive(Debug, Default)]
pub(super) struct Screen {
    shown: BTreeSet<MessageId>,
    /// What was shown just before a crash, and may be shown once more.
    again: BTreeSet<MessageId>,
    recent: VecDeque<Shown>,
    newest: BTreeMap<ChannelName, Newest>,
    /// The last message of each author in each channel.
    last_of: BTreeMap<(ChannelName, NodeHandle), u64>,
    /// The same for what is on the disk.
    newest_kept: BTreeMap<ChannelName, Place>,
    last_kept_of: BTreeMap<(ChannelName, NodeHandle), u64>,
}

impl Screen {
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.shown.contains(id)
    }

    pub(super) fn all(&self) -> &BTreeSet<MessageId> {
        &self.shown
    }

    /// Takes a message that is shown; returns whether it may be.
    pub(super) fn shows(&mut self, now: Time, id: MessageId) -> bool {
        self.recent.push_back(Shown { at: now, id, place: None });
        while let Some(first) = self.recent.pop_front_if(|shown| shown.at + RECENT < now) {
            self.keep(first);
        }
        self.shown.insert(id) || self.again.remove(&id)
    }

    /// What was shown is on the disk.
    fn keep(&mut self, Shown { id, place, .. }: Shown) {
        let Some((channel, place)) = place else { return };
        let newest = self.newest_kept.entry(channel.clone()).or_insert(place);
        *newest = place.max(*newest);
        let last = self.last_kept_of.entry((channel, id.author)).or_default();
        *last = id.counter.max(*last);
    }

    /// The message that is being shown stands at `place` in its channel, and is or is not marked as late; returns
    /// the newest place before, at least and at most, and whether the mark is right.
    pub(super) fn stands(&mut self, channel: &ChannelName, place: Place, late: bool) -> (Newest, bool) {
        let newest = self.newest.entry(channel.clone()).or_default();
        let (least, most) = *newest;
        let is_right = if late { Some(place) < most } else { least < Some(place) };
        *newest = (least.max(Some(place)), most.max(Some(place)));
        if let Some(shown) = self.recent.back_mut() {
            shown.place = Some((channel.clone(), place));
        }
        ((least, most), is_right)
    }

    /// The message `id` is shown, and not late; returns whether it comes after all others of its author.
    pub(super) fn follows(&mut self, channel: &ChannelName, id: MessageId) -> bool {
        let last = self.last_of.insert((channel.clone(), id.author), id.counter);
        last < Some(id.counter)
    }

    /// The node begins again with what is on its disk: of the channels that are kept there, and of letters, to
    /// which no channel belongs. What it was told is there for certain up to a moment.
    fn comes_back<'a>(
        &mut self,
        kept_until: Time,
        kept: &BTreeSet<ChannelName>,
        channel_of: impl Fn(&MessageId) -> Option<&'a ChannelName>,
    ) {
        for shown in std::mem::take(&mut self.recent) {
            if shown.at <= kept_until {
                self.keep(shown);
            } else {
                self.again.insert(shown.id);
            }
        }
        // What was shown of a channel that the user has left is forgotten.
        let is_gone = |channel: &ChannelName| !kept.contains(channel);
        self.again.extend(self.shown.iter().filter(|id| channel_of(id).is_some_and(is_gone)));
        self.newest_kept.retain(|channel, _| !is_gone(channel));
        self.last_kept_of.retain(|(channel, _), _| !is_gone(channel));
        for (channel, (least, _)) in &mut self.newest {
            *least = self.newest_kept.get(channel).copied();
        }
        self.last_of = self.last_kept_of.clone();
    }
}

impl Oracle {
    /// A node ends that has a disk: from some moment on, it may have forgotten what it told.
    pub(super) fn note_disk(&mut self, network: &Network<Node>, node: NodeHandle) {
        let kept_until = network.written_until(node, WRITTEN_WITHIN);
        // Who ends once more without having been ready has shown nothing meanwhile.
        if let Some(person) = self.people.get_mut(&node) {
            person.kept_until.get_or_insert(kept_until);
        }
    }

    /// Someone who crashed is ready again.
    pub(super) fn comes_back(&mut self, now: Time, node: NodeHandle) {
        let messages = &self.messages;
        let channel_of = |id: &MessageId| messages.get(id).and_then(super::Message::channel);
        let Some(person) = self.people.get_mut(&node) else { return };
        let Some(kept_until) = person.kept_until.take() else { return };
        let mut returns = std::mem::take(&mut person.joined);
        returns.retain(|channel| !person.leaves.contains(channel));
        person.leaves.clear();
        person.screen.comes_back(kept_until, &returns, channel_of);
        person.since = now;
        person.is_over = false;
        person.returns.append(&mut returns);
        let id = |counter| MessageId { author: node, counter };
        for (_, message) in self.messages.range_mut(id(0)..=id(u64::MAX)) {
            let is_unsure = kept_until < message.since;
            message.waits_again = is_unsure || message.state == SentState::Queued;
            message.may_be_forgotten |= is_unsure && message.state == SentState::Queued;
            message.delivered_again = is_unsure && message.state == SentState::Delivered;
        }
    }

    /// A message is told to wait that was told of before: the disk has kept it.
    pub(super) fn waits_again(&mut self, now: Time, node: NodeHandle, id: MessageId) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let before = std::mem::replace(&mut message.state, SentState::Queued);
        let may = std::mem::take(&mut message.waits_again);
        (message.since, message.may_be_forgotten) = (now, false);
        match before {
            // Each message is counted as what it is in the end.
            SentState::Stored => self.seen.stored -= 1,
            SentState::Delivered => self.seen.delivered -= 1,
            SentState::Failed { .. } => self.seen.failed -= 1,
            SentState::Queued | SentState::Waiting => {}
        }
        if !may || id.author != node {
            let what = format!("{node:?} hears that {id} waits, after {before:?}");
            self.breaks(now, Promise::State, what);
        }
    }
}

impl Person {
    /// The channels that they were in before a crash, and are not yet again.
    pub(super) fn returns_to(&self) -> Option<&ChannelName> {
        self.returns.first()
    }
}
