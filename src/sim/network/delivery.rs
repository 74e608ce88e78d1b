//! How a message travels, as over TCP.
//!
//! ```text
//! node runs                        it arrives after the link's latency
//! nobody runs at the address       all that is sent within one latency comes back as `Unreachable`
//! node crashes with connections    each peer gets `Unreachable { undelivered: [] }`;
//!                                  what was under way is lost without a word
//! host vanishes                    nothing comes back at all
//! host is back, peer did not know  what the peer sends first breaks the old connection, and is lost
//! ```

use rand::RngExt;

use super::faults::Cut;
use super::{Event, Host, Network, mixed};
use crate::id::NodeHandle;
use crate::machine::Input;
use crate::sim::links::Order;
use crate::sim::{Simulated, What, carried};
use crate::time::Time;

impl<M: Simulated> Network<M> {
    /// Sends `message` on its way.
    pub(super) fn send(&mut self, from: Host, to: NodeHandle, message: &M::Message) {
        let to = self.host(to);
        let message = carried(message, &mut self.buffer);
        self.count(&message);
        let recipient = &self.hosts[to as usize];
        let (runs, silent, incarnation) =
            (recipient.machine.is_some(), recipient.silent, recipient.incarnation);
        if from == to {
            self.queue.push(self.now, Event::Arrival { from, to, incarnation, message });
            return;
        }
        match self.cut_between(from, to) {
            Some(Cut::Silent) => return self.lose(from, to, message),
            Some(Cut::Refused) => return self.give_back(from, to, message),
            None if runs => {}
            None if silent => return self.lose(from, to, message),
            None => return self.bounce(from, to, message),
        }
        let sender = self.hosts[from as usize].incarnation;
        if self.connections.open((from, sender), (to, incarnation), self.now, self.links.idle) {
            // The peer knows nothing of this connection.
            self.break_soon(from, to);
            return self.lose(from, to, message);
        }
        if 0.0 < self.links.duplicates && self.rng.random_bool(self.links.duplicates) {
            self.counters.duplicated += 1;
            self.transmit(from, to, incarnation, message.clone());
        }
        self.transmit(from, to, incarnation, message);
    }

    fn transmit(&mut self, from: Host, to: Host, incarnation: u32, message: M::Message) {
        if 0.0 < self.links.loss && self.rng.random_bool(self.links.loss) {
            return self.lose(from, to, message);
        }
        let at = self.arrival(from, to);
        self.queue.push(at, Event::Arrival { from, to, incarnation, message });
    }

    fn count(&mut self, message: &M::Message) {
        let bytes = self.buffer.len() as u64;
        self.counters.messages += 1;
        self.counters.bytes += bytes;
        if let Some(kind) = self.kind {
            let (messages, total) = self.counters.kinds.entry(kind(message)).or_default();
            *messages += 1;
            *total += bytes;
        }
        for chunk in self.buffer.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fingerprint =
                (self.fingerprint ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.fingerprint = mixed(self.fingerprint);
    }

    fn lose(&mut self, from: Host, to: Host, message: M::Message) {
        self.counters.lost += 1;
        let (from, to) = (self.hosts[from as usize].handle, self.hosts[to as usize].handle);
        self.trace.add(self.now, || What::Lost { from, to, message });
    }

    /// A message comes to its recipient, or to what is there now.
    pub(super) fn arrive(
        &mut self,
        from: Host,
        to: Host,
        incarnation: u32,
        message: M::Message,
    ) -> Option<Host> {
        let recipient = &self.hosts[to as usize];
        let gone = recipient.machine.is_none() || recipient.incarnation != incarnation;
        if gone || self.cut_between(from, to).is_some() {
            self.lose(from, to, message);
            return None;
        }
        let from = self.hosts[from as usize].handle;
        self.give(to, Input::Message { from, message })
    }

    /// Nobody runs at `to`: a connection to it is refused, unless one was open until now.
    fn bounce(&mut self, from: Host, to: Host, message: M::Message) {
        let refused = self.breaking.get(&(from, to)).is_some_and(|undelivered| !undelivered.is_empty());
        if !refused && self.connections.peer(from, to, self.now, self.links.idle).is_some() {
            self.break_soon(from, to);
            return self.lose(from, to, message);
        }
        self.give_back(from, to, message);
    }

    /// Lets `message` come back with the next `Unreachable`.
    fn give_back(&mut self, from: Host, to: Host, message: M::Message) {
        self.counters.returned += 1;
        self.break_soon(from, to);
        self.breaking.entry((from, to)).or_default().push(message);
    }

    /// Lets `node` learn after one latency that `peer` cannot be reached, unless it is about to.
    pub(super) fn break_soon(&mut self, node: Host, peer: Host) {
        if self.breaking.contains_key(&(node, peer)) {
            return;
        }
        self.breaking.insert((node, peer), Vec::new());
        let at = self.arrival(peer, node);
        let incarnation = self.hosts[node as usize].incarnation;
        self.queue.push(at, Event::Unreachable { node, incarnation, peer });
    }

    /// `node` learns that it cannot reach `peer`.
    pub(super) fn break_link(&mut self, node: Host, incarnation: u32, peer: Host) -> Option<Host> {
        if self.hosts[node as usize].incarnation != incarnation {
            return None;
        }
        let undelivered = self.breaking.remove(&(node, peer))?;
        // A new connection may have been made meanwhile.
        let there = &self.hosts[peer as usize];
        let current = there.machine.is_some().then_some(there.incarnation);
        self.connections.close(node, peer, current);
        let peer = there.handle;
        self.give(node, Input::Unreachable { peer, undelivered })
    }

    /// When what is sent now from one host to another arrives there.
    fn arrival(&mut self, from: Host, to: Host) -> Time {
        let at = self.now + self.links.latency(self.trace.seed(), from, to, &mut self.rng);
        match self.links.order {
            Order::Fifo => self.connections.in_order(from, to, at, self.now, self.links.idle),
            Order::Any => at,
        }
    }
}
