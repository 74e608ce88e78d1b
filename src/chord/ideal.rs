//! A node of a ring that has settled, made at once: for simulations of what a ring does at rest.

use super::{Chord, Membership};
use crate::id::{ID_BITS, Id, NodeHandle};
use crate::time::Time;

impl<P: Clone> Chord<P> {
    /// Node `me` of the ring of all `nodes`, which are in the order of their ids, with exact successors,
    /// predecessor and fingers.
    pub fn ideal(nodes: &[NodeHandle], me: NodeHandle, successors_max: usize, now: Time) -> Chord<P> {
        assert!(nodes.is_sorted_by_key(NodeHandle::id), "the nodes are in order");
        let place = nodes.partition_point(|node| node.id() < me.id());
        assert_eq!(nodes.get(place), Some(&me), "the node belongs to the ring");
        let mut chord = Chord::new(me, successors_max, now);
        let others = nodes.len() - 1;
        chord.membership = Membership::Member;
        chord.successors =
            (1..=others.min(successors_max)).map(|i| nodes[(place + i) % nodes.len()]).collect();
        chord.comes_round = others < successors_max;
        chord.predecessor = (0 < others).then(|| nodes[(place + others) % nodes.len()]);
        chord.range_start = Some(chord.predecessor.unwrap_or(me));
        let root = |key: Id| nodes[nodes.partition_point(|node| node.id() < key) % nodes.len()];
        let mut exponent = 0;
        let mut reached = chord.successors.first().copied().unwrap_or(me);
        while reached != me {
            let beyond = |exponent: &u32| !me.id().plus_power_of_two(*exponent).in_arc(me.id(), reached.id());
            let Some(next) = (exponent..ID_BITS).find(beyond) else { break };
            reached = root(me.id().plus_power_of_two(next));
            if reached != me {
                chord.fingers.insert(next, reached);
            }
            exponent = next + 1;
        }
        chord
    }
}
