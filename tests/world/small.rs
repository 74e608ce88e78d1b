//! Small networks in which everything happens: people come, talk, go and crash.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::Recipient;
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::records::lease::RENEW_EVERY;
use chord_chat::records::name::ChannelName;
use chord_chat::sim::chat::{Oracle, Seen, Weather, is_heartbeat, kind};
use chord_chat::sim::{Cut, Latency, Links, Network, Order, START};
use rand::RngExt;

use crate::seeds::{Story, for_each_seed};
use crate::{address, nick, setting};

const SEEDS: u64 = 10_000;
const NODES_MAX: u32 = 24;
const CHANNELS: [&str; 3] = ["rust", "chord", "tea"];

/// How long it may take until nothing happens any more, after the last thing that somebody did:
/// a successor list of 16 is exact after 16 rounds.
const REST: Duration = Duration::from_secs(22);

/// The same where messages were lost: a lease is renewed meanwhile, and what was missed is shown.
const REST_AFTER_LOSS: Duration = Duration::from_secs(75);

/// The same where there were two rings: copies have been compared twice by then.
const REST_AFTER_SPLIT: Duration = Duration::from_secs(170);

/// How long the silence is listened to.
const SILENCE: Duration = Duration::from_secs(2);

/// What goes wrong in a network, besides crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Messages are lost and doubled, and overtake one another.
    Loss,
    /// A node is stopped for so short that it is not taken for dead.
    ShortFreeze,
    /// A node is stopped for longer: there may be two roots, and two rings, afterwards.
    LongFreeze,
    /// The network is cut for so short that nobody is taken for dead.
    ShortCut,
    /// The network is cut for long: there are two rings afterwards.
    LongCut,
}

impl Fault {
    fn of(seed: u64) -> Fault {
        match seed % 16 {
            0..=10 => Fault::None,
            11 | 12 => Fault::Loss,
            13 => Fault::ShortFreeze,
            14 => Fault::ShortCut,
            _ if seed % 32 == 15 => Fault::LongFreeze,
            _ => Fault::LongCut,
        }
    }

    fn weather(self) -> Weather {
        match self {
            Fault::None => Weather::Fair,
            Fault::Loss | Fault::ShortFreeze | Fault::ShortCut => Weather::Rough,
            Fault::LongFreeze | Fault::LongCut => Weather::Split,
        }
    }

    fn rest(self) -> Duration {
        if self == Fault::None { REST } else { REST_AFTER_LOSS }
    }
}

struct Town {
    network: Network<Node>,
    oracle: Rc<RefCell<Oracle>>,
    fault: Fault,
    nodes_max: u32,
    nodes: u32,
    texts: u64,
    crashes: u64,
    exits: u64,
}

/// What a run has done and seen.
struct Ran {
    seen: Seen,
    crashes: u64,
    exits: u64,
    fingerprint: u64,
}

impl Town {
    fn new(seed: u64, story: Story) -> Town {
        let mut network = Network::new(seed, Links::good());
        network.trace.rerun_with(format!("SEED={seed} cargo test --test world small"));
        let told = if story == Story::None { 0 } else { setting("STORY", 200) };
        network.trace.keep(told as usize);
        let fault = Fault::of(seed);
        network.links = links(&mut network, fault);
        network.classify(kind);
        let oracle = Rc::new(RefCell::new(Oracle::new(fault.weather())));
        network.observe(Rc::clone(&oracle));
        let nodes_max = network.rng().random_range(1..=NODES_MAX);
        let mut town = Town { network, oracle, fault, nodes_max, nodes: 0, texts: 0, crashes: 0, exits: 0 };
        town.start_node(None);
        town
    }

    fn pick(&mut self, below: usize) -> usize {
        self.network.rng().random_range(0..below)
    }

    fn start_node(&mut self, bootstrap: Option<NodeHandle>) {
        self.nodes += 1;
        let me = address(self.nodes);
        // Some want the name that another has.
        let same = bootstrap.is_some() && self.pick(20) == 0;
        let nick = if same { nick(self.nodes / 2) } else { nick(self.nodes) };
        let skew = Duration::from_millis(self.network.rng().random_range(0..500));
        let node = Node::new(nick, me, self.network.now() + skew);
        self.network.add_ahead(node, skew);
        self.network.command(me, Command::Start { bootstrap });
    }

    fn ready(&self) -> Vec<NodeHandle> {
        use chord_chat::machine::Machine;
        self.network.machines().filter(|node| node.chat().is_ready()).map(Machine::me).collect()
    }

    fn someone(&mut self) -> Option<NodeHandle> {
        let ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        let index = self.pick(ready.len());
        Some(ready[index])
    }

    fn line(&mut self, node: NodeHandle, line: String) {
        self.network.command(node, Command::Line(line));
    }

    /// Something happens.
    fn act(&mut self) {
        let dice = self.pick(100);
        let Some(someone) = self.someone() else { return };
        let channel = CHANNELS[self.pick(CHANNELS.len())];
        match dice {
            0..25 if self.nodes < self.nodes_max => self.start_node(Some(someone)),
            0..45 => self.line(someone, format!("join {channel}")),
            45..52 => self.line(someone, format!("leave {channel}")),
            52..80 => self.send(someone, channel),
            80..88 => self.private(someone),
            88..93 => self.exit(someone),
            _ => self.crash(),
        }
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("text {}", self.texts)
    }

    fn send(&mut self, author: NodeHandle, channel: &str) {
        let name: ChannelName = channel.parse().expect("the channels here have good names");
        for _ in 0..1 + self.pick(3) {
            let text = self.text();
            self.oracle.borrow_mut().will_say(author, Recipient::Channel(name.clone()), &text);
            self.line(author, format!("send {channel} {text}"));
        }
    }

    fn private(&mut self, author: NodeHandle) {
        let number = 1 + self.pick(self.nodes as usize) as u32;
        let text = self.text();
        let (to, recipient) = if self.pick(3) == 0 {
            let id = address(number).id().to_string();
            let prefix = id.parse().expect("an id is a prefix of itself");
            (id, Recipient::Node(prefix))
        } else {
            (nick(number).to_string(), Recipient::Nick(nick(number)))
        };
        self.oracle.borrow_mut().will_say(author, recipient, &text);
        self.line(author, format!("msg {to} {text}"));
    }

    fn exit(&mut self, node: NodeHandle) {
        // Where the network is cut, the last one of a part would take along what only they have.
        if 1 < self.ready().len() && self.fault.weather() != Weather::Split {
            self.exits += 1;
            self.network.command(node, Command::Exit);
        }
    }

    /// One node crashes, or two neighbours at once: whoever may, if anyone may.
    fn crash(&mut self) {
        let both = self.pick(2) == 0;
        let mut ready = self.ready();
        while !ready.is_empty() {
            let index = self.pick(ready.len());
            let node = ready.swap_remove(index);
            let mut gone = vec![node];
            let next = self.network.get(node).and_then(|node| node.chord().successors().first().copied());
            gone.extend(next.filter(|&next| both && self.network.get(next).is_some()));
            let oracle = self.oracle.borrow();
            if oracle.may_crash(&self.network, &gone)
                && oracle.is_kept_somewhere_without(&self.network, &gone)
            {
                drop(oracle);
                self.crashes += gone.len() as u64;
                self.network.crash_at_once(&gone);
                return;
            }
        }
    }

    fn fail(&mut self) {
        // The next question after a short one, and its answer, must come before a second is over.
        let moment = Duration::from_millis(self.network.rng().random_range(100..800));
        match self.fault {
            Fault::None | Fault::Loss => {}
            Fault::ShortFreeze | Fault::LongFreeze => {
                let times = if self.fault == Fault::LongFreeze { 5 } else { 1 };
                if let Some(node) = self.someone() {
                    self.network.freeze(node, times * moment);
                }
            }
            Fault::ShortCut | Fault::LongCut => {
                let salt = self.pick(256) as u8;
                let long = self.fault == Fault::LongCut;
                let cut = if long && salt.is_multiple_of(2) { Cut::Refused } else { Cut::Silent };
                self.network.partition(cut, move |node| (node.id().as_bytes()[0] ^ salt).count_ones() % 2);
                for _ in 0..if long { 6 } else { 1 } {
                    self.network.run_for(moment);
                    self.act();
                }
                self.network.heal();
            }
        }
    }

    fn live(&mut self) {
        let acts = 10 + self.pick(60);
        let fault_at = self.pick(acts);
        for i in 0..acts {
            let pause = match self.pick(4) {
                0 => 0,
                1 => self.network.rng().random_range(0..20),
                _ => self.network.rng().random_range(0..250),
            };
            self.network.run_for(Duration::from_millis(pause));
            self.act();
            if i == fault_at {
                self.fail();
            }
        }
    }

    fn rest(&mut self) {
        self.network.links.loss = 0.0;
        self.network.links.duplicates = 0.0;
        let oracle = Rc::clone(&self.oracle);
        if self.fault.weather() == Weather::Split {
            let deadline = self.network.now() + REST_AFTER_SPLIT;
            let mut last = Ok(());
            self.network.poll_until(deadline, Duration::from_secs(5), |network| {
                last = oracle.borrow().check_long_rest(network);
                last.is_ok()
            });
            return last.unwrap_or_else(|why| panic!("there is no rest: {why}"));
        }
        let deadline = self.network.now() + self.fault.rest();
        // What was asked for last is under way.
        self.network.run_for(SILENCE);
        loop {
            let mut last = Ok(());
            let rests = self.network.poll_until(deadline, Duration::from_millis(500), |network| {
                last = oracle.borrow().check_rest(network);
                last.is_ok()
            });
            if !rests {
                panic!("there is no rest: {}", last.expect_err("it does not rest"));
            }
            let Err(kind) = self.listen() else { return };
            assert!(self.network.now() < deadline, "messages about {kind:?} are sent at rest");
        }
    }

    /// At rest, only the heartbeat of the ring is heard; names another kind that is.
    fn listen(&mut self) -> Result<(), &'static str> {
        if START + RENEW_EVERY < self.network.now() + SILENCE {
            // It is time to renew leases.
            return Ok(());
        }
        let before = self.network.counters.kinds.clone();
        self.network.run_for(SILENCE);
        let counted = &self.network.counters.kinds;
        let is_heard = |kind: &&&'static str| !is_heartbeat(kind) && before.get(*kind) != counted.get(*kind);
        counted.keys().find(is_heard).map_or(Ok(()), |&kind| Err(kind))
    }
}

fn links(network: &mut Network<Node>, fault: Fault) -> Links {
    let millis = Duration::from_millis;
    let rng = network.rng();
    let near = rng.random_range(0..20);
    let far = near + rng.random_range(0..60);
    let jitter = rng.random_range(0..20);
    let links = Links {
        base: Latency::Uniform(millis(near), millis(far)),
        jitter: Latency::Uniform(millis(0), millis(jitter)),
        ..Links::good()
    };
    match fault {
        Fault::Loss => Links {
            loss: rng.random_range(0.0..0.03),
            duplicates: rng.random_range(0.0..0.03),
            order: Order::Any,
            ..links
        },
        _ => links,
    }
}

fn run(seed: u64, story: Story) -> Ran {
    let mut town = Town::new(seed, story);
    town.live();
    town.rest();
    let seen = town.oracle.borrow().seen;
    Ran { seen, crashes: town.crashes, exits: town.exits, fingerprint: town.network.fingerprint() }
}

#[test]
fn small_networks_keep_what_the_chat_promises() {
    let ran = for_each_seed("small", SEEDS, run);
    let sum = |of: fn(&Ran) -> u64| ran.iter().map(of).sum::<u64>();
    let sums = [
        ("shown", sum(|ran| ran.seen.shown)),
        ("private", sum(|ran| ran.seen.private)),
        ("stored", sum(|ran| ran.seen.stored)),
        ("migrated", sum(|ran| ran.seen.migrated)),
        ("changes of the ring", sum(|ran| ran.seen.ring_changes)),
        ("crashes", sum(|ran| ran.crashes)),
        ("exits", sum(|ran| ran.exits)),
        ("failed", sum(|ran| ran.seen.failed)),
    ];
    println!("{} networks: {sums:?}", ran.len());
    if 1 < ran.len() {
        for (what, sum) in &sums[..7] {
            assert!(ran.len() as u64 / 2 < *sum, "{what} happened {sum} times in {} networks", ran.len());
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..32 {
        assert_eq!(run(seed, Story::None).fingerprint, run(seed, Story::Last).fingerprint);
    }
}
