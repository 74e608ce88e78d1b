//! Networks of nodes that are nothing but their part in the ring.

use std::time::Duration;

use chord_chat::chord::{Chord, SUCCESSORS};
use chord_chat::id::NodeHandle;
use chord_chat::sim::ring::{self, Member};
use chord_chat::sim::{Bare, Links, Network};

use crate::address;

/// A network with the ideal ring of the nodes numbered below `nodes`.
pub fn ideal(seed: u64, links: Links, nodes: u32) -> Network<Bare> {
    let mut network = Network::new(seed, links);
    network.trace.keep(0);
    let mut all: Vec<NodeHandle> = (0..nodes).map(address).collect();
    all.sort_by_key(NodeHandle::id);
    for &node in &all {
        network.add(Bare(Chord::ideal(&all, node, SUCCESSORS, network.now())));
    }
    network
}

/// The members for whom `counts`, in the order of their ids.
pub fn members(network: &Network<Bare>, counts: impl Fn(NodeHandle) -> bool) -> Vec<Member<'_>> {
    let chords = network.machines().map(|node| &node.0);
    let mut members: Vec<_> =
        chords.filter(|chord| chord.is_member() && counts(chord.me())).map(Member::from).collect();
    members.sort_by_key(|member| member.node.id());
    members
}

/// Whether those for whom `counts` are an ideal ring.
pub fn is_ideal(network: &Network<Bare>, counts: impl Fn(NodeHandle) -> bool) -> bool {
    ring::is_ideal(&members(network, counts), SUCCESSORS)
}

/// How long it takes until all nodes are one ideal ring, if not longer than `limit`.
pub fn until_ideal(network: &mut Network<Bare>, limit: Duration) -> Option<Duration> {
    let start = network.now();
    let is_ideal =
        network.poll_until(start + limit, Duration::from_millis(100), |network| is_ideal(network, |_| true));
    is_ideal.then(|| network.now().since(start))
}
