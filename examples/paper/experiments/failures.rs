//! Lookups right after nodes have failed, each with the same chance, before anything is repaired (Table II).

use std::collections::BTreeSet;

use chord_chat::id::{Id, NodeHandle};
use chord_chat::sim::SimRng;
use rand::{RngExt, SeedableRng};

use super::figure::Figure;
use super::ring::{Ring, forwards, nodes};
use super::spread::{Measured, Spread, least_and_most};
use super::table::Table;
use super::{Run, each};

/// What the paper measured: mean, 1st and 99th percentile of each.
struct Paper {
    tenths: usize,
    path: Measured,
    timeouts: Measured,
}

const PAPER: [Paper; 6] = [
    Paper { tenths: 0, path: (3.84, 2, 5), timeouts: (0.00, 0, 0) },
    Paper { tenths: 1, path: (4.03, 2, 6), timeouts: (0.60, 0, 2) },
    Paper { tenths: 2, path: (4.22, 2, 6), timeouts: (1.17, 0, 3) },
    Paper { tenths: 3, path: (4.44, 2, 6), timeouts: (2.02, 0, 5) },
    Paper { tenths: 4, path: (4.69, 2, 7), timeouts: (3.23, 0, 8) },
    Paper { tenths: 5, path: (5.09, 3, 8), timeouts: (5.10, 0, 11) },
];

const NODES: u32 = 1000;
const SUCCESSORS: usize = 20;

/// So many rings, in each of which others fail: the timeouts in two rings differ by half and more.
const RINGS: u32 = 100;

/// In each of them.
const LOOKUPS: u32 = 1000;

pub struct Fraction {
    /// The chance with which each node fails.
    pub failed: f64,
    /// Forwards until the predecessor of the key has it.
    pub path: Spread,
    /// Nodes before the key that were asked and did not answer.
    pub timeouts: Spread,
    /// The least and the greatest mean of these in one ring.
    pub rings: (f64, f64),
    /// All nodes that were asked and did not answer, also those between the key and its root.
    pub silent: Spread,
    pub lost: usize,
    pub paper_path: Measured,
    pub paper_timeouts: Measured,
}

impl Fraction {
    /// "The expected number of timeouts" that the paper computes: each node that is asked has failed with the
    /// same chance, and so the path that was measured says how many were asked.
    pub fn expected_timeouts(&self) -> f64 {
        self.paper_path.0 * self.failed / (1.0 - self.failed)
    }
}

/// Table II.
pub fn fractions(run: &Run) -> Vec<Fraction> {
    let rings = RINGS.div_ceil(run.one_in);
    each(&PAPER, |paper| {
        let mut rng = SimRng::seed_from_u64(run.seed);
        let (mut paths, mut timeouts, mut all_silent, mut lost) = (vec![], vec![], vec![], 0);
        for number in 0..rings {
            let mut before_key = Vec::new();
            let nodes = nodes(number * NODES..(number + 1) * NODES, run.seed);
            let mut ring = Ring::ideal(&nodes, SUCCESSORS);
            let fails = |_: &&NodeHandle| rng.random_range(0..10) < paper.tenths;
            let dead: BTreeSet<NodeHandle> = nodes.iter().filter(fails).copied().collect();
            let alive: Vec<NodeHandle> = nodes.into_iter().filter(|node| !dead.contains(node)).collect();
            for _ in 0..LOOKUPS {
                let origin = alive[rng.random_range(0..alive.len())];
                let key = Id::hash(rng.random::<u64>().to_be_bytes());
                let root = alive[alive.partition_point(|node| node.id() < key) % alive.len()];
                let way = ring.way(origin, key, &dead);
                lost += usize::from(way.end != Ok(root));
                paths.extend(forwards(&way));
                all_silent.push(way.silent.len());
                let before = way.silent.iter().filter(|node| !node.id().in_arc(key, root.id()));
                before_key.push(before.count());
            }
            timeouts.push(before_key);
        }
        Fraction {
            failed: paper.tenths as f64 / 10.0,
            path: Spread::of(paths),
            rings: least_and_most(&timeouts),
            timeouts: Spread::of(timeouts.concat()),
            silent: Spread::of(all_silent),
            lost,
            paper_path: paper.path,
            paper_timeouts: paper.timeouts,
        }
    })
}

pub fn table(rows: &[Fraction]) -> Table {
    let papers = |(mean, first, last): Measured| vec![format!("{mean:.2} ({first} {last})")];
    let row = |row: &Fraction| {
        [
            vec![format!("{:.1}", row.failed)],
            row.path.cells(&[1, 10, 90, 99]),
            papers(row.paper_path),
            row.timeouts.cells(&[1, 10, 90, 99]),
            vec![format!("{:.2}", row.rings.0), format!("{:.2}", row.rings.1)],
            papers(row.paper_timeouts),
            vec![format!("{:.2}", row.expected_timeouts())],
            vec![format!("{:.2}", row.silent.mean), row.lost.to_string()],
        ]
        .concat()
    };
    Table {
        name: "failures",
        title: "Simultaneous failures (Table II)",
        head: vec![
            "failed",
            "path",
            "path p1",
            "path p10",
            "path p90",
            "path p99",
            "paper's path",
            "timeouts",
            "timeouts p1",
            "timeouts p10",
            "timeouts p90",
            "timeouts p99",
            "fewest in a ring",
            "most in a ring",
            "paper's timeouts",
            "expected there",
            "timeouts to the root",
            "lookups that failed",
        ],
        rows: rows.iter().map(row).collect(),
        figure: Figure {
            x: "part of the nodes that has failed",
            y: "timeouts of a lookup",
            ours: rows.iter().map(|row| (row.failed, row.timeouts.mean)).collect(),
            papers: rows.iter().map(|row| (row.failed, row.paper_timeouts.0)).collect(),
            papers_name: "the paper",
        },
    }
}
