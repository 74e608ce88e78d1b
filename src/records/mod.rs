//! What a node keeps for the ring.

pub mod name;
