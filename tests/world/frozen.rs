//! A node that stands still, and goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chord::Upcall;
use chord_chat::id::NodeHandle;
use chord_chat::sim::{Cut, Links, Network, Observer};

use crate::rings::{self, Bare, Told};
use crate::seeds::for_each_seed;
use crate::{address, setting};

const SECOND: Duration = Duration::from_secs(1);

/// Who is dropped by a neighbour.
#[derive(Default)]
struct Dropped {
    nodes: BTreeSet<NodeHandle>,
    times: u32,
    by: Vec<String>,
}

impl Observer<Bare> for Dropped {
    fn told(&mut self, network: &Network<Bare>, node: NodeHandle, told: &Told) {
        if let Told::Up(Upcall::Lost(peer)) = told {
            self.nodes.insert(*peer);
            self.times += 1;
            self.by.push(format!("{:?} {node:?} drops {peer:?}", network.now()));
        }
    }
}

#[test]
fn thin_frozen() {
    let loss = setting("LOSS", 10) as f64 / 100.0;
    let found = for_each_seed("frozen", setting("RUNS", 200), |seed, _| {
        let links = Links { loss, ..if setting("FAR", 1) == 1 { Links::wide_area() } else { Links::good() } };
        let mut network = rings::ideal(seed, links, 32);
        network.run_for(10 * SECOND);
        let sleeper = address(seed as u32 % 32);
        let dropped = Rc::new(RefCell::new(Dropped::default()));
        network.observe(Rc::clone(&dropped));
        network.freeze(sleeper, 20 * SECOND);
        network.run_for(20 * SECOND);
        let took = rings::until_ideal(&mut network, 20 * SECOND);
        network.run_for(20 * SECOND);
        let mut dropped = dropped.borrow_mut();
        dropped.nodes.remove(&sleeper);
        let sleeper = format!("{sleeper:?}");
        if setting("SHOW", 0) == 1 {
            println!(
                "seed {seed}: {:?}",
                dropped.by.iter().filter(|x| !x.ends_with(&sleeper)).collect::<Vec<_>>()
            );
        }
        (dropped.nodes.len(), took)
    });
    let healthy = 31 * found.len();
    let dropped: usize = found.iter().map(|found| found.0).sum();
    let mut took: Vec<_> = found.iter().map(|found| found.1).collect();
    took.sort();
    println!(
        "{dropped} of {healthy}: {:.3} %, right again p50 {:?} max {:?} never {}",
        100.0 * dropped as f64 / healthy as f64,
        took[took.len() / 2],
        took[took.len() - 1],
        took.iter().filter(|x| x.is_none()).count()
    );
}

#[test]
fn thin_suspended() {
    let found = for_each_seed("suspended", setting("RUNS", 50), |seed, _| {
        let mut network =
            rings::ideal(seed, if setting("FAR", 1) == 1 { Links::wide_area() } else { Links::good() }, 64);
        network.run_for(10 * SECOND);
        let sleeper = address(seed as u32 % 64);
        network.partition(if setting("REFUSED", 1) == 1 { Cut::Refused } else { Cut::Silent }, move |node| {
            u32::from(node == sleeper)
        });
        let asleep = setting("ASLEEP", 3600) as u32 * SECOND;
        network.freeze(sleeper, asleep);
        network.run_for(asleep + setting("LATE", 1000) as u32 * Duration::from_millis(1));
        network.heal();
        rings::until_ideal(&mut network, 30 * SECOND)
    });
    let mut took = found;
    took.sort();
    println!(
        "right again p50 {:?} max {:?} never {}",
        took[took.len() / 2],
        took[took.len() - 1],
        took.iter().filter(|x| x.is_none()).count()
    );
}
