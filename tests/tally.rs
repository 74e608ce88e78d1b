//! The application of `examples/tally`: nodes come and go, and no count is lost.
//! On simulated networks, and on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../examples/tally/tally.rs"]
mod tally;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::application::{Command, Host, Order};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::net::{Clock, Config, Controls, Driver, News};
use chord_chat::sim::{Links, Network, Observer, START, seeds};
use rand::RngExt;
use tally::{ADD, COUNT, Tally};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const WORDS: [&str; 6] = ["chord", "ring", "root", "key", "node", "rust"];
/// These stay, and vote.
const VOTERS: usize = 4;
const MILLISECOND: Duration = Duration::from_millis(1);

/// What the users are told.
#[derive(Default)]
struct Said(Vec<String>);

impl Observer<Host<Tally>> for Said {
    fn told(&mut self, _: &Network<Host<Tally>>, _: NodeHandle, event: &String) {
        self.0.push(event.clone());
    }
}

fn node(number: usize) -> NodeHandle {
    NodeHandle::new(([10, 0, 0, 1], 7000 + number as u16).into())
}

fn start(network: &mut Network<Host<Tally>>, number: usize) {
    network.add(Tally::host(node(number), network.now()).unwrap());
    let order = if number == 0 { Order::Create } else { Order::Join(node(0)) };
    network.command(node(number), order);
}

/// Has people vote for `seconds` while nodes 4 to 11 come one after the other, and 4 to 7 go again.
fn run(seed: u64, links: Links, seconds: usize) -> (Network<Host<Tally>>, BTreeMap<&'static str, usize>) {
    let mut network = Network::new(seed, links);
    for number in 0..VOTERS {
        start(&mut network, number);
        network.run_for(Duration::from_secs(2));
    }
    let mut votes = BTreeMap::new();
    for moment in 0..seconds * 100 {
        let number = VOTERS + moment * 12 / (seconds * 100);
        if moment * 12 % (seconds * 100) < 12 {
            match number {
                4..12 => start(&mut network, number),
                _ => network.command(node(number - 8), Order::Leave),
            }
        }
        let voter = network.rng().random_range(0..VOTERS);
        let word = WORDS[network.rng().random_range(0..WORDS.len())];
        network.command(node(voter), Order::Command((ADD, word.to_owned())));
        *votes.entry(word).or_default() += 1;
        network.run_for(10 * MILLISECOND);
    }
    network.run_for(Duration::from_secs(20));
    (network, votes)
}

fn check(seed: u64, links: Links) {
    let said = Rc::new(RefCell::new(Said::default()));
    let (mut network, votes) = run(seed, links, 8);
    assert_eq!(network.machines().count(), 8, "SEED={seed}: who was to leave has left");
    network.observe(Rc::clone(&said));
    for (word, votes) in votes {
        let root = network.machines().find(|host| host.chord().is_root(Id::hash(word)) == Some(true));
        assert_eq!(root.unwrap().application().count(word), votes, "SEED={seed}: all votes for {word}");
        network.command(node(1), Order::Command((COUNT, word.to_owned())));
        network.run_for(Duration::from_secs(6));
        assert_eq!(said.borrow_mut().0.pop(), Some(votes.to_string()), "SEED={seed}");
    }
}

#[test]
fn no_count_is_lost_while_nodes_come_and_go() {
    seeds(20).for_each(|seed| check(seed, Links::good()));
}

#[test]
fn no_count_is_lost_around_the_world() {
    seeds(20).for_each(|seed| check(seed, Links::wide_area()));
}

#[test]
fn no_count_is_lost_or_counted_twice_though_messages_are() {
    seeds(20).for_each(|seed| check(seed, Links { loss: 0.01, duplicates: 0.05, ..Links::good() }));
}

#[test]
fn a_word_that_is_too_long_is_refused() {
    let said = Rc::new(RefCell::new(Said::default()));
    let mut network = Network::new(0, Links::good());
    network.observe(Rc::clone(&said));
    start(&mut network, 0);
    network.command_at(START + MILLISECOND, node(0), Order::Command((ADD, "x".repeat(101))));
    network.run_for(Duration::from_secs(1));
    assert_eq!(said.borrow().0, ["failed: refused: a word has at most 100 bytes"]);
}

/// A node on a real socket.
struct Real {
    me: NodeHandle,
    controls: Controls<Host<Tally>>,
    running: JoinHandle<Host<Tally>>,
}

impl Real {
    async fn start(ring: Option<NodeHandle>) -> Real {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let me = NodeHandle::new(listener.local_addr().unwrap());
        let clock = Clock::start();
        let host = Tally::host(me, clock.now()).unwrap();
        let (driver, controls) = Driver::new(host, listener, Config::new("tally"), clock);
        let running = tokio::spawn(driver.run());
        let node = Real { me, controls, running };
        node.order(ring.map_or(Order::Create, Order::Join)).await;
        node
    }

    async fn order(&self, order: Order<(Command<String, usize>, String)>) {
        assert!(self.controls.commands.send(order).await.is_ok(), "the node runs");
    }

    async fn add(&mut self, word: &str) -> String {
        self.order(Order::Command((ADD, word.to_owned()))).await;
        self.event().await
    }

    async fn count(&mut self, word: &str) -> String {
        self.order(Order::Command((COUNT, word.to_owned()))).await;
        self.event().await
    }

    async fn event(&mut self) -> String {
        let news = timeout(Duration::from_secs(20), self.controls.news.recv()).await;
        match news.expect("an answer comes in time") {
            Some(News::Event(event)) => event,
            other => panic!("an event was expected, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_node_that_leaves_hands_its_counts_over_on_real_sockets() {
    let mut stays = Real::start(None).await;
    let mut goes = Real::start(Some(stays.me)).await;
    for word in WORDS {
        stays.add(word).await.parse::<usize>().unwrap();
        goes.add(word).await.parse::<usize>().unwrap();
    }
    goes.order(Order::Leave).await;
    timeout(Duration::from_secs(20), goes.running).await.expect("it stops in time").unwrap();
    for word in WORDS {
        assert_eq!(stays.count(word).await, "2", "both votes for {word}");
    }
}
