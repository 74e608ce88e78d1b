//! One node: it is fed an input, and all of its outputs are compared.

use super::*;
use crate::chord::message::{Answer as Carried, Body, Route};
use crate::wire;

pub(super) type Outputs = Vec<Output<Told, Message<Call>>>;

/// What the node does, now.
pub(super) fn fed(host: &mut Host<Probe>, input: Input<Order<Do>, Message<Call>>) -> Outputs {
    let mut outputs = Vec::new();
    host.handle(START, input, &mut outputs);
    outputs
}

pub(super) fn ordered(host: &mut Host<Probe>, order: Order<Do>) -> Outputs {
    fed(host, Input::Command(order))
}

fn asked(host: &mut Host<Probe>, command: Do) -> Outputs {
    ordered(host, Order::Command(command))
}

pub(super) fn heard(host: &mut Host<Probe>, from: NodeHandle, message: Message<Call>) -> Outputs {
    fed(host, Input::Message { from, message })
}

fn told(event: Told) -> Output<Told, Message<Call>> {
    Output::Event(event)
}

/// A node that is alone in its ring.
fn alone() -> Host<Probe> {
    let mut host = Probe::host(node(1));
    ordered(&mut host, Order::Create);
    host
}

fn command(name: &str, payload: Vec<u8>) -> Call {
    Call::Command { name: name.to_owned(), root_of: None, payload: Payload(payload) }
}

/// A request for a key, as the last hop sends it.
pub(super) fn routed(key: Id, origin: NodeHandle, id: MessageId, call: Call) -> Message<Call> {
    Message::Route(Route { key, origin, id, hops: 1, last: true, body: Body::Request(call) })
}

fn reply(to: NodeHandle, id: MessageId, hops: u8, call: Call) -> Output<Told, Message<Call>> {
    Output::Send { to, message: Message::Reply { id, hops, answer: Carried::Payload(call) } }
}

fn echo(n: u8) -> Call {
    command("echo", vec![n])
}

fn ok(n: u8) -> Call {
    Call::Ok(Payload(vec![n]))
}

/// The number that the next request of a node gets that has begun at [`START`] and created a ring.
const FIRST: MessageId = START.as_micros() + 1;

#[test]
fn who_creates_a_ring_gains_the_whole_circle() {
    let me = node(1);
    let mut host = Probe::host(me);
    let update = Update {
        gained: true,
        range: Range { from: me.id(), to: me.id() },
        peer: None,
        before: None,
        predecessor: None,
        why: Why::Created,
    };
    assert_eq!(ordered(&mut host, Order::Create), [told(Told::Joined), told(Told::Update(update))]);
    assert_eq!(ordered(&mut host, Order::Create), [], "it belongs to a ring");
    assert_eq!(ordered(&mut host, Order::Join(node(2))), [], "it belongs to a ring");
}

#[test]
fn who_is_alone_asks_itself() {
    let (mut host, me, key) = (alone(), node(1), Id::hash("key"));
    let served = told(Told::Served(me, FIRST, Some(key), 5));
    let replied = told(Told::Replied(FIRST, Some(me), Ok(5)));
    assert_eq!(asked(&mut host, Do::Ask(key, 5)), [served, replied]);
    let served = told(Told::Served(me, FIRST + 1, None, 6));
    let replied = told(Told::Replied(FIRST + 1, Some(me), Ok(6)));
    assert_eq!(asked(&mut host, Do::AskNode(me, 6)), [served, replied]);
    assert_eq!(asked(&mut host, Do::Find(key)), [told(Told::Found(FIRST + 2, Ok(me)))]);
}

#[test]
fn the_sender_and_the_id_of_a_request_are_told_and_a_repeat_is_answered_but_not_served() {
    let (mut host, other, key) = (alone(), node(2), Id::hash("key"));
    let message = routed(key, other, 77, echo(5));
    let served = told(Told::Served(other, 77, Some(key), 5));
    assert_eq!(heard(&mut host, other, message.clone()), [served, reply(other, 77, 0, ok(5))]);
    assert_eq!(heard(&mut host, other, message), [reply(other, 77, 1, ok(5))]);
    let message = Message::Request { id: 78, payload: echo(6) };
    let served = told(Told::Served(other, 78, None, 6));
    assert_eq!(heard(&mut host, other, message.clone()), [served, reply(other, 78, 0, ok(6))]);
    assert_eq!(heard(&mut host, other, message), [reply(other, 78, 0, ok(6))]);
}

#[test]
fn every_answer_reaches_who_asked() {
    let (mut host, key) = (alone(), Id::hash("key"));
    let replied = |i, answer| [told(Told::Replied(FIRST + i, Some(node(1)), answer))];
    assert_eq!(asked(&mut host, Do::AskOdd(key, 3)), replied(0, Ok(3)));
    let refused = Failure::Refused("it is even".to_owned());
    assert_eq!(asked(&mut host, Do::AskOdd(key, 4)), replied(1, Err(refused)));
    assert_eq!(asked(&mut host, Do::AskNobodys(key)), replied(2, Err(Failure::UnknownCommand)));
    let refused = Failure::Refused("the payload is not one of the command echo".to_owned());
    assert_eq!(asked(&mut host, Do::AskWrongly(key)), [told(Told::Misread(Err(refused)))]);
}

#[test]
fn what_a_confused_peer_says_harms_nobody() {
    let (mut host, other, key) = (alone(), node(2), Id::hash("key"));
    assert_eq!(heard(&mut host, other, routed(key, other, 1, Call::NotRoot)), []);
    assert_eq!(heard(&mut host, other, Message::Tell(echo(1))), []);
    let answer = Carried::Payload(echo(1));
    assert_eq!(heard(&mut host, other, Message::Reply { id: 5, hops: 0, answer }), [], "nobody has asked");
    let asked = asked(&mut host, Do::AskNode(other, 5));
    assert_eq!(
        asked,
        [Output::Send { to: other, message: Message::Request { id: FIRST, payload: echo(5) } }]
    );
    let answer = Carried::Payload(echo(1));
    let replied = told(Told::Replied(FIRST, Some(other), Err(Failure::Malformed)));
    assert_eq!(heard(&mut host, other, Message::Reply { id: FIRST, hops: 0, answer }), [replied]);
}

#[test]
fn a_direct_request_that_insists_on_a_key_is_served_by_the_root_only() {
    let (mut host, me, other) = (alone(), node(1), node(2));
    heard(&mut host, other, Message::Notify);
    let call = |key| Call::Command { name: "echo".to_owned(), root_of: Some(key), payload: Payload(vec![5]) };
    let message = Message::Request { id: 1, payload: call(me.id()) };
    let served = told(Told::Served(other, 1, Some(me.id()), 5));
    assert_eq!(heard(&mut host, other, message), [served, reply(other, 1, 0, ok(5))]);
    let message = Message::Request { id: 2, payload: call(other.id()) };
    assert_eq!(heard(&mut host, other, message), [reply(other, 2, 0, Call::NotRoot)]);
    let sent = asked(&mut host, Do::AskRoot(other, me.id(), 5));
    let [Output::Send { to, message: Message::Request { id, payload } }] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((*to, payload), (other, &call(me.id())));
    let answer = Carried::Payload(Call::NotRoot);
    let replied = told(Told::Replied(*id, Some(other), Err(Failure::NotRoot)));
    assert_eq!(heard(&mut host, other, Message::Reply { id: *id, hops: 0, answer }), [replied]);
}

#[test]
fn who_does_not_know_yet_whether_it_is_the_root_says_that_it_is_not() {
    let (mut host, me, other) = (Probe::host(node(1)), node(1), node(2));
    ordered(&mut host, Order::Join(other));
    assert_eq!(host.chord().is_root(me.id()), None);
    let payload =
        Call::Command { name: "echo".to_owned(), root_of: Some(me.id()), payload: Payload(vec![5]) };
    let message = Message::Request { id: 1, payload };
    assert_eq!(heard(&mut host, other, message), [reply(other, 1, 0, Call::NotRoot)]);
}

#[test]
fn an_answer_may_come_later_and_a_repeat_waits_for_it() {
    let (mut host, other, key) = (alone(), node(2), Id::hash("key"));
    let message = routed(key, other, 1, command("later", vec![5]));
    assert_eq!(heard(&mut host, other, message.clone()), []);
    assert_eq!(heard(&mut host, other, message.clone()), []);
    assert_eq!(asked(&mut host, Do::AnswerLater(6)), [reply(other, 1, 0, ok(6))]);
    assert_eq!(heard(&mut host, other, message), [reply(other, 1, 1, ok(6))]);
    assert_eq!(heard(&mut host, other, routed(key, other, 2, command("later", vec![5]))), []);
    let refused = Call::Refused("not today".to_owned());
    assert_eq!(asked(&mut host, Do::RefuseLater), [reply(other, 2, 0, refused)]);
}

#[test]
fn what_is_too_long_is_not_sent_and_the_limit_is_told() {
    let (mut host, other) = (alone(), node(2));
    heard(&mut host, other, Message::Notify);
    let theirs = other.id();
    // The encoding of a list begins with its length, in five bytes.
    let sent = asked(&mut host, Do::AskLength(theirs, PAYLOAD_BYTES_MAX - 5));
    let Some(Output::Send { to, message }) = sent.first() else { panic!("a message") };
    assert_eq!(*to, other);
    assert!(wire::encode(message).len() <= wire::FRAME_BYTES_MAX);
    let failure = Failure::TooLong { bytes: PAYLOAD_BYTES_MAX + 1 };
    assert!(failure.to_string().contains(&PAYLOAD_BYTES_MAX.to_string()), "{failure}");
    let failed = told(Told::Length(Err(failure)));
    assert_eq!(asked(&mut host, Do::AskLength(theirs, PAYLOAD_BYTES_MAX - 4)), [failed]);
}

#[test]
fn an_answer_that_is_too_long_becomes_a_refusal() {
    let (mut host, key) = (alone(), Id::hash("key"));
    let bytes = PAYLOAD_BYTES_MAX - 5;
    assert_eq!(asked(&mut host, Do::AskToFill(key, bytes)), [told(Told::Length(Ok(bytes)))]);
    let asked = asked(&mut host, Do::AskToFill(key, bytes + 1));
    let [Output::Event(Told::Length(Err(Failure::Refused(reason))))] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert!(reason.ends_with(&format!("the limit is {PAYLOAD_BYTES_MAX}")), "{reason}");
}

#[test]
fn a_name_is_registered_once_and_built_in_names_never() {
    let mut host = alone();
    assert_eq!(host.register(ECHO, Probe::odd), Err(NotRegistered::Twice("echo")));
    assert_eq!(host.register(NOT_ECHO, |_, _, _| Answer::Later), Err(NotRegistered::Twice("echo")));
    for name in builtin::NAMES {
        let result = host.register(Command::<(), ()>::new(name), |_, _, _| Answer::Later);
        assert_eq!(result, Err(NotRegistered::BuiltIn(name)));
        assert!(!host.unregister(name), "{name}");
    }
    let key = Id::hash("key");
    assert!(host.unregister("echo"));
    assert!(!host.unregister("echo"));
    let unknown = told(Told::Replied(FIRST, Some(node(1)), Err(Failure::UnknownCommand)));
    assert_eq!(asked(&mut host, Do::Ask(key, 5)), [unknown]);
    assert_eq!(host.register(ECHO, Probe::odd), Ok(()), "the name is free again");
    assert_eq!(asked(&mut host, Do::Ask(key, 5)), [told(Told::Replied(FIRST + 1, Some(node(1)), Ok(5)))]);
}

#[test]
fn every_node_tells_its_neighbours_and_commands() {
    let mut host = alone();
    let names = ["echo", "fill", "later", "length", "odd"].map(str::to_owned).to_vec();
    let expected = [Told::Pong, Told::Before(None), Told::After(vec![]), Told::Commands(names)].map(told);
    assert_eq!(asked(&mut host, Do::Neighbours(node(1))), expected);
}

#[test]
fn an_application_is_woken_when_it_wants_to_be() {
    let mut host = alone();
    let at = START + std::time::Duration::from_millis(1);
    asked(&mut host, Do::Wake(at));
    fed(&mut host, Input::Wakeup);
    assert_eq!(host.application().alarm, Some(at), "it is too early");
    let mut outputs = Vec::new();
    host.handle(at, Input::Wakeup, &mut outputs);
    assert_eq!(outputs.pop(), Some(told(Told::Woken)));
}

#[test]
fn an_application_that_talks_to_itself_for_ever_does_not_block_its_node() {
    struct Chatterbox;
    impl Application for Chatterbox {
        type Command = ();
        type Event = ();
        fn on_command(&mut self, cx: &mut Context<Chatterbox>, (): ()) {
            cx.request(cx.me().id(), builtin::PING, (), |chatterbox, cx, _| chatterbox.on_command(cx, ()));
        }
    }
    let mut host = Host::new(Chatterbox, node(1), START);
    let mut outputs = Vec::new();
    host.handle(START, Input::Command(Order::Create), &mut outputs);
    host.handle(START, Input::Command(Order::Command(())), &mut outputs);
    assert_eq!(host.next_wakeup(), Some(START), "it goes on, but others may speak before");
}
