//! Heal: a record that was two, in the two parts of a network that was cut, is one again.
//!
//! root of the channel -> each member: Healed { key, members, was_cut }
//! root of the name -> who claimed it later: Healed { key }
//!
//! A root that has just become it may as well learn what the root before it wrote: then nobody can tell whether
//! the network was cut, and a member sees it by what comes late.
//! A member then renews (see `renew`), and reads what the other part has said; who has lost the name
//! renews it and hears so (see `claim`).
//! Should nobody tell a member, its next renewal shows it: the root's sum of the messages is another one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::history::Purpose;
use super::join::{Session, Stage};
use super::payload::Payload;
use super::send::Said;
use super::{Chat, Context, Pending, Then};
use crate::id::NodeHandle;
use crate::records::RecordKey;
use crate::records::channel::{Entry, LOG_MAX, MessageId, Place};
use crate::records::name::{ChannelName, Nick};
use crate::time::Time;

/// How long a channel that heals in several steps is told of once.
const TOLD_AGAIN: Duration = Duration::from_secs(10);

/// How many members are listed.
const MEMBERS_MAX: usize = 128;

/// What the root of a record that was two tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Healed {
    /// Which record.
    pub key: RecordKey,
    /// Everyone who is in the channel, unless they are too many to list.
    pub members: Vec<Nick>,
    /// Whether the record certainly was two; otherwise a root that has just become it has learnt some of what the
    /// one before it wrote, or what another did meanwhile.
    pub was_cut: bool,
}

/// What a root has of a channel's messages, as far as it is compared with what a member was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Compared {
    /// The sum of its messages.
    pub(super) sum: u64,
    /// They begin after this place,
    pub(super) horizon: Option<Place>,
    /// and end with this one.
    pub(super) upto: Option<Place>,
}

impl Session {
    /// By how much the sum of the messages shown is greater than the root's; 0 if they are the same.
    pub(super) fn surplus_over(&self, root: Compared) -> u64 {
        let shown = self.shown.sum(self.from.max(root.horizon), root.upto);
        shown.wrapping_sub(root.sum)
    }

    /// Takes what was read because the root has other messages; returns those that were not shown, and how
    /// each is to be shown.
    ///
    /// Who was read may know less than who was compared with, if the root has changed in between: so the
    /// surplus is over what was read.
    fn takes_all(&mut self, read: VecDeque<Entry>, compared: Compared) -> Vec<(Entry, Said)> {
        let (mut read_ids, mut late) = (Vec::new(), Vec::new());
        for entry in read {
            read_ids.push((entry.place, entry.id));
            late.extend(self.takes(&entry, Said::Earlier).map(|said| (entry, said)));
        }
        let is_compared =
            |place: Place| self.from.max(compared.horizon) < Some(place) && Some(place) <= compared.upto;
        let ids = read_ids.into_iter().filter(|&(place, _)| is_compared(place)).map(|(_, id)| id);
        self.surplus = self.surplus_over(Compared { sum: MessageId::sum(ids), ..compared });
        late
    }
}

impl Chat {
    /// This root has learnt what another has written, certainly meanwhile or maybe before it: it tells whom it
    /// concerns, once enough copies know it.
    pub fn on_records_healed(&mut self, cx: &Context<'_>, healed: BTreeMap<RecordKey, bool>) {
        for (key, was_cut) in healed {
            self.after_write(cx, Then::TellHealed { key, was_cut });
        }
    }

    pub(super) fn tell_healed(cx: &mut Context<'_>, key: RecordKey, was_cut: bool) {
        let mut members = Vec::new();
        let concerned: Vec<NodeHandle> = match &key {
            RecordKey::Channel(channel) => {
                let (nicks, nodes): (Vec<_>, Vec<_>) = Chat::members_of(cx, channel).into_iter().unzip();
                if was_cut && nicks.len() <= MEMBERS_MAX {
                    members = nicks;
                    members.dedup();
                }
                nodes
            }
            RecordKey::Name(nick) => match cx.records.claims(nick) {
                Some(claims) => claims.losers(cx.now).map(|claim| claim.holder).collect(),
                None => Vec::new(),
            },
            RecordKey::Mailbox(_) | RecordKey::Value(_) => Vec::new(),
        };
        for node in concerned {
            let healed = Healed { key: key.clone(), members: members.clone(), was_cut };
            cx.chord.tell(cx.now, node, Payload::Healed(healed));
        }
    }

    pub(super) fn on_healed(&mut self, cx: &mut Context<'_>, healed: Healed) {
        match healed.key {
            RecordKey::Channel(channel) => {
                let session = self.sessions.get_mut(&channel);
                if let Some(session) = session.filter(|session| session.stage == Stage::Joined) {
                    // An answer that is under way tells of the time before.
                    session.asks_again |= session.catching_up.is_some();
                    if healed.was_cut {
                        self.tell_user_of_healing(cx, &channel, healed.members);
                        self.catch_up_after_absence(cx, &channel);
                    } else {
                        self.catch_up(cx, &channel);
                    }
                }
            }
            RecordKey::Name(nick) => {
                let is_asking = self.pending.values().any(|pending| *pending == Pending::Claim);
                if nick == self.nick && self.is_ready() && !is_asking {
                    self.renew_name(cx);
                }
            }
            // A confused peer: nobody is told of mailboxes and values.
            RecordKey::Mailbox(_) | RecordKey::Value(_) => {}
        }
    }

    pub(super) fn tell_user_of_healing(
        &mut self,
        cx: &mut Context<'_>,
        channel: &ChannelName,
        members: Vec<Nick>,
    ) {
        let Some(session) = self.sessions.get_mut(channel) else { return };
        let was_told = |told: Time| cx.now < told + TOLD_AGAIN;
        if session.healed.is_none_or(|told| !was_told(told)) {
            session.healed = Some(cx.now);
            cx.tell(Event::Healed { channel: channel.clone(), members });
        }
    }

    /// Reads all messages up to `seen` again: the root has others than were shown.
    pub(super) fn read_late(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        seen: Place,
        compared: Compared,
    ) {
        self.read_up_to(cx, channel, seen, LOG_MAX, Purpose::Compared(compared));
    }

    /// Shows those messages that were not: the root has learnt them after later ones.
    pub(super) fn show_late(
        &mut self,
        cx: &mut Context<'_>,
        channel: ChannelName,
        entries: VecDeque<Entry>,
        compared: Compared,
    ) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let late = session.takes_all(entries, compared);
        if !late.is_empty() {
            self.tell_user_of_healing(cx, &channel, Vec::new());
        }
        for (entry, said) in late {
            super::send::show(cx, channel.clone(), entry, said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry {
        let root = NodeHandle::new(([127, 0, 0, 1], 7000).into());
        let (place, id) = (Place { epoch: 1, root, seq }, MessageId { author: root, counter: seq });
        Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at: Time::default() }
    }

    fn root_with(seqs: std::ops::RangeInclusive<u64>) -> Compared {
        let sum = MessageId::sum(seqs.map(|seq| entry(seq).id));
        Compared { sum, horizon: None, upto: Some(entry(9).place) }
    }

    #[test]
    fn what_another_root_could_not_tell_is_missed_with_the_next_renewal() {
        let mut session = Session::default();
        assert_eq!(session.takes_all((1..=3).map(entry).collect(), root_with(1..=3)).len(), 3);
        let late = session.takes_all((1..=4).map(entry).collect(), root_with(1..=6));
        assert_eq!(late, [(entry(4), Said::Earlier)]);
        assert_ne!(session.surplus_over(root_with(1..=6)), session.surplus, "5 and 6 are missing");
        assert_eq!(session.takes_all((1..=6).map(entry).collect(), root_with(1..=6)).len(), 2);
        assert_eq!(session.surplus_over(root_with(1..=6)), session.surplus);
    }

    #[test]
    fn what_was_shown_and_the_root_does_not_have_is_looked_for_once() {
        let mut session = Session::default();
        assert_eq!(session.takes_all((1..=5).map(entry).collect(), root_with(1..=5)).len(), 5);
        assert_ne!(session.surplus_over(root_with(1..=4)), session.surplus);
        assert_eq!(session.takes_all((1..=4).map(entry).collect(), root_with(1..=4)), []);
        assert_eq!(session.surplus_over(root_with(1..=4)), session.surplus);
    }
}
