//! The network: TCP between nodes, and the loop that runs a [`Machine`](crate::machine::Machine).
//!
//! ```text
//!             commands                      News
//! front end ───────────► ┌────────────────┐ ─────► front end
//!                        │     driver     │  owns the machine, the queues and every write half
//!      ┌── reports ────► └───────┬────────┘
//!      │                         │ writes, one for each peer and turn, without a task between
//! ┌────┴─────┐            ┌──────▼───────┐
//! │ readers, │ ◄───────── │ the sockets  │  one connection for each pair of nodes
//! │ dials,   │            └──────────────┘
//! │ listener │
//! └──────────┘
//! ```
//!
//! One task owns the machine and whatever can change: no lock, no shared state.
//! The other tasks only wait for the network and report, through a bounded channel.
//! The conversations, in the order in which a connection has them:
//! `greeting`, `meeting`, `frames`, `goodbye`.
//!
//! A frame is a length of four bytes, big-endian, and so many bytes: first a greeting,
//! then messages, at last a goodbye, which is the frame of length zero.

mod bootstrap;
mod clock;
mod config;
mod connections;
mod disk;
mod driver;
mod frames;
mod goodbye;
mod greeting;
mod listener;
mod meeting;
mod outbox;
mod parting;
mod peers;
mod traffic;

pub use bootstrap::{Tried, address_towards, bootstrap, find_known, look_up};
pub use clock::Clock;
pub use config::{Config, NETWORK, NETWORK_BYTES_MAX};
pub use connections::{Connection, Stage};
pub use driver::{COMMANDS_MAX, Controls, Driver, EVENTS_MAX, News};
pub use greeting::PROTOCOL_VERSION;
pub use outbox::{OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX};
pub use parting::Parting;
pub use traffic::{Passed, Traffic};
