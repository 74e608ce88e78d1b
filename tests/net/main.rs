//! The network layer over real sockets on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod meeting;
mod raw;
mod talk;
mod toy;
