//! A network that was cut for five minutes is one ring again soon after it has healed.
//!
//! ```text
//! SEEDS=20 cargo test --test world unite -- --nocapture     more of them, and how long each took
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use chord_chat::id::NodeHandle;
use chord_chat::sim::{Cut, Links};

use crate::rings;
use crate::seeds::for_each_seed;

const NODES: u32 = 256;
const SEEDS: u64 = 2;
const CUT_FOR: Duration = Duration::from_secs(5 * 60);
const UNITED_WITHIN: Duration = Duration::from_secs(15);

/// How a network is cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Everyone is in one of so many parts, at random.
    Random(u32),
    /// So many nodes, here and there, are cut off from the others.
    Few(u32),
    /// So many nodes, here and there, are cut off from all others each.
    Alone(u32),
    /// So many neighbours are cut off from the others.
    Arc(u32),
}

impl Split {
    /// The number of each node's part.
    pub fn parts(self, seed: u64, nodes: u32) -> BTreeMap<NodeHandle, u32> {
        let mut all: Vec<NodeHandle> = (0..nodes).map(crate::address).collect();
        all.sort_by_key(|node| match self {
            Split::Arc(_) => (0, node.id()),
            Split::Random(_) | Split::Few(_) | Split::Alone(_) => {
                let first = node.id().as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                (first.wrapping_mul(2 * seed + 1), node.id())
            }
        });
        let part = |i: u32| match self {
            Split::Random(parts) => i % parts,
            Split::Few(few) | Split::Arc(few) => u32::from(i < few),
            Split::Alone(few) => (i + 1).min(few + 1),
        };
        (0..nodes).map(part).zip(all).map(|(part, node)| (node, part)).collect()
    }
}

/// How long it takes until the parts are one ring.
fn united_after(seed: u64, split: Split, cut: Cut, links: &Links) -> Duration {
    let mut network = rings::ideal(seed, links.clone(), NODES);
    let parts = split.parts(seed, NODES);
    let of = parts.clone();
    network.partition(cut, move |node| of.get(&node).copied().unwrap_or(0));
    network.run_for(CUT_FOR);
    if let Split::Random(parts_max) = split {
        // Where few are cut off, here and there, they do not all know one another.
        for part in 0..parts_max {
            assert!(rings::is_ideal(&network, |node| parts.get(&node) == Some(&part)), "{split:?}: {part}");
        }
    }
    network.heal();
    let limit = UNITED_WITHIN;
    rings::until_ideal(&mut network, limit).unwrap_or_else(|| panic!("{split:?}: no ring after {limit:?}"))
}

#[test]
fn a_network_that_was_cut_unites_within_15_seconds() {
    let splits =
        [Split::Random(2), Split::Random(3), Split::Few(1), Split::Few(16), Split::Arc(16), Split::Arc(128)];
    for split in splits {
        let mut took = for_each_seed("unite", SEEDS, |seed, _| {
            let cut = if seed.is_multiple_of(2) { Cut::Silent } else { Cut::Refused };
            united_after(seed, split, cut, &Links::wide_area())
        });
        took.sort();
        println!("{split:?}: p50 {:?}, longest {:?} of {}", took[took.len() / 2], took.last(), took.len());
    }
}
