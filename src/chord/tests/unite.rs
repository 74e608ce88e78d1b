//! Unite: who is asked for a place in another ring, and what becomes of the answer.

use std::collections::BTreeSet;

use super::*;
use crate::chord::message::{Body, Lost};
use crate::chord::unite::REMEMBERED_MAX;

/// How long a node may take until it asks after one that it has lost.
const SOON: Duration = Duration::from_secs(3);

fn question(me: NodeHandle, id: Number) -> Ring {
    Message::Route(Route { key: me.id(), origin: me, id, hops: 0, last: false, body: Body::Unite })
}

/// Through whom `node` has just asked for its place, each with the number of the question.
fn asked_through(outputs: &[Output<&'static str>]) -> Vec<(NodeHandle, Number)> {
    let question = |output: &Output<_>| match output {
        Output::Send { to, message: Message::Route(Route { id, body: Body::Unite, .. }) } => Some((*to, *id)),
        _ => None,
    };
    outputs.iter().filter_map(question).collect()
}

fn wake(node: &mut Node, now: Time) -> Vec<Output<&'static str>> {
    node.handle(now, Input::Wakeup);
    outputs(node)
}

/// Lets `node` ask the next of those that it has lost; the number of the question.
fn asks(node: &mut Node) -> (NodeHandle, Number) {
    node.ask_lost();
    asked_through(&outputs(node))[0]
}

#[test]
fn who_was_lost_is_asked_for_the_own_place() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, c, d]);
    lose(&mut node, b);
    assert_eq!(node.remembered().next(), Some(b));
    // By then it has asked the others and has not been answered.
    let mut got = Vec::new();
    for tenth in 1..=30 {
        let now = START + SOON * tenth / 30;
        for peer in [c, d] {
            node.handle(now, Input::Message { from: peer, message: Message::Notify });
        }
        outputs(&mut node);
        got.extend(asked_through(&wake(&mut node, now)));
    }
    let [(via, id)] = got[..] else { panic!("one question: {got:?}") };
    assert_eq!(via, b);
    let answer = Message::Place { id, successors: vec![a, c, d] };
    node.handle(START + SOON, Input::Message { from: d, message: answer });
    assert!(!node.remembered().any(|peer| peer == b), "the one before this node knows it: there is one ring");
}

#[test]
fn a_node_of_another_ring_is_asked_before_it_is_adopted_and_who_is_displaced_is_told() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[c, e]);
    node.remember(START, d);
    let (via, id) = asks(&mut node);
    assert_eq!(via, d);
    let got = feed(&mut node, d, Message::Place { id, successors: vec![b, d] });
    let number = asked(&got);
    assert_eq!(got, [send(b, Message::GetNeighbors { question: number })]);
    assert_eq!(node.successors(), [c, e], "it has not answered yet");

    let answer = Message::Neighbors { question: number, predecessor: Some(d), successors: vec![d, b] };
    let got = feed(&mut node, b, answer);
    assert_eq!(node.successors(), [b, d]);
    assert!(got.contains(&send(c, Message::Displaced { by: b })), "{got:?}");
    assert!(got.contains(&send(b, Message::Notify)), "{got:?}");
}

/// An ordinary joiner has copied the list of the node before it, and knows whom it displaces.
#[test]
fn whom_the_new_successor_knows_is_not_displaced() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[c, d]);
    node.remember(START, b);
    let (_, id) = asks(&mut node);
    let question = asked(&feed(&mut node, b, Message::Place { id, successors: vec![b, c] }));
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d] };
    let got = feed(&mut node, b, answer);
    assert!(!got.contains(&send(c, Message::Displaced { by: b })), "{got:?}");
}

#[test]
fn who_is_further_away_than_the_successor_is_no_candidate() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, d]);
    node.remember(START, c);
    let (_, id) = asks(&mut node);
    assert_eq!(feed(&mut node, c, Message::Place { id, successors: vec![c] }), []);
    assert_eq!(node.successors(), [b, d]);
    assert!(node.remembered().any(|peer| peer == c), "it is still in another ring");
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[c, d]);
    node.remember(START, b);
    let (_, id) = asks(&mut node);
    assert_eq!(feed(&mut node, b, Message::Place { id: id + 1, successors: vec![b] }), []);
    assert_eq!(feed(&mut node, b, Message::Place { id, successors: Vec::new() }), [], "a confused peer");
    assert_eq!(feed(&mut node, b, Message::Place { id, successors: vec![b] }), [], "it has been answered");
}

#[test]
fn who_asks_for_its_place_is_given_the_list_and_considered_itself() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[c, d, a]);
    let got = feed(&mut node, b, question(b, 9));
    let number = asked(&got);
    assert_eq!(
        got,
        [
            send(b, Message::Place { id: 9, successors: vec![c, d, a] }),
            send(b, Message::GetNeighbors { question: number }),
        ]
    );
    let mut node = member(a, d, &[b, c, d]);
    let got = feed(&mut node, b, question(b, 9));
    assert_eq!(got, [send(b, Message::Place { id: 9, successors: vec![b, c, d] })], "it is in its place");
}

/// A list that was full says no more than what stands in it, so an alone node must say that it is alone.
#[test]
fn the_last_of_a_large_ring_gives_a_place_in_a_ring_of_one() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    for peer in [b, c, d, e] {
        lose(&mut node, peer);
    }
    assert!(node.is_alone());
    let got = feed(&mut node, c, question(c, 9));
    assert!(got.contains(&send(c, Message::Place { id: 9, successors: vec![a] })), "{got:?}");
}

#[test]
fn who_is_displaced_asks_at_once_through_who_came_and_not_more_often_than_needed() {
    let [a, b, c, d] = nodes();
    let mut node = member(c, a, &[d, a]);
    let now = START + Duration::from_millis(200);
    let hear = |node: &mut Node, now, by| {
        node.handle(now, Input::Message { from: a, message: Message::Displaced { by } });
        asked_through(&outputs(node))
    };
    let got = hear(&mut node, now, b);
    assert_eq!(got.iter().map(|(via, _)| *via).collect::<Vec<_>>(), [b]);
    assert_eq!(hear(&mut node, now + Duration::from_millis(50), d), [], "it has just asked");
    assert_eq!(hear(&mut node, now + Duration::from_millis(150), c), [], "it does not ask itself");
    let got = asked_through(&wake(&mut node, now + Duration::from_millis(150)));
    assert_eq!(got.iter().map(|(via, _)| *via).collect::<Vec<_>>(), [d]);
}

#[test]
fn who_left_in_good_order_is_not_asked() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, c, d]);
    feed(&mut node, b, Message::Gone { question: 1, successors: vec![c, d, a] });
    assert!(!node.remembered().any(|peer| peer == b));
}

#[test]
fn whom_the_list_skips_is_remembered_and_whom_it_has_no_room_for_is_not() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![d, e] };
    feed(&mut node, b, answer);
    assert_eq!((node.successors(), node.remembered().next()), (&[b, d, e][..], Some(c)));

    let mut node = member(a, e, &[b, d, e]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d] };
    feed(&mut node, b, answer);
    assert_eq!((node.successors(), node.remembered().next()), (&[b, c, d][..], Some(e)), "e is home");
    assert_eq!(node.remembered().count(), 1);
}

#[test]
fn so_many_are_remembered_and_never_too_many_nor_without_the_one_through_which_it_came() {
    let [a, b, c] = nodes();
    let mut node = member(a, c, &[b, c]);
    let many = || (1..).map(|i| NodeHandle::new(([10, 0, 0, 1], i).into())).take(2 * REMEMBERED_MAX);
    for (i, peer) in many().enumerate() {
        node.remember(START + Duration::from_micros(i as u64), peer);
        node.remember(START + Duration::from_micros(i as u64), peer);
    }
    let remembered: Vec<NodeHandle> = node.remembered().collect();
    assert_eq!(remembered.len(), REMEMBERED_MAX);
    assert!(remembered.contains(&c), "it is asked as long as the node lives");
    let newest = many().skip(REMEMBERED_MAX + 1);
    assert!(newest.into_iter().all(|peer| remembered.contains(&peer)), "the oldest have been forgotten");
}

#[test]
fn who_does_not_come_back_for_a_day_is_forgotten() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[c, d]);
    node.remember(START, b);
    let day = Duration::from_secs(24 * 60 * 60);
    wake(&mut node, START + day - SOON);
    assert!(node.remembered().any(|peer| peer == b));
    for second in 0..6 {
        wake(&mut node, START + day + Duration::from_secs(second));
    }
    assert!(!node.remembered().any(|peer| peer == b));
}

/// A node whose last neighbours have gone keeps asking those it once knew.
#[test]
fn who_is_alone_asks_every_second() {
    let [a, b, c] = nodes();
    let mut node = member(a, c, &[b, c]);
    lose(&mut node, b);
    lose(&mut node, c);
    assert!(node.is_alone());
    let mut got = BTreeMap::new();
    for tenth in 1..=40 {
        for (via, _) in asked_through(&wake(&mut node, START + Duration::from_millis(100) * tenth)) {
            *got.entry(via).or_insert(0) += 1;
        }
    }
    assert_eq!(got, BTreeMap::from([(b, 2), (c, 2)]), "each in its turn");
}

/// Those who have lost somebody may all be gone by the time that the network heals.
#[test]
fn whom_a_node_has_lost_it_tells_who_comes_and_who_takes_its_place() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[c, e]);
    node.remember(START, d);
    let day = 24 * 60 * 60;
    let remember = |seconds| Message::Remember { lost: vec![Lost { node: d, seconds }] };

    let find_place = Route { key: b.id(), origin: b, id: 9, hops: 0, last: false, body: Body::FindPlace };
    let got = feed(&mut node, b, Message::Route(find_place));
    let place = send(b, Message::Place { id: 9, successors: vec![c, e, a] });
    assert_eq!(got, [place, send(b, remember(day))], "but not through whom it has come");

    node.newcomers.clear();
    node.leave(START + Duration::from_secs(10));
    let got = outputs(&mut node);
    assert!(got.contains(&send(c, remember(day - 10))), "{got:?}");

    let mut node = member(c, b, &[e, b]);
    assert_eq!(feed(&mut node, a, remember(5)), []);
    assert_eq!(node.remembered().collect::<Vec<_>>(), [d, b]);
    wake(&mut node, START + Duration::from_secs(5));
    assert_eq!(node.remembered().collect::<Vec<_>>(), [b], "for no longer than the other would have");
}

#[test]
fn of_whom_another_has_lost_neighbours_are_not_asked_after_nor_too_many() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, d]);
    let lost = |node| Lost { node, seconds: u32::MAX };
    feed(&mut node, c, Message::Remember { lost: vec![lost(a), lost(b), lost(d), lost(c)] });
    assert_eq!(node.remembered().collect::<Vec<_>>(), [c, d], "d is home");
    let many = (1..).map(|i| lost(NodeHandle::new(([10, 0, 0, 1], i).into())));
    feed(&mut node, c, Message::Remember { lost: many.take(2 * REMEMBERED_MAX).collect() });
    assert_eq!(node.remembered().count(), REMEMBERED_MAX);
}

/// Most of them may be gone for good: then it is not the same one whom all ask at the same time.
#[test]
fn who_have_lost_the_same_peers_ask_different_ones() {
    let ring = nodes::<16>();
    let lost: Vec<NodeHandle> = ring.iter().copied().step_by(2).collect();
    let mut rounds = vec![BTreeSet::new(); 2 * lost.len()];
    for (before, me) in (0..).zip(ring).filter(|(_, me)| !lost.contains(me)) {
        let others = [ring[(before + 14) % 16], ring[(before + 2) % 16]];
        let mut node = member(me, others[0], &others[1..]);
        lost.iter().for_each(|&peer| node.remember(START, peer));
        for asked in &mut rounds {
            asked.insert(asks(&mut node).0);
        }
    }
    let (first, others) = rounds.split_at(lost.len());
    assert!(first.iter().all(|asked| asked.len() == 1), "whom a node has lost last is asked first");
    assert!(others.iter().all(|asked| asked.len() == lost.len()), "{others:?}");
}

/// A node that is alone asks after all whom it has lost as soon as a large ring does.
#[test]
fn the_fewer_members_there_are_the_more_each_asks_after() {
    let me = nodes::<1>()[0];
    let lost: Vec<NodeHandle> = (0..30).map(|i| NodeHandle::new(([127, 0, 1, 1], 7000 + i).into())).collect();
    let mut node = Node::new(me, 3, START);
    node.create(START);
    for &peer in &lost {
        node.remember(START, peer);
    }
    let mut asked = BTreeSet::new();
    for tenth in 0..=60 {
        let now = START + Duration::from_millis(100) * tenth;
        let at_once = asked_through(&wake(&mut node, now));
        assert!(at_once.len() <= lost.len().div_ceil(6), "{at_once:?}");
        asked.extend(at_once.into_iter().map(|(via, _)| via));
    }
    assert_eq!(asked.len(), lost.len(), "within 6 s");
}
