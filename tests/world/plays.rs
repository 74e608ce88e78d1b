//! Chats of 8 to 40 people for five minutes, in which everything goes wrong; see `chat sim`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::sim::SimRng;
use chord_chat::sim::play::{Plan, Report, Told, play};
use rand::{RngExt, SeedableRng};

use crate::seeds::{Story, for_each_seed};
use crate::setting;

const SEEDS: u64 = 300;

/// A random mix of all faults.
fn plan(seed: u64) -> Plan {
    let mut rng = SimRng::seed_from_u64(seed);
    let nodes = rng.random_range(8..=40);
    let split = Duration::from_secs(rng.random_range(1..=100));
    Plan {
        nodes,
        seed,
        length: Duration::from_secs(5 * 60),
        kills: rng.random_range(0..=nodes / 4),
        freezes: rng.random_range(0..=4),
        split: rng.random_bool(0.5).then_some(split),
        loss: if rng.random() { rng.random_range(0.0..0.1) } else { 0.0 },
        duplicates: if rng.random() { rng.random_range(0.0..0.05) } else { 0.0 },
        restarts: if rng.random() { rng.random_range(0..=nodes / 2) } else { 0 },
        blackouts: if rng.random_bool(0.25) { rng.random_range(1..=2) } else { 0 },
    }
}

fn run(seed: u64, story: Story) -> Report {
    let told = Rc::new(RefCell::new(Vec::new()));
    let kept = setting("STORY", 0) as usize;
    let tell = Rc::clone(&told);
    let report = play(&plan(seed), move |Told { at, what }| {
        if story != Story::None && 0 < kept {
            tell.borrow_mut().push(format!("{:9.3} {what:?}", at.as_secs_f64()));
        }
    });
    let told = told.borrow();
    for line in &told[told.len().saturating_sub(kept)..] {
        println!("{line}");
    }
    assert!(report.is_kept(), "{report}");
    report
}

#[test]
fn in_five_minutes_of_all_faults_no_promise_is_broken() {
    let reports = for_each_seed("plays", SEEDS, run);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let sums = [
        ("sent", sum(|report| report.said)),
        ("stored", sum(|report| report.seen.stored)),
        ("received", sum(|report| report.seen.shown)),
        ("delivered", sum(|report| report.seen.delivered)),
        ("killed", sum(|report| report.killed.into())),
        ("restarted", sum(|report| report.restarted.into())),
        ("all switched off and on", sum(|report| report.blackouts.into())),
        ("frozen", sum(|report| report.froze.into())),
        ("cut", sum(|report| report.plan.split.is_some().into())),
        ("written", sum(|report| report.seen.written)),
        ("failed", sum(|report| report.seen.failed)),
    ];
    println!("{} plays: {sums:?}", reports.len());
    if 1 < reports.len() {
        for (what, sum) in &sums[..10] {
            assert!(reports.len() as u64 / 8 < *sum, "{what}: {sum} in {} plays", reports.len());
        }
    }
}
