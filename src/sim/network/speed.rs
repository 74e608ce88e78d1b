//! How fast a network runs: `NODES=10000 SECONDS=100 cargo test --release sim::network::speed -- --nocapture`.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::NodeHandle;
use crate::machine::{Input, Machine, Output};
use crate::sim::links::mixed;
use crate::sim::toys::address;
use crate::sim::{Links, Network, START};
use crate::time::Time;

/// How many peers each node talks to, as many as a node of a ring does.
const PEERS: u32 = 32;
const PERIOD: Duration = Duration::from_millis(100);

/// Asks one of its peers after the other, and puts off its deadline with each answer.
struct Asker {
    number: u32,
    nodes: u32,
    asked: u32,
    answers: u64,
    next: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Talk {
    Question { text: Vec<u8>, asker: NodeHandle },
    Answer { peers: Vec<NodeHandle> },
}

impl Machine for Asker {
    type Command = ();
    type Event = ();
    type Message = Talk;

    fn me(&self) -> NodeHandle {
        address(self.number)
    }

    fn handle(&mut self, now: Time, input: Input<(), Talk>, outputs: &mut Vec<Output<(), Talk>>) {
        match input {
            Input::Wakeup => {
                let peer = mixed(u64::from(self.number * PEERS + self.asked % PEERS)) % u64::from(self.nodes);
                self.asked += 1;
                self.next = now + PERIOD;
                let message = Talk::Question { text: vec![7; 150], asker: self.me() };
                outputs.push(Output::Send { to: address(peer as u32), message });
            }
            Input::Message { from, message: Talk::Question { asker, .. } } => {
                assert_eq!(from, asker);
                outputs.push(Output::Send { to: from, message: Talk::Answer { peers: vec![asker; 4] } });
            }
            Input::Message { message: Talk::Answer { .. }, .. } => self.answers += 1,
            Input::Command(()) | Input::Unreachable { .. } => {}
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        Some(self.next)
    }
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn a_network_carries_every_question_and_answer() {
    let (nodes, seconds) = (setting("NODES", 1_000), setting("SECONDS", 5));
    let mut network = Network::new(0, Links::wide_area());
    let started = Instant::now();
    for number in 0..nodes {
        let next = START + PERIOD.mul_f64(f64::from(number) / f64::from(nodes));
        network.add(Asker { number, nodes, asked: 0, answers: 0, next });
    }
    network.run_for(seconds * Duration::from_secs(1));
    let spent = started.elapsed();
    let counters = &network.counters;
    let rate = counters.inputs as f64 / spent.as_secs_f64();
    eprintln!("{nodes} nodes, {} inputs, {} bytes: {spent:?}, {rate:.0}/s", counters.inputs, counters.bytes);

    let asked: u64 = network.machines().map(|machine| u64::from(machine.asked)).sum();
    let answers: u64 = network.machines().map(|machine| machine.answers).sum();
    let under_way = network.in_flight().count() as u64;
    assert_eq!(asked, answers + under_way);
    assert_eq!(asked, counters.wakeups);
}
