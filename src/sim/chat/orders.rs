//! Every order in which a channel can move to a new root while people join and leave it
//! (item 6 of the assignment).
//!
//! The ring is O and N. The people a, b, c and d are nodes outside it, which send what a node of the ring
//! would hand on for them, and keep only whether they were answered: so the orders that are explored are
//! those of the ring and of the channel, and there are few enough.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::chat::event::{Event, SentState};
use crate::chat::payload::Payload;
use crate::chat::{join, leave};
use crate::chord::Message;
use crate::chord::message::{Body, Route};
use crate::id::{Id, NodeHandle};
use crate::machine::{Input, Machine, Output};
use crate::node::{Command, Node};
use crate::records::channel::Membership;
use crate::records::name::ChannelName;
use crate::records::{Mutant, RecordKey};
use crate::sim::{Act, Order, Report, START, Scenario, Violation, World};
use crate::time::Time;

/// A node of the ring, or a person outside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Node(Box<Node>),
    Person { me: NodeHandle, answered: bool },
}

#[derive(Clone, Debug)]
enum Task {
    Node(Command),
    /// A person sends this to a node.
    Say(NodeHandle, Box<Message<Payload>>),
}

impl Machine for Actor {
    type Command = Task;
    type Event = Event;
    type Message = Message<Payload>;

    fn me(&self) -> NodeHandle {
        match self {
            Actor::Node(node) => node.me(),
            Actor::Person { me, .. } => *me,
        }
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Task, Message<Payload>>,
        outputs: &mut Vec<Output<Event, Message<Payload>>>,
    ) {
        match (self, input) {
            (Actor::Node(node), Input::Command(Task::Node(command))) => {
                node.handle(now, Input::Command(command), outputs);
            }
            (Actor::Node(node), Input::Message { from, message }) => {
                node.handle(now, Input::Message { from, message }, outputs);
            }
            (Actor::Node(node), Input::Unreachable { peer, undelivered }) => {
                node.handle(now, Input::Unreachable { peer, undelivered }, outputs);
            }
            (Actor::Node(node), Input::Wakeup) => node.handle(now, Input::Wakeup, outputs),
            (Actor::Person { .. }, Input::Command(Task::Say(to, message))) => {
                outputs.push(Output::Send { to, message: *message });
            }
            (Actor::Person { answered, .. }, Input::Message { message: Message::Reply { .. }, .. }) => {
                *answered = true;
            }
            _ => {}
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        match self {
            Actor::Node(node) => node.next_wakeup(),
            Actor::Person { .. } => None,
        }
    }
}

fn address(port: u16) -> NodeHandle {
    NodeHandle::new(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn channel() -> ChannelName {
    "rust".parse().expect("a good name")
}

const PEOPLE: [(&str, u16); 4] = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];

fn person(name: &str) -> NodeHandle {
    let (_, port) = PEOPLE.iter().find(|(other, _)| *other == name).expect("one of the people");
    address(*port)
}

/// O, and an N that takes the channel over when it becomes O's predecessor.
fn ring() -> (NodeHandle, NodeHandle) {
    let key = RecordKey::Channel(channel()).id();
    let o = address(7000);
    let takes_over = |node: &NodeHandle| key.in_arc(o.id(), node.id());
    let n = (7001..).map(address).find(takes_over).expect("half of all nodes do");
    (o, n)
}

fn node(name: &str, me: NodeHandle, mutant: Option<Mutant>) -> Actor {
    let node = Node::new(name.parse().expect("a good nick"), me, START);
    Actor::Node(Box::new(node.with_mutant(mutant)))
}

/// What `name` says through `via`: that they are in the channel, or no longer.
fn says(name: &str, joined: bool, via: NodeHandle) -> Act<Actor> {
    let me = person(name);
    let number = 1 + u64::from(!joined);
    let membership =
        Membership { node: me, version: number, joined, nick: name.parse().expect("a good nick") };
    let payload = if joined {
        Payload::Join(join::Request { channel: channel(), membership })
    } else {
        Payload::Leave(leave::Request { channel: channel(), membership })
    };
    let key = RecordKey::Channel(channel()).id();
    let body = Body::Request(payload);
    let route = Route { key, origin: me, id: number, hops: 0, last: false, body };
    Act::Command(me, Task::Say(via, Box::new(Message::Route(route))))
}

/// O alone is the root, with the members a and b.
fn start(mutant: Option<Mutant>) -> World<Actor> {
    let (o, _) = ring();
    let mut world = World::new(0);
    world.add(node("o", o, mutant));
    world.command(o, Task::Node(Command::Start { bootstrap: None }));
    for (name, port) in PEOPLE {
        world.add(Actor::Person { me: address(port), answered: false });
        if let Act::Command(me, task) = says(name, true, o)
            && matches!(name, "a" | "b")
        {
            world.command(me, task);
        }
    }
    world.run_dry();
    world
}

/// O and M, who is a member of the channel, whose root is O.
fn pair() -> (World<Actor>, NodeHandle, NodeHandle) {
    let key = RecordKey::Channel(channel()).id();
    let (o, _) = ring();
    let keeps = |node: &NodeHandle| !key.in_arc(o.id(), node.id());
    let m = (7001..).map(address).find(keeps).expect("half of all nodes do");
    let mut world = World::new(0);
    world.add(node("o", o, None));
    world.command(o, Task::Node(Command::Start { bootstrap: None }));
    world.add(node("m", m, None));
    world.command(m, Task::Node(Command::Start { bootstrap: Some(o) }));
    world.settle(4);
    world.command(m, Task::Node(Command::Line("join rust".to_owned())));
    world.run_dry();
    (world, o, m)
}

fn is_in_ring(actor: &Actor) -> bool {
    matches!(actor, Actor::Node(node) if node.chord().is_member())
}

/// N becomes O's predecessor; c joins through N, d joins through O, a leaves through N, b leaves through O.
fn explore(mutant: Option<Mutant>) -> Result<Report, Violation> {
    let (o, n) = ring();
    let people: BTreeSet<NodeHandle> = PEOPLE.iter().map(|(_, port)| address(*port)).collect();
    let joins = Task::Node(Command::Start { bootstrap: Some(o) });
    Scenario::new(start(mutant))
        .script([Act::Start(node("n", n, mutant)), Act::Command(n, joins)])
        // Who speaks to N before it is a member speaks to nobody.
        .script([says("c", true, n).when(n, is_in_ring)])
        .script([says("a", false, n).when(n, is_in_ring)])
        .script([says("d", true, o)])
        .script([says("b", false, o)])
        .order(Order::Fifo)
        .states_max(3_000_000)
        // People only listen: when they hear something makes no difference.
        .at_once(move |_, to, _| people.contains(&to))
        .explore(|world, ()| check(world, n))
}

/// The members are c and d, at the new root and at the old one, which keeps a copy.
fn check(world: &mut World<Actor>, root: NodeHandle) -> Result<(), String> {
    world.settle(4);
    for actor in world.machines() {
        match actor {
            Actor::Person { me, answered } if !answered => return Err(format!("{me:?} was not answered")),
            Actor::Person { .. } => {}
            Actor::Node(node) => {
                let key: Id = RecordKey::Channel(channel()).id();
                if (node.chord().is_root(key) == Some(true)) != (node.me() == root) {
                    return Err(format!("{:?} is not the root", node.me()));
                }
                let members: Vec<&str> = node
                    .records()
                    .channel(&channel())
                    .into_iter()
                    .flat_map(|channel| channel.members(world.now()))
                    .map(|member| member.nick.as_str())
                    .collect();
                if BTreeSet::from_iter(members.iter().copied()) != BTreeSet::from(["c", "d"]) {
                    return Err(format!("the members are {members:?} at {:?}", node.me()));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_channel_has_the_same_members_in_every_order_of_joins_leaves_and_migration() {
    let report = explore(None).unwrap();
    println!("{report:?}");
    assert!(30_000 < report.states, "{report:?}");
}

#[test]
fn lists_that_are_joined_to_a_union_bring_back_who_has_left() {
    let violation = explore(Some(Mutant::UnitesSets)).unwrap_err();
    assert!(violation.what.contains("the members are"), "{violation}");
}

/// Counts what M is shown and what becomes of its message.
fn remember(heard: &mut (u32, u32), event: &Event) {
    match event {
        Event::Message { .. } => heard.0 += 1,
        Event::Sent { state: SentState::Stored, .. } => heard.1 += 1,
        _ => {}
    }
}

#[test]
fn a_message_arrives_once_in_every_order_in_which_the_root_exits() {
    let (world, o, m) = pair();
    let command = |node, command| Act::Command(node, Task::Node(command));
    let report = Scenario::remembering(world, (0, 0), |heard, _, event| remember(heard, event))
        .script([command(m, Command::Line("send rust hello".to_owned()))])
        .script([command(o, Command::Exit)])
        .order(Order::Fifo)
        .explore(|world, heard| {
            world.told.clear();
            world.settle(30);
            let mut heard = *heard;
            world.told.iter().for_each(|(_, event)| remember(&mut heard, event));
            let left = world.get(o).is_none() && world.get(m).is_some();
            match (heard, left) {
                ((1, 1), true) => Ok(()),
                _ => Err(format!("shown and stored: {heard:?}, only M is left: {left}")),
            }
        })
        .unwrap();
    println!("{report:?}");
    assert!(40 < report.states, "{report:?}");
}

#[test]
fn two_neighbours_exit_at_once_in_every_order() {
    let (world, o, m) = pair();
    let report = Scenario::new(world)
        .script([Act::Command(o, Task::Node(Command::Exit))])
        .script([Act::Command(m, Task::Node(Command::Exit))])
        .order(Order::Fifo)
        .explore(|world, ()| {
            world.settle(60);
            match world.machines().count() {
                0 => Ok(()),
                left => Err(format!("{left} nodes cannot leave")),
            }
        })
        .unwrap();
    println!("{report:?}");
    assert!(100 < report.states, "{report:?}");
}
