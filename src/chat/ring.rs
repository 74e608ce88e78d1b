//! `ring`: this node's place in the ring.

use super::ask::About;
use super::command::{Command, Refusal, Words};
use super::event::Event;
use super::{Chat, Context};

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
