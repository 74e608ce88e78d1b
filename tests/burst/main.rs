//! Many nodes that join a small ring at once.
#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]
use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::node::{Command, Node};
use chord_chat::records::name::Nick;
use chord_chat::sim::{Latency, Links, Network, Observer, START, seeds};
use chord_chat::time::Time;
use std::cell::RefCell;
use std::rc::Rc;

fn handle(i: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + i).into())
}
fn nick(i: u16) -> Nick {
    format!("n{i}").parse().unwrap()
}
#[derive(Default)]
struct Seen(Vec<(Time, NodeHandle, Event)>);
impl Observer<Node> for Seen {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        self.0.push((network.now(), node, event.clone()));
    }
}

#[test]
fn no_name_is_lost_when_many_join_at_once() {
    let mut bad = 0;
    for seed in seeds(200) {
        let ms = Duration::from_millis(1);
        let links = Links { base: Latency::Constant(Duration::from_micros(100)), jitter: Latency::Uniform(Duration::ZERO, 3 * ms), ..Links::good() };
        let mut network: Network<Node> = Network::new(seed, links);
        let seen = Rc::new(RefCell::new(Seen::default()));
        network.observe(seen.clone());
        let count = 32;
        let port = |i: u16| handle(i + (seed as u16 % 500) * 40);
        let mut ready = 0;
        network.add(Node::new(nick(0), port(0), network.now()));
        network.command(port(0), Command::Start { bootstrap: None });
        network.run_for(5 * ms);
        let mut have = 1;
        while have < count {
            for i in 0..have {
                network.add(Node::new(nick(have + i), port(have + i), network.now()));
                network.command(port(have + i), Command::Start { bootstrap: Some(port(i)) });
                network.run_for(Duration::from_micros(500));
            }
            have *= 2;
            network.run_until_condition(network.now() + 8000 * ms, |_| {
                ready = seen.borrow().0.iter().filter(|(_, _, e)| matches!(e, Event::Ready { .. })).count();
                ready == have as usize
            });
        }
        network.run_for(8000 * ms);
        if ready != count as usize {
            println!("seed {seed}: {ready} ready");
            for (t, n, e) in &seen.borrow().0 { if matches!(e, Event::Error{..}) { println!("{t:?} {n:?} {e:?}"); } }
        }
        let mut ids: Vec<NodeHandle> = (0..count).map(port).filter(|n| network.get(*n).is_some()).collect();
        ids.sort_by_key(|h| h.id());
        for i in 0..count {
            let key = Id::hash(nick(i).as_str());
            let root = ids.iter().find(|h| key <= h.id()).unwrap_or(&ids[0]);
            let node = network.get(*root).unwrap();
            let found = node.records().claims(&nick(i)).and_then(|c| c.holder(network.now())).is_some();
            if !found && network.get(port(i)).is_some() {
                bad += 1;
                let holders: Vec<_> = ids.iter().filter(|h| network.get(**h).unwrap().records().claims(&nick(i)).is_some()).collect();
                let t = seen.borrow().0.iter().find(|(_, n, e)| *n == port(i) && matches!(e, Event::Ready { .. })).map(|e| e.0);
                println!("seed {seed}: {} key {key} of {:?} ready {t:?} lost; root {root:?} holders {holders:?}", nick(i), port(i));
                if std::env::var("SEED").is_ok() {
                    println!("ring {ids:?}");
                    for (t, n, e) in &seen.borrow().0 {
                        if matches!(e, Event::Ring { .. } | Event::Ready { .. }) { println!("{t:?} {n:?} {e:?}"); }
                    }
                    panic!();
                }
            }
        }
    }
    assert_eq!((bad, START), (0, START));
}
