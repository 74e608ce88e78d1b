//! Asleep: what a node believes that was not run for a while.

use super::*;

const LATER: Time = Time::from_micros(3_601_000_000);

fn hear(node: &mut Node, from: NodeHandle, message: Ring) -> Vec<Output<&'static str>> {
    node.handle(LATER, Input::Message { from, message });
    outputs(node)
}

fn unreachable(node: &mut Node, peer: NodeHandle) -> Vec<Output<&'static str>> {
    node.handle(LATER, Input::Unreachable { peer, undelivered: Vec::new() });
    outputs(node)
}

/// b, which has slept for an hour and has just been woken up, and its question to c.
fn sleeper([a, b, c, d]: [NodeHandle; 4]) -> (Node, Number) {
    let mut node = member(b, a, &[c, d, a]);
    assert_eq!(node.is_root(b.id()), Some(true));
    node.handle(LATER, Input::Wakeup);
    let got = outputs(&mut node);
    assert!(got.iter().any(|output| matches!(output, Output::Send { to, .. } if *to == c)), "{got:?}");
    (node, asked(&got))
}

fn updates(outputs: Vec<Output<&'static str>>) -> Vec<Output<&'static str>> {
    outputs.into_iter().filter(|output| matches!(output, Output::Upcall(Upcall::Update(_)))).collect()
}

#[test]
fn who_wakes_up_is_the_root_of_nothing_until_the_successor_has_answered() {
    let [a, b, c, d] = nodes();
    let (mut node, question) = sleeper([a, b, c, d]);
    assert_eq!(node.is_root(b.id()), None);
    let answer = Message::Neighbors { question, predecessor: Some(b), successors: vec![d, a, b] };
    assert_eq!(updates(hear(&mut node, c, answer)), [], "nobody has taken its place");
    assert_eq!(node.is_root(b.id()), Some(true));
}

#[test]
fn who_was_replaced_in_its_sleep_takes_its_range_over_again() {
    let [a, b, c, d] = nodes();
    let (mut node, question) = sleeper([a, b, c, d]);
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![d, a, c] };
    let got = hear(&mut node, c, answer);
    assert!(got.contains(&send(c, Message::Notify)), "{got:?}");
    assert_eq!(updates(got), [update(true, a, b, Some(c), Why::Joined)]);
    assert_eq!(node.is_root(b.id()), Some(true));
}

/// A node that came meanwhile does not know of this one: the successor tells of it.
#[test]
fn who_came_before_a_sleeper_is_the_root_of_its_own_range() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(c, a, &[d, e, a]);
    node.handle(LATER, Input::Wakeup);
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(b), successors: vec![e, a, b] };
    assert_eq!(
        updates(hear(&mut node, d, answer)),
        [update(false, a, b, Some(b), Why::NewPredecessor), update(true, b, c, Some(d), Why::Joined)]
    );
    assert_eq!((node.is_root(b.id()), node.is_root(c.id())), (Some(false), Some(true)));
}

#[test]
fn an_answer_from_before_the_sleep_is_not_believed() {
    let [a, b, c, d] = nodes();
    let mut node = member(b, a, &[c, d, a]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(b), successors: vec![d, a, b] };
    hear(&mut node, c, answer);
    assert_eq!(node.is_root(b.id()), None);
}

/// Connections do not outlive a long sleep: that they broke says nothing of the neighbours.
#[test]
fn a_connection_that_broke_in_the_sleep_is_tried_again_and_then_the_neighbour_is_lost() {
    let [a, b, c, d] = nodes();
    let (mut node, _) = sleeper([a, b, c, d]);
    for peer in [a, c, d] {
        let got = unreachable(&mut node, peer);
        assert!(!got.contains(&told(Upcall::Lost(peer))), "{got:?}");
    }
    assert_eq!((node.predecessor(), node.successors()), (Some(a), &[c, d, a][..]));
    let got = unreachable(&mut node, c);
    assert!(got.contains(&told(Upcall::Lost(c))), "{got:?}");
    assert_eq!(node.successors(), [d, a]);
}

#[test]
fn who_is_not_answered_goes_by_what_it_knows_after_five_seconds() {
    let [a, b, c, d] = nodes();
    let (mut node, _) = sleeper([a, b, c, d]);
    for peer in [a, c, d, a, c, d] {
        assert_eq!(updates(unreachable(&mut node, peer)), [], "it is not sure that it is alone");
    }
    assert_eq!(node.is_root(c.id()), None);
    node.handle(LATER + Duration::from_secs(5), Input::Wakeup);
    let got = updates(outputs(&mut node));
    assert_eq!(got.last(), Some(&update(true, b, a, Some(a), Why::PredecessorLost)), "{got:?}");
    assert_eq!(node.is_root(c.id()), Some(true));
    assert!([a, c, d].iter().all(|peer| node.remembered().any(|lost| lost == *peer)));
}
