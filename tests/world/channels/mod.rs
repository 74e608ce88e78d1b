//! Large networks of whole nodes, whose people talk in channels.

mod churn;
mod cut;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::{Event, Recipient};
use chord_chat::chat::history::HISTORY_MAX;
use chord_chat::id::NodeHandle;
use chord_chat::machine::Machine;
use chord_chat::node::{Command, Node};
use chord_chat::records::lease::RENEW_EVERY;
use chord_chat::records::name::ChannelName;
use chord_chat::sim::chat::{Oracle, Weather};
use chord_chat::sim::{Links, Network, Observer};
use chord_chat::time::Time;
use rand::RngExt;

use crate::seeds::Story;
use crate::{address, nick, setting};

const SECOND: Duration = Duration::from_secs(1);

/// What people are told when they come.
#[derive(Default)]
struct Arrivals {
    /// Who has a name, and has not been told to join channels.
    ready: Vec<NodeHandle>,
    /// Who could not come, or do something else, and why.
    in_vain: Vec<(NodeHandle, String)>,
    /// Who could not join a channel and tries again, and why.
    again: Vec<(NodeHandle, String)>,
}

impl Observer<Node> for Arrivals {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        match event {
            Event::Ready { .. } => self.ready.push(node),
            Event::Error { command, message } if command == "join" => {
                self.ready.push(node);
                self.again.push((node, message.clone()));
            }
            Event::Error { command, message } => self.in_vain.push((node, format!("{command}: {message}"))),
            _ => {}
        }
    }
}

/// Many people, each in channels that follow from their number, with the oracle watching.
struct Town {
    network: Network<Node>,
    oracle: Rc<RefCell<Oracle>>,
    arrivals: Rc<RefCell<Arrivals>>,
    channels: fn(u32) -> BTreeSet<u32>,
    /// How many people have come.
    people: u32,
    said: u64,
}

impl Town {
    /// So many people in an ideal ring, who claim their names and join their channels in half a minute.
    fn new(
        seed: u64,
        story: Story,
        weather: Weather,
        people: u32,
        channels: fn(u32) -> BTreeSet<u32>,
    ) -> Town {
        let mut network = Network::new(seed, Links::wide_area());
        let told = if story == Story::None { 0 } else { setting("STORY", 200) };
        network.trace.keep(told as usize);
        let oracle = Rc::new(RefCell::new(Oracle::new(weather)));
        network.observe(Rc::clone(&oracle));
        let arrivals = Rc::new(RefCell::new(Arrivals::default()));
        network.observe(Rc::clone(&arrivals));
        let mut ring: Vec<NodeHandle> = (0..people).map(address).collect();
        ring.sort_by_key(NodeHandle::id);
        for number in 0..people {
            let now = network.now();
            network.add(Node::ideal(nick(number), &ring, address(number), now).with_history(HISTORY_MAX));
            // Leases are renewed at all times, and not at once.
            let at = now + RENEW_EVERY.mul_f64(network.rng().random_range(0.0..1.0));
            network.command_at(at, address(number), Command::Start { bootstrap: None });
        }
        let mut town = Town { network, oracle, arrivals, channels, people, said: 0 };
        let deadline = town.network.now() + RENEW_EVERY + 10 * SECOND;
        while town.there().len() < people as usize {
            assert!(town.network.now() < deadline, "all people are in their channels");
            town.network.run_for(SECOND);
            town.join_channels();
        }
        town
    }

    /// Someone comes, through a member of the ring.
    fn someone_comes(&mut self) {
        let members = self.network.machines().filter(|node| node.chord().is_member());
        let members: Vec<NodeHandle> = members.map(Machine::me).collect();
        let bootstrap = Some(self.pick(&members));
        let me = address(self.people);
        let node = Node::new(nick(self.people), me, self.network.now()).with_history(HISTORY_MAX);
        self.network.add(node);
        self.network.command(me, Command::Start { bootstrap });
        self.people += 1;
    }

    /// Whoever has come, and is not about to go again, joins their channels.
    fn join_channels(&mut self) {
        let mut ready = std::mem::take(&mut self.arrivals.borrow_mut().ready);
        ready.retain(|&node| self.network.get(node).is_some_and(|node| node.chat().is_ready()));
        for node in ready {
            for channel in (self.channels)(number(node)) {
                self.network.command(node, Command::Line(format!("join {}", name(channel))));
            }
        }
    }

    /// Who is in all their channels.
    fn there(&self) -> Vec<NodeHandle> {
        let is_in_all = |node: &&Node| {
            let wanted = (self.channels)(number(node.me())).len();
            node.chat().is_ready() && node.chat().joined().count() == wanted
        };
        self.network.machines().filter(is_in_all).map(Machine::me).collect()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.network.rng().random_range(0..of.len())]
    }

    /// Someone says something in one of their channels.
    fn someone_speaks(&mut self) {
        let there = self.there();
        let author = self.pick(&there);
        let channels: Vec<u32> = (self.channels)(number(author)).into_iter().collect();
        let channel = name(self.pick(&channels));
        self.said += 1;
        let text = format!("text {}", self.said);
        self.oracle.borrow_mut().will_say(author, Recipient::Channel(channel.clone()), &text);
        self.network.command(author, Command::Line(format!("send {channel} {text}")));
    }

    /// How long it takes, counted from `start`, until everyone is in their channels, and everything is as it must
    /// be at rest.
    fn until_rest(&mut self, start: Time, limit: Duration) -> Duration {
        loop {
            self.join_channels();
            let rests = match self.network.machines().count() - self.there().len() {
                0 => self.oracle.borrow().check_rest(&self.network),
                others => Err(format!("{others} are not in their channels")),
            };
            let after = self.network.now().since(start);
            match rests {
                Ok(()) => return after,
                Err(why) => assert!(after < limit, "there is no rest after {limit:?}: {why}"),
            }
            self.network.run_for(SECOND);
        }
    }
}

fn name(channel: u32) -> ChannelName {
    format!("c{channel}").parse().expect("a letter and digits are a name")
}

/// Whose address this is.
fn number(node: NodeHandle) -> u32 {
    match node.addr().ip() {
        IpAddr::V4(ip) => u32::from_be_bytes(ip.octets()) & 0x00ff_ffff,
        IpAddr::V6(_) => unreachable!("people here have addresses of the fourth version"),
    }
}
