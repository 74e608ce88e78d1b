//! A network in which only what is chosen happens: the ground of [`super::walk`] and [`super::explore`].
//!
//! Whatever is under way may be the next to arrive.
//! The detection of failures is perfect: a message to a node that does not run comes back
//! to its sender, unless that node was cut off without a word; and none that runs is ever called
//! unreachable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rand::SeedableRng;

use super::{Order, START, SimRng, Simulated, Trace, What, carried};
use crate::id::NodeHandle;
use crate::machine::{Input, Output};
use crate::time::Time;

/// How many happenings the story of a failure tells.
const STORY_LENGTH: usize = 100;

/// How many messages may be under way: more mean that they breed.
const IN_FLIGHT_MAX: usize = 100_000;

/// How many deliveries [`World::run_dry`] makes before it says that the talk never ends.
const DELIVERIES_MAX: usize = 1_000_000;

/// Something under way to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flight<G> {
    /// A message.
    Message {
        /// Who sent it.
        from: NodeHandle,
        /// Who will get it.
        to: NodeHandle,
        /// What it says.
        message: G,
    },
    /// The news that a peer cannot be reached.
    Unreachable {
        /// Who will hear it.
        node: NodeHandle,
        /// Who cannot be reached.
        peer: NodeHandle,
        /// What comes back.
        undelivered: Vec<G>,
    },
}

impl<G> Flight<G> {
    /// From whom, or about whom, to whom: flights of one pair may have an order.
    pub fn pair(&self) -> (NodeHandle, NodeHandle) {
        match self {
            Flight::Message { from, to, .. } => (*from, *to),
            Flight::Unreachable { node, peer, .. } => (*peer, *node),
        }
    }

    /// To whom it goes, and what that node is given.
    pub(super) fn into_input<C>(self) -> (NodeHandle, Input<C, G>) {
        match self {
            Flight::Message { from, to, message } => (to, Input::Message { from, message }),
            Flight::Unreachable { node, peer, undelivered } => {
                (node, Input::Unreachable { peer, undelivered })
            }
        }
    }

    /// What becomes of it when nobody runs where it goes.
    pub(super) fn bounced(self) -> Option<Flight<G>> {
        match self {
            Flight::Message { from, to, message } => {
                Some(Flight::Unreachable { node: from, peer: to, undelivered: vec![message] })
            }
            Flight::Unreachable { .. } => None,
        }
    }
}

/// Machines and what is under way between them.
pub struct World<M: Simulated> {
    /// Where the caller's random choices come from.
    pub rng: SimRng,
    /// What happened last.
    pub trace: Trace<M::Message>,
    /// What machines told their users; a walk empties it before each step.
    pub told: Vec<(NodeHandle, M::Event)>,
    now: Time,
    machines: BTreeMap<NodeHandle, M>,
    /// Those who have ended without a word.
    cut_off: BTreeSet<NodeHandle>,
    in_flight: Vec<Flight<M::Message>>,
    outputs: Vec<Output<M::Event, M::Message>>,
    buffer: Vec<u8>,
}

impl<M: Simulated> World<M> {
    /// A world without nodes.
    pub fn new(seed: u64) -> World<M> {
        World {
            rng: SimRng::seed_from_u64(seed),
            trace: Trace::new(seed, STORY_LENGTH),
            told: Vec::new(),
            now: START,
            machines: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            in_flight: Vec::new(),
            outputs: Vec::new(),
            buffer: Vec::new(),
        }
    }

    pub(super) fn of(
        now: Time,
        machines: Vec<M>,
        in_flight: Vec<Flight<M::Message>>,
        cut_off: BTreeSet<NodeHandle>,
    ) -> World<M> {
        let mut world = World::new(0);
        world.trace.keep(0);
        world.now = now;
        world.machines = machines.into_iter().map(|machine| (machine.me(), machine)).collect();
        world.in_flight = in_flight;
        world.cut_off = cut_off;
        world
    }

    /// The time; it passes only by [`World::advance`] and [`World::wake`].
    pub fn now(&self) -> Time {
        self.now
    }

    /// Lets time pass; nobody is woken.
    pub fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Starts a node.
    pub fn add(&mut self, machine: M) {
        let node = machine.me();
        self.trace.add(self.now, || What::Fate { node, verb: "starts" });
        self.cut_off.remove(&node);
        let before = self.machines.insert(node, machine);
        assert!(before.is_none(), "one node at a time runs at {node:?}");
    }

    /// Kills a node, if it runs. Who sends to it gets the message back; nobody else is told.
    pub fn crash(&mut self, node: NodeHandle) {
        self.trace.add(self.now, || What::Fate { node, verb: "crashes" });
        self.end(node);
    }

    /// Kills a node, if it runs, and loses what is sent to it from now on.
    pub fn cut_off(&mut self, node: NodeHandle) {
        self.trace.add(self.now, || What::Fate { node, verb: "falls silent" });
        self.end(node);
        self.cut_off.insert(node);
    }

    fn end(&mut self, node: NodeHandle) {
        self.machines.remove(&node);
        self.in_flight
            .retain(|flight| !matches!(flight, Flight::Unreachable { node: to, .. } if *to == node));
    }

    /// Sends `node` the news that its connection to `peer` broke.
    pub fn break_connection(&mut self, node: NodeHandle, peer: NodeHandle) {
        self.in_flight.push(Flight::Unreachable { node, peer, undelivered: Vec::new() });
    }

    /// Gives a node a command, if it runs.
    pub fn command(&mut self, node: NodeHandle, command: M::Command) {
        let input = Input::Command(command);
        self.trace.add(self.now, || What::of(node, &input));
        self.handle(node, input);
    }

    /// Lets it be as late as the node's next wake-up, and wakes it; returns whether it wanted that.
    pub fn wake(&mut self, node: NodeHandle) -> bool {
        let Some(at) = self.get(node).and_then(M::next_wakeup) else { return false };
        self.now = self.now.max(at);
        self.trace.add(self.now, || What::Wakeup { node });
        self.handle(node, Input::Wakeup);
        true
    }

    /// What is under way, the oldest first.
    pub fn in_flight(&self) -> &[Flight<M::Message>] {
        &self.in_flight
    }

    /// Lets arrive what is under way at the place `index` of [`World::in_flight`]; with
    /// [`Order::Fifo`], what was sent first from the same node to the same node.
    pub fn deliver(&mut self, index: usize, order: Order) {
        let pair = self.in_flight[index].pair();
        let earlier = || self.in_flight.iter().position(|flight| flight.pair() == pair);
        let index = if order == Order::Fifo { earlier().unwrap_or(index) } else { index };
        let flight = self.in_flight.remove(index);
        let flight = match self.machines.contains_key(&flight.pair().1) {
            true => Some(flight),
            false if self.cut_off.contains(&flight.pair().1) => None,
            false => flight.bounced(),
        };
        let Some(flight) = flight else { return };
        let (node, input) = flight.into_input();
        self.trace.add(self.now, || What::of(node, &input));
        self.handle(node, input);
    }

    /// Loses what is under way at the place `index` of [`World::in_flight`].
    pub fn lose(&mut self, index: usize) {
        if let Flight::Message { from, to, message } = self.in_flight.remove(index) {
            self.trace.add(self.now, || What::Lost { from, to, message });
        }
    }

    /// The machines that run, by their place on the circle.
    pub fn machines(&self) -> impl Iterator<Item = &M> {
        self.machines.values()
    }

    /// The machine that runs at `node`.
    pub fn get(&self, node: NodeHandle) -> Option<&M> {
        self.machines.get(&node)
    }

    /// Delivers all that is under way, and what comes of it, the oldest first.
    pub fn run_dry(&mut self) {
        for _ in 0..DELIVERIES_MAX {
            if self.in_flight.is_empty() {
                return;
            }
            self.deliver(0, Order::Fifo);
        }
        panic!("after {DELIVERIES_MAX} deliveries, {} messages are under way", self.in_flight.len());
    }

    /// Delivers all that is under way, then wakes whoever is due next, `wakeups` times,
    /// and delivers all that comes of it.
    pub fn settle(&mut self, wakeups: usize) {
        self.run_dry();
        for _ in 0..wakeups {
            let due = |machine: &M| Some((machine.next_wakeup()?, machine.me()));
            let Some((_, node)) = self.machines().filter_map(due).min() else { return };
            self.wake(node);
            self.run_dry();
        }
    }

    fn handle(&mut self, node: NodeHandle, input: Input<M::Command, M::Message>) {
        let Some(machine) = self.machines.get_mut(&node) else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        machine.handle(self.now, input, &mut outputs);
        let mut stops = false;
        for output in outputs.drain(..) {
            match output {
                Output::Send { to, message } => {
                    let message = carried(&message, &mut self.buffer);
                    self.in_flight.push(Flight::Message { from: node, to, message });
                }
                Output::Event(event) => self.told.push((node, event)),
                Output::Stop => stops = true,
                // Disks are not simulated.
                Output::Keep(_) => {}
            }
        }
        self.outputs = outputs;
        if stops {
            self.trace.add(self.now, || What::Fate { node, verb: "stops" });
            self.end(node);
        }
        assert!(
            self.in_flight.len() <= IN_FLIGHT_MAX,
            "messages do not breed: {IN_FLIGHT_MAX} are under way"
        );
    }
}

/// A claim that does not hold, and how it came to this.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// What happened before, for people.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.story)
    }
}

/// The same as `Display`, so that a test's `unwrap` tells the story.
impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Violation {}
