//! Chat beside plain tokio TCP, with frames of 200 bytes, in the same run.
//!
//! `cargo bench --bench beside_tcp [-- ephemeral private fan-out flood idle processes]`; both sides are
//! pinned alike by `taskset`.
//! The nodes keep their data on the disk, in temporary directories; with `ephemeral`, they keep none. `processes` runs the program itself; elsewhere a node's driver and what stands in
//! the place of its front end run on threads of this process, and so do the parties of plain TCP.
//! The texts have 200 bytes, so the frames of the chat are longer than those of plain TCP.

mod arrivals;
mod counted;
mod figures;
mod host;
mod nodes;
mod plain;
mod processes;

use std::thread;
use std::time::Duration;

use arrivals::Arrivals;
use figures::{Comparison, show_figure, show_heads};
use host::Host;
use nodes::{RunningNode, channel_of, ring, settle};

const FRAME_BYTES: usize = 200;
const MEMBERS: usize = 32;

/// How many messages a flood has for each member.
const FLOOD_MESSAGES: usize = 5_000;

/// Below this, a round trip on loopback has woken no core.
const AWAKE: Duration = Duration::from_micros(30);

/// With this word, the nodes keep nothing on the disk.
const EPHEMERAL: &str = "ephemeral";

/// How long idle nodes are counted.
const IDLE: Duration = Duration::from_secs(60);

/// What is asked for on the command line.
fn wanted() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|argument| !argument.starts_with('-'))
}

/// Whether the nodes keep nothing on the disk.
fn is_ephemeral() -> bool {
    wanted().any(|wanted| wanted == EPHEMERAL)
}

fn main() {
    let wanted: Vec<String> = wanted().filter(|wanted| wanted != EPHEMERAL).collect();
    let sections: [(&str, fn()); 5] = [
        ("private", private),
        ("fan-out", fan_out),
        ("flood", flood),
        ("idle", idle),
        ("processes", processes::measure),
    ];
    for (section, measure) in sections {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == section) {
            measure();
        }
    }
}

fn private() {
    let echo = plain::echo();
    let nodes = ring(&Host::Own, ["alice".to_owned(), "bob".to_owned()], &Arrivals::new());
    let times = Comparison::by_turns(20, || echo.measure(1_000), || nodes[0].private("bob", 1_000));
    show_heads("a private message", "p99");
    times.show_times("msg → delivered, beside request and echo", 4.0);
    let plain = times.plain_p50();
    let state = if plain < AWAKE { "awake" } else { "asleep, and woken for each message" };
    println!("request and echo take {plain:?}: the cores were {state}");
}

/// A channel, its root, its members, and someone who is neither.
fn channel(host: &Host) -> (String, Vec<RunningNode>) {
    let nodes = ring(host, (0..MEMBERS + 2).map(|i| format!("n{i}")), &Arrivals::new());
    let channel = channel_of(&nodes[0], &nodes);
    for member in &nodes[1..=MEMBERS] {
        member.join(&channel);
    }
    (channel, nodes)
}

fn fan_out() {
    let (channel, nodes) = channel(&Host::Own);
    let (root, sender) = (&nodes[0], &nodes[MEMBERS + 1]);
    show_heads("a channel of 32, sent → shown at the last", "p99");
    let hub = plain::fan_out_of_hub();
    Comparison::by_turns(20, || hub.measure(100), || sender.fan_out(&channel, 100))
        .show_times("through the root, beside a hub", 3.0);
    let direct = plain::fan_out(&Host::Own, 1);
    Comparison::by_turns(20, || direct.measure(100), || root.fan_out(&channel, 100))
        .show_times("from the root itself, beside no hub", 3.0);
}

/// The root sends, and each frame of plain TCP is one write.
fn flood() {
    show_heads("deliveries/s from one root to 32", "least");
    for (what, host) in
        [("receivers with a thread each", Host::Own), ("receivers all on one thread", Host::shared())]
    {
        let (channel, nodes) = channel(&host);
        let plain = plain::fan_out(&host, FLOOD_MESSAGES);
        Comparison::by_turns(7, || plain.measure(1), || nodes[0].flood(&channel, 1)).show_rates(
            what,
            FLOOD_MESSAGES * MEMBERS,
            0.5,
        );
    }
}

/// What nodes send that have nothing to say.
fn idle() {
    let nodes = ring(&Host::Own, (0..MEMBERS).map(|i| format!("idle{i}")), &Arrivals::new());
    for node in &nodes {
        for channel in 0..5 {
            node.join(&format!("#idle{channel}"));
        }
    }
    settle(&nodes);
    for node in &nodes {
        node.traffic.begin();
    }
    // What is measured is what happens while nobody does anything.
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
