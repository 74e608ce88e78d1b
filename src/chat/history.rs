//! `history`: what was said earlier in a channel; who joins is shown the end of it.
//!
//! n -> … -> root of the channel: History { before, count }
//! root -> n: Past { entries, more }
//!
//! The newest come first, in parts that fit a message; they are shown when all that were wanted are there,
//! oldest first.
//! All that the root says is acknowledged, so that what anyone has been shown survives.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ask::{self, Ticket};
use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::Event;
use super::heal::Compared;
use super::join::{Session, Stage};
use super::payload::Payload;
use super::send::Said;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::RecordKey;
use crate::records::channel::{Entry, LOG_MAX, Place};
use crate::records::name::ChannelName;

/// How many messages who joins is shown, unless they say otherwise.
pub const HISTORY: usize = 50;

/// How many messages can be asked for: as many as a channel keeps.
pub const HISTORY_MAX: usize = LOG_MAX;

/// How often a part is asked for, for 5 s each time, until the user is told that it cannot be read.
const TRIES: u8 = 3;

/// How many bytes of texts come at a time, about.
const PART_BYTES: usize = 256 * 1024;

pub(super) const COMMAND: Command = Command {
    name: "history",
    arguments: &[Argument::required("channel", Kind::Channel), Argument::optional("count", Kind::Count)],
    about: "Show what was said last in a channel: 50 messages, or as many as you say, at most 1000",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let channel = words.channel()?;
    let wanted = words.count(1..=HISTORY_MAX)?.unwrap_or(HISTORY);
    words.end()?;
    chat.read_past(cx, Past::new(channel, wanted, None, Purpose::AskedFor));
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

/// Messages that wait until enough copies have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    channel: ChannelName,
    answer: Answer,
}

/// What is being read of a channel's past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Past {
    channel: ChannelName,
    wanted: usize,
    before: Option<Place>,
    /// What has come, oldest first.
    entries: VecDeque<Entry>,
    purpose: Purpose,
    /// How many requests for it have not been answered.
    failed: u8,
}

/// Why a channel's past is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// The user wants to see it.
    AskedFor,
    /// A program wants to know.
    Program(Ticket),
    /// The user has joined.
    Joined,
    /// The root has other messages than were shown.
    Compared(Compared),
}

impl Purpose {
    /// Whether it is read to bring what the user is shown up to date.
    fn is_of_session(self) -> bool {
        matches!(self, Purpose::Joined | Purpose::Compared(_))
    }
}

impl Past {
    pub(super) fn new(channel: ChannelName, wanted: usize, before: Option<Place>, purpose: Purpose) -> Past {
        Past { channel, wanted, before, entries: VecDeque::new(), purpose, failed: 0 }
    }
}

impl Chat {
    /// Reads the end of what was said up to `last`.
    pub(super) fn read_up_to(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        last: Place,
        wanted: usize,
        purpose: Purpose,
    ) {
        let before = Some(Place { seq: last.seq.saturating_add(1), ..last });
        self.read_past(cx, Past::new(channel, wanted, before, purpose));
    }

    /// Reads the newest messages for a program.
    pub(super) fn read_past_for(
        &mut self,
        cx: &mut Context<'_>,
        ticket: Ticket,
        channel: ChannelName,
        wanted: usize,
    ) {
        let wanted = wanted.min(HISTORY_MAX);
        self.read_past(cx, Past::new(channel, wanted, None, Purpose::Program(ticket)));
    }

    fn read_past(&mut self, cx: &mut Context<'_>, past: Past) {
        let missing = past.wanted - past.entries.len();
        let before = past.entries.front().map(|entry| entry.place).or(past.before);
        let count = u16::try_from(missing).unwrap_or(u16::MAX);
        let request = Request { channel: past.channel.clone(), before, count };
        let id = cx.ask_root(&RecordKey::Channel(past.channel.clone()), Payload::History(request));
        if past.purpose.is_of_session()
            && let Some(session) = self.sessions.get_mut(&past.channel)
        {
            session.reading = Some(id);
        }
        self.pending.insert(id, Pending::History(past));
    }

    /// Whether the answer `id` is of no use: the user has left the channel meanwhile.
    fn is_past_over(&self, id: Number, past: &Past) -> bool {
        let reads = |session: &Session| session.stage == Stage::Joined && session.reading == Some(id);
        past.purpose.is_of_session() && !self.sessions.get(&past.channel).is_some_and(reads)
    }

    pub(super) fn on_history(
        &mut self,
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
        let (origin, id, channel) = (request.origin, request.id, channel.clone());
        self.after_write(cx, Then::Past(Acknowledged { origin, id, channel, answer }));
    }

    /// The messages stand where they stand now: one may have got another place, when two logs became one.
    pub(super) fn on_past_acknowledged(cx: &mut Context<'_>, past: Acknowledged) {
        let Acknowledged { origin, id, channel, mut answer } = past;
        if let Some(known) = cx.records.channel(&channel) {
            for entry in &mut answer.entries {
                entry.place = known.log.get(&entry.id).map_or(entry.place, |now| now.place);
            }
            answer.entries.sort_by_key(|entry| entry.place);
        }
        cx.chord.reply_read(cx.now, origin, id, Payload::Past(answer));
    }

    pub(super) fn on_past(&mut self, cx: &mut Context<'_>, id: Number, mut past: Past, answer: Answer) {
        if self.is_past_over(id, &past) {
            return;
        }
        let session = self.sessions.get(&past.channel);
        let from = match past.purpose {
            Purpose::Compared(_) => session.and_then(|session| session.from),
            Purpose::Joined => session.and_then(|session| session.before),
            Purpose::AskedFor | Purpose::Program(_) => None,
        };
        let room = past.wanted - past.entries.len();
        let came_to_from = answer.entries.first().is_some_and(|oldest| Some(oldest.place) <= from);
        let more = answer.more && !answer.entries.is_empty() && !came_to_from;
        let wanted = answer.entries.into_iter().rev().take_while(|entry| from < Some(entry.place));
        for entry in wanted.take(room) {
            past.entries.push_front(entry);
        }
        if more && past.entries.len() < past.wanted {
            return self.read_past(cx, past);
        }
        match past.purpose {
            Purpose::AskedFor => self.show_what_was_asked_for(cx, past),
            Purpose::Program(ticket) => ask::answer(cx, ticket, ask::Answer::Past(past.entries.into())),
            Purpose::Joined => self.show_before_joining(cx, past, more),
            Purpose::Compared(compared) => {
                let channel = past.channel.clone();
                self.show_late(cx, past.channel, past.entries, compared);
                self.finish_reading(cx, &channel);
            }
        }
    }

    /// Whoever asks is shown what they have seen already, too.
    fn show_what_was_asked_for(&mut self, cx: &mut Context<'_>, Past { channel, entries, .. }: Past) {
        let messages = entries.len();
        let mut session = self.sessions.get_mut(&channel);
        for entry in entries {
            if let Some(session) = &mut session {
                session.takes(&entry, Said::Earlier);
            }
            super::send::show(cx, channel.clone(), entry, Said::Earlier);
        }
        cx.tell(Event::History { channel, messages });
    }

    fn show_before_joining(&mut self, cx: &mut Context<'_>, past: Past, more: bool) {
        let Past { channel, entries, .. } = past;
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        // Where all was read, what comes there late is wanted as well.
        let first = entries.front().map(|first| first.place).filter(|_| more);
        let start = first.map(|first| Place { seq: first.seq.saturating_sub(1), ..first });
        session.before = start.max(session.before);
        session.from = session.before;
        for entry in entries {
            if let Some(said) = session.takes(&entry, Said::Earlier) {
                super::send::show(cx, channel.clone(), entry, said);
            }
        }
        self.finish_reading(cx, &channel);
    }

    /// What has come since the user joined is shown now.
    pub(super) fn finish_reading(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        let Some(session) = self.sessions.get_mut(channel) else { return };
        session.reading = None;
        session.history = 0;
        // What was answered meanwhile was not taken.
        if std::mem::take(&mut session.asks_again) || session.away.is_some() {
            self.catch_up(cx, channel);
        }
        self.show_ahead(cx, channel);
    }

    pub(super) fn on_past_failed(&mut self, cx: &mut Context<'_>, id: Number, mut past: Past, reason: &str) {
        if self.is_past_over(id, &past) {
            return;
        }
        past.failed += 1;
        if past.failed < TRIES {
            return self.read_past(cx, past);
        }
        if let Purpose::Program(ticket) = past.purpose {
            return ask::answer(cx, ticket, ask::Answer::Refused(reason.to_owned()));
        }
        let channel = past.channel;
        cx.error("history", format!("what was said in {channel} could not be read: {reason}"));
        if past.purpose.is_of_session() {
            self.finish_reading(cx, &channel);
        }
    }
}
