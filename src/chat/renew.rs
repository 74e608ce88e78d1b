//! Renew: a member says that it is still there, and up to where it has seen the log; the answer is
//! what it has missed.
//! So a heartbeat is also the repair.
//!
//! n -> … -> root of the channel: Renew { membership, from, seen }   every 30 s, and when a gap is noticed
//! root -> n: Renewed { missed, sum }
//!
//! Of what stands up to the last message seen, the root gives a sum: if that is not the member's, messages
//! have come there late, and are read (see `heal`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::MemberChange;
use super::heal::Compared;
use super::join::Stage;
use super::payload::Payload;
use super::send::Said;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::channel::{Entry, Membership, Place};
use crate::records::lease::{Age, RENEW_EVERY};
use crate::records::name::ChannelName;
use crate::records::{RecordKey, Statement};
use crate::time::Time;

/// How many missed messages come at a time.
const MISSED_MAX: usize = 128;

/// A message that is missed for longer was said while the user was away.
const AWAY: Duration = Duration::from_secs(10);

/// Renews a membership.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which channel.
    pub channel: ChannelName,
    /// What the member states.
    pub membership: Membership,
    /// The place of the last message that the member was shown.
    pub seen: Option<Place>,
    /// The place up to which the member wants none.
    pub from: Option<Place>,
}

/// What a member has missed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// The messages after the last one seen, oldest first.
    pub missed: Vec<Entry>,
    /// Whether there are more.
    pub more: bool,
    /// Up to which place the root has dropped messages.
    pub horizon: Option<Place>,
    /// The messages from what the member wants, or the horizon, up to the last one seen, summed up; see
    /// [`MessageId::sum`](crate::records::channel::MessageId::sum).
    pub sum: u64,
    /// The root's clock.
    pub now: Time,
}

/// What a member knew when it renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    seen: Option<Place>,
    /// The last message that waited for a missing one.
    waiting: Option<Place>,
}

impl Chat {
    /// When leases are renewed.
    pub(super) fn next_renewal(&self) -> Time {
        self.renewed + RENEW_EVERY
    }

    /// Renews the name and all memberships.
    pub(super) fn renew(&mut self, cx: &mut Context<'_>) {
        self.renewed = cx.now;
        self.renew_name(cx);
        for channel in self.joined().cloned().collect::<Vec<_>>() {
            let last_root = self.sessions.get(&channel).and_then(|session| session.root);
            self.renew_membership(cx, &channel, last_root);
        }
    }

    /// Asks the root of a channel, and returns the number of the request.
    fn renew_membership(
        &mut self,
        cx: &mut Context<'_>,
        channel: &ChannelName,
        last_root: Option<NodeHandle>,
    ) -> Option<Number> {
        let membership = self.membership(cx, true);
        let session = self.sessions.get(channel)?;
        let waiting = session.ahead.last_key_value().map(|(&place, _)| place);
        let (seen, from) = (session.seen, session.from);
        let request = Request { channel: channel.clone(), membership, seen, from };
        let key = RecordKey::Channel(channel.clone());
        let id = cx.ask_root_again(&key, last_root, Payload::Renew(request));
        self.pending.insert(id, Pending::Renew(channel.clone(), Asked { seen, waiting }));
        Some(id)
    }

    /// Asks for what is missing before a message that has come.
    pub(super) fn catch_up(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        if self.sessions.get(channel).is_none_or(|session| session.catching_up.is_some()) {
            return;
        }
        let id = self.renew_membership(cx, channel, None);
        if let Some(session) = self.sessions.get_mut(channel) {
            session.catching_up = id;
        }
    }

    pub(super) fn on_renew(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { channel, membership, seen, from }: Request,
    ) {
        let key = RecordKey::Channel(channel.clone());
        let known_as = cx.records.channel(&channel).and_then(|known| known.nick(cx.now, membership.node));
        let is_new = known_as != Some(&membership.nick);
        let nick = membership.nick.clone();
        let statement = Statement::Member(membership, Age::NEW);
        if !cx.records.has_room_for(&key, &statement) {
            return cx.reply_read(request, Payload::Refused(super::NO_ROOM.to_owned()));
        }
        let has_missed =
            cx.records.channel(&channel).is_some_and(|known| known.log.after(seen).next().is_some());
        let changes_nothing = !is_new && !has_missed;
        if changes_nothing {
            cx.records.refresh(cx.now, &key, statement);
        } else {
            cx.records.write(cx.now, &key, statement);
        }
        if is_new {
            // Its lease had ended, or all who knew of it were gone; or it has another name.
            self.tell_members(cx, &channel, &nick, request.origin, MemberChange::Joined);
        }
        let Some(known) = cx.records.channel(&channel) else { return };
        let missed: Vec<Entry> = known.log.after(seen).take(MISSED_MAX).cloned().collect();
        let more = known.log.after(seen).nth(MISSED_MAX).is_some();
        let horizon = known.log.horizon();
        let sum = known.log.sum(from.max(horizon), seen);
        let answer = Answer { missed, more, horizon, sum, now: cx.now };
        self.come_after(cx, &channel, seen);
        let payload = Payload::Renewed(answer);
        if changes_nothing {
            return cx.reply_read(request, payload);
        }
        // What the member is shown, enough copies have.
        self.after_write(cx, Then::AnswerRead { origin: request.origin, id: request.id, payload });
    }

    pub(super) fn on_renewed(
        &mut self,
        cx: &mut Context<'_>,
        (id, from): (Number, NodeHandle),
        channel: ChannelName,
        asked: Asked,
        answer: Answer,
    ) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        session.root = Some(from);
        session.catching_up.take_if(|asked| *asked == id);
        if session.stage != Stage::Joined || session.reading.is_some() {
            return;
        }
        let compared = Compared { sum: answer.sum, horizon: answer.horizon, upto: asked.seen };
        let differs = session.surplus_over(compared) != session.surplus;
        for entry in answer.missed {
            if session.seen < Some(entry.place) {
                session.seen = Some(entry.place);
                let was_away = entry.at + AWAY <= answer.now;
                let said = if was_away { Said::Earlier } else { Said::Now };
                if let Some(said) = session.takes(&entry, said) {
                    super::send::show(cx, channel.clone(), entry, said);
                }
            }
        }
        if answer.more {
            return self.catch_up(cx, &channel);
        }
        if let Some(seen) = asked.seen.filter(|_| differs) {
            return self.read_late(cx, channel, seen, compared);
        }
        // What the root does not have although it was asked later than the rest came, nobody has.
        if let Some(first) = session.ahead.first_entry()
            && Some(*first.key()) <= asked.waiting
        {
            session.seen = session.seen.max(first.get().after);
        }
        self.show_ahead(cx, &channel);
    }

    /// The next message that comes, or the next renewal, asks again.
    pub(super) fn on_renew_failed(&mut self, id: Number, channel: &ChannelName) {
        if let Some(session) = self.sessions.get_mut(channel) {
            session.catching_up.take_if(|asked| *asked == id);
        }
    }
}
