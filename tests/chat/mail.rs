//! Mail: what is written to someone who is away waits for them, and for nobody else.

use std::time::Duration;

use chord_chat::chat::event::{Event, SentState};
use chord_chat::node::Command;
use chord_chat::node::kept::Kept;
use chord_chat::records::lease::RENEW_EVERY;
use chord_chat::records::mailbox::{MAIL_KEPT_FOR, MAIL_MAX};
use chord_chat::records::name::Person;
use chord_chat::sim::{Cut, Latency, Links};

use crate::town::{SECOND, Town, at};

const ALICE: Person = Person::new([1; 16]);
const BOB: Person = Person::new([2; 16]);
const CAROL: Person = Person::new([4; 16]);
const EVE: Person = Person::new([3; 16]);

/// What was told, in short.
fn in_short(event: &Event) -> Option<String> {
    match event {
        Event::Private { from, text, history, .. } => {
            Some(format!("{from}{}: {text}", if *history { ", earlier" } else { "" }))
        }
        Event::Sent { state: SentState::Stored, text, .. } => Some(format!("stored: {text}")),
        Event::Sent { state: SentState::Delivered, text, .. } => Some(format!("delivered: {text}")),
        Event::Sent { state: SentState::Failed { reason }, .. } => Some(format!("failed: {reason}")),
        Event::Error { message, .. } => Some(format!("error: {message}")),
        _ => None,
    }
}

/// A ring of nodes, of whom the last is Alice's.
struct Ring {
    town: Town,
    came: u16,
    alice: u16,
}

impl Ring {
    fn new() -> Ring {
        Ring::of(8)
    }

    fn of(nodes: u8) -> Ring {
        let mut ring = Ring { town: Town::new(1, Links::good()), came: 0, alice: 0 };
        for n in 0..nodes - 1 {
            ring.comes(&format!("n{n}"), Person::new([10 + n; 16]));
        }
        ring.alice = ring.comes("alice", ALICE);
        ring
    }

    /// A person comes, at an address that nobody had before.
    fn comes(&mut self, nick: &str, person: Person) -> u16 {
        self.came += 1;
        self.comes_at(self.came - 1, nick, person)
    }

    /// A person comes, at an address where nobody is.
    fn comes_at(&mut self, n: u16, nick: &str, person: Person) -> u16 {
        let node = self.town.node(n, nick).with_person(person);
        self.town.starts_by(node, (n != 0).then(|| at(0)));
        self.town.run(5 * SECOND);
        n
    }

    fn goes(&mut self, n: u16) {
        self.town.network.command(at(n), Command::Exit);
        self.town.run(5 * SECOND);
    }

    /// Alice says it.
    fn says(&mut self, line: &str) {
        self.town.types(self.alice, line);
    }

    /// What the person was told since this was asked last.
    fn take(&mut self, n: u16) -> Vec<String> {
        self.town.take(n, in_short)
    }
}

#[test]
fn who_was_away_gets_their_mail_once_and_the_author_hears_of_it() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    ring.says("msg bob one");
    ring.says("msg bob two");
    ring.town.run(5 * SECOND);
    assert_eq!(ring.take(ring.alice), ["stored: one", "stored: two"]);
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["alice, earlier: one", "alice, earlier: two"]);
    assert_eq!(ring.take(ring.alice), ["delivered: one", "delivered: two"]);
    ring.town.run(3 * RENEW_EVERY);
    ring.goes(bob);
    let bob = ring.comes("bob", BOB);
    ring.town.run(3 * RENEW_EVERY);
    assert!(ring.take(bob).is_empty(), "it was handed over");
}

#[test]
fn an_author_who_was_away_when_it_was_shown_hears_of_it_when_they_are_back() {
    let mut ring = Ring::new();
    ring.town.network.give_disks(Latency::Constant(Duration::from_millis(1)));
    let author = |ring: &mut Ring, n: u16| {
        let kept = Kept::read(ring.town.network.on_disk(at(ring.alice)));
        let node = ring.town.node(n, "carol").with_disk(ring.town.network.now(), kept, CAROL, "town");
        ring.town.starts_by(node, Some(at(0)));
        ring.town.run(5 * SECOND);
        ring.alice = n;
    };
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    author(&mut ring, 100);
    ring.says("msg bob one");
    ring.town.run(5 * SECOND);
    ring.goes(100);
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["carol, earlier: one"]);
    assert_eq!(ring.take(100), ["stored: one"]);
    // At another address, where no word for the former self comes.
    author(&mut ring, 101);
    assert_eq!(ring.take(101), ["delivered: one"]);
}

#[test]
fn an_author_whom_the_word_has_not_reached_hears_within_an_hour_that_it_was_shown() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    ring.says("msg bob one");
    ring.town.run(5 * SECOND);
    let alice = ring.alice;
    ring.town.network.partition(Cut::Silent, move |node| u32::from(node == at(alice)));
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["alice, earlier: one"]);
    ring.town.run(20 * SECOND);
    ring.town.network.heal();
    ring.town.run(5 * 60 * SECOND);
    assert_eq!(ring.take(alice), ["stored: one"]);
    ring.town.run(60 * 60 * SECOND);
    assert_eq!(ring.take(alice), ["delivered: one"]);
}

#[test]
fn who_hears_nothing_of_a_letter_for_14_days_is_told_that() {
    let mut ring = Ring::of(2);
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    ring.says("msg bob one");
    ring.town.run(5 * SECOND);
    // All stand still meanwhile, or it would be millions of heartbeats.
    for n in ring.town.people() {
        ring.town.network.freeze(at(n), MAIL_KEPT_FOR);
    }
    ring.town.run(MAIL_KEPT_FOR + 3 * RENEW_EVERY);
    assert_eq!(
        ring.take(ring.alice),
        ["stored: one", "failed: it waited for 14 days, and no word has come that bob was shown it"]
    );
}

#[test]
fn mail_is_for_the_person_and_not_for_who_takes_the_name() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    ring.says("msg bob between us");
    ring.town.run(5 * SECOND);
    let eve = ring.comes("bob", EVE);
    ring.town.run(3 * RENEW_EVERY);
    assert!(ring.take(eve).is_empty());
    ring.says("msg bob hello");
    ring.town.run(5 * SECOND);
    assert_eq!(ring.take(eve), ["alice: hello"], "who has the name now is who is meant now");
    ring.goes(eve);
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["alice, earlier: between us"]);
}

#[test]
fn what_is_written_to_someone_whose_node_crashed_waits_for_them() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.town.network.crash(at(bob));
    ring.says("msg bob are you there?");
    ring.town.run(12 * SECOND);
    assert_eq!(ring.take(ring.alice), ["stored: are you there?"]);
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["alice, earlier: are you there?"], "the name is theirs at once");
    ring.says("msg bob welcome");
    ring.town.run(5 * SECOND);
    assert_eq!(ring.take(bob), ["alice: welcome"]);
}

#[test]
fn who_begins_anew_at_somebodys_address_has_the_name_and_not_the_mail() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.town.network.crash(at(bob));
    ring.says("msg bob one");
    ring.town.run(12 * SECOND);
    assert_eq!(ring.take(ring.alice), ["stored: one"]);
    let eve = ring.comes_at(bob, "bob", EVE);
    ring.says("msg bob two");
    ring.town.run(3 * RENEW_EVERY);
    assert_eq!(ring.take(eve), ["alice: two"]);
    assert_eq!(ring.take(ring.alice), ["delivered: two"]);
    ring.goes(eve);
    ring.says("msg bob three");
    ring.town.run(5 * SECOND);
    let bob = ring.comes("bob", BOB);
    assert_eq!(ring.take(bob), ["alice, earlier: one"]);
    ring.goes(bob);
    let eve = ring.comes("bob", EVE);
    assert_eq!(ring.take(eve), ["alice, earlier: three"], "who had the name last was meant");
}

#[test]
fn what_is_written_while_all_others_stand_still_waits_for_them() {
    let mut ring = Ring::of(24);
    ring.town.run(RENEW_EVERY);
    let others: Vec<String> = (0..23).map(|n| format!("n{n}")).collect();
    let alices = ring.town.network.get(at(ring.alice)).unwrap().records();
    let is_known = |nick: &str| alices.claims(&nick.parse().unwrap()).is_some();
    // The nodes that keep the other names all stand still.
    let (known, unknown): (Vec<_>, Vec<_>) = others.iter().partition(|nick| is_known(nick));
    for n in 0..23 {
        ring.town.network.freeze(at(n), 60 * SECOND);
    }
    for nick in &others {
        ring.says(&format!("msg {nick} to {nick}"));
    }
    ring.town.run(30 * SECOND);
    let mut told = ring.take(ring.alice);
    told.sort();
    let mut expected: Vec<_> =
        unknown.iter().map(|nick| format!("failed: nobody has the name {nick}")).collect();
    expected.extend(known.iter().map(|nick| format!("stored: to {nick}")));
    expected.sort();
    assert_eq!(told, expected);
    assert!(!known.is_empty());
    ring.town.run(3 * RENEW_EVERY);
    for (n, nick) in (0..).zip(&others) {
        let shown: Vec<_> = ring.take(n).into_iter().filter(|text| text.ends_with(nick)).collect();
        assert_eq!(shown.len(), usize::from(known.contains(&nick)), "{nick}: {shown:?}");
    }
}

#[test]
fn a_mailbox_survives_the_crash_of_its_root_and_another_keeper() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    ring.says("msg bob one");
    ring.town.run(SECOND);
    assert_eq!(ring.take(ring.alice), ["stored: one"]);
    let keepers = ring.town.keepers("bob", 3);
    for &victim in keepers.iter().filter(|&&keeper| keeper != ring.alice && keeper != 0).take(2) {
        ring.town.network.crash(at(victim));
    }
    let bob = ring.comes("bob", BOB);
    ring.town.run(RENEW_EVERY);
    assert_eq!(ring.take(bob), ["alice, earlier: one"]);
}

#[test]
fn a_mailbox_has_an_end_and_the_sender_is_told() {
    let mut ring = Ring::new();
    let bob = ring.comes("bob", BOB);
    ring.goes(bob);
    for n in 0..=MAIL_MAX {
        ring.says(&format!("msg bob {n}"));
    }
    ring.town.run(60 * SECOND);
    let mut told = ring.take(ring.alice);
    assert_eq!(told.pop().unwrap(), "failed: bob is away, and 200 messages wait for them already");
    assert_eq!(told, (0..MAIL_MAX).map(|n| format!("stored: {n}")).collect::<Vec<_>>());
    let bob = ring.comes("bob", BOB);
    let all: Vec<_> = (0..MAIL_MAX).map(|n| format!("alice, earlier: {n}")).collect();
    assert_eq!(ring.take(bob), all);
}

#[test]
fn a_name_that_nobody_ever_had_gets_no_mail() {
    let mut ring = Ring::new();
    ring.says("msg nobody hello");
    ring.town.run(5 * SECOND);
    let told = ring.take(ring.alice);
    assert_eq!(told, ["failed: nobody has the name nobody"]);
}

#[test]
fn a_message_for_which_there_is_no_room_is_named() {
    let mut ring = Ring::new();
    for _ in 0..1000 {
        ring.says("msg n1 hello");
    }
    ring.says("msg n1 this is one message too many, and a long one");
    ring.town.run(Duration::ZERO);
    let refused = "error: \"this is one message too many,…\" was not sent: 1000 messages wait for n1 already; try later";
    assert_eq!(ring.take(ring.alice), [refused]);
}
