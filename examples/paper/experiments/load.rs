//! How many keys a node has to keep (Fig. 8), and what several places for each node change about it (Fig. 9).

use chord_chat::id::Id;

use super::figure::Figure;
use super::ring::nodes;
use super::spread::Spread;
use super::table::Table;
use super::{Run, each};

pub const NODES: u32 = 10_000;

/// So many keys, and the 99th percentile of keys per node.
const PAPER: [(usize, usize); 10] = [
    (100_000, 48),
    (200_000, 91),
    (300_000, 138),
    (400_000, 181),
    (500_000, 228),
    (600_000, 273),
    (700_000, 320),
    (800_000, 364),
    (900_000, 411),
    (1_000_000, 463),
];

/// So many places for each node ("virtual nodes"), and the 1st and 99th percentile with a million keys.
const PAPER_PLACES: [(u32, usize, usize); 5] =
    [(1, 0, 477), (2, 7, 347), (5, 24, 220), (10, 38, 186), (20, 50, 161)];

pub struct Keys {
    pub keys: usize,
    pub load: Spread,
    pub paper_last: usize,
}

pub struct Places {
    pub places: u32,
    pub load: Spread,
    pub paper_first: usize,
    pub paper_last: usize,
}

/// How many keys each of the nodes keeps, each of which has so many places on the circle.
fn loads(nodes_of_paper: u32, places: u32, keys: usize, seed: u64) -> Spread {
    let all = nodes(0..nodes_of_paper * places, seed);
    // Which of the places belong to one node does not matter: they are at random points.
    let circle: Vec<(Id, usize)> =
        (0..).zip(&all).map(|(number, node)| (node.id(), number % nodes_of_paper as usize)).collect();
    let mut loads = vec![0; nodes_of_paper as usize];
    for key in 0..keys {
        let id = Id::hash(format!("key {key}"));
        let place = circle.partition_point(|(node, _)| *node < id) % circle.len();
        loads[circle[place].1] += 1;
    }
    Spread::of(loads)
}

/// Fig. 8.
pub fn keys(run: &Run) -> Vec<Keys> {
    each(&PAPER, |&(keys, paper_last)| {
        let load = loads(NODES / run.one_in, 1, keys / run.one_in as usize, run.seed);
        Keys { keys, load, paper_last }
    })
}

pub fn keys_table(rows: &[Keys]) -> Table {
    let point = |keys: usize, last: usize| (keys as f64 / 1000.0, last as f64);
    Table {
        name: "load",
        title: "Keys per node (Fig. 8)",
        head: vec!["keys", "mean", "p1", "p99", "paper's p99"],
        rows: rows
            .iter()
            .map(|Keys { keys, load, paper_last }| {
                [vec![keys.to_string()], load.cells(&[1, 99]), vec![paper_last.to_string()]].concat()
            })
            .collect(),
        figure: Figure {
            x: "thousand keys",
            y: "keys per node, 99th percentile",
            ours: rows.iter().map(|row| point(row.keys, row.load.percentile(99))).collect(),
            papers: rows.iter().map(|row| point(row.keys, row.paper_last)).collect(),
            papers_name: "the paper",
        },
    }
}

/// Fig. 9.
pub fn places(run: &Run) -> Vec<Places> {
    each(&PAPER_PLACES, |&(places, paper_first, paper_last)| {
        let load = loads(NODES / run.one_in, places, 100 * (NODES / run.one_in) as usize, run.seed);
        Places { places, load, paper_first, paper_last }
    })
}

pub fn places_table(rows: &[Places]) -> Table {
    Table {
        name: "places",
        title: "Keys per node with several places for each (Fig. 9)",
        head: vec!["places", "mean", "p1", "p99", "paper's p1", "paper's p99"],
        rows: rows
            .iter()
            .map(|Places { places, load, paper_first, paper_last }| {
                let papers = vec![paper_first.to_string(), paper_last.to_string()];
                [vec![places.to_string()], load.cells(&[1, 99]), papers].concat()
            })
            .collect(),
        figure: Figure {
            x: "places for each node",
            y: "keys per node, 99th percentile",
            ours: rows.iter().map(|row| (row.places.into(), row.load.percentile(99) as f64)).collect(),
            papers: rows.iter().map(|row| (row.places.into(), row.paper_last as f64)).collect(),
            papers_name: "the paper",
        },
    }
}
