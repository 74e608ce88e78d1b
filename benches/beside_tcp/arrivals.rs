//! The last of many receivers says when it has got everything; the same for plain TCP and for chat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Counts what has arrived at all receivers together.
#[derive(Clone)]
pub struct Arrivals(Arc<Counter>);

struct Counter {
    began: Instant,
    arrived: AtomicUsize,
    expected: AtomicUsize,
    /// When the last one arrived, in nanoseconds since `began`.
    last: AtomicU64,
    complete: Notify,
}

impl Arrivals {
    /// Nothing is expected.
    pub fn new() -> Arrivals {
        Arrivals(Arc::new(Counter {
            began: Instant::now(),
            arrived: AtomicUsize::new(0),
            expected: AtomicUsize::new(usize::MAX),
            last: AtomicU64::new(0),
            complete: Notify::new(),
        }))
    }

    /// From now on, so many are expected.
    pub fn expect(&self, count: usize) {
        self.0.arrived.store(0, Ordering::SeqCst);
        self.0.expected.store(count, Ordering::SeqCst);
    }

    /// So many have arrived at one receiver.
    pub fn add(&self, count: usize) {
        let arrived = self.0.arrived.fetch_add(count, Ordering::SeqCst) + count;
        if arrived == self.0.expected.load(Ordering::SeqCst) {
            let nanos = u64::try_from(self.0.began.elapsed().as_nanos()).expect("a short run");
            self.0.last.store(nanos, Ordering::SeqCst);
            self.0.complete.notify_one();
        }
    }

    /// Waits for all, and returns when the last one arrived.
    pub async fn complete(&self) -> Instant {
        self.0.complete.notified().await;
        self.0.began + Duration::from_nanos(self.0.last.load(Ordering::SeqCst))
    }
}
