//! Toy machines for the simulator's own tests.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeHandle;
use crate::machine::{Input, Keep, Machine, Output};
use crate::time::Time;

/// The node number `number`.
pub(super) fn node(number: u16) -> NodeHandle {
    NodeHandle::new(SocketAddr::from(([10, 0, 0, 1], number)))
}

/// The address number `number`, where there are more than ports.
pub(super) fn address(number: u32) -> NodeHandle {
    let [a, b, c, d] = number.to_be_bytes();
    NodeHandle::new(SocketAddr::from(([10 + a, b, c, d], 7000)))
}

/// Sends numbers, and writes down whatever happens to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clerk {
    pub(super) me: NodeHandle,
    /// How often it wakes up, and when next.
    pub(super) period: Option<(Duration, Time)>,
    pub(super) book: Vec<(Time, Entry)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Got(NodeHandle, Parcel),
    Unreachable(NodeHandle, Vec<Parcel>),
    Woke,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Parcel(pub(super) u64);

#[derive(Clone, Debug)]
pub(super) enum Errand {
    Send(NodeHandle, std::ops::Range<u64>),
    /// Write the number down within so long, and say so to someone.
    Keep(u8, Duration, NodeHandle),
    GoHome,
}

impl Clerk {
    pub(super) fn new(number: u16) -> Clerk {
        Clerk { me: node(number), period: None, book: Vec::new() }
    }

    pub(super) fn waking(number: u16, period: Duration, first: Time) -> Clerk {
        Clerk { period: Some((period, first)), ..Clerk::new(number) }
    }

    /// The numbers that it got, in order.
    pub(super) fn got(&self) -> Vec<u64> {
        let numbers = self.book.iter().map(|(_, entry)| match entry {
            Entry::Got(_, Parcel(number)) => Some(*number),
            _ => None,
        });
        numbers.flatten().collect()
    }

    /// What it wrote down, without the time.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.book.iter().map(|(_, entry)| entry.clone()).collect()
    }
}

impl Machine for Clerk {
    type Command = Errand;
    type Event = Parcel;
    type Message = Parcel;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(&mut self, now: Time, input: Input<Errand, Parcel>, outputs: &mut Vec<Output<Parcel, Parcel>>) {
        let entry = match input {
            Input::Command(Errand::Send(to, numbers)) => {
                outputs.extend(numbers.map(|number| Output::Send { to, message: Parcel(number) }));
                return;
            }
            Input::Command(Errand::Keep(number, within, to)) => {
                outputs.push(Output::Keep(Keep { key: vec![number], value: Some(vec![number]), within }));
                outputs.push(Output::Send { to, message: Parcel(number.into()) });
                return;
            }
            Input::Command(Errand::GoHome) => return outputs.push(Output::Stop),
            Input::Message { from, message } => {
                outputs.push(Output::Event(message));
                Entry::Got(from, message)
            }
            Input::Unreachable { peer, undelivered } => Entry::Unreachable(peer, undelivered),
            Input::Wakeup => {
                let (period, next) = self.period.as_mut().expect("only who has a period is woken");
                *next = now + *period;
                Entry::Woke
            }
        };
        self.book.push((now, entry));
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.period.map(|(_, next)| next)
    }
}

/// A value of which every node keeps a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Register {
    pub(super) me: NodeHandle,
    pub(super) peers: Vec<NodeHandle>,
    pub(super) rule: Rule,
    pub(super) value: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// The greatest version wins: right in every order.
    Newest,
    /// What comes last wins: wrong in some orders.
    Last,
    /// Nobody may write but me: wrong at once.
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) author: NodeHandle,
}

#[derive(Clone, Debug)]
pub(super) struct Write;

impl Register {
    /// The registers 1 to `count`.
    pub(super) fn all(count: u16, rule: Rule) -> impl Iterator<Item = Register> {
        let others = move |me| (1..=count).filter(move |other| *other != me).map(node).collect();
        (1..=count).map(move |me| Register {
            me: node(me),
            peers: others(me),
            rule,
            value: Version { number: 0, author: node(0) },
        })
    }
}

impl Machine for Register {
    type Command = Write;
    type Event = Version;
    type Message = Version;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(&mut self, _: Time, input: Input<Write, Version>, outputs: &mut Vec<Output<Version, Version>>) {
        match input {
            Input::Command(Write) => {
                self.value = Version { number: self.value.number + 1, author: self.me };
                let message = self.value;
                outputs.extend(self.peers.iter().map(|to| Output::Send { to: *to, message }));
            }
            Input::Message { message, .. } => {
                self.value = match self.rule {
                    Rule::Newest => self.value.max(message),
                    Rule::Last => message,
                    Rule::Alone => panic!("nobody writes but me"),
                };
                outputs.push(Output::Event(self.value));
            }
            Input::Unreachable { peer, .. } => self.peers.retain(|one| *one != peer),
            Input::Wakeup => {}
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        None
    }
}

/// A server that counts, or a client that has it count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counter {
    pub(super) me: NodeHandle,
    pub(super) server: NodeHandle,
    /// Whether a client reads and writes, rather than have the server add.
    pub(super) reads_first: bool,
    pub(super) total: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Count {
    Add,
    Read,
    Total(u32),
    Set(u32),
}

#[derive(Clone, Debug)]
pub(super) struct AddOne;

impl Counter {
    /// The server 1 and clients up to `count`.
    pub(super) fn all(count: u16, reads_first: bool) -> impl Iterator<Item = Counter> {
        (1..=count).map(move |me| Counter { me: node(me), server: node(1), reads_first, total: 0 })
    }
}

impl Machine for Counter {
    type Command = AddOne;
    type Event = ();
    type Message = Count;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(&mut self, _: Time, input: Input<AddOne, Count>, outputs: &mut Vec<Output<(), Count>>) {
        let (to, message) = match input {
            Input::Command(AddOne) => (self.server, if self.reads_first { Count::Read } else { Count::Add }),
            Input::Message { message: Count::Add, .. } => return self.total += 1,
            Input::Message { message: Count::Set(total), .. } => return self.total = total,
            Input::Message { from, message: Count::Read } => (from, Count::Total(self.total)),
            Input::Message { from, message: Count::Total(total) } => (from, Count::Set(total + 1)),
            Input::Unreachable { .. } | Input::Wakeup => return,
        };
        outputs.push(Output::Send { to, message });
    }

    fn next_wakeup(&self) -> Option<Time> {
        None
    }
}
