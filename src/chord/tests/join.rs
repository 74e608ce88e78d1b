//! Join: a node creates a ring, or finds its place in one.

use super::*;
use crate::chord::message::Body;

#[test]
fn a_ring_begins_with_one_node_that_is_the_root_of_everything() {
    let [a] = nodes();
    let mut node: Node = Chord::new(a, 3, START);
    assert_eq!(node.is_root(Id::hash("key")), None, "a node that has not joined claims nothing");
    node.create(START);
    assert_eq!(outputs(&mut node), [told(Upcall::Joined), update(true, a, a, None, Why::Created)]);
    assert_eq!(node.is_root(Id::hash("key")), Some(true));
    assert!(node.is_alone());
}

/// "Find member m with between(m, j, m.succ[0]); succ(j) := succ(m), copied whole; prdc(j) := m" (Zave 2017).
#[test]
fn a_joiner_copies_the_whole_list_of_the_node_before_it() {
    let [a, b, c, d] = nodes();
    let mut joiner: Node = Chord::new(b, 3, START);
    joiner.join(START, d);
    let id = joiner.next_number;
    let route = Route { key: b.id(), origin: b, id, hops: 0, last: false, body: Body::FindPlace };
    assert_eq!(outputs(&mut joiner), [send(d, Message::Route(route.clone()))]);
    assert_eq!(joiner.is_root(b.id()), None, "a joining node claims nothing");

    let mut before = member(a, d, &[c, d, a]);
    let place = Message::Place { id, successors: vec![c, d, a] };
    assert_eq!(feed(&mut before, d, Message::Route(route)), [send(b, place.clone())]);

    let got = feed(&mut joiner, a, place);
    let question = asked(&got);
    assert_eq!(
        got,
        [
            told(Upcall::SuccessorsChanged { before: None }),
            told(Upcall::Joined),
            update(true, a, b, None, Why::Joined),
            send(c, Message::GetNeighbors { question }),
        ]
    );
    assert_eq!((joiner.predecessor(), joiner.successors()), (Some(a), &[c, d, a][..]));
    assert_eq!((joiner.is_root(b.id()), joiner.is_root(a.id())), (Some(true), Some(false)));
}

#[test]
fn a_second_answer_to_a_joiner_changes_nothing() {
    let [a, b, c, d] = nodes();
    let mut node = member(b, a, &[c, d]);
    assert_eq!(feed(&mut node, d, Message::Place { id: 1, successors: vec![a] }), []);
    assert_eq!(node.predecessor(), Some(a));
}

#[test]
fn a_request_for_a_place_that_comes_twice_drops_nobody() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[c, d]);
    let place = |id| {
        Message::Route(Route { key: b.id(), origin: b, id, hops: 0, last: false, body: Body::FindPlace })
    };
    feed(&mut node, b, place(9));
    node.set_successors(vec![b, c, d]);
    outputs(&mut node);
    feed(&mut node, b, place(9));
    assert_eq!(node.successors(), [b, c, d], "the way was long, and it asked again");
    feed(&mut node, b, place(10));
    assert_eq!(node.successors(), [c, d], "it has begun anew, and lost what it knew");
}
