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

use std::time::Duration;

use rand::RngExt;

use super::faults::Cut;
use super::{Event, Host, Network, mixed};
use crate::id::NodeHandle;
use crate::machine::Input;
use crate::sim::links::Order;
use crate::sim::{Simulated, What, carried};
use crate::time::Time;

/// How many links a host may have before those that are idle are forgotten.
pub(super) const LINKS_AT_FIRST: usize = 64;

/// What a host knows of its connection to one peer.
pub(super) struct Link<G> {
    /// When the last message that was sent this way arrives.
    last_arrival: Time,
    /// When a message was last sent, either way.
    used: Time,
    /// The incarnation of the peer that the connection was made with, while there is one.
    connection: Option<u32>,
    /// Whether `Unreachable` is on its way.
    breaking: bool,
    /// What comes back with it.
    #[expect(clippy::box_collection, reason = "there are many links, and few have anything to give back")]
    returning: Option<Box<Vec<G>>>,
}

impl<G> Link<G> {
    fn new(now: Time) -> Link<G> {
        Link { last_arrival: now, used: now, connection: None, breaking: false, returning: None }
    }

    fn is_idle(&self, now: Time, idle: Duration) -> bool {
        !self.breaking && self.last_arrival < now && self.used + idle < now
    }
}

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
        if self.connect(from, to).is_some_and(|connection| connection != incarnation) {
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
        let (now, idle) = (self.now, self.links.idle);
        let link = self.link(from, to);
        let was_open = link.connection.is_some() && !link.is_idle(now, idle) && link.returning.is_none();
        if was_open {
            self.break_soon(from, to);
            return self.lose(from, to, message);
        }
        self.give_back(from, to, message);
    }

    /// Lets `message` come back with the next `Unreachable`.
    fn give_back(&mut self, from: Host, to: Host, message: M::Message) {
        self.counters.returned += 1;
        self.link(from, to).returning.get_or_insert_default().push(message);
        self.break_soon(from, to);
    }

    /// Lets `node` learn after one latency that `peer` cannot be reached, unless it is about to.
    pub(super) fn break_soon(&mut self, node: Host, peer: Host) {
        let link = self.link(node, peer);
        if link.breaking {
            return;
        }
        link.breaking = true;
        let at = self.arrival(peer, node);
        let incarnation = self.hosts[node as usize].incarnation;
        self.queue.push(at, Event::Unreachable { node, incarnation, peer });
    }

    /// `node` learns that it cannot reach `peer`.
    pub(super) fn break_link(&mut self, node: Host, incarnation: u32, peer: Host) -> Option<Host> {
        let there = &self.hosts[peer as usize];
        let (handle, current) = (there.handle, there.machine.is_some().then_some(there.incarnation));
        let state = &mut self.hosts[node as usize];
        if state.incarnation != incarnation {
            return None;
        }
        let link = state.links.get_mut(&peer)?;
        link.breaking = false;
        // A new connection may have been made meanwhile.
        link.connection = link.connection.filter(|connection| Some(*connection) == current);
        let undelivered = link.returning.take().map_or_else(Vec::new, |returning| *returning);
        self.give(node, Input::Unreachable { peer: handle, undelivered })
    }

    /// Opens a connection unless one is open, in both directions, and notes that it is used.
    /// Returns with which incarnation of `to` it was made, if that may be another than now.
    fn connect(&mut self, from: Host, to: Host) -> Option<u32> {
        let (now, idle) = (self.now, self.links.idle);
        let incarnations = (self.hosts[from as usize].incarnation, self.hosts[to as usize].incarnation);
        let link = self.link(from, to);
        if link.is_idle(now, idle) {
            link.connection = None;
        }
        link.used = now;
        if let Some(connection) = link.connection
            && connection != incarnations.1
        {
            return Some(connection);
        }
        link.connection = Some(incarnations.1);
        let back = self.link(to, from);
        back.used = now;
        back.connection = Some(incarnations.0);
        None
    }

    /// Those who have a connection to `host`, and forgets what it knew of them.
    pub(super) fn disconnect(&mut self, host: Host) -> Vec<Host> {
        let (now, idle) = (self.now, self.links.idle);
        let links = &mut self.hosts[host as usize].links;
        let connected = |link: &Link<M::Message>| link.connection.is_some() && !link.is_idle(now, idle);
        let peers = links.iter().filter(|(_, link)| connected(link)).map(|(peer, _)| *peer).collect();
        for link in links.values_mut() {
            // What was sent stays sent, so the order of arrival is kept.
            *link = Link { last_arrival: link.last_arrival, ..Link::new(now) };
        }
        peers
    }

    /// When what is sent now from one host to another arrives there.
    fn arrival(&mut self, from: Host, to: Host) -> Time {
        let at = self.now + self.links.latency(self.trace.seed(), from, to, &mut self.rng);
        if self.links.order == Order::Any {
            return at;
        }
        let link = self.link(from, to);
        link.last_arrival = link.last_arrival.max(at);
        link.last_arrival
    }

    fn link(&mut self, from: Host, to: Host) -> &mut Link<M::Message> {
        let (now, idle) = (self.now, self.links.idle);
        let state = &mut self.hosts[from as usize];
        if state.links_max < state.links.len() {
            state.links.retain(|_, link| !link.is_idle(now, idle));
            state.links_max = 2 * state.links.len().max(LINKS_AT_FIRST);
        }
        state.links.entry(to).or_insert_with(|| Link::new(now))
    }
}
