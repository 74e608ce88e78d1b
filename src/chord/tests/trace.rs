//! Trace: the way goes around who is silent, and back to who came between.

use super::*;
use crate::chord::message::Step;
use crate::chord::trace::{AVOID_MAX, DeadEnd};

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
fn who_belongs_to_no_ring_traces_from_a_node_that_does() {
    let [a, b, c] = nodes();
    let mut outside = Chord::new(a, 3, START);
    let id = outside.trace_from(START, b, c.id(), false);
    let ask = |last, avoid| Message::GetNextHop { question: id, key: c.id(), linear: false, last, avoid };
    assert_eq!(outputs(&mut outside), [send(b, ask(false, Vec::new()))]);
    let got = feed(&mut outside, b, Message::NextHop { question: id, step: Step::To(c) });
    assert_eq!(got, [send(c, ask(true, Vec::new()))]);
    // Who is silent is gone around, as by a member; there is nobody before the first.
    assert_eq!(lose(&mut outside, c), [send(b, ask(false, vec![c]))]);
    let got = lose(&mut outside, b);
    let [Output::Upcall(Upcall::Traced { way, .. })] = &got[..] else { panic!("{got:?}") };
    assert_eq!((&way.hops[..], &way.silent[..], way.end), (&[][..], &[c, b][..], Err(DeadEnd::NoAnswer)));
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
fn a_trace_ends_at_the_next_node_where_all_before_it_are_silent() {
    let [a, b, c, d] = nodes();
    // It has not noticed yet that the node before it has crashed.
    let mut node = member(d, c, &[a, b]);
    let ask = Message::GetNextHop { question: 1, key: c.id(), linear: false, last: true, avoid: vec![c] };
    assert_eq!(feed(&mut node, b, ask), [send(b, Message::NextHop { question: 1, step: Step::Here })]);
}

#[test]
fn a_trace_ends_at_the_next_node_that_has_noticed_that_all_before_it_are_silent() {
    let [a, b, c, d] = nodes();
    let mut node = member(d, c, &[a, b]);
    lose(&mut node, c);
    assert_eq!(node.predecessor(), None);
    let ask = |last| Message::GetNextHop { question: 1, key: c.id(), linear: false, last, avoid: vec![c] };
    let step = |step| [send(b, Message::NextHop { question: 1, step })];
    assert_eq!(feed(&mut node, b, ask(true)), step(Step::Here));
    // Who does not take it for the root is told who is nearer.
    assert_eq!(feed(&mut node, b, ask(false)), step(Step::To(b)));
}

#[test]
fn a_trace_finds_who_takes_the_place_of_a_node_that_leaves() {
    let [a, b, c, d] = nodes();
    let mut node = member(b, a, &[c, d]);
    let avoiding = |key: NodeHandle, last, avoid: &[NodeHandle]| Message::GetNextHop {
        question: 1,
        key: key.id(),
        linear: false,
        last,
        avoid: avoid.to_vec(),
    };
    let ask = |key, last| avoiding(key, last, &[]);
    let step = |step| [send(d, Message::NextHop { question: 1, step })];
    node.leave(START);
    let leaving = outputs(&mut node);
    let [Output::Send { message: Message::Leaving { question, .. }, .. }] = leaving[..] else {
        panic!("{leaving:?}");
    };
    assert_eq!(feed(&mut node, d, ask(b, true)), step(Step::Here), "nobody else has what it keeps");
    assert_eq!(feed(&mut node, d, ask(c, false)), step(Step::To(c)), "its neighbours are in the ring");
    assert_eq!(feed(&mut node, d, ask(a, true)), step(Step::To(a)), "who came between knows better");
    let told = feed(&mut node, c, Message::LeavingHeard { question, accepted: true });
    let [Output::Send { message: Message::Gone { question, .. }, .. }] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(feed(&mut node, d, ask(b, true)), step(Step::To(c)));
    assert_eq!(feed(&mut node, d, avoiding(b, true, &[c])), step(Step::Unknown), "c did not answer");
    feed(&mut node, a, Message::GoneHeard { question });
    assert_eq!(feed(&mut node, d, ask(b, true)), step(Step::To(c)), "also once it has left");
}

#[test]
fn a_trace_gives_up_after_so_many_nodes_that_do_not_answer() {
    let handle = |i| NodeHandle::new(([127, 0, 0, 1], 7000 + i as u16).into());
    let mut nodes: Vec<NodeHandle> = (0..2 * AVOID_MAX).map(handle).collect();
    nodes.sort();
    let (me, last) = (nodes[0], nodes[nodes.len() - 1]);
    let mut node: Node = Chord::ideal(&nodes, me, nodes.len() - 1, START);
    node.trace(START, last.id(), false);
    for silent in 1..=AVOID_MAX {
        let got = outputs(&mut node);
        let asked = got.iter().find_map(|output| match output {
            Output::Send { to, message: Message::GetNextHop { avoid, .. } } => Some((*to, avoid.len())),
            _ => None,
        });
        let (asked, avoided) = asked.expect("the trace goes on");
        assert_eq!(avoided, silent - 1);
        node.handle(START, Input::Unreachable { peer: asked, undelivered: Vec::new() });
    }
    let got = outputs(&mut node);
    let end = got.iter().find_map(|output| match output {
        Output::Upcall(Upcall::Traced { way, .. }) => Some((way.silent.len(), way.end)),
        _ => None,
    });
    assert_eq!(end, Some((AVOID_MAX, Err(DeadEnd::NoAnswer))), "{got:?}");
}

#[test]
fn a_trace_that_takes_too_long_ends() {
    let [a, b, c, d, e] = nodes();
    let mut node = member(a, e, &[b, c, d]);
    let id = node.trace(START, d.id(), true);
    let mut now = START;
    let mut asked = b;
    // Nodes that answer, and lead on and on.
    for (i, next) in [c, b, c, b].into_iter().cycle().enumerate() {
        now = now + Duration::from_millis(900);
        node.handle(
            now,
            Input::Message { from: asked, message: Message::NextHop { question: id, step: Step::To(next) } },
        );
        asked = next;
        let end = outputs(&mut node).into_iter().find_map(|output| match output {
            Output::Upcall(Upcall::Traced { way, .. }) => Some(way.end),
            _ => None,
        });
        if let Some(end) = end {
            assert_eq!(end, Err(DeadEnd::TooLong));
            assert_eq!(now.since(START).as_secs(), 30, "after {i} answers");
            return;
        }
    }
}

#[test]
fn a_trace_that_nobody_waits_for_any_longer_ends_with_what_is_known_and_names_who_was_silent() {
    let [a, b, c, d, e] = nodes();
    let limit = Duration::from_millis(2400);
    let told = |node: &mut Node| {
        let end = outputs(node).into_iter().find_map(|output| match output {
            Output::Upcall(Upcall::Traced { way, .. }) => Some(way),
            _ => None,
        });
        end.map(|way| (way.hops.iter().map(|&(node, _)| node).collect::<Vec<_>>(), way.silent, way.end))
    };
    let mut node = member(a, e, &[b, c, d]);
    let id = node.trace_within(START, e.id(), true, limit);
    for silence in 1..=2 {
        node.handle(START + Duration::from_secs(silence), Input::Wakeup);
        assert_eq!(told(&mut node), None);
    }
    node.handle(START + limit - Duration::from_millis(1), Input::Wakeup);
    assert_eq!(told(&mut node), None);
    node.handle(START + limit, Input::Wakeup);
    // The third was asked only just now.
    assert_eq!(told(&mut node), Some((vec![a], vec![b, c], Err(DeadEnd::TooLong))));
    // An answer that comes too late finds nobody.
    let late = Message::NextHop { question: id, step: Step::Here };
    node.handle(START + limit, Input::Message { from: d, message: late });
    assert_eq!(told(&mut node), None);
    // Who was silent for long enough by then is named, too; and whoever waits goes on.
    let mut node = member(a, e, &[b, c, d]);
    let (brief, long) =
        (node.trace_within(START, e.id(), true, Duration::from_secs(1)), node.trace(START, e.id(), true));
    node.handle(START + Duration::from_secs(1), Input::Wakeup);
    let got = outputs(&mut node);
    let end = got.iter().find_map(|output| match output {
        Output::Upcall(Upcall::Traced { id, way }) => Some((*id, way.silent.clone(), way.end)),
        _ => None,
    });
    assert_eq!(end, Some((brief, vec![b], Err(DeadEnd::TooLong))));
    let goes_on =
        Message::GetNextHop { question: long, key: e.id(), linear: true, last: false, avoid: vec![b] };
    assert!(got.contains(&send(c, goes_on)), "{got:?}");
}
