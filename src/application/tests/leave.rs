//! Leaving: the application hands over first, and late messages are passed on.

use super::one_node::{Outputs, fed, heard, ordered, routed};
use super::*;
use crate::chord::message::{Body, Route};

/// The first of two members, which hands over only when told to, and the other one.
fn two_members() -> (Host<Probe>, NodeHandle) {
    let (me, other) = (node(1), node(2));
    let mut host = Probe::host(me);
    ordered(&mut host, Order::Create);
    ordered(&mut host, Order::Command(Do::Linger));
    let asked = heard(&mut host, other, Message::Notify);
    let question = asked.iter().find_map(|output| match output {
        Output::Send {
            message: Message::GetNeighbors { question } | Message::GetNewNeighbors { question, .. },
            ..
        } => Some(*question),
        _ => None,
    });
    let question = question.expect("who is alone asks who comes");
    let message = Message::Neighbors { question, predecessor: Some(me), successors: vec![me, other] };
    heard(&mut host, other, message);
    assert_eq!(host.chord().successors(), [other]);
    (host, other)
}

fn echo() -> Call {
    Call::Command { name: "echo".to_owned(), root_of: None, payload: Payload(vec![5]) }
}

/// The question in the only output, which asks the successor to take over.
fn question(outputs: &Outputs, successor: NodeHandle) -> u64 {
    match outputs[..] {
        [Output::Send { to, message: Message::Leaving { question, .. } }] if to == successor => question,
        _ => panic!("it asks {successor} to take over: {outputs:?}"),
    }
}

#[test]
fn a_node_hands_over_first_and_passes_on_what_comes_meanwhile() {
    let (mut host, other) = two_members();
    let (me, origin) = (node(1), node(3));
    assert_eq!(ordered(&mut host, Order::Leave), [Output::Event(Told::Leaving(other))]);
    assert_eq!(ordered(&mut host, Order::Leave), [], "once is enough");
    let late = routed(me.id(), origin, 7, echo());
    assert_eq!(heard(&mut host, other, late.clone()), [], "it is neither served nor refused");
    let direct = heard(&mut host, origin, Message::Request { id: 8, payload: echo() });
    assert_eq!(direct[0], Output::Event(Told::Served(origin, 8, None, 5)), "what is for the node itself is");
    assert_eq!(ordered(&mut host, Order::Command(Do::HandOver(origin))), [], "not to the successor");
    let question = question(&ordered(&mut host, Order::Command(Do::HandOver(other))), other);
    assert_eq!(heard(&mut host, origin, Message::Request { id: 9, payload: echo() }), [], "perhaps it stays");
    let passed_on = Route { key: me.id(), origin, id: 7, hops: 1, last: true, body: Body::Request(echo()) };
    let refused = Call::Refused("the node has left the ring".to_owned());
    let answer = chord::message::Answer::Payload(refused);
    assert_eq!(
        heard(&mut host, other, Message::LeavingHeard { question, accepted: true }),
        [
            Output::Event(Told::Left(Departure::To(other))),
            Output::Send { to: other, message: Message::Route(passed_on) },
            Output::Send { to: origin, message: Message::Reply { id: 9, hops: 0, answer } },
            Output::Stop,
        ]
    );
    assert_eq!(ordered(&mut host, Order::Command(Do::Ask(me.id(), 5))), [], "nobody is called afterwards");
}

#[test]
fn an_own_request_that_nobody_has_answered_fails_when_its_node_leaves() {
    let (mut host, other) = two_members();
    ordered(&mut host, Order::Command(Do::AskNode(other, 5)));
    ordered(&mut host, Order::Leave);
    let question = question(&ordered(&mut host, Order::Command(Do::HandOver(other))), other);
    let outputs = heard(&mut host, other, Message::LeavingHeard { question, accepted: true });
    let [Output::Event(Told::Replied(_, None, Err(Failure::Left))), left, Output::Stop] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(*left, Output::Event(Told::Left(Departure::To(other))));
}

#[test]
fn if_the_successor_cannot_take_over_the_application_is_asked_again() {
    let (mut host, other) = two_members();
    let origin = node(3);
    ordered(&mut host, Order::Leave);
    let question = question(&ordered(&mut host, Order::Command(Do::HandOver(other))), other);
    heard(&mut host, origin, Message::Request { id: 9, payload: echo() });
    let outputs = heard(&mut host, other, Message::LeavingHeard { question, accepted: false });
    assert!(outputs.contains(&Output::Event(Told::Served(origin, 9, None, 5))), "it stays: {outputs:?}");
    let mut outputs = Vec::new();
    host.handle(START + std::time::Duration::from_millis(100), Input::Wakeup, &mut outputs);
    assert!(outputs.contains(&Output::Event(Told::Leaving(other))), "{outputs:?}");
}

#[test]
fn a_node_that_hands_over_for_too_long_goes_as_it_is() {
    let (mut host, other) = two_members();
    ordered(&mut host, Order::Leave);
    let (mut now, mut outputs) = (START, Vec::new());
    while !outputs.contains(&Output::Stop) {
        now = host.next_wakeup().unwrap();
        assert!(now <= START + LEAVE_DEADLINE, "it does not wait any longer");
        host.handle(now, Input::Message { from: other, message: Message::Notify }, &mut outputs);
        outputs.clear();
        host.handle(now, Input::Wakeup, &mut outputs);
    }
    assert!(outputs.contains(&Output::Event(Told::Left(Departure::Late))) || now < START + LEAVE_DEADLINE);
}

#[test]
fn who_is_alone_or_outside_goes_at_once() {
    let left = [Output::Event(Told::Left(Departure::Alone)), Output::Stop];
    let mut host = Probe::host(node(1));
    assert_eq!(ordered(&mut host, Order::Leave), left);
    let mut host = Probe::host(node(1));
    ordered(&mut host, Order::Create);
    assert_eq!(ordered(&mut host, Order::Command(Do::Leave)), left);
    assert_eq!(fed(&mut host, Input::Wakeup), []);
    assert_eq!(host.next_wakeup(), None);
}

#[test]
fn no_more_requests_are_held_than_the_limit() {
    let (mut host, other) = two_members();
    let (me, origin) = (node(1), node(3));
    ordered(&mut host, Order::Leave);
    for id in 0..crate::application::leave::HELD_MAX as u64 {
        assert_eq!(heard(&mut host, other, routed(me.id(), origin, id, echo())), []);
    }
    let refused = heard(&mut host, other, routed(me.id(), origin, 5_000, echo()));
    assert!(
        matches!(&refused[..], [Output::Send { to, message: Message::Reply { id: 5_000, .. } }] if *to == origin),
        "{refused:?}"
    );
}
