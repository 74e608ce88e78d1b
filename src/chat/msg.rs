//! `msg`: a private message, to a name or to a node's id (items 2 and 8 of the assignment).
//!
//! to a name:  n -> … -> root of the nick: LookUp        unless it is known
//!             root -> n: Found { node }
//! to a prefix: n -> … -> root of the prefix: FindNode
//!             root -> n: NodeFound
//! then        n -> node: Private { to, text }
//!             node -> n: PrivateHeard { Shown, or NotMe }
//!
//! Who has a name and cannot be reached, or had it, gets mail; see `mail`.
//! Each of these requests has its own deadline: where many nodes fall silent at once, it may take longer than
//! that until the ring has closed around them, so the receiver is then looked for again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim::Found;
use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::{Event, MessageId, Recipient, SentState};
use super::payload::Payload;
use super::{Chat, Context, KNOWN_FOR, Known, Pending, TEXT_BYTES_MAX};
use crate::chord;
use crate::id::{Id, IdPrefix, NodeHandle};
use crate::records::RecordKey;
use crate::records::mailbox::Mailbox;
use crate::records::name::Nick;

/// How many digits of a node's id must be given.
pub const PREFIX_DIGITS_MIN: usize = 8;

/// For how long the receiver of a message is looked for again when nobody has answered.
///
/// With what is under way by then, a message has its end within 30 s.
const TRY_FOR: Duration = Duration::from_secs(15);

pub(super) const COMMAND: Command = Command {
    name: "msg",
    arguments: &[Argument::required("nick|id", Kind::Person), Argument::required("message", Kind::Text)],
    about: "Send a private message to a person, or to a node by its id (40 digits, or @ and its first 8)",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let (to, text) = (words.person()?, words.text()?);
    chat.queue(cx, to, text).map(|_| ())
}

/// A private message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// For whom it is: the receiver verifies that it is meant.
    pub to: Addressee,
    /// Who wrote it.
    pub from: Nick,
    /// Which message it is.
    pub id: MessageId,
    /// What it says.
    pub text: String,
}

/// For whom a private message is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Addressee {
    /// For the holder of a name.
    Nick(Nick),
    /// For whoever is at the node with this id.
    Node(Id),
}

/// What the receiver's node says to a private message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Heard {
    /// It has been shown.
    Shown,
    /// It is for someone else.
    NotMe,
}

/// Which node has an id that begins as was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeFound {
    /// This one, and no other.
    Node(NodeHandle),
    /// Nobody.
    Nobody,
    /// More than one.
    Several,
}

impl Chat {
    /// Looks for the node of the receiver of the first message in the outbox.
    pub(super) fn find_person(&mut self, cx: &mut Context<'_>, to: &Recipient) {
        match to {
            Recipient::Nick(nick) => match self.known.get(nick) {
                Some(Known { node, looked_up: Some(at) }) if cx.now < *at + KNOWN_FOR => {
                    self.send_private(cx, to, *node);
                }
                _ => self.look_up(cx, nick, to),
            },
            Recipient::Node(prefix) => {
                let id = cx.chord.request(cx.now, prefix.start(), Payload::FindNode(*prefix));
                self.pending.insert(id, Pending::FindNode(to.clone()));
            }
            Recipient::Channel(_) => unreachable!("a channel is not a person"),
        }
    }

    fn look_up(&mut self, cx: &mut Context<'_>, nick: &Nick, to: &Recipient) {
        let id = cx.ask_root(&RecordKey::Name(nick.clone()), Payload::LookUp(nick.clone()));
        self.pending.insert(id, Pending::LookUp(to.clone()));
    }

    pub(super) fn on_look_up(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        nick: &Nick,
    ) {
        let claim = cx.records.claims(nick).and_then(|claims| claims.holder(cx.now));
        let last = cx.records.mailbox(nick).and_then(Mailbox::holder);
        let person = claim.map(|claim| claim.person).or(last.map(|last| last.person));
        let found = Found { holder: claim.map(|claim| claim.holder), person };
        cx.reply_read(request, Payload::Found(found));
    }

    pub(super) fn on_looked_up(&mut self, cx: &mut Context<'_>, to: Recipient, found: Found) {
        let Recipient::Nick(nick) = &to else { return };
        let tried = self.outboxes.get(&to).and_then(|outbox| outbox.tried);
        match found {
            Found { holder: Some(node), .. } if tried != Some(node) => {
                self.meet(nick, node);
                if let Some(known) = self.known.get_mut(nick) {
                    known.looked_up = Some(cx.now);
                }
                self.send_private(cx, &to, node);
            }
            Found { person: Some(person), .. } => {
                let nick = nick.clone();
                self.known.remove(&nick);
                self.post(cx, to, nick, person);
            }
            Found { person: None, .. } => {
                self.known.remove(nick);
                let reason = format!("nobody has the name {nick}");
                self.fail_first(cx, &to, &reason);
            }
        }
    }

    /// The first node from the start of the prefix on has it, or nobody has; the next one must not.
    pub(super) fn on_find_node(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        prefix: IdPrefix,
    ) {
        let next = cx.chord.successors().first().filter(|node| prefix.matches(node.id()));
        let found = match (prefix.matches(self.me.id()), next) {
            (true, None) => NodeFound::Node(self.me),
            (true, Some(_)) => NodeFound::Several,
            (false, _) => NodeFound::Nobody,
        };
        cx.reply_read(request, Payload::NodeFound(found));
    }

    pub(super) fn on_node_found(&mut self, cx: &mut Context<'_>, to: Recipient, found: NodeFound) {
        match found {
            NodeFound::Node(node) => self.send_private(cx, &to, node),
            NodeFound::Nobody => self.fail_first(cx, &to, "no node has an id that begins so"),
            NodeFound::Several => {
                self.fail_first(cx, &to, "several nodes have an id that begins so; give more digits");
            }
        }
    }

    fn send_private(&mut self, cx: &mut Context<'_>, to: &Recipient, node: NodeHandle) {
        let Some((id, text)) = self.outboxes.get(to).and_then(|outbox| outbox.first()) else { return };
        let addressee = match to {
            Recipient::Nick(nick) => Addressee::Nick(nick.clone()),
            Recipient::Node(_) | Recipient::Channel(_) => Addressee::Node(node.id()),
        };
        let request = Request { to: addressee, from: self.nick.clone(), id, text: text.to_owned() };
        if let Some(outbox) = self.outboxes.get_mut(to) {
            outbox.tried = Some(node);
        }
        let number = cx.chord.request_to(cx.now, node, Payload::Private(request));
        self.pending.insert(number, Pending::Private(to.clone()));
    }

    /// "The receiving client will verify if the id equals its own key, and eventually show the
    /// received message to the user" (the assignment, item 2).
    pub(super) fn on_private(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        private: Request,
    ) {
        let is_mine = match &private.to {
            Addressee::Nick(nick) => *nick == self.nick,
            Addressee::Node(id) => *id == self.me.id(),
        };
        if private.text.is_empty() || TEXT_BYTES_MAX < private.text.len() {
            return cx.reply_read(request, Payload::Refused(super::text_rule()));
        }
        let heard = if is_mine && self.is_ready() { Heard::Shown } else { Heard::NotMe };
        if heard == Heard::Shown {
            self.meet(&private.from, request.origin);
            if !self.heard.contains(&private.id) {
                self.heard.insert(private.id, ());
                let Request { from, text, id, .. } = private;
                cx.tell(Event::Private { from, text, id, history: false });
            }
        }
        cx.reply(request, Payload::PrivateHeard(heard));
    }

    pub(super) fn on_private_heard(&mut self, cx: &mut Context<'_>, to: Recipient, heard: Heard) {
        match heard {
            Heard::Shown => {
                let Some(outbox) = self.outboxes.get_mut(&to) else { return };
                if let Some((id, text)) = outbox.finish_first() {
                    cx.tell(Event::Sent { id, to: to.clone(), text, state: SentState::Delivered });
                }
                self.send_next(cx, &to);
            }
            Heard::NotMe => self.on_person_gone(cx, to),
        }
    }

    /// The person is not where they were: looks once more, and posts the message if nothing has changed.
    pub(super) fn on_person_gone(&mut self, cx: &mut Context<'_>, to: Recipient) {
        match &to {
            Recipient::Nick(nick) => {
                self.known.remove(nick);
                self.find_person(cx, &to);
            }
            _ => self.fail_first(cx, &to, "the node of the receiver cannot be reached"),
        }
    }

    /// Neither the root of the name nor that of the mailbox has answered: another node may be it by now.
    pub(super) fn on_nobody_answers(&mut self, cx: &mut Context<'_>, to: Recipient) {
        let Some(since) = self.outboxes.get(&to).and_then(|outbox| outbox.since) else { return };
        if cx.now < since + TRY_FOR {
            return self.find_person(cx, &to);
        }
        self.fail_first(cx, &to, &format!("no answer within {} s", cx.now.since(since).as_secs()));
    }

    pub(super) fn on_private_failed(&mut self, cx: &mut Context<'_>, to: Recipient, reason: &str) {
        self.fail_first(cx, &to, reason);
    }

    fn fail_first(&mut self, cx: &mut Context<'_>, to: &Recipient, reason: &str) {
        let Some(outbox) = self.outboxes.get_mut(to) else { return };
        if let Some((id, text)) = outbox.finish_first() {
            let state = SentState::Failed { reason: reason.to_owned() };
            cx.tell(Event::Sent { id, to: to.clone(), text, state });
        }
        self.send_next(cx, to);
    }
}
