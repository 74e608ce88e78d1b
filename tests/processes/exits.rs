//! Ways to leave, and what happens when nobody answers a node that leaves.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{Node, is, ring_of, wait_for_ring, wait_until};

/// "It takes at most 5 s even if the neighbours do not answer", and a busy machine takes its time.
const EXIT_TIME_MAX: Duration = Duration::from_secs(5);
const BUSY_TIME: Duration = Duration::from_secs(3);

fn pair() -> (Node, Node) {
    let alice = Node::first("alice");
    let bob = Node::join("bob", &alice);
    let mut ring = vec![alice, bob];
    wait_for_ring(&mut ring);
    ring.sort_by(|a, b| a.nick.cmp(&b.nick));
    let bob = ring.pop().unwrap();
    (ring.pop().unwrap(), bob)
}

/// Bob leaves in some way, and alice sees that he left in good order.
fn check(leave: impl FnOnce(&mut Node)) {
    let (mut alice, mut bob) = pair();
    alice.join_channel("rust");
    bob.join_channel("rust");
    leave(&mut bob);
    bob.expect_bye();
    alice.wait("bob", |event| is(event, "member") && event["nick"] == "bob" && event["change"] == "left");
    alice.wait("bob", |event| is(event, "ring") && event["change"] == "left");
    let answer = alice.ask("whois bob", |event| is(event, "whois") || is(event, "error"));
    assert_eq!(answer["message"], "bob is away; what msg sends them waits until they are back");
    alice.send("rust", "alone");
    alice.wait_for_message("alone");
    alice.exit();
}

#[test]
fn exit_leaves_in_good_order() {
    check(|bob| bob.types("exit"));
}

#[test]
fn the_end_of_input_leaves_in_good_order() {
    check(Node::end_input);
}

#[test]
fn sigint_leaves_in_good_order() {
    check(|bob| bob.signal(Signal::INT));
}

#[test]
fn sigterm_leaves_in_good_order() {
    check(|bob| bob.signal(Signal::TERM));
}

#[test]
fn what_was_asked_before_the_end_of_input_is_finished_first() {
    let (mut alice, mut bob) = pair();
    alice.join_channel("rust");
    let lines: String = (0..50).map(|i| format!("send rust line {i}\n")).collect();
    bob.write(format!("{lines}msg alice goodbye").as_bytes());
    bob.end_input();
    bob.expect_bye();
    for i in 0..50 {
        alice.wait_for_message(&format!("line {i}"));
    }
    alice.wait("goodbye", |event| is(event, "private") && event["text"] == "goodbye");
}

#[test]
fn exit_takes_five_seconds_at_most_and_says_what_was_not_handed_over() {
    // So many that they are not all found silent before the time is over: then nobody would be left.
    let mut others = ring_of(24);
    let mut leaver = others.swap_remove(0);
    for i in 0..12 {
        leaver.join_channel(&format!("channel{i}"));
    }
    others.iter().for_each(|node| node.signal(Signal::STOP));
    let begin = Instant::now();
    // Nobody answers these either.
    for i in 0..6 {
        leaver.types(&format!("send channel{i} hello"));
        leaver.types(&format!("whois n{i}"));
    }
    leaver.types("exit");
    let bye = leaver.wait("bye", |event| is(event, "bye"));
    let (status, errors) = leaver.status();
    assert!(begin.elapsed() < EXIT_TIME_MAX + BUSY_TIME, "{:?}", begin.elapsed());
    let not_handed_over = bye["not_handed_over"].as_array().expect("something was not handed over");
    let told: Vec<&str> = not_handed_over.iter().map(|what| what.as_str().unwrap()).collect();
    assert_eq!(status.code(), Some(1));
    assert_eq!(errors, format!("chat: left, but could not hand over {}\n", told.join(", ")));
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let mut others = ring_of(6);
    let mut leaver = others.swap_remove(0);
    others.iter().for_each(|node| node.signal(Signal::STOP));
    let begin = Instant::now();
    // Two signals at once are one for the system: so there are more.
    wait_until("the end", || {
        leaver.signal(Signal::INT);
        leaver.has_ended()
    });
    let (status, errors) = leaver.status();
    assert_eq!(
        (status.code(), &errors[..]),
        (Some(1), "chat: stopped at once, without handing anything over\n")
    );
    assert!(begin.elapsed() < BUSY_TIME, "{:?}", begin.elapsed());
}
