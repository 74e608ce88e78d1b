//! `names` and `channels`: what this session knows.

use super::command::{Command, Refusal, Words};
use super::event::Event;
use super::{Chat, Context};

pub(super) const NAMES: Command = Command {
    name: "names",
    arguments: &[],
    about: "Show the people that you have met in this session",
    run: names,
};

pub(super) const CHANNELS: Command =
    Command { name: "channels", arguments: &[], about: "Show the channels that you are in", run: channels };

fn names(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    words.end()?;
    cx.tell(Event::Names { names: chat.known.keys().cloned().collect() });
    Ok(())
}

fn channels(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    words.end()?;
    cx.tell(Event::Channels { channels: chat.joined().cloned().collect() });
    Ok(())
}
