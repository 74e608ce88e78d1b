//! Whole networks in one process.

pub mod ring;
