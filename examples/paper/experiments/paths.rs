//! How long the way to a key is (Fig. 10).

use std::collections::BTreeSet;

use chord_chat::id::{Id, NodeHandle};
use chord_chat::sim::SimRng;
use rand::{RngExt, SeedableRng};

use super::figure::Figure;
use super::ring::{Ring, forwards, nodes};
use super::spread::Spread;
use super::table::Table;
use super::{Run, each};

/// So many nodes, the mean path, its 1st and 99th percentile.
const PAPER: [(u32, f64, usize, usize); 12] = [
    (8, 1.72, 1, 3),
    (16, 2.09, 1, 4),
    (32, 2.49, 1, 5),
    (64, 2.96, 1, 5),
    (128, 3.39, 1, 6),
    (256, 3.88, 1, 7),
    (512, 4.38, 1, 7),
    (1024, 4.89, 2, 8),
    (2048, 5.36, 2, 9),
    (4096, 5.85, 2, 10),
    (8192, 6.35, 2, 10),
    (16_384, 6.87, 3, 11),
];

/// The distribution for 4,096 nodes: how many of all lookups have paths of 1, 2, … 12.
const PAPER_DISTRIBUTION: [f64; 12] =
    [0.0033, 0.0180, 0.0571, 0.1288, 0.2124, 0.2254, 0.1938, 0.1094, 0.0412, 0.0092, 0.0012, 0.0002];
const DISTRIBUTED: u32 = 4096;

/// Rings of one size are so many that they have this many nodes together.
const NODES: u32 = 16_384;

/// In all rings of one size together.
const LOOKUPS: u32 = 40_000;

pub struct Length {
    pub nodes: u32,
    pub path: Spread,
    pub paper: f64,
    pub paper_first: usize,
    pub paper_last: usize,
}

/// Which part of the paths has this length.
pub struct Part {
    pub length: usize,
    pub part: f64,
    pub paper: f64,
}

/// The path of a lookup as the paper counts it.
///
/// Where the origin is the root itself, which a node here knows, it goes all the way round there.
fn path(ring: &mut Ring, origin: NodeHandle, key: Id) -> Option<usize> {
    let nobody = BTreeSet::new();
    let way = ring.way(origin, key, &nobody);
    if way.end == Ok(origin) {
        let predecessor = ring.predecessor(origin);
        return Some(ring.way(origin, predecessor.id(), &nobody).hops.len() - 1);
    }
    forwards(&way)
}

/// The paths in rings of this size.
fn paths(run: &Run, size: u32) -> Vec<usize> {
    let rings = (NODES / size).div_ceil(run.one_in);
    let lookups = (LOOKUPS / run.one_in).div_ceil(rings);
    let mut rng = SimRng::seed_from_u64(run.seed);
    let mut paths = Vec::new();
    for number in 0..rings {
        let nodes = nodes(number * size..(number + 1) * size, run.seed);
        let mut ring = Ring::ideal(&nodes, 1);
        for _ in 0..lookups {
            let origin = nodes[rng.random_range(0..nodes.len())];
            paths.extend(path(&mut ring, origin, Id::hash(rng.random::<u64>().to_be_bytes())));
        }
    }
    paths
}

/// Fig. 10a.
pub fn lengths(run: &Run) -> Vec<Length> {
    each(&PAPER, |&(nodes, paper, paper_first, paper_last)| Length {
        nodes,
        path: Spread::of(paths(run, nodes)),
        paper,
        paper_first,
        paper_last,
    })
}

pub fn lengths_table(rows: &[Length]) -> Table {
    let row = |row: &Length| {
        let papers = [format!("{:.2}", row.paper), row.paper_first.to_string(), row.paper_last.to_string()];
        let difference = (row.path.mean / row.paper - 1.0) * 100.0;
        let ours = vec![format!("{difference:+.1} %")];
        [vec![row.nodes.to_string()], row.path.cells(&[1, 99]), papers.to_vec(), ours].concat()
    };
    let power = |nodes: u32| f64::from(nodes).log2();
    Table {
        name: "paths",
        title: "Path length (Fig. 10a)",
        head: vec![
            "nodes",
            "path",
            "p1",
            "p99",
            "paper's path",
            "paper's p1",
            "paper's p99",
            "path differs by",
        ],
        rows: rows.iter().map(row).collect(),
        figure: Figure {
            x: "logarithm of the number of nodes, to the base of 2",
            y: "path length",
            ours: rows.iter().map(|row| (power(row.nodes), row.path.mean)).collect(),
            papers: rows.iter().map(|row| (power(row.nodes), row.paper)).collect(),
            papers_name: "the paper",
        },
    }
}

/// Fig. 10b.
pub fn distribution(run: &Run) -> Vec<Part> {
    let paths = paths(run, DISTRIBUTED);
    let part = |(length, paper)| {
        let count = paths.iter().filter(|&&path| path == length).count();
        Part { length, part: count as f64 / paths.len() as f64, paper }
    };
    (1..).zip(PAPER_DISTRIBUTION).map(part).collect()
}

pub fn distribution_table(rows: &[Part]) -> Table {
    Table {
        name: "distribution",
        title: "How many paths are how long (Fig. 10b)",
        head: vec!["path", "part", "paper's part"],
        rows: rows
            .iter()
            .map(|row| vec![row.length.to_string(), format!("{:.4}", row.part), format!("{:.4}", row.paper)])
            .collect(),
        figure: Figure {
            x: "path length",
            y: "part of the lookups",
            ours: rows.iter().map(|row| (row.length as f64, row.part)).collect(),
            papers: rows.iter().map(|row| (row.length as f64, row.paper)).collect(),
            papers_name: "the paper",
        },
    }
}
