//! What a driver counts, for whoever wants to read it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one driver since its start; a clone reads the same ones.
///
/// The driver's task alone counts, so nothing waits for anything: a reader may see one counter a
/// moment before another.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    lookups: AtomicU64,
}

impl Traffic {
    /// Messages whose last byte the system has taken, on any connection.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Messages of other nodes that were handed to the machine.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Lookups that this node has begun: messages on their way to the root of a key, or to a node's
    /// place, of which it is the origin.
    /// One that is sent again is the same lookup, and one that this node can answer itself is none.
    pub fn lookups(&self) -> u64 {
        self.0.lookups.load(Ordering::Relaxed)
    }

    pub(super) fn count_sent(&self, messages: u64) {
        self.0.sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn count_received(&self, messages: u64) {
        self.0.received.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn count_lookup(&self) {
        self.0.lookups.fetch_add(1, Ordering::Relaxed);
    }
}
