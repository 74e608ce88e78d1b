//! Many nodes join a small ring within milliseconds: all are let in, and the ring keeps all their names.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use std::time::Duration;

use chord_chat::id::{Id, NodeHandle};
use chord_chat::node::{Command, Node};
use chord_chat::records::name::Nick;
use chord_chat::sim::{Latency, Links, Network, seeds};

const SEEDS: u64 = 200;
const NODES: u16 = 32;

/// How long after the last one has come every name is where it belongs.
const REST: Duration = Duration::from_secs(8);

/// The node with this number, elsewhere on the circle for each seed.
fn node(seed: u64, number: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, (seed % 256) as u8, 1], 7000 + number).into())
}

fn nick(number: u16) -> Nick {
    format!("n{number}").parse().unwrap()
}

fn start(network: &mut Network<Node>, seed: u64, number: u16, bootstrap: Option<NodeHandle>) {
    let me = node(seed, number);
    network.add(Node::new(nick(number), me, network.now()));
    network.command(me, Command::Start { bootstrap });
}

/// Each node lets in another one at nearly the same time, until there are enough.
fn burst(seed: u64) -> Network<Node> {
    let links = Links {
        base: Latency::Constant(Duration::from_micros(100)),
        jitter: Latency::Uniform(Duration::ZERO, Duration::from_millis(3)),
        ..Links::good()
    };
    let mut network = Network::new(seed, links);
    start(&mut network, seed, 0, None);
    let mut count = 1;
    while count < NODES {
        network.run_for(Duration::from_millis(250));
        for number in 0..count {
            start(&mut network, seed, count + number, Some(node(seed, number)));
            network.run_for(Duration::from_micros(500));
        }
        count *= 2;
    }
    network.run_for(REST);
    network
}

#[test]
fn no_name_is_lost_when_many_join_at_once() {
    for seed in seeds(SEEDS) {
        let network = burst(seed);
        let mut ring: Vec<NodeHandle> = (0..NODES).map(|number| node(seed, number)).collect();
        ring.sort_by_key(NodeHandle::id);
        for number in 0..NODES {
            let nick = nick(number);
            let key = Id::hash(nick.as_str());
            let root = ring.iter().find(|node| key <= node.id()).unwrap_or(&ring[0]);
            let root = network.get(*root).expect("nobody has been refused");
            let holder = root.records().claims(&nick).and_then(|claims| claims.holder(network.now()));
            let holder = holder.map(|claim| claim.holder);
            assert_eq!(holder, Some(node(seed, number)), "{nick}; run it again: SEED={seed}");
        }
    }
}
