//! Whole networks of the real node in the simulator, with the oracle watching.
//!
//! ```text
//! cargo test --test world                      what the test suite runs
//! SEED=7 cargo test --test world small         one network, with its story if it fails: the last STORY events
//! SEEDS=100000 cargo test --test world small   more of them
//! ```

mod channels;
mod churn;
mod frozen;
mod large;
mod paths;
mod rings;
mod plays;
mod seeds;
mod small;
mod unite;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use chord_chat::id::NodeHandle;
use chord_chat::records::name::Nick;

/// The address of the node with this number.
fn address(number: u32) -> NodeHandle {
    let [_, a, b, c] = number.to_be_bytes();
    NodeHandle::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, a, b, c)), 7000))
}

/// The nick of the person with this number.
fn nick(number: u32) -> Nick {
    format!("n{number}").parse().expect("a letter and digits are a nick")
}

/// A number from the environment, or what is usual.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().expect("a number"))
}
