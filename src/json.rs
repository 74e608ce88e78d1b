//! Events as JSON, one object per line: the contract is `docs/json.md`.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::chat::event::{Direction, Event, MemberChange, RingChange, RingOrigin, SentState, Why};
use crate::id::NodeHandle;
use crate::records::name::{ChannelName, Nick, is_invisible};
use crate::repl;
use crate::repl::session::{Ending, NodeLink, Render};
use crate::time::Time;

/// Serves a program until the node has stopped: commands in plain lines, events in JSON.
pub async fn run(link: NodeLink) -> anyhow::Result<Ending> {
    repl::run_plain(link, Json).await
}

/// Renders events as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Render for Json {
    fn render(&mut self, event: &Event, now: Time) -> String {
        let Some(fields) = fields(event) else { return String::new() };
        let line = Line { time: rfc3339(now), fields };
        let text = serde_json::to_string(&line)
            .expect("an object with names for keys, of numbers, texts and lists, is always JSON");
        escaped(&text) + "\n"
    }
}

/// JSON with every character escaped that a terminal would obey or hide: it means the same.
///
/// JSON itself wants this only of the characters below the blank.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        let hidden = char.is_control() || is_invisible(char) || matches!(char, '\u{2028}' | '\u{2029}');
        if hidden {
            // Such a character stands in a text, for nothing else in JSON is outside ASCII.
            for unit in char.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(char);
        }
    }
    escaped
}

pub(crate) fn rfc3339(time: Time) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(time.as_micros())).to_string()
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    fields: Fields<'a>,
}

/// The fields of every event, named as `docs/json.md` promises.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Fields<'a> {
    Ready {
        nick: &'a str,
        id: String,
        addr: String,
        ring: &'static str,
    },
    Joined {
        channel: &'a str,
        members: Vec<&'a str>,
    },
    Left {
        channel: &'a str,
    },
    Member {
        channel: &'a str,
        nick: &'a str,
        change: &'static str,
    },
    Message {
        channel: &'a str,
        from: &'a str,
        text: &'a str,
        id: String,
        epoch: u64,
        seq: u64,
        history: bool,
        late: bool,
    },
    Healed {
        channel: &'a str,
        members: Vec<&'a str>,
    },
    Gap {
        channel: &'a str,
    },
    Renamed {
        nick: &'a str,
        was: &'a str,
        holder: Node,
    },
    Private {
        from: &'a str,
        text: &'a str,
        id: String,
        history: bool,
    },
    Sent {
        id: String,
        to: String,
        text: &'a str,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Migrated {
        kind: &'static str,
        name: &'a str,
        direction: &'static str,
        peer: Node,
        why: &'static str,
    },
    Ring {
        change: &'static str,
        peer: Node,
    },
    Error {
        command: &'a str,
        message: &'a str,
    },
    Help {
        text: &'a str,
    },
    Who {
        channel: &'a str,
        members: Vec<Person<'a>>,
    },
    History {
        channel: &'a str,
        messages: usize,
    },
    Channels {
        channels: Vec<&'a str>,
    },
    Names {
        names: Vec<&'a str>,
    },
    Whois {
        nick: &'a str,
        node: Node,
        root: Node,
    },
    RingState {
        node: Node,
        predecessor: Option<Node>,
        successors: Vec<Node>,
        fingers: Vec<Finger>,
        records_as_root: usize,
        records_as_copy: usize,
    },
    Trace {
        target: &'a str,
        key: String,
        linear: bool,
        hops: Vec<Hop>,
        root: Option<Node>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Written {
        key: &'a str,
        deleted: bool,
        was_there: bool,
        root: Node,
    },
    Value {
        key: &'a str,
        value: Option<&'a str>,
        bytes: Option<usize>,
        root: Node,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        path: Vec<Hop>,
    },
    Bye {
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        not_handed_over: &'a [String],
    },
}

#[derive(Serialize)]
pub(crate) struct Node {
    id: String,
    addr: String,
}

#[derive(Serialize)]
struct Person<'a> {
    nick: &'a str,
    node: Node,
}

#[derive(Serialize)]
pub(crate) struct Finger {
    exponent: u32,
    node: Node,
}

#[derive(Serialize)]
pub(crate) struct Hop {
    node: Node,
    micros: u64,
}

/// What is told of an event, if it is for the user.
fn fields(event: &Event) -> Option<Fields<'_>> {
    Some(match event {
        Event::Ready { nick, node, ring } => Fields::Ready {
            nick: nick.as_str(),
            id: node.id().to_string(),
            addr: node.addr().to_string(),
            ring: ring_origin(*ring),
        },
        Event::Joined { channel, members } => {
            Fields::Joined { channel: channel.as_str(), members: nicks(members) }
        }
        Event::Left { channel } => Fields::Left { channel: channel.as_str() },
        Event::Member { channel, nick, change } => {
            Fields::Member { channel: channel.as_str(), nick: nick.as_str(), change: member_change(*change) }
        }
        Event::Message { channel, from, text, id, epoch, seq, history, late } => Fields::Message {
            channel: channel.as_str(),
            from: from.as_str(),
            text,
            id: id.to_string(),
            epoch: *epoch,
            seq: *seq,
            history: *history,
            late: *late,
        },
        Event::Healed { channel, members } => {
            Fields::Healed { channel: channel.as_str(), members: nicks(members) }
        }
        Event::Gap { channel } => Fields::Gap { channel: channel.as_str() },
        Event::Renamed { nick, was, holder } => {
            Fields::Renamed { nick: nick.as_str(), was: was.as_str(), holder: node(holder) }
        }
        Event::Private { from, text, id, history } => {
            Fields::Private { from: from.as_str(), text, id: id.to_string(), history: *history }
        }
        Event::Sent { id, to, text, state } => {
            let (state, reason) = sent_state(state);
            Fields::Sent { id: id.to_string(), to: to.to_string(), text, state, reason }
        }
        Event::Migrated { kind, name, direction, peer, why } => {
            Fields::Migrated { kind, name, direction: way(*direction), peer: node(peer), why: reason(*why) }
        }
        Event::Ring { change, peer } => Fields::Ring { change: ring_change(*change), peer: node(peer) },
        Event::Error { command, message } => Fields::Error { command, message },
        Event::Bye { not_handed_over } => Fields::Bye { not_handed_over },
        Event::Help { .. }
        | Event::Who { .. }
        | Event::History { .. }
        | Event::Channels { .. }
        | Event::Names { .. }
        | Event::Whois { .. }
        | Event::RingState { .. }
        | Event::Trace { .. }
        | Event::Written { .. }
        | Event::Value { .. } => answer(event),
        Event::Answer { .. } => return None,
    })
}

/// The fields of the events that answer a question.
fn answer(event: &Event) -> Fields<'_> {
    match event {
        Event::Help { text } => Fields::Help { text },
        Event::Who { channel, members } => Fields::Who {
            channel: channel.as_str(),
            members: members
                .iter()
                .map(|(nick, at)| Person { nick: nick.as_str(), node: node(at) })
                .collect(),
        },
        Event::History { channel, messages } => {
            Fields::History { channel: channel.as_str(), messages: *messages }
        }
        Event::Channels { channels } => {
            Fields::Channels { channels: channels.iter().map(ChannelName::as_str).collect() }
        }
        Event::Names { names } => Fields::Names { names: nicks(names) },
        Event::Whois { nick, node: at, root } => {
            Fields::Whois { nick: nick.as_str(), node: node(at), root: node(root) }
        }
        Event::RingState { node: me, predecessor, successors, fingers, records_as_root, records_as_copy } => {
            Fields::RingState {
                node: node(me),
                predecessor: predecessor.as_ref().map(node),
                successors: successors.iter().map(node).collect(),
                fingers: fingers.iter().map(|(exponent, at)| finger(*exponent, at)).collect(),
                records_as_root: *records_as_root,
                records_as_copy: *records_as_copy,
            }
        }
        Event::Trace { target, key, hops, root, linear } => Fields::Trace {
            target,
            key: key.to_string(),
            linear: *linear,
            hops: hops.iter().map(|(at, took)| hop(at, *took)).collect(),
            root: root.as_ref().ok().map(node),
            reason: root.as_ref().err().map(String::as_str),
        },
        Event::Written { key, deleted, was_there, root } => {
            Fields::Written { key: key.as_str(), deleted: *deleted, was_there: *was_there, root: node(root) }
        }
        Event::Value { key, value, root, path } => Fields::Value {
            key: key.as_str(),
            value: value.as_deref().and_then(|value| std::str::from_utf8(value).ok()),
            bytes: value.as_ref().map(Vec::len),
            root: node(root),
            path: path.iter().map(|(at, took)| hop(at, *took)).collect(),
        },
        _ => unreachable!("the other events answer no question"),
    }
}

pub(crate) fn node(handle: &NodeHandle) -> Node {
    Node { id: handle.id().to_string(), addr: handle.addr().to_string() }
}

pub(crate) fn finger(exponent: u32, at: &NodeHandle) -> Finger {
    Finger { exponent, node: node(at) }
}

pub(crate) fn hop(at: &NodeHandle, took: Duration) -> Hop {
    Hop { node: node(at), micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }
}

fn nicks(nicks: &[Nick]) -> Vec<&str> {
    nicks.iter().map(Nick::as_str).collect()
}

fn ring_origin(ring: RingOrigin) -> &'static str {
    match ring {
        RingOrigin::Created => "created",
        RingOrigin::Joined => "joined",
    }
}

fn member_change(change: MemberChange) -> &'static str {
    match change {
        MemberChange::Joined => "joined",
        MemberChange::Left => "left",
        MemberChange::Lost => "lost",
    }
}

fn sent_state(state: &SentState) -> (&'static str, Option<&str>) {
    match state {
        SentState::Queued | SentState::Waiting => ("queued", None),
        SentState::Stored => ("stored", None),
        SentState::Delivered => ("delivered", None),
        SentState::Failed { reason } => ("failed", Some(reason)),
    }
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::NewPredecessor => "new_predecessor",
        Why::Leave => "leave",
        Why::Crash => "crash",
    }
}

fn ring_change(change: RingChange) -> &'static str {
    match change {
        RingChange::Successor => "successor",
        RingChange::Predecessor => "predecessor",
        RingChange::Lost => "lost",
        RingChange::Left => "left",
        RingChange::Alone => "alone",
    }
}
