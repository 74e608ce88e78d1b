//! Mail: what is written to someone who is away waits for them, and for nobody else.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::{Event, SentState};
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::records::RecordKey;
use chord_chat::records::lease::RENEW_EVERY;
use chord_chat::records::mailbox::MAIL_MAX;
use chord_chat::records::name::Person;
use chord_chat::sim::{Links, Network, Observer};

const ALICE: Person = Person::new([1; 16]);
const BOB: Person = Person::new([2; 16]);
const EVE: Person = Person::new([3; 16]);

/// What each person was shown, in short.
#[derive(Default)]
struct Shown(Vec<(NodeHandle, String)>);

impl Observer<Node> for Shown {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        let text = match event {
            Event::Private { from, text, history, .. } => {
                format!("{from}{}: {text}", if *history { ", earlier" } else { "" })
            }
            Event::Sent { state: SentState::Stored, text, .. } => format!("stored: {text}"),
            Event::Sent { state: SentState::Delivered, text, .. } => format!("delivered: {text}"),
            Event::Sent { state: SentState::Failed { reason }, .. } => format!("failed: {reason}"),
            Event::Error { message, .. } => format!("error: {message}"),
            _ => return,
        };
        self.0.push((node, text));
    }
}

/// A ring of nodes, of whom the last is Alice's.
struct Town {
    network: Network<Node>,
    shown: Rc<RefCell<Shown>>,
    nodes: u16,
    alice: NodeHandle,
}

impl Town {
    fn new() -> Town {
        Town::of(8)
    }

    fn of(nodes: u8) -> Town {
        let shown = Rc::new(RefCell::new(Shown::default()));
        let mut network = Network::new(1, Links::good());
        network.observe(shown.clone());
        let mut town = Town { network, shown, nodes: 0, alice: at(0) };
        for n in 0..nodes - 1 {
            town.comes(&format!("n{n}"), Person::new([10 + n; 16]));
        }
        town.alice = town.comes("alice", ALICE);
        town
    }

    /// A person comes, at an address that nobody had before.
    fn comes(&mut self, nick: &str, person: Person) -> NodeHandle {
        self.nodes += 1;
        self.comes_at(at(self.nodes - 1), nick, person)
    }

    /// A person comes, at an address where nobody is.
    fn comes_at(&mut self, me: NodeHandle, nick: &str, person: Person) -> NodeHandle {
        let bootstrap = (me != at(0)).then(|| at(0));
        self.network.add(Node::new(nick.parse().unwrap(), me, self.network.now()).with_person(person));
        self.network.command(me, Command::Start { bootstrap });
        self.network.run_for(Duration::from_secs(5));
        me
    }

    fn goes(&mut self, node: NodeHandle) {
        self.network.command(node, Command::Exit);
        self.network.run_for(Duration::from_secs(5));
    }

    fn says(&mut self, line: &str) {
        self.network.command(self.alice, Command::Line(line.to_owned()));
    }

    /// Who keeps the mailbox of `bob`, the root first.
    fn keepers(&self) -> Vec<NodeHandle> {
        let key = RecordKey::Mailbox("bob".parse().unwrap()).id();
        let mut nodes: Vec<_> = self.network.machines().map(|node| node.chord().me()).collect();
        nodes.sort();
        let root = nodes.partition_point(|node| node.id() < key) % nodes.len();
        nodes.rotate_left(root);
        nodes
    }

    /// What the person was shown since this was asked last.
    fn take(&mut self, node: NodeHandle) -> Vec<String> {
        let mut shown = self.shown.borrow_mut();
        let (taken, kept) = std::mem::take(&mut shown.0).into_iter().partition(|(at, _)| *at == node);
        shown.0 = kept;
        taken.into_iter().map(|(_, text)| text).collect()
    }
}

fn at(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

#[test]
fn who_was_away_gets_their_mail_once_and_the_author_hears_of_it() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.goes(bob);
    town.says("msg bob one");
    town.says("msg bob two");
    town.network.run_for(Duration::from_secs(5));
    assert_eq!(town.take(town.alice), ["stored: one", "stored: two"]);
    let bob = town.comes("bob", BOB);
    assert_eq!(town.take(bob), ["alice, earlier: one", "alice, earlier: two"]);
    assert_eq!(town.take(town.alice), ["delivered: one", "delivered: two"]);
    town.network.run_for(3 * RENEW_EVERY);
    town.goes(bob);
    let bob = town.comes("bob", BOB);
    town.network.run_for(3 * RENEW_EVERY);
    assert!(town.take(bob).is_empty(), "it was handed over");
}

#[test]
fn mail_is_for_the_person_and_not_for_who_takes_the_name() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.goes(bob);
    town.says("msg bob between us");
    town.network.run_for(Duration::from_secs(5));
    let eve = town.comes("bob", EVE);
    town.network.run_for(3 * RENEW_EVERY);
    assert!(town.take(eve).is_empty());
    town.says("msg bob hello");
    town.network.run_for(Duration::from_secs(5));
    assert_eq!(town.take(eve), ["alice: hello"], "who has the name now is who is meant now");
    town.goes(eve);
    let bob = town.comes("bob", BOB);
    assert_eq!(town.take(bob), ["alice, earlier: between us"]);
}

#[test]
fn what_is_written_to_someone_whose_node_crashed_waits_for_them() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.network.crash(bob);
    town.says("msg bob are you there?");
    town.network.run_for(Duration::from_secs(12));
    assert_eq!(town.take(town.alice), ["stored: are you there?"]);
    let bob = town.comes("bob", BOB);
    assert_eq!(town.take(bob), ["alice, earlier: are you there?"], "the name is theirs at once");
    town.says("msg bob welcome");
    town.network.run_for(Duration::from_secs(5));
    assert_eq!(town.take(bob), ["alice: welcome"]);
}

#[test]
fn who_begins_anew_at_somebodys_address_has_the_name_and_not_the_mail() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.network.crash(bob);
    town.says("msg bob one");
    town.network.run_for(Duration::from_secs(12));
    assert_eq!(town.take(town.alice), ["stored: one"]);
    let eve = town.comes_at(bob, "bob", EVE);
    town.says("msg bob two");
    town.network.run_for(3 * RENEW_EVERY);
    assert_eq!(town.take(eve), ["alice: two"]);
    assert_eq!(town.take(town.alice), ["delivered: two"]);
    town.goes(eve);
    town.says("msg bob three");
    town.network.run_for(Duration::from_secs(5));
    let bob = town.comes("bob", BOB);
    assert_eq!(town.take(bob), ["alice, earlier: one"]);
    town.goes(bob);
    let eve = town.comes("bob", EVE);
    assert_eq!(town.take(eve), ["alice, earlier: three"], "who had the name last was meant");
}

#[test]
fn what_is_written_while_all_others_stand_still_waits_for_them() {
    let mut town = Town::of(24);
    town.network.run_for(RENEW_EVERY);
    let others: Vec<String> = (0..23).map(|n| format!("n{n}")).collect();
    let alices = town.network.get(town.alice).unwrap().records();
    let is_known = |nick: &str| alices.claims(&nick.parse().unwrap()).is_some();
    // The nodes that keep the other names all stand still.
    let (known, unknown): (Vec<_>, Vec<_>) = others.iter().partition(|nick| is_known(nick));
    for n in 0..23 {
        town.network.freeze(at(n), Duration::from_secs(60));
    }
    for nick in &others {
        town.says(&format!("msg {nick} to {nick}"));
    }
    town.network.run_for(Duration::from_secs(30));
    let mut told = town.take(town.alice);
    told.sort();
    let mut expected: Vec<_> =
        unknown.iter().map(|nick| format!("failed: nobody has the name {nick}")).collect();
    expected.extend(known.iter().map(|nick| format!("stored: to {nick}")));
    expected.sort();
    assert_eq!(told, expected);
    assert!(!known.is_empty());
    town.network.run_for(3 * RENEW_EVERY);
    for (n, nick) in (0..).zip(&others) {
        let shown: Vec<_> = town.take(at(n)).into_iter().filter(|text| text.ends_with(nick)).collect();
        assert_eq!(shown.len(), usize::from(known.contains(&nick)), "{nick}: {shown:?}");
    }
}

#[test]
fn a_mailbox_survives_the_crash_of_its_root_and_another_keeper() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.goes(bob);
    town.says("msg bob one");
    town.network.run_for(Duration::from_secs(1));
    assert_eq!(town.take(town.alice), ["stored: one"]);
    let keepers = town.keepers();
    let victims = keepers[..3].iter().filter(|&&node| node != town.alice && node != at(0)).take(2);
    for &victim in victims {
        town.network.crash(victim);
    }
    let bob = town.comes("bob", BOB);
    town.network.run_for(RENEW_EVERY);
    assert_eq!(town.take(bob), ["alice, earlier: one"]);
}

#[test]
fn a_mailbox_has_an_end_and_the_sender_is_told() {
    let mut town = Town::new();
    let bob = town.comes("bob", BOB);
    town.goes(bob);
    for n in 0..=MAIL_MAX {
        town.says(&format!("msg bob {n}"));
    }
    town.network.run_for(Duration::from_secs(60));
    let mut told = town.take(town.alice);
    assert_eq!(told.pop().unwrap(), "failed: bob is away, and 200 messages wait for them already");
    assert_eq!(told, (0..MAIL_MAX).map(|n| format!("stored: {n}")).collect::<Vec<_>>());
    let bob = town.comes("bob", BOB);
    let all: Vec<_> = (0..MAIL_MAX).map(|n| format!("alice, earlier: {n}")).collect();
    assert_eq!(town.take(bob), all);
}

#[test]
fn a_name_that_nobody_ever_had_gets_no_mail() {
    let mut town = Town::new();
    town.says("msg nobody hello");
    town.network.run_for(Duration::from_secs(5));
    let told = town.take(town.alice);
    assert_eq!(told, ["failed: nobody has the name nobody"]);
}

#[test]
fn a_message_for_which_there_is_no_room_is_named() {
    let mut town = Town::new();
    for _ in 0..1000 {
        town.says("msg n1 hello");
    }
    town.says("msg n1 this is one message too many, and a long one");
    town.network.run_for(Duration::ZERO);
    let refused = "error: \"this is one message too many,…\" was not sent: 1000 messages wait for n1 already; try later";
    assert_eq!(town.take(town.alice), [refused]);
}
