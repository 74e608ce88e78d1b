//! Chat without a server: every running `chat` is a node of a Chord ring.
//!
//! The core computes, the shell acts: a node is a value that turns inputs into outputs
//! (see [`machine::Machine`]); sockets, clocks, files and terminals stand outside it.

pub mod chat;
pub mod cli;
pub mod id;
pub mod json;
pub mod machine;
pub mod node;
pub mod records;
pub mod repl;
pub mod time;
pub mod wire;
