//! Chat beside plain tokio TCP, with frames of 200 bytes, in the same run.
//!
//! `cargo bench --bench beside_tcp [-- private fan-out flood idle processes]`; both sides are pinned
//! alike by `taskset`. Each node, and each party of plain TCP, is a thread with a runtime of its own,
//! on which the node's driver and its front end run; `processes` runs the program itself.
//! The texts have 200 bytes, so the frames of the chat are longer than those of plain TCP.

mod arrivals;
mod counted;
mod figures;
mod nodes;
mod plain;
mod processes;

use std::thread;
use std::time::Duration;

use arrivals::Arrivals;
use figures::{Comparison, show_figure, show_heads};
use nodes::{NodeThread, channel_of, ring};
use tokio::runtime::{Builder, Runtime};

const FRAME_BYTES: usize = 200;
const MEMBERS: usize = 32;

/// How many messages for each member one time of a flood is measured over.
const RATE_MESSAGES: usize = 5_000;

/// Below this, a round trip on loopback has woken no core.
const AWAKE: Duration = Duration::from_micros(30);

/// How long idle nodes are counted.
const IDLE: Duration = Duration::from_secs(60);

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |section: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == section);
    if is_wanted("private") {
        private();
    }
    if is_wanted("fan-out") || is_wanted("flood") {
        // The root, 32 members, and someone who is neither.
        let names = (0..MEMBERS + 2).map(|i| format!("n{i}"));
        let arrivals = Arrivals::new();
        let nodes = ring(names, &arrivals);
        let (root, sender) = (&nodes[0], &nodes[MEMBERS + 1]);
        let channel = channel_of(root, &nodes);
        for node in &nodes[1..=MEMBERS] {
            node.join(&channel);
        }
        if is_wanted("fan-out") {
            fan_out(root, sender, &channel);
        }
        if is_wanted("flood") {
            flood(root, &channel);
        }
    }
    if is_wanted("idle") {
        idle();
    }
    if is_wanted("processes") {
        processes::measure();
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn private() {
    let echo = plain::echo();
    let nodes = ring(["alice".to_owned(), "bob".to_owned()], &Arrivals::new());
    let times = Comparison::by_turns(20, || echo.measure(1_000), || nodes[0].private("bob", 1_000));
    show_heads("a private message", "p99");
    times.show_times("msg → delivered, beside request and echo", 4.0);
    let plain = times.plain_p50();
    let state = if plain < AWAKE { "awake" } else { "asleep, and woken for each message" };
    println!("request and echo take {plain:?}: the cores were {state}");
}

fn fan_out(root: &NodeThread, sender: &NodeThread, channel: &str) {
    show_heads("a channel of 32, sent → shown at the last", "p99");
    let hub = plain::fan_out(true);
    Comparison::by_turns(20, || hub.measure(100), || sender.fan_out(channel, 100))
        .show_times("through the root, beside a hub", 3.0);
    let direct = plain::fan_out(false);
    Comparison::by_turns(20, || direct.measure(100), || root.fan_out(channel, 100))
        .show_times("from the root itself, beside no hub", 3.0);
}

fn flood(root: &NodeThread, channel: &str) {
    show_heads("deliveries/s from one root", "least");
    let plain = plain::flood();
    Comparison::by_turns(7, || plain.measure(1), || root.flood(channel, 1)).show_rates(
        "beside plain TCP, one write for each frame",
        RATE_MESSAGES * MEMBERS,
        0.5,
    );
}

/// What nodes send that have nothing to say.
fn idle() {
    let nodes = ring((0..MEMBERS).map(|i| format!("idle{i}")), &Arrivals::new());
    for node in &nodes {
        for channel in 0..5 {
            node.join(&format!("#idle{channel}"));
        }
    }
    thread::sleep(Duration::from_secs(5));
    for node in &nodes {
        node.traffic.begin();
    }
    thread::sleep(IDLE);
    let (messages, bytes) = nodes
        .iter()
        .map(|node| node.traffic.counted())
        .fold((0, 0), |(messages, bytes), (more, longer)| (messages + more, bytes + longer));
    let each = |count: u64| count as f64 / IDLE.as_secs_f64() / MEMBERS as f64;
    println!("\n{MEMBERS} idle nodes, five channels, each node in all of them");
    show_figure("an idle node sends", each(messages), "messages/s", None);
    show_figure("an idle node sends", each(bytes), "bytes/s", None);
}
