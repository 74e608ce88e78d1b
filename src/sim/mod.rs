//! Whole networks of machines in one process, on a virtual clock, the same on every run.
//!
//! Three ways to try a [`Machine`]:
//!
//! - [`network`]: time passes, messages travel, hosts crash, freeze and are cut off.
//!   For networks of up to 100,000 nodes, and for what users see.
//! - [`walk`]: no time passes but by choice; any message under way may be the next.
//!   For a million steps of one conversation in the strangest orders.
//! - [`explore`]: every order of delivery of a small scenario, one and all.
//!
//! What must hold of the ring and of the chat is said once, in [`ring`] and [`chat`].
//!
//! Each message is encoded and decoded on its way, as it would be between processes.

use std::fmt;

use crate::machine::Machine;
use crate::time::Time;
use crate::wire;

mod bare;
pub mod chat;
pub mod explore;
mod links;
pub mod network;
pub mod play;
mod queue;
pub mod ring;
#[cfg(test)]
mod toys;
pub mod trace;
pub mod walk;
pub mod world;

pub use bare::{Bare, Do, Told};
pub use explore::{Act, Explorable, Report, Scenario};
pub use links::{Latency, Links, Order};
pub use network::{Counters, Cut, InFlight, Network, Observer};
pub use trace::{Happening, Trace, What};
pub use walk::Walk;
pub use world::{Flight, Violation, World};

/// The generator that every random choice of a simulation comes from.
pub type SimRng = rand_pcg::Pcg64;

/// When the clock of a simulation starts: 1 January 2026.
///
/// Not zero, because a node may look back from its start.
pub const START: Time = Time::from_micros(1_767_225_600_000_000);

/// A [`Machine`] that can be simulated: what it says can be compared and shown.
pub trait Simulated: Machine<Command: fmt::Debug, Message: PartialEq> {}

impl<M: Machine<Command: fmt::Debug, Message: PartialEq>> Simulated for M {}

/// The seeds that a test shall try: 0 to `count`, or only the one in the environment variable `SEED`.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let only = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let range = only.map_or(0..count, |seed: u64| seed..seed.saturating_add(1));
    range.into_iter()
}

/// Takes `message` through its bytes, which are left in `buffer`.
fn carried<G>(message: &G, buffer: &mut Vec<u8>) -> G
where
    G: serde::Serialize + serde::de::DeserializeOwned + PartialEq + fmt::Debug,
{
    buffer.clear();
    wire::encode_into(message, buffer);
    assert!(
        buffer.len() <= wire::FRAME_BYTES_MAX,
        "a message fits into a frame: {} bytes, {message:?}",
        buffer.len()
    );
    match wire::decode(buffer) {
        Ok(decoded) => {
            assert!(
                decoded == *message,
                "a message is read as it was written: {message:?} became {decoded:?}"
            );
            decoded
        }
        Err(error) => panic!("a message can be read again: {error}, {message:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_tries_all_its_seeds_unless_one_is_named() {
        let tried = Vec::from_iter(seeds(3));
        match std::env::var("SEED") {
            Ok(seed) => assert_eq!(tried, [seed.parse::<u64>().unwrap()]),
            Err(_) => assert_eq!(tried, [0, 1, 2]),
        }
    }

    #[test]
    fn a_message_that_is_not_read_as_it_was_written_is_noticed() {
        /// Forgets what it held.
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Leaky(u8, #[serde(skip)] u8);

        let mut buffer = Vec::new();
        assert_eq!(carried(&vec![1, 2, 3], &mut buffer), [1, 2, 3]);
        assert_eq!(buffer, wire::encode(&vec![1, 2, 3]));
        let panicked = std::panic::catch_unwind(|| carried(&Leaky(7, 7), &mut Vec::new())).unwrap_err();
        let text = panicked.downcast_ref::<String>().unwrap();
        assert_eq!(text, "a message is read as it was written: Leaky(7, 7) became Leaky(7, 0)");
    }
}
