//! `trace`: the way to the root of a channel, a name or an id.

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::{Event, Recipient};
use super::{Chat, Context, Pending};
use crate::chord::trace::Way;
use crate::records::RecordKey;

pub(super) const COMMAND: Command = Command {
    name: "trace",
    arguments: &[
        Argument::required("#channel|nick|id", Kind::Target),
        Argument::optional("--linear", Kind::Switch),
    ],
    about: "Show the way to the node that keeps a channel or a name, by fingers or successor by successor",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let word = words.word()?;
    let linear = words.switch("--linear")?;
    words.end()?;
    let (target, key) = if word.starts_with('#') {
        let channel = Words::from(word).channel()?;
        (channel.to_string(), RecordKey::Channel(channel).id())
    } else {
        match Words::from(word).person()? {
            Recipient::Nick(nick) => (nick.to_string(), RecordKey::Name(nick).id()),
            Recipient::Node(prefix) => (prefix.to_string(), prefix.start()),
            Recipient::Channel(_) => return Err(Refusal::Usage),
        }
    };
    let id = cx.chord.trace(cx.now, key, linear);
    chat.pending.insert(id, Pending::Trace(target));
    Ok(())
}

pub(super) fn show(cx: &mut Context<'_>, target: String, way: Way) {
    let root = way.end.map_err(|dead_end| dead_end.to_string());
    cx.tell(Event::Trace { target, key: way.key, hops: way.hops, root, linear: way.linear });
}
