//! What `docs/failures.md` says, tried in the simulator: what people see when something fails.

use std::time::Duration;

use chord_chat::chat::event::{Event, MemberChange, SentState};
use chord_chat::id::Id;
use chord_chat::node::{Command, Node};
use chord_chat::records::COPIES;
use chord_chat::records::lease::{LEASE, RENEW_EVERY};
use chord_chat::records::name::Person;
use chord_chat::sim::{Cut, Links, Order};

use crate::town::{REST, SECOND, Town, at, someone_else};

impl Town {
    /// So many people in one ring and in `#rust`.
    fn in_rust(people: u16, links: Links) -> Town {
        let mut town = Town::of(people, links);
        for n in 0..people {
            town.types(n, "join rust");
        }
        town.run(6 * SECOND);
        let joined = |event: &Event| matches!(event, Event::Joined { .. });
        assert_eq!(town.count(joined), usize::from(people), "everyone has joined");
        town
    }

    /// What the person was shown of `#rust`, in order.
    fn shown(&self, n: u16) -> Vec<String> {
        self.shown_as(n).into_iter().map(|(text, _)| text).collect()
    }

    /// The same, and whether it was said while they were away.
    fn shown_as(&self, n: u16) -> Vec<(String, bool)> {
        self.told(n, |event| match event {
            Event::Message { text, history, .. } => Some((text.clone(), *history)),
            _ => None,
        })
    }

    /// The private messages that the person was shown.
    fn letters(&self, n: u16) -> Vec<String> {
        self.told(n, |event| match event {
            Event::Private { text, .. } => Some(text.clone()),
            _ => None,
        })
    }

    /// The last thing that the person was told.
    fn last_told(&self, n: u16) -> Event {
        let is_aside =
            |event: &Event| matches!(event, Event::Migrated { .. } | Event::Ring { .. } | Event::Bye { .. });
        self.told(n, |event| (!is_aside(event)).then(|| event.clone())).pop().unwrap()
    }

    /// How the last message of the person ended.
    fn end_of_last(&self, n: u16) -> SentState {
        let ends = self.told(n, |event| match event {
            Event::Sent { state, .. } => Some(state.clone()),
            _ => None,
        });
        ends.into_iter().next_back().unwrap()
    }
}

#[test]
fn a_message_survives_the_crash_of_its_root_and_reaches_everyone_once() {
    let mut town = Town::in_rust(8, Links::good());
    let root = town.keepers("#rust", 1)[0];
    let author = someone_else(8, &[root]);
    // Before it is answered, while it is kept, while it is delivered: at each millisecond.
    for millis in 0..8 {
        let mut town = Town::in_rust(8, Links::good());
        town.types(author, "send rust hello");
        town.run(Duration::from_millis(millis));
        town.network.crash(at(root));
        town.run(RENEW_EVERY + 2 * SECOND);
        assert_eq!(town.end_of_last(author), SentState::Stored, "a crash after {millis} ms");
        for n in (0..8).filter(|&n| n != root) {
            assert_eq!(town.shown(n), ["hello"], "a crash after {millis} ms, seen by {n}");
        }
    }
    town.network.crash(at(root));
    town.types(author, "send rust hello");
    town.run(5 * SECOND);
    assert_eq!(town.shown(author), ["hello"], "a crash just before");
}

#[test]
fn a_channel_survives_the_crash_of_two_of_its_keepers_at_once() {
    let mut town = Town::in_rust(9, Links::good());
    let keepers = town.keepers("#rust", COPIES);
    let author = someone_else(9, &keepers);
    town.types(author, "send rust before");
    town.run(SECOND);
    for &keeper in &keepers[..2] {
        town.network.crash(at(keeper));
    }
    town.types(author, "send rust after");
    town.run(RENEW_EVERY + 2 * SECOND);
    for n in (0..9).filter(|n| !keepers[..2].contains(n)) {
        assert_eq!(town.shown(n), ["before", "after"], "seen by {n}");
    }
}

#[test]
fn when_all_keepers_of_a_channel_crash_its_members_come_back_with_their_next_renewal() {
    let mut town = Town::in_rust(12, Links::good());
    let keepers = town.keepers("#rust", COPIES);
    let author = someone_else(12, &keepers);
    for &keeper in &keepers {
        town.network.crash(at(keeper));
    }
    town.run(RENEW_EVERY + 6 * SECOND);
    town.types(author, "send rust here we are");
    town.run(5 * SECOND);
    for n in (0..12).filter(|n| !keepers.contains(n)) {
        assert_eq!(town.shown(n), ["here we are"], "seen by {n}");
    }
}

#[test]
fn a_root_that_stands_still_delays_a_message_and_neither_loses_nor_repeats_it() {
    let mut town = Town::in_rust(8, Links::good());
    let root = town.keepers("#rust", 1)[0];
    let author = someone_else(8, &[root]);
    town.network.freeze(at(root), 10 * SECOND);
    town.types(author, "send rust hello");
    town.run(20 * SECOND);
    assert_eq!(town.end_of_last(author), SentState::Stored);
    town.types(author, "send rust again");
    town.run(RENEW_EVERY + 5 * SECOND);
    for n in 0..8 {
        assert_eq!(town.shown(n), ["hello", "again"], "seen by {n}");
    }
}

#[test]
fn a_member_that_stands_still_gets_what_it_missed_when_it_goes_on() {
    let mut town = Town::in_rust(8, Links::good());
    let root = town.keepers("#rust", 1)[0];
    let author = someone_else(8, &[root]);
    let sleeper = someone_else(8, &[root, author]);
    town.network.freeze(at(sleeper), 40 * SECOND);
    town.run(5 * SECOND);
    for i in 0..3 {
        town.types(author, &format!("send rust {i}"));
        town.run(SECOND);
    }
    town.run(40 * SECOND + RENEW_EVERY);
    assert_eq!(town.shown(sleeper), ["0", "1", "2"]);
}

#[test]
fn what_was_said_while_a_member_stood_still_is_shown_as_such() {
    let mut town = Town::in_rust(8, Links::good());
    let root = town.keepers("#rust", 1)[0];
    let author = someone_else(8, &[root]);
    let sleeper = someone_else(8, &[root, author]);
    town.network.freeze(at(sleeper), 12 * SECOND);
    // The first of these come to its machine, which it reads when it goes on.
    for i in 0..5 {
        town.types(author, &format!("send rust {i}"));
        town.run(2 * SECOND);
    }
    town.run(12 * SECOND);
    town.types(author, "send rust now");
    town.run(5 * SECOND);
    let mut expected: Vec<(String, bool)> = (0..5).map(|i| (i.to_string(), true)).collect();
    expected.push(("now".to_owned(), false));
    assert_eq!(town.shown_as(sleeper), expected);
    assert!(town.shown_as(author).iter().all(|(_, history)| !history), "the others were there");
}

#[test]
fn a_member_that_crashed_is_told_of_when_its_lease_has_ended() {
    let mut town = Town::in_rust(8, Links::good());
    let root = town.keepers("#rust", 1)[0];
    let gone = someone_else(8, &[root]);
    town.network.crash(at(gone));
    town.run(LEASE / 2);
    let lost = |event: &Event| matches!(event, Event::Member { change: MemberChange::Lost, .. });
    assert_eq!(town.count(lost), 0, "a lease lasts");
    town.run(LEASE);
    assert_eq!(town.count(lost), 7, "everybody else is told, once");
}

#[test]
fn a_nick_that_a_crash_left_is_refused_and_then_free() {
    let mut town = Town::of(8, Links::good());
    town.network.crash(at(3));
    town.run(10 * SECOND);
    town.starts(20, "p3");
    town.run(10 * SECOND);
    let Event::Error { message, .. } = town.last_told(20) else { panic!("{:?}", town.last_told(20)) };
    assert!(message.contains("is taken") && message.contains("p32 is free"), "{message}");
    town.run(LEASE);
    town.starts(21, "p3");
    town.run(10 * SECOND);
    assert!(matches!(town.last_told(21), Event::Ready { .. }), "{:?}", town.last_told(21));
}

#[test]
fn of_two_who_claim_a_nick_at_once_one_gets_it() {
    let mut town = Town::of(6, Links::good());
    for n in [20, 21] {
        town.starts(n, "eve");
    }
    town.run(10 * SECOND);
    let ready = |n| usize::from(matches!(town.last_told(n), Event::Ready { .. }));
    assert_eq!(ready(20) + ready(21), 1, "{:?} and {:?}", town.last_told(20), town.last_told(21));
}

#[test]
fn lost_doubled_and_late_messages_show_nothing_twice_and_leave_nothing_out() {
    let bad = Links { loss: 0.05, duplicates: 0.1, order: Order::Any, ..Links::wide_area() };
    let mut town = Town::in_rust(6, Links::wide_area());
    town.network.links = bad;
    for i in 0..10 {
        town.types(i % 6, &format!("send rust {i}"));
        town.run(2 * SECOND);
    }
    town.network.links = Links::wide_area();
    town.run(2 * RENEW_EVERY);
    let shown = town.shown(0);
    let mut sorted = shown.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), shown.len(), "nothing is shown twice: {shown:?}");
    for n in 1..6 {
        assert_eq!(town.shown(n), shown, "everybody sees the same, in the same order");
    }
    let stored = town.count(|event| matches!(event, Event::Sent { state: SentState::Stored, .. }));
    let failed = town.count(|event| matches!(event, Event::Sent { state: SentState::Failed { .. }, .. }));
    assert_eq!(stored + failed, 10, "each message has an end");
    assert!(stored <= shown.len(), "what is stored is shown");
    let history = town.count(|event| matches!(event, Event::Message { history: true, .. }));
    assert_eq!(history, 0, "what was only held up was not said while somebody was away");
}

#[test]
fn messages_that_are_sent_while_nodes_come_reach_every_member_once() {
    let mut town = Town::in_rust(5, Links::good());
    for i in 0..20 {
        town.types(i % 5, &format!("send rust {i}"));
        town.run(Duration::from_millis(100));
        town.starts(20 + i, &format!("q{i}"));
        town.run(Duration::from_millis(200));
    }
    town.run(RENEW_EVERY + 6 * SECOND);
    let shown = town.shown(0);
    assert_eq!(shown.len(), 20, "{shown:?}");
    for n in 1..5 {
        assert_eq!(town.shown(n), shown, "seen by {n}");
    }
}

#[test]
fn nodes_whose_clocks_differ_by_hours_chat_all_the_same() {
    let mut town = Town::new(7, Links::good());
    for n in 0..5 {
        let ahead = 3600 * SECOND * u32::from(n * 7 % 5);
        let now = town.network.now() + ahead;
        town.network.add_ahead(Node::new(format!("p{n}").parse().unwrap(), at(n), now), ahead);
        let bootstrap = (0 < n).then(|| at(0));
        town.network.command(at(n), Command::Start { bootstrap });
        town.run(2 * SECOND);
    }
    town.run(REST);
    for n in 0..5 {
        town.types(n, "join rust");
    }
    town.run(2 * LEASE);
    for n in 0..5 {
        town.types(n, &format!("send rust {n}"));
        town.run(SECOND);
    }
    for n in 0..5 {
        assert_eq!(town.shown(n), ["0", "1", "2", "3", "4"], "seen by {n}");
    }
}

#[test]
fn what_a_root_has_acknowledged_survives_its_crash_however_wrong_its_clock_is() {
    // From the time for which a message is kept, and a letter, to where the machine was never told the time.
    let hours =
        (24 * 6..=24 * 9).step_by(6).chain((24 * 13..=24 * 16).step_by(6)).chain([24 * 30, 24 * 10_000]);
    for hours in hours {
        let wrong = 3600 * SECOND * hours;
        acknowledged_survives_the_crash_of_the_root(&format!("{hours} hours behind"), Duration::ZERO, wrong);
        acknowledged_survives_the_crash_of_the_root(&format!("{hours} hours ahead"), wrong, Duration::ZERO);
    }
}

/// The clock of the root of a channel, of a mailbox and of two values is so far ahead, and those of all others so far.
fn acknowledged_survives_the_crash_of_the_root(case: &str, root_ahead: Duration, others_ahead: Duration) {
    let mut town = Town::new(7, Links::good());
    let root_of = |key: &str| (0..6).min_by_key(|&n| Id::hash(key).distance_to(at(n).id())).unwrap();
    let root = root_of("#rust");
    let mut keys = (0..).map(|i| format!("key{i}")).filter(|key| root_of(key) == root);
    let (deleted, kept) = (keys.next().unwrap(), keys.next().unwrap());
    let bob = (0..).map(|i| format!("bob{i}")).find(|nick| root_of(nick) == root).unwrap();
    let author = someone_else(6, &[root]);
    let other = someone_else(6, &[root, author]);
    let absent = someone_else(6, &[root, author, other]);
    let comes = |town: &mut Town, n: u16| {
        let nick = if n == absent { bob.clone() } else { format!("p{n}") };
        let ahead = if n == root { root_ahead } else { others_ahead };
        town.network.add_ahead(Node::new(nick.parse().unwrap(), at(n), town.network.now() + ahead), ahead);
        let bootstrap = town.network.machines().map(|node| node.chord().me()).find(|&node| node != at(n));
        town.network.command(at(n), Command::Start { bootstrap });
        town.run(2 * SECOND);
    };
    for n in 0..6 {
        comes(&mut town, n);
    }
    town.run(REST);
    town.network.crash(at(absent));
    town.run(REST);
    town.says(author, "join rust");
    town.says(author, "send rust one");
    town.says(author, &format!("msg {bob} two"));
    town.says(author, &format!("put {deleted} red"));
    town.says(author, &format!("put {kept} blue"));
    town.says(author, &format!("del {deleted}"));
    town.run(2 * 60 * SECOND);
    assert_eq!(
        town.count(|event| matches!(event, Event::Sent { state: SentState::Stored, .. })),
        2,
        "{case}"
    );
    town.network.crash(at(root));
    town.run(REST + 2 * 60 * SECOND);
    town.says(other, "join rust");
    assert_eq!(town.shown(other), ["one"], "{case}");
    town.says(author, &format!("msg {bob} three"));
    // Somebody else has the name for a while, and then a letter waits for them.
    let eve = |town: &Town| {
        let now = town.network.now() + others_ahead;
        Node::new(bob.parse().unwrap(), at(8), now).with_person(Person::new([8; 16]))
    };
    for waits in [None, Some("four")] {
        town.network.add_ahead(eve(&town), others_ahead);
        town.network.command(at(8), Command::Start { bootstrap: Some(at(author)) });
        town.run(RENEW_EVERY);
        assert_eq!(town.letters(8), Vec::from_iter(waits), "{case}");
        town.network.command(at(8), Command::Exit);
        town.run(5 * SECOND);
        if waits.is_none() {
            town.says(author, &format!("msg {bob} four"));
        }
    }
    comes(&mut town, absent);
    town.run(RENEW_EVERY);
    assert_eq!(town.letters(absent), ["two", "three"], "{case}");
    for (key, expected) in [(deleted, None), (kept, Some(b"blue".to_vec()))] {
        town.says(other, &format!("get {key}"));
        let values = town.take(other, |event| match event {
            Event::Value { value, .. } => Some(value.clone()),
            _ => None,
        });
        assert_eq!(values, [expected], "{case}");
    }
}

#[test]
fn the_parts_of_a_cut_network_go_on_by_themselves() {
    let mut town = Town::in_rust(8, Links::good());
    town.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
    town.run(RENEW_EVERY + 30 * SECOND);
    town.types(0, "send rust even");
    town.types(1, "send rust odd");
    town.run(RENEW_EVERY + 30 * SECOND);
    for n in 0..8 {
        let expected = if n % 2 == 0 { "even" } else { "odd" };
        assert_eq!(town.shown(n), [expected], "seen by {n}");
    }
}
