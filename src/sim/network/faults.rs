//! What goes wrong: crashes, silence, freezes, cuts.

use std::time::Duration;

use super::{Event, Host, Network};
use crate::id::NodeHandle;
use crate::sim::{START, Simulated, What};
use crate::time::Time;

/// What becomes of messages between two parts of a network that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing comes back.
    Silent,
    /// A router says that there is no way: `Unreachable` comes after one latency.
    Refused,
}

/// How it is told that a node has stopped by itself.
pub(super) const STOPS: &str = "stops";

/// Into which parts a network is cut.
pub(super) struct Division {
    cut: Cut,
    part: Box<dyn Fn(NodeHandle) -> u32>,
}

impl<M: Simulated> Network<M> {
    /// Kills a node: its peers' connections break, and its address refuses new ones.
    pub fn crash(&mut self, node: NodeHandle) {
        self.crash_at_once(&[node]);
    }

    /// Kills several nodes at the same moment.
    pub fn crash_at_once(&mut self, nodes: &[NodeHandle]) {
        let hosts: Vec<Host> = nodes.iter().map(|&node| self.fail(node, "crashes", false)).collect();
        for host in hosts {
            self.report(host);
        }
    }

    /// Cuts the power of a node's host: nothing answers, until a node is started there again.
    pub fn vanish(&mut self, node: NodeHandle) {
        let host = self.fail(node, "vanishes", true);
        self.report(host);
    }

    fn fail(&mut self, node: NodeHandle, verb: &'static str, silent: bool) -> Host {
        let host = self.host(node);
        assert!(self.hosts[host as usize].machine.is_some(), "only what runs {verb}: {node:?}");
        self.end(host, verb, silent);
        host
    }

    /// Ends the machine at `host`.
    pub(super) fn end(&mut self, host: Host, verb: &'static str, silent: bool) {
        let node = self.hosts[host as usize].handle;
        self.observed(|network, observer| observer.ends(network, node));
        self.trace.add(self.now, || What::Fate { node, verb });
        self.end_disk(host, verb == STOPS);
        let state = &mut self.hosts[host as usize];
        state.machine = None;
        let incarnation = state.incarnation;
        state.incarnation += 1;
        state.silent = silent;
        state.frozen_until = None;
        state.backlog.clear();
        let told: Vec<_> =
            self.breaking.range((host, 0)..=(host, Host::MAX)).map(|(pair, _)| *pair).collect();
        for pair in told {
            self.breaking.remove(&pair);
        }
        for peer in self.connections.end(host, incarnation, self.now, self.links.idle) {
            if !silent && self.cut_between(host, peer).is_none() {
                self.break_soon(peer, host);
            }
        }
    }

    /// Starts a node again, as `machine`, at the address where the former one ended.
    pub fn restart(&mut self, machine: M) {
        let host = self.host(machine.me());
        assert!(0 < self.hosts[host as usize].incarnation, "a node ran at {:?} before", machine.me());
        self.add(machine);
    }

    /// Stops a node as SIGSTOP does: what arrives waits, and the clock goes on.
    ///
    /// When the time is over, it gets what waited, in order, and then its wake-up.
    pub fn freeze(&mut self, node: NodeHandle, duration: Duration) {
        let host = self.host(node);
        let until = self.now + duration;
        let state = &mut self.hosts[host as usize];
        assert!(state.machine.is_some(), "only what runs freezes: {node:?}");
        if state.frozen_until.is_none() {
            state.froze = Some(self.now);
        }
        if state.frozen_until.is_none_or(|before| before < until) {
            state.frozen_until = Some(until);
            self.queue.push(until, Event::Thaw { node: host });
        }
        self.trace.add(self.now, || What::Fate { node, verb: "freezes" });
        self.report(host);
    }

    /// Whether `node` is frozen.
    pub fn is_frozen(&self, node: NodeHandle) -> bool {
        let host = self.by_id.get(&node.id());
        host.is_some_and(|host| self.hosts[*host as usize].frozen_until.is_some())
    }

    /// Since when what runs at `node` has run without being frozen, if it does.
    pub fn awake_since(&self, node: NodeHandle) -> Option<Time> {
        let host = &self.hosts[*self.by_id.get(&node.id())? as usize];
        (host.machine.is_some() && host.frozen_until.is_none()).then_some(host.awake_since)
    }

    /// Since when `a` and `b` can reach each other, as far as cuts go, if they can.
    ///
    /// Of earlier cuts, only the last one counts.
    pub fn reached_since(&self, a: NodeHandle, b: NodeHandle) -> Option<Time> {
        let parts = |division: &Division| (division.part)(a) != (division.part)(b);
        match (&self.division, &self.healed) {
            (Some(division), _) if parts(division) => None,
            (_, Some((division, healed))) if parts(division) => Some(*healed),
            _ => Some(START),
        }
    }

    pub(super) fn thaw(&mut self, host: Host) -> Option<Host> {
        let state = &mut self.hosts[host as usize];
        if state.frozen_until != Some(self.now) {
            return None;
        }
        state.frozen_until = None;
        state.awake_since = self.now;
        let (node, incarnation) = (state.handle, state.incarnation);
        self.trace.add(self.now, || What::Fate { node, verb: "goes on" });
        self.queue.push(self.now, Event::Backlog { node: host, incarnation });
        Some(host)
    }

    /// Hands over the first of what waited; the rest follows in steps of its own.
    pub(super) fn drain_backlog(&mut self, host: Host, incarnation: u32) -> Option<Host> {
        let state = &mut self.hosts[host as usize];
        if state.incarnation != incarnation || state.frozen_until.is_some() {
            return None;
        }
        let Some(input) = state.backlog.pop_front() else {
            self.schedule_wakeup(host);
            return None;
        };
        self.queue.push(self.now, Event::Backlog { node: host, incarnation });
        self.handle(host, input);
        Some(host)
    }

    /// Cuts the network into parts: nodes reach one another if `part` says the same of both.
    ///
    /// It holds for nodes that start later, too; an earlier cut is replaced.
    pub fn partition(&mut self, cut: Cut, part: impl Fn(NodeHandle) -> u32 + 'static) {
        self.trace.add(self.now, || What::Note(format!("the network is cut: {cut:?}")));
        self.division = Some(Division { cut, part: Box::new(part) });
    }

    /// Ends the partition.
    pub fn heal(&mut self) {
        self.trace.add(self.now, || What::Note("the network is whole".to_owned()));
        self.healed = self.division.take().map(|division| (division, self.now)).or(self.healed.take());
    }

    /// What happens to messages between two hosts, if they are cut from one another.
    pub(super) fn cut_between(&self, a: Host, b: Host) -> Option<Cut> {
        let division = self.division.as_ref()?;
        let part = |host: Host| (division.part)(self.hosts[host as usize].handle);
        (part(a) != part(b)).then_some(division.cut)
    }
}
