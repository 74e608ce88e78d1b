//! Channels of a network that was cut for five minutes, in all parts of which people went on talking.
//!
//! ```text
//! SEEDS=20 cargo test --test world channels::cut -- --nocapture     more of them, and how long each took
//! ```

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chord::SUCCESSORS;
use chord_chat::machine::Machine;
use chord_chat::node::Node;
use chord_chat::records::channel::Entry;
use chord_chat::records::{COPIES, RecordKey};
use chord_chat::sim::chat::{Lost, Weather};
use chord_chat::sim::{Cut, Network, ring};

use super::{SECOND, Town, name};
use crate::seeds::{Story, for_each_seed};
use crate::unite::Split;

const PEOPLE: u32 = 256;
const CHANNELS: u32 = 16;

/// Nodes that are cut off here and there are alone: if they could reach one another, some would know none of the
/// others, and could not find them.
const CUTS: [Split; 6] =
    [Split::Random(2), Split::Random(3), Split::Alone(1), Split::Alone(16), Split::Arc(16), Split::Arc(128)];
const CUT_FOR: Duration = Duration::from_secs(5 * 60);

/// How much time lies between two messages.
const PAUSE: Duration = Duration::from_millis(250);

/// Until then, there is one ring, with equal logs, and everyone is shown what the others said.
const HEALED_WITHIN: Duration = Duration::from_secs(15);

/// A lease is renewed meanwhile.
const REST: Duration = Duration::from_secs(75);

/// The channels of a person, two for most: who are in one together are not in the other.
fn channels(number: u32) -> BTreeSet<u32> {
    BTreeSet::from([number % CHANNELS, number / CHANNELS % CHANNELS])
}

impl Town {
    fn talk_for(&mut self, duration: Duration) {
        let end = self.network.now() + duration;
        while self.network.now() < end {
            self.someone_speaks();
            self.network.run_for(PAUSE);
        }
    }

    /// All nodes, in the order of the ring.
    fn ring(network: &Network<Node>) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = network.machines().collect();
        nodes.sort_by_key(|node| node.me().id());
        nodes
    }

    fn is_one_ring(network: &Network<Node>) -> bool {
        let nodes = Town::ring(network);
        let members: Vec<_> = nodes.iter().map(|node| ring::Member::from(node.chord())).collect();
        ring::is_ideal(&members, SUCCESSORS)
    }

    /// Whether the root of each channel and its copies have the same log.
    fn has_equal_logs(network: &Network<Node>) -> bool {
        let nodes = Town::ring(network);
        (0..CHANNELS).map(name).all(|channel| {
            let key = RecordKey::Channel(channel.clone()).id();
            let root = nodes.partition_point(|node| node.me().id() < key);
            let log = |i: usize| {
                let known = nodes[(root + i) % nodes.len()].records().channel(&channel);
                known.map(|known| known.log.after(None).collect::<Vec<&Entry>>())
            };
            let of_the_root = log(0);
            of_the_root.is_some() && (1..COPIES).all(|i| log(i) == of_the_root)
        })
    }

    /// How long after it has healed the network is one ring, and has equal logs, and has shown everyone all
    /// that was acknowledged; the last is how long it takes until all this is so at once.
    fn until_whole(&mut self) -> [Duration; 4] {
        let (start, oracle) = (self.network.now(), Rc::clone(&self.oracle));
        let mut since = [None; 4];
        self.network.poll_until(start + HEALED_WITHIN, SECOND / 10, |network| {
            let [one_ring, equal] = [Town::is_one_ring(network), Town::has_equal_logs(network)];
            let shown = oracle.borrow().lost(network) == Lost::default();
            let are_so = [one_ring, equal, shown, one_ring && equal && shown];
            for (since, is_so) in since.iter_mut().zip(are_so) {
                *since = if is_so { since.or(Some(network.now().since(start))) } else { None };
            }
            are_so[3]
        });
        assert!(
            since[3].is_some(),
            "after {HEALED_WITHIN:?}: {since:?}, {:?}",
            oracle.borrow().lost(&self.network)
        );
        since.map(Option::unwrap_or_default)
    }
}

/// People who talked while the network was cut, and is whole now.
fn healed(seed: u64, story: Story, split: Split, cut_for: Duration) -> Town {
    let mut town = Town::new(seed, story, Weather::Split, PEOPLE, channels);
    let parts = split.parts(seed, PEOPLE);
    let cut = if seed.is_multiple_of(2) { Cut::Silent } else { Cut::Refused };
    town.network.partition(cut, move |node| parts.get(&node).copied().unwrap_or(0));
    town.talk_for(cut_for);
    town.network.heal();
    town
}

#[test]
fn a_network_that_was_cut_has_equal_logs_within_15_seconds_and_everyone_is_shown_them() {
    for (split, first) in CUTS.into_iter().zip(0..) {
        let took = for_each_seed("channels::cut", 1, |seed, story| {
            let mut town = healed(first + seed, story, split, CUT_FOR);
            let start = town.network.now();
            let took = town.until_whole();
            let seen = town.oracle.borrow().seen;
            // Where the circle is cut through, without a word, it takes a while until each half goes on.
            assert!(1_000 < seen.stored, "{split:?}: {} messages are stored", seen.stored);
            town.until_rest(start, REST);
            (took, seen.stored)
        });
        let longest = |of: usize| took.iter().map(|(took, _)| took[of]).max().unwrap_or_default();
        let stored = took.iter().map(|(_, stored)| stored).min();
        println!(
            "{split:?}: one ring after {:?}, equal logs {:?}, all shown {:?}, all at once {:?}, longest of {}; \
             {stored:?} messages stored at least",
            longest(0),
            longest(1),
            longest(2),
            longest(3),
            took.len()
        );
    }
}

#[test]
fn people_who_talk_while_their_rings_unite_miss_nothing() {
    for (split, first) in [Split::Random(3), Split::Alone(16)].into_iter().zip(0..) {
        for_each_seed("channels::cut", 1, |seed, story| {
            let mut town = healed(first + seed, story, split, CUT_FOR / 5);
            town.talk_for(HEALED_WITHIN);
            let start = town.network.now();
            let rest = town.until_rest(start, REST);
            println!("{split:?}: at rest {rest:?} later; {:?}", town.oracle.borrow().seen);
        });
    }
}
