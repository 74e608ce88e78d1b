//! Stabilize: a node takes over the list of its successor, and finds who has come between.

use super::*;
use crate::chord::stabilize::digest;

/// "succ(t) := first r of (s :: succ(s)); … else notify s" (Zave 2017, StabilizeFromSuccessor).
#[test]
fn stabilizing_copies_the_list_of_the_successor_and_notifies_it() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c]);
    node.stabilize();
    let got = outputs(&mut node);
    let question = asked(&got);
    assert_eq!(got, [send(b, Message::GetNeighbors { question })]);
    let answer = Message::Neighbors { question, predecessor: Some(e), successors: vec![c, d, e] };
    assert_eq!(
        feed(&mut node, b, answer),
        [told(Upcall::SuccessorsChanged { before: Some(b) }), send(b, Message::Notify)]
    );
    assert_eq!(node.successors(), [b, c, d]);
}

/// Departs from the paper, where every round ends with a notify: this one would change nothing.
#[test]
fn a_successor_that_has_this_node_for_its_predecessor_is_not_notified() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    let answer = Message::Neighbors { question, predecessor: Some(a), successors: vec![c, d, e] };
    assert_eq!(feed(&mut node, b, answer), []);
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
            send(b, Message::GetNewNeighbors { question: nearer, known: digest(Some(a), &[c, d, e]) }),
            send(e, Message::ListChanged),
        ],
        "somebody may have come nearer still"
    );
    assert_eq!(node.successors(), [b, c, d]);
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
            send(e, Message::ListChanged),
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
    let known = digest(Some(a), &[c, d]);
    assert_eq!(got, [send(b, Message::GetNewNeighbors { question: again, known })]);
    assert_eq!(node.successors(), [b, c]);
}

/// In most rounds nothing has changed: then a digest is told, and it comes to the same.
#[test]
fn a_successor_that_has_no_news_says_so_and_the_list_is_copied_all_the_same() {
    let [a, b, c, d, e] = nodes();
    let mut asker = member(a, e, &[b, c, d]);
    let mut successor = member(b, a, &[c, d, e]);
    asker.stabilize();
    let round = |asker: &mut Node, successor: &mut Node| {
        let question = outputs(asker).pop().expect("a question");
        let Output::Send { to, message } = question else { panic!("{question:?}") };
        assert_eq!(to, b);
        let answer = feed(successor, a, message.clone()).pop().expect("an answer");
        let Output::Send { message: answer, .. } = answer else { panic!("{answer:?}") };
        feed(asker, b, answer.clone());
        (message, answer)
    };
    let (asked, answer) = round(&mut asker, &mut successor);
    assert!(matches!((asked, answer), (Message::GetNeighbors { .. }, Message::Neighbors { .. })));
    // Whatever the asker has made of its list since, it gets what it would have got.
    lose(&mut asker, c);
    assert_eq!(asker.successors(), [b, d]);
    asker.stabilize();
    let (asked, answer) = round(&mut asker, &mut successor);
    assert!(matches!((asked, answer), (Message::GetNewNeighbors { .. }, Message::SameNeighbors { .. })));
    assert_eq!(asker.successors(), [b, c, d]);
    lose(&mut successor, c);
    outputs(&mut successor);
    asker.stabilize();
    let (asked, answer) = round(&mut asker, &mut successor);
    assert!(matches!((asked, answer), (Message::GetNewNeighbors { .. }, Message::Neighbors { .. })));
    assert_eq!(asker.successors(), [b, d, e]);
}

#[test]
fn who_has_told_nothing_yet_cannot_have_told_the_same() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    node.stabilize();
    let question = asked(&outputs(&mut node));
    assert_eq!(feed(&mut node, b, Message::SameNeighbors { question }), []);
    assert_eq!(node.successors(), [b, c, d]);
}
