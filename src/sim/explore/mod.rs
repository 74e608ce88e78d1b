//! Every order in which the messages of a small scenario can arrive.
//!
//! A state is the machines, what is under way as a multiset, and what is left of the
//! scripts. From each state all that can happen next is tried: each thing that is under
//! way may arrive, and the next act of each script may take place. States that were seen
//! before, by whatever way, are not tried again: so orders that make no difference meet
//! after a few steps, and nothing is left out.
//!
//! What a node has sent before it crashes or is cut off may be lost: that is one more thing that can happen next.
//! Where messages have an order, what goes to a node that has crashed comes back all at once, with the news of that:
//! it was on one connection.
//!
//! Two rules make fewer states, and leave out nothing that anybody could tell; the tests compare the ends with those
//! that trying every order gives.
//! What nobody will ever get, nor get back, is forgotten.
//! And the end of what a crashed node has sent is lost when its peer hears of the crash: it makes no difference if
//! that happens earlier.
//!
//! What arrives at once leaves no choice: such states are passed through and checked, but not remembered.
//!
//! Machines and messages are numbered when they are first seen, and a state is a short
//! list of numbers. What a machine does with an input is computed once.
//! Of a state that was seen, 128 bits are kept: among a billion, two are taken for one with a chance of 10^-21.
//!
//! A machine that panics is a violation like a claim that does not hold: the story tells
//! what led to it. A panic in a check itself has no story; return the error instead.
//!
//! No partial-order reduction is made. Deliveries to different nodes commute, but a set
//! of deliveries may be tried alone only if none of the others can ever lead to a new
//! message to the same node, and that is not known of machines that are values of code.
//! Sleep sets need no such knowledge, but they save transitions only, and here these are
//! a look into a table.

mod model;
mod scenario;
mod search;
mod table;
#[cfg(test)]
mod tests;

pub use scenario::{Act, Explorable, Report, Scenario};
