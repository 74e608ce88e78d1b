//! `send`: a message for everyone in a channel (item 5 of the assignment).
//!
//! n -> … -> root of the channel: Send { messages, after }
//! root -> its copies: Merge                             see `records`
//! root -> n: Stored { place }                           once enough copies have them
//! root -> each member: Delivery { message, after }
//!
//! One request of an author is under way to a channel at a time, with all messages that have come
//! together meanwhile: so they arrive in the order in which they were written.
//! Each request names the last message that its author has seen or written there: so its place comes after
//! that one's, even if another root gave that out and this one has not heard of it.
//! Each delivery names the message before it: so a member notices a gap.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::{Event, MessageId, Recipient, SentState, shortened};
use super::join::Stage;
use super::payload::Payload;
use super::{CHANNELS_MAX, Chat, Context, Pending, TEXT_BYTES_MAX, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::Mutant;
use crate::records::age::Age;
use crate::records::channel::{Entry, Log, Place};
use crate::records::name::{ChannelName, Nick};
use crate::records::{CLOCK_AHEAD_MAX, RecordKey, Statement};
use crate::time::Time;

/// How many messages of the user wait for one recipient.
const OUTBOX_MAX: usize = 1000;

/// How many messages one request holds.
const MESSAGES_MAX: usize = 128;

/// How many messages of a channel a member keeps while an earlier one is missing.
const AHEAD_MAX: usize = 1000;

pub(super) const COMMAND: Command = Command {
    name: "send",
    arguments: &[Argument::required("channel", Kind::Channel), Argument::required("message", Kind::Text)],
    about: "Send a message to everyone in a channel; you need not be in it",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let (channel, text) = (words.channel()?, words.text()?);
    chat.queue(cx, Recipient::Channel(channel), text).map(|_| ())
}

/// Messages for a channel, in the order in which their author wrote them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which channel.
    pub channel: ChannelName,
    /// Who wrote them.
    pub from: Nick,
    /// Each message, and which it is.
    pub messages: Vec<(MessageId, String)>,
    /// The place of the last message of the channel that the author has been shown, or has written.
    pub after: Option<Place>,
}

/// A message for a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// Which channel.
    pub channel: ChannelName,
    /// The message, in its place.
    pub entry: Entry,
    /// The place of the message before it, unless it is the first.
    pub after: Option<Place>,
}

/// The user's messages for one recipient, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Outbox {
    messages: VecDeque<(MessageId, String)>,
    /// How many of them are under way.
    under_way: usize,
    /// If they are private: since when the first of them is under way, and to which node it was sent.
    pub(super) since: Option<Time>,
    pub(super) tried: Option<NodeHandle>,
}

impl Outbox {
    pub(super) fn first(&self) -> Option<(MessageId, &str)> {
        self.messages.front().map(|(id, text)| (*id, text.as_str()))
    }

    pub(super) fn push(&mut self, id: MessageId, text: String) {
        self.messages.push_back((id, text));
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = (MessageId, &str)> {
        self.messages.iter().rev().map(|(id, text)| (*id, text.as_str()))
    }

    pub(super) fn finish_first(&mut self) -> Option<(MessageId, String)> {
        self.under_way = 0;
        (self.since, self.tried) = (None, None);
        self.messages.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

/// The time in which this node, without a break, is the root of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term {
    epoch: u64,
    next_seq: u64,
}

impl Term {
    /// A term whose places come after `last`, the newest one that is known.
    ///
    /// Its epoch is at least the clock, in milliseconds: so it is also higher than that of a root whose log
    /// was lost with all copies, and another one than where the network is cut and others come after `last`.
    fn after(last: Option<Place>, now: Time) -> Term {
        let epoch = last.map_or(1, |last| last.epoch.saturating_add(1));
        Term { epoch: epoch.max(now.as_micros() / 1_000), next_seq: 1 }
    }
}

/// Messages that wait until enough copies have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    channel: ChannelName,
    messages: Vec<MessageId>,
    /// Where the last of them stands.
    last: Place,
}

impl Chat {
    /// Takes a message of the user's for a channel or a person, and returns its id.
    pub(super) fn queue(
        &mut self,
        cx: &mut Context<'_>,
        to: Recipient,
        text: String,
    ) -> Result<MessageId, Refusal> {
        let id = MessageId { author: self.me, counter: self.new_version(cx.now) };
        let outbox = self.outboxes.entry(to.clone()).or_default();
        if outbox.messages.len() == OUTBOX_MAX {
            let text = shortened(&text);
            return Err(Refusal::because(format!(
                "\"{text}\" was not sent: {OUTBOX_MAX} messages wait for {to} already; try later"
            )));
        }
        outbox.push(id, text.clone());
        cx.tell(Event::Sent { id, to: to.clone(), text, state: SentState::Queued });
        self.send_next(cx, &to);
        Ok(id)
    }

    /// Sends what waits for a recipient, unless something is under way.
    pub(super) fn send_next(&mut self, cx: &mut Context<'_>, to: &Recipient) {
        let Some(outbox) = self.outboxes.get_mut(to) else { return };
        if 0 < outbox.under_way {
            return;
        }
        if outbox.messages.is_empty() {
            self.outboxes.remove(to);
            return;
        }
        let Recipient::Channel(channel) = to else {
            outbox.under_way = 1;
            outbox.since = Some(cx.now);
            return self.find_person(cx, to);
        };
        let messages: Vec<_> = outbox.messages.iter().take(MESSAGES_MAX).cloned().collect();
        outbox.under_way = messages.len();
        let seen = self.sessions.get(channel).and_then(|session| session.seen);
        let after = seen.max(self.stored.get(channel).copied());
        let request = Request { channel: channel.clone(), from: self.nick.clone(), messages, after };
        let id = cx.ask_root(&RecordKey::Channel(channel.clone()), Payload::Send(request));
        self.pending.insert(id, Pending::Send(channel.clone()));
    }

    pub(super) fn on_send(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { channel, from, messages, after }: Request,
    ) {
        if messages.iter().any(|(_, text)| text.is_empty() || TEXT_BYTES_MAX < text.len()) {
            return cx.reply_read(request, Payload::Refused(super::text_rule()));
        }
        let ids: Vec<_> = messages.iter().map(|(id, _)| *id).collect();
        let log = cx.records.channel(&channel).map(|known| &known.log);
        let is_stale = |log: &Log| ids.iter().any(|id| log.get(id).is_none() && log.has_later_than(*id));
        if log.is_some_and(is_stale) {
            // It was held up on its way until its author had given it up and said something else.
            return cx.reply_read(request, Payload::Refused("later messages have come before".to_owned()));
        }
        if !cx.records.has_room_for_messages(&channel) {
            return cx.reply_read(request, Payload::Refused(super::NO_ROOM.to_owned()));
        }
        self.come_after(cx, &channel, after);
        for (id, text) in messages {
            // "A message has one place: an id that is in the log keeps it."
            let is_known = cx.records.channel(&channel).is_some_and(|known| known.log.get(&id).is_some());
            if !is_known {
                let place = self.next_place(cx, &channel);
                let entry = Entry { place, id, from: from.clone(), text, at: cx.now };
                cx.records.write(
                    cx.now,
                    &RecordKey::Channel(channel.clone()),
                    Statement::Message(entry, Age::NEW),
                );
            }
        }
        let log = cx.records.channel(&channel).map(|known| &known.log);
        let last = log.and_then(|log| ids.iter().filter_map(|id| log.get(id)).map(|entry| entry.place).max());
        // A confused peer: it sends no message.
        let Some(last) = last else { return };
        let acknowledged =
            Acknowledged { origin: request.origin, id: request.id, channel, messages: ids, last };
        self.after_write(cx, Then::Send(acknowledged));
    }

    /// The next place that this root gives out: after every message that it knows.
    ///
    /// A term ends when the root learns of a message that another has placed meanwhile.
    fn next_place(&mut self, cx: &Context<'_>, channel: &ChannelName) -> Place {
        let last = cx.records.channel(channel).and_then(|known| known.log.end());
        let place = |term: &Term| Place { epoch: term.epoch, root: self.me, seq: term.next_seq };
        let term = match self.terms.get(channel) {
            Some(term) if last < Some(place(term)) => *term,
            _ => Term::after(last, cx.now),
        };
        let place = place(&term);
        self.terms.insert(channel.clone(), Term { next_seq: term.next_seq + 1, ..term });
        place
    }

    /// The next place that this root gives out comes after `seen`, which someone says that they have been
    /// shown: another root gave that out, or the log was lost with all its copies.
    pub(super) fn come_after(&mut self, cx: &Context<'_>, channel: &ChannelName, seen: Option<Place>) {
        // Nobody has seen what is yet to be said.
        let is_credible = |seen: &Place| seen.epoch <= (cx.now + CLOCK_AHEAD_MAX).as_micros() / 1_000;
        let last = cx.records.channel(channel).and_then(|known| known.log.end());
        let Some(seen) = seen.filter(is_credible).filter(|seen| last < Some(*seen)) else { return };
        let comes_after = |term: &Term| seen.epoch < term.epoch;
        if !self.terms.get(channel).is_some_and(comes_after) {
            self.terms.insert(channel.clone(), Term::after(Some(seen), cx.now));
        }
    }

    /// This node is no longer, or newly, the root of some channels: their terms end.
    pub fn end_terms(&mut self, range: chord::Range) {
        self.terms.retain(|channel, _| !range.contains(RecordKey::Channel(channel.clone()).id()));
    }

    pub(super) fn on_send_acknowledged(&mut self, cx: &mut Context<'_>, send: Acknowledged) {
        cx.chord.reply(cx.now, send.origin, send.id, Payload::Stored(send.last));
        let Some(channel) = cx.records.channel(&send.channel) else { return };
        let members: Vec<NodeHandle> = channel.members(cx.now).map(|member| member.node).collect();
        let deliveries: Vec<Delivery> = send
            .messages
            .iter()
            .filter_map(|id| channel.log.get(id))
            .map(|entry| Delivery {
                channel: send.channel.clone(),
                entry: entry.clone(),
                after: channel.log.before(entry.place),
            })
            .collect();
        for delivery in deliveries {
            for &member in &members {
                cx.chord.tell(cx.now, member, Payload::Delivery(delivery.clone()));
            }
        }
    }

    /// Tells members again the message at `last`, which enough copies have by now: who has missed one before it
    /// asks for that.
    ///
    /// What has come after it, they are told once enough copies have that.
    pub(super) fn show_again(
        cx: &mut Context<'_>,
        channel: ChannelName,
        last: Place,
        members: &BTreeSet<NodeHandle>,
    ) {
        let Some(known) = cx.records.channel(&channel) else { return };
        let Some(entry) = known.log.at(last).cloned() else { return };
        let delivery = Delivery { after: known.log.before(last), channel, entry };
        for &member in members {
            cx.chord.tell(cx.now, member, Payload::Delivery(delivery.clone()));
        }
    }

    pub(super) fn on_stored(&mut self, cx: &mut Context<'_>, channel: ChannelName, place: Place) {
        if self.stored.len() == CHANNELS_MAX && !self.stored.contains_key(&channel) {
            let oldest = self.stored.iter().min_by_key(|(_, place)| **place);
            if let Some(channel) = oldest.map(|(channel, _)| channel.clone()) {
                self.stored.remove(&channel);
            }
        }
        self.stored.insert(channel.clone(), place);
        self.finish_sending(cx, channel, SentState::Stored);
    }

    pub(super) fn on_send_failed(&mut self, cx: &mut Context<'_>, channel: ChannelName, reason: &str) {
        self.finish_sending(cx, channel, SentState::Failed { reason: reason.to_owned() });
    }

    fn finish_sending(&mut self, cx: &mut Context<'_>, channel: ChannelName, state: SentState) {
        let to = Recipient::Channel(channel);
        let Some(outbox) = self.outboxes.get_mut(&to) else { return };
        let sent = outbox.messages.drain(..outbox.under_way);
        for (id, text) in sent {
            cx.events.push(Event::Sent { id, to: to.clone(), text, state: state.clone() });
        }
        outbox.under_way = 0;
        self.send_next(cx, &to);
    }

    pub(super) fn on_delivery(&mut self, cx: &mut Context<'_>, delivery: Delivery) {
        let channel = delivery.channel.clone();
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let place = delivery.entry.place;
        if session.seen.is_some_and(|seen| place <= seen) {
            return;
        }
        if session.ahead.len() < AHEAD_MAX {
            session.ahead.insert(place, delivery);
        }
        if session.stage == Stage::Joined {
            self.show_ahead(cx, &channel);
        }
    }

    /// Shows the messages that follow on the last one shown; asks for what is missing before the others.
    pub(super) fn show_ahead(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        let Some(session) = self.sessions.get_mut(channel).filter(|session| session.reading.is_none()) else {
            return;
        };
        while let Some(first) = session.ahead.first_entry() {
            let place = *first.key();
            let is_shown = session.seen.is_some_and(|seen| place <= seen);
            let follows = first.get().after <= session.seen;
            if is_shown {
                first.remove();
            } else if follows {
                let delivery = first.remove();
                session.seen = Some(place);
                if let Some(said) = session.takes(&delivery.entry, session.says()) {
                    show(cx, delivery.channel, delivery.entry, said);
                }
            } else {
                return self.catch_up(cx, channel);
            }
        }
    }
}

/// When a message was said that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Now,
    /// Before the user came, or while they were away.
    Earlier,
    /// Before messages that were shown already, where these did not come.
    Elsewhere,
}

/// Shows a message of a channel.
pub(super) fn show(cx: &mut Context<'_>, channel: ChannelName, entry: Entry, said: Said) {
    cx.tell(Event::Message {
        channel,
        from: entry.from,
        text: entry.text,
        id: entry.id,
        epoch: entry.place.epoch,
        seq: entry.place.seq,
        history: said != Said::Now,
        late: said == Said::Elsewhere || cx.records.is(Mutant::MarksAllAsLate),
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::chord::message::{Answer, Body, Route};
    use crate::chord::{Chord, Message};
    use crate::machine::{Input, Machine, Output};
    use crate::node::{Command as Do, Node};
    use crate::records::channel::{KEPT_FOR, Membership};
    use crate::records::{self, Records};

    const NOW: Time = Time::from_micros(1_800_000_000_000_000);
    const NOW_MILLIS: u64 = 1_800_000_000_000;

    fn at(port: u16) -> NodeHandle {
        NodeHandle::new(([127, 0, 0, 1], port).into())
    }

    /// The place that a root without a log gives to the message of someone who has seen `after`.
    fn place_after(after: Place) -> Place {
        let (mut root, mut outputs) = (Node::new("alice".parse().unwrap(), at(7000), NOW), Vec::new());
        root.handle(NOW, Input::Command(Do::Start { bootstrap: None }), &mut outputs);
        let author = at(7001);
        let channel: ChannelName = "rust".parse().unwrap();
        let key = RecordKey::Channel(channel.clone()).id();
        let messages = vec![(MessageId { author, counter: 1 }, "text".to_owned())];
        let request = Request { channel, from: "bob".parse().unwrap(), messages, after: Some(after) };
        let body = Body::Request(Payload::Send(request));
        let route = Message::Route(Route { key, origin: author, id: 7, hops: 0, last: true, body });
        root.handle(NOW, Input::Message { from: author, message: route }, &mut outputs);
        let place = |output| match output {
            Output::Send {
                message: Message::Reply { answer: Answer::Payload(Payload::Stored(place)), .. },
                ..
            } => Some(place),
            _ => None,
        };
        outputs.into_iter().find_map(place).expect("the message is stored")
    }

    #[test]
    fn a_root_that_comes_after_a_message_it_does_not_know_begins_a_term_of_its_own() {
        let seen = |epoch| Place { epoch, root: at(7002), seq: 5 };
        let own = |epoch| Place { epoch, root: at(7000), seq: 1 };
        // In another part of the network, someone else comes after the same message at another time.
        assert_eq!(place_after(seen(NOW_MILLIS - 1_000)), own(NOW_MILLIS));
        assert_eq!(place_after(seen(NOW_MILLIS + 1_000)), own(NOW_MILLIS + 1_001));
    }

    /// The root of a channel, with two copies.
    fn root(key: &RecordKey) -> (Chord<Payload>, Chat) {
        let mut ring = [7000, 7001, 7002].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        ring.sort();
        let chords = ring.map(|me| Chord::ideal(&ring, me, 16, NOW));
        let chord = chords.into_iter().find(|chord| chord.is_root(key.id()) == Some(true)).unwrap();
        let chat = Chat::new("n".parse().unwrap(), chord.me(), NOW);
        (chord, chat)
    }

    #[test]
    fn what_is_said_where_all_has_been_dropped_comes_after_that() {
        let channel: ChannelName = "rust".parse().unwrap();
        let key = RecordKey::Channel(channel.clone());
        let (mut chord, mut chat) = root(&key);
        let (me, member) = (chord.me(), chord.successors()[0]);
        let mut records = Records::default();
        // The clock of the root before was a month ahead.
        let place = Place { epoch: NOW_MILLIS + 30 * 24 * 3_600_000, root: member, seq: 1 };
        let (id, from) = (MessageId { author: member, counter: 1 }, "n".parse().unwrap());
        let entry = Entry { place, id, from, text: "text".to_owned(), at: NOW };
        records.write(NOW, &key, Statement::Message(entry, Age::NEW));
        let later = NOW + KEPT_FOR;
        let membership = Membership { node: me, version: 1, joined: true, nick: "n".parse().unwrap() };
        records.write(later, &key, Statement::Member(membership, Age::NEW));
        records.prune(later);
        assert_eq!(records.channel(&channel).unwrap().log.horizon(), Some(place));
        let mut events = Vec::new();
        let cx = Context { now: later, chord: &mut chord, records: &mut records, events: &mut events };
        assert!(place < chat.next_place(&cx, &channel), "the copies would not take it");
    }

    #[test]
    fn members_are_shown_again_what_enough_copies_have_and_nothing_later() {
        let channel: ChannelName = "rust".parse().unwrap();
        let key = RecordKey::Channel(channel.clone());
        let (mut chord, mut chat) = root(&key);
        let (me, member) = (chord.me(), chord.successors()[0]);
        let mut records = Records::default();
        let says = |records: &mut Records, seq| {
            let (place, id) = (Place { epoch: 1, root: me, seq }, MessageId { author: me, counter: seq });
            let (from, text) = ("n".parse().unwrap(), "text".to_owned());
            records.write(NOW, &key, Statement::Message(Entry { place, id, from, text, at: NOW }, Age::NEW));
        };
        says(&mut records, 1);
        let mut events = Vec::new();
        let mut cx = Context { now: NOW, chord: &mut chord, records: &mut records, events: &mut events };
        chat.catch_up_members(&cx, BTreeMap::from([(channel, BTreeSet::from([member]))]));
        cx.records.push(NOW, cx.chord);
        says(cx.records, 2);
        let mut shown = Vec::new();
        while let Some(chord::Output::Send { to, message }) = cx.chord.next_output() {
            match message {
                Message::Request { id, .. } => {
                    assert!(cx.records.on_reply(NOW, cx.chord, id, to, records::Message::Merged));
                    chat.finish_writes(&mut cx);
                }
                Message::Tell(Payload::Delivery(delivery)) => shown.push(delivery.entry.place.seq),
                message => panic!("{message:?}"),
            }
        }
        assert_eq!(shown, [1]);
    }
}
