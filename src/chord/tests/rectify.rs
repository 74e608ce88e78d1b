//! Rectify: who may become the predecessor, and who is told of it.

use super::*;

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
