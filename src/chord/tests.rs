//! One node: each test feeds it inputs and compares all of its outputs.

use std::convert::Infallible;

use super::message::{Answer, Body, Step};
use super::stabilize::{RESEND, SILENCE};
use super::*;

type Node = Chord<&'static str>;
type Ring = Message<&'static str>;

const START: Time = Time::from_micros(1_000_000);

/// Nodes in the order of their ids.
fn nodes<const N: usize>() -> [NodeHandle; N] {
    let mut nodes: [NodeHandle; N] =
        std::array::from_fn(|i| NodeHandle::new(([127, 0, 0, 1], 7000 + i as u16).into()));
    nodes.sort();
    nodes
}

fn outputs(node: &mut Node) -> Vec<Output<&'static str>> {
    std::iter::from_fn(|| node.next_output()).collect()
}

fn feed(node: &mut Node, from: NodeHandle, message: Ring) -> Vec<Output<&'static str>> {
    let input: Input<Infallible, Ring> = Input::Message { from, message };
    node.handle(START, input);
    outputs(node)
}

fn lose(node: &mut Node, peer: NodeHandle) -> Vec<Output<&'static str>> {
    node.handle(START, Input::Unreachable { peer, undelivered: Vec::new() });
    outputs(node)
}

fn send(to: NodeHandle, message: Ring) -> Output<&'static str> {
    Output::Send { to, message }
}

fn told(upcall: Upcall<&'static str>) -> Output<&'static str> {
    Output::Upcall(upcall)
}

fn update(
    gained: bool,
    from: NodeHandle,
    to: NodeHandle,
    peer: Option<NodeHandle>,
    why: Why,
) -> Output<&'static str> {
    told(Upcall::Update(Update {
        gained,
        range: Range { from: from.id(), to: to.id() },
        after: from,
        peer,
        why,
    }))
}

/// `me` as a member that knows `predecessor` and `successors`, and asks nobody anything.
fn member(me: NodeHandle, predecessor: NodeHandle, successors: &[NodeHandle]) -> Node {
    let mut node = Chord::new(me, 3, START);
    node.join(START, predecessor);
    let Some(Output::Send { message: Message::Route(Route { id, .. }), .. }) = node.next_output() else {
        panic!("a joiner looks for its place");
    };
    feed(&mut node, predecessor, Message::Place { id, successors: successors.to_vec() });
    node.question = None;
    node
}

/// The number of the question that `node` has just asked.
fn asked(outputs: &[Output<&'static str>]) -> Number {
    let number = |output: &Output<_>| match output {
        Output::Send { message: Message::GetNeighbors { question } | Message::Ping { question }, .. } => {
            Some(*question)
        }
        _ => None,
    };
    outputs.iter().find_map(number).expect("a question")
}

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

/// "succ(t) := first r of (s :: succ(s)); … else notify s" (Zave 2017, StabilizeFromSuccessor).
#[test]
fn stabilizing_copies_the_list_of_the_successor_and_notifies_it() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c]);
    node.stabilize();
    let got = outputs(&mut node);
    let question = asked(&got);
    assert_eq!(got, [send(b, Message::GetNeighbors { question })]);
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d, e] };
    assert_eq!(
        feed(&mut node, b, answer),
        [told(Upcall::SuccessorsChanged { before: Some(b) }), send(b, Message::Notify)]
    );
    assert_eq!(node.successors(), [b, c, d]);
}

/// "The pointer is adopted only after q answered" (Zave 2017, StabilizeFromPredecessor).
#[test]
fn a_node_that_came_between_is_adopted_once_it_has_answered() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(b), successors: vec![d, e, a] };
    let got = feed(&mut node, c, answer);
    let next = asked(&got);
    assert_eq!(
        got,
        [
            told(Upcall::SuccessorsChanged { before: Some(c) }),
            send(b, Message::GetNeighbors { question: next })
        ]
    );
    assert_eq!(node.successors(), [c, d, e], "it has not answered yet");
    let answer = Message::Neighbors { question: next, predecessor: Some(a), successors: vec![c, d, e] };
    let got = feed(&mut node, b, answer);
    let nearer = asked(&got);
    assert_eq!(
        got,
        [
            told(Upcall::SuccessorsChanged { before: Some(c) }),
            send(b, Message::Notify),
            send(b, Message::GetNeighbors { question: nearer })
        ],
        "somebody may have come nearer still"
    );
    assert_eq!(node.successors(), [b, c, d]);
}

/// Several have come into one gap: their places are found without waiting for the next round.
#[test]
fn whoever_is_told_of_a_newcomer_stabilizes_at_once() {
    let [a, b, c] = nodes();
    let mut node = member(a, c, &[b, c]);
    assert_eq!(feed(&mut node, c, Message::NewPredecessor), [], "it is not the successor");
    let got = feed(&mut node, b, Message::NewPredecessor);
    assert_eq!(got, [send(b, Message::GetNeighbors { question: asked(&got) })]);
    assert_eq!(feed(&mut node, b, Message::NewPredecessor), [], "it is being asked");
}

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

/// "No answer: keep the list, notify succ(t)[0]" (Zave 2017, StabilizeFromPredecessor).
#[test]
fn a_node_that_came_between_and_died_is_not_adopted() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[c, d, e]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(b), successors: vec![d, e, a] };
    feed(&mut node, c, answer);
    assert_eq!(lose(&mut node, b), [send(c, Message::Notify)]);
    assert_eq!(node.successors(), [c, d, e]);
}

/// "No answer: drop the head of succ(t), notify the new head, try again with it" (Zave 2017).
#[test]
fn a_dead_successor_is_dropped_and_the_next_one_is_asked_at_once() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    outputs(&mut node);
    let got = lose(&mut node, b);
    let question = asked(&got);
    assert_eq!(
        got,
        [
            told(Upcall::Lost(b)),
            told(Upcall::SuccessorsChanged { before: Some(b) }),
            send(c, Message::Notify),
            send(c, Message::GetNeighbors { question }),
        ]
    );
}

#[test]
fn an_answer_that_is_no_longer_wanted_changes_nothing() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let stale = Message::Neighbors { question: question - 1, predecessor: None, successors: vec![e] };
    assert_eq!(feed(&mut node, b, stale), []);
    let not_asked = Message::Neighbors { question, predecessor: None, successors: vec![e] };
    assert_eq!(feed(&mut node, c, not_asked), []);
    assert_eq!(node.successors(), [b, c, d]);
}

#[test]
fn a_list_that_changed_since_the_question_is_asked_for_again() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    lose(&mut node, d);
    let got =
        feed(&mut node, b, Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d] });
    let again = asked(&got);
    assert_eq!(got, [send(b, Message::GetNeighbors { question: again })]);
    assert_eq!(node.successors(), [b, c]);
}

/// "between(prdc, c, n) → prdc := c" (Zave 2017, rectify).
#[test]
fn a_nearer_candidate_becomes_the_predecessor_and_the_range_shrinks() {
    let [a, b, c, d] = nodes();
    let mut node = member(c, a, &[d]);
    assert_eq!(
        feed(&mut node, b, Message::Notify),
        [send(a, Message::NewPredecessor), update(false, a, b, Some(b), Why::NewPredecessor)]
    );
    assert_eq!(node.predecessor(), Some(b));
    assert_eq!(node.is_root(b.id()), Some(false));
}

/// "else old prdc answers a ping → unchanged; else → prdc := c" (Zave 2017, rectify).
#[test]
fn a_candidate_further_away_waits_until_the_old_predecessor_is_known_to_be_dead() {
    let [a, b, c, d] = nodes();
    let mut node = member(d, c, &[a, b]);
    let got = feed(&mut node, a, Message::Notify);
    let question = asked(&got);
    assert_eq!(got, [send(c, Message::Ping { question })]);
    assert_eq!(feed(&mut node, b, Message::Notify), [], "one ping is enough, and b is better than a");
    assert_eq!(feed(&mut node, a, Message::Notify), [], "a is worse than b");
    let got = feed(&mut node, c, Message::Pong { question });
    assert_eq!(got, [send(b, Message::NewPredecessor)], "b does not know of c");
    assert_eq!(node.predecessor(), Some(c));

    feed(&mut node, b, Message::Notify);
    feed(&mut node, a, Message::Notify);
    assert_eq!(
        lose(&mut node, c),
        [told(Upcall::Lost(c)), update(true, b, c, Some(c), Why::PredecessorLost)]
    );
    assert_eq!(node.predecessor(), Some(b));
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
    assert!(wake(&mut node, START + RESEND).contains(&repeated));
    // Any message is a sign of life.
    node.handle(START + SILENCE - RESEND, Input::Message { from: b, message: Message::Notify });
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
fn the_root_delivers_once_and_answers_a_repeat_the_same() {
    let [a, b, c, d] = nodes();
    let mut node = member(b, a, &[c, d]);
    let route = Route { key: b.id(), origin: d, id: 9, hops: 2, last: true, body: Body::Request("question") };
    let request = Request { origin: d, id: 9, payload: "question" };
    assert_eq!(
        feed(&mut node, a, Message::Route(route.clone())),
        [told(Upcall::Deliver { key: b.id(), request })]
    );
    assert_eq!(feed(&mut node, a, Message::Route(route.clone())), [], "it is being worked on");
    node.reply(START, d, 9, "answer");
    let reply = |hops| send(d, Message::Reply { id: 9, hops, answer: Answer::Payload("answer") });
    assert_eq!(outputs(&mut node), [reply(0)]);
    assert_eq!(feed(&mut node, a, Message::Route(route)), [reply(2)]);
}

/// "If id falls between n and its successor, …; otherwise n forwards to the node whose id most
/// immediately precedes id" (Stoica et al., section IV-D).
#[test]
fn a_message_goes_to_the_closest_node_before_its_key() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let route = |key: NodeHandle, hops, last| Route {
        key: key.id(),
        origin: e,
        id: 9,
        hops,
        last,
        body: Body::Request("x"),
    };
    let got = feed(&mut node, e, Message::Route(route(d, 0, false)));
    assert_eq!(got, [send(c, Message::Route(route(d, 1, false)))]);
    let got = feed(&mut node, e, Message::Route(route(b, 0, false)));
    assert_eq!(got, [send(b, Message::Route(route(b, 1, true)))]);
}

#[test]
fn who_is_taken_for_the_root_and_is_not_knows_better() {
    let [a, b, c, d] = nodes();
    let mut node = member(c, b, &[d, a]);
    let route = |hops| Route { key: b.id(), origin: d, id: 9, hops, last: true, body: Body::Request("x") };
    let got = feed(&mut node, a, Message::Route(route(1)));
    assert_eq!(got, [send(b, Message::Route(route(2)))]);
}

#[test]
fn a_message_waits_until_the_root_is_known() {
    let [a, b, c, d] = nodes();
    let mut node = member(c, b, &[d, a]);
    lose(&mut node, b);
    assert_eq!(node.is_root(b.id()), None);
    assert_eq!(node.is_root(c.id()), Some(true), "what was its own still is");
    let route = Route { key: b.id(), origin: d, id: 9, hops: 1, last: true, body: Body::Request("x") };
    assert_eq!(feed(&mut node, a, Message::Route(route)), []);
    let request = Request { origin: d, id: 9, payload: "x" };
    assert_eq!(
        feed(&mut node, a, Message::Notify),
        [update(true, a, b, Some(b), Why::PredecessorLost), told(Upcall::Deliver { key: b.id(), request })]
    );
}

#[test]
fn a_hop_that_is_gone_is_routed_around() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let route = Route { key: d.id(), origin: e, id: 9, hops: 0, last: false, body: Body::Request("x") };
    let Output::Send { message, .. } = feed(&mut node, e, Message::Route(route))[0].clone() else { panic!() };
    node.handle(START, Input::Unreachable { peer: c, undelivered: vec![message] });
    let sent: Vec<_> = outputs(&mut node)
        .into_iter()
        .filter_map(|output| match output {
            Output::Send { to, message: Message::Route(route) } => Some((to, route.hops)),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(b, 2)]);
}

#[test]
fn a_request_is_sent_again_under_the_same_number_and_given_up_in_the_end() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let id = node.request(START, d.id(), "x");
    let mut tries = Vec::new();
    let mut failed = Vec::new();
    let mut now = START;
    while failed.is_empty() {
        for output in outputs(&mut node) {
            match output {
                Output::Send {
                    to,
                    message: Message::Route(Route { id: number, body: Body::Request("x"), .. }),
                } => {
                    assert_eq!(number, id);
                    tries.push(to);
                }
                Output::Upcall(Upcall::Failed { id: number, why }) => {
                    failed.push((number, why, now.since(START)));
                }
                _ => {}
            }
        }
        // The others live, but this request is lost again and again.
        for peer in [b, e] {
            node.handle(now, Input::Message { from: peer, message: Message::Tell("alive") });
        }
        now = node.next_wakeup().unwrap().max(now);
        node.handle(now, Input::Wakeup);
    }
    assert_eq!(failed, [(id, Failure::NoAnswer, request::REQUEST_DEADLINE)]);
    assert_eq!(tries[..2], [c, b], "the second try takes another way");
}

#[test]
fn hops_are_limited() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let route = Route { key: d.id(), origin: e, id: 9, hops: 128, last: false, body: Body::Request("x") };
    assert_eq!(feed(&mut node, e, Message::Route(route)), []);
}

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
fn a_trace_goes_around_a_node_that_does_not_answer() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let id = node.trace(START, d.id(), false);
    let ask = |last, avoid: &[NodeHandle]| Message::GetNextHop {
        question: id,
        key: d.id(),
        linear: false,
        last,
        avoid: avoid.to_vec(),
    };
    assert_eq!(outputs(&mut node), [send(c, ask(false, &[]))]);
    node.handle(START + Duration::from_millis(999), Input::Message { from: b, message: Message::Notify });
    outputs(&mut node);
    node.handle(START + Duration::from_secs(1), Input::Wakeup);
    assert!(outputs(&mut node).contains(&send(b, ask(false, &[c]))));
    let got = feed(&mut node, b, Message::NextHop { question: id, step: Step::To(d) });
    assert_eq!(got, [send(d, ask(true, &[c]))]);
    let got = feed(&mut node, d, Message::NextHop { question: id, step: Step::Here });
    let [Output::Upcall(Upcall::Traced { way, .. })] = &got[..] else { panic!("{got:?}") };
    let hops: Vec<_> = way.hops.iter().map(|&(node, _)| node).collect();
    assert_eq!((hops, &way.silent[..], way.end), (vec![a, b, d], &[c][..], Ok(d)));
}

#[test]
fn a_trace_goes_back_to_who_came_between() {
    let [a, b, c, d] = nodes();
    // The node before has not heard yet that c stands between b and this one.
    let mut node = member(d, c, &[a, b]);
    let ask = |last| Message::GetNextHop { question: 1, key: c.id(), linear: false, last, avoid: Vec::new() };
    let step = |node| Message::NextHop { question: 1, step: Step::To(node) };
    assert_eq!(feed(&mut node, b, ask(true)), [send(b, step(c))]);
    assert_eq!(feed(&mut node, b, ask(false)), [send(b, step(b))]);
}

#[test]
fn a_request_that_is_given_back_is_delivered_again_or_goes_to_who_took_over() {
    let [a, b, c] = nodes();
    let mut node = member(b, a, &[c]);
    let route =
        |hops| Route { key: b.id(), origin: c, id: 7, hops, last: true, body: Body::Request("hello") };
    let request = || Request { origin: c, id: 7, payload: "hello" };
    let delivered = told(Upcall::Deliver { key: b.id(), request: request() });
    assert_eq!(feed(&mut node, a, Message::Route(route(1))), std::slice::from_ref(&delivered));
    assert_eq!(feed(&mut node, a, Message::Route(route(1))), [], "a repeat");
    node.pass_on(START, b.id(), request());
    assert_eq!(outputs(&mut node), [delivered]);
    node.leave(START);
    let Some(Output::Send { message: Message::Leaving { question, .. }, .. }) = outputs(&mut node).pop()
    else {
        panic!("it asks its successor to take over");
    };
    feed(&mut node, c, Message::LeavingHeard { question, accepted: true });
    node.pass_on(START, b.id(), request());
    assert_eq!(outputs(&mut node), [send(c, Message::Route(route(1)))]);
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

#[test]
fn a_finger_that_is_the_node_itself_ends_the_table() {
    let [a, b] = nodes();
    // The one with the longer range: half the circle from it, it is the root itself.
    let (me, other) = if a.id().distance_to(b.id()) < b.id().distance_to(a.id()) { (a, b) } else { (b, a) };
    let mut node = member(me, other, &[other, me]);
    outputs(&mut node);
    node.handle(START, Input::Wakeup);
    assert_eq!(outputs(&mut node), []);
    assert_eq!(node.next_wakeup(), Some(START + STABILIZE_EVERY), "no other finger is looked for at once");
}

/// Most points that a node looks up in a small ring lie in its own part of the circle.
#[test]
fn a_node_that_is_itself_the_root_of_a_finger_goes_on_looking() {
    let [a, b, c] = nodes();
    let mut node = member(a, c, &[b]);
    let mut looked_up = 0;
    for _ in 0..200 {
        let at = node.next_wakeup().expect("a member wakes up");
        node.handle(at, Input::Wakeup);
        for output in outputs(&mut node) {
            match output {
                Output::Send { to, message: Message::GetNeighbors { question } } => {
                    let answer =
                        Message::Neighbors { question, predecessor: Some(a), successors: vec![c, a, b] };
                    feed(&mut node, to, answer);
                }
                Output::Send { message: Message::Route(route), .. } => {
                    looked_up += 1;
                    feed(&mut node, c, Message::Reply { id: route.id, hops: 1, answer: Answer::Root });
                }
                Output::Send { to, message: Message::Ping { question } } => {
                    feed(&mut node, to, Message::Pong { question });
                }
                _ => {}
            }
        }
    }
    assert!(node.fingers().all(|(_, finger)| finger == c));
    assert!(2 < looked_up, "{looked_up} lookups, one every ten seconds");
}
