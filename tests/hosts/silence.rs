//! Hosts that are cut off, and processes that are frozen: nothing refuses, only silence tells.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{Mark, Node, figures, is_message, take, wait_for_ring};
use crate::namespaces::Hosts;

/// How many hosts the network has.
const HOSTS: usize = 12;

/// How long a message may take that is sent after a cut; the figures that are printed are the measurement.
const FAILOVER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a process is frozen.
const FROZEN: Duration = Duration::from_secs(20);

/// How many roots are cut off: more for a measurement.
fn cuts() -> usize {
    std::env::var("CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(3)
}

fn ring_with_channel(hosts: &Hosts) -> Vec<Node> {
    let mut nodes = hosts.ring();
    for node in &mut nodes {
        node.join_channel("rust");
    }
    nodes
}

/// Sends a message, and returns how long after `begin` the last of `nodes` showed it.
fn send_to_all(nodes: &mut [Node], sender: usize, text: &str, begin: Instant) -> Duration {
    nodes[sender].types(&format!("send #rust {text}"));
    let shown = |node: &Node| {
        node.wait_after(Mark::default(), text, |event| is_message(event, text)).0.duration_since(begin)
    };
    nodes.iter().map(shown).max().unwrap()
}

#[test]
fn after_the_host_of_its_root_is_cut_off_the_next_message_of_a_channel_reaches_all_members() {
    let hosts = Hosts::new(HOSTS);
    let mut nodes = ring_with_channel(&hosts);
    let mut times = Vec::new();
    for cut in 0..cuts() {
        let root = nodes[0].root_of("#rust");
        let mut root = take(&mut nodes, root);
        let (host, nick) = (hosts.host_of(&root), root.nick.clone());
        let text = format!("message {cut}");
        hosts.cut(host);
        let begin = Instant::now();
        let sender = cut * 7 % nodes.len();
        let last = send_to_all(&mut nodes, sender, &text, begin);
        assert!(last < FAILOVER_TIME_MAX, "{last:?}");
        times.push(last);
        // The ring stays as large as it was: there, somebody else starts.
        root.crash();
        hosts.heal();
        let via = hosts.host_of(&nodes[0]);
        let mut node = hosts.start(host, &format!("{nick}x"), Some(via)).ready();
        node.join_channel("rust");
        nodes.push(node);
        wait_for_ring(&mut nodes);
    }
    for node in &nodes {
        for cut in 0..cuts() {
            assert!(node.count(&format!("message {cut}")) <= 1);
        }
    }
    println!(
        "from the cut of a root's host to the next message at the last of {} members: {}",
        HOSTS - 1,
        figures(times)
    );
}

/// The machine of a frozen process goes on to take what is sent to it.
#[test]
fn a_root_that_is_frozen_for_20_seconds_is_routed_around_and_is_right_again_afterwards() {
    let hosts = Hosts::new(HOSTS);
    let mut nodes = ring_with_channel(&hosts);
    let root = nodes[0].root_of("#rust");
    let frozen = take(&mut nodes, root);
    frozen.signal(Signal::STOP);
    let begin = Instant::now();
    let (mut sent, mut longest) = (0, Duration::ZERO);
    while begin.elapsed() < FROZEN {
        let took =
            send_to_all(&mut nodes, sent % (HOSTS - 1), &format!("while frozen {sent}"), Instant::now());
        assert!(took < FAILOVER_TIME_MAX, "{took:?}");
        longest = longest.max(took);
        sent += 1;
        thread::park_timeout(Duration::from_millis(500));
    }
    println!("while a root is frozen, the longest of {sent} messages takes {longest:.1?}");
    wait_for_ring(&mut nodes);
    frozen.signal(Signal::CONT);
    nodes.push(frozen);
    wait_for_ring(&mut nodes);
    let took = send_to_all(&mut nodes, 0, "all awake", Instant::now());
    println!("once it goes on, a message reaches all in {took:.1?}");
    for node in &nodes {
        for i in 0..sent {
            let text = format!("while frozen {i}");
            node.wait_for_message(&text);
            assert_eq!(node.count(&text), 1, "{}: {text}", node.nick);
        }
    }
}

/// One after the other would take each its own silence; and who takes over then asks the silent root, too,
/// what it has.
#[test]
fn hosts_that_are_cut_off_together_are_found_silent_together() {
    let hosts = Hosts::new(HOSTS);
    let mut nodes = ring_with_channel(&hosts);
    // The nodes stand in the order of their ids: the root and who would take over from it.
    let root = nodes[0].root_of("#rust");
    let place = nodes.iter().position(|node| node.id() == root).unwrap();
    nodes.rotate_left(place);
    let cut: Vec<Node> = nodes.drain(..2).collect();
    cut.iter().for_each(|node| hosts.cut(hosts.host_of(node)));
    let took = send_to_all(&mut nodes, 3, "to whoever is left", Instant::now());
    println!("with its root and the next node cut off, a message takes {took:.1?}");
    assert!(took < FAILOVER_TIME_MAX, "{took:?}");
}
