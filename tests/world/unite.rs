//! A network that was cut becomes one ring again.

use std::time::Duration;

use chord_chat::chord::SUCCESSORS;
use chord_chat::id::NodeHandle;
use chord_chat::sim::{Cut, Links, Network};

use crate::rings::{self, Bare};
use crate::seeds::for_each_seed;
use crate::setting;

const SECOND: Duration = Duration::from_secs(1);

/// How a network is cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Random(u32),
    /// So many nodes, here and there, are cut off from the others.
    Few(u32),
    /// So many neighbours are cut off from the others.
    Arc(u32),
}

impl Split {
    /// A number for each node: that of its part.
    fn parts(self, nodes: u32, seed: u64) -> impl Fn(NodeHandle) -> u32 + Clone + 'static {
        let mut all: Vec<(u64, NodeHandle)> = (0..nodes)
            .map(crate::address)
            .map(|node| {
                let bytes = node.id();
                let bytes = bytes.as_bytes();
                let mixed = u64::from_be_bytes(bytes[8..16].try_into().unwrap()).wrapping_mul(2 * seed + 1);
                (mixed, node)
            })
            .collect();
        match self {
            Split::Arc(_) => all.sort_by_key(|(_, node)| node.id()),
            _ => all.sort(),
        }
        let part = move |i: u32| match self {
            Split::Random(parts) => i % parts,
            Split::Few(few) => u32::from(i < few),
            Split::Arc(few) => u32::from(i < few),
        };
        let of: std::collections::BTreeMap<NodeHandle, u32> =
            all.iter().enumerate().map(|(i, &(_, node))| (node, part(i as u32))).collect();
        move |node| of.get(&node).copied().unwrap_or(0)
    }
}

#[test]
fn thin() {
    let nodes = setting("NODES", 256) as u32;
    let cut = if setting("REFUSED", 0) == 1 { Cut::Refused } else { Cut::Silent };
    for links in if setting("FAR", 1) == 1 { vec![Links::wide_area()] } else { vec![Links::good()] } {
        for split in [
            Split::Random(2),
            Split::Random(3),
            Split::Random(8),
            Split::Few(1),
            Split::Few(16),
            Split::Arc(16),
            Split::Arc(128),
        ] {
            let mut all = for_each_seed("thin", setting("RUNS", 2), |seed, _| {
                let mut network = rings::ideal(seed, links.clone(), nodes);
                let parts = split.parts(nodes, seed);
                network.partition(cut, parts.clone());
                network.run_for(setting("SECONDS", 300) as u32 * SECOND);
                if setting("SHOW", 0) == 1 {
                    for part in 0..8 {
                        let all: Vec<_> = rings::members(&network, |node| parts(node) == part);
                        let n = all.len();
                        for (i, m) in all.iter().enumerate() {
                            if n > 1
                                && (m.successors.first() != Some(&all[(i + 1) % n].node)
                                    || m.predecessor != Some(all[(i + n - 1) % n].node))
                            {
                                println!(
                                    "part {part} of {n}: {i} pred {:?} succ {:?}",
                                    m.predecessor.map(|p| (all.iter().position(|x| x.node == p), p)),
                                    m.successors
                                        .iter()
                                        .map(|&p| all.iter().position(|x| x.node == p))
                                        .collect::<Vec<_>>()
                                );
                            }
                        }
                    }
                }
                let sides: Vec<bool> =
                    (0..8).map(|part| rings::is_ideal(&network, |node| parts(node) == part)).collect();
                network.heal();
                let before = network.counters.messages;
                if setting("SHOW", 0) == 2 {
                    for step in 0..40 {
                        network.run_for(SECOND / 2);
                        let all: Vec<_> = rings::members(&network, |_| true);
                        let n = all.len();
                        let bad: Vec<_> = (0..n)
                            .filter(|&i| all[i].successors.first() != Some(&all[(i + 1) % n].node))
                            .collect();
                        let badp: Vec<_> = (0..n)
                            .filter(|&i| all[i].predecessor != Some(all[(i + n - 1) % n].node))
                            .collect();
                        if bad.is_empty() && badp.is_empty() {
                            break;
                        }
                        println!("{} bad succ {:?} bad pred {:?}", step, bad.len(), badp.len());
                        if bad.len() < 5 {
                            for i in bad {
                                let m = &all[i];
                                println!(
                                    "   {i} of part {}: pred {:?} succ {:?}",
                                    parts(m.node),
                                    m.predecessor.map(|p| all.iter().position(|x| x.node == p)),
                                    m.successors
                                        .iter()
                                        .map(|&p| all.iter().position(|x| x.node == p).unwrap())
                                        .collect::<Vec<_>>()
                                );
                            }
                        }
                    }
                }
                let took = rings::until_ideal(&mut network, 100 * SECOND);
                let messages = network.counters.messages - before;
                (took, sides.iter().all(|&x| x), messages)
            });
            all.sort();
            println!(
                "{split:?}: min {:?} p50 {:?} max {:?} sides {}",
                all[0],
                all[all.len() / 2],
                all[all.len() - 1],
                all.iter().filter(|x| x.1).count()
            );
        }
    }
}
