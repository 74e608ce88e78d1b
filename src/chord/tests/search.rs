//! Search: who is asked when few are left, and until when there may be more.

use std::collections::BTreeSet;

use super::*;
use crate::chord::message::Body;

/// By then, whoever has not answered is taken for dead.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Through whom `node` has just asked for its place.
fn asked_through(node: &mut Node) -> BTreeSet<NodeHandle> {
    let question = |output: Output<_>| match output {
        Output::Send { to, message: Message::Route(Route { body: Body::Unite, .. }) } => Some(to),
        _ => None,
    };
    outputs(node).into_iter().filter_map(question).collect()
}

/// b, which is alone since it has lost all others.
fn deserted([a, b, c, d]: [NodeHandle; 4]) -> Node {
    let mut node = member(b, a, &[c, d, a]);
    for peer in [c, d, a] {
        lose(&mut node, peer);
    }
    assert!(node.is_alone());
    node
}

#[test]
fn everyone_who_was_lost_is_asked_at_once_and_there_may_be_more_until_all_are_known_to_be_gone() {
    let [a, b, c, d] = nodes();
    let mut node = deserted([a, b, c, d]);
    node.search(START);
    assert_eq!(asked_through(&mut node), BTreeSet::from([a, c, d]));
    for peer in [d, a] {
        lose(&mut node, peer);
        assert!(node.may_lack_successors());
    }
    lose(&mut node, c);
    assert!(!node.may_lack_successors(), "nobody can be reached");
}

#[test]
fn who_does_not_answer_is_waited_for_as_long_as_for_a_neighbour() {
    let mut node = deserted(nodes());
    node.search(START);
    let end = START + ANSWERED_WITHIN;
    while let Some(now) = node.next_wakeup().filter(|&at| at < end) {
        assert!(node.may_lack_successors());
        node.handle(now, Input::Wakeup);
        outputs(&mut node);
    }
    node.handle(end, Input::Wakeup);
    assert!(!node.may_lack_successors());
}

#[test]
fn who_was_alone_before_it_slept_asks_everyone_when_it_wakes_up() {
    let [a, b, c, d] = nodes();
    let mut node = deserted([a, b, c, d]);
    outputs(&mut node);
    node.handle(START + Duration::from_secs(20), Input::Wakeup);
    assert!(asked_through(&mut node).is_superset(&BTreeSet::from([a, c, d])));
    assert!(node.may_lack_successors());
}

#[test]
fn who_has_lost_nobody_has_nobody_to_look_for() {
    let mut node = Node::new(nodes::<1>()[0], 3, START);
    node.create(START);
    node.search(START);
    assert!(!node.may_lack_successors());
}

/// The list was full once, so others come after those that are gone.
#[test]
fn a_list_that_is_not_full_and_does_not_go_round_lacks_someone() {
    let [a, b, c, d, e, f] = nodes();
    let mut node = member(b, a, &[c, d, e]);
    assert!(!node.may_lack_successors());
    lose(&mut node, e);
    assert!(node.may_lack_successors());
    node.stabilize();
    let question = asked(&outputs(&mut node));
    feed(&mut node, c, Message::Neighbors { question, predecessor: Some(b), successors: vec![d, f, a] });
    assert!(!node.may_lack_successors());
}

/// All that came after it have gone, and the node before it takes it for its successor still.
#[test]
fn who_goes_round_to_a_node_that_tells_of_others_lacks_them() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(e, d, &[a, b]);
    lose(&mut node, a);
    let question = asked(&lose(&mut node, b));
    let told = Message::Neighbors { question, predecessor: Some(c), successors: vec![e, a, b] };
    let question = asked(&feed(&mut node, d, told));
    assert_eq!(node.successors(), [d]);
    assert!(node.may_lack_successors(), "c is there as well");
    let told = Message::Neighbors { question, predecessor: Some(c), successors: vec![e, d] };
    let question = asked(&feed(&mut node, d, told));
    assert!(node.may_lack_successors(), "it has been asked, and has not answered yet");
    feed(&mut node, c, Message::Neighbors { question, predecessor: None, successors: vec![d, e, c] });
    assert_eq!(node.successors(), [c, d]);
    assert!(!node.may_lack_successors());
}

#[test]
fn who_has_only_fingers_left_asks_the_nearest_for_neighbours() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(b, a, &[c]);
    for (exponent, finger) in [(158, d), (159, e)] {
        node.fingers.insert(exponent, finger);
    }
    node.acquaintances = vec![d];
    for peer in [c, a, d] {
        lose(&mut node, peer);
    }
    assert!(!node.is_alone());
    assert!(node.may_lack_successors());
    assert_eq!(node.question.as_ref().map(|question| question.to), Some(e));
    let got = lose(&mut node, e);
    assert!(node.is_alone());
    let whole =
        |output: &Output<_>| matches!(output, Output::Upcall(Upcall::Update(update)) if update.gained);
    assert!(got.iter().any(whole), "it is the root of the whole circle: {got:?}");
}
