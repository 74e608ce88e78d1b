//! Play: a chat of many people, from a seed, while nodes are killed and frozen, the network is cut and
//! messages are lost; and what came of it.
//!
//! `chat sim` plays one; the tests play many.
//!
//! ```
//! use std::time::Duration;
//! use chord_chat::sim::play::{Plan, play};
//!
//! let plan = Plan { nodes: 8, length: Duration::from_secs(20), kills: 1, ..Plan::default() };
//! let report = play(&plan, |_| {});
//! assert!(report.is_kept(), "{report}");
//! ```

mod cast;
mod faults;
mod report;
mod silence;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;

use self::cast::Cast;
use self::faults::{FREEZE, Fault};
pub use self::report::Report;
use super::chat::{Oracle, Weather, kind};
use super::{Latency, Links, Network, Observer, START};
use crate::chat::event::Event;
use crate::id::NodeHandle;
use crate::node::Node;
#[cfg(test)]
use crate::records::Mutant;
use crate::records::RecordKey;
use crate::time::Time;

/// The fewest and the most nodes that a chat is played with.
pub const NODES: std::ops::RangeInclusive<u32> = 2..=1_000;

/// The longest time that a chat is played for.
pub const LENGTH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after the last fault there must be rest: a lease is renewed meanwhile, and copies are compared
/// twice, for with the first answer a copy may hear that another root still counts on it.
const REST: Duration = Duration::from_secs(150);

/// How long a disk takes to write a batch.
const WRITING: Latency = Latency::Uniform(Duration::from_micros(500), Duration::from_millis(20));

/// How often it is looked whether each channel has a root that works.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is looked whether there is rest, at which everything there is is compared.
const LOOK_FOR_REST_EVERY: Duration = Duration::from_secs(2);

/// What is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How many people come at the start, each with a node; see [`NODES`].
    pub nodes: u32,
    /// Every random choice follows from it.
    pub seed: u64,
    /// How long they chat; see [`LENGTH_MAX`].
    pub length: Duration,
    /// How many nodes are killed, one or two neighbours at a time.
    pub kills: u32,
    /// How many nodes are killed, one or two neighbours at a time, and started again where they were, with what is
    /// on their disks.
    pub restarts: u32,
    /// How often all nodes are killed at once, and started again.
    pub blackouts: u32,
    /// How many nodes are frozen, for 20 s each.
    pub freezes: u32,
    /// For how long the network is cut in two, once.
    pub split: Option<Duration>,
    /// Which part of the messages between nodes is lost without a word, from 0 to 1.
    pub loss: f64,
    /// Which part of the messages between nodes arrives twice, from 0 to 1.
    pub duplicates: f64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            nodes: 20,
            seed: 0,
            length: Duration::from_secs(5 * 60),
            kills: 0,
            restarts: 0,
            blackouts: 0,
            freezes: 0,
            split: None,
            loss: 0.0,
            duplicates: 0.0,
        }
    }
}

/// What is told of a play while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// How long it has been going on.
    pub at: Duration,
    /// What happened.
    pub what: What<'a>,
}

/// What happens in a play.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Someone types a line.
    Line(NodeHandle, &'a str),
    /// Someone is told something.
    Event(NodeHandle, &'a Event),
    /// Something is done to nodes or to the network.
    Fault(&'a str),
}

/// Hands on what people are told.
struct Teller<F>(Rc<RefCell<F>>);

impl<F: FnMut(Told<'_>)> Observer<Node> for Teller<F> {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        (self.0.borrow_mut())(Told { at: network.now().since(START), what: What::Event(node, event) });
    }

    fn after(&mut self, _: &Network<Node>, _: NodeHandle) {}
}

/// Plays a chat, and tells of it.
pub fn play(plan: &Plan, tell: impl FnMut(Told<'_>) + 'static) -> Report {
    Play::new(plan, tell).through()
}

/// Plays a chat in which all nodes make the same mistake.
#[cfg(test)]
pub(crate) fn play_with(mutant: Mutant, plan: &Plan, tell: impl FnMut(Told<'_>) + 'static) -> Report {
    Play { mutant: Some(mutant), ..Play::new(plan, tell) }.through()
}

struct Play<F> {
    plan: Plan,
    network: Network<Node>,
    oracle: Rc<RefCell<Oracle>>,
    tell: Rc<RefCell<F>>,
    cast: Cast,
    /// What is to be done yet, the next one last.
    faults: Vec<(Time, Fault)>,
    /// In which part of the network a node is, while that is cut.
    salt: Option<u8>,
    outage: Outage,
    /// Who was there when the network was cut, in each part.
    parted: Vec<BTreeSet<NodeHandle>>,
    /// Until when something goes wrong, as far as is known.
    disturbed_until: Time,
    report: Report,
    /// A mistake of all nodes, which a test has switched on.
    #[cfg(test)]
    mutant: Option<Mutant>,
}

/// How long channels were without a root that works.
#[derive(Default)]
struct Outage {
    /// When the root of each one was seen to work last, or it was looked for first.
    worked: [Option<Time>; cast::CHANNELS.len()],
    longest: Duration,
}

impl<F: FnMut(Told<'_>) + 'static> Play<F> {
    fn new(plan: &Plan, tell: F) -> Play<F> {
        let mut network = Network::new(plan.seed, Links::good());
        network.trace.keep(0);
        let millis = Duration::from_millis;
        let near = network.rng().random_range(0..20);
        let far = near + network.rng().random_range(0..60);
        let jitter = network.rng().random_range(0..20);
        network.links = Links {
            base: Latency::Uniform(millis(near), millis(far)),
            jitter: Latency::Uniform(millis(0), millis(jitter)),
            ..Links::good()
        };
        if 0 < plan.restarts + plan.blackouts {
            network.give_disks(WRITING);
        }
        network.classify(kind);
        let oracle = Rc::new(RefCell::new(Oracle::counting(Weather::Split)));
        network.observe(Rc::clone(&oracle));
        let tell = Rc::new(RefCell::new(tell));
        network.observe(Rc::new(RefCell::new(Teller(Rc::clone(&tell)))));
        let report = Report { plan: plan.clone(), ..Report::default() };
        let outage = Outage::default();
        let plan = plan.clone();
        oracle.borrow_mut().disturbed_until(START);
        Play {
            plan,
            network,
            oracle,
            tell,
            cast: Cast::default(),
            faults: Vec::new(),
            salt: None,
            parted: Vec::new(),
            outage,
            disturbed_until: START,
            report,
            #[cfg(test)]
            mutant: None,
        }
    }

    fn through(mut self) -> Report {
        self.gather();
        self.live();
        self.rest();
        self.report()
    }

    /// The people come, one after another, and join channels.
    fn gather(&mut self) {
        for _ in 0..self.plan.nodes {
            self.comes();
            let pause = self.network.rng().random_range(50..250);
            self.network.run_for(Duration::from_millis(pause));
        }
        let deadline = self.network.now() + REST;
        let wanted = self.plan.nodes as usize;
        self.network.poll_until(deadline, LOOK_EVERY, |network| {
            network.machines().filter(|node| node.chat().is_ready()).count() == wanted
        });
        for node in self.ready() {
            let channel = self.pick_channel();
            self.line(node, format!("join {channel}"));
        }
        self.network.run_for(Duration::from_secs(2));
    }

    /// They chat, and things go wrong.
    fn live(&mut self) {
        let start = self.network.now();
        let end = start + self.plan.length;
        self.network.links.loss = self.plan.loss;
        self.network.links.duplicates = self.plan.duplicates;
        if 0.0 < self.plan.loss {
            self.disturb(self.plan.length);
        }
        self.plan_faults(start);
        let pause = cast::pause(&self.plan);
        let mut next_act = start;
        while self.network.now() < end {
            self.run_for(LOOK_EVERY);
            let now = self.network.now();
            while let Some(&(_, fault)) = self.faults.last().filter(|(at, _)| *at <= now) {
                self.faults.pop();
                self.fail(fault);
            }
            if next_act <= now {
                self.act();
                next_act = now + pause.mul_f64(self.network.rng().random_range(0.0..2.0));
            }
        }
    }

    fn note(&self, what: &str) {
        let at = self.network.now().since(START);
        (self.tell.borrow_mut())(Told { at, what: What::Fault(what) });
    }

    /// Lets everything happen for so long, and looks at the roots meanwhile.
    fn run_for(&mut self, duration: Duration) {
        let end = self.network.now() + duration;
        while self.network.now() < end {
            self.network.run_until(end.min(self.network.now() + LOOK_EVERY));
            self.look_at_roots();
        }
    }

    /// Looks whether each channel has a root that works, in each part of the network.
    fn look_at_roots(&mut self) {
        let now = self.network.now();
        for (i, channel) in cast::CHANNELS.iter().enumerate() {
            if self.works(channel) {
                self.outage.worked[i] = Some(now);
            } else {
                let worked = *self.outage.worked[i].get_or_insert(now);
                self.outage.longest = self.outage.longest.max(now.since(worked));
            }
        }
    }

    /// Whether the node that should be the root of a channel is, in each part of the network.
    fn works(&self, channel: &str) -> bool {
        let name = channel.parse().expect("the channels of a play have good names");
        let key = RecordKey::Channel(name).id();
        let parts = if self.salt.is_some() { 0..2 } else { 0..1 };
        parts.into_iter().all(|wanted| {
            let is_in = |node: NodeHandle| self.salt.is_none_or(|salt| part(salt, node) == wanted);
            let is_there = |node: &&Node| {
                let me = node.chord().me();
                is_in(me) && !self.network.is_frozen(me) && node.chord().is_in_ring()
            };
            let distance = |node: &&Node| key.distance_to(node.chord().me().id());
            match self.network.machines().filter(is_there).min_by_key(distance) {
                Some(root) => root.chord().is_root(key) == Some(true) && root.records().is_ready(key),
                None => !self.is_missed_by_any(is_in),
            }
        })
    }

    /// Whether there is anyone, of some nodes, who misses a root where nobody is in the ring: whoever stands still, is
    /// starting, or is to be started again.
    fn is_missed_by_any(&self, is_meant: impl Fn(NodeHandle) -> bool) -> bool {
        let returns = self.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::Return(node) => Some(*node),
            _ => None,
        });
        let mut returns = returns.filter(|&node| !self.cast.has_exited(node));
        returns.any(&is_meant) || self.network.machines().any(|node| is_meant(node.chord().me()))
    }

    /// The faults stop, and after a while everything must be as it should.
    fn rest(&mut self) {
        self.heal();
        self.network.links.loss = 0.0;
        self.network.links.duplicates = 0.0;
        self.bring_all_back();
        self.note("the faults stop");
        let (begin, deadline) = (self.network.now(), self.network.now() + FREEZE + REST);
        let oracle = Rc::clone(&self.oracle);
        let mut last = oracle.borrow().check_long_rest(&self.network);
        while last.is_err() && self.network.now() < deadline {
            self.run_for(LOOK_FOR_REST_EVERY.min(deadline.since(self.network.now())));
            last = oracle.borrow().check_long_rest(&self.network);
        }
        self.report.rest_after = self.network.now().since(begin);
        if let Err(why) = last {
            self.report.unrest = Some(why);
            return;
        }
        self.listen(begin);
    }

    fn report(self) -> Report {
        let oracle = self.oracle.borrow();
        Report {
            seen: oracle.seen,
            said: self.cast.said(),
            broken: oracle.broken.clone(),
            told: oracle.told.iter().map(|(at, what)| (at.since(START), what.clone())).collect(),
            lost: oracle.lost(&self.network),
            outage: self.outage.longest,
            nodes: self.network.machines().count(),
            ..self.report
        }
    }
}

/// In which of two parts a node is.
fn part(salt: u8, node: NodeHandle) -> u32 {
    (node.id().as_bytes()[0] ^ salt).count_ones() % 2
}
