//! `leave`: a person is no longer a member of a channel (item 4 of the assignment).
//!
//! n -> … -> root of the channel: Leave { membership }
//! root -> n: Done
//! root -> each member: MemberChanged

use serde::{Deserialize, Serialize};

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::{Event, MemberChange};
use super::join::Stage;
use super::payload::Payload;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::age::Age;
use crate::records::channel::Membership;
use crate::records::name::{ChannelName, Nick};
use crate::records::{RecordKey, Statement};

pub(super) const COMMAND: Command = Command {
    name: "leave",
    arguments: &[Argument::required("channel", Kind::Channel)],
    about: "Leave a channel: its messages are no longer shown",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let channel = words.channel()?;
    words.end()?;
    chat.leave_channel_if_in(cx, channel)
}

/// Leaves a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which channel.
    pub channel: ChannelName,
    /// What the member states.
    pub membership: Membership,
}

/// A leave that waits until enough copies have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    channel: ChannelName,
    nick: Nick,
    was_member: bool,
}

impl Chat {
    /// Begins to leave a channel, if the user is in it.
    pub(super) fn leave_channel_if_in(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
    ) -> Result<(), Refusal> {
        match self.sessions.get(&channel).map(|session| session.stage) {
            Some(Stage::Joined) => {
                self.leave_channel(cx, channel);
                Ok(())
            }
            Some(Stage::Joining) => Err(Refusal::because(format!("you are still joining {channel}"))),
            Some(Stage::Leaving) => Err(Refusal::because(format!("you are leaving {channel} already"))),
            None => Err(Refusal::because(format!("you are not in {channel}"))),
        }
    }

    pub(super) fn leave_channel(&mut self, cx: &mut Context<'_>, channel: ChannelName) {
        if let Some(session) = self.sessions.get_mut(&channel) {
            session.stage = Stage::Leaving;
        }
        let membership = self.membership(cx, false);
        let request = Payload::Leave(Request { channel: channel.clone(), membership });
        let id = cx.ask_root(&RecordKey::Channel(channel.clone()), request);
        self.pending.insert(id, Pending::Leave(channel));
    }

    pub(super) fn on_leave(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { channel, membership }: Request,
    ) {
        let was_member =
            cx.records.channel(&channel).is_some_and(|known| known.is_member(cx.now, membership.node));
        let nick = membership.nick.clone();
        let key = RecordKey::Channel(channel.clone());
        cx.records.write(cx.now, &key, Statement::Member(membership, Age::NEW));
        let acknowledged = Acknowledged { origin: request.origin, id: request.id, channel, nick, was_member };
        self.after_write(cx, Then::Leave(acknowledged));
    }

    pub(super) fn on_leave_acknowledged(&mut self, cx: &mut Context<'_>, leave: Acknowledged) {
        cx.chord.reply(cx.now, leave.origin, leave.id, Payload::Done);
        if leave.was_member {
            self.tell_members(cx, &leave.channel, &leave.nick, leave.origin, MemberChange::Left);
        }
    }

    pub(super) fn on_left(&mut self, cx: &mut Context<'_>, channel: ChannelName) {
        self.end_session(&channel);
        cx.tell(Event::Left { channel });
    }

    pub(super) fn on_leave_failed(&mut self, cx: &mut Context<'_>, channel: ChannelName, reason: &str) {
        if let Some(session) = self.sessions.get_mut(&channel) {
            session.stage = Stage::Joined;
        }
        cx.error("leave", format!("{channel} was not left: {reason}"));
    }
}
