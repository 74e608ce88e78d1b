//! A connection ends in good order: each side says that it will write no more.
//!
//! ```text
//! A: idle, or A leaves                           B
//!   │ ── … the rest of A's queue, goodbye ─────► │   B has all that A ever wrote
//!   │ ◄───── … the rest of B's queue, goodbye ── │   A has all that B ever wrote
//!   both close; what was queued meanwhile goes over a new connection
//! ```
//!
//! The kernel of a killed process ends its connections as politely as a program does.
//! So an end without a goodbye means that the peer has crashed: it is told at once.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::frames::Ended;
use super::greeting::Greeted;
use super::outbox::Outbox;
use super::peers::{LinkName, Peers, State, Writer};
use crate::id::NodeHandle;

/// The frame that nothing follows.
const GOODBYE: &[u8] = &[];

/// What there is to know about a connection that ends.
pub(super) struct Closing {
    /// Until when the other side has to say goodbye; later if it still reads or writes.
    pub until: Instant,
    /// This node has queued its goodbye.
    pub said: bool,
    /// The peer's goodbye has come.
    pub heard: bool,
    /// What was to be sent since then: it goes over the next connection.
    pub later: Outbox,
    /// The next connection, which the peer has made already.
    pub parked: Option<Box<Greeted>>,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Peers<T> {
    /// Says goodbye on an open connection.
    pub fn close(&mut self, peer: NodeHandle) {
        self.start_closing(peer, None);
        self.say_goodbye(peer);
    }

    /// Waits for the end of a connection that the peer has replaced by `parked`.
    pub fn replace(&mut self, parked: Greeted) {
        self.start_closing(parked.peer, Some(Box::new(parked)));
    }

    fn start_closing(&mut self, peer: NodeHandle, parked: Option<Box<Greeted>>) {
        let until = self.now + self.greeter.config.goodbye;
        let Some(mut entry) = self.peers.remove(&peer) else { return };
        if let State::Open(link) = entry.state {
            let closing = Closing { until, said: false, heard: false, later: Outbox::default(), parked };
            entry.state = State::Closing(link, closing);
            self.check_by(until);
        }
        self.peers.insert(peer, entry);
    }

    fn say_goodbye(&mut self, peer: NodeHandle) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && let State::Closing(_, closing) = &mut entry.state
            && !closing.said
        {
            closing.said = true;
            entry.outbox.push_control(GOODBYE);
            self.flush_one(peer);
        }
    }

    /// The reading side of a connection has come to its end.
    pub fn on_ended(&mut self, link: LinkName, how: &Ended) {
        let peer = link.peer;
        if self.link(link).is_none() {
            return;
        }
        if *how == Ended::Broken {
            self.give_up(peer);
            return;
        }
        self.start_closing(peer, None);
        if let Some(entry) = self.peers.get_mut(&peer)
            && let State::Closing(_, closing) = &mut entry.state
        {
            closing.heard = true;
        }
        self.say_goodbye(peer);
        self.after_flush(peer);
    }

    /// Ends a connection once both goodbyes are through.
    pub fn after_flush(&mut self, peer: NodeHandle) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let State::Closing(link, closing) = &mut entry.state else { return };
        if closing.said && entry.outbox.is_empty() && matches!(link.writer, Writer::Ready(_)) {
            // Dropping the half tells the system that nothing follows.
            link.writer = Writer::Shut;
        }
        match link.writer {
            Writer::Shut if closing.heard => self.closed(peer),
            // Its reader has ended already, so nobody else will say that it broke.
            Writer::Broken if closing.heard => self.give_up(peer),
            _ => {}
        }
    }

    fn closed(&mut self, peer: NodeHandle) {
        let Some(entry) = self.peers.remove(&peer) else { return };
        let State::Closing(_, closing) = entry.state else { return };
        match closing.parked {
            Some(parked) => self.open(*parked, closing.later),
            None if closing.later.is_empty() => {}
            None => self.dial(peer, closing.later),
        }
    }

    /// The node has left: says goodbye to everyone, after what is still queued.
    pub fn stop(&mut self) {
        self.is_stopping = true;
        let open = self.peers.iter().filter(|(_, entry)| matches!(entry.state, State::Open(_)));
        let open: Vec<_> = open.map(|(peer, _)| *peer).collect();
        for peer in open {
            self.close(peer);
        }
    }

    /// Ends all connections and tasks at once.
    pub async fn abort(&mut self) {
        self.peers.clear();
        self.tasks.shutdown().await;
    }
}
