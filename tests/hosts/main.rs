//! Hosts of their own: network namespaces on one bridge, in which a cable can be pulled.
//!
//! On the loopback interface, whoever is not there refuses; a host that is cut off says nothing.
//! These tests need root and `ip` (iproute2), those of `chat net` also ssh and sshd, and fail without them.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

#[path = "../processes/fleet.rs"]
#[expect(dead_code, reason = "the tests in `processes` use the rest")]
mod fleet;
mod names;
mod namespaces;
mod ssh;
mod silence;
mod halves;
mod idle;
mod net;
