//! Nodes that crash or stand still, and the others that go on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{Mark, Node, figures, is, is_message, ring_of, take, wait_for_ring};

/// How many nodes the large ring has.
const NODES: usize = 32;

/// How many names are looked up in the large ring, in all.
const LOOKUPS: usize = 30_000;

/// How many lookups one node has under way.
const BATCH: usize = 50;

/// How long a message may take that is sent after a crash; the figures that are printed are the measurement.
const FAILOVER_TIME_MAX: Duration = Duration::from_secs(10);

/// How many roots are killed: more for a measurement.
fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4)
}

/// Kills the root of a channel again and again, and sends a message each time; returns how long it took
/// from the kill until the last member was shown it.
fn kill_roots(kills: usize, mut between: impl FnMut(&mut Vec<Node>)) -> Vec<Duration> {
    let mut nodes = ring_of(NODES);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    let mut times = Vec::new();
    for kill in 0..kills {
        let root = nodes[0].root_of("#rust");
        let mut root = take(&mut nodes, root);
        let text = format!("message {kill}");
        let begin = Instant::now();
        root.crash();
        let sender = kill * 7 % nodes.len();
        nodes[sender].types(&format!("send #rust {text}"));
        let shown = |node: &Node| {
            node.wait_after(Mark::default(), &text, |event| is_message(event, &text)).0.duration_since(begin)
        };
        let last = nodes.iter().map(shown).max().unwrap();
        assert!(last < FAILOVER_TIME_MAX, "{last:?}");
        times.push(last);
        // The ring stays as large as it was.
        let mut node = Node::join(&format!("late{kill}"), &nodes[sender]);
        node.join_channel("rust");
        nodes.push(node);
        between(&mut nodes);
    }
    for node in &nodes {
        for kill in 0..kills {
            assert!(node.count(&format!("message {kill}")) <= 1);
        }
    }
    times
}

#[test]
fn after_the_crash_of_its_root_the_next_message_of_a_channel_reaches_all_members() {
    let times = kill_roots(kills(), |nodes| wait_for_ring(nodes));
    println!(
        "from the kill of a channel's root to the next message at the last of {NODES} members: {}",
        figures(times)
    );
}

#[test]
fn roots_that_crash_one_right_after_the_other_lose_no_message() {
    let times = kill_roots(2 * kills(), |_| {});
    println!("the same, with no time for the ring to close in between: {}", figures(times));
}

#[test]
fn no_lookup_fails_when_three_adjacent_nodes_are_killed_at_once() {
    let mut nodes = ring_of(NODES);
    let names: Vec<String> = nodes.iter().map(|node| node.nick.clone()).collect();
    let (mut done, mut failed) = (0, Vec::new());
    let mut rounds = Vec::new();
    while done < LOOKUPS {
        let begin = Instant::now();
        let mut marks: Vec<Mark> = nodes.iter().map(Node::mark).collect();
        for (place, node) in nodes.iter_mut().enumerate() {
            let lines =
                (0..BATCH).map(|i| format!("whois {}\n", names[(place + rounds.len() + 7 * i) % NODES]));
            node.write(lines.collect::<String>().as_bytes());
        }
        if nodes.len() == NODES && LOOKUPS / 3 < done {
            // The nodes stand in the order of their ids: these three are neighbours.
            marks.drain(7..10);
            let killed: Vec<Node> = nodes.drain(7..10).collect();
            killed.iter().for_each(|node| node.signal(Signal::KILL));
        }
        for (node, mark) in nodes.iter().zip(marks) {
            let answers = node.wait_for(mark, BATCH, "lookups", |event| {
                is(event, "whois") || is(event, "error") && event["command"] == "whois"
            });
            done += answers.len();
            failed.extend(answers.into_iter().filter(|event| is(event, "error")));
        }
        rounds.push(begin.elapsed());
    }
    assert!(failed.is_empty(), "{} of {done} lookups failed: {}", failed.len(), failed[0]);
    wait_for_ring(&mut nodes);
    println!("{done} lookups, three neighbours killed on the way: 0 failed; rounds: {}", figures(rounds));
}

#[test]
fn a_node_that_stands_still_hangs_nobody_and_is_right_again_when_it_goes_on() {
    let mut nodes = ring_of(6);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    let root = nodes[0].root_of("#rust");
    let sleeper = take(&mut nodes, root);
    sleeper.signal(Signal::STOP);
    let begin = Instant::now();
    for (i, node) in nodes.iter_mut().enumerate() {
        node.send("rust", &format!("while it sleeps {i}"));
        node.ask("whois n0", |event| is(event, "whois"));
    }
    for i in 0..nodes.len() {
        nodes.iter().for_each(|node| drop(node.wait_for_message(&format!("while it sleeps {i}"))));
    }
    println!("with the root of the channel asleep, {} messages took {:.1?}", nodes.len(), begin.elapsed());
    wait_for_ring(&mut nodes);
    sleeper.signal(Signal::CONT);
    nodes.push(sleeper);
    wait_for_ring(&mut nodes);
    // It is still a member, and what it missed is shown once.
    nodes[0].send("rust", "good morning");
    for node in &mut nodes {
        node.wait_for_message("good morning");
    }
    let sleeper = nodes.iter().find(|node| node.id() == root).unwrap();
    for i in 0..nodes.len() - 1 {
        sleeper.wait_for_message(&format!("while it sleeps {i}"));
    }
    for node in &nodes {
        for i in 0..nodes.len() - 1 {
            assert_eq!(node.count(&format!("while it sleeps {i}")), 1, "{}", node.nick);
        }
    }
}
