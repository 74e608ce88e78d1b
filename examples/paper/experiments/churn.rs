//! Lookups while nodes come and go all the time (Table III).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chord::message::Number;
use chord_chat::chord::trace::Way;
use chord_chat::chord::{Chord, Upcall};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::sim::{Bare, Do, Latency, Links, Network, Observer, Told};
use chord_chat::time::Time;
use rand::RngExt;

use super::figure::Figure;
use super::ring::{forwards, node, nodes};
use super::spread::{Measured, Spread};
use super::table::Table;
use super::{Run, each};

/// So many nodes come and go in a hundred seconds; the mean, 1st and 99th percentile of the path and of the
/// timeouts, and how many of 10,000 lookups failed.
const PAPER: [(u32, Measured, Measured, u32); 8] = [
    (5, (3.90, 1, 9), (0.05, 0, 2), 0),
    (10, (3.83, 1, 9), (0.11, 0, 2), 0),
    (15, (3.84, 1, 9), (0.16, 0, 2), 2),
    (20, (3.81, 1, 9), (0.23, 0, 3), 5),
    (25, (3.83, 1, 9), (0.30, 0, 3), 6),
    (30, (3.91, 1, 9), (0.34, 0, 4), 8),
    (35, (3.94, 1, 10), (0.42, 0, 4), 16),
    (40, (4.06, 1, 10), (0.46, 0, 5), 15),
];

const NODES: u32 = 1000;
const SUCCESSORS: usize = 20;
const SECOND: Duration = Duration::from_secs(1);

/// How long nodes come and go before the first lookup, on the virtual clock: each finger is looked up again
/// every five minutes in such a ring, so until then more of them are right than later.
const WARM_UP: Duration = Duration::from_secs(300);

/// How long lookups are made.
const LASTS: Duration = Duration::from_secs(1000);

/// How much time lies between two lookups on average, of either kind.
///
/// In the paper it is a second: here lookups are more often, so that 10,000 take less time.
const LOOKUP_EVERY: Duration = Duration::from_millis(100);

/// How long lookups that are under way at the end are waited for.
const LAST_LOOKUPS: Duration = Duration::from_secs(30);

/// After how long it is tried again to join, or to leave.
const AGAIN: Duration = Duration::from_secs(1);

/// What the links are like in the paper: a message takes 50 ms on average.
const LATENCY: Latency = Latency::Exponential(Duration::from_millis(50));

/// How nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// In good order, as in the paper.
    Leaves,
    /// Without a word, and nothing answers at the address any more.
    Vanishes,
}

pub struct Rate {
    /// How many come, and as many go, in a hundred seconds.
    pub per_hundred: u32,
    /// Of the lookups that found the root: forwards until the predecessor of the key has it.
    pub path: Spread,
    /// Nodes that were asked and did not answer.
    pub timeouts: Spread,
    pub lookups: Outcome,
    pub requests: Outcome,
    /// How many a node sends in a second, all in all.
    pub messages: f64,
    pub paper_path: Measured,
    pub paper_timeouts: Measured,
    pub paper_failures: u32,
}

/// What has become of lookups.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub right: usize,
    pub wrong: usize,
    pub ended: usize,
}

impl Outcome {
    /// How many of 10,000 did not find the root.
    pub fn failures(&self) -> f64 {
        let failed = self.wrong + self.ended;
        10_000.0 * failed as f64 / (self.right + failed) as f64
    }
}

/// Judges what every lookup finds.
#[derive(Default)]
struct Judge {
    /// Who is a member and stays for now, by its place on the circle, and since when.
    members: BTreeMap<Id, (NodeHandle, Time)>,
    /// Who has gone, and when.
    gone: BTreeMap<NodeHandle, Time>,
    /// Who is to join, or to leave, once more.
    again: Vec<(NodeHandle, bool)>,
    waiting: BTreeMap<(NodeHandle, Number), (Id, Time)>,
    paths: Vec<usize>,
    timeouts: Vec<usize>,
    lookups: Outcome,
    requests: Outcome,
}

impl Judge {
    /// Whether `root` was the root of the key at some time since `asked`: it was there, and nobody who was a
    /// member all that time is nearer.
    fn is_right(&self, key: Id, asked: Time, root: NodeHandle) -> bool {
        let clockwise = self.members.range(key..).chain(self.members.range(..key));
        let mut nearer = clockwise.take_while(|(id, _)| key.distance_to(**id) < key.distance_to(root.id()));
        let was_there = self.gone.get(&root).is_none_or(|&gone| asked <= gone);
        was_there && nearer.all(|(_, &(_, since))| asked < since)
    }

    fn traced(&mut self, key: Id, asked: Time, way: &Way) {
        self.timeouts.push(way.silent.len());
        match way.end {
            Ok(root) if self.is_right(key, asked, root) => {
                self.lookups.right += 1;
                self.paths.extend(forwards(way));
            }
            Ok(_) => self.lookups.wrong += 1,
            Err(_) => self.lookups.ended += 1,
        }
    }
}

impl Observer<Bare> for Judge {
    fn told(&mut self, network: &Network<Bare>, node: NodeHandle, told: &Told) {
        let now = network.now();
        match told {
            Told::Looks(number, key) => {
                self.waiting.insert((node, *number), (*key, now));
            }
            Told::Up(Upcall::Joined) => {
                self.members.insert(node.id(), (node, now));
            }
            Told::Up(Upcall::JoinFailed { .. }) => self.again.push((node, true)),
            Told::Up(Upcall::LeaveFailed) => self.again.push((node, false)),
            Told::Up(Upcall::Traced { id, way }) => {
                if let Some((key, asked)) = self.waiting.remove(&(node, *id)) {
                    self.traced(key, asked, way);
                }
            }
            Told::Up(Upcall::Root { id, root, .. }) => {
                if let Some((key, asked)) = self.waiting.remove(&(node, *id)) {
                    match self.is_right(key, asked, *root) {
                        true => self.requests.right += 1,
                        false => self.requests.wrong += 1,
                    }
                }
            }
            Told::Up(Upcall::Failed { id, .. }) => {
                self.requests.ended += usize::from(self.waiting.remove(&(node, *id)).is_some());
            }
            Told::Up(_) => {}
        }
    }

    fn ends(&mut self, network: &Network<Bare>, node: NodeHandle) {
        self.gone.insert(node, network.now());
        // Nobody is there to be told.
        self.waiting.retain(|(origin, _), _| *origin != node);
    }
}

struct Churn {
    network: Network<Bare>,
    judge: Rc<RefCell<Judge>>,
    going: Going,
    seed: u64,
    started: u32,
}

impl Churn {
    fn new(seed: u64, going: Going) -> Churn {
        let links = Links { base: Latency::Constant(Duration::ZERO), jitter: LATENCY, ..Links::good() };
        let mut network = Network::new(seed, links);
        network.trace.keep(0);
        let judge = Rc::new(RefCell::new(Judge::default()));
        network.observe(Rc::clone(&judge));
        let all = nodes(0..NODES, seed);
        let now = network.now();
        for &node in &all {
            network.add(Bare(Chord::ideal(&all, node, SUCCESSORS, now)));
            judge.borrow_mut().members.insert(node.id(), (node, now));
        }
        Churn { network, judge, going, seed, started: NODES }
    }

    /// How long it is until the next of events that are `mean` apart on average, at random.
    fn pause(&mut self, mean: Duration) -> Duration {
        Latency::Exponential(mean).of(self.network.rng().random())
    }

    fn someone(&mut self) -> NodeHandle {
        let judge = self.judge.borrow();
        let index = self.network.rng().random_range(0..judge.members.len());
        judge.members.values().nth(index).expect("below the length").0
    }

    fn key(&mut self) -> Id {
        Id::hash(self.network.rng().random::<u64>().to_be_bytes())
    }

    fn someone_comes(&mut self) {
        let node = node(self.started, self.seed);
        self.started += 1;
        self.network.add(Bare(Chord::new(node, SUCCESSORS, self.network.now())));
        let via = self.someone();
        self.network.command(node, Do::Join(via));
    }

    fn someone_goes(&mut self) {
        let node = self.someone();
        self.judge.borrow_mut().members.remove(&node.id());
        match self.going {
            Going::Leaves => self.network.command(node, Do::Leave),
            Going::Vanishes => self.network.vanish(node),
        }
    }

    fn look_up(&mut self) {
        let (node, key) = (self.someone(), self.key());
        self.network.command(node, Do::Trace(key));
        let (node, key) = (self.someone(), self.key());
        self.network.command(node, Do::Find(key));
    }

    /// Has those join or leave who could not before.
    fn try_again(&mut self) {
        let again = std::mem::take(&mut self.judge.borrow_mut().again);
        for (node, joins) in again {
            let command = if joins { Do::Join(self.someone()) } else { Do::Leave };
            self.network.command_at(self.network.now() + AGAIN, node, command);
        }
    }
}

/// What becomes of lookups while so many nodes come and as many go in a hundred seconds.
pub fn measure(run: &Run, going: Going, per_hundred: u32) -> Rate {
    let mut churn = Churn::new(run.seed, going);
    let every = 100 * SECOND / per_hundred;
    let start = churn.network.now();
    let warm = start + WARM_UP / run.one_in;
    let end = warm + LASTS / run.one_in;
    let mut comes = start + churn.pause(every);
    let mut goes = start + churn.pause(every);
    let mut looks = warm + churn.pause(LOOKUP_EVERY);
    loop {
        let next = comes.min(goes).min(looks);
        if end < next {
            break;
        }
        churn.network.run_until(next);
        churn.try_again();
        if next == comes {
            churn.someone_comes();
            comes = next + churn.pause(every);
        } else if next == goes {
            churn.someone_goes();
            goes = next + churn.pause(every);
        } else {
            churn.look_up();
            looks = next + churn.pause(LOOKUP_EVERY);
        }
    }
    let judge = Rc::clone(&churn.judge);
    let all_have_ended =
        churn.network.poll_until(end + LAST_LOOKUPS, SECOND, |_| judge.borrow().waiting.is_empty());
    assert!(all_have_ended, "every lookup ends in bounded time");
    let judge = std::mem::take(&mut *judge.borrow_mut());
    let seconds = churn.network.now().since(start).as_secs_f64();
    let messages = churn.network.counters.messages as f64 / f64::from(NODES) / seconds;
    let papers = PAPER.iter().find(|(rate, ..)| *rate == per_hundred);
    let &(_, paper_path, paper_timeouts, paper_failures) = papers.expect("the paper has such a row");
    Rate {
        per_hundred,
        path: Spread::of(judge.paths),
        timeouts: Spread::of(judge.timeouts),
        lookups: judge.lookups,
        requests: judge.requests,
        messages,
        paper_path,
        paper_timeouts,
        paper_failures,
    }
}

/// Table III, or the same with crashes.
pub fn rates(run: &Run, going: Going) -> Vec<Rate> {
    each(&PAPER, |&(per_hundred, ..)| measure(run, going, per_hundred))
}

pub fn table(rows: &[Rate], going: Going) -> Table {
    let papers = |(mean, first, last): Measured| vec![format!("{mean:.2} ({first} {last})")];
    let per_second = |rate: &Rate| f64::from(rate.per_hundred) / 100.0;
    let row = |row: &Rate| {
        [
            vec![format!("{:.2}", per_second(row))],
            row.path.cells(&[1, 99]),
            papers(row.paper_path),
            row.timeouts.cells(&[1, 99]),
            papers(row.paper_timeouts),
            vec![format!("{:.1}", row.lookups.failures()), row.paper_failures.to_string()],
            vec![row.requests.wrong.to_string(), row.requests.ended.to_string()],
            vec![format!("{:.1}", row.messages)],
        ]
        .concat()
    };
    let (name, title, papers_name) = match going {
        Going::Leaves => ("leaves", "Nodes join and leave (Table III)", "the paper"),
        Going::Vanishes => ("crashes", "Nodes join and vanish", "the paper, where nodes leave"),
    };
    Table {
        name,
        title,
        head: vec![
            "rate",
            "path",
            "path p1",
            "path p99",
            "paper's path",
            "timeouts",
            "timeouts p1",
            "timeouts p99",
            "paper's timeouts",
            "failures in 10000",
            "paper's failures",
            "requests wrong",
            "requests unanswered",
            "messages of a node per second",
        ],
        rows: rows.iter().map(row).collect(),
        figure: Figure {
            x: "nodes that come, and as many that go, per second",
            y: "failures in 10,000 lookups",
            ours: rows.iter().map(|row| (per_second(row), row.lookups.failures())).collect(),
            papers: rows.iter().map(|row| (per_second(row), f64::from(row.paper_failures))).collect(),
            papers_name,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_wrong_if_it_had_gone_or_another_member_is_nearer() {
        let [a, b, c] = nodes(0..3, 1)[..] else { panic!("three nodes were made") };
        let at = |second| chord_chat::sim::START + second * SECOND;
        let mut judge = Judge::default();
        judge.members.insert(a.id(), (a, at(0)));
        judge.members.insert(c.id(), (c, at(0)));
        let key = b.id();
        assert!(judge.is_right(key, at(9), c));
        assert!(!judge.is_right(key, at(9), a), "c is nearer");
        judge.members.insert(b.id(), (b, at(5)));
        assert!(judge.is_right(key, at(4), c), "b has come while it was looked for");
        assert!(!judge.is_right(key, at(6), c), "b was there all the time");
        judge.members.remove(&b.id());
        judge.gone.insert(b, at(7));
        assert!(judge.is_right(key, at(6), b), "b has gone while it was looked for");
        assert!(!judge.is_right(key, at(8), b), "b had gone before");
    }
}
