//! Every event, so that each front end can be shown to render it.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_chat::chat::event::{
    Direction, Event, MemberChange, MessageId, Recipient, RingChange, RingOrigin, SentState, Why,
};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::records::name::{ChannelName, Nick};
use chord_chat::records::value::ValueKey;

/// Every kind of event, and every value that its fields choose from; events of one kind stand together.
pub fn samples() -> Vec<Event> {
    let samples = [talk(), ring(), answers()].concat();
    let kinds: BTreeSet<usize> = samples.iter().map(kind).collect();
    assert_eq!(kinds, (0..KINDS).collect(), "every kind of event is among the samples");
    samples
}

const KINDS: usize = 24;

/// A new kind of event does not compile here until it has a number, and then it needs a sample.
fn kind(event: &Event) -> usize {
    match event {
        Event::Ready { .. } => 0,
        Event::Joined { .. } => 1,
        Event::Left { .. } => 2,
        Event::Member { .. } => 3,
        Event::Message { .. } => 4,
        Event::Private { .. } => 5,
        Event::Sent { .. } => 6,
        Event::Migrated { .. } => 7,
        Event::Ring { .. } => 8,
        Event::Error { .. } => 9,
        Event::Help { .. } => 10,
        Event::Who { .. } => 11,
        Event::Channels { .. } => 12,
        Event::Names { .. } => 13,
        Event::Whois { .. } => 14,
        Event::RingState { .. } => 15,
        Event::Trace { .. } => 16,
        Event::Bye { .. } => 17,
        Event::History { .. } => 18,
        Event::Healed { .. } => 19,
        Event::Renamed { .. } => 20,
        Event::Written { .. } => 21,
        Event::Value { .. } => 22,
        Event::Gap { .. } => 23,
        Event::Answer { .. } => panic!("what a program asks is shown to nobody"),
    }
}

pub fn node(port: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], port).into())
}

pub fn nick(name: &str) -> Nick {
    name.parse().unwrap()
}

pub fn channel(name: &str) -> ChannelName {
    name.parse().unwrap()
}

fn message_id(port: u16) -> MessageId {
    MessageId { author: node(port), counter: 0x0006_2b1c_89ab_cdef }
}

fn sent(to: Recipient, state: SentState) -> Event {
    Event::Sent { id: message_id(7000), to, text: "are you there?".into(), state }
}

fn talk() -> Vec<Event> {
    let bob = || Recipient::Nick(nick("bob"));
    let said = |history, late| Event::Message {
        channel: channel("rust"),
        from: nick("bob"),
        text: "hello".into(),
        id: message_id(7001),
        epoch: 1,
        seq: 7,
        history,
        late,
    };
    let private = |history| Event::Private {
        from: nick("bob"),
        text: "hi, alice".into(),
        id: message_id(7001),
        history,
    };
    let member = |change| Event::Member { channel: channel("rust"), nick: nick("carol"), change };
    vec![
        Event::Ready { nick: nick("alice"), node: node(7000), ring: RingOrigin::Created },
        Event::Ready { nick: nick("alice"), node: node(7000), ring: RingOrigin::Joined },
        Event::Joined { channel: channel("rust"), members: vec![nick("alice"), nick("bob")] },
        member(MemberChange::Joined),
        member(MemberChange::Left),
        member(MemberChange::Lost),
        said(true, false),
        said(false, false),
        said(true, true),
        private(false),
        private(true),
        sent(bob(), SentState::Queued),
        sent(bob(), SentState::Waiting),
        sent(bob(), SentState::Stored),
        sent(bob(), SentState::Delivered),
        sent(bob(), SentState::Failed { reason: "bob has left".into() }),
        sent(Recipient::Channel(channel("rust")), SentState::Stored),
        sent(Recipient::Channel(channel("ruby")), SentState::Stored),
        sent(Recipient::Node("73e424d5".parse().unwrap()), SentState::Delivered),
        Event::Left { channel: channel("rust") },
        Event::Healed { channel: channel("rust"), members: vec![nick("alice"), nick("bob")] },
        Event::Healed { channel: channel("rust"), members: Vec::new() },
        Event::Gap { channel: channel("rust") },
        Event::Renamed { nick: nick("alice2"), was: nick("alice"), holder: node(7001) },
        Event::Error { command: "msg".into(), message: "nobody is called eve".into() },
        Event::Error { command: "node".into(), message: "the nick alice is taken; alice2 is free".into() },
    ]
}

fn ring() -> Vec<Event> {
    let migrated = |kind, name: &str, direction, why| Event::Migrated {
        kind,
        name: name.into(),
        direction,
        peer: node(7001),
        why,
    };
    let change = |change| Event::Ring { change, peer: node(7001) };
    vec![
        migrated("channel", "rust", Direction::Out, Why::NewPredecessor),
        migrated("channel", "rust", Direction::In, Why::NewPredecessor),
        migrated("name", "bob", Direction::Out, Why::Leave),
        migrated("name", "bob", Direction::In, Why::Leave),
        migrated("name", "bob", Direction::In, Why::Crash),
        change(RingChange::Successor),
        change(RingChange::Predecessor),
        change(RingChange::Lost),
        change(RingChange::Left),
        change(RingChange::Alone),
    ]
}

fn answers() -> Vec<Event> {
    let hops = vec![(node(7000), Duration::ZERO), (node(7001), Duration::from_micros(1234))];
    let trace = |root: Result<NodeHandle, String>, linear| Event::Trace {
        target: "#rust".into(),
        key: Id::hash("rust"),
        hops: hops.clone(),
        root,
        linear,
    };
    let key: ValueKey = "apple".parse().unwrap();
    let written = |deleted, was_there| {
        let (key, root) = (key.clone(), node(7002));
        Event::Written { key, deleted, was_there, root }
    };
    let value = |value: Option<&[u8]>, path| {
        let (key, root) = (key.clone(), node(7002));
        Event::Value { key, value: value.map(<[u8]>::to_vec), root, path }
    };
    vec![
        Event::Help { text: "join <channel>  enter a channel\nexit            leave".into() },
        Event::Who {
            channel: channel("rust"),
            members: vec![(nick("alice"), node(7000)), (nick("bob"), node(7001))],
        },
        Event::History { channel: channel("rust"), messages: 1 },
        Event::History { channel: channel("ruby"), messages: 0 },
        Event::Channels { channels: vec![channel("ruby"), channel("rust")] },
        Event::Names { names: vec![nick("alice"), nick("bob")] },
        Event::Whois { nick: nick("bob"), node: node(7001), root: node(7002) },
        Event::RingState {
            node: node(7000),
            predecessor: Some(node(7002)),
            successors: vec![node(7001), node(7002)],
            fingers: vec![(0, node(7001)), (159, node(7002))],
            records_as_root: 2,
            records_as_copy: 5,
        },
        Event::RingState {
            node: node(7000),
            predecessor: None,
            successors: vec![],
            fingers: vec![],
            records_as_root: 3,
            records_as_copy: 0,
        },
        trace(Ok(node(7001)), false),
        trace(Err("127.0.0.1:7001 did not answer within 2.5 s".into()), true),
        written(false, false),
        written(false, true),
        written(true, true),
        written(true, false),
        value(Some(b"a red one"), Vec::new()),
        value(Some(b"\xff\xfe"), Vec::new()),
        value(None, hops.clone()),
        Event::Bye { not_handed_over: vec![] },
        Event::Bye { not_handed_over: vec!["channel #rust".into(), "name alice".into()] },
    ]
}
