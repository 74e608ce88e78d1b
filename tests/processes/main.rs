//! The program as people run it: real processes, real connections, real signals.
//!
//! Every node is a process of the `chat` that was built with this test, on the loopback interface,
//! at a port that the system chose.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod fleet;
mod items;
mod crowd;
mod failures;
mod exits;
mod disk;
mod bad_input;
mod bad_peers;
