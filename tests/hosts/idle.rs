//! What a node costs that has nothing to say.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{Node, wait_until};
use crate::namespaces::Hosts;

const HOSTS: usize = 32;
const CHANNELS: usize = 5;

/// How long the nodes are watched, in which each lease is renewed once: more for a measurement, since copies ask
/// after their records every minute.
fn window() -> Duration {
    let seconds = std::env::var("IDLE").ok().and_then(|seconds| seconds.parse().ok());
    // Leases are renewed every 30 s, all together: one time more or less weighs half then.
    Duration::from_secs(seconds.unwrap_or(60))
}

/// How many ticks of the system's clock, in which it counts a process's time, make a second.
const TICKS: f64 = 100.0;

/// What a node may send or receive on average, and how much of a core it may use.
const BYTES_PER_SECOND_MAX: f64 = 500.0;
const SHARE_OF_CORE_MAX: f64 = 0.02;

/// What all hosts have sent and received.
fn counted(hosts: &Hosts) -> (u64, u64) {
    (0..HOSTS)
        .map(|i| hosts.counted(i))
        .fold((0, 0), |(sent, received), counted| (sent + counted.sent, received + counted.received))
}

/// The time that a process has used, in seconds.
fn time_used(node: &Node) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.pid().as_raw_nonzero())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |i| fields.split_whitespace().nth(i).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}

fn pause() {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        thread::park_timeout(until - Instant::now());
    }
}

/// Waits until one second is like the one before.
fn settle(hosts: &Hosts) {
    let (mut last, mut before) = (counted(hosts).0, u64::MAX);
    wait_until("the traffic to settle", || {
        pause();
        let sent = counted(hosts).0;
        let (now, then) = (sent - last, before);
        (last, before) = (sent, now);
        now.abs_diff(then) < then / 10
    });
}

#[test]
fn an_idle_node_in_a_ring_of_32_with_five_channels_sends_and_computes_next_to_nothing() {
    let hosts = Hosts::new(HOSTS);
    let mut nodes = hosts.ring();
    for node in &mut nodes {
        (0..CHANNELS).for_each(|i| node.join_channel(&format!("idle{i}")));
    }
    settle(&hosts);
    let used = |nodes: &[Node]| nodes.iter().map(time_used).sum::<f64>();
    let (begin, before, used_before) = (Instant::now(), counted(&hosts), used(&nodes));
    while begin.elapsed() < window() {
        pause();
    }
    let (after, used_after) = (counted(&hosts), used(&nodes));
    let each = |count: f64| count / begin.elapsed().as_secs_f64() / HOSTS as f64;
    let (sent, received) = (each((after.0 - before.0) as f64), each((after.1 - before.1) as f64));
    let share = each(used_after - used_before);
    println!(
        "an idle node sends {sent:.0} and receives {received:.0} bytes/s with all headers, \
         and uses {:.2} % of a core",
        share * 100.0
    );
    assert!(sent < BYTES_PER_SECOND_MAX && received < BYTES_PER_SECOND_MAX);
    assert!(share < SHARE_OF_CORE_MAX);
}
