//! Acknowledged means held: "by 3 nodes, or by every node where there are fewer".
//!
//! This is looked at where the promise is made: when the answer leaves the root, and not when it comes to the
//! author, who may be frozen.
//! A message that a member is shown is acknowledged as well.
//!
//! Who holds it: whoever runs and has it in its records, and whoever had it when it ended meanwhile.
//! A copy may end after it has answered and before the root counts; the root cannot know.
//!
//! How many nodes there are: the root, and whoever has been in reach of it, running, not frozen and ready for
//! [`SETTLED`].
//! The nodes of a small ring need a moment to hear of one another, and who has come since then, or was frozen, knows no
//! other ring than its neighbours do: so for such a root, those count whom they know, and have had in reach as well.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Message, Oracle, Promise};
use crate::chat::event::{MessageId, Recipient, SentState};
use crate::chat::payload::Payload;
use crate::chord;
use crate::chord::message::{Answer, Body, Route};
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::channel::Entry;
use crate::records::name::{ChannelName, Nick};
use crate::records::{self, ACKNOWLEDGED, RecordKey, Statement};
use crate::sim::Network;
use crate::time::Time;

/// How long a node must have been there to count: the two rings of a network that was cut are one by then.
pub(super) const SETTLED: Duration = Duration::from_secs(15);

/// By how many nodes a message was held when it was acknowledged, and how many had to, at most 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    held: usize,
    needed: usize,
}

impl Acknowledged {
    pub(super) fn is_enough(self) -> bool {
        self.needed <= self.held
    }
}

impl Message {
    /// Whether `node` has it in its records.
    pub(super) fn is_held_by(&self, id: &MessageId, node: &Node) -> bool {
        match &self.to {
            Recipient::Channel(channel) => has_message(node, channel, id),
            Recipient::Nick(nick) => has_letter(node, nick, id),
            // It goes to its receiver and is kept nowhere.
            Recipient::Node(_) => false,
        }
    }

    /// Whether its root has said so to anyone.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged.is_some() || self.state == SentState::Stored
    }

    /// Whether somebody counts on its being kept: a letter is for one person, and a channel for all who come.
    pub(super) fn must_be_kept(&self) -> bool {
        match &self.to {
            Recipient::Channel(_) => self.is_acknowledged(),
            Recipient::Nick(_) => self.is_acknowledged() && self.text.is_none(),
            Recipient::Node(_) => false,
        }
    }

    /// Where it is kept.
    pub(super) fn key(&self) -> Option<RecordKey> {
        match &self.to {
            Recipient::Channel(channel) => Some(RecordKey::Channel(channel.clone())),
            Recipient::Nick(nick) => Some(RecordKey::Mailbox(nick.clone())),
            Recipient::Node(_) => None,
        }
    }
}

fn has_message(node: &Node, channel: &ChannelName, id: &MessageId) -> bool {
    node.records().channel(channel).is_some_and(|channel| channel.log.get(id).is_some())
}

fn has_letter(node: &Node, nick: &Nick, id: &MessageId) -> bool {
    node.records().mailbox(nick).is_some_and(|mailbox| mailbox.letter(id).is_some())
}

impl Oracle {
    /// Looks at what leaves a node for what it acknowledges.
    pub(super) fn on_sent_message(
        &mut self,
        network: &Network<Node>,
        from: NodeHandle,
        to: NodeHandle,
        message: &chord::Message<Payload>,
    ) {
        match message {
            chord::Message::Route(Route { origin, id, body: Body::Request(payload), .. }) => {
                let asked: Vec<MessageId> = match payload {
                    Payload::Send(send) => send.messages.iter().map(|(id, _)| *id).collect(),
                    Payload::Mail(mail) => vec![mail.id],
                    other => return self.values.are_asked(network.now(), *origin, *id, other),
                };
                self.asked.insert((*origin, *id), asked);
            }
            chord::Message::Reply { id, answer: Answer::Payload(payload), .. } => match payload {
                Payload::Stored(_) | Payload::Done => {
                    let asked = self.asked.remove(&(to, *id)).unwrap_or_default();
                    self.acknowledges(network, from, asked);
                }
                Payload::Renewed(answer) => self.tells(network, from, &answer.missed),
                Payload::Past(answer) => self.tells(network, from, &answer.entries),
                Payload::Wrote { .. } => self.on_wrote(network, from, (to, *id)),
                Payload::Value(value) => self.on_value_told(network.now(), (to, *id), value),
                _ => {}
            },
            chord::Message::Tell(Payload::Delivery(delivery)) => {
                self.tells(network, from, std::slice::from_ref(&delivery.entry));
            }
            chord::Message::Request { payload: Payload::Records(message), .. } => {
                self.values.are_told(message);
                // A root that is a member tells itself without a message, and may know another place by then.
                if let records::Message::Merge { statements, .. } = message {
                    for (_, statement) in statements {
                        if let Statement::Message(entry, _) = statement {
                            self.note_place(entry);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn note_place(&mut self, entry: &Entry) {
        if let Some(message) = self.messages.get_mut(&entry.id) {
            message.told.insert(entry.place);
        }
    }

    /// `root` tells a member what was said in a channel.
    fn tells(&mut self, network: &Network<Node>, root: NodeHandle, entries: &[Entry]) {
        for entry in entries {
            self.note_place(entry);
        }
        self.acknowledges(network, root, entries.iter().map(|entry| entry.id));
    }

    /// `root` acknowledges messages, now: notes who holds them.
    pub(super) fn acknowledges(
        &mut self,
        network: &Network<Node>,
        root: NodeHandle,
        ids: impl IntoIterator<Item = MessageId>,
    ) {
        for id in ids {
            let Some(message) = self.messages.get(&id) else { continue };
            if message.acknowledged.is_some() {
                continue;
            }
            let needed = self.needed(network, root);
            let Some(message) = self.messages.get_mut(&id) else { continue };
            let held = holders(network, root, &id, message, needed);
            message.acknowledged = Some(Acknowledged { held, needed });
        }
    }

    /// How many nodes must have what `root` acknowledges.
    fn needed(&self, network: &Network<Node>, root: NodeHandle) -> usize {
        let now = network.now();
        let has_long = |since: Option<Time>| since.is_some_and(|since| since + SETTLED <= now);
        let has_come = |node| has_long(self.people.get(&node).map(|person| person.since));
        let known_by = |node: NodeHandle| {
            let chord = network.get(node).map(Node::chord);
            let neighbours = |chord: &chord::Chord<Payload>| {
                chord.predecessor().into_iter().chain(chord.successors().iter().copied()).collect()
            };
            chord.map_or_else(Vec::new, neighbours)
        };
        let mut ring = vec![root];
        let mut others: BTreeSet<NodeHandle> = BTreeSet::new();
        if has_come(root) && has_long(network.awake_since(root)) {
            others.extend(self.people.keys());
        } else {
            ring.extend(known_by(root));
            others.extend(ring.iter().flat_map(|&node| known_by(node)));
        }
        let in_reach = |node| ring.iter().all(|&other| has_long(network.reached_since(other, node)));
        let others = others.into_iter().filter(|&node| {
            node != root
                && has_come(node)
                && has_long(network.awake_since(node))
                && in_reach(node)
                && network.get(node).is_some_and(|node| node.chat().is_ready())
        });
        1 + others.take(ACKNOWLEDGED - 1).count()
    }

    /// Checks that a message which is told to be acknowledged is held by enough nodes.
    pub(super) fn check_held(&mut self, network: &Network<Node>, node: NodeHandle, id: MessageId) {
        if self.messages.get(&id).is_some_and(|message| message.acknowledged.is_none()) {
            // The root itself is told.
            self.acknowledges(network, node, [id]);
        }
        let Some(message) = self.messages.get_mut(&id) else { return };
        let Some(Acknowledged { held, needed }) = message.acknowledged.filter(|it| !it.is_enough()) else {
            return;
        };
        // It is told once.
        message.acknowledged = Some(Acknowledged { held: needed, needed });
        let what = format!("{id} to {} is acknowledged, and {held} nodes of {needed} hold it", message.to);
        self.breaks(network.now(), Promise::Kept, what);
    }

    /// Who has a message that is not acknowledged, and ends, may have been counted on.
    pub(super) fn note_end(&mut self, network: &Network<Node>, node: NodeHandle) {
        let Some(ending) = network.get(node) else { return };
        for (id, message) in &mut self.messages {
            if message.acknowledged.is_none() && message.is_held_by(id, ending) {
                message.ended.insert(node);
            }
        }
    }
}

/// How many nodes hold a message, counted up to `enough`; the likely ones are looked at first.
fn holders(
    network: &Network<Node>,
    root: NodeHandle,
    id: &MessageId,
    message: &Message,
    enough: usize,
) -> usize {
    let mut holders: BTreeSet<NodeHandle> = message.ended.clone();
    let next = network.get(root).into_iter().flat_map(|root| root.chord().successors().to_vec());
    let likely = [root].into_iter().chain(next).filter_map(|node| network.get(node));
    for node in likely.chain(network.machines()) {
        if enough <= holders.len() {
            break;
        }
        if message.is_held_by(id, node) {
            holders.insert(node.chord().me());
        }
    }
    holders.len()
}
