//! The round trip: how long an answer takes, and after which time it is late.
//!
//! After Jacobson ("Congestion Avoidance and Control", SIGCOMM 1988), with the numbers of RFC 6298.

use std::time::Duration;

use super::request::REQUEST_DEADLINE;

/// How long the first answer is waited for, before anything was measured.
const PAUSE_AT_FIRST: Duration = Duration::from_millis(400);

/// No answer is late sooner: a process may have to wait for its core.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// However long answers have taken, one is late after this.
const PAUSE_MAX: Duration = Duration::from_millis(1600);

/// What the answers to a node's requests have taken: all of them together, for a request finds its way
/// through other nodes than the one before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoundTrip {
    /// In microseconds.
    smoothed: Option<u64>,
    /// The mean distance from `smoothed`, in microseconds.
    variation: u64,
    pause: Duration,
}

impl RoundTrip {
    pub(super) fn new() -> RoundTrip {
        RoundTrip { smoothed: None, variation: 0, pause: PAUSE_AT_FIRST }
    }

    /// After how long without an answer a request that is sent now is late, 50 ms to 1.6 s.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// A request that was sent once was answered after `took`.
    pub(super) fn measured(&mut self, took: Duration) {
        // No request waits longer, and so the sums below have room.
        let took = took.min(REQUEST_DEADLINE).as_micros() as u64;
        let smoothed = match self.smoothed {
            None => {
                self.variation = took / 2;
                took
            }
            Some(smoothed) => {
                self.variation = (3 * self.variation + smoothed.abs_diff(took)) / 4;
                (7 * smoothed + took) / 8
            }
        };
        self.smoothed = Some(smoothed);
        let pause = Duration::from_micros(smoothed + 4 * self.variation);
        self.pause = pause.clamp(PAUSE_MIN, PAUSE_MAX);
    }

    /// A request was answered that had been sent again: nobody knows which one the answer is for.
    ///
    /// "When an acknowledgement arrives for a packet that has been sent more than once, ignore any
    /// round-trip measurement", and wait longer until there is one (Karn and Partridge, SIGCOMM 1987).
    pub(super) fn was_late(&mut self) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn measured(times: impl IntoIterator<Item = Duration>) -> RoundTrip {
        let mut round_trip = RoundTrip::new();
        times.into_iter().for_each(|took| round_trip.measured(took));
        round_trip
    }

    #[test]
    fn an_answer_is_late_when_it_takes_longer_than_usual_by_four_times_the_variation() {
        assert_eq!(RoundTrip::new().pause(), 400 * MS);
        assert_eq!(measured([100 * MS]).pause(), 300 * MS, "the variation is half of the first");
        assert_eq!(measured([100 * MS, 180 * MS]).pause(), (110 + 4 * 57) * MS + 2 * MS);
        let steady = measured([100 * MS; 40]).pause();
        assert!((100 * MS..102 * MS).contains(&steady), "{steady:?}");
    }

    #[test]
    fn a_pause_has_bounds_however_fast_or_slow_the_network_is() {
        assert_eq!(measured([MS; 9]).pause(), PAUSE_MIN);
        assert_eq!(measured([Duration::from_secs(5); 9]).pause(), PAUSE_MAX);
        assert_eq!(measured([Duration::MAX; 2]).pause(), PAUSE_MAX);
    }

    #[test]
    fn a_network_that_has_become_slow_is_measured_again_after_a_few_late_answers() {
        let mut round_trip = measured([MS; 9]);
        let slow = 700 * MS;
        let mut late = 0;
        while round_trip.pause() < slow {
            round_trip.was_late();
            late += 1;
        }
        assert_eq!(late, 4);
        round_trip.measured(slow);
        assert!(slow < round_trip.pause());
    }
}
