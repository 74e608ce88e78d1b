//! Networks of nodes that are nothing but their part in the ring.

use std::time::Duration;

use chord_chat::chord::message::Number;
use chord_chat::chord::{Chord, Message, Output, SUCCESSORS, Upcall};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::machine::{self, Input, Machine};
use chord_chat::sim::ring::{self, Member};
use chord_chat::sim::{Links, Network};
use chord_chat::time::Time;

use crate::address;

/// A node of a ring without an application.
#[derive(Clone, Debug)]
pub struct Bare(pub Chord<()>);

/// What a [`Bare`] node can be asked for.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    /// Join through this node.
    Join(NodeHandle),
    /// Find the root of a key.
    Find(Id),
}

/// What a [`Bare`] node tells.
#[derive(Clone, Debug)]
pub enum Told {
    Up(Upcall<()>),
    /// It looks for the root of a key under this number.
    Finds(Number, Id),
}

impl Machine for Bare {
    type Command = Do;
    type Event = Told;
    type Message = Message<()>;

    fn me(&self) -> NodeHandle {
        self.0.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Do, Message<()>>,
        outputs: &mut Vec<machine::Output<Told, Message<()>>>,
    ) {
        match input {
            Input::Command(Do::Join(via)) => self.0.join(now, via),
            Input::Command(Do::Find(key)) => {
                let number = self.0.find_root(now, key);
                outputs.push(machine::Output::Event(Told::Finds(number, key)));
            }
            Input::Message { from, message } => self.0.handle(now, Input::Message { from, message }),
            Input::Unreachable { peer, undelivered } => {
                self.0.handle(now, Input::Unreachable { peer, undelivered });
            }
            Input::Wakeup => self.0.handle(now, Input::Wakeup),
        }
        while let Some(output) = self.0.next_output() {
            outputs.push(match output {
                Output::Send { to, message } => machine::Output::Send { to, message },
                Output::Upcall(upcall) => machine::Output::Event(Told::Up(upcall)),
            });
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.0.next_wakeup()
    }
}

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
