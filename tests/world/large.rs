//! A large network of the whole core: it is built, looks names up, and comes to rest.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chord_chat::chat::event::Event;
use chord_chat::chord::SUCCESSORS;
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::sim::chat::{is_heartbeat, kind};
use chord_chat::sim::{Links, Network, Observer, ring};
use rand::RngExt;

use crate::{address, nick, setting};

/// How many lookups are made, by people at random nodes.
const LOOKUPS: u32 = 10_000;

/// What the users are told.
#[derive(Default)]
struct Told {
    ready: BTreeSet<NodeHandle>,
    found: u32,
}

impl Observer<Node> for Told {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        match event {
            Event::Ready { .. } => {
                self.ready.insert(node);
            }
            Event::Whois { nick: wanted, node, .. } => {
                let number: u32 = wanted.as_str()[1..].parse().expect("nicks here are numbered");
                assert_eq!(*node, address(number), "{wanted} is at its node");
                self.found += 1;
            }
            Event::Error { command, message } => panic!("{node:?}: {command}: {message}"),
            _ => {}
        }
    }
}

struct Town {
    network: Network<Node>,
    told: Rc<RefCell<Told>>,
    nodes: u32,
}

impl Town {
    fn grow(&mut self, nodes: u32) {
        let (mut number, told) = (0, Rc::clone(&self.told));
        while number < nodes {
            // As many come as are there, one after the other within two seconds.
            let wave = number.clamp(1, nodes - number);
            for i in 0..wave {
                let me = address(number + i);
                let bootstrap = (0 < number).then(|| address(self.network.rng().random_range(0..number)));
                self.network.add(Node::new(nick(number + i), me, self.network.now()));
                self.network.command(me, Command::Start { bootstrap });
                self.network.run_for(Duration::from_secs(2) / wave);
            }
            number += wave;
            let deadline = self.network.now() + Duration::from_secs(20);
            let all_ready = self.network.poll_until(deadline, Duration::from_millis(100), |_| {
                told.borrow().ready.len() == number as usize
            });
            assert!(all_ready, "all {number} nodes are ready");
        }
        self.nodes = nodes;
    }

    fn look_up(&mut self) {
        for _ in 0..LOOKUPS {
            let rng = self.network.rng();
            let (who, whom) = (rng.random_range(0..self.nodes), rng.random_range(0..self.nodes));
            self.network.command(address(who), Command::Line(format!("whois {}", nick(whom))));
        }
        let (deadline, told) = (self.network.now() + Duration::from_secs(10), Rc::clone(&self.told));
        let all_found =
            self.network.poll_until(deadline, Duration::from_millis(100), |_| told.borrow().found == LOOKUPS);
        assert!(all_found, "{} of {LOOKUPS} lookups came back", self.told.borrow().found);
    }

    /// Waits until the ring is ideal and nothing moves but the heartbeat and renewals.
    fn rest(&mut self) {
        let deadline = self.network.now() + Duration::from_secs(60);
        let is_ideal = self.network.poll_until(deadline, Duration::from_secs(1), |network| {
            let mut members: Vec<_> =
                network.machines().map(|node| ring::Member::from(node.chord())).collect();
            members.sort_by_key(|member| member.node.id());
            ring::is_ideal(&members, SUCCESSORS)
                && network.machines().all(|node| node.records().is_settled(node.chord()))
        });
        assert!(is_ideal, "the ring becomes ideal");
        let before = self.network.counters.kinds.clone();
        self.network.run_for(Duration::from_secs(2));
        for (kind, counted) in &self.network.counters.kinds {
            let is_upkeep = is_heartbeat(kind) || matches!(*kind, "name" | "merge" | "repair");
            assert!(is_upkeep || before.get(kind) == Some(counted), "messages about {kind:?} at rest");
        }
    }
}

/// The most memory that this process has had, in bytes, where the system tells.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[test]
fn a_large_network_is_built_looks_names_up_and_comes_to_rest() {
    let nodes = setting("NODES", 10_000) as u32;
    let started = Instant::now();
    let mut network = Network::new(1, Links::wide_area());
    network.trace.keep(0);
    network.classify(kind);
    let told = Rc::new(RefCell::new(Told::default()));
    network.observe(Rc::clone(&told));
    let mut town = Town { network, told, nodes: 0 };
    let report = |town: &Town, what: &str| {
        let (spent, inputs) = (started.elapsed(), town.network.counters.inputs);
        let memory = memory().unwrap_or(0) / (1 << 20);
        let simulated = town.network.now().since(chord_chat::sim::START);
        println!(
            "{nodes} nodes {what}: {spent:.1?}, {inputs} inputs, {simulated:.0?} simulated, {memory} MiB"
        );
    };
    town.grow(nodes);
    report(&town, "are ready");
    town.look_up();
    report(&town, "have looked up");
    town.rest();
    report(&town, "are at rest");
    println!("{:?}", town.network.counters);
}
