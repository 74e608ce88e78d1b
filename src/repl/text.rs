//! Events as lines for people.
//!
//! The texts of others go through [`safe`] and never reach the screen as they came.
//! A message to a channel needs no receipt when its author is a member, for then it is shown to them too,
//! once it is stored, and with a ✓ behind it.
//! Every other message gets one when it is stored (✓), delivered (✓✓) or failed (✗).
//! A receipt has the beginning of its message: so two of them are not mistaken for one another.

use std::fmt::Write as _;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::chat::event::{Event, MemberChange, Recipient, RingOrigin, SentState, shortened};
use crate::id::{Id, NodeHandle};
use crate::records::name::{ChannelName, Nick};
use crate::records::value::ValueKey;
use crate::repl::colour::Colour;
use crate::repl::known::Known;
use crate::repl::moment::Moment;
use crate::repl::safe;
use crate::repl::session::Render;
use crate::repl::waiting::{Told, Waiting};
use crate::time::Time;

/// How many nodes of a list are shown; the rest is counted.
const NODES_SHOWN_MAX: usize = 20;

/// Renders events as text.
#[derive(Debug)]
pub struct Text {
    colour: Colour,
    /// Whether somebody can type commands.
    is_seated: bool,
    /// Shared with the completion, which the line editor calls in its own thread.
    known: Arc<Mutex<Known>>,
    /// The user's node, once it is ready.
    me: Option<NodeHandle>,
    start: Start,
    waiting: Waiting,
    moment: Moment,
}

/// What was told before the node was ready.
#[derive(Debug)]
enum Start {
    /// Errors, in lines: they are shown when the node is ready after all.
    /// If it never is, the reason goes to standard error instead.
    Waiting(String),
    Done,
}

impl Text {
    /// A renderer that keeps what it learns in `known`.
    pub fn new(colour: Colour, known: Arc<Mutex<Known>>) -> Text {
        let start = Start::Waiting(String::new());
        let (waiting, moment) = (Waiting::default(), Moment::default());
        Text { colour, is_seated: true, known, me: None, start, waiting, moment }
    }

    /// A renderer for those who read and cannot type.
    pub fn for_readers() -> Text {
        Text { is_seated: false, ..Text::new(Colour::OFF, Arc::default()) }
    }

    fn receipt(&self, to: &Recipient, text: &str, state: &SentState) -> String {
        let text = safe::line(&shortened(text));
        match state {
            SentState::Queued => String::new(),
            SentState::Waiting => self.by_the_way(&format!("… waits for {to}: \"{text}\"")),
            SentState::Failed { reason } => {
                let receipt = format!("✗ to {to}: \"{text}\": {}", safe::line(reason));
                format!("{}\n", self.colour.red(&receipt))
            }
            SentState::Stored | SentState::Delivered if self.comes_back(to) => String::new(),
            SentState::Stored => self.by_the_way(&format!("✓ kept for {to}: \"{text}\"")),
            SentState::Delivered => self.by_the_way(&format!("✓✓ delivered to {to}: \"{text}\"")),
        }
    }

    fn waits(&self, Told { to, text, more }: &Told) -> String {
        let more = if *more == 0 { String::new() } else { format!(" and {more} more") };
        self.by_the_way(&format!("… waits for {to}: \"{}\"{more}", safe::line(text)))
    }

    fn moment(&mut self) -> String {
        self.moment.take().iter().map(|line| self.by_the_way(line)).collect()
    }

    fn by_the_way(&self, text: &str) -> String {
        format!("{}\n", self.colour.dim(text))
    }

    fn comes_back(&self, to: &Recipient) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(to, Recipient::Channel(channel) if known.has_joined(channel))
    }

    fn error(&self, command: &str, message: &str) -> String {
        let message = safe::line(message);
        let text = match command {
            "node" => format!("Error: {message}"),
            _ => format!("Error: {}: {message}", safe::line(command)),
        };
        format!("{}\n", self.colour.red(&text))
    }

    fn ready(&self, nick: &Nick, node: NodeHandle, ring: RingOrigin) -> String {
        let ring = match ring {
            RingOrigin::Created => "created: this is its first node",
            RingOrigin::Joined => "joined",
        };
        let advice = if self.is_seated { "Type help to see the commands.\n" } else { "" };
        format!(
            "{}\n  id       {}\n  address  {}\n  ring     {ring}\n{advice}",
            self.colour.bold(&format!("You are {nick}.")),
            node.id(),
            node.addr(),
        )
    }

    fn message(&self, event: &Event) -> String {
        let Event::Message { channel, from, text, id, history, late, .. } = event else {
            unreachable!("only a message of a channel is rendered here");
        };
        let text = safe::line(text);
        // What is shown is stored: so an author sees that here.
        let is_own = self.me == Some(id.author);
        let when = match (history, late) {
            (false, false) => {
                let stored = if is_own { self.colour.dim(" ✓") } else { String::new() };
                return format!("[{channel}] {}: {text}{stored}\n", self.colour.nick(from.as_str()));
            }
            (true, false) => "earlier",
            (_, true) => "late",
        };
        let stored = if is_own { " ✓" } else { "" };
        self.by_the_way(&format!("[{channel}, {when}] {from}: {text}{stored}"))
    }

    fn healed(&self, channel: &ChannelName, members: &[Nick]) -> String {
        let text = format!("The network has healed: {channel} is one again");
        match members {
            [] => format!("{}.\n", self.colour.bold(&text)),
            _ => format!("{}, with: {}\n", self.colour.bold(&text), self.nicks(members)),
        }
    }

    fn member(&self, channel: &ChannelName, nick: &Nick, change: MemberChange) -> String {
        let change = match change {
            MemberChange::Joined => format!("joined {channel}"),
            MemberChange::Left => format!("left {channel}"),
            MemberChange::Lost => format!("is gone from {channel}: nothing was heard of them any more"),
        };
        format!("* {} {change}\n", self.colour.nick(nick.as_str()))
    }

    fn people(&self, channel: &ChannelName, members: &[(Nick, NodeHandle)]) -> String {
        let mut text = match members.len() {
            0 => format!("Nobody is in {channel}.\n"),
            1 => format!("One is in {channel}:\n"),
            count => format!("{count} are in {channel}:\n"),
        };
        for (nick, node) in members {
            line(&mut text, format_args!("  {node}  {}", self.colour.nick(nick.as_str())));
        }
        text
    }

    /// `nicks` in one line.
    fn nicks(&self, nicks: &[Nick]) -> String {
        nicks.iter().map(|nick| self.colour.nick(nick.as_str())).collect::<Vec<_>>().join(", ")
    }

    fn shown(&mut self, event: &Event) -> String {
        match event {
            Event::Ready { nick, node, ring } => {
                self.me = Some(*node);
                self.ready(nick, *node, *ring)
            }
            Event::Joined { channel, members } => match &members[..] {
                [] => format!("You are in {channel}.\n"),
                _ => format!("You are in {channel}, with: {}\n", self.nicks(members)),
            },
            Event::Left { channel } => format!("You have left {channel}.\n"),
            Event::Member { channel, nick, change } => self.member(channel, nick, *change),
            Event::Message { .. } => self.message(event),
            Event::Healed { channel, members } => self.healed(channel, members),
            Event::Gap { channel } => {
                self.colour.bold(&format!(
                    "More was said in {channel} while you were away than is kept: the oldest of it is gone."
                )) + "\n"
            }
            Event::Renamed { nick, was, holder } => format!(
                "{}\n",
                self.colour.bold(&format!(
                    "The name {was} was claimed earlier by the node at {}: you are {nick} now.",
                    holder.addr()
                ))
            ),
            Event::Private { from, text, history: false, .. } => {
                format!("[private] {}: {}\n", self.colour.nick(from.as_str()), safe::line(text))
            }
            Event::Private { from, text, history: true, .. } => {
                let text = format!("[private, while you were away] {from}: {}", safe::line(text));
                format!("{}\n", self.colour.bold(&text))
            }
            Event::Sent { to, text, state, .. } => self.receipt(to, text, state),
            // These are shown when the moment is over in which they happen.
            Event::Migrated { .. } | Event::Ring { .. } => String::new(),
            Event::Error { command, message } => self.error(command, message),
            Event::Help { text } => format!("{}\n", safe::lines(text)),
            Event::Who { channel, members } => self.people(channel, members),
            Event::History { channel, messages: 0 } => format!("Nothing has been said in {channel} yet.\n"),
            Event::History { .. } => String::new(),
            Event::Channels { channels } => channels_line(channels),
            Event::Names { names } => match &names[..] {
                [] => "You have seen nobody yet.\n".to_owned(),
                _ => format!("You have seen: {}\n", self.nicks(names)),
            },
            Event::Whois { nick, node, root } => format!(
                "{}\n  id       {}\n  address  {}\n  the name is kept by {root}\n",
                self.colour.nick(nick.as_str()),
                node.id(),
                node.addr(),
            ),
            Event::RingState { .. } => ring_state(event),
            Event::Trace { target, key, hops, root, linear } => trace(target, *key, hops, root, *linear),
            Event::Written { key, deleted, was_there, root } => written(key, *deleted, *was_there, *root),
            Event::Value { key, value, root, path } => value_of(key, value.as_deref(), *root, path),
            // It is not for the user.
            Event::Answer { .. } => String::new(),
            // What was not handed over is told on standard error, when the terminal is the shell's again.
            Event::Bye { .. } => "Bye.\n".to_owned(),
        }
    }
}

impl Render for Text {
    fn render(&mut self, event: &Event, now: Time) -> String {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).learn(event);
        self.waiting.learn(event, now);
        self.moment.learn(event, now);
        let is_over = self.moment.is_full() || matches!(event, Event::Ready { .. } | Event::Bye { .. });
        let moment = if is_over { self.moment() } else { String::new() };
        let text = self.shown(event);
        match (&mut self.start, event) {
            (Start::Done, _) => moment + &text,
            (Start::Waiting(_), Event::Bye { .. }) => String::new(),
            (Start::Waiting(held), Event::Ready { .. }) => {
                let held = mem::take(held);
                self.start = Start::Done;
                moment + &held + &text
            }
            (Start::Waiting(held), Event::Error { .. }) => {
                held.push_str(&text);
                String::new()
            }
            (Start::Waiting(_), _) => moment + &text,
        }
    }

    fn next_due(&self) -> Option<Time> {
        self.waiting.due().into_iter().chain(self.moment.end()).min()
    }

    fn render_due(&mut self, now: Time) -> String {
        let is_over = self.moment.end().is_some_and(|end| end <= now);
        let mut text = if is_over { self.moment() } else { String::new() };
        for told in self.waiting.take(now) {
            text.push_str(&self.waits(&told));
        }
        text
    }
}

/// Appends a line to a text in memory, which cannot fail.
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a text in memory takes every line");
}

fn channels_line(channels: &[ChannelName]) -> String {
    if channels.is_empty() {
        return "You are in no channel; join <channel> enters one.\n".to_owned();
    }
    let names: Vec<_> = channels.iter().map(ToString::to_string).collect();
    format!("You are in: {}\n", names.join(", "))
}

fn ring_state(event: &Event) -> String {
    let Event::RingState { node, predecessor, successors, fingers, records_as_root, records_as_copy } = event
    else {
        unreachable!("only the state of the ring is rendered here");
    };
    let mut text = format!("This node\n  id           {}\n  address      {}\n", node.id(), node.addr());
    match predecessor {
        Some(peer) => line(&mut text, format_args!("  predecessor  {peer}")),
        None => line(&mut text, format_args!("  predecessor  none known")),
    }
    for (i, peer) in successors.iter().take(NODES_SHOWN_MAX).enumerate() {
        line(&mut text, format_args!("  successor {:<2} {peer}", i + 1));
    }
    if successors.is_empty() {
        line(&mut text, format_args!("  successors   none: this node is alone"));
    }
    for (exponent, peer) in fingers.iter().rev().take(NODES_SHOWN_MAX) {
        line(&mut text, format_args!("  finger {:<5} {peer}", format!("2^{exponent}")));
    }
    let more = fingers.len().saturating_sub(NODES_SHOWN_MAX);
    if 0 < more {
        line(&mut text, format_args!("  and {more} shorter fingers"));
    }
    line(
        &mut text,
        format_args!("  records      {records_as_root} as their root, {records_as_copy} as copies"),
    );
    text
}

fn written(key: &ValueKey, deleted: bool, was_there: bool, root: NodeHandle) -> String {
    let key = safe::line(key.as_str());
    match (deleted, was_there) {
        (true, true) => format!("{key} is deleted at {root}\n"),
        (true, false) => format!("{key} has no value\n"),
        (false, true) => format!("{key} has another value now, at {root}\n"),
        (false, false) => format!("{key} is kept at {root}\n"),
    }
}

fn value_of(
    key: &ValueKey,
    value: Option<&[u8]>,
    root: NodeHandle,
    path: &[(NodeHandle, Duration)],
) -> String {
    let mut text = String::new();
    let key = safe::line(key.as_str());
    match value.map(std::str::from_utf8) {
        Some(Ok(value)) => line(&mut text, format_args!("{key}: {}", safe::line(value))),
        Some(Err(_)) => {
            let bytes = value.map_or(0, <[u8]>::len);
            line(&mut text, format_args!("{key}: {bytes} bytes that are no text"));
        }
        None => line(&mut text, format_args!("{key} has no value")),
    }
    if !path.is_empty() {
        hops(&mut text, path);
        line(&mut text, format_args!("  answered by {root}"));
    }
    text
}

fn hops(text: &mut String, hops: &[(NodeHandle, Duration)]) {
    let width = hops.iter().map(|(node, _)| node.to_string().len()).max().unwrap_or(0);
    for (i, (node, took)) in hops.iter().enumerate() {
        let millis = took.as_secs_f64() * 1e3;
        line(text, format_args!("  {i:>3}  {:<width$}  {millis:>9.3} ms", node.to_string()));
    }
}

fn trace(
    target: &str,
    key: Id,
    way: &[(NodeHandle, Duration)],
    root: &Result<NodeHandle, String>,
    linear: bool,
) -> String {
    let manner = if linear { "successor by successor" } else { "by fingers" };
    let mut text = format!("The way to {} ({key}), {manner}\n", safe::line(target));
    hops(&mut text, way);
    match root {
        Ok(root) => line(&mut text, format_args!("  its root is {root}")),
        Err(reason) => line(&mut text, format_args!("  its root was not found: {}", safe::line(reason))),
    }
    text
}
