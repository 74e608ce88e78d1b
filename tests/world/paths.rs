//! How long the way to a key is, compared with Stoica et al., IEEE/ACM ToN 11(1), Fig. 10a.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_chat::chord::{Chord, Message, Output, SUCCESSORS, Upcall};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::machine::{Input, Machine};
use chord_chat::node::{Command, Node};
use chord_chat::sim::{Links, Network, START, SimRng};
use rand::{RngExt, SeedableRng};

use crate::{address, nick};

/// The mean path lengths that the paper measured.
const MEASURED: [(usize, f64); 7] =
    [(64, 2.96), (128, 3.39), (256, 3.88), (512, 4.38), (1024, 4.89), (2048, 5.36), (4096, 5.85)];

/// How many lookups are made in rings of each size, over as many rings as have so many nodes together.
const LOOKUPS: usize = 40_000;
const NODES: usize = 8192;

type Ring = BTreeMap<NodeHandle, Chord<()>>;

fn ring(size: usize, first: u32, successors: usize) -> Ring {
    let mut nodes: Vec<NodeHandle> = (first..).take(size).map(address).collect();
    nodes.sort_by_key(NodeHandle::id);
    nodes.iter().map(|&node| (node, Chord::ideal(&nodes, node, successors, START))).collect()
}

/// How many times a lookup of `key` is sent on until it reaches the root.
fn hops(ring: &mut Ring, origin: NodeHandle, key: Id) -> usize {
    let mut at = origin;
    let mut hops = 0;
    ring.get_mut(&at).expect("the origin is in the ring").find_root(START, key);
    loop {
        let chord = ring.get_mut(&at).expect("messages go to nodes of the ring");
        match chord.next_output().expect("the lookup goes on") {
            Output::Upcall(Upcall::Root { .. }) => return hops,
            Output::Upcall(upcall) => panic!("a lookup does nothing else: {upcall:?}"),
            Output::Send { to, message } => {
                hops += usize::from(matches!(message, Message::Route(_)));
                let from = std::mem::replace(&mut at, to);
                let input = Input::Message { from, message };
                ring.get_mut(&at).expect("messages go to nodes of the ring").handle(START, input);
            }
        }
    }
}

#[test]
fn paths_are_as_long_as_the_paper_measured() {
    let mut rng = SimRng::seed_from_u64(1);
    for (size, measured) in MEASURED {
        let (mut paths, mut lookups) = (0, 0);
        let rings = NODES / size;
        for number in 0..rings {
            let mut ring = ring(size, (number * size) as u32, 1);
            let nodes: Vec<NodeHandle> = ring.keys().copied().collect();
            while lookups < LOOKUPS * (number + 1) / rings {
                let origin = nodes[rng.random_range(0..size)];
                let key = Id::hash(rng.random::<u64>().to_be_bytes());
                // The paper counts the way to the predecessor of the key, without the last step; its
                // distribution (Fig. 10b) begins at 1.
                let path = match hops(&mut ring, origin, key) {
                    // Here, a node knows that it is the root; there, it goes all the way round.
                    0 => {
                        let predecessor = ring[&origin].predecessor().expect("the ring is ideal");
                        hops(&mut ring, origin, predecessor.id())
                    }
                    hops => hops - 1,
                };
                paths += path.max(1);
                lookups += 1;
            }
        }
        let mean = paths as f64 / lookups as f64;
        println!("{size} nodes: {mean:.3} hops, the paper has {measured}");
        assert!((mean / measured - 1.0).abs() <= 0.03, "{size} nodes: {mean:.3} hops, not {measured}");
    }
}

#[test]
fn a_ring_that_has_settled_is_ideal_to_the_last_finger() {
    const SETTLED: u32 = 64;
    let mut network = Network::new(1, Links::wide_area());
    network.trace.keep(0);
    for number in 0..SETTLED {
        let bootstrap = (0 < number).then(|| address(number / 2));
        network.add(Node::new(nick(number), address(number), START));
        network.command(address(number), Command::Start { bootstrap });
        network.run_for(Duration::from_millis(500));
    }
    network.run_for(Duration::from_secs(180));
    let mut nodes: Vec<NodeHandle> = network.machines().map(Machine::me).collect();
    nodes.sort_by_key(NodeHandle::id);
    assert_eq!(nodes.len(), SETTLED as usize);
    for node in network.machines() {
        let ideal: Chord<()> = Chord::ideal(&nodes, node.me(), SUCCESSORS, START);
        assert_eq!(node.chord().successors(), ideal.successors());
        assert_eq!(node.chord().predecessor(), ideal.predecessor());
        let (fingers, exact) = (Vec::from_iter(node.chord().fingers()), Vec::from_iter(ideal.fingers()));
        assert_eq!(fingers, exact, "the fingers of {:?} are exact", node.me());
    }
}
