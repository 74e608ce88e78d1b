//! Names: whoever joins has one, however many join at once, and it is free again when it is left behind.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::node::{Command, Node};
use chord_chat::records::lease::LEASE;
use chord_chat::records::name::{Nick, Person};
use chord_chat::sim::{Latency, Links, Network, Observer, seeds};

const SEEDS: u64 = 200;
const NODES: u16 = 32;

/// How long after the last one has come every name is where it belongs.
const REST: Duration = Duration::from_secs(8);

/// The node with this number, elsewhere on the circle for each seed.
fn node(seed: u64, number: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, (seed % 256) as u8, 1], 7000 + number).into())
}

fn nick(number: u16) -> Nick {
    format!("n{number}").parse().unwrap()
}

fn start(network: &mut Network<Node>, seed: u64, number: u16, bootstrap: Option<NodeHandle>) {
    let me = node(seed, number);
    network.add(Node::new(nick(number), me, network.now()));
    network.command(me, Command::Start { bootstrap });
}

/// Each node lets in another one at nearly the same time, until there are enough.
fn burst(seed: u64) -> Network<Node> {
    let links = Links {
        base: Latency::Constant(Duration::from_micros(100)),
        jitter: Latency::Uniform(Duration::ZERO, Duration::from_millis(3)),
        ..Links::good()
    };
    let mut network = Network::new(seed, links);
    start(&mut network, seed, 0, None);
    let mut count = 1;
    while count < NODES {
        network.run_for(Duration::from_millis(250));
        for number in 0..count {
            start(&mut network, seed, count + number, Some(node(seed, number)));
            network.run_for(Duration::from_micros(500));
        }
        count *= 2;
    }
    network.run_for(REST);
    network
}

#[test]
fn no_name_is_lost_when_many_join_at_once() {
    for seed in seeds(SEEDS) {
        let network = burst(seed);
        let mut ring: Vec<NodeHandle> = (0..NODES).map(|number| node(seed, number)).collect();
        ring.sort_by_key(NodeHandle::id);
        for number in 0..NODES {
            let nick = nick(number);
            let key = Id::hash(nick.as_str());
            let root = ring.iter().find(|node| key <= node.id()).unwrap_or(&ring[0]);
            let root = network.get(*root).expect("nobody has been refused");
            let holder = root.records().claims(&nick).and_then(|claims| claims.holder(network.now()));
            let holder = holder.map(|claim| claim.holder);
            assert_eq!(holder, Some(node(seed, number)), "{nick}; run it again: SEED={seed}");
        }
    }
}

/// What nodes tell when they have a name, or have none.
#[derive(Default)]
struct Told(Vec<String>);

impl Observer<Node> for Told {
    fn told(&mut self, _: &Network<Node>, _: NodeHandle, event: &Event) {
        match event {
            Event::Ready { nick, .. } => self.0.push(format!("{nick} is ready")),
            Event::Error { message, .. } => self.0.push(message.clone()),
            _ => {}
        }
    }
}

#[test]
fn a_nick_left_by_a_crash_is_refused_while_the_lease_lasts_and_free_afterwards() {
    let mut network = Network::new(0, Links::good());
    let told = Rc::new(RefCell::new(Told::default()));
    network.observe(told.clone());
    let second = Duration::from_secs(1);
    let mut came = 0;
    let mut come = |network: &mut Network<Node>, nick: &str| {
        let (me, first) = (node(0, came), node(0, 0));
        network.add(Node::new(nick.parse().unwrap(), me, network.now()));
        network.command(me, Command::Start { bootstrap: (0 < came).then_some(first) });
        came += 1;
        network.run_for(5 * second);
        std::mem::take(&mut told.borrow_mut().0)
    };
    assert_eq!(come(&mut network, "alice"), ["alice is ready"]);
    assert_eq!(come(&mut network, "bob"), ["bob is ready"]);
    network.crash(node(0, 1));
    let refused =
        [format!("the name bob is taken by the node at {}; bob2 is free: --nick bob2", node(0, 1).addr())];
    assert_eq!(come(&mut network, "bob"), refused);
    network.run_for(LEASE - 20 * second);
    assert_eq!(come(&mut network, "bob"), refused);
    network.run_for(20 * second);
    assert_eq!(come(&mut network, "bob"), ["bob is ready"]);
}

#[test]
fn a_nick_left_by_a_crash_is_free_at_once_for_whoever_is_at_that_address_now() {
    let mut network = Network::new(0, Links::good());
    let told = Rc::new(RefCell::new(Told::default()));
    network.observe(told.clone());
    let come = |network: &mut Network<Node>, number: u16, nick: &str, person: u8| {
        let (me, first) = (node(0, number), node(0, 0));
        network
            .add(Node::new(nick.parse().unwrap(), me, network.now()).with_person(Person::new([person; 16])));
        network.command(me, Command::Start { bootstrap: (0 < number).then_some(first) });
        network.run_for(Duration::from_secs(5));
        std::mem::take(&mut told.borrow_mut().0)
    };
    for (number, nick) in ["alice", "bob", "carol"].into_iter().enumerate() {
        assert_eq!(come(&mut network, number as u16, nick, number as u8), [format!("{nick} is ready")]);
    }
    network.crash(node(0, 1));
    // The disk was lost, so this is another person, as far as anybody can tell.
    assert_eq!(come(&mut network, 1, "bob", 11), ["bob is ready"]);
    // That holds for the one address, and for nobody who is there.
    let holder = node(0, 1).addr();
    let refused = [format!("the name bob is taken by the node at {holder}; bob2 is free: --nick bob2")];
    assert_eq!(come(&mut network, 3, "bob", 1), refused);
    network.run_for(2 * LEASE);
    assert!(told.borrow().0.is_empty(), "nobody has lost a name: {:?}", told.borrow().0);
}
