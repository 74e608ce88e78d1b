//! What is kept of a chat on the disk, and what becomes of it after a restart.
//!
//! Kept are the channels that the user is in, with what was shown of each, the messages that wait, and where
//! the last one stands that the user has said in each channel: the next one comes after it.
//! Once the name is the user's again, each channel is joined again as by `join`, and what was missed is
//! shown; then the messages go out that were waiting.
//! A user who exits comes back in the same way: only `leave` ends a membership for good.
//! The nicks that they had are kept as well, whichever one they come back with: see `nicks`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Event, MessageId, Recipient, SentState};
use super::join::Session;
use super::mail::Posted;
use super::recent::{Numbers, Recent};
use super::{Chat, Context, Pending, Stage, join};
use crate::records::channel::Place;
use crate::records::name::{ChannelName, Nick};
use crate::time::Time;

/// How long it may take until it is written that a message was shown, waits or does not any more, where the last
/// one of a channel stands, or a nick: after a crash in this time, a message is shown once more.
pub(crate) const WRITTEN_WITHIN: Duration = Duration::from_millis(100);

/// Under what something of a chat is kept.
///
/// A new variant goes to the end: its place is its number on the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A channel that the user is in.
    Channel(ChannelName),
    /// One of the messages that were shown last of a channel, counted from the first ever.
    Shown(ChannelName, u64),
    /// One of the private messages that were shown last, counted from the first ever.
    Heard(u64),
    /// A message of the user's that waits.
    Waiting(Recipient, MessageId),
    /// A private message of the user's that waits in a mailbox.
    Posted(MessageId),
    /// A nick that the user has or had.
    Nick(Nick),
    /// A channel in which the user has said something, whether they are in it or not.
    Stored(ChannelName),
}

/// What is kept of a chat under a [`Key`].
///
/// A new variant goes to the end: its place is its number on the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// How much of a channel was shown.
    Channel(Seen),
    /// A message of a channel that was shown, and its place.
    Shown(MessageId, Place),
    /// A private message that was shown.
    Heard(MessageId),
    /// What the message says.
    Waiting(String),
    /// To whom the message goes, when it came to the mailbox, and what it says.
    Posted(Recipient, Time, String),
    /// When the user had the nick last.
    Nick(Time),
    /// Where their last message there stands.
    Stored(Place),
}

/// How much of a channel was shown: everything after `from` and up to `upto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// What stands up to here is not wanted.
    pub from: Option<Place>,
    /// The place of the last message that was shown.
    pub upto: Option<Place>,
    /// How many messages from before the user is still to be shown, who has just joined.
    pub history: u16,
}

/// A change of what is kept: under this key, now this or nothing, to be written within this time.
pub type Change = (Key, Option<Value>, Duration);

/// What is on the disk, as far as it takes to see what has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    channels: BTreeMap<ChannelName, (Seen, Numbers)>,
    heard: Numbers,
    waiting: BTreeMap<Recipient, BTreeSet<MessageId>>,
    posted: BTreeSet<MessageId>,
    nicks: BTreeMap<Nick, Time>,
    stored: BTreeMap<ChannelName, Place>,
}

/// What was kept by a former self, until the user has their name again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Former {
    channels: BTreeMap<ChannelName, Seen>,
    shown: BTreeMap<ChannelName, BTreeMap<u64, (MessageId, Place)>>,
    heard: BTreeMap<u64, (MessageId, ())>,
    /// In the order in which they were written.
    waiting: BTreeMap<Recipient, BTreeMap<(u64, MessageId), String>>,
    posted: BTreeMap<MessageId, Posted>,
    nicks: BTreeMap<Nick, Time>,
    stored: BTreeMap<ChannelName, Place>,
}

impl Chat {
    /// From now on, what changes is told by [`Chat::take_changes`].
    pub fn remember_changes(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Learns what a former self kept.
    pub fn restore(&mut self, key: Key, value: Value) {
        let former = self.former.get_or_insert_default();
        match (key, value) {
            (Key::Channel(channel), Value::Channel(seen)) => {
                former.channels.insert(channel, seen);
            }
            (Key::Shown(channel, number), Value::Shown(id, place)) => {
                former.shown.entry(channel).or_default().insert(number, (id, place));
            }
            (Key::Heard(number), Value::Heard(id)) => {
                former.heard.insert(number, (id, ()));
            }
            (Key::Waiting(to, id), Value::Waiting(text)) => {
                former.waiting.entry(to).or_default().insert((id.counter, id), text);
            }
            (Key::Posted(id), Value::Posted(to, at, text)) => {
                former.posted.insert(id, Posted { to, text, at });
            }
            (Key::Nick(nick), Value::Nick(at)) => {
                former.nicks.insert(nick, at);
            }
            (Key::Stored(channel), Value::Stored(place)) => {
                former.stored.insert(channel, place);
            }
            // Nobody has written such a value under such a key.
            _ => {}
        }
    }

    /// The user has their name: they are where they were.
    pub(super) fn come_back(&mut self, cx: &mut Context<'_>) {
        let Some(former) = self.former.take() else { return };
        let Former { channels, mut shown, heard, waiting, posted, nicks, stored } = former;
        let mut kept = Kept::default();
        self.heard = Recent::restored(heard);
        kept.heard = self.heard.numbers();
        kept.posted = posted.keys().copied().collect();
        self.posted = posted;
        kept.nicks = nicks.clone();
        self.nicks.had = nicks;
        kept.stored = stored.clone();
        self.stored = stored;
        for (channel, seen) in channels {
            let shown = Recent::restored(shown.remove(&channel).unwrap_or_default());
            kept.channels.insert(channel.clone(), (seen, shown.numbers()));
            self.sessions.insert(channel.clone(), Session::of_former_self(seen, shown));
            self.ask_to_join(cx, channel);
        }
        for (to, messages) in waiting {
            kept.waiting.insert(to.clone(), messages.keys().map(|(_, id)| *id).collect());
            let outbox = self.outboxes.entry(to.clone()).or_default();
            for ((_, id), text) in messages {
                outbox.push(id, text.clone());
                cx.tell(Event::Sent { id, to: to.clone(), text, state: SentState::Waiting });
            }
            self.send_next(cx, &to);
        }
        self.kept = Some(kept);
    }

    /// Tries again to join the channels that could not be joined again.
    pub(super) fn try_to_return(&mut self, cx: &mut Context<'_>) {
        let joining: BTreeSet<_> = self.pending.values().filter_map(joined_by).collect();
        let returns = |(channel, session): (&ChannelName, &Session)| {
            let is_outside = session.returns && session.stage == join::Stage::Joining;
            (is_outside && !joining.contains(channel)).then(|| channel.clone())
        };
        let again: Vec<_> = self.sessions.iter().filter_map(returns).collect();
        for channel in again {
            self.ask_to_join(cx, channel);
        }
    }

    /// What has changed since the last call, of what is to be kept.
    pub fn take_changes(&mut self) -> Vec<Change> {
        // Until the name is there, and after a name was refused, nothing changes.
        let Some(mut kept) = self.kept.take_if(|_| self.former.is_none()) else { return Vec::new() };
        let mut changes = Vec::new();
        // Who exits leaves the channels, and is in them again the next time.
        let is_in_channels = match &self.stage {
            Stage::Leaving(leaving) => leaving.is_in_channels(),
            stage => *stage == Stage::Ready,
        };
        if is_in_channels {
            self.channels_changed(&mut kept, &mut changes);
            let value = |id, (): &()| Value::Heard(id);
            let within = |_| WRITTEN_WITHIN;
            recent_changed(Key::Heard, value, within, &mut kept.heard, &self.heard, &mut changes);
        }
        if matches!(self.stage, Stage::Ready | Stage::Leaving(_)) {
            // Ahead of the message that waits no more: the next one must not come before it.
            self.stored_changed(&mut kept, &mut changes);
            self.waiting_changed(&mut kept, &mut changes);
            self.posted_changed(&mut kept, &mut changes);
            self.nicks_changed(&mut kept, &mut changes);
        }
        self.kept = Some(kept);
        changes
    }

    fn channels_changed(&self, kept: &mut Kept, changes: &mut Vec<Change>) {
        for (channel, session) in self.sessions.iter().filter(|(_, session)| session.is_kept()) {
            let (seen, numbers) = (session.seen_so_far(), session.shown.numbers());
            let (before, mut known) = match kept.channels.get(channel) {
                Some(known) if *known == (seen, numbers) => continue,
                Some((seen, known)) => (Some(*seen), *known),
                None => (None, Numbers::default()),
            };
            if before != Some(seen) {
                // That the user is in the channel is told when it is on the disk.
                let within = if before.is_none() { Duration::ZERO } else { WRITTEN_WITHIN };
                changes.push((Key::Channel(channel.clone()), Some(Value::Channel(seen)), within));
            }
            let key = |number| Key::Shown(channel.clone(), number);
            let value = |id, place: &Place| Value::Shown(id, *place);
            // Who comes back to a channel is in it again together with what they were shown of it before.
            let is_of_before = |number| before.is_none() && number < session.first;
            let within = |number| if is_of_before(number) { Duration::ZERO } else { WRITTEN_WITHIN };
            recent_changed(key, value, within, &mut known, &session.shown, changes);
            kept.channels.insert(channel.clone(), (seen, numbers));
        }
        let is_left = |channel: &ChannelName| !self.sessions.get(channel).is_some_and(Session::is_kept);
        for (channel, (_, known)) in kept.channels.extract_if(.., |channel, _| is_left(channel)) {
            let shown = (known.first..known.next).map(|number| Key::Shown(channel.clone(), number));
            changes.extend(shown.map(|key| (key, None, Duration::ZERO)));
            changes.push((Key::Channel(channel), None, Duration::ZERO));
        }
    }

    fn waiting_changed(&self, kept: &mut Kept, changes: &mut Vec<Change>) {
        for (to, outbox) in &self.outboxes {
            let known = kept.waiting.entry(to.clone()).or_default();
            let is_new = |id: &MessageId| !known.contains(id);
            // New ones stand at the end.
            let new: Vec<_> = outbox.newest_first().take_while(|(id, _)| is_new(id)).collect();
            for (id, text) in new.into_iter().rev() {
                known.insert(id);
                changes.push((
                    Key::Waiting(to.clone(), id),
                    Some(Value::Waiting(text.to_owned())),
                    WRITTEN_WITHIN,
                ));
            }
        }
        kept.waiting.retain(|to, known| {
            let outbox = self.outboxes.get(to);
            if outbox.map_or(0, super::send::Outbox::len) != known.len() {
                let waiting: BTreeSet<MessageId> = outbox
                    .map(|outbox| outbox.newest_first().map(|(id, _)| id).collect())
                    .unwrap_or_default();
                for id in known.extract_if(.., |id| !waiting.contains(id)) {
                    changes.push((Key::Waiting(to.clone(), id), None, WRITTEN_WITHIN));
                }
            }
            !known.is_empty()
        });
    }

    fn stored_changed(&self, kept: &mut Kept, changes: &mut Vec<Change>) {
        if kept.stored == self.stored {
            return;
        }
        for (channel, place) in &self.stored {
            if kept.stored.get(channel) != Some(place) {
                let key = Key::Stored(channel.clone());
                changes.push((key, Some(Value::Stored(*place)), WRITTEN_WITHIN));
            }
        }
        for channel in kept.stored.keys().filter(|channel| !self.stored.contains_key(*channel)) {
            changes.push((Key::Stored(channel.clone()), None, WRITTEN_WITHIN));
        }
        kept.stored.clone_from(&self.stored);
    }

    fn posted_changed(&self, kept: &mut Kept, changes: &mut Vec<Change>) {
        if kept.posted.len() == self.posted.len() && kept.posted.last() == self.posted.keys().last() {
            // A new one stands at the end.
            return;
        }
        for (&id, posted) in self.posted.iter().filter(|(id, _)| !kept.posted.contains(id)) {
            let Posted { to, text, at } = posted.clone();
            changes.push((Key::Posted(id), Some(Value::Posted(to, at, text)), WRITTEN_WITHIN));
        }
        for id in kept.posted.iter().filter(|id| !self.posted.contains_key(id)) {
            changes.push((Key::Posted(*id), None, WRITTEN_WITHIN));
        }
        kept.posted = self.posted.keys().copied().collect();
    }

    fn nicks_changed(&self, kept: &mut Kept, changes: &mut Vec<Change>) {
        let had = &self.nicks.had;
        if kept.nicks == *had {
            return;
        }
        for (nick, at) in had.iter().filter(|(nick, at)| kept.nicks.get(*nick) != Some(at)) {
            changes.push((Key::Nick(nick.clone()), Some(Value::Nick(*at)), WRITTEN_WITHIN));
        }
        for nick in kept.nicks.keys().filter(|nick| !had.contains_key(*nick)) {
            changes.push((Key::Nick(nick.clone()), None, WRITTEN_WITHIN));
        }
        kept.nicks.clone_from(had);
    }
}

fn joined_by(pending: &Pending) -> Option<&ChannelName> {
    match pending {
        Pending::Join(channel) => Some(channel),
        _ => None,
    }
}

impl Session {
    /// The session of a user who was in the channel before a restart.
    fn of_former_self(seen: Seen, shown: Recent<Place>) -> Session {
        let newest = shown.newest();
        Session {
            returns: true,
            history: seen.history.into(),
            from: seen.from,
            before: seen.from,
            seen: seen.upto,
            shown,
            newest,
            ..Session::default()
        }
    }

    fn seen_so_far(&self) -> Seen {
        let from = if self.history == 0 { self.from } else { self.before };
        Seen { from, upto: self.seen, history: u16::try_from(self.history).unwrap_or(u16::MAX) }
    }

    /// Whether the user is in the channel, or was until a restart.
    fn is_kept(&self) -> bool {
        self.returns || self.stage != join::Stage::Joining
    }
}

/// What has been added to `recent` and forgotten by it since it had these numbers.
fn recent_changed<T>(
    key: impl Fn(u64) -> Key,
    value: impl Fn(MessageId, &T) -> Value,
    within: impl Fn(u64) -> Duration,
    known: &mut Numbers,
    recent: &Recent<T>,
    changes: &mut Vec<Change>,
) {
    let numbers = recent.numbers();
    if *known == numbers {
        return;
    }
    for number in known.first..numbers.first.min(known.next) {
        changes.push((key(number), None, within(number)));
    }
    for (number, id, remembered) in recent.numbered_from(known.next) {
        changes.push((key(number), Some(value(id, remembered)), within(number)));
    }
    *known = numbers;
}
