//! Failure: who is taken for dead, and what a node does without its neighbours.

use super::*;
use crate::chord::message::Step;
use crate::chord::stabilize::{RESEND, RESEND_FIRST_MAX, SILENCE};

/// In a young ring, all neighbours that are known can go at once: those that they told of may know the rest.
#[test]
fn a_node_that_has_lost_all_neighbours_asks_those_that_they_told_of() {
    let [a, b, c] = nodes();
    let mut node = member(b, a, &[a]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(c), successors: vec![b, a] };
    let question = asked(&feed(&mut node, a, answer));
    lose(&mut node, a);
    assert!(!node.is_alone());
    assert_eq!(node.is_root(c.id()), None, "c may be the root");
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![b, c] };
    feed(&mut node, c, answer);
    assert_eq!(node.successors(), [c]);
}

#[test]
fn who_is_silent_too_long_is_dead_and_who_speaks_is_not() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let wake = |node: &mut Node, now| {
        node.handle(now, Input::Wakeup);
        outputs(node)
    };
    let repeated = send(b, Message::GetNeighbors { question });
    assert!(wake(&mut node, START + RESEND_FIRST_MAX).contains(&repeated));
    // Any message is a sign of life.
    node.handle(START + SILENCE - RESEND, Input::Message { from: b, message: Message::Notify });
    for peer in [c, d] {
        node.handle(START + SILENCE, Input::Message { from: peer, message: Message::Tell("alive") });
    }
    wake(&mut node, START + SILENCE);
    assert_eq!(node.successors()[0], b);
    let end = wake(&mut node, START + SILENCE - RESEND + SILENCE);
    assert!(end.contains(&told(Upcall::Lost(b))));
    assert_eq!(node.successors(), [c, d]);
}

#[test]
fn a_node_that_slept_does_not_take_others_for_dead() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    outputs(&mut node);
    let later = START + Duration::from_secs(3600);
    node.handle(later, Input::Wakeup);
    assert_eq!((node.successors(), node.predecessor()), (&[b, c, d][..], Some(e)));
}

#[test]
fn who_is_outside_the_ring_says_so() {
    let [a, b] = nodes();
    let mut node: Node = Chord::new(a, 3, START);
    assert_eq!(feed(&mut node, b, Message::GetNeighbors { question: 1 }), [send(b, Message::NotMember)]);
    assert_eq!(feed(&mut node, b, Message::Ping { question: 1 }), [send(b, Message::NotMember)]);
    let step = Message::NextHop { question: 1, step: Step::Unknown };
    let ask = Message::GetNextHop { question: 1, key: b.id(), linear: false, last: false, avoid: Vec::new() };
    assert_eq!(feed(&mut node, b, ask), [send(b, step)]);
}

#[test]
fn the_last_member_is_told_that_the_whole_circle_is_its_own() {
    let [a, b, _] = nodes();
    let mut node = member(b, a, &[a]);
    let leaving = Message::Leaving { question: 1, predecessor: Some(b), successors: vec![b, a] };
    assert_eq!(
        feed(&mut node, a, leaving),
        [
            told(Upcall::NeighbourLeft(a)),
            told(Upcall::SuccessorsChanged { before: Some(a) }),
            update(true, b, a, Some(a), Why::PredecessorLeft),
            send(a, Message::LeavingHeard { question: 1, accepted: true }),
        ]
    );
    let mut node = member(b, a, &[a]);
    assert_eq!(
        lose(&mut node, a),
        [
            told(Upcall::Lost(a)),
            told(Upcall::SuccessorsChanged { before: Some(a) }),
            update(true, b, a, Some(a), Why::PredecessorLost),
        ]
    );
}

#[test]
fn who_loses_the_predecessor_and_then_everyone_else_is_told_as_well() {
    let [a, b, c] = nodes();
    let mut node = member(b, a, &[c]);
    assert_eq!(lose(&mut node, a), [told(Upcall::Lost(a))], "c may know who is before");
    assert_eq!(
        lose(&mut node, c),
        [
            told(Upcall::Lost(c)),
            told(Upcall::SuccessorsChanged { before: Some(c) }),
            update(true, b, a, Some(a), Why::PredecessorLost),
        ]
    );
}
