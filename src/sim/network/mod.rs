//! A whole network on a virtual clock.
//!
//! What happens next is always the earliest event of one queue, so a run is the same
//! each time for the same seed. A step costs the logarithm of the queue's length,
//! however many nodes there are.

mod connections;
mod delivery;
mod disk;
mod faults;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use rand::SeedableRng;

use super::links::{Latency, Links, mixed};
use super::queue::Queue;
use super::{START, SimRng, Simulated, Trace, What};
use crate::id::{Id, NodeHandle};
use crate::machine::{Input, Output};
use crate::time::Time;

use connections::Connections;
pub use faults::Cut;

/// How many happenings the story of a failure tells.
const STORY_LENGTH: usize = 200;

/// How often one node may wake up without time passing.
const WAKEUPS_AT_ONCE_MAX: u32 = 1_000;

/// The address of a host in the tables: its place in the order in which hosts were first named.
type Host = u32;

/// Sees everything that happens in a [`Network`].
///
/// A shared one, `Rc<RefCell<_>>`, can be asked afterwards for what it saw.
pub trait Observer<M: Simulated> {
    /// `node` told its user `event`.
    fn told(&mut self, network: &Network<M>, node: NodeHandle, event: &M::Event) {
        let _ = (network, node, event);
    }

    /// `message` leaves `from`, which has done already what it says.
    fn sent(&mut self, network: &Network<M>, from: NodeHandle, to: NodeHandle, message: &M::Message) {
        let _ = (network, from, to, message);
    }

    /// `node` is about to end: this is the last time that its machine can be looked at.
    fn ends(&mut self, network: &Network<M>, node: NodeHandle) {
        let _ = (network, node);
    }

    /// Something happened to `node`: no other machine has changed since the call before.
    fn after(&mut self, network: &Network<M>, node: NodeHandle) {
        let _ = (network, node);
    }
}

impl<M: Simulated, O: Observer<M>> Observer<M> for std::rc::Rc<std::cell::RefCell<O>> {
    fn told(&mut self, network: &Network<M>, node: NodeHandle, event: &M::Event) {
        self.borrow_mut().told(network, node, event);
    }

    fn sent(&mut self, network: &Network<M>, from: NodeHandle, to: NodeHandle, message: &M::Message) {
        self.borrow_mut().sent(network, from, to, message);
    }

    fn ends(&mut self, network: &Network<M>, node: NodeHandle) {
        self.borrow_mut().ends(network, node);
    }

    fn after(&mut self, network: &Network<M>, node: NodeHandle) {
        self.borrow_mut().after(network, node);
    }
}

/// What went through a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Inputs that machines have handled.
    pub inputs: u64,
    /// Wake-ups among them.
    pub wakeups: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Their encoded length, in bytes, without headers of the transport.
    pub bytes: u64,
    /// Messages that came to nobody, and whose sender was not given them back.
    pub lost: u64,
    /// Messages that were given back to their sender.
    pub returned: u64,
    /// Messages that came a second time.
    pub duplicated: u64,
    /// Messages and bytes of each kind that [`Network::classify`] tells apart.
    pub kinds: BTreeMap<&'static str, (u64, u64)>,
}

/// A message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight<'a, G> {
    /// Who sent it.
    pub from: NodeHandle,
    /// Who will get it.
    pub to: NodeHandle,
    /// When it arrives; in the past if it waits for a frozen node.
    pub arrives: Time,
    /// What it says.
    pub message: &'a G,
}

/// Many machines, the links between them, and what goes wrong.
pub struct Network<M: Simulated> {
    /// What the network does to messages; may be changed at any time.
    pub links: Links,
    /// What went through so far.
    pub counters: Counters,
    /// What happened last.
    pub trace: Trace<M::Message>,
    now: Time,
    rng: SimRng,
    queue: Queue<Event<M>>,
    hosts: Vec<HostState<M>>,
    /// Only for looking up: its order differs from run to run.
    by_id: HashMap<Id, Host, BuildHasherDefault<FirstBytes>>,
    connections: Connections,
    /// Who will learn of whom that it cannot be reached, and what comes back with that.
    breaking: BTreeMap<(Host, Host), Vec<M::Message>>,
    observers: Vec<Box<dyn Observer<M>>>,
    kind: Option<fn(&M::Message) -> &'static str>,
    /// How long a disk takes to write a batch, if there are disks.
    writing: Option<Latency>,
    division: Option<faults::Division>,
    /// Into which parts the network was cut last, and when it was whole again.
    healed: Option<(faults::Division, Time)>,
    fingerprint: u64,
    /// What machines told their users since the observers last heard.
    told: Vec<(NodeHandle, M::Event)>,
    outputs: Vec<Output<M::Event, M::Message>>,
    buffer: Vec<u8>,
}

/// What may run at one address: a machine, one after another.
struct HostState<M: Simulated> {
    handle: NodeHandle,
    machine: Option<M>,
    /// How many machines have ended here: connections and events belong to one of them.
    incarnation: u32,
    /// By how much its clock is ahead of the network's.
    ahead: Duration,
    /// Whether nothing answers here, not even with a refusal.
    silent: bool,
    frozen_until: Option<Time>,
    /// When it began to run, or went on after it was frozen, and when it was frozen last.
    awake_since: Time,
    froze: Option<Time>,
    /// What arrived while the node was frozen.
    backlog: VecDeque<Input<M::Command, M::Message>>,
    /// The disk, while a machine runs that has one, and what is on it.
    disk: Option<disk::Disk<M>>,
    items: disk::Items,
    /// When the queue holds wake-ups for this host, the latest first.
    wakeups: Vec<Time>,
    /// When it woke up last, and how often at that moment.
    woken: (Time, u32),
}

enum Event<M: Simulated> {
    Arrival { from: Host, to: Host, incarnation: u32, message: M::Message },
    Unreachable { node: Host, incarnation: u32, peer: Host },
    Command { node: Host, command: M::Command },
    Wakeup { node: Host },
    Thaw { node: Host },
    Backlog { node: Host, incarnation: u32 },
    Write { node: Host, incarnation: u32 },
    Written { node: Host, incarnation: u32 },
}

/// Identifiers are hashes already.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length that is hashed before the bytes.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<M: Simulated> HostState<M> {
    /// When the machine wants to be woken, by the clock of the network.
    fn next_wakeup(&self) -> Option<Time> {
        self.machine.as_ref()?.next_wakeup().map(|at| at - self.ahead)
    }
}

impl<M: Simulated> Network<M> {
    /// A network without nodes; all chance in it comes from `seed`.
    pub fn new(seed: u64, links: Links) -> Network<M> {
        Network {
            links,
            counters: Counters::default(),
            trace: Trace::new(seed, STORY_LENGTH),
            now: START,
            rng: SimRng::seed_from_u64(seed),
            queue: Queue::new(),
            hosts: Vec::new(),
            by_id: HashMap::default(),
            connections: Connections::new(),
            breaking: BTreeMap::new(),
            observers: Vec::new(),
            kind: None,
            writing: None,
            division: None,
            healed: None,
            fingerprint: 0,
            told: Vec::new(),
            outputs: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Has `observer` see everything from now on.
    pub fn observe(&mut self, observer: impl Observer<M> + 'static) {
        self.observers.push(Box::new(observer));
    }

    /// Counts messages by what `kind` says of them.
    pub fn classify(&mut self, kind: fn(&M::Message) -> &'static str) {
        self.kind = Some(kind);
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The generator of this run, for choices that the caller leaves to chance.
    pub fn rng(&mut self) -> &mut SimRng {
        &mut self.rng
    }

    /// A number that depends on everything that has happened so far.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Starts a node, at an address where none is running.
    pub fn add(&mut self, machine: M) {
        self.add_ahead(machine, Duration::ZERO);
    }

    /// Starts a node whose clock is ahead of the network's by so much.
    ///
    /// No two clocks agree: give each node an advance of its own to have some behind others.
    pub fn add_ahead(&mut self, machine: M, ahead: Duration) {
        let host = self.host(machine.me());
        let state = &mut self.hosts[host as usize];
        assert!(state.machine.is_none(), "one node at a time runs at {:?}", state.handle);
        state.machine = Some(machine);
        state.silent = false;
        state.ahead = ahead;
        state.awake_since = self.now;
        state.froze = None;
        state.disk = self.writing.map(|_| disk::Disk::default());
        let node = state.handle;
        self.trace.add(self.now, || What::Fate { node, verb: "starts" });
        self.schedule_wakeup(host);
        self.report(host);
    }

    /// Gives a node a command, now.
    pub fn command(&mut self, node: NodeHandle, command: M::Command) {
        self.command_at(self.now, node, command);
    }

    /// Gives a node a command at a time to come, if it still runs then.
    pub fn command_at(&mut self, at: Time, node: NodeHandle, command: M::Command) {
        let node = self.host(node);
        self.queue.push(at.max(self.now), Event::Command { node, command });
    }

    /// The machines that run, in the order in which their addresses were first named.
    pub fn machines(&self) -> impl Iterator<Item = &M> {
        self.hosts.iter().filter_map(|host| host.machine.as_ref())
    }

    /// The machine that runs at `node`.
    pub fn get(&self, node: NodeHandle) -> Option<&M> {
        let host = self.by_id.get(&node.id())?;
        self.hosts[*host as usize].machine.as_ref()
    }

    /// What is under way to nodes that run, in no particular order; a queue that waits for
    /// a frozen node included.
    pub fn in_flight(&self) -> impl Iterator<Item = InFlight<'_, M::Message>> {
        let travelling = self.queue.iter().filter_map(|(arrives, event)| match event {
            Event::Arrival { from, to, incarnation, message } => {
                let (from, to) = (&self.hosts[*from as usize], &self.hosts[*to as usize]);
                (to.incarnation == *incarnation && to.machine.is_some()).then_some(InFlight {
                    from: from.handle,
                    to: to.handle,
                    arrives,
                    message,
                })
            }
            _ => None,
        });
        let waiting = self.hosts.iter().flat_map(|host| {
            host.backlog.iter().filter_map(|input| match input {
                Input::Message { from, message } => {
                    Some(InFlight { from: *from, to: host.handle, arrives: self.now, message })
                }
                _ => None,
            })
        });
        travelling.chain(waiting)
    }

    /// Lets the next event happen; returns whether there was one.
    pub fn step(&mut self) -> bool {
        self.step_until(Time::from_micros(u64::MAX))
    }

    /// Lets everything happen up to and including `end`.
    pub fn run_until(&mut self, end: Time) {
        while self.step_until(end) {}
        self.now = self.now.max(end);
    }

    /// Lets everything happen for so long.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Lets things happen until `condition` holds, which is asked before the first event and
    /// after each; returns whether it came to hold by `deadline`.
    ///
    /// For a condition that looks at every node, see [`Network::poll_until`].
    pub fn run_until_condition(
        &mut self,
        deadline: Time,
        mut condition: impl FnMut(&Network<M>) -> bool,
    ) -> bool {
        loop {
            if condition(self) {
                return true;
            }
            if !self.step_until(deadline) {
                self.now = self.now.max(deadline);
                return false;
            }
        }
    }

    /// Lets things happen until `condition` holds, which is asked first now and then each time
    /// that `every` has passed; returns whether it came to hold by `deadline`.
    pub fn poll_until(
        &mut self,
        deadline: Time,
        every: Duration,
        mut condition: impl FnMut(&Network<M>) -> bool,
    ) -> bool {
        assert!(Duration::ZERO < every, "time passes between two questions");
        loop {
            if condition(self) {
                return true;
            }
            if deadline <= self.now {
                return false;
            }
            self.run_until(deadline.min(self.now + every));
        }
    }

    /// Lets the next event happen if it is not later than `end`.
    fn step_until(&mut self, end: Time) -> bool {
        while self.queue.next_time().is_some_and(|at| at <= end) {
            let Some((at, event)) = self.queue.pop() else { return false };
            self.now = at;
            if let Some(host) = self.happen(event) {
                self.report(host);
                return true;
            }
        }
        false
    }

    /// Performs `event`; returns whom it happened to, unless it was void.
    fn happen(&mut self, event: Event<M>) -> Option<Host> {
        match event {
            Event::Arrival { from, to, incarnation, message } => self.arrive(from, to, incarnation, message),
            Event::Unreachable { node, incarnation, peer } => self.break_link(node, incarnation, peer),
            Event::Command { node, command } => self.give(node, Input::Command(command)),
            Event::Wakeup { node } => self.wake(node),
            Event::Thaw { node } => self.thaw(node),
            Event::Backlog { node, incarnation } => self.drain_backlog(node, incarnation),
            Event::Write { node, incarnation } => self.write(node, incarnation),
            Event::Written { node, incarnation } => self.written(node, incarnation),
        }
    }

    /// Hands `input` to the machine at `host`, or keeps it while that is frozen.
    fn give(&mut self, host: Host, input: Input<M::Command, M::Message>) -> Option<Host> {
        let state = &mut self.hosts[host as usize];
        state.machine.as_ref()?;
        if state.frozen_until.is_some() || !state.backlog.is_empty() {
            state.backlog.push_back(input);
            return None;
        }
        self.handle(host, input);
        self.schedule_wakeup(host);
        Some(host)
    }

    /// One atomic step of the machine at `host`.
    fn handle(&mut self, host: Host, input: Input<M::Command, M::Message>) {
        let state = &mut self.hosts[host as usize];
        let Some(machine) = &mut state.machine else { return };
        let node = state.handle;
        self.counters.inputs += 1;
        self.trace.add(self.now, || What::of(node, &input));
        self.fingerprint = mixed(self.fingerprint ^ mixed(self.now.as_micros()) ^ u64::from(host));

        let mut outputs = std::mem::take(&mut self.outputs);
        machine.handle(self.now + state.ahead, input, &mut outputs);
        let mut stops = false;
        for output in outputs.drain(..) {
            if let Some(output) = self.through_disk(host, output) {
                stops |= self.perform(host, output);
            }
        }
        self.outputs = outputs;
        self.mind_disk(host);
        if stops {
            self.end(host, faults::STOPS, false);
        }
    }

    /// Does what the machine at `host` has put out; returns whether it stops.
    fn perform(&mut self, host: Host, output: Output<M::Event, M::Message>) -> bool {
        let node = self.hosts[host as usize].handle;
        match output {
            Output::Send { to, message } => {
                self.observed(|network, observer| observer.sent(network, node, to, &message));
                self.send(host, to, &message);
            }
            Output::Event(event) => self.told.push((node, event)),
            Output::Stop => return true,
            // There is no disk.
            Output::Keep(_) => {}
        }
        false
    }

    fn wake(&mut self, host: Host) -> Option<Host> {
        let state = &mut self.hosts[host as usize];
        let at = state.wakeups.pop();
        assert_eq!(at, Some(self.now), "the last of a host's wake-ups is the first in the queue");
        let busy = state.frozen_until.is_some() || !state.backlog.is_empty();
        state.machine.as_ref()?;
        let due = state.next_wakeup().is_some_and(|at| at <= self.now);
        if busy || !due {
            self.schedule_wakeup(host);
            return None;
        }
        state.woken = if state.woken.0 == self.now { (self.now, state.woken.1 + 1) } else { (self.now, 1) };
        assert!(
            state.woken.1 <= WAKEUPS_AT_ONCE_MAX,
            "a node that was woken wants to wake up later: {:?}",
            state.handle
        );
        self.counters.wakeups += 1;
        self.handle(host, Input::Wakeup);
        self.schedule_wakeup(host);
        Some(host)
    }

    /// Sees to it that the queue holds a wake-up for `host` that is not too late.
    ///
    /// One that turns out to be too early costs another look at the clock, and no more:
    /// so a deadline that is put off with every message is not put into the queue each time.
    fn schedule_wakeup(&mut self, host: Host) {
        let state = &mut self.hosts[host as usize];
        if state.frozen_until.is_some() || !state.backlog.is_empty() {
            return;
        }
        let Some(at) = state.next_wakeup() else { return };
        let at = at.max(self.now);
        if state.wakeups.last().is_none_or(|earliest| at < *earliest) {
            state.wakeups.push(at);
            self.queue.push(at, Event::Wakeup { node: host });
        }
    }

    /// Tells the observers what happened to `host`.
    fn report(&mut self, host: Host) {
        if self.observers.is_empty() {
            self.told.clear();
            return;
        }
        let node = self.hosts[host as usize].handle;
        let mut told = std::mem::take(&mut self.told);
        self.observed(|network, observer| {
            for (teller, event) in &told {
                observer.told(network, *teller, event);
            }
            observer.after(network, node);
        });
        told.clear();
        self.told = told;
    }

    /// Lets the observers see something.
    fn observed(&mut self, mut see: impl FnMut(&Network<M>, &mut dyn Observer<M>)) {
        let mut observers = std::mem::take(&mut self.observers);
        for observer in &mut observers {
            see(self, &mut **observer);
        }
        self.observers = observers;
    }

    /// The number of the host of `node`, which is given one when it is first named.
    fn host(&mut self, node: NodeHandle) -> Host {
        if let Some(host) = self.by_id.get(&node.id()) {
            return *host;
        }
        let host = Host::try_from(self.hosts.len()).expect("memory ends before 2^32 hosts are named");
        self.hosts.push(HostState {
            handle: node,
            machine: None,
            incarnation: 0,
            ahead: Duration::ZERO,
            silent: false,
            frozen_until: None,
            awake_since: START,
            froze: None,
            backlog: VecDeque::new(),
            disk: None,
            items: disk::Items::new(),
            wakeups: Vec::new(),
            woken: (START, 0),
        });
        self.by_id.insert(node.id(), host);
        host
    }
}
