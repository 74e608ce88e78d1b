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

/// What the paper measured: so many nodes, the mean path length, its 1st and its 99th percentile.
const MEASURED: [(usize, f64, usize, usize); 10] = [
    (8, 1.72, 1, 3),
    (16, 2.09, 1, 4),
    (32, 2.49, 1, 5),
    (64, 2.96, 1, 5),
    (128, 3.39, 1, 6),
    (256, 3.88, 1, 7),
    (512, 4.38, 1, 7),
    (1024, 4.89, 2, 8),
    (2048, 5.36, 2, 9),
    (4096, 5.85, 2, 10),
];

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

/// The path of a lookup as the paper counts it: the forwards until the predecessor of the key has it,
/// without the last step.
///
/// Nothing where the origin is that predecessor: the paper has no paths of 0, as its 1st percentile is 1 for
/// 8 nodes, where the origin is the predecessor of every eighth key; and if it counted them as 1, its mean would
/// be 5 % shorter there.
fn path(ring: &mut Ring, origin: NodeHandle, key: Id) -> Option<usize> {
    let forwards = match hops(ring, origin, key) {
        // Here, a node knows that it is the root; there, it goes all the way round.
        0 => {
            let predecessor = ring[&origin].predecessor().expect("the ring is ideal");
            hops(ring, origin, predecessor.id())
        }
        hops => hops - 1,
    };
    (0 < forwards).then_some(forwards)
}

#[test]
fn paths_are_as_long_as_the_paper_measured() {
    let mut rng = SimRng::seed_from_u64(1);
    for (size, measured, first, last) in MEASURED {
        let mut paths = Vec::with_capacity(LOOKUPS);
        let rings = NODES / size;
        for number in 0..rings {
            let mut ring = ring(size, (number * size) as u32, 1);
            let nodes: Vec<NodeHandle> = ring.keys().copied().collect();
            while paths.len() < LOOKUPS * (number + 1) / rings {
                let origin = nodes[rng.random_range(0..size)];
                let key = Id::hash(rng.random::<u64>().to_be_bytes());
                paths.extend(path(&mut ring, origin, key));
            }
        }
        paths.sort_unstable();
        let percentile = |percent: usize| paths[paths.len() * percent / 100];
        let mean = paths.iter().sum::<usize>() as f64 / paths.len() as f64;
        let (low, high) = (percentile(1), percentile(99));
        println!(
            "{size} nodes: {mean:.3} hops ({low} to {high}), the paper has {measured} ({first} to {last})"
        );
        assert!((mean / measured - 1.0).abs() <= 0.03, "{size} nodes: {mean:.3} hops, not {measured}");
        assert!(low.abs_diff(first) <= 1 && high.abs_diff(last) <= 1, "{size} nodes: {low} to {high}");
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
