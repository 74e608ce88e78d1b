//! `ring`: this node's place in the ring.

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
    let as_root = cx.records.keys().filter(|&(_, id)| cx.chord.is_root(id) == Some(true)).count();
    cx.tell(Event::RingState {
        node: chat.me,
        predecessor: cx.chord.predecessor(),
        successors: cx.chord.successors().to_vec(),
        fingers: cx.chord.fingers().collect(),
        records_as_root: as_root,
        records_as_copy: cx.records.keys().count() - as_root,
    });
    Ok(())
}
