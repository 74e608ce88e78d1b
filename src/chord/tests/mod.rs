//! One node: each test feeds it inputs and compares all of its outputs.

mod join;
mod stabilize;
mod rectify;
mod suspect;
mod leave;
mod route;
mod request;
mod fingers;
mod trace;
mod failure;
mod asleep;
mod search;
mod unite;

use std::convert::Infallible;

use super::*;

type Node = Chord<&'static str>;
type Ring = Message<&'static str>;

const START: Time = Time::from_micros(1_000_000);

/// Nodes in the order of their ids.
fn nodes<const N: usize>() -> [NodeHandle; N] {
    let mut nodes: [NodeHandle; N] =
        std::array::from_fn(|i| NodeHandle::new(([127, 0, 0, 1], 7000 + i as u16).into()));
    nodes.sort();
    nodes
}

fn outputs(node: &mut Node) -> Vec<Output<&'static str>> {
    std::iter::from_fn(|| node.next_output()).collect()
}

fn feed(node: &mut Node, from: NodeHandle, message: Ring) -> Vec<Output<&'static str>> {
    let input: Input<Infallible, Ring> = Input::Message { from, message };
    node.handle(START, input);
    outputs(node)
}

fn lose(node: &mut Node, peer: NodeHandle) -> Vec<Output<&'static str>> {
    node.handle(START, Input::Unreachable { peer, undelivered: Vec::new() });
    outputs(node)
}

fn send(to: NodeHandle, message: Ring) -> Output<&'static str> {
    Output::Send { to, message }
}

fn told(upcall: Upcall<&'static str>) -> Output<&'static str> {
    Output::Upcall(upcall)
}

fn update(
    gained: bool,
    from: NodeHandle,
    to: NodeHandle,
    peer: Option<NodeHandle>,
    why: Why,
) -> Output<&'static str> {
    told(Upcall::Update(Update {
        gained,
        range: Range { from: from.id(), to: to.id() },
        after: from,
        peer,
        why,
    }))
}

/// `me` as a member that knows `predecessor` and `successors`, and asks nobody anything.
fn member(me: NodeHandle, predecessor: NodeHandle, successors: &[NodeHandle]) -> Node {
    let mut node = Chord::new(me, 3, START);
    node.join(START, predecessor);
    let Some(Output::Send { message: Message::Route(Route { id, .. }), .. }) = node.next_output() else {
        panic!("a joiner looks for its place");
    };
    feed(&mut node, predecessor, Message::Place { id, successors: successors.to_vec() });
    node.question = None;
    node
}

/// The number of the question that `node` has just asked.
fn asked(outputs: &[Output<&'static str>]) -> Number {
    let number = |output: &Output<_>| match output {
        Output::Send {
            message:
                Message::GetNeighbors { question }
                | Message::GetNewNeighbors { question, .. }
                | Message::Ping { question },
            ..
        } => Some(*question),
        _ => None,
    };
    outputs.iter().find_map(number).expect("a question")
}
