//! Rings that are as they should be, and what is asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::Ipv4Addr;

use chord_chat::chord::trace::Way;
use chord_chat::chord::{Chord, Message, Output, Upcall};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::machine::Input;
use chord_chat::sim::START;

/// The nodes with these numbers, in the order of their ids; with another seed they stand elsewhere.
pub fn nodes(numbers: std::ops::Range<u32>, seed: u64) -> Vec<NodeHandle> {
    let mut nodes: Vec<NodeHandle> = numbers.map(|number| node(number, seed)).collect();
    nodes.sort_by_key(NodeHandle::id);
    nodes
}

/// The node with this number: its id is the hash of its address, and the port is made of the seed.
pub fn node(number: u32, seed: u64) -> NodeHandle {
    NodeHandle::new((Ipv4Addr::from_bits(0x0a00_0000 + number), 7000 + (seed % 1000) as u16).into())
}

/// How often a lookup is forwarded until the predecessor of the key has it, as the paper counts it: without the
/// last step, to the root.
///
/// Nothing where the origin is that predecessor, or the root, and has nobody to ask: the paper has no paths of 0.
pub fn forwards(way: &Way) -> Option<usize> {
    // The first of the hops is the origin, and the last one is the root.
    way.hops.len().checked_sub(2).filter(|&forwards| forwards != 0)
}

/// A ring in which every pointer is right.
pub struct Ring(BTreeMap<NodeHandle, Chord<()>>);

impl Ring {
    /// Of `nodes`, in the order of their ids.
    pub fn ideal(nodes: &[NodeHandle], successors: usize) -> Ring {
        Ring(nodes.iter().map(|&node| (node, Chord::ideal(nodes, node, successors, START))).collect())
    }

    /// Who comes before the node.
    pub fn predecessor(&self, node: NodeHandle) -> NodeHandle {
        self.0[&node].predecessor().expect("everybody in such a ring has one")
    }

    /// The way that a lookup goes, hop by hop, while these nodes do not answer.
    ///
    /// Nobody learns anything by it: the next lookup finds the ring as this one has.
    pub fn way(&mut self, origin: NodeHandle, key: Id, dead: &BTreeSet<NodeHandle>) -> Way {
        let mut asking = self.0[&origin].clone();
        asking.trace(START, key, false);
        loop {
            let input = match asking.next_output().expect("a lookup goes on until it ends") {
                Output::Upcall(Upcall::Traced { way, .. }) => return way,
                Output::Send { to, message: message @ Message::GetNextHop { .. } } => {
                    if dead.contains(&to) {
                        Input::Unreachable { peer: to, undelivered: vec![message] }
                    } else {
                        Input::Message { from: to, message: self.answer(origin, to, message) }
                    }
                }
                // What else it does about those that do not answer is not done here: nothing is repaired.
                _ => continue,
            };
            asking.handle(START, input);
        }
    }

    fn answer(&mut self, origin: NodeHandle, to: NodeHandle, message: Message<()>) -> Message<()> {
        let hop = self.0.get_mut(&to).expect("who is asked is in the ring");
        let question: Input<Infallible, _> = Input::Message { from: origin, message };
        hop.handle(START, question);
        match hop.next_output() {
            Some(Output::Send { message: answer @ Message::NextHop { .. }, .. }) => answer,
            other => panic!("a question for the next hop is answered, and not by {other:?}"),
        }
    }
}
