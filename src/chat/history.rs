//! `history`: what was said earlier in a channel; who joins is shown the end of it.
//!
//! n -> … -> root of the channel: History { before, count }
//! root -> n: Past { entries, more }
//!
//! The newest come first, in parts that fit a message; they are shown when all that were wanted are there,
//! oldest first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::Event;
use super::join::{Session, Stage};
use super::payload::Payload;
use super::{Chat, Context, Pending};
use crate::chord;
use crate::chord::message::Number;
use crate::records::RecordKey;
use crate::records::channel::{Entry, LOG_MAX, Place};
use crate::records::name::ChannelName;

/// How many messages who joins is shown, unless they say otherwise.
pub const HISTORY: usize = 50;

/// How many messages can be asked for: as many as a channel keeps.
pub const HISTORY_MAX: usize = LOG_MAX;

/// How many bytes of texts come at a time, about.
const PART_BYTES: usize = 256 * 1024;

pub(super) const COMMAND: Command = Command {
    name: "history",
    arguments: &[Argument::required("channel", Kind::Channel), Argument::optional("count", Kind::Count)],
    about: "Show what was said last in a channel",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let channel = words.channel()?;
    let wanted = words.count(HISTORY_MAX)?.unwrap_or(HISTORY);
    words.end()?;
    chat.read_past(cx, Past { channel, wanted, before: None, entries: VecDeque::new(), is_asked_for: true });
    Ok(())
}

/// Asks for messages of a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which channel.
    pub channel: ChannelName,
    /// Only those that stand before this place.
    pub before: Option<Place>,
    /// How many at most: the newest.
    pub count: u16,
}

/// Some messages of a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// The messages, oldest first.
    pub entries: Vec<Entry>,
    /// Whether there are older ones.
    pub more: bool,
}

/// What is being read of a channel's past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Past {
    channel: ChannelName,
    wanted: usize,
    before: Option<Place>,
    /// What has come, oldest first.
    entries: VecDeque<Entry>,
    /// Whether the user has asked for it, and not just joined.
    is_asked_for: bool,
}

impl Chat {
    /// Who has joined reads the end of what was said up to `last`.
    pub(super) fn read_up_to(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        last: Place,
        wanted: usize,
    ) {
        let before = Some(Place { seq: last.seq.saturating_add(1), ..last });
        self.read_past(cx, Past { channel, wanted, before, entries: VecDeque::new(), is_asked_for: false });
    }

    fn read_past(&mut self, cx: &mut Context<'_>, past: Past) {
        let missing = past.wanted - past.entries.len();
        let before = past.entries.front().map(|entry| entry.place).or(past.before);
        let count = u16::try_from(missing).unwrap_or(u16::MAX);
        let request = Request { channel: past.channel.clone(), before, count };
        let id = cx.ask_root(&RecordKey::Channel(past.channel.clone()), Payload::History(request));
        if !past.is_asked_for
            && let Some(session) = self.sessions.get_mut(&past.channel)
        {
            session.reading = Some(id);
        }
        self.pending.insert(id, Pending::History(past));
    }

    /// Whether the answer `id` is of no use: the user has left the channel meanwhile.
    fn is_past_over(&self, id: Number, past: &Past) -> bool {
        let reads = |session: &Session| session.stage == Stage::Joined && session.reading == Some(id);
        !past.is_asked_for && !self.sessions.get(&past.channel).is_some_and(reads)
    }

    pub(super) fn on_history(
        &self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { channel, before, count }: &Request,
    ) {
        let mut answer = Answer { entries: Vec::new(), more: false };
        if let Some(known) = cx.records.channel(channel) {
            let mut bytes = 0;
            for entry in known.log.newest_before(*before) {
                if usize::from(*count) == answer.entries.len() || PART_BYTES < bytes {
                    answer.more = true;
                    break;
                }
                bytes += entry.text.len();
                answer.entries.push(entry.clone());
            }
        }
        answer.entries.reverse();
        cx.reply_read(request, Payload::Past(answer));
    }

    pub(super) fn on_past(&mut self, cx: &mut Context<'_>, id: Number, mut past: Past, answer: Answer) {
        if self.is_past_over(id, &past) {
            return;
        }
        let room = past.wanted - past.entries.len();
        let came = answer.entries.len();
        for entry in answer.entries.into_iter().rev().take(room) {
            past.entries.push_front(entry);
        }
        if answer.more && 0 < came && past.entries.len() < past.wanted {
            return self.read_past(cx, past);
        }
        self.show_past(cx, past);
    }

    fn show_past(&mut self, cx: &mut Context<'_>, past: Past) {
        let Past { channel, entries, is_asked_for, .. } = past;
        let count = entries.len();
        let mut session = self.sessions.get_mut(&channel);
        for entry in entries {
            // Whoever asks is shown what they have seen already, too.
            let is_new = session.as_mut().is_none_or(|session| session.shown.is_new(entry.id));
            if is_new || is_asked_for {
                super::send::show(cx, channel.clone(), entry, true);
            }
        }
        if is_asked_for {
            return cx.tell(Event::History { channel, messages: count });
        }
        self.finish_reading(cx, &channel);
    }

    /// What has come since the user joined is shown now.
    fn finish_reading(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        if let Some(session) = self.sessions.get_mut(channel) {
            session.reading = None;
            self.show_ahead(cx, channel);
        }
    }

    pub(super) fn on_past_failed(&mut self, cx: &mut Context<'_>, id: Number, past: Past, reason: &str) {
        if self.is_past_over(id, &past) {
            return;
        }
        let channel = past.channel;
        cx.error("history", format!("what was said in {channel} could not be read: {reason}"));
        if !past.is_asked_for {
            self.finish_reading(cx, &channel);
        }
    }
}
