//! Mail: a private message for someone who is away waits at the root of their name.
//!
//! n -> … -> root of the nick: Mail { to, letter }              nobody has the name, or cannot be reached
//! root -> n: Done                                              once enough copies have it
//! root -> receiver, if they have the name: MailWaits { nick }
//!
//! receiver -> … -> root of the nick: Claim                     see `claim`; every 30 s
//! root -> receiver: Claimed { HeldWithMail }
//!
//! At the start, and when the root says that there is mail:
//! receiver -> … -> root of the nick: FetchMail { nick, person }
//! root -> receiver: Letters { letters }
//! receiver -> … -> root of the nick: MailShown { nick, person, ids }
//! root -> receiver: Done
//! receiver -> author: Receipt { ids }                          if the author is still there
//!
//! At the start, and every hour while own letters wait, for each nick:
//! author -> … -> root of the nick: WereShown { nick, ids }
//! root -> author: Shown { ids }
//!
//! A letter is for a person: it is not given to someone else who has the name by then.
//! And it is given to them under another nick: at the start they ask in the mailboxes of all nicks that they had,
//! and every 30 s in that of the next one (see `nicks`), of which no root tells them.
//! The receiver remembers which messages were shown, so a letter that comes twice is shown once.
//! And the mailbox remembers it as long as it would have kept the letter, for an author who was away.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Event, MessageId, Recipient, SentState};
use super::payload::Payload;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::Mutant;
use crate::records::age::Age;
use crate::records::mailbox::{Holder, Letter, MAIL_KEPT_FOR, MAIL_MAX};
use crate::records::name::{Nick, Person};
use crate::records::{RecordKey, Statement};
use crate::time::Time;

/// How many letters come at a time.
const LETTERS_AT_ONCE: usize = 50;

/// How many own messages that wait in mailboxes are remembered, to tell when they have been shown.
const POSTED_MAX: usize = 1000;

/// How often a mailbox is asked which of the own letters in it have been shown.
const ASKED_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often it is noted that someone still has their name: it is remembered for 14 days.
pub(super) const NOTED_EVERY: Duration = Duration::from_secs(60 * 60);

/// A private message for someone who is away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// By which name they are known.
    pub to: Nick,
    /// Who they are.
    pub person: Person,
    /// Who wrote it.
    pub from: Nick,
    /// Which message it is.
    pub id: MessageId,
    /// What it says.
    pub text: String,
}

/// "Which letters wait for me?"
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fetch {
    /// In the mailbox of this name.
    pub nick: Nick,
    /// Who asks.
    pub person: Person,
}

/// Letters for the one who asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Letters {
    /// The first ones, in the order in which they came: who wrote each, which it is, and what it says.
    pub letters: Vec<(Nick, MessageId, String)>,
    /// Whether there are more.
    pub more: bool,
}

/// "I have shown these."
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shown {
    /// In the mailbox of this name.
    pub nick: Nick,
    /// Who says so.
    pub person: Person,
    /// Which messages.
    pub ids: Vec<MessageId>,
}

/// "Which of these have been shown?"
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WereShown {
    /// In the mailbox of this name.
    pub nick: Nick,
    /// Which messages.
    pub ids: Vec<MessageId>,
}

/// When the mailboxes are asked next in which own letters wait, and which was asked last if there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asking {
    next: Option<Time>,
    last: Option<Nick>,
}

/// A letter that waits until enough copies have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    to: Nick,
    person: Person,
}

/// An own message that waits in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posted {
    pub(super) to: Recipient,
    pub(super) text: String,
    pub(super) at: Time,
}

impl Chat {
    /// Puts the first message in the outbox into the mailbox of `person`.
    pub(super) fn post(&mut self, cx: &mut Context<'_>, to: Recipient, nick: Nick, person: Person) {
        let Some((id, text)) = self.outboxes.get(&to).and_then(|outbox| outbox.first()) else { return };
        let text = text.to_owned();
        let request = Request { to: nick.clone(), person, from: self.nick.clone(), id, text };
        let number = cx.ask_root(&RecordKey::Mailbox(nick), Payload::Mail(request));
        self.pending.insert(number, Pending::Post(to));
    }

    pub(super) fn on_mail(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Request { to, person, from, id, text }: Request,
    ) {
        let waiting = cx.records.mailbox(&to).map_or(0, |mailbox| mailbox.waiting(person).len());
        let is_known = cx.records.mailbox(&to).is_some_and(|mailbox| mailbox.letter(&id).is_some());
        if MAIL_MAX <= waiting && !is_known {
            let reason = format!("{to} is away, and {MAIL_MAX} messages wait for them already");
            return cx.reply_read(request, Payload::Refused(reason));
        }
        if text.is_empty() || super::TEXT_BYTES_MAX < text.len() {
            return cx.reply_read(request, Payload::Refused(super::text_rule()));
        }
        let acknowledged = Acknowledged { origin: request.origin, id: request.id, to: to.clone(), person };
        let at = cx.records.mailbox(&to).map_or(cx.now, |mailbox| mailbox.next_at(cx.now));
        let statement = Statement::Letter(Letter { id, to: person, text: Some(text), from, at }, Age::NEW);
        let key = RecordKey::Mailbox(to);
        if !cx.records.has_room_for(&key, &statement) {
            return cx.reply_read(request, Payload::Refused(super::NO_ROOM.to_owned()));
        }
        if !is_known {
            cx.records.write(cx.now, &key, statement);
        }
        self.after_write(cx, Then::Mail(acknowledged));
    }

    pub(super) fn on_mail_acknowledged(cx: &mut Context<'_>, mail: Acknowledged) {
        let Acknowledged { origin, id, to, person } = mail;
        cx.chord.reply(cx.now, origin, id, Payload::Done);
        if cx.records.is(Mutant::StrikesLettersOff) {
            let letters = cx.records.mailbox(&to).map(|mailbox| mailbox.waiting(person)).unwrap_or_default();
            let letters: Vec<MessageId> = letters.iter().map(|letter| letter.id).collect();
            letters.iter().for_each(|letter| strike_off(cx, &to, person, letter));
        }
        let holder = cx.records.claims(&to).and_then(|claims| claims.holder(cx.now));
        if let Some(holder) = holder.filter(|claim| claim.person == person).map(|claim| claim.holder) {
            cx.chord.tell(cx.now, holder, Payload::MailWaits(to));
        }
    }

    pub(super) fn on_mail_waits(&mut self, cx: &mut Context<'_>, nick: Nick) {
        if !self.is_ready() || nick != self.nick {
            return;
        }
        match self.mail_under_way(&nick) {
            // The letter may not be among those that are on their way.
            Some(newer) => *newer = true,
            None => self.fetch_mail(cx, nick),
        }
    }

    /// If letters in this mailbox are being fetched or struck off: whether there are more of them.
    fn mail_under_way(&mut self, nick: &Nick) -> Option<&mut bool> {
        self.pending.values_mut().find_map(|pending| match pending {
            Pending::FetchMail(asked, more) | Pending::MailShown(asked, more) if asked == nick => Some(more),
            _ => None,
        })
    }

    pub(super) fn on_posted(&mut self, cx: &mut Context<'_>, to: Recipient) {
        let Some((id, text)) = self.outboxes.get_mut(&to).and_then(super::send::Outbox::finish_first) else {
            return;
        };
        if self.posted.len() == POSTED_MAX {
            self.posted.pop_first();
        }
        self.posted.insert(id, Posted { to: to.clone(), text: text.clone(), at: cx.now });
        self.asking.next.get_or_insert(cx.now + ASKED_EVERY);
        cx.tell(Event::Sent { id, to: to.clone(), text, state: SentState::Stored });
        self.send_next(cx, &to);
    }

    /// The root of a name remembers who has it: when they are away, mail can wait for them.
    /// Returns whether it knew that.
    pub(super) fn note_holder(cx: &mut Context<'_>, nick: &Nick, person: Person) -> bool {
        let known = cx.records.mailbox(nick).and_then(|mailbox| mailbox.holder_told(cx.now));
        let is_noted =
            known.is_some_and(|(known, age)| known.person == person && age < Age::NEW.after(NOTED_EVERY));
        if !is_noted {
            let holder = Holder { at: cx.now.after(known.map(|(known, _)| known.at)), person };
            cx.records.write(cx.now, &RecordKey::Mailbox(nick.clone()), Statement::Holder(holder, Age::NEW));
        }
        is_noted
    }

    /// Asks for the letters to this person in the mailbox of a name that they have or had.
    pub(super) fn fetch_mail(&mut self, cx: &mut Context<'_>, nick: Nick) {
        if self.mail_under_way(&nick).is_some() {
            return;
        }
        let fetch = Payload::FetchMail(Fetch { nick: nick.clone(), person: self.person });
        let id = cx.ask_root(&RecordKey::Mailbox(nick.clone()), fetch);
        self.pending.insert(id, Pending::FetchMail(nick, false));
    }

    /// Asks for what waits under the nicks that the user had before.
    pub(super) fn fetch_former_mail(&mut self, cx: &mut Context<'_>) {
        for nick in self.nicks.former(&self.nick).cloned().collect::<Vec<_>>() {
            self.fetch_mail(cx, nick);
        }
    }

    /// Notes that the user still has their nick, and asks for what has come since under one of the others.
    pub(super) fn mind_nicks(&mut self, cx: &mut Context<'_>) {
        self.nicks.note(cx.now, &self.nick);
        if let Some(nick) = self.nicks.next_former(&self.nick) {
            self.fetch_mail(cx, nick);
        }
    }

    pub(super) fn on_fetch_mail(cx: &mut Context<'_>, request: &chord::Request<Payload>, fetch: &Fetch) {
        let waiting = cx.records.mailbox(&fetch.nick).map(|mailbox| mailbox.waiting(fetch.person));
        let waiting = waiting.unwrap_or_default();
        let more = LETTERS_AT_ONCE < waiting.len();
        let first = waiting.into_iter().take(LETTERS_AT_ONCE);
        let letters =
            first.filter_map(|letter| Some((letter.from.clone(), letter.id, letter.text.clone()?))).collect();
        cx.reply_read(request, Payload::Letters(Letters { letters, more }));
    }

    pub(super) fn on_letters(
        &mut self,
        cx: &mut Context<'_>,
        nick: Nick,
        Letters { letters, more }: Letters,
        newer: bool,
    ) {
        if letters.is_empty() {
            return self.on_mail_dealt_with(cx, nick, newer);
        }
        let ids: Vec<MessageId> = letters.iter().map(|(_, id, _)| *id).collect();
        for (from, id, text) in letters {
            if !self.heard.contains(&id) {
                self.heard.insert(id, ());
                cx.tell(Event::Private { from, text, id, history: true });
            }
            cx.chord.tell(cx.now, id.author, Payload::Receipt(vec![id]));
        }
        let shown = Payload::MailShown(Shown { nick: nick.clone(), person: self.person, ids });
        let id = cx.ask_root(&RecordKey::Mailbox(nick.clone()), shown);
        self.pending.insert(id, Pending::MailShown(nick, more || newer));
    }

    pub(super) fn on_mail_shown(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Shown { nick, person, ids }: Shown,
    ) {
        for id in ids {
            strike_off(cx, &nick, person, &id);
        }
        let (origin, id) = (request.origin, request.id);
        self.after_write(cx, Then::Answer { origin, id, payload: Payload::Done });
    }

    pub(super) fn on_mail_dealt_with(&mut self, cx: &mut Context<'_>, nick: Nick, more: bool) {
        if more {
            self.fetch_mail(cx, nick);
        }
    }

    /// The receiver of own messages that waited has been shown them.
    pub(super) fn on_receipt(&mut self, cx: &mut Context<'_>, ids: Vec<MessageId>) {
        for id in ids {
            if let Some(Posted { to, text, .. }) = self.posted.remove(&id) {
                cx.tell(Event::Sent { id, to, text, state: SentState::Delivered });
            }
        }
    }

    /// Own letters wait since before the start: some may have been shown while nobody was there to be told.
    pub(super) fn ask_after_letters_soon(&mut self, cx: &mut Context<'_>) {
        if !self.posted.is_empty() {
            self.asking.next = Some(cx.now);
            self.ask_after_letters(cx);
        }
    }

    /// Asks the next mailbox, if it is time, which of the own letters in it have been shown.
    pub(super) fn ask_after_letters(&mut self, cx: &mut Context<'_>) {
        if self.asking.next.is_none_or(|next| cx.now < next) {
            return;
        }
        let mut boxes: BTreeMap<&Nick, Vec<MessageId>> = BTreeMap::new();
        for (&id, posted) in &self.posted {
            // Who is named by their id may have had any nick.
            if let Recipient::Nick(nick) = &posted.to {
                boxes.entry(nick).or_default().push(id);
            }
        }
        let last = self.asking.last.take();
        let mut due = boxes.into_iter().filter(|&(nick, _)| last.as_ref().is_none_or(|last| last < nick));
        let first = due.next().map(|(nick, ids)| (nick.clone(), ids));
        if due.next().is_some() {
            self.asking.last = first.as_ref().map(|(nick, _)| nick.clone());
        } else {
            self.asking.next = (!self.posted.is_empty()).then_some(cx.now + ASKED_EVERY);
        }
        if let Some((nick, ids)) = first {
            let key = RecordKey::Mailbox(nick.clone());
            let id = cx.ask_root(&key, Payload::WereShown(WereShown { nick, ids }));
            self.pending.insert(id, Pending::WereShown);
        }
    }

    /// No mailbox has answered: with the next renewal it is asked again.
    pub(super) fn ask_after_letters_again(&mut self, cx: &Context<'_>) {
        self.asking = Asking { next: Some(cx.now), last: None };
    }

    pub(super) fn on_were_shown(
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        WereShown { nick, ids }: &WereShown,
    ) {
        let mailbox = cx.records.mailbox(nick);
        let was_shown = |id: &MessageId| {
            mailbox.and_then(|mailbox| mailbox.letter(id)).is_some_and(|letter| letter.text.is_none())
        };
        let shown = ids.iter().copied().filter(was_shown).collect();
        cx.reply_read(request, Payload::Shown(shown));
    }

    /// Tells the user of messages that have waited so long that no mailbox keeps them any more.
    pub(super) fn tell_of_lost_mail(&mut self, cx: &mut Context<'_>) {
        while let Some(first) =
            self.posted.first_entry().filter(|first| first.get().at + MAIL_KEPT_FOR <= cx.now)
        {
            let (id, Posted { to, text, .. }) = first.remove_entry();
            let reason = format!("it waited for 14 days, and no word has come that {to} was shown it");
            cx.tell(Event::Sent { id, to, text, state: SentState::Failed { reason } });
        }
    }
}

/// A letter to `person` waits no more: only its id is kept.
fn strike_off(cx: &mut Context<'_>, nick: &Nick, person: Person, id: &MessageId) {
    let letter = cx.records.mailbox(nick).and_then(|mailbox| mailbox.letter(id)).cloned();
    if let Some(letter) = letter.filter(|letter| letter.to == person) {
        let struck_off = Statement::Letter(Letter { text: None, ..letter }, Age::NEW);
        cx.records.write(cx.now, &RecordKey::Mailbox(nick.clone()), struck_off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::claim;
    use crate::chord::Message;
    use crate::chord::message::{Answer, Body, Route};
    use crate::machine::{Input, Machine, Output};
    use crate::node::{Command, Node};

    /// The number of the request to the root of some key that is one of these.
    fn asked(outputs: &[Output<Event, Message<Payload>>], is_one: fn(&Payload) -> bool) -> Option<Number> {
        outputs.iter().find_map(|output| match output {
            Output::Send {
                message: Message::Route(Route { id, body: Body::Request(payload), .. }), ..
            } => is_one(payload).then_some(*id),
            _ => None,
        })
    }

    #[test]
    fn a_letter_that_comes_while_others_are_fetched_is_fetched_after_them() {
        let [me, root] =
            ["127.0.0.1:7000", "127.0.0.1:7001"].map(|address| NodeHandle::new(address.parse().unwrap()));
        let now = Time::from_micros(1_800_000_000_000_000);
        let is_roots = |nick: &Nick| {
            let keys = [RecordKey::Name(nick.clone()), RecordKey::Mailbox(nick.clone())];
            keys.iter().all(|key| key.id().in_arc(me.id(), root.id()))
        };
        let nick = (0..).map(|i| format!("alice{i}").parse().unwrap()).find(is_roots).unwrap();
        let mut ring = [me, root];
        ring.sort_unstable();
        let mut node = Node::ideal(nick.clone(), &ring, me, now);
        let mut give = |input| {
            let mut outputs = Vec::new();
            node.handle(now, input, &mut outputs);
            outputs
        };
        let reply = |id, payload| {
            let message = Message::Reply { id, hops: 0, answer: Answer::Payload(payload) };
            Input::Message { from: root, message }
        };
        let is_fetch = |payload: &Payload| matches!(payload, Payload::FetchMail(_));
        let outputs = give(Input::Command(Command::Start { bootstrap: None }));
        let claim = asked(&outputs, |payload| matches!(payload, Payload::Claim(_))).unwrap();
        let fetch = asked(&give(reply(claim, Payload::Claimed(claim::Answer::Held))), is_fetch).unwrap();
        // The answer is under way, and may be older.
        let word = Message::Tell(Payload::MailWaits(nick));
        assert_eq!(asked(&give(Input::Message { from: root, message: word.clone() }), is_fetch), None);
        let none = || Payload::Letters(Letters { letters: Vec::new(), more: false });
        let fetch = asked(&give(reply(fetch, none())), is_fetch).expect("it asks again");
        assert_eq!(asked(&give(reply(fetch, none())), is_fetch), None, "once");
        // The same while it says that it has shown others.
        let fetch = asked(&give(Input::Message { from: root, message: word.clone() }), is_fetch).unwrap();
        let letters =
            vec![("bob".parse().unwrap(), MessageId { author: root, counter: 1 }, "hello".to_owned())];
        let outputs = give(reply(fetch, Payload::Letters(Letters { letters, more: false })));
        let shown = asked(&outputs, |payload| matches!(payload, Payload::MailShown(_))).unwrap();
        assert_eq!(asked(&give(Input::Message { from: root, message: word }), is_fetch), None);
        assert!(asked(&give(reply(shown, Payload::Done)), is_fetch).is_some(), "it asks again");
    }
}
