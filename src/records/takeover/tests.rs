//! One node that takes over: each test feeds it answers, and looks at whom it asks and when it is ready.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::*;
use crate::chord::{self as ring, Output, Upcall};
use crate::machine::Input;
use crate::records::age::Age;
use crate::records::channel::Membership;

const START: Time = Time::from_micros(1_000_000);

/// A ring and records, and nothing on top.
struct Root {
    chord: Chord<Message>,
    records: Records,
    now: Time,
}

/// What a node has been asked: by which number, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    node: NodeHandle,
    number: u64,
    range: Range,
    to_successor: bool,
}

/// Nodes in the order of their ids.
fn nodes<const N: usize>() -> [NodeHandle; N] {
    let mut nodes: [NodeHandle; N] =
        std::array::from_fn(|i| NodeHandle::new(([127, 0, 0, 1], 7000 + i as u16).into()));
    nodes.sort();
    nodes
}

fn range(from: NodeHandle, to: NodeHandle) -> Range {
    Range { from: from.id(), to: to.id() }
}

impl Root {
    fn of(ring: &[NodeHandle], me: NodeHandle) -> Root {
        Root { chord: Chord::ideal(ring, me, 16, START), records: Records::default(), now: START }
    }

    /// A node that `before` has given a place, and whom it asks.
    fn joiner(me: NodeHandle, before: NodeHandle, successors: &[NodeHandle]) -> (Root, Vec<Asked>) {
        let chord = Chord::new(me, 16, START);
        let mut joiner = Root { chord, records: Records::default(), now: START };
        joiner.chord.join(START, before);
        let Some(Output::Send { message: ring::Message::Route(route), .. }) = joiner.chord.next_output()
        else {
            panic!("a joiner looks for its place");
        };
        let place = ring::Message::Place { id: route.id, successors: successors.to_vec() };
        let asked = joiner.hear(before, place);
        (joiner, asked)
    }

    fn hear(&mut self, from: NodeHandle, message: ring::Message<Message>) -> Vec<Asked> {
        self.handle(Input::Message { from, message })
    }

    fn lose(&mut self, peer: NodeHandle) -> Vec<Asked> {
        self.handle(Input::Unreachable { peer, undelivered: Vec::new() })
    }

    fn wait(&mut self, time: Duration) -> Vec<Asked> {
        self.now = self.now + time;
        let asked = self.handle(Input::Wakeup);
        self.records.on_wakeup(self.now, &mut self.chord);
        asked.into_iter().chain(self.follow_up()).collect()
    }

    fn answer(&mut self, asked: Asked, fetched: Fetched) -> Vec<Asked> {
        let answer = ring::message::Answer::Payload(Message::Fetched(fetched));
        self.hear(asked.node, ring::Message::Reply { id: asked.number, hops: 0, answer })
    }

    /// Whether this node agrees that `from` is the root of `range`, when it is asked as its successor.
    fn gives(&mut self, from: NodeHandle, range: Range) -> bool {
        let message = Message::Fetch { range, after: 0, to_successor: true };
        let answer = self.records.on_request(self.now, &mut self.chord, from, message);
        let Some(Message::Fetched(Fetched { accepted, .. })) = answer else { panic!("{answer:?}") };
        accepted
    }

    fn handle(&mut self, input: Input<Infallible, ring::Message<Message>>) -> Vec<Asked> {
        self.chord.handle(self.now, input);
        self.follow_up()
    }

    /// Acts on what the ring says, and returns whom this node asks for a range.
    fn follow_up(&mut self) -> Vec<Asked> {
        let Root { chord, records, now } = self;
        let mut asked = Vec::new();
        while let Some(output) = chord.next_output() {
            match output {
                Output::Upcall(Upcall::Update(update)) => records.on_update(*now, chord, update),
                Output::Upcall(Upcall::SuccessorsChanged { .. }) => {
                    records.on_successors_changed(*now, chord);
                }
                Output::Upcall(Upcall::Reply { id, from, payload }) => {
                    records.on_reply(*now, chord, id, from, payload);
                }
                Output::Upcall(Upcall::Failed { id, why }) => {
                    records.on_failed(*now, chord, id, why);
                }
                Output::Send { to: node, message: ring::Message::Request { id: number, payload } } => {
                    if let Message::Fetch { range, to_successor, .. } = payload {
                        asked.push(Asked { node, number, range, to_successor });
                    }
                }
                Output::Send { .. } | Output::Upcall(_) => {}
            }
        }
        asked
    }
}

/// "I agree, and have nothing."
fn nothing() -> Fetched {
    Fetched { accepted: true, start: None, keepers: Vec::new(), statements: Vec::new(), next: None }
}

fn refusal() -> Fetched {
    Fetched { accepted: false, ..nothing() }
}

fn find(asked: &[Asked], node: NodeHandle) -> Asked {
    *asked.iter().find(|asked| asked.node == node).unwrap_or_else(|| panic!("{node:?} is not in {asked:?}"))
}

/// A channel whose key lies in `range`, with a member.
fn statement_in(range: Range, member: NodeHandle) -> (RecordKey, Statement) {
    let key = (0..)
        .map(|i| RecordKey::Channel(format!("c{i}").parse().unwrap()))
        .find(|key| range.contains(key.id()))
        .unwrap();
    let membership = Membership { node: member, version: 1, joined: true, nick: "n".parse().unwrap() };
    (key, Statement::Member(membership, Age::NEW))
}

#[test]
fn a_joiner_is_the_root_once_the_successor_that_it_has_by_now_agrees() {
    let [a, b, c, d, e] = nodes();
    let (mut joiner, asked) = Root::joiner(b, a, &[c, d, e, a]);
    let questions: Vec<_> = asked.iter().map(|asked| (asked.node, asked.to_successor)).collect();
    assert_eq!(questions, [(c, true), (d, false), (e, false)]);
    joiner.answer(find(&asked, d), nothing());
    joiner.answer(find(&asked, e), nothing());
    assert!(!joiner.records.is_ready(b.id()), "its successor is still the root");

    let again = joiner.lose(c);
    assert!(find(&again, d).to_successor, "the next one is the successor now: {again:?}");
    for asked in again.iter().filter(|asked| asked.node != d) {
        joiner.answer(*asked, nothing());
    }
    assert!(!joiner.records.is_ready(b.id()));
    joiner.answer(find(&again, d), nothing());
    assert!(joiner.records.is_ready(b.id()));
}

#[test]
fn a_successor_that_refuses_is_asked_again() {
    let [a, b, c] = nodes();
    let (mut joiner, asked) = Root::joiner(b, a, &[c, a]);
    joiner.answer(find(&asked, a), nothing());
    joiner.answer(find(&asked, c), refusal());
    assert!(!joiner.records.is_ready(b.id()));
    let again = joiner.wait(ASK_AGAIN);
    assert!(find(&again, c).to_successor);
    joiner.answer(find(&again, c), nothing());
    assert!(joiner.records.is_ready(b.id()));
}

#[test]
fn what_a_node_before_the_joiner_has_is_left_to_it() {
    let [a, b, c, d] = nodes();
    let (mut joiner, asked) = Root::joiner(c, a, &[d, a]);
    joiner.answer(find(&asked, a), nothing());
    let more = joiner.answer(find(&asked, d), Fetched { start: Some(b), ..nothing() });
    assert_eq!(find(&more, b).range, range(a, b), "whoever joined before is asked whether it lives");
    assert!(joiner.records.is_ready(c.id()));
    assert!(!joiner.records.is_ready(b.id()), "it is another's");

    joiner.answer(find(&more, b), refusal());
    assert!(!joiner.records.is_ready(b.id()));
    assert!(!joiner.gives(b, range(a, b)), "what it does not have, it does not give");
    joiner.hear(b, ring::Message::Notify);
    assert_eq!(joiner.chord.predecessor(), Some(b));
    assert!(joiner.records.is_settled(&joiner.chord));
}

#[test]
fn of_a_node_before_that_is_gone_the_copies_are_asked() {
    let [a, b, c, d, e, f] = nodes();
    let (mut joiner, asked) = Root::joiner(c, a, &[d, e, f, a]);
    for node in [e, f] {
        joiner.answer(find(&asked, node), nothing());
    }
    let more = joiner.answer(find(&asked, d), Fetched { start: Some(b), ..nothing() });
    find(&more, b);
    let copies: Vec<Asked> = joiner.lose(b);
    assert!(!joiner.records.is_ready(b.id()));
    for asked in copies {
        assert_eq!(asked.range, range(a, b));
        joiner.answer(asked, nothing());
    }
    assert!(joiner.records.is_ready(b.id()), "nobody else is its root any more");
}

#[test]
fn what_copies_knew_while_a_node_before_lived_does_not_count() {
    let [a, b, c, d, e, f] = nodes();
    let (mut joiner, asked) = Root::joiner(c, a, &[d, e, f, a]);
    let more = joiner.answer(find(&asked, d), Fetched { start: Some(b), ..nothing() });
    joiner.answer(find(&more, b), refusal());
    let again = joiner.wait(ASK_AGAIN);
    assert_eq!(again.iter().map(|asked| asked.node).collect::<Vec<_>>(), [b], "it lives, and may write");
    let copies = joiner.lose(b);
    let nodes: BTreeSet<_> =
        copies.iter().filter(|asked| asked.range == range(a, b)).map(|asked| asked.node).collect();
    assert_eq!(nodes, BTreeSet::from([d, e, f]));
}

#[test]
fn who_is_taking_over_gives_nothing_yet() {
    let [a, b, c, d, e] = nodes();
    let mut root = Root::of(&[a, c, d, e], d);
    root.lose(c);
    let asked = root.hear(a, ring::Message::Notify);
    assert_eq!(find(&asked, e).range, range(a, c));
    assert!(!root.gives(b, range(a, b)), "another copy may know more");
    for asked in asked {
        root.answer(asked, nothing());
    }
    assert!(root.records.is_ready(c.id()));
    assert!(root.gives(b, range(a, b)));
}

#[test]
fn after_a_crash_whoever_lives_in_the_range_keeps_its_part() {
    let [a, b, c, d, e] = nodes();
    let mut root = Root::of(&[a, c, d, e], d);
    root.lose(c);
    let asked = root.hear(a, ring::Message::Notify);
    // A copy tells of a node that has joined and not notified this one yet.
    let more = root.answer(find(&asked, e), Fetched { keepers: vec![b], ..nothing() });
    root.answer(find(&asked, a), nothing());
    assert_eq!(find(&more, b).range, range(a, c));
    assert!(!root.records.is_ready(c.id()));
    root.answer(find(&more, b), refusal());
    assert!(root.records.is_ready(c.id()), "what the dead node had");
    assert!(!root.records.is_ready(b.id()), "what the living one has");
    root.hear(b, ring::Message::Notify);
    assert_eq!(root.chord.predecessor(), Some(b));
    assert!(root.records.is_settled(&root.chord));
}

#[test]
fn after_a_takeover_the_members_are_reminded() {
    let [a, b, c, d] = nodes();
    let mut root = Root::of(&[a, b, c, d], c);
    let (key, statement) = statement_in(range(a, b), d);
    root.records.merge(START, &key, statement);
    root.lose(b);
    let asked = root.hear(a, ring::Message::Notify);
    assert_eq!(root.records.take_behind(&root.chord), BTreeMap::new(), "not before all is known");
    for asked in asked {
        root.answer(asked, nothing());
    }
    let behind = root.records.take_behind(&root.chord);
    assert_eq!(behind.into_values().collect::<Vec<_>>(), [BTreeSet::from([d])]);
}

#[test]
fn a_part_that_is_split_off_late_is_waited_for() {
    let [a, b, c, d] = nodes();
    let (mut joiner, asked) = Root::joiner(c, a, &[d, a]);
    joiner.answer(find(&asked, a), nothing());
    let mut successor = find(&asked, d);
    let mut waited = Duration::ZERO;
    while waited <= TAKEOVER_DEADLINE {
        joiner.answer(successor, refusal());
        waited += ASK_AGAIN;
        successor = find(&joiner.wait(ASK_AGAIN), d);
    }
    let more = joiner.answer(successor, Fetched { start: Some(b), ..nothing() });
    assert!(joiner.records.is_ready(c.id()));
    assert!(!joiner.records.is_ready(b.id()), "{more:?}");
}

#[test]
fn who_tells_the_same_part_again_and_again_is_not_asked_for_ever() {
    let [a, b, c] = nodes();
    let (mut joiner, asked) = Root::joiner(b, a, &[c, a]);
    let part = || Fetched { next: Some(7), ..nothing() };
    let more = joiner.answer(find(&asked, a), part());
    assert_eq!(joiner.answer(find(&more, a), part()), []);
}
