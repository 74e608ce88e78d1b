//! The chat as people have it, on simulated networks: each file has one matter, and plays it to its end.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod failures;
mod heal;
mod history;
mod mail;
mod names;
mod town;
mod twice;
mod unanswered;
mod values;
