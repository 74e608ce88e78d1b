//! Route: where a message goes next, and what becomes of one that cannot go on.

use super::*;
use crate::chord::message::Body;

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
    let question = asked(&got);
    assert_eq!(got, [send(c, Message::Route(route(d, 1, false))), send(c, Message::Ping { question })]);
    let got = feed(&mut node, e, Message::Route(route(b, 0, false)));
    assert_eq!(got, [send(b, Message::Route(route(b, 1, true)))]);
}

#[test]
fn who_is_taken_for_the_root_and_is_not_knows_better() {
    let [a, b, c, d] = nodes();
    let mut node = member(c, b, &[d, a]);
    let route = |hops| Route { key: b.id(), origin: d, id: 9, hops, last: true, body: Body::Request("x") };
    let got = feed(&mut node, a, Message::Route(route(1)));
    let question = asked(&got);
    assert_eq!(got, [send(b, Message::Route(route(2))), send(b, Message::Ping { question })]);
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
fn hops_are_limited() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let route = Route { key: d.id(), origin: e, id: 9, hops: 128, last: false, body: Body::Request("x") };
    assert_eq!(feed(&mut node, e, Message::Route(route)), []);
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
