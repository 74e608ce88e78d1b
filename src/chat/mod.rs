//! The application: people, channels and what they say to one another.
//!
//! One file is one command, with both sides of its conversation: the request, what the root does,
//! and what the members see.

pub mod ask;
mod claim;
pub mod command;
pub mod event;
mod exit;
mod heal;
mod help;
pub mod history;
pub(crate) mod join;
pub(crate) mod leave;
mod mail;
mod msg;
mod names;
mod nicks;
pub mod payload;
mod recent;
mod renew;
pub mod restore;
mod ring;
mod send;
pub mod survey;
mod trace;
pub(crate) mod value;
mod who;
mod whois;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::event::Event;
use self::payload::Payload;
use crate::chord::message::Number;
use crate::chord::{Chord, Failure, Request, trace::Way};
use crate::id::NodeHandle;
pub use crate::records::channel::TEXT_BYTES_MAX;
use crate::records::channel::{MessageId, Place};
use crate::records::name::{ChannelName, Nick, Person};
use crate::records::value::ValueKey;
use crate::records::{RecordKey, Records};
use crate::time::Time;

/// What a peer is told whose message is empty or too long.
fn text_rule() -> String {
    format!("a message has 1 to {TEXT_BYTES_MAX} bytes")
}

/// What is answered to a statement for which there is no room.
const NO_ROOM: &str = "there is no room for more, neither in this channel or name nor on its node";

/// How many channels one person may be in.
const CHANNELS_MAX: usize = 256;

/// How many nicks are remembered.
const KNOWN_MAX: usize = 10_000;

/// How long the node of a nick is remembered, so that not every private message looks it up.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// How often a channel's root looks for members whose lease has ended.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// One person's chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chat {
    nick: Nick,
    person: Person,
    /// What the user had before, too.
    nicks: nicks::Nicks,
    /// What is said on the command line, besides the nick, to be the same person again.
    data_options: String,
    me: NodeHandle,
    last_version: u64,
    stage: Stage,
    sessions: BTreeMap<ChannelName, join::Session>,
    /// What was shown of the channels that the user has left, and after which place it began: who comes back
    /// is shown neither that again nor what stands before.
    shown_before: BTreeMap<ChannelName, (recent::Recent<Place>, Option<Place>)>,
    outboxes: BTreeMap<event::Recipient, send::Outbox>,
    /// What is done when a request is answered.
    pending: BTreeMap<Number, Pending>,
    /// What is done when a statement of this root is acknowledged, by its revision.
    writes: VecDeque<Write>,
    /// The terms in which this root gives out places.
    terms: BTreeMap<ChannelName, send::Term>,
    /// Where the user's last message to a channel stands: the next one comes after it.
    stored: BTreeMap<ChannelName, Place>,
    /// How many messages who joins a channel is shown.
    history: usize,
    /// Whether the node has lost all others, and nobody has come since.
    was_alone: bool,
    known: BTreeMap<Nick, Known>,
    /// Which private messages were shown last: one whose answer was lost comes again.
    heard: recent::Recent<()>,
    /// Own messages that wait in mailboxes, the oldest first.
    posted: BTreeMap<MessageId, mail::Posted>,
    asking: mail::Asking,
    /// When the name was claimed first.
    claimed: Time,
    /// The search for another name, when someone turns out to have claimed this one earlier.
    renaming: Option<claim::Renaming>,
    renewed: Time,
    /// Who was the root of the user's name last.
    name_root: Option<NodeHandle>,
    expired: Time,
    /// For whoever looks at the ring.
    sent_of_late: survey::SentOfLate,
    /// If there is a disk: what is on it.
    kept: Option<restore::Kept>,
    /// What a former self kept there, until the name is the user's.
    former: Option<restore::Former>,
}

/// How far a chat has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Has not begun.
    New,
    /// Looks for the ring, then for the name.
    Starting(claim::Starting),
    Ready,
    Leaving(exit::Leaving),
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    node: NodeHandle,
    /// When its name was looked up, if it was.
    looked_up: Option<Time>,
}

/// What an own request is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pending {
    Claim,
    Suggest(Nick),
    /// Another name for the user, and since when it is claimed.
    Rename(Nick, Time),
    Release,
    Join(ChannelName),
    Leave(ChannelName),
    Renew(ChannelName, renew::Asked),
    Send(ChannelName),
    Who(ChannelName),
    Whois(Nick),
    LookUp(event::Recipient),
    Private(event::Recipient),
    FindNode(event::Recipient),
    Post(event::Recipient),
    /// In the mailbox of a name, and whether letters have come since.
    FetchMail(Nick, bool),
    /// In the mailbox of a name, and whether there are more letters.
    MailShown(Nick, bool),
    /// Own letters, in the mailbox of a name.
    WereShown,
    History(history::Past),
    Trace(String),
    Put(ValueKey),
    Del(ValueKey),
    /// The value, and the way on which its root was found, if the user wants to see it.
    Get(ValueKey, Vec<(NodeHandle, Duration)>),
    PathTo(ValueKey),
    /// What a program asks.
    Ask(ask::Ticket),
}

/// What is done once a statement is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Write {
    revision: u64,
    then: Then,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    Answer {
        origin: NodeHandle,
        id: Number,
        payload: Payload,
    },
    /// A repeat of the request changes nothing more: the answer, which may be large, is not kept.
    AnswerRead {
        origin: NodeHandle,
        id: Number,
        payload: Payload,
    },
    Join(join::Acknowledged),
    Leave(leave::Acknowledged),
    Renew(renew::Acknowledged),
    Past(history::Acknowledged),
    Send(send::Acknowledged),
    Mail(mail::Acknowledged),
    /// Members whom this root did not know until now are shown how far the channel is: up to `last`.
    CatchUp {
        channel: ChannelName,
        last: Place,
        members: BTreeSet<NodeHandle>,
    },
    /// Who is concerned hears that this record was two, certainly or maybe.
    TellHealed {
        key: RecordKey,
        was_cut: bool,
    },
}

/// What a chat works with: the rest of its node.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Time,
    /// The ring.
    pub chord: &'a mut Chord<Payload>,
    /// What this node keeps.
    pub records: &'a mut Records,
    /// What the user is told.
    pub events: &'a mut Vec<Event>,
}

impl Context<'_> {
    fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    fn error(&mut self, command: &str, message: impl Into<String>) {
        self.tell(Event::Error { command: command.to_owned(), message: message.into() });
    }

    /// Answers a request that changed nothing.
    fn reply_read(&mut self, request: &Request<Payload>, payload: Payload) {
        self.chord.reply_read(self.now, request.origin, request.id, payload);
    }

    fn reply(&mut self, request: &Request<Payload>, payload: Payload) {
        self.chord.reply(self.now, request.origin, request.id, payload);
    }

    /// Asks the root of a record.
    fn ask_root(&mut self, key: &RecordKey, payload: Payload) -> Number {
        self.ask_root_again(key, None, payload)
    }

    /// The same for what nobody waits for, where it is known who was the root last.
    fn ask_root_again(&mut self, key: &RecordKey, last: Option<NodeHandle>, payload: Payload) -> Number {
        self.chord.request_by_hint(self.now, key.id(), last, payload)
    }
}

impl Chat {
    /// The chat of `nick` on the node `me`, which begins at `now`.
    pub fn new(nick: Nick, me: NodeHandle, now: Time) -> Chat {
        Chat {
            nick,
            person: Person::of_node(me.id()),
            nicks: nicks::Nicks::default(),
            data_options: String::new(),
            me,
            last_version: now.as_micros(),
            stage: Stage::New,
            sessions: BTreeMap::new(),
            shown_before: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            pending: BTreeMap::new(),
            writes: VecDeque::new(),
            terms: BTreeMap::new(),
            stored: BTreeMap::new(),
            history: history::HISTORY,
            was_alone: false,
            known: BTreeMap::new(),
            heard: recent::Recent::default(),
            posted: BTreeMap::new(),
            asking: mail::Asking::default(),
            claimed: now,
            renaming: None,
            renewed: now,
            name_root: None,
            expired: now,
            kept: None,
            sent_of_late: survey::SentOfLate::default(),
            former: None,
        }
    }

    /// Shows whoever joins a channel that many messages from before, at most [`history::HISTORY_MAX`].
    pub fn set_history(&mut self, history: usize) {
        self.history = history.min(history::HISTORY_MAX);
    }

    /// The user is this person, who may have been here before: letters to them are theirs.
    pub fn set_person(&mut self, person: Person) {
        self.person = person;
    }

    /// With these options, which begin with a blank, whoever starts again with another nick is the same person.
    pub fn set_data_options(&mut self, options: String) {
        self.data_options = options;
    }

    /// Who the user is.
    pub fn person(&self) -> Person {
        self.person
    }

    /// How many own messages wait in mailboxes, as far as the user knows.
    pub fn letters(&self) -> usize {
        self.posted.len()
    }

    /// The user's nick.
    pub fn nick(&self) -> &Nick {
        &self.nick
    }

    /// Whether the chat has ended, and the node may stop.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// A version for a statement: newer than all before it, also those of a former self.
    fn new_version(&mut self, now: Time) -> u64 {
        self.last_version = now.as_micros().max(self.last_version + 1);
        self.last_version
    }

    /// Carries out a line that the user has typed.
    pub fn on_line(&mut self, cx: &mut Context<'_>, line: &str) {
        let Some((name, command, mut words)) = command::read(line) else { return };
        let Some(command) = command else {
            return cx.error(name, format!("there is no command {name:?}; help lists them"));
        };
        if self.stage != Stage::Ready {
            return cx.error(command.name, "the node has not joined the ring, or is leaving it");
        }
        if let Err(refusal) = (command.run)(self, cx, &mut words) {
            cx.error(command.name, refusal.describe(command));
        }
    }

    /// This node has become a member of the ring.
    pub fn on_joined(&mut self, cx: &mut Context<'_>) {
        self.claim_name(cx);
    }

    /// A request has come to this node, as the root of its key or as itself.
    pub fn on_request(&mut self, cx: &mut Context<'_>, request: Request<Payload>) {
        match request.payload {
            Payload::Claim(ref claim) => self.on_claim(cx, &request, claim.clone()),
            Payload::LookUp(ref nick) => self.on_look_up(cx, &request, nick),
            Payload::Private(ref private) => self.on_private(cx, &request, private.clone()),
            Payload::FindNode(prefix) => self.on_find_node(cx, &request, prefix),
            Payload::Join(ref join) => self.on_join(cx, &request, join.clone()),
            Payload::Leave(ref leave) => self.on_leave(cx, &request, leave.clone()),
            Payload::Send(ref send) => self.on_send(cx, &request, send.clone()),
            Payload::Renew(ref renew) => self.on_renew(cx, &request, renew.clone()),
            Payload::Who(ref channel) => self.on_who(cx, &request, channel),
            Payload::History(ref history) => self.on_history(cx, &request, history),
            Payload::Mail(ref mail) => self.on_mail(cx, &request, mail.clone()),
            Payload::FetchMail(ref fetch) => Chat::on_fetch_mail(cx, &request, fetch),
            Payload::WereShown(ref asked) => Chat::on_were_shown(cx, &request, asked),
            Payload::MailShown(ref shown) => self.on_mail_shown(cx, &request, shown.clone()),
            Payload::Put(ref put) => self.on_put(cx, &request, put.clone()),
            Payload::Get(ref key) => self.on_get(cx, &request, key),
            Payload::Survey { known } => self.on_survey(cx, &request, known),
            // A confused peer: these are no requests.
            _ => {}
        }
    }

    /// A node has told this one something that needs no answer.
    pub fn on_told(&mut self, cx: &mut Context<'_>, payload: Payload) {
        match payload {
            Payload::Delivery(delivery) => self.on_delivery(cx, delivery),
            Payload::MemberChanged(changed) => self.on_member_changed(cx, changed),
            Payload::Healed(healed) => self.on_healed(cx, healed),
            Payload::MailWaits(nick) => self.on_mail_waits(cx, nick),
            Payload::Receipt(ids) => self.on_receipt(cx, ids),
            // A confused peer: these want an answer, or are one.
            _ => {}
        }
    }

    /// Whether the request `id` is this chat's, and has not been answered.
    pub fn waits_for(&self, id: Number) -> bool {
        self.pending.contains_key(&id)
    }

    /// An own request has been answered.
    pub fn on_reply(&mut self, cx: &mut Context<'_>, id: Number, from: NodeHandle, payload: Payload) {
        let Some(pending) = self.pending.remove(&id) else { return };
        match (pending, payload) {
            (Pending::Claim, Payload::Claimed(answer)) => self.on_claimed(cx, from, answer),
            (Pending::Suggest(nick), Payload::Found(found)) => self.on_suggestion(cx, nick, found),
            (Pending::Rename(nick, since), Payload::Claimed(answer)) => {
                self.on_renamed(cx, nick, since, answer);
            }
            (Pending::Join(channel), Payload::Joined(answer)) => {
                self.on_joined_channel(cx, from, channel, answer);
            }
            (Pending::Leave(channel), Payload::Done) => self.on_left(cx, channel),
            (Pending::Renew(channel, asked), Payload::Renewed(answer)) => {
                self.on_renewed(cx, (id, from), channel, asked, answer);
            }
            (Pending::Send(channel), Payload::Stored(place)) => self.on_stored(cx, channel, place),
            (Pending::Who(channel), Payload::Members(members)) => self.on_members(cx, channel, members),
            (Pending::Whois(nick), Payload::Found(found)) => self.on_whois(cx, nick, found, from),
            (Pending::LookUp(to), Payload::Found(found)) => self.on_looked_up(cx, to, found),
            (Pending::FindNode(to), Payload::NodeFound(found)) => self.on_node_found(cx, to, found),
            (Pending::Private(to), Payload::PrivateHeard(heard)) => self.on_private_heard(cx, to, heard),
            (Pending::History(past), Payload::Past(answer)) => self.on_past(cx, id, past, answer),
            (Pending::Post(to), Payload::Done) => self.on_posted(cx, to),
            (Pending::FetchMail(nick, newer), Payload::Letters(letters)) => {
                self.on_letters(cx, nick, letters, newer);
            }
            (Pending::WereShown, Payload::Shown(ids)) => self.on_receipt(cx, ids),
            (Pending::MailShown(nick, more), Payload::Done) => self.on_mail_dealt_with(cx, nick, more),
            (Pending::Put(key), Payload::Wrote { was_there }) => {
                cx.tell(Event::Written { key, deleted: false, was_there, root: from });
            }
            (Pending::Del(key), Payload::Wrote { was_there }) => {
                cx.tell(Event::Written { key, deleted: true, was_there, root: from });
            }
            (Pending::Get(key, path), Payload::Value(value)) => {
                cx.tell(Event::Value { key, value, root: from, path });
            }
            (Pending::Ask(ticket), payload) => Chat::on_ask_answered(cx, ticket, from, payload),
            (Pending::Release, _) => {}
            (pending, Payload::Refused(reason)) => self.on_refused(cx, id, pending, reason),
            (pending, _) => {
                self.on_refused(cx, id, pending, format!("{from} gave an answer that does not fit"));
            }
        }
    }

    /// An own request will not be answered.
    pub fn on_failed(&mut self, cx: &mut Context<'_>, id: Number, why: Failure) {
        let Some(pending) = self.pending.remove(&id) else { return };
        let reason = match why {
            Failure::NoAnswer => "no answer within 5 s".to_owned(),
            Failure::Unreachable => "the node cannot be reached".to_owned(),
            Failure::TooMany => "too many requests wait for an answer".to_owned(),
        };
        match (pending, why) {
            (Pending::Private(to), Failure::Unreachable | Failure::NoAnswer) => self.on_person_gone(cx, to),
            (Pending::LookUp(to) | Pending::FindNode(to) | Pending::Post(to), Failure::NoAnswer) => {
                self.on_nobody_answers(cx, to);
            }
            (Pending::Ask(ticket), why) => ask::answer(cx, ticket, ask::Answer::Failed(why)),
            // The answer may have been lost, and not the question.
            (Pending::Send(channel), Failure::NoAnswer) => {
                self.on_send_failed(cx, channel, &format!("{reason}; it may be said all the same"));
            }
            (Pending::Renew(channel, _), Failure::NoAnswer) => self.on_renew_unanswered(cx, id, &channel),
            (pending, _) => self.on_refused(cx, id, pending, reason),
        }
    }

    fn on_refused(&mut self, cx: &mut Context<'_>, id: Number, pending: Pending, reason: String) {
        match pending {
            Pending::Claim => self.on_claim_failed(cx, &reason),
            Pending::Suggest(_) | Pending::Rename(..) => self.refuse_nick(cx, None),
            Pending::Join(channel) => self.on_join_failed(cx, channel, &reason),
            Pending::Leave(channel) => self.on_leave_failed(cx, channel, &reason),
            Pending::Send(channel) => self.on_send_failed(cx, channel, &reason),
            Pending::Who(channel) => cx.error("who", format!("{channel}: {reason}")),
            Pending::Whois(nick) => cx.error("whois", format!("{nick}: {reason}")),
            Pending::Put(key) => cx.error("put", format!("{key}: {reason}")),
            Pending::Del(key) => cx.error("del", format!("{key}: {reason}")),
            Pending::Get(key, _) | Pending::PathTo(key) => cx.error("get", format!("{key}: {reason}")),
            Pending::LookUp(to) | Pending::Private(to) | Pending::FindNode(to) | Pending::Post(to) => {
                self.on_private_failed(cx, to, &reason);
            }
            Pending::Renew(channel, _) => self.on_renew_failed(id, &channel),
            Pending::History(past) => self.on_past_failed(cx, id, past, &reason),
            // With the next renewal the root says again that there is mail.
            Pending::FetchMail(..) | Pending::MailShown(..) => {}
            Pending::WereShown => self.ask_after_letters_again(cx),
            Pending::Release | Pending::Trace(_) | Pending::Ask(_) => {}
        }
    }

    /// The way to a key has been found, or not.
    pub fn on_traced(&mut self, cx: &mut Context<'_>, id: Number, way: Way) {
        match self.pending.remove(&id) {
            Some(Pending::Trace(target)) => trace::show(cx, target, way),
            Some(Pending::PathTo(key)) => self.ask_for_value(cx, key, way.hops),
            Some(Pending::Ask(ticket)) => ask::answer(cx, ticket, ask::Answer::Way(Box::new(way))),
            _ => {}
        }
    }

    /// Does what waited until enough copies have it.
    pub fn finish_writes(&mut self, cx: &mut Context<'_>) {
        while let Some(write) = self.writes.pop_front_if(|write| cx.records.is_acknowledged(write.revision)) {
            match write.then {
                Then::Answer { origin, id, payload } => cx.chord.reply(cx.now, origin, id, payload),
                Then::AnswerRead { origin, id, payload } => {
                    cx.chord.reply_read(cx.now, origin, id, payload);
                }
                Then::Join(join) => self.on_join_acknowledged(cx, join),
                Then::Leave(leave) => self.on_leave_acknowledged(cx, leave),
                Then::Renew(renewal) => Chat::on_renew_acknowledged(cx, renewal),
                Then::Past(past) => Chat::on_past_acknowledged(cx, past),
                Then::Send(send) => self.on_send_acknowledged(cx, send),
                Then::Mail(mail) => Chat::on_mail_acknowledged(cx, mail),
                Then::CatchUp { channel, last, members } => Chat::show_again(cx, channel, last, &members),
                Then::TellHealed { key, was_cut } => Chat::tell_healed(cx, key, was_cut),
            }
        }
        self.go_on_leaving(cx);
    }

    /// Members whom this root may have passed over, or the root before it, hear how far their channel is.
    pub fn catch_up_members(
        &mut self,
        cx: &Context<'_>,
        behind: BTreeMap<ChannelName, BTreeSet<NodeHandle>>,
    ) {
        for (channel, members) in behind {
            let last = cx.records.channel(&channel).and_then(|known| known.log.last());
            if let Some(last) = last {
                self.after_write(cx, Then::CatchUp { channel, last, members });
            }
        }
    }

    /// Remembers what is done once all that has been merged so far is acknowledged.
    fn after_write(&mut self, cx: &Context<'_>, then: Then) {
        self.writes.push_back(Write { revision: cx.records.newest_write(), then });
    }

    /// Does what is due.
    pub fn on_wakeup(&mut self, cx: &mut Context<'_>) {
        self.join_again_when_due(cx);
        if matches!(self.stage, Stage::Ready) && self.next_renewal() <= cx.now {
            self.renew(cx);
            self.mind_nicks(cx);
            self.ask_after_letters(cx);
            self.tell_of_lost_mail(cx);
            self.try_to_return(cx);
        }
        if self.expired + EXPIRE_EVERY <= cx.now {
            self.tell_of_lost_members(cx);
        }
    }

    /// When [`Chat::on_wakeup`] is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        match &self.stage {
            Stage::New | Stage::Over => None,
            Stage::Starting(starting) => {
                let expiry = self.expired + EXPIRE_EVERY;
                Some(starting.next_wakeup().map_or(expiry, |again| again.min(expiry)))
            }
            Stage::Ready => Some(self.next_renewal().min(self.expired + EXPIRE_EVERY)),
            Stage::Leaving(leaving) => Some(leaving.next_wakeup()),
        }
    }

    /// Remembers where a person is, as far as a message or a list of members tells.
    fn meet(&mut self, nick: &Nick, node: NodeHandle) {
        let room = self.known.len() < KNOWN_MAX;
        match self.known.get_mut(nick) {
            Some(known) if known.node == node => {}
            Some(known) => *known = Known { node, looked_up: None },
            None if room => {
                self.known.insert(nick.clone(), Known { node, looked_up: None });
            }
            None => {}
        }
    }

    fn members_of(cx: &Context<'_>, channel: &ChannelName) -> Vec<(Nick, NodeHandle)> {
        let Some(channel) = cx.records.channel(channel) else { return Vec::new() };
        let members: BTreeSet<_> =
            channel.members(cx.now).map(|member| (member.nick.clone(), member.node)).collect();
        members.into_iter().collect()
    }
}
