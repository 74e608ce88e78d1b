//! The ring's invariant, after every event, as long as nothing goes wrong that could break it.

use super::held::SETTLED;
use super::{Oracle, Promise};
use crate::chord::Chord;
use crate::id::NodeHandle;
use crate::machine::Machine;
use crate::node::Node;
use crate::sim::{Network, ring};
use crate::time::Time;

/// What the ring looked like at one node.
#[derive(Debug)]
pub(super) struct Position {
    predecessor: Option<NodeHandle>,
    successors: Vec<NodeHandle>,
    comes_round: bool,
    pub(super) leaves: bool,
}

impl Position {
    fn of<P: Clone>(chord: &Chord<P>) -> Position {
        Position {
            predecessor: chord.predecessor(),
            successors: chord.successors().to_vec(),
            comes_round: chord.comes_round(),
            leaves: chord.is_leaving(),
        }
    }

    fn is_of<P: Clone>(&self, chord: &Chord<P>) -> bool {
        (self.predecessor, self.comes_round, self.leaves)
            == (chord.predecessor(), chord.comes_round(), chord.is_leaving())
            && self.successors == chord.successors()
    }
}

impl Oracle {
    /// Something goes wrong until then: for 15 s afterwards the ring may be broken, and a name may have
    /// two holders.
    pub fn disturbed_until(&mut self, end: Time) {
        self.calm_from = Some(end + SETTLED);
        self.values.are_disturbed();
        self.ring.clear();
    }

    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.calm_from.is_some_and(|from| from <= now)
    }

    /// Checks the ring if it has changed at `node`.
    pub(super) fn look_at_ring(&mut self, network: &Network<Node>, node: NodeHandle) {
        if !self.is_calm(network.now()) {
            return;
        }
        if self.ring.is_empty() {
            // It begins now, also with those to whom nothing happens.
            let there = network.machines().filter(|node| node.chord().is_in_ring());
            self.ring = there.map(|node| (node.me(), Position::of(node.chord()))).collect();
        } else {
            let chord = network.get(node).map(Node::chord).filter(|chord| chord.is_in_ring());
            let is_same = match (self.ring.get(&node), chord) {
                (Some(position), Some(chord)) => position.is_of(chord),
                (None, None) => true,
                _ => false,
            };
            if is_same {
                return;
            }
            match chord {
                Some(chord) => self.ring.insert(node, Position::of(chord)),
                None => self.ring.remove(&node),
            };
            // Several may have gone at the same moment.
            self.ring.retain(|&node, _| network.get(node).is_some());
        }
        self.seen.ring_changes += 1;
        // A leaver belongs to the ring as long as others count on it.
        let with_leavers = ring::check(&self.ring_members(|_, _| true));
        if let Err(violation) =
            with_leavers.or_else(|_| ring::check(&self.ring_members(|_, position| !position.leaves)))
        {
            let what = format!("{violation}: {:?}", self.ring_members(|_, _| true));
            self.breaks(network.now(), Promise::Ring, what);
        }
    }

    pub(super) fn ring_members(
        &self,
        counts: impl Fn(NodeHandle, &Position) -> bool,
    ) -> Vec<ring::Member<'_>> {
        self.ring
            .iter()
            .filter(|&(&node, position)| counts(node, position))
            .map(|(&node, position)| ring::Member {
                node,
                predecessor: position.predecessor,
                successors: &position.successors,
                comes_round: position.comes_round,
            })
            .collect()
    }
}
