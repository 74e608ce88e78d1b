//! History: who joins is shown what was said last, and what comes meanwhile after it.

use chord_chat::chat::command::find;
use chord_chat::chat::event::Event;
use chord_chat::chat::history::{HISTORY, HISTORY_MAX};
use chord_chat::node::Node;
use chord_chat::records::channel::{LOG_MAX, TEXT_BYTES_MAX};
use chord_chat::sim::{Cut, Links, Network};

use crate::town::{SECOND, Town, at};

const ALICE: u16 = 0;
const BOB: u16 = 1;
const CAROL: u16 = 2;

/// What was shown: the text, and whether as history.
fn text(event: &Event) -> Option<(String, bool)> {
    match event {
        Event::Message { text, history, .. } => Some((text.clone(), *history)),
        Event::History { messages, .. } => Some((format!("that was {messages}"), true)),
        Event::Error { message, .. } => Some((format!("error: {message}"), true)),
        _ => None,
    }
}

impl Town {
    /// Alice, Bob and Carol, one ring, of whom Alice is in `#rust`.
    fn of_three() -> Town {
        let mut town = Town::new(1, Links::good());
        for (n, nick) in (ALICE..).zip(["alice", "bob", "carol"]) {
            town.starts(n, nick);
            town.wait();
        }
        town.types(ALICE, "join rust");
        town.wait();
        town
    }

    fn wait(&mut self) {
        self.run(3 * SECOND);
    }

    /// Alice sends these numbers to `#rust`.
    fn counts(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.types(ALICE, &format!("send rust {number}"));
        }
        self.wait();
    }
}

fn numbers(numbers: std::ops::Range<usize>, history: bool) -> Vec<(String, bool)> {
    numbers.map(|number| (number.to_string(), history)).collect()
}

#[test]
fn who_joins_is_shown_the_last_messages_and_then_those_that_come() {
    let mut town = Town::of_three();
    town.counts(0..70);
    town.types(BOB, "join rust");
    // These come while Bob reads.
    town.counts(70..75);
    assert_eq!(town.take(BOB, text), [numbers(70 - HISTORY..70, true), numbers(70..75, false)].concat());
    town.types(CAROL, "join rust --history 3");
    town.wait();
    assert_eq!(town.take(CAROL, text), numbers(72..75, true));
}

#[test]
fn who_was_away_while_more_was_said_than_is_kept_is_told_that_some_is_gone() {
    for said_before in [0, 1] {
        is_told_that_some_is_gone(said_before);
    }
}

fn is_told_that_some_is_gone(said_before: usize) {
    let mut town = Town::of_three();
    assert_ne!(town.keepers("#rust", 1), [CAROL], "the root stays where it is spoken");
    town.counts(1 - said_before..1);
    town.types(CAROL, "join rust");
    town.wait();
    assert_eq!(town.take(CAROL, text).len(), said_before);
    town.network.partition(Cut::Silent, |node| u32::from(node == at(CAROL)));
    town.run(10 * SECOND);
    for from in (1..LOG_MAX + 101).step_by(100) {
        town.counts(from..from + 100);
    }
    town.network.heal();
    town.run(60 * SECOND);
    let shown = town.take(CAROL, |event| match event {
        Event::Gap { channel } => Some((format!("a gap in {channel}"), true)),
        _ => text(event),
    });
    let gap = vec![("a gap in #rust".to_owned(), true)];
    assert_eq!(shown, [gap, numbers(101..LOG_MAX + 101, true)].concat());
    town.counts(LOG_MAX + 101..LOG_MAX + 102);
    town.run(60 * SECOND);
    assert_eq!(town.take(CAROL, text), numbers(LOG_MAX + 101..LOG_MAX + 102, false));
    assert_eq!(town.count(|event| matches!(event, Event::Gap { .. })), 0, "it is told once");
}

#[test]
fn who_wants_no_history_gets_none() {
    let mut town = Town::of_three();
    town.counts(0..5);
    town.types(BOB, "join rust --history 0");
    town.wait();
    town.counts(5..6);
    assert_eq!(town.take(BOB, text), numbers(5..6, false));
}

#[test]
fn who_comes_back_is_shown_what_they_missed_and_no_more() {
    let mut town = Town::of_three();
    town.types(BOB, "join rust");
    town.wait();
    town.counts(0..5);
    assert_eq!(town.take(BOB, text), numbers(0..5, false));
    town.types(BOB, "leave rust");
    town.wait();
    town.counts(5..8);
    town.types(BOB, "join rust");
    town.wait();
    assert_eq!(town.take(BOB, text), numbers(5..8, true));
}

#[test]
fn who_comes_back_is_shown_nothing_older_than_what_they_have_seen() {
    let mut town = Town::of_three();
    town.counts(0..5);
    town.types(BOB, "join rust --history 2");
    town.wait();
    assert_eq!(town.take(BOB, text), numbers(3..5, true));
    town.types(BOB, "leave rust");
    town.wait();
    town.types(BOB, "join rust");
    town.wait();
    assert_eq!(town.take(BOB, text), [], "those before are not shown below those after");
    town.types(BOB, "leave rust");
    town.wait();
    town.counts(5..7);
    town.types(BOB, "join rust");
    town.wait();
    assert_eq!(town.take(BOB, text), numbers(5..7, true));
    town.types(BOB, "history rust 7");
    town.wait();
    assert_eq!(town.take(BOB, text)[..7], numbers(0..7, true), "whoever asks is shown them");
}

#[test]
fn who_leaves_before_they_are_shown_anything_is_shown_it_when_they_come_back() {
    // Bob's node is the root: he would be answered at once.
    let mut town = Town::of_three();
    town.counts(0..5);
    town.types(CAROL, "join rust");
    let deadline = town.network.now() + 3 * SECOND;
    let has_joined = |network: &Network<Node>| network.get(at(CAROL)).unwrap().chat().joined().count() == 1;
    assert!(town.network.run_until_condition(deadline, has_joined));
    town.types(CAROL, "leave rust");
    town.wait();
    assert_eq!(town.take(CAROL, text), []);
    town.types(CAROL, "join rust");
    town.wait();
    assert_eq!(town.take(CAROL, text), numbers(0..5, true));
}

#[test]
fn history_is_shown_to_whoever_asks_as_much_as_they_ask() {
    let mut town = Town::of_three();
    town.counts(0..60);
    town.types(BOB, "history rust 2");
    town.wait();
    let two = [numbers(58..60, true), vec![("that was 2".to_owned(), true)]].concat();
    assert_eq!(town.take(BOB, text), two);
    town.types(BOB, "history rust");
    town.wait();
    assert_eq!(town.take(BOB, text).len(), HISTORY + 1);
    town.types(BOB, "history nothing");
    town.wait();
    assert_eq!(town.take(BOB, text), [("that was 0".to_owned(), true)]);
    for wrong in ["many", "0", "1001", "-1"] {
        town.types(BOB, &format!("history rust {wrong}"));
        town.wait();
        let refused = format!("error: {wrong}: a count is a number from 1 to 1000");
        assert_eq!(town.take(BOB, text), [(refused, true)]);
    }
}

#[test]
fn help_says_how_many_messages_are_shown() {
    for name in ["join", "history"] {
        let about = find(name).unwrap().about;
        assert!(about.contains(&format!("{HISTORY}, or")) || about.contains(&format!("{HISTORY} messages")));
        assert!(about.contains(&format!("at most {HISTORY_MAX}")), "{about}");
    }
}

#[test]
fn long_messages_come_in_parts_and_all_of_them_come() {
    const COUNT: usize = 200;
    let mut town = Town::of_three();
    for number in 0..COUNT {
        let start = format!("{number} ");
        town.types(ALICE, &format!("send rust {start}{}", "x".repeat(TEXT_BYTES_MAX - start.len())));
    }
    town.wait();
    town.types(BOB, &format!("join rust --history {COUNT}"));
    town.wait();
    let first_words: Vec<String> =
        town.take(BOB, text).iter().map(|(text, _)| text.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(first_words, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
}
