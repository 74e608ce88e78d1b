//! Chat without a server: every running `chat` is a node of a Chord ring.
//!
//! The core computes, the shell acts: a node is a value that turns inputs into outputs
//! (see [`machine::Machine`]); sockets, clocks, files and terminals stand outside it.

pub mod id;
pub mod time;
pub mod machine;
pub mod chord;
pub mod application;
pub mod records;
pub mod chat;
pub mod node;
pub mod wire;
pub mod net;
pub mod sim;
pub mod repl;
pub mod json;
pub mod cli;
