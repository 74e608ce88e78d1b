//! The clock of a node: the wall clock, read once, and from there on a clock that never goes back, and goes on while
//! the machine is suspended.
//!
//! The clock by which tokio waits stands still meanwhile; what it has missed is added.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Time;

/// Tells the [`Time`]; it never goes backwards, whatever happens to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Time,
    started: Instant,
    /// For how long the machine has been suspended since it was started.
    suspended: fn() -> Duration,
    /// The same when this clock began.
    suspended_before: Duration,
}

impl Clock {
    /// Reads the wall clock, for the only time.
    pub fn start() -> Clock {
        Clock::with(suspended)
    }

    fn with(suspended: fn() -> Duration) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (wall, started) = (Time::default() + wall, Instant::now());
        Clock { wall, started, suspended, suspended_before: suspended() }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> Time {
        self.wall + instant.duration_since(self.started) + self.missed()
    }

    pub(super) fn instant(&self, time: Time) -> Instant {
        self.started + time.since(self.wall).saturating_sub(self.missed())
    }

    /// What tokio's clock has missed.
    fn missed(&self) -> Duration {
        (self.suspended)().saturating_sub(self.suspended_before)
    }
}

/// How much is not told from what passes between reading two clocks.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READ_WITHIN: Duration = Duration::from_millis(200);

/// It is as much as was seen last, unless it is clearly more: so it never goes back.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn suspended() -> Duration {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::time::{ClockId, clock_gettime};

    static SEEN: AtomicU64 = AtomicU64::new(0);
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // In this order: what passes between the two does not count as suspended.
    let boot_time = read(ClockId::Boottime);
    let difference = boot_time.saturating_sub(read(ClockId::Monotonic));
    let seen = Duration::from_micros(SEEN.load(Ordering::Relaxed));
    if difference <= seen + READ_WITHIN {
        return seen;
    }
    let micros = u64::try_from(difference.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(SEEN.fetch_max(micros, Ordering::Relaxed).max(micros))
}

/// Elsewhere the system does not say so in a way that is the same for all.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn suspended() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_passes_while_the_machine_is_suspended_counts() {
        static SUSPENDED: AtomicU64 = AtomicU64::new(100);
        let clock = Clock::with(|| Duration::from_secs(SUSPENDED.load(Ordering::Relaxed)));
        let began = clock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        let due = clock.instant(began + Duration::from_secs(8));
        assert_eq!(
            (clock.now().since(began), due - Instant::now()),
            (Duration::from_secs(5), Duration::from_secs(3))
        );
        SUSPENDED.store(3700, Ordering::Relaxed);
        assert_eq!(clock.now().since(began), Duration::from_secs(3605));
        assert!(clock.instant(began + Duration::from_secs(8)) <= Instant::now(), "it is due");
    }

    #[test]
    fn the_time_never_goes_back() {
        let clock = Clock::start();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(last <= now, "{last:?} {now:?}");
            last = now;
        }
    }
}
