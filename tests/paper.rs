//! The experiments of `examples/paper`, a part of each: the ring does as well as the Chord papers measured.
//!
//! ```text
//! cargo test --test paper -- --nocapture     what was measured
//! ```

#[path = "../examples/paper/experiments/mod.rs"]
mod experiments;

use std::collections::BTreeSet;
use std::path::Path;

use experiments::churn::{self, Going};
use experiments::ring::{Ring, nodes};
use experiments::{EXPERIMENTS, Run, failures, load, page, paths};

/// As much as a few seconds allow.
const PART: Run = Run { seed: 1, one_in: 10 };

/// Enough to see that everything comes to its place.
const LEAST: Run = Run { seed: 1, one_in: 100 };

/// Whether `ours` differs from the paper's by at most so many percent of that.
fn is_within(percent: f64, ours: f64, paper: f64) -> bool {
    (ours - paper).abs() <= paper * percent / 100.0
}

#[test]
fn keys_are_spread_as_evenly_as_the_paper_measured() {
    let rows = load::keys(&PART);
    println!("{}", load::keys_table(&rows));
    for row in rows {
        let last = row.load.percentile(99);
        // One ring there and one here, in which a node owns more by chance or less.
        assert!(is_within(10.0, last as f64, row.paper_last as f64), "{} keys: {last}", row.keys);
    }
    let rows = load::places(&PART);
    println!("{}", load::places_table(&rows));
    for row in rows {
        let (first, last) = (row.load.percentile(1), row.load.percentile(99));
        assert!(first.abs_diff(row.paper_first) <= 3, "{} places: {first}", row.places);
        assert!(is_within(10.0, last as f64, row.paper_last as f64), "{} places: {last}", row.places);
    }
}

#[test]
fn paths_are_within_3_percent_of_those_in_the_paper() {
    let rows = paths::lengths(&PART);
    println!("{}", paths::lengths_table(&rows));
    for row in rows {
        assert!(is_within(3.0, row.path.mean, row.paper), "{} nodes: {:.2}", row.nodes, row.path.mean);
        let (first, last) = (row.path.percentile(1), row.path.percentile(99));
        assert!(first.abs_diff(row.paper_first) <= 1, "{} nodes: {first}", row.nodes);
        assert!(last.abs_diff(row.paper_last) <= 1, "{} nodes: {last}", row.nodes);
    }
}

#[test]
fn as_many_paths_have_each_length_as_in_the_paper() {
    let rows = paths::distribution(&PART);
    println!("{}", paths::distribution_table(&rows));
    for row in rows {
        assert!((row.part - row.paper).abs() <= 0.02, "{} hops: {:.4}", row.length, row.part);
    }
}

#[test]
fn when_half_of_all_nodes_fail_no_lookup_does_and_none_meets_more_of_them_than_in_the_paper() {
    let rows = failures::fractions(&PART);
    println!("{}", failures::table(&rows));
    for row in rows {
        let (failed, path, timeouts) = (row.failed, row.path.mean, row.timeouts.mean);
        assert_eq!(row.lost, 0, "{failed} failed");
        assert!((path - row.paper_path.0).abs() <= 0.15, "{failed} failed: {path:.2} hops");
        assert!(timeouts <= 1.1 * row.paper_timeouts.0, "{failed} failed: {timeouts:.2} timeouts");
        let (fewest, most) = row.rings;
        assert!((fewest..=most).contains(&row.paper_timeouts.0), "{failed} failed: {fewest:.2} to {most:.2}");
        // What the paper measured, in one ring, is up to a third above what it expects.
        assert!(
            is_within(10.0, timeouts, row.expected_timeouts()),
            "{failed} failed: {timeouts:.2} timeouts"
        );
    }
}

#[test]
fn lookups_are_lost_where_as_many_nodes_in_a_row_fail_as_each_has_successors() {
    let nodes = nodes(0..1000, 1);
    let mut ring = Ring::ideal(&nodes, 2);
    let (dead, alive): (Vec<_>, Vec<_>) = (0..).zip(&nodes).partition(|(number, _)| number % 4 < 2);
    let dead: BTreeSet<_> = dead.into_iter().map(|(_, node)| *node).collect();
    // The root is two nodes further on, and the last node before the key knows only the two between.
    let (key, root) = (nodes[4].id(), nodes[6]);
    for (_, origin) in alive {
        assert_ne!(ring.way(*origin, key, &dead).end, Ok(root), "from {origin:?}");
    }
}

#[test]
fn while_nodes_come_and_go_no_more_lookups_fail_than_in_the_paper() {
    for (going, per_hundred) in [(Going::Leaves, 10), (Going::Leaves, 40), (Going::Vanishes, 40)] {
        let row = churn::measure(&Run { seed: 1, one_in: 5 }, going, per_hundred);
        println!("{}", churn::table(std::slice::from_ref(&row), going));
        let (lookups, requests) = (row.lookups, row.requests);
        assert!(1500 < lookups.right && 1500 < requests.right, "{going:?}: {lookups:?}, {requests:?}");
        assert!(lookups.failures() <= f64::from(row.paper_failures), "{going:?}: {lookups:?}");
        assert_eq!(requests.wrong, 0, "{going:?}");
        assert!(row.timeouts.mean <= row.paper_timeouts.0, "{going:?}: {:.2} timeouts", row.timeouts.mean);
        assert!(row.path.mean <= row.paper_path.0 + 0.15, "{going:?}: {:.2} hops", row.path.mean);
    }
}

#[test]
fn a_page_has_every_table_with_its_files_and_so_has_the_one_in_docs() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let tables: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment(&LEAST)).collect();
    page::write(directory.path(), &LEAST, &tables).expect("there is room for the files");
    let read = |directory: &Path, name: &str| {
        std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/paper");
    let (written, kept) = (read(directory.path(), "README.md"), read(&docs, "README.md"));
    for table in &tables {
        let (csv, svg) = (format!("{}.csv", table.name), format!("{}.svg", table.name));
        assert!(written.contains(&table.markdown()), "the page has the table {}", table.name);
        assert!(read(directory.path(), "tables.txt").contains(&table.to_string()), "{}", table.name);
        assert!(read(directory.path(), &svg).starts_with("<svg"), "{svg}");
        let [new, old] = [directory.path(), &docs].map(|directory| read(directory, &csv));
        assert_eq!(
            new.lines().next(),
            old.lines().next(),
            "{csv} in docs/paper is up to date: run the example"
        );
        assert_eq!(new.lines().count(), old.lines().count(), "{csv}");
        for line in new.lines() {
            assert_eq!(line.split(',').count(), table.head.len(), "{csv}: {line}");
        }
    }
    assert!(!written.contains('{'), "every place in the page is taken");
    let is_prose = |line: &&str| !line.starts_with(['|', '!']) && !line.starts_with("Measured for");
    let prose = |page: &str| page.lines().filter(is_prose).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(prose(&kept), prose(&written), "docs/paper/README.md is up to date: run the example");
}
