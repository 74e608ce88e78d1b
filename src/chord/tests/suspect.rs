//! Suspicion: a successor that is late, and those after it.

use super::*;
use crate::chord::message::Body;
use crate::chord::stabilize::{RESEND, RESEND_FIRST_MAX, SILENCE};

fn wake(node: &mut Node, now: Time) -> Vec<Output<&'static str>> {
    node.handle(now, Input::Wakeup);
    outputs(node)
}

/// The nodes that were pinged, and under which number.
fn pinged(outputs: &[Output<&'static str>]) -> Vec<(NodeHandle, Number)> {
    let ping = |output: &Output<_>| match output {
        Output::Send { to, message: Message::Ping { question } } => Some((*to, *question)),
        _ => None,
    };
    outputs.iter().filter_map(ping).collect()
}

#[test]
fn those_after_a_successor_that_is_late_are_asked_and_whoever_answers_is_notified() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let early = wake(&mut node, START + RESEND_FIRST_MAX - Duration::from_millis(1));
    assert_eq!(pinged(&early), [], "it is not late yet");
    let late = wake(&mut node, START + RESEND_FIRST_MAX);
    assert!(late.contains(&send(b, Message::GetNeighbors { question })));
    let [(first, number), (second, _)] = pinged(&late)[..] else { panic!("{late:?}") };
    assert_eq!([first, second], [c, d]);
    let pong = Input::Message { from: c, message: Message::Pong { question: number } };
    node.handle(START + RESEND_FIRST_MAX, pong.clone());
    assert_eq!(outputs(&mut node), [send(c, Message::Notify)], "c makes sure that b is there");
    node.handle(START + RESEND_FIRST_MAX, pong);
    assert_eq!(outputs(&mut node), [], "once");
    let later = wake(&mut node, START + RESEND_FIRST_MAX + RESEND);
    let again: Vec<NodeHandle> = pinged(&later).into_iter().map(|(to, _)| to).collect();
    assert_eq!(again, [d], "c has answered");
}

#[test]
fn once_the_successor_has_answered_nobody_else_is_notified() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let number = pinged(&wake(&mut node, START + RESEND_FIRST_MAX))[0].1;
    let message = Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d, e] };
    node.handle(START + RESEND_FIRST_MAX, Input::Message { from: b, message });
    assert_eq!(outputs(&mut node), []);
    node.handle(
        START + RESEND_FIRST_MAX,
        Input::Message { from: c, message: Message::Pong { question: number } },
    );
    assert_eq!(outputs(&mut node), []);
}

/// Before, each of them was asked only once the one before it had been taken for dead.
#[test]
fn successors_that_fall_silent_together_are_found_dead_together() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    outputs(&mut node);
    let mut now = START;
    while node.successors() != [d] {
        now = node.next_wakeup().unwrap();
        for output in wake(&mut node, now) {
            match output {
                Output::Send { to, message: Message::Ping { question } } if to == d => {
                    node.handle(now, Input::Message { from: d, message: Message::Pong { question } });
                }
                _ => {}
            }
        }
        node.handle(now, Input::Message { from: e, message: Message::Tell("alive") });
    }
    assert_eq!(now, START + RESEND_FIRST_MAX + SILENCE);
}

/// The next round may be a second away.
#[test]
fn a_successor_that_something_is_handed_on_to_is_asked_at_once_unless_it_was_heard_lately() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, c, d]);
    let route = Route { key: b.id(), origin: d, id: 9, hops: 0, last: false, body: Body::Request("x") };
    let hand_on = |node: &mut Node, now, id| {
        let route = Route { id, ..route.clone() };
        node.handle(now, Input::Message { from: d, message: Message::Route(route) });
        outputs(node).into_iter().map(|output| match output {
            Output::Send { to, message } => (to, message),
            upcall => panic!("{upcall:?}"),
        })
    };
    let handed = |id| (b, Message::Route(Route { id, hops: 1, last: true, ..route.clone() }));
    let lately = Duration::from_millis(99);
    node.handle(START, Input::Message { from: b, message: Message::Tell("alive") });
    outputs(&mut node);
    assert_eq!(hand_on(&mut node, START + lately, 9).collect::<Vec<_>>(), [handed(9)]);
    let later = START + Duration::from_millis(100);
    let got: Vec<_> = hand_on(&mut node, later, 10).collect();
    assert_eq!(got[0], handed(10));
    assert!(matches!(got[1..], [(to, Message::GetNeighbors { .. })] if to == b), "{got:?}");
    let got: Vec<_> = hand_on(&mut node, later, 11).collect();
    assert_eq!(got, [handed(11)], "it is being asked");
}

/// A node that is frozen takes what is sent to it, and answers nothing.
#[test]
fn what_was_requested_of_a_node_that_is_silent_fails_soon_if_somebody_makes_sure_of_it() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c]);
    let id = node.request_to(START, d, "x");
    node.check(START, d);
    node.check(START, d);
    let [(to, _)] = pinged(&outputs(&mut node))[..] else { panic!("one ping") };
    assert_eq!(to, d);
    let failed = told(Upcall::Failed { id, why: Failure::Unreachable });
    let mut now = START;
    loop {
        for peer in [b, c, e] {
            node.handle(now, Input::Message { from: peer, message: Message::Tell("alive") });
        }
        outputs(&mut node);
        now = node.next_wakeup().unwrap();
        if wake(&mut node, now).contains(&failed) {
            break;
        }
    }
    assert_eq!(now, START + SILENCE);
}

/// A finger that has fallen silent swallows what is handed on to it: it is found out by what is.
#[test]
fn who_is_not_heard_while_something_is_handed_on_to_them_is_lost_after_a_second() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b]);
    node.fingers.insert(159, c);
    let route = |id| {
        let (key, body) = (d.id(), Body::Request("x"));
        Message::Route(Route { key, origin: e, id, hops: 0, last: false, body })
    };
    let pings = |outputs: &[Output<&str>]| {
        outputs
            .iter()
            .filter(|output| matches!(output, Output::Send { to, message: Message::Ping { .. } } if *to == c))
            .count()
    };
    assert_eq!(pings(&feed(&mut node, e, route(1))), 1);
    assert_eq!(pings(&feed(&mut node, e, route(2))), 0, "it was asked just now");
    let end = START + Duration::from_secs(1);
    while let Some(now) = node.next_wakeup().filter(|&at| at <= end) {
        for peer in [b, e] {
            node.handle(now, Input::Message { from: peer, message: Message::Tell("alive") });
        }
        node.handle(now, Input::Wakeup);
        outputs(&mut node);
    }
    assert!(node.fingers().all(|(_, finger)| finger != c));
}
