//! What a node's network can be told: its name and its deadlines.

use std::time::Duration;

/// The network that nodes belong to unless they are told otherwise.
pub const NETWORK: &str = "chord-chat";

/// The longest name of a network, in bytes.
pub const NETWORK_BYTES_MAX: usize = 64;

/// The name of the network, its deadlines and its limits.
///
/// [`Config::new`] has the values for use; tests set shorter ones.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes of other networks are refused.
    pub network: String,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long the other side may take for its greeting.
    pub greeting: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame: Duration,
    /// After how long without a frame either way a connection is closed.
    pub idle: Duration,
    /// How long a peer may read nothing of what is queued for it.
    pub stalled: Duration,
    /// How long the other side may take to answer a goodbye, and how long a node that stops waits for all.
    pub goodbye: Duration,
    /// With so many connections, the one that was idle the longest makes room for a new one.
    pub connections_max: usize,
    /// With so many connections that have not greeted yet, the oldest makes room for a new one.
    pub greetings_max: usize,
}

impl Config {
    /// The values for use, in the network of this name.
    ///
    /// # Panics
    ///
    /// If the name is empty or longer than [`NETWORK_BYTES_MAX`].
    pub fn new(network: impl Into<String>) -> Config {
        let network = network.into();
        assert!(
            !network.is_empty() && network.len() <= NETWORK_BYTES_MAX,
            "the name of a network has 1 to {NETWORK_BYTES_MAX} bytes"
        );
        Config {
            network,
            connect: Duration::from_millis(1_500),
            greeting: Duration::from_secs(2),
            frame: Duration::from_secs(10),
            // Longer than any pause of a node that talks to another again and again.
            idle: Duration::from_secs(120),
            stalled: Duration::from_secs(5),
            goodbye: Duration::from_secs(1),
            // Together below 1,024, which is how many files a process may often have open.
            connections_max: 512,
            greetings_max: 256,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new(NETWORK)
    }
}
