//! Toy machines for the simulator's own tests.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeHandle;
use crate::machine::{Input, Machine, Output};
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
pub(super) enum Order {
    Send(NodeHandle, std::ops::Range<u64>),
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
    type Command = Order;
    type Event = Parcel;
    type Message = Parcel;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(&mut self, now: Time, input: Input<Order, Parcel>, outputs: &mut Vec<Output<Parcel, Parcel>>) {
        let entry = match input {
            Input::Command(Order::Send(to, numbers)) => {
                outputs.extend(numbers.map(|number| Output::Send { to, message: Parcel(number) }));
                return;
            }
            Input::Command(Order::GoHome) => return outputs.push(Output::Stop),
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
