//! Names: whoever joins has one, however many join at once, and it is free again when it is left behind.

use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::node::{Command, Node};
use chord_chat::records::lease::LEASE;
use chord_chat::records::name::{Nick, Person};
use chord_chat::sim::{Latency, Links, Network, seeds};

use crate::town::{SECOND, Town, at};

const SEEDS: u64 = 200;
const NODES: u16 = 32;

/// How long after the last one has come every name is where it belongs.
const REST: Duration = Duration::from_secs(8);

/// Where the person with this number is, elsewhere on the circle for each seed.
fn at_in(seed: u64, number: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, (seed % 256) as u8, 1], 7000 + number).into())
}

fn nick(number: u16) -> Nick {
    format!("n{number}").parse().unwrap()
}

fn start(network: &mut Network<Node>, seed: u64, number: u16, bootstrap: Option<NodeHandle>) {
    let me = at_in(seed, number);
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
            start(&mut network, seed, count + number, Some(at_in(seed, number)));
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
        let mut ring: Vec<NodeHandle> = (0..NODES).map(|number| at_in(seed, number)).collect();
        ring.sort_by_key(NodeHandle::id);
        for number in 0..NODES {
            let nick = nick(number);
            let key = Id::hash(nick.as_str());
            let root = ring.iter().find(|node| key <= node.id()).unwrap_or(&ring[0]);
            let root = network.get(*root).expect("nobody has been refused");
            let holder = root.records().claims(&nick).and_then(|claims| claims.holder(network.now()));
            let holder = holder.map(|claim| claim.holder);
            assert_eq!(holder, Some(at_in(seed, number)), "{nick}; run it again: SEED={seed}");
        }
    }
}

/// Somebody comes, and this is what they are told of their name.
fn comes(town: &mut Town, node: Node) -> Vec<String> {
    let n = node.chord().me().addr().port() - 7000;
    town.starts_by(node, (0 < n).then(|| at(0)));
    town.run(5 * SECOND);
    of_names(town, n)
}

fn of_names(town: &mut Town, n: u16) -> Vec<String> {
    town.take(n, |event| match event {
        Event::Ready { nick, .. } => Some(format!("{nick} is ready")),
        Event::Error { message, .. } => Some(message.clone()),
        _ => None,
    })
}

#[test]
fn a_nick_left_by_a_crash_is_refused_while_the_lease_lasts_and_free_afterwards() {
    let mut town = Town::new(0, Links::good());
    let come = |town: &mut Town, n, nick| {
        let node = town.node(n, nick);
        comes(town, node)
    };
    assert_eq!(come(&mut town, 0, "alice"), ["alice is ready"]);
    assert_eq!(come(&mut town, 1, "bob"), ["bob is ready"]);
    town.network.crash(at(1));
    let refused =
        [format!("the name bob is taken by the node at {}; bob2 is free: --nick bob2", at(1).addr())];
    assert_eq!(come(&mut town, 2, "bob"), refused);
    town.run(LEASE - 20 * SECOND);
    assert_eq!(come(&mut town, 3, "bob"), refused);
    town.run(20 * SECOND);
    assert_eq!(come(&mut town, 4, "bob"), ["bob is ready"]);
}

#[test]
fn a_nick_left_by_a_crash_is_free_at_once_for_whoever_is_at_that_address_now() {
    let mut town = Town::new(0, Links::good());
    let come = |town: &mut Town, n, nick, person| {
        let node = town.node(n, nick).with_person(Person::new([person; 16]));
        comes(town, node)
    };
    for (n, nick) in (0..).zip(["alice", "bob", "carol"]) {
        assert_eq!(come(&mut town, n, nick, n as u8), [format!("{nick} is ready")]);
    }
    town.network.crash(at(1));
    // The disk was lost, so this is another person, as far as anybody can tell.
    assert_eq!(come(&mut town, 1, "bob", 11), ["bob is ready"]);
    // That holds for the one address, and for nobody who is there.
    let refused =
        [format!("the name bob is taken by the node at {}; bob2 is free: --nick bob2", at(1).addr())];
    assert_eq!(come(&mut town, 3, "bob", 1), refused);
    town.run(2 * LEASE);
    for n in 0..4 {
        assert_eq!(of_names(&mut town, n), Vec::<String>::new(), "nobody has lost a name");
    }
}
