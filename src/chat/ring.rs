//! `ring`: this node's place in the ring, and what changes there.

use super::ask::About;
use super::command::{Command, Refusal, Words};
use super::event::{Direction, Event, RingChange};
use super::{Chat, Context};
use crate::id::NodeHandle;
use crate::records::mailbox::Mailbox;
use crate::records::name::Nick;
use crate::records::{Migrated, RecordKey};

pub(super) const COMMAND: Command = Command {
    name: "ring",
    arguments: &[],
    about: "Show this node's id, its neighbours and fingers, and how many records it keeps",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    words.end()?;
    let About { node, predecessor, successors, fingers, records_as_root, records_as_copy, .. } =
        chat.about(cx);
    cx.tell(Event::RingState { node, predecessor, successors, fingers, records_as_root, records_as_copy });
    Ok(())
}

impl Chat {
    /// Tells the user what records have moved.
    pub fn on_migrated(&self, cx: &mut Context<'_>, migrated: Migrated) {
        let (kind, name) = match migrated.key {
            RecordKey::Channel(channel) => ("channel", channel.into()),
            // That nobody has the name any more is of no interest to people.
            RecordKey::Name(nick) if !is_held(cx, &nick) => return,
            RecordKey::Name(nick) => ("name", nick.into()),
            RecordKey::Mailbox(nick) if !has_mail(cx, &nick) => return,
            RecordKey::Mailbox(nick) => ("mailbox", nick.into()),
            // They are too many to tell of each.
            RecordKey::Value(_) => return,
        };
        let direction = if migrated.incoming { Direction::In } else { Direction::Out };
        cx.tell(Event::Migrated { kind, name, direction, peer: migrated.peer, why: migrated.why });
    }

    /// Tells the user how the ring around this node has changed.
    pub fn on_ring_change(&mut self, cx: &mut Context<'_>, change: RingChange, peer: NodeHandle) {
        cx.tell(Event::Ring { change, peer });
        match change {
            RingChange::Alone => self.was_alone = true,
            // Only now others are asked: who is alone is the root of everything.
            RingChange::Predecessor if std::mem::take(&mut self.was_alone) => self.on_return(cx),
            _ => {}
        }
    }
}

fn has_mail(cx: &Context<'_>, nick: &Nick) -> bool {
    cx.records.mailbox(nick).is_some_and(Mailbox::has_mail)
}

fn is_held(cx: &Context<'_>, nick: &Nick) -> bool {
    cx.records.claims(nick).is_some_and(|claims| claims.holder(cx.now).is_some())
}
