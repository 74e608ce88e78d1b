//! Fix fingers: which points a node looks up, and when it stops.

use super::*;
use crate::chord::message::Answer;

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
                Output::Send {
                    to,
                    message: Message::GetNeighbors { question } | Message::GetNewNeighbors { question, .. },
                } => {
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
