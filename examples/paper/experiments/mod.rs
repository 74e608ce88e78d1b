//! What the papers measured, measured again: each file has one experiment, or two that are alike.
//!
//! An experiment gives rows with our numbers and the paper's, and a table of them.

pub mod churn;
pub mod failures;
pub mod figure;
pub mod load;
pub mod page;
pub mod paths;
pub mod ring;
pub mod spread;
pub mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use table::Table;

/// What each experiment needs.
pub struct Run {
    /// Every random choice follows from it.
    pub seed: u64,
    /// One part in so many is measured; with 1, the whole.
    pub one_in: u32,
}

/// All of them, in the order of the page.
pub const EXPERIMENTS: [fn(&Run) -> Table; 7] = [
    |run| load::keys_table(&load::keys(run)),
    |run| load::places_table(&load::places(run)),
    |run| paths::lengths_table(&paths::lengths(run)),
    |run| paths::distribution_table(&paths::distribution(run)),
    |run| failures::table(&failures::fractions(run)),
    |run| churn::table(&churn::rates(run, churn::Going::Leaves), churn::Going::Leaves),
    |run| churn::table(&churn::rates(run, churn::Going::Vanishes), churn::Going::Vanishes),
];

/// Measures each of `cases`, on all processors; the rows are in the order of the cases.
fn each<C: Sync, R: Send>(cases: &[C], measure: impl Fn(&C) -> R + Sync) -> Vec<R> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return };
            let row = measure(case);
            rows.lock().expect("nobody panics with the lock").push((number, row));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().expect("nobody panics with the lock");
    rows.sort_by_key(|&(number, _)| number);
    rows.into_iter().map(|(_, row)| row).collect()
}
