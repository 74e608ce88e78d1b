//! Every order in which two of the five nodes that keep a channel can crash while something is said there.
//!
//! A is the root of the channel, and B to E, which follow on it in the ring, keep copies.
//! Two of them crash at any moment, the root or not, together or one after the other.
//! Of what a dead node has sent, each peer gets the beginning, none, or all, however late.
//! The person who speaks is a member, and so is one at a keeper that stays; at another one, somebody joins in the
//! end, to see what is remembered.
//! No other record lives anywhere else: all nicks fall to A, too.
//!
//! In a ring of these five, the person who speaks is at a keeper that stays, or at one of the two that crash.
//! Whatever is said of the channel and its messages, all answers, and the news that a node has crashed come to each
//! node at any time: all orders are explored.
//! Only what the ring says of itself, to mend itself, and what is asked about other records arrive at once.
//! In the suite this is done for A and E, with the person at A, and at a keeper that stays; for every two keepers,
//! which takes hours and most of 24 GB, by
//! `ORDERS=all cargo test --release --lib sim::chat::crashes -- --nocapture`; `ORDERS=AB,CD` names those two pairs.
//!
//! In another ring, the person who speaks is at a sixth node, F, which keeps nothing.
//! There are too many orders to try them all, so these are left out there:
//!
//! - Who is asked about records answers at once.
//! - That a node has crashed, A, B and F hear at any time, the others as soon as what it sent them has arrived
//!   or is lost.
//! - Of what roots say about the message to copies, author and members, only the words of one root come at any
//!   time where A crashes: A's in one exploration, B's, when it has taken over, in another.
//!   What is asked of copies when a node takes over is explored in both.
//! - After the second crash, all comes at once but what the dead have sent.
//!
//! Or two of A to E fall silent, and nobody hears of it.
//! Then the words of all are explored, and what follows, when time passes, is played in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::chat::event::{Event, MessageId, SentState};
use crate::chat::payload::Payload;
use crate::chord::message::{Answer, Body};
use crate::chord::{Message, SUCCESSORS};
use crate::id::NodeHandle;
use crate::node::{Command, Node};
use crate::records::channel::{Entry, Log};
use crate::records::name::{ChannelName, Nick};
use crate::records::repair::REPAIR_EVERY;
use crate::records::{self, COPIES, Mutant, RecordKey};
use crate::sim::{Act, Order, Report, START, Scenario, Violation, World, ring};

/// Whether this is said of the channel, or answers: an answer does not say what it is about.
fn is_about_the_channel(payload: &Payload) -> bool {
    match payload {
        Payload::Records(records::Message::Fetch { range, .. }) => range.contains(key().id()),
        Payload::Records(records::Message::Merge { statements, .. }) => {
            statements.iter().any(|(other, _)| *other == key())
        }
        _ => true,
    }
}

/// The nodes, in the order of the ring, beginning with the root of the channel: A to E, or A to F.
type Ring = Vec<NodeHandle>;

const A: usize = 0;
const B: usize = 1;
const E: usize = COPIES - 1;
const F: usize = COPIES;

/// All orders are 6 to 69 million for most pairs, 163 for A and B, and more than 235 for A and C.
const STATES_MAX: usize = 450_000_000;

/// How keepers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Their connections break.
    Crash,
    /// Nobody hears of it.
    Silence,
}

impl End {
    /// How long it takes at most until the ring has noticed, and has told its copies.
    fn noticed_after(self) -> Duration {
        match self {
            End::Crash => Duration::from_secs(2),
            End::Silence => Duration::from_secs(10),
        }
    }
}

/// Which orders are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orders {
    /// In a ring of five, all those of what is said of the channel, of answers and of news.
    All,
    /// With a sixth node, those of what roots say.
    WithF,
    /// With a sixth node, those of what this root says.
    WithFOf(usize),
}

impl Orders {
    fn nodes(self) -> usize {
        COPIES + usize::from(self != Orders::All)
    }

    /// Whether this, from that node, arrives at any time, and not at once.
    fn are_of(self, ring: &Ring, from: NodeHandle, message: &Message<Payload>) -> bool {
        let is_heard = match self {
            Orders::All => return message.payload().is_some_and(is_about_the_channel),
            Orders::WithF => true,
            Orders::WithFOf(node) => from == ring[node],
        };
        match message {
            Message::Route(route) => matches!(route.body, Body::Request(Payload::Send(_))),
            Message::Request { payload: Payload::Records(message), .. } => match message {
                records::Message::Fetch { range, .. } => range.contains(key().id()),
                records::Message::Merge { statements, .. } => {
                    is_heard && statements.iter().any(|(other, _)| *other == key())
                }
                _ => false,
            },
            Message::Reply { answer: Answer::Payload(Payload::Stored(_)), .. } => is_heard,
            Message::Tell(Payload::Delivery(_)) => is_heard,
            _ => false,
        }
    }
}

fn channel() -> ChannelName {
    "rust".parse().expect("a good name")
}

fn key() -> RecordKey {
    RecordKey::Channel(channel())
}

/// A ring in which half of the circle and more is A's.
fn ring(nodes: usize) -> Ring {
    let key = key().id();
    let on_host = |host| {
        let node = |i| NodeHandle::new(SocketAddr::from(([127, 0, 0, host], 7000 + i as u16)));
        let mut ring = Ring::from_iter((0..nodes).map(node));
        ring.sort_by_key(|node| key.distance_to(node.id()));
        let [first, ..] = *ring[nodes - 1].id().distance_to(ring[A].id()).as_bytes();
        (0x80 <= first).then_some(ring)
    };
    (1..).find_map(on_host).expect("some host has such nodes")
}

/// Who speaks, and who looks on.
#[derive(Clone, Copy)]
struct People {
    author: NodeHandle,
    /// A member at a keeper that stays.
    member: NodeHandle,
    /// Somebody at another one, who joins in the end.
    newcomer: NodeHandle,
}

impl People {
    fn of(ring: &Ring, author: usize, pair: [usize; 2]) -> People {
        let others = (0..ring.len()).rev().filter(|node| *node != author && !pair.contains(node));
        let mut others = others.map(|node| ring[node]);
        let [member, newcomer] = [(); 2].map(|()| others.next().expect("three keepers stay"));
        People { author: ring[author], member, newcomer }
    }
}

/// The last keeper that stays.
fn last_that_stays(pair: [usize; 2]) -> usize {
    (0..COPIES).rfind(|keeper| !pair.contains(keeper)).expect("three keepers stay")
}

fn say(world: &mut World<Node>, node: NodeHandle, text: &str) {
    world.command(node, Command::Line(format!("send rust {text}")));
}

fn join(world: &mut World<Node>, node: NodeHandle) {
    world.command(node, Command::Line("join rust".to_owned()));
}

fn let_pass(world: &mut World<Node>, time: Duration) {
    let end = world.now() + time;
    while world.now() < end {
        world.settle(1);
    }
}

/// All nodes know one another, the members have joined, something was said, and its author has just said more.
fn start(ring: &Ring, people: People, mutant: Option<Mutant>) -> World<Node> {
    let nicks = (0..).map(|i| format!("n{i}").parse::<Nick>().expect("a good nick"));
    let is_root =
        |nick: &Nick| RecordKey::Name(nick.clone()).id().in_arc(ring[ring.len() - 1].id(), ring[A].id());
    let mut world = World::new(0);
    for (node, nick) in ring.iter().zip(nicks.filter(is_root)) {
        world.add(Node::new(nick, *node, START).with_mutant(mutant));
        let bootstrap = (*node != ring[A]).then_some(ring[A]);
        world.command(*node, Command::Start { bootstrap });
        world.settle(20);
    }
    let People { author, member, .. } = people;
    for member in [author, member] {
        join(&mut world, member);
        world.run_dry();
    }
    let_pass(&mut world, Duration::from_secs(10));
    // What else the copies had not been told goes with it.
    say(&mut world, author, "before");
    world.run_dry();
    check_ring(&world).expect("the ring has come to rest");
    let keep = |node: &&Node| node.records().channel(&channel()).is_some();
    let keepers: BTreeSet<NodeHandle> = world.machines().filter(keep).map(|node| node.chord().me()).collect();
    assert_eq!(keepers, BTreeSet::from_iter(ring[..COPIES].iter().copied()), "five nodes keep the channel");
    say(&mut world, author, "hello");
    world.told.clear();
    world
}

/// A message, with its epoch and number.
type Placed = (MessageId, (u64, u64));

/// What people have been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Heard {
    /// The messages, in order.
    shown: BTreeMap<NodeHandle, Vec<Placed>>,
    /// What has become of each message in the end.
    sent: Vec<(MessageId, SentState)>,
}

impl Heard {
    fn remember(&mut self, node: NodeHandle, event: &Event) {
        match event {
            Event::Message { id, epoch, seq, .. } => {
                self.shown.entry(node).or_default().push((*id, (*epoch, *seq)));
            }
            Event::Sent { state: SentState::Queued, .. } => {}
            Event::Sent { id, state, .. } => self.sent.push((*id, state.clone())),
            _ => {}
        }
    }
}

/// What is played: two keepers end while a message is under way.
#[derive(Clone, Copy, Debug)]
struct Play {
    end: End,
    pair: [usize; 2],
    author: usize,
    orders: Orders,
    mutant: Option<Mutant>,
}

impl Play {
    fn explore(self) -> Result<Report, Violation> {
        let ring = ring(self.orders.nodes());
        let people = People::of(&ring, self.author, self.pair);
        let end = |node: usize| match self.end {
            End::Crash => {
                let others = ring.iter().copied().filter(|other| *other != ring[node]);
                Act::Crash(ring[node], others.collect())
            }
            End::Silence => Act::CutOff(ring[node]),
        };
        let start = start(&ring, people, self.mutant);
        let scenario = Scenario::remembering(start, Heard::default(), Heard::remember)
            .script([end(self.pair[0])])
            .script([end(self.pair[1])])
            .order(Order::Fifo)
            .states_max(STATES_MAX)
            .at_once(|from, _, message| !self.orders.are_of(&ring, from, message));
        let scenario = if self.end == End::Crash && self.orders != Orders::All {
            let hear_late = [A, B, F].map(|node| ring[node]);
            scenario.news_at_once(move |node| !hear_late.contains(&node)).ends_at_once()
        } else {
            scenario
        };
        let explored = scenario.explore(|world, heard| {
            let_pass(world, self.end.noticed_after());
            check(world, heard.clone(), people)
        });
        println!("{self:?}: {explored:?}");
        explored
    }
}

/// Some time has passed: one more message is sent, somebody joins, and what people were promised is checked.
fn check(world: &mut World<Node>, mut heard: Heard, people: People) -> Result<(), String> {
    say(world, people.member, "again");
    let_pass(world, Duration::from_secs(1));
    join(world, people.newcomer);
    let_pass(world, Duration::from_secs(1));
    check_ring(world)?;
    check_heard(world, &mut heard, people)?;
    if check_copies(world).is_err() {
        // What a dead root has said of a message's place has come to a copy after another root had given it one.
        let_pass(world, REPAIR_EVERY);
        check_copies(world)?;
        check_heard(world, &mut heard, people)?;
    }
    Ok(())
}

/// What was stored is kept, and was shown once and in its order, also to who has just joined.
fn check_heard(world: &mut World<Node>, heard: &mut Heard, people: People) -> Result<(), String> {
    world.told.drain(..).for_each(|(node, event)| heard.remember(node, &event));
    let People { author, member, newcomer } = people;
    let author_stays = world.get(author).is_some();
    let said = if author_stays { 2..=2 } else { 1..=2 };
    let is_stored = heard.sent.iter().all(|(_, state)| *state == SentState::Stored);
    if !is_stored || !said.contains(&heard.sent.len()) {
        return Err(format!("the authors were told {:?}", heard.sent));
    }
    let stored: Vec<MessageId> = heard.sent.iter().map(|(id, _)| *id).collect();
    let log = &root(world)?.records().channel(&channel()).ok_or("its root does not keep the channel")?.log;
    let kept: Vec<MessageId> = log.after(None).map(|entry| entry.id).collect();
    let [_, new @ ..] = &kept[..] else { return Err("the root keeps nothing".to_owned()) };
    let shown = |person: NodeHandle| -> Vec<MessageId> {
        heard.shown.get(&person).into_iter().flatten().map(|(id, _)| *id).collect()
    };
    // An author who has crashed does not say it again: if nobody knows yet that it is stored, it may have come to
    // one copy, late, and from there to the others, after what was said later.
    let may_be_late = stored.len() == 1 && shown(author).is_empty();
    if !new.ends_with(&stored) || (!may_be_late && new.len() != 2) {
        return Err(format!("{stored:?} were stored, and the root has {new:?}"));
    }
    for (person, expected) in [(author, new), (member, new), (newcomer, &kept[..])] {
        let mut shown = shown(person);
        if may_be_late {
            shown.sort_by_key(|id| expected.iter().position(|other| other == id));
        }
        let is_right =
            if world.get(person).is_some() { shown == expected } else { expected.starts_with(&shown) };
        if !is_right {
            return Err(format!("{person:?} was shown {shown:?}, and not {expected:?}"));
        }
    }
    check_order(heard)?;
    check_places(heard, log)
}

/// Within an epoch, everybody was shown messages in the order of their numbers.
fn check_order(heard: &Heard) -> Result<(), String> {
    for (person, shown) in &heard.shown {
        let mut last = BTreeMap::new();
        for (id, (epoch, seq)) in shown {
            if last.insert(*epoch, *seq).is_some_and(|before| *seq <= before) {
                return Err(format!("{person:?} was shown {id} out of its order: {shown:?}"));
            }
        }
    }
    Ok(())
}

fn root(world: &World<Node>) -> Result<&Node, String> {
    let is_root = |node: &&Node| node.chord().is_root(key().id()) == Some(true);
    world.machines().find(is_root).ok_or("nobody is the root".to_owned())
}

/// The nodes that run form an ideal ring.
fn check_ring(world: &World<Node>) -> Result<(), String> {
    let ring: Vec<_> = world.machines().map(|node| ring::Member::from(node.chord())).collect();
    ring::check(&ring).map_err(|violation| violation.to_string())?;
    if ring::is_ideal(&ring, SUCCESSORS) { Ok(()) } else { Err("the ring is not ideal".to_owned()) }
}

/// All nodes that are left keep the channel, and know the same of it as its root.
fn check_copies(world: &World<Node>) -> Result<(), String> {
    let root = root(world)?;
    let known = |node: &Node| node.records().digest(world.now(), &key(), None);
    match world.machines().find(|node| known(node) != known(root)) {
        Some(node) => {
            Err(format!("{:?} does not know the same of the channel as its root", node.chord().me()))
        }
        None => Ok(()),
    }
}

/// In one epoch, a message has one place, and a place one message.
fn check_places(heard: &Heard, log: &Log) -> Result<(), String> {
    let logged = log.after(None).map(|Entry { id, place, .. }| (*id, (place.epoch, place.seq)));
    let places: BTreeSet<_> = heard.shown.values().flatten().copied().chain(logged).collect();
    let one_each = places.iter().map(|(id, (epoch, _))| (*id, *epoch)).collect::<BTreeSet<_>>();
    let taken = places.iter().map(|(_, place)| *place).collect::<BTreeSet<_>>();
    if one_each.len() == places.len() && taken.len() == places.len() {
        return Ok(());
    }
    Err(format!("the places are {places:?}"))
}

/// Plays with these two, and returns how many states there were.
fn states(end: End, pair: [usize; 2], author: usize, orders: Orders) -> usize {
    Play { end, pair, author, orders, mutant: None }.explore().unwrap().states
}

/// Every two keepers.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..COPIES).flat_map(|one| (one + 1..COPIES).map(move |other| (one, other)))
}

/// Whether there is time for more than the suite has.
fn takes_long() -> bool {
    std::env::var("ORDERS").is_ok_and(|orders| orders == "all")
}

/// Whether all orders in which these two crash are to be explored.
fn is_explored(pair: [usize; 2]) -> bool {
    let name = pair.map(|keeper| ["A", "B", "C", "D", "E"][keeper]).concat();
    let orders = std::env::var("ORDERS").unwrap_or_else(|_| "AE".to_owned());
    takes_long() || orders.split(',').any(|other| other == name)
}

#[test]
fn in_every_order_a_message_survives_the_crash_of_two_keepers() {
    let explored: Vec<_> = pairs().map(<[usize; 2]>::from).filter(|&pair| is_explored(pair)).collect();
    assert!(!explored.is_empty(), "ORDERS names no pair of A to E");
    for pair in explored {
        assert!(5_000_000 < states(End::Crash, pair, last_that_stays(pair), Orders::All));
    }
}

#[test]
fn in_every_order_what_an_author_was_told_survives_when_that_author_is_one_of_the_two() {
    for (one, other) in pairs() {
        for author in [one, other].into_iter().filter(|&author| (author, other) == (A, E) || takes_long()) {
            assert!(1_000_000 < states(End::Crash, [one, other], author, Orders::All));
        }
    }
}

#[test]
fn a_message_of_another_node_survives_the_crash_of_its_root_and_a_keeper_at_any_moment() {
    for other in B..COPIES {
        for words in [A, B] {
            assert!(10_000 < states(End::Crash, [A, other], F, Orders::WithFOf(words)));
        }
    }
}

#[test]
fn a_message_of_another_node_survives_the_crash_of_two_copies_at_any_moment() {
    let copies = pairs().filter(|(one, _)| *one != A);
    let states: usize = copies.map(|(one, other)| states(End::Crash, [one, other], F, Orders::WithF)).sum();
    assert!(100_000 < states, "{states}");
}

#[test]
fn a_message_survives_when_two_keepers_fall_silent_at_any_moment() {
    for (one, other) in pairs() {
        assert!(200 < states(End::Silence, [one, other], F, Orders::WithF));
    }
}

/// The first one falls silent at any moment, and the second one when 200 ms have passed, 400 ms and so on, until
/// all have noticed the first.
#[test]
fn a_message_survives_when_its_root_falls_silent_and_another_keeper_later() {
    let ring = ring(Orders::WithF.nodes());
    for other in B..COPIES {
        let people = People::of(&ring, F, [A, other]);
        let start = start(&ring, people, None);
        let scenario = Scenario::remembering(start, Heard::default(), Heard::remember)
            .script([Act::CutOff(ring[A])])
            .order(Order::Fifo)
            .at_once(|from, _, message| !Orders::WithF.are_of(&ring, from, message));
        for later in 1..=15 {
            let report = scenario.explore(|world, heard| {
                let_pass(world, Duration::from_millis(200 * later));
                world.cut_off(ring[other]);
                let_pass(world, End::Silence.noticed_after());
                check(world, heard.clone(), people)
            });
            assert!(100 < report.unwrap().states);
        }
    }
}

#[test]
fn each_shortcut_loses_something_when_two_keepers_crash() {
    let mutants = [
        (Mutant::AcknowledgesSooner, "were stored, and the root has"),
        (Mutant::BelievesTheFirst, "were stored, and the root has"),
        (Mutant::KeepsToItself, "does not know the same of the channel as its root"),
    ];
    for (mutant, what) in mutants {
        let plays = [(F, Orders::WithFOf(A)), (A, Orders::All), (last_that_stays([A, E]), Orders::All)];
        for (author, orders) in plays.into_iter().filter(|(_, orders)| *orders != Orders::All || takes_long())
        {
            let play = Play { end: End::Crash, pair: [A, E], author, orders, mutant: Some(mutant) };
            let violation = play.explore().unwrap_err();
            assert!(violation.what.contains(what), "{mutant:?}: {violation}");
        }
    }
}
