//! Channels in a ring of which half of the nodes are replaced every 84 s.
//!
//! ```text
//! SEEDS=10 cargo test --test world channels::churn -- --nocapture     more of them, and what was counted
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::{Event, MessageId, Recipient, SentState};
use chord_chat::id::NodeHandle;
use chord_chat::machine::Machine;
use chord_chat::node::{Command, Node};
use chord_chat::records::name::ChannelName;
use chord_chat::sim::chat::Weather;
use chord_chat::sim::{Network, Observer};
use chord_chat::time::Time;
use rand::RngExt;

use super::{Town, name, number};
use crate::nick;
use crate::seeds::{Story, for_each_seed};

const NODES: u32 = 1000;
const CHANNELS: u32 = 50;
const HALF_LIFE: Duration = Duration::from_secs(84);
const TICK: Duration = Duration::from_millis(100);

/// How many messages are sent in a tick.
const SAID: u32 = 2;

/// How long it takes at most until who comes has read what was stored before: the request to join and the one
/// for the history may each be lost with their root, and are sent again after 5 s.
const READ_WITHIN: Duration = Duration::from_secs(15);

/// A lease is renewed meanwhile, and what was missed is shown.
const REST: Duration = Duration::from_secs(75);

fn channel(number: u32) -> ChannelName {
    name(number % CHANNELS)
}

/// What somebody who comes must be told of their channel.
struct Reading {
    since: Time,
    /// Who was in the channel when they came.
    members: BTreeSet<NodeHandle>,
    /// What was stored then, and they have not been shown.
    missing: BTreeSet<MessageId>,
    is_in: bool,
}

/// Judges what those who come are told: who is in their channel, and all that was stored before.
#[derive(Default)]
struct Readers {
    members: BTreeMap<ChannelName, BTreeSet<NodeHandle>>,
    stored: BTreeMap<ChannelName, BTreeSet<MessageId>>,
    reading: BTreeMap<NodeHandle, Reading>,
    /// How long it took to read everything, of those who had something to read.
    took: Vec<Duration>,
}

impl Readers {
    fn comes(&mut self, now: Time, node: NodeHandle) {
        let channel = channel(number(node));
        let members = self.members.get(&channel).cloned().unwrap_or_default();
        let missing = self.stored.get(&channel).cloned().unwrap_or_default();
        if !missing.is_empty() {
            self.reading.insert(node, Reading { since: now, members, missing, is_in: false });
        }
    }

    fn goes_on(&mut self, now: Time, node: NodeHandle, does: impl FnOnce(&mut Reading)) {
        let Some(reading) = self.reading.get_mut(&node) else { return };
        does(reading);
        if reading.is_in && reading.missing.is_empty() {
            self.took.push(now.since(reading.since));
            self.reading.remove(&node);
        }
    }
}

impl Observer<Node> for Readers {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        let now = network.now();
        match event {
            Event::Ready { .. } => self.comes(now, node),
            Event::Joined { channel, members } => {
                let is_there =
                    |node: NodeHandle| network.get(node).is_some_and(|node| node.chat().is_ready());
                self.goes_on(now, node, |reading| {
                    reading.is_in = true;
                    for &other in reading.members.iter().filter(|&&other| is_there(other)) {
                        let is_told = members.contains(&nick(number(other)));
                        assert!(is_told, "{node:?} is not told that {other:?} is in {channel}");
                    }
                });
                self.members.entry(channel.clone()).or_default().insert(node);
            }
            Event::Message { id, .. } => self.goes_on(now, node, |reading| {
                reading.missing.remove(id);
            }),
            Event::Sent { id, to: Recipient::Channel(channel), state: SentState::Stored, .. } => {
                self.stored.entry(channel.clone()).or_default().insert(*id);
            }
            _ => {}
        }
    }

    fn ends(&mut self, _: &Network<Node>, node: NodeHandle) {
        self.reading.remove(&node);
        self.members.entry(channel(number(node))).or_default().remove(&node);
    }
}

/// A town whose people come and go.
struct Churn {
    town: Town,
    readers: Rc<RefCell<Readers>>,
    crashed: u32,
    left: u32,
}

impl Churn {
    fn new(seed: u64, story: Story) -> Churn {
        let mut town =
            Town::new(seed, story, Weather::Rough, NODES, |number| BTreeSet::from([number % CHANNELS]));
        let mut readers = Readers::default();
        for node in town.there() {
            readers.members.entry(channel(number(node))).or_default().insert(node);
        }
        let readers = Rc::new(RefCell::new(readers));
        town.network.observe(Rc::clone(&readers));
        Churn { town, readers, crashed: 0, left: 0 }
    }

    /// Someone is killed, or leaves in good order.
    fn someone_goes(&mut self) {
        let all: Vec<NodeHandle> = self.town.network.machines().map(Machine::me).collect();
        let goes = self.town.pick(&all);
        let is_ready = self.town.network.get(goes).is_some_and(|node| node.chat().is_ready());
        if is_ready && self.town.network.rng().random() {
            self.town.network.command(goes, Command::Line("exit".to_owned()));
            // It is asked for nothing more.
            self.town.network.run_for(Duration::ZERO);
            self.left += 1;
        } else {
            self.town.network.crash(goes);
            self.crashed += 1;
        }
    }

    fn go_on_for(&mut self, duration: Duration) {
        // In the half-life, half of the nodes are replaced.
        let gone_per_tick =
            f64::from(NODES) * std::f64::consts::LN_2 * TICK.as_secs_f64() / HALF_LIFE.as_secs_f64();
        let (end, mut due) = (self.town.network.now() + duration, 0.0);
        while self.town.network.now() < end {
            due += gone_per_tick;
            while 1.0 <= due {
                due -= 1.0;
                self.someone_goes();
            }
            // Who could not come is replaced, too.
            while self.town.network.machines().count() < NODES as usize {
                self.town.someone_comes();
            }
            self.town.join_channels();
            for _ in 0..SAID {
                self.town.someone_speaks();
            }
            self.town.network.run_for(TICK);
        }
    }
}

#[test]
fn with_a_half_life_of_84_seconds_no_channel_is_lost_and_who_comes_reads_all_of_it() {
    for_each_seed("channels::churn", 1, |seed, story| {
        let mut churn = Churn::new(seed, story);
        churn.go_on_for(2 * HALF_LIFE);
        let Churn { mut town, readers, crashed, left } = churn;
        let end = town.network.now();
        let rest_after = town.until_rest(end, REST);
        let (seen, came) = (town.oracle.borrow().seen, town.people - NODES);
        let mut readers = readers.borrow_mut();
        readers.took.sort();
        let took = &readers.took;
        let (p50, longest) = (took[took.len() / 2], took.last().copied().unwrap_or_default());
        let arrivals = town.arrivals.borrow();
        let (in_vain, again) = (arrivals.in_vain.len(), arrivals.again.len());
        println!(
            "seed {seed}: {crashed} of {NODES} crash and {left} leave, {came} come, {in_vain} in vain; of {} \
             messages {} are stored and {} fail; shown {} times; {} read their channel: p50 {p50:.1?}, longest \
             {longest:.1?}, {again} joined again; at rest after {rest_after:?}",
            town.said,
            seen.stored,
            seen.failed,
            seen.shown,
            took.len(),
        );
        assert!(longest <= READ_WITHIN, "seed {seed}: it took {longest:?} to read a channel");
        assert!(readers.reading.is_empty(), "seed {seed}: all who are there have read their channel");
        assert!(1_000 < took.len() && 3_000 < seen.stored, "seed {seed}: {} have read", took.len());
        assert!(seen.failed * 1000 < town.said, "seed {seed}: {} of {} failed", seen.failed, town.said);
        assert!(in_vain * 100 < came as usize, "seed {seed}: {:?}", arrivals.in_vain);
    });
}
