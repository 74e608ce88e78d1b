//! What can be read of a driver while it runs: what it counts, and its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::connections::{Asked, Connection};
use crate::id::NodeHandle;
use crate::time::Time;

/// How many readers may wait for the connections; more wait until there is room.
const READERS_MAX: usize = 64;

/// How many messages are kept for a watcher; who is further behind misses the oldest.
const PASSED_MAX: usize = 256;

/// Reads one driver: its counters since its start, its connections, and the messages that pass.
///
/// The driver's task alone counts, so nothing waits for anything: a reader may see one counter a
/// moment before another.
#[derive(Clone, Debug)]
pub struct Traffic {
    since: Time,
    counters: Arc<Counters>,
    ask: mpsc::Sender<Asked>,
    passed: broadcast::Sender<Passed>,
}

/// A message that has passed between this node and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passed {
    /// Who has sent it.
    pub from: NodeHandle,
    /// Whom it is for.
    pub to: NodeHandle,
    /// What it is about; see [`Machine::topic`](crate::machine::Machine::topic).
    pub topic: &'static str,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    lookups: AtomicU64,
}

impl Traffic {
    /// A new one, for a driver that is made at this time, and where it asks that.
    pub(super) fn new(since: Time) -> (Traffic, mpsc::Receiver<Asked>) {
        let (ask, asked) = mpsc::channel(READERS_MAX);
        (Traffic { since, counters: Arc::default(), ask, passed: broadcast::Sender::new(PASSED_MAX) }, asked)
    }

    /// When the driver was made.
    pub fn since(&self) -> Time {
        self.since
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

    /// The messages that pass from now on, those that have a topic: each when it is queued, or handed to the machine.
    pub fn watch(&self) -> broadcast::Receiver<Passed> {
        self.passed.subscribe()
    }

    /// A message passes, whose topic is told to whoever watches.
    pub(super) fn pass(
        &self,
        from: NodeHandle,
        to: NodeHandle,
        topic: impl FnOnce() -> Option<&'static str>,
    ) {
        if 0 < self.passed.receiver_count()
            && let Some(topic) = topic()
        {
            // Whoever watched may have gone just now.
            let _ = self.passed.send(Passed { from, to, topic });
        }
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
