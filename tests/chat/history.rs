//! History: who joins is shown what was said last, and what comes meanwhile after it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::command::find;
use chord_chat::chat::event::Event;
use chord_chat::chat::history::{HISTORY, HISTORY_MAX};
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::records::channel::TEXT_BYTES_MAX;
use chord_chat::sim::{Links, Network, Observer};

const ALICE: u16 = 0;
const BOB: u16 = 1;
const CAROL: u16 = 2;

/// What each person was shown: the text, and whether as history.
#[derive(Default)]
struct Shown(Vec<(NodeHandle, String, bool)>);

impl Observer<Node> for Shown {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        match event {
            Event::Message { text, history, .. } => self.0.push((node, text.clone(), *history)),
            Event::History { messages, .. } => self.0.push((node, format!("that was {messages}"), true)),
            Event::Error { message, .. } => self.0.push((node, format!("error: {message}"), true)),
            _ => {}
        }
    }
}

/// Alice, Bob and Carol, one ring, of whom Alice is in `#rust`.
struct Room {
    network: Network<Node>,
    shown: Rc<RefCell<Shown>>,
}

fn at(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

impl Room {
    fn new() -> Room {
        let shown = Rc::new(RefCell::new(Shown::default()));
        let mut network = Network::new(1, Links::good());
        network.observe(shown.clone());
        let mut room = Room { network, shown };
        for n in [ALICE, BOB, CAROL] {
            let bootstrap = (n != ALICE).then(|| at(ALICE));
            let nick = ["alice", "bob", "carol"][usize::from(n)].parse().unwrap();
            room.network.add(Node::new(nick, at(n), room.network.now()));
            room.network.command(at(n), Command::Start { bootstrap });
            room.wait();
        }
        room.say(ALICE, "join rust");
        room.wait();
        room
    }

    fn say(&mut self, n: u16, line: &str) {
        self.network.command(at(n), Command::Line(line.to_owned()));
    }

    fn wait(&mut self) {
        self.network.run_for(Duration::from_secs(3));
    }

    /// Sends these numbers to `#rust`.
    fn count(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.say(ALICE, &format!("send rust {number}"));
        }
        self.wait();
    }

    /// What the person was shown since this was asked last.
    fn take(&mut self, n: u16) -> Vec<(String, bool)> {
        let mut shown = self.shown.borrow_mut();
        let (taken, kept) = std::mem::take(&mut shown.0).into_iter().partition(|(node, ..)| *node == at(n));
        shown.0 = kept;
        taken.into_iter().map(|(_, text, history)| (text, history)).collect()
    }
}

fn numbers(numbers: std::ops::Range<usize>, history: bool) -> Vec<(String, bool)> {
    numbers.map(|number| (number.to_string(), history)).collect()
}

#[test]
fn who_joins_is_shown_the_last_messages_and_then_those_that_come() {
    let mut room = Room::new();
    room.count(0..70);
    room.say(BOB, "join rust");
    // These come while Bob reads.
    room.count(70..75);
    assert_eq!(room.take(BOB), [numbers(70 - HISTORY..70, true), numbers(70..75, false)].concat());
    room.say(CAROL, "join rust --history 3");
    room.wait();
    assert_eq!(room.take(CAROL), numbers(72..75, true));
}

#[test]
fn who_wants_no_history_gets_none() {
    let mut room = Room::new();
    room.count(0..5);
    room.say(BOB, "join rust --history 0");
    room.wait();
    room.count(5..6);
    assert_eq!(room.take(BOB), numbers(5..6, false));
}

#[test]
fn who_comes_back_is_shown_what_they_missed_and_no_more() {
    let mut room = Room::new();
    room.say(BOB, "join rust");
    room.wait();
    room.count(0..5);
    assert_eq!(room.take(BOB), numbers(0..5, false));
    room.say(BOB, "leave rust");
    room.wait();
    room.count(5..8);
    room.say(BOB, "join rust");
    room.wait();
    assert_eq!(room.take(BOB), numbers(5..8, true));
}

#[test]
fn who_comes_back_is_shown_nothing_older_than_what_they_have_seen() {
    let mut room = Room::new();
    room.count(0..5);
    room.say(BOB, "join rust --history 2");
    room.wait();
    assert_eq!(room.take(BOB), numbers(3..5, true));
    room.say(BOB, "leave rust");
    room.wait();
    room.say(BOB, "join rust");
    room.wait();
    assert_eq!(room.take(BOB), [], "those before are not shown below those after");
    room.say(BOB, "leave rust");
    room.wait();
    room.count(5..7);
    room.say(BOB, "join rust");
    room.wait();
    assert_eq!(room.take(BOB), numbers(5..7, true));
    room.say(BOB, "history rust 7");
    room.wait();
    assert_eq!(room.take(BOB)[..7], numbers(0..7, true), "whoever asks is shown them");
}

#[test]
fn who_leaves_before_they_are_shown_anything_is_shown_it_when_they_come_back() {
    // Bob's node is the root: he would be answered at once.
    let mut room = Room::new();
    room.count(0..5);
    room.say(CAROL, "join rust");
    let deadline = room.network.now() + Duration::from_secs(3);
    let has_joined = |network: &Network<Node>| network.get(at(CAROL)).unwrap().chat().joined().count() == 1;
    assert!(room.network.run_until_condition(deadline, has_joined));
    room.say(CAROL, "leave rust");
    room.wait();
    assert_eq!(room.take(CAROL), []);
    room.say(CAROL, "join rust");
    room.wait();
    assert_eq!(room.take(CAROL), numbers(0..5, true));
}

#[test]
fn history_is_shown_to_whoever_asks_as_much_as_they_ask() {
    let mut room = Room::new();
    room.count(0..60);
    room.say(BOB, "history rust 2");
    room.wait();
    let two = [numbers(58..60, true), vec![("that was 2".to_owned(), true)]].concat();
    assert_eq!(room.take(BOB), two);
    room.say(BOB, "history rust");
    room.wait();
    assert_eq!(room.take(BOB).len(), HISTORY + 1);
    room.say(BOB, "history nothing");
    room.wait();
    assert_eq!(room.take(BOB), [("that was 0".to_owned(), true)]);
    for wrong in ["many", "0", "1001", "-1"] {
        room.say(BOB, &format!("history rust {wrong}"));
        room.wait();
        let refused = format!("error: {wrong}: a count is a number from 1 to 1000");
        assert_eq!(room.take(BOB), [(refused, true)]);
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
    let mut room = Room::new();
    for number in 0..COUNT {
        let start = format!("{number} ");
        room.say(ALICE, &format!("send rust {start}{}", "x".repeat(TEXT_BYTES_MAX - start.len())));
    }
    room.wait();
    room.say(BOB, &format!("join rust --history {COUNT}"));
    room.wait();
    let first_words: Vec<String> =
        room.take(BOB).iter().map(|(text, _)| text.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(first_words, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
}
