//! `who`: the members of a channel.
//!
//! n -> … -> root of the channel: Who
//! root -> n: Members

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::Event;
use super::payload::Payload;
use super::{Chat, Context, Pending};
use crate::chord;
use crate::id::NodeHandle;
use crate::records::RecordKey;
use crate::records::name::{ChannelName, Nick};

pub(super) const COMMAND: Command = Command {
    name: "who",
    arguments: &[Argument::optional("channel", Kind::Channel)],
    about: "Show who is in a channel, or in all that you are in",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let channels = match words.optional() {
        Some(word) => vec![Words::from(word).channel()?],
        None => chat.joined().cloned().collect(),
    };
    words.end()?;
    if channels.is_empty() {
        return Err(Refusal::because("you are in no channel; name one"));
    }
    for channel in channels {
        let id = cx.ask_root(&RecordKey::Channel(channel.clone()), Payload::Who(channel.clone()));
        chat.pending.insert(id, Pending::Who(channel));
    }
    Ok(())
}

impl Chat {
    pub(super) fn on_who(
        &self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        channel: &ChannelName,
    ) {
        let members = Chat::members_of(cx, channel);
        cx.reply_read(request, Payload::Members(members));
    }

    pub(super) fn on_members(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        members: Vec<(Nick, NodeHandle)>,
    ) {
        for (nick, node) in &members {
            self.meet(nick, *node);
        }
        cx.tell(Event::Who { channel, members });
    }
}
