//! Ways to leave, and what happens when nobody answers a node that leaves.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{Node, is, wait_for_ring};

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
    assert_eq!(answer["message"], "nobody has the name bob");
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
    let (alice, mut bob) = pair();
    // All of bob's channels and half of the names have their root here or there.
    bob.join_channel("rust");
    alice.signal(Signal::STOP);
    let begin = Instant::now();
    // This message will not be stored, and the channel is not left.
    bob.types("send rust into the silence");
    bob.wait("queued", |event| is(event, "sent") && event["state"] == "queued");
    bob.signal(Signal::TERM);
    let bye = bob.wait("bye", |event| is(event, "bye"));
    let (status, errors) = bob.status();
    assert!(begin.elapsed() < EXIT_TIME_MAX + BUSY_TIME, "{:?}", begin.elapsed());
    match bye.get("not_handed_over") {
        Some(_) => {
            assert_eq!(status.code(), Some(1));
            assert!(errors.starts_with("chat: left, but could not hand over"), "{errors}");
            assert_eq!(errors.lines().count(), 1, "{errors}");
        }
        // The silent neighbour was given up in time: then bob was alone, and had nobody to hand over to.
        None => assert_eq!((status.code(), &errors[..]), (Some(0), "")),
    }
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let (alice, mut bob) = pair();
    alice.signal(Signal::STOP);
    let begin = Instant::now();
    bob.types("send rust into the silence");
    bob.wait("queued", |event| is(event, "sent") && event["state"] == "queued");
    bob.signal(Signal::INT);
    let answer = bob.ask("ring", |event| is(event, "error") || is(event, "ring_state"));
    assert!(is(&answer, "error"), "{answer}");
    bob.signal(Signal::INT);
    let (status, errors) = bob.status();
    assert_eq!((status.code(), &errors[..]), (Some(1), "chat: stopped at once, without handing anything over\n"));
    assert!(begin.elapsed() < BUSY_TIME, "{:?}", begin.elapsed());
}
