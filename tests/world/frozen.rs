//! A node that stands still, and goes on.
//!
//! ```text
//! SEEDS=200 cargo test --test world frozen -- --nocapture     more of them, and what was counted
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chord::Upcall;
use chord_chat::id::NodeHandle;
use chord_chat::sim::{Bare, Cut, Links, Network, Observer, Told};

use crate::address;
use crate::rings;
use crate::seeds::for_each_seed;

const SECOND: Duration = Duration::from_secs(1);
const NODES: u32 = 32;
const LOSS: f64 = 0.1;

/// Who is dropped by a neighbour.
#[derive(Default)]
struct Dropped(BTreeSet<NodeHandle>);

impl Observer<Bare> for Dropped {
    fn told(&mut self, _: &Network<Bare>, _: NodeHandle, told: &Told) {
        if let Told::Up(Upcall::Lost(peer)) = told {
            self.0.insert(*peer);
        }
    }

    fn after(&mut self, _: &Network<Bare>, _: NodeHandle) {}
}

#[test]
fn while_one_of_32_is_frozen_and_messages_are_lost_the_others_stay_in_the_ring() {
    let found = for_each_seed("frozen", 50, |seed, _| {
        let mut network = rings::ideal(seed, Links { loss: LOSS, ..Links::wide_area() }, NODES);
        network.run_for(10 * SECOND);
        let sleeper = address(seed as u32 % NODES);
        let dropped = Rc::new(RefCell::new(Dropped::default()));
        network.observe(Rc::clone(&dropped));
        network.freeze(sleeper, 20 * SECOND);
        network.run_for(20 * SECOND);
        let took = rings::until_ideal(&mut network, 20 * SECOND).expect("it is back in the ring");
        network.run_for(20 * SECOND);
        let mut dropped = dropped.borrow_mut();
        assert!(dropped.0.remove(&sleeper), "who is frozen is found out");
        (dropped.0.len(), took)
    });
    let healthy = (NODES as usize - 1) * found.len();
    let dropped: usize = found.iter().map(|(dropped, _)| dropped).sum();
    let longest = found.iter().map(|(_, took)| took).max();
    println!("{dropped} of {healthy} healthy nodes were dropped; the ring is ideal again after {longest:?}");
    assert!(dropped * 1000 < healthy, "{dropped} of {healthy} healthy nodes were dropped by a neighbour");
}

#[test]
fn a_laptop_that_wakes_up_after_an_hour_is_in_the_ring_again() {
    let mut took = for_each_seed("laptop", 16, |seed, _| {
        let mut network = rings::ideal(seed, Links::wide_area(), 2 * NODES);
        network.run_for(10 * SECOND);
        let sleeper = address(seed as u32 % NODES);
        // Its network comes back a second after it.
        let cut = if seed.is_multiple_of(2) { Cut::Refused } else { Cut::Silent };
        network.partition(cut, move |node| u32::from(node == sleeper));
        network.freeze(sleeper, 3600 * SECOND);
        network.run_for(3601 * SECOND);
        network.heal();
        rings::until_ideal(&mut network, 15 * SECOND).expect("it is back in the ring")
    });
    took.sort();
    println!("after p50 {:?}, longest {:?}", took[took.len() / 2], took.last());
}
