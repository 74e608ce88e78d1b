//! Lookups in a large ring that loses half of its nodes, at once or little by little.
//!
//! ```text
//! SEEDS=10 cargo test --test world churn -- --nocapture     more of them, and what was counted
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chord::message::Number;
use chord_chat::chord::{Chord, SUCCESSORS, Upcall};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::sim::{Bare, Do, Links, Network, Observer, Told};
use chord_chat::time::Time;
use rand::RngExt;

use crate::address;
use crate::rings;
use crate::seeds::for_each_seed;

const SECOND: Duration = Duration::from_secs(1);
const NODES: u32 = 1000;

/// A lookup that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Lookup {
    key: Id,
    asked: Time,
    /// Whether it has been wrong or unanswered once.
    again: bool,
}

/// Judges every answer to a lookup.
#[derive(Default)]
struct Judge {
    /// Who is a member, by its place on the circle, and since when.
    members: BTreeMap<Id, (NodeHandle, Time)>,
    /// Those that are looked up again, and those that joined in vain.
    again: Vec<(NodeHandle, Id)>,
    to_join: Vec<NodeHandle>,
    waiting: BTreeMap<(NodeHandle, Number), Lookup>,
    /// Lookups of the second try that are about to be asked.
    repeated: BTreeSet<(NodeHandle, Id)>,
    right: u64,
    right_again: u64,
    wrong: u64,
    wrong_again: u64,
    failed: u64,
    failed_again: u64,
}

impl Judge {
    /// Whether `root` was the root of the key at some time between the question and now: nobody who was a
    /// member all the time is nearer.
    fn is_right(&self, lookup: &Lookup, root: NodeHandle) -> Result<(), (NodeHandle, Time)> {
        let clockwise = self.members.range(lookup.key..).chain(self.members.range(..lookup.key));
        let nearer =
            clockwise.take_while(|(id, _)| lookup.key.distance_to(**id) < lookup.key.distance_to(root.id()));
        match nearer.map(|(_, &member)| member).find(|(_, since)| *since <= lookup.asked) {
            Some(nearer) => Err(nearer),
            None => Ok(()),
        }
    }
}

impl Observer<Bare> for Judge {
    fn told(&mut self, network: &Network<Bare>, node: NodeHandle, told: &Told) {
        match told {
            Told::Looks(number, key) => {
                let again = self.repeated.remove(&(node, *key));
                self.waiting.insert((node, *number), Lookup { key: *key, asked: network.now(), again });
            }
            Told::Up(Upcall::Root { id, root, .. }) => {
                let Some(lookup) = self.waiting.remove(&(node, *id)) else { return };
                match (self.is_right(&lookup, *root), lookup.again) {
                    (Ok(()), false) => self.right += 1,
                    (Ok(()), true) => self.right_again += 1,
                    (Err(_), again) => {
                        if again {
                            self.wrong_again += 1;
                        } else {
                            self.wrong += 1;
                            self.again.push((node, lookup.key));
                        }
                    }
                }
            }
            Told::Up(Upcall::Failed { id, .. }) => {
                let Some(lookup) = self.waiting.remove(&(node, *id)) else { return };
                if lookup.again {
                    self.failed_again += 1;
                } else {
                    self.failed += 1;
                    self.again.push((node, lookup.key));
                }
            }
            Told::Up(Upcall::Joined) => {
                self.members.insert(node.id(), (node, network.now()));
            }
            Told::Up(Upcall::JoinFailed { .. }) => self.to_join.push(node),
            Told::Up(_) => {}
        }
    }
}

struct Churn {
    network: Network<Bare>,
    judge: Rc<RefCell<Judge>>,
    started: u32,
}

impl Churn {
    fn new(seed: u64, nodes: u32) -> Churn {
        let mut network = rings::ideal(seed, Links::wide_area(), nodes);
        let judge = Rc::new(RefCell::new(Judge::default()));
        network.observe(Rc::clone(&judge));
        for number in 0..nodes {
            let node = address(number);
            judge.borrow_mut().members.insert(node.id(), (node, network.now()));
        }
        Churn { network, judge, started: nodes }
    }

    fn someone(&mut self) -> NodeHandle {
        let judge = self.judge.borrow();
        let index = self.network.rng().random_range(0..judge.members.len());
        judge.members.values().nth(index).expect("below the length").0
    }

    fn crash(&mut self, nodes: &[NodeHandle]) {
        for node in nodes {
            self.judge.borrow_mut().members.remove(&node.id());
            self.judge.borrow_mut().waiting.retain(|(origin, _), _| origin != node);
        }
        self.network.crash_at_once(nodes);
    }

    fn join(&mut self) {
        let node = address(self.started);
        self.started += 1;
        self.network.add(Bare(Chord::new(node, SUCCESSORS, self.network.now())));
        self.judge.borrow_mut().to_join.push(node);
    }

    /// Makes so many lookups, and those again that are due, and joins who has to.
    fn look_up(&mut self, lookups: u32) {
        let to_join = std::mem::take(&mut self.judge.borrow_mut().to_join);
        for node in to_join {
            let via = self.someone();
            self.network.command(node, Do::Join(via));
        }
        let again = std::mem::take(&mut self.judge.borrow_mut().again);
        for (node, key) in again {
            if self.network.get(node).is_some() {
                self.judge.borrow_mut().repeated.insert((node, key));
                self.network.command(node, Do::Find(key));
            }
        }
        for _ in 0..lookups {
            let (node, number) = (self.someone(), self.network.rng().random::<u64>());
            self.network.command(node, Do::Find(Id::hash(number.to_be_bytes())));
        }
    }

    fn tell(&self) {
        let Judge { right, right_again, wrong, wrong_again, failed, failed_again, .. } =
            &*self.judge.borrow();
        println!(
            "right {right}, again {right_again}; wrong {wrong}, {wrong_again}; failed {failed}, {failed_again}"
        );
    }
}

#[test]
fn when_half_of_1000_nodes_crash_no_lookup_is_wrong_and_the_ring_closes_within_30_seconds() {
    let mut took = for_each_seed("churn", 1, |seed, _| {
        let mut churn = Churn::new(seed, NODES);
        for _ in 0..50 {
            churn.look_up(10);
            churn.network.run_for(SECOND / 10);
        }
        let mut gone: Vec<NodeHandle> = (0..NODES).map(address).collect();
        for i in 0..NODES as usize / 2 {
            let other = churn.network.rng().random_range(i..NODES as usize);
            gone.swap(i, other);
        }
        churn.crash(&gone[..NODES as usize / 2]);
        let crashed = churn.network.now();
        let mut ideal = None;
        while churn.network.now() < crashed + 30 * SECOND {
            churn.look_up(20);
            churn.network.run_for(SECOND / 10);
            if ideal.is_none() && rings::is_ideal(&churn.network, |_| true) {
                ideal = Some(churn.network.now().since(crashed));
            }
        }
        churn.tell();
        let judge = churn.judge.borrow();
        assert_eq!((judge.wrong, judge.wrong_again), (0, 0), "seed {seed}");
        assert!(5_000 < judge.right, "seed {seed}: {} lookups were answered", judge.right);
        ideal.unwrap_or_else(|| panic!("seed {seed}: the ring is not ideal after 30 s"))
    });
    took.sort();
    println!("ideal after p50 {:?}, longest {:?}", took[took.len() / 2], took.last());
}

#[test]
fn with_a_half_life_of_84_seconds_lookups_are_right_after_one_retry() {
    for_each_seed("churn", 1, |seed, _| {
        let mut churn = Churn::new(seed, NODES);
        // In the half-life, half of the nodes are replaced.
        let per_tenth = f64::from(NODES) * std::f64::consts::LN_2 / 84.0 / 10.0;
        let mut due = 0.0;
        for _ in 0..2 * 84 * 10 {
            due += per_tenth;
            while 1.0 <= due {
                due -= 1.0;
                churn.join();
                let someone = churn.someone();
                churn.crash(&[someone]);
            }
            churn.look_up(20);
            churn.network.run_for(SECOND / 10);
        }
        churn.tell();
        let judge = churn.judge.borrow();
        let right = judge.right + judge.right_again;
        let not_right = judge.wrong_again + judge.failed_again;
        assert!(30_000 < right, "seed {seed}: {right} lookups were right");
        assert!(not_right * 1000 <= right, "seed {seed}: {not_right} of {right} were not");
    });
}
