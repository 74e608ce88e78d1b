//! Leave: who may go, who takes over, and who has to stay.

use super::*;
use crate::chord::message::Body;

#[test]
fn a_leaver_goes_once_its_successor_has_taken_over() {
    let [a, b, c, d] = nodes();
    let mut leaver = member(b, a, &[c, d, a]);
    leaver.leave(START);
    let question = leaver.next_number;
    let leaving = Message::Leaving { question, predecessor: Some(a), successors: vec![c, d, a] };
    assert_eq!(outputs(&mut leaver), [send(c, leaving.clone())]);
    let route = |hops| Route { key: b.id(), origin: d, id: 9, hops, last: true, body: Body::Request("x") };
    assert_eq!(feed(&mut leaver, a, Message::Route(route(1))), [], "it waits");

    let mut successor = member(c, b, &[d, a, b]);
    let got = feed(&mut successor, b, leaving);
    assert_eq!(
        got,
        [
            told(Upcall::NeighbourLeft(b)),
            update(true, a, b, Some(b), Why::PredecessorLeft),
            told(Upcall::SuccessorsChanged { before: Some(d) }),
            send(b, Message::LeavingHeard { question, accepted: true }),
        ]
    );

    let got = feed(&mut leaver, c, Message::LeavingHeard { question, accepted: true });
    let question = leaver.next_number;
    let gone = Message::Gone { question, successors: vec![c, d, a] };
    assert_eq!(got, [send(a, gone.clone()), send(c, Message::Route(route(2)))]);
    assert!(leaver.is_in_ring(), "its predecessor still counts on it");

    let mut predecessor = member(a, d, &[b, c, d]);
    assert_eq!(
        feed(&mut predecessor, b, gone)[..2],
        [told(Upcall::NeighbourLeft(b)), told(Upcall::SuccessorsChanged { before: Some(b) })]
    );
    assert_eq!(predecessor.successors(), [c, d]);
    let got = feed(&mut leaver, a, Message::GoneHeard { question });
    assert_eq!(got, [told(Upcall::Left { to: Some(c) })]);
    assert_eq!(feed(&mut leaver, a, Message::Route(route(1))), [send(c, Message::Route(route(2)))]);
}

#[test]
fn who_has_lost_the_node_before_leaves_once_the_next_one_shows() {
    let [a, b, c, d] = nodes();
    let mut leaver = member(c, b, &[d, a, b]);
    lose(&mut leaver, b);
    leaver.leave(START);
    assert!(outputs(&mut leaver).contains(&told(Upcall::LeaveFailed)), "it may be the root of more by now");
    let got = feed(&mut leaver, a, Message::Notify);
    assert!(got.contains(&update(true, a, b, Some(b), Why::PredecessorLost)), "{got:?}");
    leaver.leave(START);
    let question = leaver.next_number;
    let leaving = Message::Leaving { question, predecessor: Some(a), successors: vec![d, a] };
    assert!(outputs(&mut leaver).contains(&send(d, leaving)));
}

#[test]
fn who_has_just_given_a_joiner_its_place_does_not_leave_it_alone() {
    let [a, b] = nodes();
    let mut node: Node = Chord::new(a, 3, START);
    node.create(START);
    let route = Route { key: b.id(), origin: b, id: 9, hops: 0, last: false, body: Body::FindPlace };
    feed(&mut node, b, Message::Route(route));
    node.leave(START);
    assert_eq!(outputs(&mut node), [told(Upcall::LeaveFailed)]);
    // The joiner never shows.
    node.leave(START + Duration::from_secs(2));
    assert_eq!(outputs(&mut node), [told(Upcall::Left { to: None })]);
}

#[test]
fn a_successor_that_knows_a_nearer_node_does_not_take_over() {
    let [a, b, c, d] = nodes();
    let mut successor = member(d, c, &[a, b]);
    let leaving = Message::Leaving { question: 5, predecessor: Some(a), successors: vec![d, a] };
    let got = feed(&mut successor, b, leaving);
    assert_eq!(got, [send(b, Message::LeavingHeard { question: 5, accepted: false })]);
}

#[test]
fn two_that_leave_each_other_do_not_wait_for_ever() {
    let [a, b] = nodes();
    let mut first = member(a, b, &[b]);
    let mut second = member(b, a, &[a]);
    first.leave(START);
    second.leave(START);
    let (from_first, from_second) = (outputs(&mut first), outputs(&mut second));
    let message = |outputs: &[Output<&'static str>]| match &outputs[0] {
        Output::Send { message, .. } => message.clone(),
        output => panic!("{output:?}"),
    };
    // The one with the smaller id stays until the other has gone.
    let refused = feed(&mut second, a, message(&from_first));
    assert!(matches!(
        refused[..],
        [Output::Send { message: Message::LeavingHeard { accepted: false, .. }, .. }]
    ));
    let accepted = feed(&mut first, b, message(&from_second));
    assert!(accepted.contains(&told(Upcall::LeaveFailed)));
    assert!(matches!(
        accepted.last(),
        Some(Output::Send { message: Message::LeavingHeard { accepted: true, .. }, .. })
    ));
    assert!(first.is_alone());
}

/// It would be asked for a day whether it is in another ring.
#[test]
fn who_has_left_in_good_order_is_asked_after_by_nobody_who_had_it_in_a_list() {
    let [a, b, c, d, e] = nodes();
    // c leaves, and tells b; a has it in its list, and hears of it from b.
    let mut next = member(b, a, &[c, d, e]);
    feed(&mut next, c, Message::Gone { question: 7, successors: vec![d, e, a] });
    next.question = None;
    let got = feed(&mut next, a, Message::GetNeighbors { question: 9 });
    let have_left = Message::HaveLeft { nodes: vec![c] };
    let neighbors = Message::Neighbors { question: 9, predecessor: Some(a), successors: next.own_list() };
    assert_eq!(got, [send(a, have_left.clone()), send(a, neighbors)]);

    let remembered_after = |messages: &[Ring]| {
        let mut node = member(a, e, &[b, c, d]);
        node.stabilize();
        let question = asked(&outputs(&mut node));
        messages.iter().for_each(|message| drop(feed(&mut node, b, message.clone())));
        let successors = vec![d, e, a];
        feed(&mut node, b, Message::Neighbors { question, predecessor: Some(a), successors });
        assert_eq!(node.successors(), [b, d, e]);
        node.remembered().collect::<Vec<_>>()
    };
    assert_eq!(remembered_after(std::slice::from_ref(&have_left)), [e], "e is home");
    assert_eq!(remembered_after(&[]), [c, e], "it may have been lost");

    next.handle(START + Duration::from_secs(60), Input::Wakeup);
    outputs(&mut next);
    assert_eq!(feed(&mut next, a, Message::GetNeighbors { question: 9 }).len(), 1, "it is told for a minute");

    // It comes back, and is lost: that is another matter, whatever is still told.
    let mut node = member(a, e, &[b, c, d]);
    lose(&mut node, c);
    feed(&mut node, b, have_left);
    assert!(node.remembered().any(|peer| peer == c));
}
