//! `join`: a person becomes a member of a channel (item 3 of the assignment).
//!
//! n -> … -> root of the channel: Join { membership }
//! root -> n: Joined { members, last }
//! root -> each member: MemberChanged

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::{Event, MemberChange};
use super::history::{HISTORY_MAX, Purpose};
use super::payload::Payload;
use super::recent::Recent;
use super::send::Said;
use super::{CHANNELS_MAX, Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::age::Age;
use crate::records::channel::{Entry, Membership, Place};
use crate::records::name::{ChannelName, Nick};
use crate::records::{RecordKey, Statement};
use crate::time::Time;

pub(super) const COMMAND: Command = Command {
    name: "join",
    arguments: &[Argument::required("channel", Kind::Channel), Argument::optional("--history", Kind::Count)],
    about: "Join a channel: its last messages are shown (50, or as many as --history says, at most 1000), and all from now on",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let channel = words.channel()?;
    let asked = match words.switch("--history")? {
        true => Some(words.count(0..=HISTORY_MAX)?.ok_or(Refusal::Usage)?),
        false => None,
    };
    words.end()?;
    chat.join_channel(cx, channel, asked)
}

/// Joins a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which channel.
    pub channel: ChannelName,
    /// What the member states.
    pub membership: Membership,
}

/// What the root says to a new member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Everyone who is in the channel, with their nodes.
    pub members: Vec<(Nick, NodeHandle)>,
    /// The place of the last message before the member came.
    pub last: Option<Place>,
}

/// Someone came to a channel or went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberChanged {
    /// Which channel.
    pub channel: ChannelName,
    /// Who.
    pub nick: Nick,
    /// Where they are.
    pub node: NodeHandle,
    /// What happened.
    pub change: MemberChange,
}

/// What a member knows of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    pub(super) stage: Stage,
    /// Who was the root of the channel when the user joined it or renewed the membership last.
    pub(super) root: Option<NodeHandle>,
    /// How many messages from before are still to be shown.
    pub(super) history: usize,
    /// Whether a former self was in the channel: if that one was shown the last messages, this one is shown
    /// those that it missed.
    pub(super) returns: bool,
    /// The request with which they are being read: what comes meanwhile is shown after them.
    pub(super) reading: Option<Number>,
    /// Whether the root is asked again once it has answered, or the past has been read: it has answered while that
    /// was read, or has learnt something since it was asked.
    pub(super) asks_again: bool,
    /// The place of the last message that was shown: everything up to here has been.
    pub(super) seen: Option<Place>,
    /// Which messages were shown last, and in which place: one that two roots have placed comes twice.
    pub(super) shown: Recent<Place>,
    /// The number of the first message that was shown since the user came.
    pub(super) first: u64,
    /// The newest place of all messages that were shown.
    pub(super) newest: Option<Place>,
    /// What stands up to here is not wanted: it was said long before the user came.
    pub(super) from: Option<Place>,
    /// The same as far as the user knows: what is being read for who has just joined is still wanted if they
    /// leave before it is shown, and come back.
    pub(super) before: Option<Place>,
    /// By how much the sum of the messages shown is greater than the root's, when these were read again
    /// last: some were shown that it does not have.
    pub(super) surplus: u64,
    /// When the user was told last that the network had healed.
    pub(super) healed: Option<Time>,
    /// Messages that came before one that is missing, with the place of the one before each.
    pub(super) ahead: BTreeMap<Place, super::send::Delivery>,
    /// The request with which the root is being asked for what is missing.
    pub(super) catching_up: Option<Number>,
    /// If the user was away: the first request that tells what was said meanwhile. Until it or a later one
    /// is answered, what is shown was said then.
    pub(super) away: Option<Number>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    #[default]
    Joining,
    Joined,
    Leaving,
}

/// A join that waits until enough copies have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    channel: ChannelName,
    nick: Nick,
    /// Whether the member was not there before.
    is_new: bool,
    last: Option<Place>,
}

impl Session {
    /// When that was said which is shown now.
    pub(super) fn says(&self) -> Said {
        if self.away.is_some() { Said::Earlier } else { Said::Now }
    }

    /// How a message that was said then is to be shown, unless it was.
    pub(super) fn takes(&mut self, entry: &Entry, said: Said) -> Option<Said> {
        if self.shown.contains(&entry.id) {
            return None;
        }
        // What is not remembered any more is not asked for again.
        self.from = self.from.max(self.shown.insert(entry.id, entry.place));
        let is_late = Some(entry.place) < self.newest;
        self.newest = self.newest.max(Some(entry.place));
        Some(if is_late { Said::Elsewhere } else { said })
    }
}

impl Chat {
    /// Begins to join a channel, of which so many last messages are shown, or as many as of all.
    pub(super) fn join_channel(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        asked: Option<usize>,
    ) -> Result<(), Refusal> {
        match self.sessions.get(&channel).map(|session| session.stage) {
            Some(Stage::Joining | Stage::Joined) => {
                let count =
                    asked.filter(|&count| 0 < count).map(|count| format!(" {count}")).unwrap_or_default();
                return Err(Refusal::because(format!(
                    "you are in {channel} already; history {channel}{count} shows what was said last"
                )));
            }
            Some(Stage::Leaving) => return Err(Refusal::because(format!("you are still leaving {channel}"))),
            None => {}
        }
        if self.sessions.len() == CHANNELS_MAX {
            return Err(Refusal::because(format!("you are in {CHANNELS_MAX} channels; leave one first")));
        }
        let history = asked.unwrap_or(self.history);
        let (shown, before) = self.shown_before.remove(&channel).unwrap_or_default();
        let (first, newest) = (shown.numbers().next, shown.newest());
        let session = Session { history, shown, first, newest, before, ..Session::default() };
        self.sessions.insert(channel.clone(), session);
        self.ask_to_join(cx, channel);
        Ok(())
    }

    /// The channels that the user is in, in order.
    pub fn joined(&self) -> impl Iterator<Item = &ChannelName> {
        let joined = self.sessions.iter().filter(|(_, session)| session.stage == Stage::Joined);
        joined.map(|(channel, _)| channel)
    }

    /// The user is no longer in a channel; what was shown of it is remembered.
    pub(super) fn end_session(&mut self, channel: &ChannelName) {
        if self.shown_before.len() == CHANNELS_MAX {
            self.shown_before.pop_first();
        }
        let session = self.sessions.remove(channel);
        self.shown_before.extend(session.map(|session| (channel.clone(), (session.shown, session.before))));
    }

    pub(super) fn ask_to_join(&mut self, cx: &mut Context<'_>, channel: ChannelName) {
        let membership = self.membership(cx, true);
        let request = Payload::Join(Request { channel: channel.clone(), membership });
        let id = cx.ask_root(&RecordKey::Channel(channel.clone()), request);
        self.pending.insert(id, Pending::Join(channel));
    }

    /// A statement of this user's about a channel.
    pub(super) fn membership(&mut self, cx: &Context<'_>, joined: bool) -> Membership {
        Membership { node: self.me, version: self.new_version(cx.now), joined, nick: self.nick.clone() }
    }

    pub(super) fn on_join(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { channel, membership }: Request,
    ) {
        let known = cx.records.channel(&channel);
        let is_new = known.is_none_or(|known| !known.is_member(cx.now, membership.node));
        // What has its place already was said before the member came; so was what has been dropped.
        let last = known.and_then(|known| known.log.end());
        let nick = membership.nick.clone();
        let key = RecordKey::Channel(channel.clone());
        let statement = Statement::Member(membership, Age::NEW);
        if !cx.records.has_room_for(&key, &statement) {
            return cx.reply_read(request, Payload::Refused(super::NO_ROOM.to_owned()));
        }
        cx.records.write(cx.now, &key, statement);
        let acknowledged =
            Acknowledged { origin: request.origin, id: request.id, channel, nick, is_new, last };
        self.after_write(cx, Then::Join(acknowledged));
    }

    pub(super) fn on_join_acknowledged(&mut self, cx: &mut Context<'_>, join: Acknowledged) {
        let members = Chat::members_of(cx, &join.channel);
        let answer = Answer { members, last: join.last };
        cx.chord.reply(cx.now, join.origin, join.id, Payload::Joined(answer));
        if join.is_new {
            self.tell_members(cx, &join.channel, &join.nick, join.origin, MemberChange::Joined);
        }
    }

    /// Tells everyone in a channel, but the one concerned, who came or went.
    pub(super) fn tell_members(
        &self,
        cx: &mut Context<'_>,
        channel: &ChannelName,
        nick: &Nick,
        node: NodeHandle,
        change: MemberChange,
    ) {
        for (_, member) in Chat::members_of(cx, channel) {
            if member != node {
                let changed = MemberChanged { channel: channel.clone(), nick: nick.clone(), node, change };
                cx.chord.tell(cx.now, member, Payload::MemberChanged(changed));
            }
        }
    }

    pub(super) fn on_joined_channel(
        &mut self,
        cx: &mut Context<'_>,
        from: NodeHandle,
        channel: ChannelName,
        answer: Answer,
    ) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        session.stage = Stage::Joined;
        session.root = Some(from);
        let (history, has_begun) = (session.history, session.returns && session.history == 0);
        if !has_begun {
            session.seen = answer.last;
            session.from = answer.last;
        }
        if history == 0 {
            session.before = session.before.max(session.from);
        }
        for (nick, node) in &answer.members {
            self.meet(nick, *node);
        }
        let members = nicks(answer.members);
        cx.tell(Event::Joined { channel: channel.clone(), members });
        match answer.last {
            _ if has_begun => self.catch_up_after_absence(cx, &channel),
            Some(last) if 0 < history => self.read_up_to(cx, channel, last, history, Purpose::Joined),
            _ => self.finish_reading(cx, &channel),
        }
    }

    pub(super) fn on_join_failed(&mut self, cx: &mut Context<'_>, channel: ChannelName, reason: &str) {
        if self.sessions.get(&channel).is_some_and(|session| session.returns) {
            return cx
                .error("join", format!("{channel} was not joined again: {reason}; that is tried again"));
        }
        self.end_session(&channel);
        cx.error("join", format!("{channel} was not joined: {reason}"));
    }

    pub(super) fn on_member_changed(&mut self, cx: &mut Context<'_>, changed: MemberChanged) {
        let MemberChanged { channel, nick, node, change } = changed;
        let is_member = self.sessions.get(&channel).is_some_and(|session| session.stage == Stage::Joined);
        if !is_member {
            return;
        }
        if change == MemberChange::Joined {
            self.meet(&nick, node);
        }
        cx.tell(Event::Member { channel, nick, change });
    }

    /// The root tells of members whose lease has ended.
    pub(super) fn tell_of_lost_members(&mut self, cx: &mut Context<'_>) {
        let since = std::mem::replace(&mut self.expired, cx.now);
        let mut lost = Vec::new();
        for (name, key, channel) in cx.records.channels() {
            if cx.chord.is_root(key) == Some(true) {
                let members = channel.lost_members(since, cx.now);
                lost.extend(members.map(|member| (name.clone(), member.nick.clone(), member.node)));
            }
        }
        for (channel, nick, node) in lost {
            self.tell_members(cx, &channel, &nick, node, MemberChange::Lost);
        }
    }
}

/// The nicks of members, each once and in order.
pub(super) fn nicks(members: Vec<(Nick, NodeHandle)>) -> Vec<Nick> {
    let mut nicks: Vec<Nick> = members.into_iter().map(|(nick, _)| nick).collect();
    nicks.sort();
    nicks.dedup();
    nicks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::message::{Answer as Answered, Message};
    use crate::chord::{Chord, Output};
    use crate::records::Records;
    use crate::records::channel::{KEPT_FOR, MessageId};

    #[test]
    fn what_has_been_dropped_was_said_before_a_member_came() {
        let start = Time::from_micros(1_800_000_000_000_000);
        let now = start + KEPT_FOR;
        let [me, member] = [7000, 7001].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        let channel: ChannelName = "rust".parse().unwrap();
        let key = RecordKey::Channel(channel.clone());
        let states = |node| Membership { node, version: 1, joined: true, nick: "n".parse().unwrap() };
        let (place, id) = (Place { epoch: 1, root: me, seq: 1 }, MessageId { author: me, counter: 1 });
        let entry = Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at: start };
        let mut records = Records::default();
        records.write(start, &key, Statement::Message(entry, Age::NEW));
        records.write(now, &key, Statement::Member(states(me), Age::NEW));
        records.prune(now);
        assert!(records.channel(&channel).unwrap().log.is_empty());

        let (mut chord, mut events) = (Chord::ideal(&[me], me, 16, now), Vec::new());
        let mut chat = Chat::new("n".parse().unwrap(), me, now);
        let mut cx = Context { now, chord: &mut chord, records: &mut records, events: &mut events };
        let asked = Request { channel, membership: states(member) };
        let request = chord::Request { origin: member, id: 7, payload: Payload::Join(asked.clone()) };
        chat.on_join(&mut cx, &request, asked);
        chat.finish_writes(&mut cx);
        let mut outputs = std::iter::from_fn(|| cx.chord.next_output());
        let answer = outputs.find_map(|output| match output {
            Output::Send { message: Message::Reply { answer, .. }, .. } => Some(answer),
            _ => None,
        });
        let Some(Answered::Payload(Payload::Joined(Answer { last, .. }))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(last, Some(place));
    }
}
