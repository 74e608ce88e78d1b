//! The clock of a node: the wall clock, read once, and a monotonic clock from there on.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Time;

/// Tells the [`Time`]; it never goes backwards, whatever happens to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Time,
    started: Instant,
}

impl Clock {
    /// Reads the wall clock, for the only time.
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { wall: Time::default() + wall, started: Instant::now() }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> Time {
        self.wall + instant.duration_since(self.started)
    }

    pub(super) fn instant(&self, time: Time) -> Instant {
        self.started + time.since(self.wall)
    }
}
