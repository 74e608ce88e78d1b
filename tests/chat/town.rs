//! People on a simulated network, and what they are told.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::node::{Command, Node};
use chord_chat::sim::{Links, Network, Observer};

pub const SECOND: Duration = Duration::from_secs(1);

/// How long a ring of a few nodes takes until its lists are exact, and two rings until they are one.
pub const REST: Duration = Duration::from_secs(20);

/// A network of people, each with a number.
pub struct Town {
    pub network: Network<Node>,
    told: Rc<RefCell<Told>>,
}

/// Everything that people were told.
#[derive(Default)]
struct Told(Vec<(NodeHandle, Event)>);

impl Observer<Node> for Told {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        self.0.push((node, event.clone()));
    }
}

/// Where the person with this number is.
pub fn at(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

/// Someone of `people` who is not among `others`.
pub fn someone_else(people: u16, others: &[u16]) -> u16 {
    (0..people).find(|n| !others.contains(n)).unwrap()
}

impl Town {
    /// Nobody is there yet.
    pub fn new(seed: u64, links: Links) -> Town {
        let told = Rc::new(RefCell::new(Told::default()));
        let mut network = Network::new(seed, links);
        network.observe(told.clone());
        Town { network, told }
    }

    /// So many people, `p0`, `p1` and so on, in one ring that has come to rest.
    pub fn of(people: u16, links: Links) -> Town {
        let mut town = Town::new(7, links);
        for n in 0..people {
            town.starts(n, &format!("p{n}"));
            town.run(SECOND);
        }
        town.run(REST);
        town
    }

    /// A person comes, by way of somebody who is there.
    pub fn starts(&mut self, n: u16, nick: &str) {
        let bootstrap = self.network.machines().map(|node| node.chord().me()).find(|&node| node != at(n));
        self.starts_by(self.node(n, nick), bootstrap);
    }

    pub fn starts_by(&mut self, node: Node, bootstrap: Option<NodeHandle>) {
        let me = node.chord().me();
        self.network.add(node);
        self.network.command(me, Command::Start { bootstrap });
    }

    /// The node of a person who comes now.
    pub fn node(&self, n: u16, nick: &str) -> Node {
        Node::new(nick.parse().unwrap(), at(n), self.network.now())
    }

    /// Nothing has come of it yet when this returns.
    pub fn types(&mut self, n: u16, line: &str) {
        self.network.command(at(n), Command::Line(line.to_owned()));
    }

    /// The same, and a second passes.
    pub fn says(&mut self, n: u16, line: &str) {
        self.types(n, line);
        self.run(SECOND);
    }

    pub fn run(&mut self, duration: Duration) {
        self.network.run_for(duration);
    }

    /// The numbers of those who are there.
    pub fn people(&self) -> Vec<u16> {
        self.network.machines().map(|node| node.chord().me().addr().port() - 7000).collect()
    }

    /// The people of whom the nodes are the root of `key` and the next ones after it.
    pub fn keepers(&self, key: &str, count: usize) -> Vec<u16> {
        let key = Id::hash(key);
        let mut people = self.people();
        people.sort_by_key(|&n| key.distance_to(at(n).id()));
        people.truncate(count);
        people
    }

    /// What the person was told, of what is wanted.
    pub fn told<T>(&self, n: u16, wanted: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let told = self.told.borrow();
        told.0.iter().filter(|(node, _)| *node == at(n)).filter_map(|(_, event)| wanted(event)).collect()
    }

    /// The same since this was asked last.
    pub fn take<T>(&mut self, n: u16, wanted: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let taken = self.told(n, wanted);
        self.told.borrow_mut().0.retain(|(node, _)| *node != at(n));
        taken
    }

    /// What was told until now is not told any more.
    pub fn forget(&mut self) {
        self.told.borrow_mut().0.clear();
    }

    /// How often that which is meant was told, to anybody.
    pub fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.told.borrow().0.iter().filter(|(_, event)| is_meant(event)).count()
    }
}
