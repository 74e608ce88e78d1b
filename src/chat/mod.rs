//! The application: people, channels and what they say to one another.

pub mod command;
pub mod event;
