//! A node whose messages are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chord_chat::chat::event::Event;
use chord_chat::id::NodeHandle;
use chord_chat::machine::{Input, Machine, Output};
use chord_chat::node::{Command, Node};
use chord_chat::time::Time;
use chord_chat::wire;

/// What a node has sent while it was counted.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Default)]
struct Counters {
    is_counted: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Counts from now on.
    pub fn begin(&self) {
        self.0.is_counted.store(true, Ordering::SeqCst);
    }

    /// How many messages, and how many bytes with the length fields.
    pub fn counted(&self) -> (u64, u64) {
        (self.0.messages.load(Ordering::SeqCst), self.0.bytes.load(Ordering::SeqCst))
    }
}

/// A node that counts what it sends, when it is told to.
pub struct Counted {
    /// The node.
    pub node: Node,
    /// What it has sent.
    pub sent: Traffic,
}

impl Machine for Counted {
    type Command = Command;
    type Event = Event;
    type Message = <Node as Machine>::Message;

    fn me(&self) -> NodeHandle {
        self.node.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Command, Self::Message>,
        outputs: &mut Vec<Output<Event, Self::Message>>,
    ) {
        self.node.handle(now, input, outputs);
        if self.sent.0.is_counted.load(Ordering::Relaxed) {
            for output in &*outputs {
                if let Output::Send { message, .. } = output {
                    self.sent.0.messages.fetch_add(1, Ordering::SeqCst);
                    let bytes = wire::encode(message).len() + 4;
                    self.sent.0.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
                }
            }
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.node.next_wakeup()
    }
}
