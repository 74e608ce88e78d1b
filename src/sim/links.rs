//! How messages travel: how long it takes, which are lost, which come twice, and in what order.

use std::time::Duration;

use rand::RngExt;

use super::SimRng;

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Anything from the first to the second, all equally likely.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean, at most 20 times the mean.
    ///
    /// The logarithm may differ in its last bit from one platform to another, and with it the run.
    Exponential(Duration),
}

impl Latency {
    /// The latency that the random number `dice` stands for.
    pub fn of(self, dice: u64) -> Duration {
        match self {
            Latency::Constant(duration) => duration,
            Latency::Uniform(least, most) => {
                let span = micros(most).saturating_sub(micros(least));
                let offset = (u128::from(dice) * (u128::from(span) + 1)) >> 64;
                least + Duration::from_micros(offset as u64)
            }
            Latency::Exponential(mean) => {
                // From (0, 1], so that the logarithm exists.
                let chance = ((dice >> 11) + 1) as f64 / (1u64 << 53) as f64;
                mean.mul_f64((-chance.ln()).min(20.0))
            }
        }
    }

    /// The longest that it takes.
    pub fn most(self) -> Duration {
        match self {
            Latency::Constant(duration) | Latency::Uniform(_, duration) => duration,
            Latency::Exponential(mean) => 20 * mean,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// In what order messages from one node to another arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were sent: what TCP gives.
    Fifo,
    /// As each one's latency has it.
    Any,
}

/// What the network does to messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    /// The part of the latency that is drawn once for each pair of nodes: their distance.
    pub base: Latency,
    /// The part of the latency that is drawn for each message.
    pub jitter: Latency,
    /// Which part of the messages is lost without a word, 0 to 1.
    pub loss: f64,
    /// Which part of the messages arrives a second time, 0 to 1.
    pub duplicates: f64,
    /// In what order messages arrive.
    pub order: Order,
    /// After how long without a message two nodes close their connection.
    ///
    /// When a node crashes, those with a connection to it are told.
    pub idle: Duration,
}

impl Links {
    /// A good network: 1 ms from node to node, nothing lost, nothing twice, all in order.
    pub fn good() -> Links {
        Links {
            base: Latency::Constant(Duration::from_millis(1)),
            jitter: Latency::Constant(Duration::ZERO),
            loss: 0.0,
            duplicates: 0.0,
            order: Order::Fifo,
            idle: Duration::from_secs(60),
        }
    }

    /// The world: distances of 5 to 100 ms, queues of 5 ms on average, nothing lost.
    pub fn wide_area() -> Links {
        Links {
            base: Latency::Uniform(Duration::from_millis(5), Duration::from_millis(100)),
            jitter: Latency::Exponential(Duration::from_millis(5)),
            ..Links::good()
        }
    }

    /// How long one message takes between the nodes numbered `a` and `b`.
    pub(super) fn latency(&self, seed: u64, a: u32, b: u32, rng: &mut SimRng) -> Duration {
        let pair = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
        let base = self.base.of(mixed(seed ^ mixed(pair)));
        match self.jitter {
            Latency::Constant(jitter) => base + jitter,
            varying => base + varying.of(rng.random()),
        }
    }
}

/// A number that looks random and depends on `number` alone: the last step of SplitMix64.
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn mean(latency: Latency) -> f64 {
        let draws = 100_000;
        (0..draws).map(|i| latency.of(mixed(i)).as_secs_f64()).sum::<f64>() / draws as f64
    }

    #[test]
    fn latencies_have_the_mean_and_the_bounds_that_their_names_say() {
        assert_eq!(mean(Latency::Constant(SECOND)), 1.0);
        let uniform = Latency::Uniform(SECOND, 3 * SECOND);
        assert!((mean(uniform) - 2.0).abs() < 0.02);
        assert_eq!(uniform.of(0), SECOND);
        assert_eq!(uniform.of(u64::MAX), 3 * SECOND);
        let exponential = Latency::Exponential(SECOND);
        assert!((mean(exponential) - 1.0).abs() < 0.02);
        assert_eq!(exponential.of(0), 20 * SECOND);
        assert_eq!(exponential.of(u64::MAX), Duration::ZERO);
    }
}
