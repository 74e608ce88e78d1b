//! Many runs of one test, on all processors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::setting;

/// How much a run tells when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Nothing: it costs time, and the run can be done again.
    None,
    /// The last events.
    Last,
}

/// Runs `run` for the seeds from 0, or `FROM`, to `count`, or `SEEDS`, or only for `SEED`; returns what they
/// found.
///
/// A run that panics is done again with its story, and ends the test.
pub fn for_each_seed<T: Send>(test: &str, count: u64, run: impl Fn(u64, Story) -> T + Sync) -> Vec<T> {
    if let Ok(seed) = std::env::var("SEED") {
        return vec![run(seed.parse().expect("a number"), Story::Last)];
    }
    let count = setting("SEEDS", count);
    let (next, failed) = (AtomicU64::new(setting("FROM", 0)), AtomicBool::new(false));
    let (found, failures) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if count <= seed {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed, Story::None))) {
                Ok(one) => found.lock().expect("nobody panics here").push(one),
                Err(_) => {
                    failures.lock().expect("nobody panics here").push(seed);
                    failed.store(setting("GO_ON", 0) == 0, Ordering::Relaxed);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("nobody panics here");
    failures.sort_unstable();
    if let Some(&seed) = failures.first() {
        eprintln!(
            "{} seeds failed: {failures:?}\nSEED={seed} cargo test --test world {test}",
            failures.len()
        );
        run(seed, Story::Last);
        panic!("seed {seed} failed once and not again: the run depends on more than its seed");
    }
    found.into_inner().expect("nobody panics here")
}
