//! A node with a disk: what it keeps, before what, and how it begins again.

use std::collections::BTreeMap;

use super::kept::{Kept, is_of_chat, item_of_chat};
use super::*;
use crate::chat::event::{MessageId, Recipient, SentState};
use crate::chat::restore;
use crate::machine::Keep;

const NOW: Time = Time::from_micros(1_800_000_000_000_000);

fn me() -> NodeHandle {
    NodeHandle::new("127.0.0.1:7000".parse().unwrap())
}

fn person(byte: u8) -> Person {
    Person::new([byte; 16])
}

/// What is on a disk.
#[derive(Default)]
struct Disk(BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    fn write(&mut self, outputs: &[Said]) {
        for output in outputs {
            if let Output::Keep(Keep { key, value, .. }) = output {
                match value {
                    Some(value) => drop(self.0.insert(key.clone(), value.clone())),
                    None => drop(self.0.remove(key)),
                }
            }
        }
    }

    fn kept(&self) -> Kept {
        Kept::read(self.0.clone())
    }

    /// The node of `alice`, alone in her ring, and what it puts out when it starts.
    fn start(&mut self, now: Time) -> (Node, Vec<Said>) {
        self.start_as("alice", now)
    }

    fn start_as(&mut self, nick: &str, now: Time) -> (Node, Vec<Said>) {
        let node = Node::new(nick.parse().unwrap(), me(), now).with_disk(now, self.kept(), person(1), "lab");
        self.play(node, now, Command::Start { bootstrap: None })
    }

    fn play(&mut self, mut node: Node, now: Time, command: Command) -> (Node, Vec<Said>) {
        let mut outputs = Vec::new();
        node.handle(now, Input::Command(command), &mut outputs);
        self.write(&outputs);
        (node, outputs)
    }

    fn types(&mut self, node: Node, now: Time, line: &str) -> (Node, Vec<Said>) {
        self.play(node, now, Command::Line(line.to_owned()))
    }
}

type Said = Output<Event, Message<Payload>>;

fn events(outputs: Vec<Said>) -> Vec<Event> {
    let event = |output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    };
    outputs.into_iter().filter_map(event).collect()
}

fn texts(events: &[Event]) -> Vec<&str> {
    fn text(event: &Event) -> Option<&str> {
        match event {
            Event::Message { text, .. } => Some(text),
            _ => None,
        }
    }
    events.iter().filter_map(text).collect()
}

/// How long each thing may take to be written.
fn times(outputs: &[Said]) -> Vec<Duration> {
    let within = |output: &Said| match output {
        Output::Keep(keep) => Some(keep.within),
        _ => None,
    };
    outputs.iter().filter_map(within).collect()
}

fn after(seconds: u64) -> Time {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn what_is_told_is_kept_before() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (node, outputs) = disk.types(node, NOW, "join #rust");
    let first_other = outputs.iter().position(|output| !matches!(output, Output::Keep(_))).unwrap();
    assert!(outputs[first_other..].iter().all(|output| !matches!(output, Output::Keep(_))));
    assert!(times(&outputs).contains(&Duration::ZERO), "it rests on the disk: {outputs:?}");
    let (_, outputs) = disk.types(node, NOW, "send #rust hello");
    assert!(matches!(&outputs[0], Output::Keep(keep) if keep.within.is_zero()), "{outputs:?}");
    let told = events(outputs);
    assert!(told.iter().any(|event| matches!(event, Event::Sent { state: SentState::Stored, .. })));
}

#[test]
fn who_has_no_disk_keeps_nothing() {
    let mut node = Node::new("alice".parse().unwrap(), me(), NOW);
    let mut outputs = Vec::new();
    for line in ["", "join #rust", "send #rust hello", "msg bob hello", "exit"] {
        let command =
            if line.is_empty() { Command::Start { bootstrap: None } } else { Command::Line(line.to_owned()) };
        node.handle(NOW, Input::Command(command), &mut outputs);
    }
    assert_eq!(times(&outputs), []);
}

#[test]
fn who_restarts_is_who_they_were_where_they_were() {
    let mut disk = Disk::default();
    let (mut node, _) = disk.start(NOW);
    for line in ["join #rust", "join #attic", "send #rust one", "send #rust two", "leave #attic"] {
        (node, _) = disk.types(node, NOW, line);
    }
    let kept = disk.kept();
    assert_eq!((kept.person, kept.node, kept.unreadable), (Some(person(1)), Some(me()), 0));
    assert_eq!(kept.network.as_deref(), Some("lab"));
    // A week later nobody is a member, or has the name, but the messages are almost all there.
    let (node, outputs) = disk.start(after(6 * 24 * 60 * 60));
    let told = events(outputs);
    let joined: Vec<String> = told
        .iter()
        .filter_map(|event| match event {
            Event::Joined { channel, .. } => Some(channel.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(joined, ["#rust"]);
    assert_eq!(texts(&told), [""; 0], "what was shown is not shown again");
    let (_, outputs) = disk.types(node, after(6 * 24 * 60 * 60), "history #rust");
    assert_eq!(texts(&events(outputs)), ["one", "two"]);
}

#[test]
fn what_was_put_and_deleted_is_so_after_a_restart() {
    let mut disk = Disk::default();
    let (mut node, _) = disk.start(NOW);
    let (_, outputs) = disk.types(node.clone(), NOW, "put apple red");
    assert!(matches!(&outputs[0], Output::Keep(keep) if keep.within.is_zero()), "{outputs:?}");
    for line in ["put apple red", "put pear green", "put plum blue", "del plum", "put apple another"] {
        (node, _) = disk.types(node, NOW, line);
    }
    let value = |disk: &mut Disk, node, now, key| {
        let (node, outputs) = disk.types(node, now, &format!("get {key}"));
        match &events(outputs)[..] {
            [Event::Value { value, .. }] => {
                (node, value.as_ref().map(|value| String::from_utf8_lossy(value).into()))
            }
            other => panic!("{other:?}"),
        }
    };
    // The clock may have been set back meanwhile: what is on the own disk is believed.
    for now in [after(60), NOW - Duration::from_secs(100 * 24 * 60 * 60)] {
        let mut disk = Disk(disk.0.clone());
        let (mut node, _) = disk.start(now);
        for (key, wanted) in [("apple", Some("another")), ("pear", Some("green")), ("plum", None)] {
            let shown: Option<String>;
            (node, shown) = value(&mut disk, node, now, key);
            assert_eq!(shown.as_deref(), wanted, "{key}");
        }
    }
    // For two weeks it is kept that a value was deleted, and no longer.
    let items = disk.0.len();
    let day = 24 * 60 * 60;
    let (mut node, _) = disk.start(after(13 * day));
    let mut outputs = Vec::new();
    for seconds in [14 * day, 14 * day + 60] {
        node.handle(after(seconds), Input::Wakeup, &mut outputs);
    }
    disk.write(&outputs);
    let is_forgotten =
        outputs.iter().any(|output| matches!(output, Output::Keep(keep) if keep.value.is_none()));
    assert!(is_forgotten, "of {items}");
}

#[test]
fn what_was_said_before_a_restart_and_not_shown_is_shown_as_such_however_short_it_took() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (node, _) = disk.types(node, NOW, "join #rust");
    let joined = disk.0.clone();
    let (node, _) = disk.types(node, NOW, "send #rust one");
    disk.types(node, NOW, "send #rust two");
    // What was shown is written a moment later than what was said, and was not before the end.
    disk.0.retain(|key, _| !is_of_chat(key));
    disk.0.extend(joined.into_iter().filter(|(key, _)| is_of_chat(key)));
    let (node, outputs) = disk.start(after(1));
    let history = |outputs| {
        let message = |event| match event {
            Event::Message { text, history, .. } => Some((text, history)),
            _ => None,
        };
        events(outputs).into_iter().filter_map(message).collect::<Vec<_>>()
    };
    assert_eq!(history(outputs), [("one".to_owned(), true), ("two".to_owned(), true)]);
    let (_, outputs) = disk.types(node, after(2), "send #rust three");
    assert_eq!(history(outputs), [("three".to_owned(), false)]);
}

#[test]
fn who_joined_and_was_not_shown_the_last_messages_before_a_restart_is_shown_them_after() {
    let mut disk = Disk::default();
    let (mut node, _) = disk.start(NOW);
    for text in 1..=60 {
        (node, _) = disk.types(node, NOW, &format!("send #rust {text}"));
    }
    let before = disk.0.clone();
    let (_, outputs) = disk.types(node, NOW, "join #rust");
    let last: Vec<String> = (11..=60).map(|text| text.to_string()).collect();
    assert_eq!(texts(&events(outputs.clone())), last);
    // That the user is in the channel was written, and what was shown was not.
    let mut joined = Disk(before);
    let at_once = |output: &&Said| matches!(output, Output::Keep(keep) if keep.within.is_zero());
    joined.write(&outputs.iter().filter(at_once).cloned().collect::<Vec<_>>());
    let (node, outputs) = joined.start(after(1));
    assert_eq!(texts(&events(outputs)), last);
    joined.types(node, after(2), "send #rust 61");
    let (_, outputs) = joined.start(after(3));
    assert_eq!(texts(&events(outputs)), [""; 0], "now they were shown");
}

#[test]
fn who_came_back_to_a_channel_just_before_a_restart_is_not_shown_again_what_they_saw_before_they_left() {
    let mut disk = Disk::default();
    let (mut node, _) = disk.start(NOW);
    for line in ["join #rust", "send #rust one", "send #rust two", "leave #rust", "send #rust three"] {
        (node, _) = disk.types(node, NOW, line);
    }
    let before = disk.0.clone();
    let (_, outputs) = disk.types(node, NOW, "join #rust");
    assert_eq!(texts(&events(outputs.clone())), ["three"]);
    let mut joined = Disk(before);
    let at_once = |output: &&Said| matches!(output, Output::Keep(keep) if keep.within.is_zero());
    joined.write(&outputs.iter().filter(at_once).cloned().collect::<Vec<_>>());
    let (_, outputs) = joined.start(after(1));
    assert_eq!(texts(&events(outputs)), ["three"], "which may not have been shown");
}

#[test]
fn who_exits_is_in_their_channels_again_at_the_next_start() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (node, _) = disk.types(node, NOW, "join #rust");
    let (node, _) = disk.types(node, NOW, "exit");
    assert!(node.chat().is_over());
    let (_, outputs) = disk.start(after(1));
    assert!(events(outputs).iter().any(|event| matches!(event, Event::Joined { .. })));
}

#[test]
fn a_message_that_waits_is_queued_again_with_its_id_and_then_forgotten() {
    let mut disk = Disk::default();
    let id = MessageId { author: me(), counter: 7 };
    let key = restore::Key::Waiting(Recipient::Channel("rust".parse().unwrap()), id);
    disk.0.extend([item_of_chat(key, &restore::Value::Waiting("I wait".to_owned()))]);
    let (node, outputs) = disk.start(after(1));
    let told = events(outputs);
    let states: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::Sent { id: sent, state, .. } if *sent == id => Some(state.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(states, [SentState::Waiting, SentState::Stored]);
    assert!(node.records().channel(&"rust".parse().unwrap()).unwrap().log.get(&id).is_some());
    let (_, outputs) = disk.start(after(2));
    assert!(!events(outputs).iter().any(|event| matches!(event, Event::Sent { .. })), "it went out");
}

#[test]
fn who_restarts_speaks_after_their_last_message_in_a_channel_that_they_are_not_in() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (node, _) = disk.types(node, NOW, "send #rust one");
    let last = |node: &Node| node.records().channel(&"rust".parse().unwrap()).unwrap().log.last();
    let first = last(&node);
    // In the part of the network where they are now, nobody knows of it, and the clock is behind.
    disk.0.retain(|key, _| is_of_chat(key));
    let earlier = NOW - Duration::from_secs(1);
    let (node, _) = disk.start(earlier);
    let (node, _) = disk.types(node, earlier, "send #rust two");
    assert!(first < last(&node));
}

#[test]
fn of_as_many_channels_as_one_may_be_in_it_is_kept_where_the_last_message_stands() {
    let mut disk = Disk::default();
    let (mut node, _) = disk.start(NOW);
    let before = disk.0.keys().filter(|key| is_of_chat(key)).count();
    for channel in 0..300 {
        (node, _) = disk.types(node, after(channel), &format!("send #channel{channel} hello"));
    }
    assert_eq!(disk.0.keys().filter(|key| is_of_chat(key)).count(), before + 256);
}

/// The texts of the private messages.
fn letters(events: &[Event]) -> Vec<&str> {
    fn text(event: &Event) -> Option<&str> {
        match event {
            Event::Private { text, history: true, .. } => Some(text),
            _ => None,
        }
    }
    events.iter().filter_map(text).collect()
}

#[test]
fn mail_is_fetched_under_each_nick_that_the_person_has_had() {
    let mut disk = Disk::default();
    for (i, nick) in (0..).zip(["alice", "lice", "ali"]) {
        disk.start_as(nick, after(i));
    }
    // Nobody holds these names any more, so what comes for whoever had them waits.
    let (mut node, outputs) = disk.start_as("eve", after(600));
    assert_eq!(letters(&events(outputs)), [""; 0]);
    for nick in ["alice", "lice", "ali"] {
        (node, _) = disk.types(node, after(600), &format!("msg {nick} to {nick}"));
    }
    let (node, outputs) = disk.start_as("zoe", after(601));
    assert_eq!(letters(&events(outputs)), ["to ali", "to alice", "to lice"]);
    let (mut node, _) = disk.types(node, after(602), "msg lice again");
    let mut outputs = Vec::new();
    for second in 603..603 + 4 * 30 {
        node.handle(after(second), Input::Wakeup, &mut outputs);
    }
    assert_eq!(letters(&events(outputs)), ["again"], "one former nick after the other is asked about");
}

#[test]
fn a_letter_that_waits_in_a_mailbox_is_known_by_its_text_after_a_restart() {
    let mut disk = Disk::default();
    let id = MessageId { author: me(), counter: 7 };
    let (to, text) = (Recipient::Nick("bob".parse().unwrap()), "are you there?".to_owned());
    let value = restore::Value::Posted(to.clone(), NOW, text.clone());
    disk.0.extend([item_of_chat(restore::Key::Posted(id), &value)]);
    let (mut node, _) = disk.start(after(1));
    let (from, message) =
        (NodeHandle::new("127.0.0.1:7001".parse().unwrap()), Message::Tell(Payload::Receipt(vec![id])));
    let mut outputs = Vec::new();
    node.handle(after(1), Input::Message { from, message }, &mut outputs);
    assert_eq!(events(outputs), [Event::Sent { id, to, text, state: SentState::Delivered }]);
}

#[test]
fn renewals_are_written_later_and_what_is_too_old_is_forgotten() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (mut node, _) = disk.types(node, NOW, "join #rust");
    let mut outputs = Vec::new();
    for second in 1..=40 {
        node.handle(after(second), Input::Wakeup, &mut outputs);
    }
    disk.write(&outputs);
    assert!(!times(&outputs).is_empty(), "the lease was renewed");
    assert!(times(&outputs).iter().all(|within| !within.is_zero()), "{outputs:?}");
    let claims = |disk: &Disk| {
        let node = Node::new("bob".parse().unwrap(), me(), NOW);
        let node = node.with_disk(after(41), disk.kept(), person(2), "lab");
        node.records().claims(&"alice".parse().unwrap()).is_some()
    };
    assert!(claims(&disk));
    let before = disk.0.len();
    let other = NodeHandle::new("127.0.0.1:7001".parse().unwrap());
    let node = Node::new("bob".parse().unwrap(), other, after(3600));
    let node = node.with_disk(after(3600), disk.kept(), person(2), "lab");
    assert_eq!(node.chat().person(), person(1), "the same person, whatever the name");
    let (_, outputs) = disk.play(node, after(3600), Command::Line(String::new()));
    assert!(!outputs.is_empty() && disk.0.len() < before, "{outputs:?}");
    assert!(!claims(&disk));
}

#[test]
fn what_cannot_be_read_is_counted_and_left_alone() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    disk.types(node, NOW, "join #rust");
    let total = disk.0.len();
    for value in disk.0.values_mut() {
        value[0] = 99;
    }
    disk.0.insert(vec![250, 1], vec![1, 2, 3]);
    disk.0.insert(Vec::new(), Vec::new());
    let mut kept = disk.kept();
    assert_eq!(std::mem::take(&mut kept.unreadable), total + 2);
    assert_eq!(kept, Kept::default());
}

#[test]
fn no_bytes_from_the_disk_make_a_node_fail() {
    let mut disk = Disk::default();
    let (node, _) = disk.start(NOW);
    let (node, _) = disk.types(node, NOW, "join #rust");
    disk.types(node, NOW, "send #rust hello");
    for (key, value) in disk.0.clone() {
        for (bytes, is_key) in [(&key, true), (&value, false)] {
            for at in 0..bytes.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    let item = if is_key { (damaged, value.clone()) } else { (key.clone(), damaged) };
                    let mut other = Disk(disk.0.clone());
                    other.0.remove(&key);
                    other.0.insert(item.0, item.1);
                    other.start(after(1));
                }
            }
        }
    }
}
