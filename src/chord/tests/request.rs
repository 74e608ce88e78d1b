//! Requests: the origin asks again, and the root acts once.

use super::*;
use crate::chord::message::{Answer, Body};
use crate::chord::request;

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
        for peer in [b, c, d, e] {
            node.handle(now, Input::Message { from: peer, message: Message::Tell("alive") });
        }
        now = node.next_wakeup().unwrap().max(now);
        node.handle(now, Input::Wakeup);
    }
    assert_eq!(failed, [(id, Failure::NoAnswer, request::REQUEST_DEADLINE)]);
    assert_eq!(tries[..5], [c, b, d, c, b], "the next try takes another way, until there is none");
}

#[test]
fn a_request_with_a_hint_begins_there_and_takes_another_way_if_that_one_is_gone() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let routed = |outputs: &[Output<_>]| {
        let way = |output: &Output<_>| match output {
            Output::Send { to, message: Message::Route(route) } => Some((*to, route.last)),
            _ => None,
        };
        outputs.iter().find_map(way).expect("it is sent")
    };
    node.request_by_hint(START, c.id(), Some(d), "x");
    assert_eq!(routed(&outputs(&mut node)), (d, false), "who it is for, it finds out");
    assert_eq!(routed(&lose(&mut node, d)), (b, false));
    let id = node.request_by_hint(START, a.id(), Some(d), "x");
    let request = Request { origin: a, id, payload: "x" };
    assert_eq!(outputs(&mut node), [told(Upcall::Deliver { key: a.id(), request })], "it is the root itself");
    node.request_by_hint(START, c.id(), Some(a), "x");
    assert_eq!(routed(&outputs(&mut node)), (b, false), "it is not the root any more");
}

/// When `node` sends the request `id` again if nobody answers it, after `now`.
fn sent_again(node: &mut Node, mut now: Time, id: Number) -> Time {
    loop {
        for peer in node.successors().to_vec() {
            node.handle(now, Input::Message { from: peer, message: Message::Tell("alive") });
        }
        outputs(node);
        now = node.next_wakeup().unwrap().max(now);
        node.handle(now, Input::Wakeup);
        let is_repeat = |output: &Output<_>| matches!(output, Output::Send { message: Message::Route(route), .. } if route.id == id);
        if outputs(node).iter().any(is_repeat) {
            return now;
        }
    }
}

/// "Karn's algorithm": who is answered does not know which of two tries was answered (RFC 6298, section 3).
#[test]
fn a_request_is_late_after_what_requests_have_taken_and_repeats_are_no_measure() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, c, d]);
    let mut now = START;
    let answer = |node: &mut Node, now, id| {
        let message = Message::Reply { id, hops: 1, answer: Answer::Payload("y") };
        node.handle(now, Input::Message { from: c, message });
        outputs(node);
    };
    let id = node.request(now, c.id(), "x");
    assert_eq!(sent_again(&mut node, now, id), now + Duration::from_millis(400), "nothing was measured");
    now = now + Duration::from_millis(450);
    answer(&mut node, now, id);
    for _ in 0..20 {
        let id = node.request(now, c.id(), "x");
        now = now + Duration::from_millis(60);
        answer(&mut node, now, id);
    }
    let id = node.request(now, c.id(), "x");
    let pause = sent_again(&mut node, now, id).since(now);
    assert!((60..80).contains(&pause.as_millis()), "{pause:?}");
    // The first try or the second one: nobody knows.
    now = now + Duration::from_millis(81);
    answer(&mut node, now, id);
    let id = node.request(now, c.id(), "x");
    assert_eq!(sent_again(&mut node, now, id).since(now), 2 * pause);
}

#[test]
fn an_answer_of_another_kind_ends_no_request() {
    let [a, b, c, d] = nodes();
    let mut node = member(a, d, &[b, c, d]);
    let id = node.request(START, c.id(), "x");
    outputs(&mut node);
    assert_eq!(feed(&mut node, c, Message::Reply { id, hops: 1, answer: Answer::Root }), []);
    let answer = Answer::Payload("y");
    let reply = told(Upcall::Reply { id, from: c, payload: "y" });
    assert_eq!(feed(&mut node, c, Message::Reply { id, hops: 1, answer }), [reply]);

    let id = node.find_root(START, c.id());
    outputs(&mut node);
    let answer = Answer::Payload("y");
    assert_eq!(feed(&mut node, c, Message::Reply { id, hops: 1, answer }), []);
    let root = told(Upcall::Root { id, root: c, hops: 1 });
    assert_eq!(feed(&mut node, c, Message::Reply { id, hops: 1, answer: Answer::Root }), [root]);
}
