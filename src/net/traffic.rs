//! What can be read of a driver while it runs: what it counts, and its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::connections::{Asked, Connection};

/// How many readers may wait for the connections; more wait until there is room.
const READERS_MAX: usize = 64;

/// Reads one driver: its counters since its start, and its connections.
///
/// The driver's task alone counts, so nothing waits for anything: a reader may see one counter a
/// moment before another.
#[derive(Clone, Debug)]
pub struct Traffic {
    counters: Arc<Counters>,
    ask: mpsc::Sender<Asked>,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    lookups: AtomicU64,
}

impl Traffic {
    /// A new one, and where it asks the driver.
    pub(super) fn new() -> (Traffic, mpsc::Receiver<Asked>) {
        let (ask, asked) = mpsc::channel(READERS_MAX);
        (Traffic { counters: Arc::default(), ask }, asked)
    }

    /// The connections that the driver has now, in the order of the peers' ids; nothing if it has ended.
    pub async fn connections(&self) -> Option<Vec<Connection>> {
        let (asked, answer) = oneshot::channel();
        self.ask.send(asked).await.ok()?;
        answer.await.ok()
    }

    /// Messages whose last byte the system has taken, on any connection.
    pub fn sent(&self) -> u64 {
        self.counters.sent.load(Ordering::Relaxed)
    }

    /// Messages of other nodes that were handed to the machine.
    pub fn received(&self) -> u64 {
        self.counters.received.load(Ordering::Relaxed)
    }

    /// Lookups that this node has begun: messages on their way to the root of a key, or to a node's
    /// place, of which it is the origin.
    /// One that is sent again is the same lookup, and one that this node can answer itself is none.
    pub fn lookups(&self) -> u64 {
        self.counters.lookups.load(Ordering::Relaxed)
    }

    pub(super) fn count_sent(&self, messages: u64) {
        self.counters.sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn count_received(&self, messages: u64) {
        self.counters.received.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn count_lookup(&self) {
        self.counters.lookups.fetch_add(1, Ordering::Relaxed);
    }
}
