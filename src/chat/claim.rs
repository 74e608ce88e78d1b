//! The name map: a person's nick and where they are (items 1, 7 and 8 of the assignment).
//!
//! n -> … -> root of the nick: Claim { claim }          at the start, and every 30 s
//! root -> n: Claimed { Held, or Taken by someone else }
//! n -> … -> root of the nick: Claim { claim given up }  at exit
//!
//! Where a network was cut, one name may have been claimed in both parts: the earlier claim keeps it.
//! The other person hears so with the next renewal, and takes a free name like it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Event, RingOrigin};
use super::payload::Payload;
use super::{Chat, Context, Pending, Stage, Then};
use crate::chord;
use crate::id::NodeHandle;
use crate::records::age::Age;
use crate::records::claims::Claim;
use crate::records::name::{NAME_CHARS_MAX, Nick, Person};
use crate::records::{RecordKey, Statement};
use crate::time::Time;

/// How many other names are tried before the user is left to choose one.
const SUGGESTIONS: u32 = 8;

/// How long it is tried to join the ring, and how long after a failure it is tried again.
const JOIN_FOR: Duration = Duration::from_secs(5);
const JOIN_AGAIN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Starting {
    origin: RingOrigin,
    since: Time,
    holder: Option<NodeHandle>,
    suggestions: u32,
    /// When it is tried again to join the ring, and through whom.
    again: Option<(Time, NodeHandle)>,
}

impl Starting {
    pub(super) fn next_wakeup(&self) -> Option<Time> {
        self.again.map(|(at, _)| at)
    }
}

/// Someone has claimed the user's name earlier: another one is being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Renaming {
    holder: NodeHandle,
    suggestions: u32,
}

/// Claims, renews or gives up a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which name.
    pub nick: Nick,
    /// Whose it is to be, or no longer.
    pub claim: Claim,
}

/// What the root says to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// The name is the claimant's, or given up, and enough copies know it.
    Held,
    /// It is someone else's.
    Taken(NodeHandle),
    /// As [`Answer::Held`], and letters wait for the claimant.
    HeldWithMail,
}

/// What the root of a name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Found {
    /// The node of the person who has the name, if someone has.
    pub holder: Option<NodeHandle>,
    /// That person, or the one who had it last.
    pub person: Option<Person>,
}

impl Chat {
    /// Begins: the node looks for its ring, and then for the name.
    pub fn start(&mut self, cx: &mut Context<'_>, bootstrap: Option<NodeHandle>) {
        if self.stage != Stage::New {
            return cx.error("node", "the node has been started before");
        }
        let origin = if bootstrap.is_some() { RingOrigin::Joined } else { RingOrigin::Created };
        let since = cx.now;
        self.stage = Stage::Starting(Starting { origin, since, holder: None, suggestions: 0, again: None });
        match bootstrap {
            // It was made in a ring.
            _ if cx.chord.is_member() => self.claim_name(cx),
            Some(via) => cx.chord.join(cx.now, via),
            None => cx.chord.create(cx.now),
        }
    }

    /// The ring was not found: where many start at once, it may be there a moment later.
    pub fn on_ring_not_found(&mut self, cx: &mut Context<'_>, via: NodeHandle) {
        if let Stage::Starting(starting) = &mut self.stage
            && cx.now < starting.since + JOIN_FOR
        {
            starting.again = Some((cx.now + JOIN_AGAIN, via));
            return;
        }
        cx.error("node", format!("{} did not let this node into its ring; try again", via.addr()));
        self.end(cx);
    }

    pub(super) fn join_again_when_due(&mut self, cx: &mut Context<'_>) {
        if let Stage::Starting(starting) = &mut self.stage
            && let Some((_, via)) = starting.again.take_if(|(at, _)| *at <= cx.now)
        {
            cx.chord.join(cx.now, via);
        }
    }

    pub(super) fn claim_name(&mut self, cx: &mut Context<'_>) {
        if let Stage::Starting(starting) = &self.stage {
            let since = starting.since;
            let id = self.send_claim(cx, self.nick.clone(), since, true);
            self.pending.insert(id, Pending::Claim);
        }
    }

    fn send_claim(
        &mut self,
        cx: &mut Context<'_>,
        nick: Nick,
        since: Time,
        held: bool,
    ) -> chord::message::Number {
        let (holder, person, version) = (self.me, self.person, self.new_version(cx.now));
        let claim = Claim { holder, person, version, since, held };
        let last_root = self.name_root.filter(|_| held && nick == self.nick);
        cx.ask_root_again(&RecordKey::Name(nick.clone()), last_root, Payload::Claim(Request { nick, claim }))
    }

    pub(super) fn renew_name(&mut self, cx: &mut Context<'_>) {
        let id = self.send_claim(cx, self.nick.clone(), self.claimed, true);
        self.pending.insert(id, Pending::Claim);
    }

    pub(super) fn release_name(&mut self, cx: &mut Context<'_>) {
        let id = self.send_claim(cx, self.nick.clone(), self.claimed, false);
        self.pending.insert(id, Pending::Release);
    }

    pub(super) fn on_claim(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { nick, claim }: Request,
    ) {
        let holder =
            |cx: &Context<'_>| cx.records.claims(&nick).and_then(|claims| claims.holder(cx.now).cloned());
        // Who is at the holder's address now has come after them: their process is gone, and with it the node.
        let is_another = |other: &Claim| other.person != claim.person && other.holder != claim.holder;
        if let Some(other) = holder(cx).filter(|other| claim.held && is_another(other)) {
            let taken = Answer::Taken(other.holder);
            return cx.reply_read(request, Payload::Claimed(taken));
        }
        let (person, held) = (claim.person, claim.held);
        let waits = cx.records.mailbox(&nick).is_some_and(|mailbox| !mailbox.waiting(person).is_empty());
        let answer = if waits { Answer::HeldWithMail } else { Answer::Held };
        let key = RecordKey::Name(nick.clone());
        let statement = Statement::Claim(claim, Age::NEW);
        if !cx.records.has_room_for(&key, &statement) {
            return cx.reply_read(request, Payload::Refused(super::NO_ROOM.to_owned()));
        }
        let payload = Payload::Claimed(answer);
        let is_renewal = held && cx.records.is_renewal(cx.now, &key, &statement);
        if is_renewal {
            cx.records.refresh(cx.now, &key, statement);
        } else {
            cx.records.write(cx.now, &key, statement);
        }
        // Who gives up what somebody else has, or is late with what they said before that one, had it earlier.
        let last = holder(cx).map_or(person, |holder| holder.person);
        let is_noted = Chat::note_holder(cx, &nick, last);
        if is_renewal && is_noted {
            return cx.reply_read(request, payload);
        }
        self.after_write(cx, Then::Answer { origin: request.origin, id: request.id, payload });
    }

    pub(super) fn on_claimed(&mut self, cx: &mut Context<'_>, from: NodeHandle, answer: Answer) {
        self.name_root = Some(from);
        match (&mut self.stage, answer) {
            (Stage::Starting(starting), Answer::Held | Answer::HeldWithMail) => {
                let ring = starting.origin;
                self.claimed = starting.since;
                self.stage = Stage::Ready;
                self.renewed = cx.now;
                cx.tell(Event::Ready { nick: self.nick.clone(), node: self.me, ring });
                // Some may have come while the root already took the user for being there.
                self.fetch_mail(cx, self.nick.clone());
                self.come_back(cx);
                self.ask_after_letters_soon(cx);
                self.nicks.note(cx.now, &self.nick);
                self.fetch_former_mail(cx);
            }
            (Stage::Starting(starting), Answer::Taken(holder)) => {
                starting.holder = Some(holder);
                self.suggest(cx);
            }
            (Stage::Ready, Answer::Taken(holder)) if self.renaming.is_none() => {
                self.renaming = Some(Renaming { holder, suggestions: 0 });
                self.suggest(cx);
            }
            (_, Answer::Held | Answer::HeldWithMail | Answer::Taken(_)) => {}
        }
        if answer == Answer::HeldWithMail && self.is_ready() {
            self.fetch_mail(cx, self.nick.clone());
        }
    }

    /// Looks for a name like the wanted one that is free.
    fn suggest(&mut self, cx: &mut Context<'_>) {
        let suggestions = match (&mut self.stage, &mut self.renaming) {
            (Stage::Starting(starting), _) => &mut starting.suggestions,
            (_, Some(renaming)) => &mut renaming.suggestions,
            (_, None) => return,
        };
        if *suggestions == SUGGESTIONS {
            return self.refuse_nick(cx, None);
        }
        *suggestions += 1;
        let nick = numbered(&self.nick, *suggestions + 1);
        let id = cx.ask_root(&RecordKey::Name(nick.clone()), Payload::LookUp(nick.clone()));
        self.pending.insert(id, Pending::Suggest(nick));
    }

    pub(super) fn on_suggestion(&mut self, cx: &mut Context<'_>, nick: Nick, found: Found) {
        match found.holder {
            Some(_) => self.suggest(cx),
            None if self.renaming.is_some() => {
                let id = self.send_claim(cx, nick.clone(), cx.now, true);
                self.pending.insert(id, Pending::Rename(nick, cx.now));
            }
            None => self.refuse_nick(cx, Some(nick)),
        }
    }

    /// The free name is the user's from now on, if nobody was faster.
    pub(super) fn on_renamed(&mut self, cx: &mut Context<'_>, nick: Nick, since: Time, answer: Answer) {
        let Some(Renaming { holder, .. }) = self.renaming else { return };
        if matches!(answer, Answer::Taken(_)) || !self.is_ready() {
            return self.suggest(cx);
        }
        self.renaming = None;
        self.release_name(cx);
        let was = std::mem::replace(&mut self.nick, nick.clone());
        self.claimed = since;
        // What was sent to the user by the old name waits there.
        self.fetch_mail(cx, was.clone());
        self.nicks.note(cx.now, &nick);
        cx.tell(Event::Renamed { nick, was, holder });
        // The channels hear of it.
        self.renew(cx);
    }

    pub(super) fn refuse_nick(&mut self, cx: &mut Context<'_>, free: Option<Nick>) {
        if let Some(Renaming { holder, .. }) = self.renaming.take() {
            let (nick, at) = (&self.nick, holder.addr());
            return cx.error("node", format!("the name {nick} was claimed earlier by the node at {at}, and no other was found: others reach that one by it; restart with another --nick"));
        }
        let Stage::Starting(Starting { holder: Some(holder), .. }) = self.stage else { return };
        let (nick, at) = (&self.nick, holder.addr());
        let advice = match free {
            Some(free) => format!("{free} is free: --nick {free}{}", self.data_options),
            None => format!("choose another with --nick NAME{}", self.data_options),
        };
        cx.error("node", format!("the name {nick} is taken by the node at {at}; {advice}"));
        self.leave_ring(cx);
    }

    pub(super) fn on_claim_failed(&mut self, cx: &mut Context<'_>, reason: &str) {
        // A renewal is repeated; a start is not.
        if let Stage::Starting(_) = self.stage {
            cx.error("node", format!("the name {} could not be claimed: {reason}; try again", self.nick));
            self.leave_ring(cx);
        }
    }
}

/// `alice` and 2 make `alice2`; a long name loses its end.
fn numbered(nick: &Nick, number: u32) -> Nick {
    let number = number.to_string();
    let kept: String = nick.as_str().chars().take(NAME_CHARS_MAX - number.len()).collect();
    (kept + &number)
        .parse()
        .expect("a name that is no longer than a name may be, and ends with digits, is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_a_name() {
        assert_eq!(numbered(&"alice".parse().unwrap(), 2).as_str(), "alice2");
        let longest: Nick = "é".repeat(NAME_CHARS_MAX).parse().unwrap();
        assert_eq!(numbered(&longest, 10).as_str(), "é".repeat(NAME_CHARS_MAX - 2) + "10");
    }
}
