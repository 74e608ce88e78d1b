//! Renew: a member says that it is still there, and up to where it has seen the log; the answer is
//! what it has missed.
//! So a heartbeat is also the repair.
//!
//! n -> … -> root of the channel: Renew { membership, from, seen }   every 30 s, and when a gap is noticed
//! root -> n: Renewed { missed, sum }
//!
//! Of what stands up to the last message seen, the root gives a sum: if that is not the member's, messages
//! have come there late, and are read (see `heal`).
//!
//! What was said while the user was away is shown as such: what is missed after a restart, after the node
//! stood still or was alone, when the root takes the member for gone, and when the network has
//! healed.
//! Where more was said than the root keeps, the user is told that some of it is gone.
//! What is missed otherwise, because a delivery was lost or a root crashed, comes a moment late and is no
//! history.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::{Event, MemberChange, MessageId};
use super::heal::Compared;
use super::join::{Session, Stage};
use super::payload::Payload;
use super::send::Said;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::records::age::Age;
use crate::records::channel::{Entry, Membership, Place};
use crate::records::lease::RENEW_EVERY;
use crate::records::name::ChannelName;
use crate::records::{RecordKey, Statement};
use crate::time::Time;

/// How many missed messages come at a time.
const MISSED_MAX: usize = 128;

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
    /// Whether the root took the member for gone.
    pub was_gone: bool,
}

/// A member's renewal, and what the member has missed, that wait until enough copies have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    origin: NodeHandle,
    id: Number,
    channel: ChannelName,
    seen: Option<Place>,
    from: Option<Place>,
    missed: BTreeSet<MessageId>,
    more: bool,
    was_gone: bool,
}

/// What a member knew when it renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    seen: Option<Place>,
    /// The last message that waited for a missing one.
    waiting: Option<Place>,
}

impl Session {
    /// Whether the root has dropped some of what the user was not shown: that is gone, and waited for no longer.
    fn passes_over_what_is_gone(&mut self, horizon: Option<Place>) -> bool {
        let known = self.seen.max(self.from);
        let is_gap = known < horizon;
        if is_gap {
            self.seen = horizon;
        }
        is_gap
    }

    /// Takes what the root has told; returns those messages that were not shown, and how each is to be shown.
    ///
    /// One may stand before what was shown since the root was asked: an answer that came meanwhile, from a root
    /// that was about to learn more, told what comes after it.
    fn takes_missed(&mut self, missed: Vec<Entry>) -> Vec<(Entry, Said)> {
        let says = self.says();
        let mut taken = Vec::new();
        for entry in missed {
            if self.from < Some(entry.place) {
                self.seen = self.seen.max(Some(entry.place));
                taken.extend(self.takes(&entry, says).map(|said| (entry, said)));
            }
        }
        taken
    }
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

    /// The user is back: what is said until the root has answered was said while they were away.
    pub(super) fn catch_up_after_absence(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        self.catch_up(cx, channel);
        if let Some(session) = self.sessions.get_mut(channel) {
            session.away = session.catching_up;
        }
    }

    /// The node goes on after it stood still, or is not alone any more: others may have said something.
    pub fn on_return(&mut self, cx: &mut Context<'_>) {
        for channel in self.joined().cloned().collect::<Vec<_>>() {
            if let Some(session) = self.sessions.get_mut(&channel) {
                // An answer that is under way tells of the time before.
                session.catching_up = None;
            }
            self.catch_up_after_absence(cx, &channel);
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
        let was_gone = known_as.is_none();
        // Who has left meanwhile does not come again.
        let is_late = cx.records.channel(&channel).is_some_and(|known| known.has_later_than(&membership));
        let is_new = known_as != Some(&membership.nick) && !is_late;
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
        self.come_after(cx, &channel, seen);
        let Some(known) = cx.records.channel(&channel) else { return };
        let missed = known.log.after(seen).take(MISSED_MAX).map(|entry| entry.id).collect();
        let more = known.log.after(seen).nth(MISSED_MAX).is_some();
        let (origin, id) = (request.origin, request.id);
        let renewal = Acknowledged { origin, id, channel, seen, from, missed, more, was_gone };
        if changes_nothing {
            return Chat::on_renew_acknowledged(cx, renewal);
        }
        // What the member is shown, enough copies have.
        self.after_write(cx, Then::Renew(renewal));
    }

    /// The messages stand where they stand now: one may have got another place, when two logs became one.
    pub(super) fn on_renew_acknowledged(cx: &mut Context<'_>, renewal: Acknowledged) {
        let Acknowledged { origin, id, channel, seen, from, missed, more, was_gone } = renewal;
        let Some(known) = cx.records.channel(&channel) else { return };
        let missed = known.log.after(seen).filter(|entry| missed.contains(&entry.id)).cloned().collect();
        let horizon = known.log.horizon();
        let sum = known.log.sum(from.max(horizon), seen);
        let payload = Payload::Renewed(Answer { missed, more, horizon, sum, was_gone });
        cx.chord.reply_read(cx.now, origin, id, payload);
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
        if session.reading.is_some() {
            session.asks_again = true;
            return;
        }
        if session.stage != Stage::Joined {
            return;
        }
        let compared = Compared { sum: answer.sum, horizon: answer.horizon, upto: asked.seen };
        let differs = session.surplus_over(compared) != session.surplus;
        if answer.was_gone || differs {
            session.away.get_or_insert(id);
        }
        let is_gap = session.passes_over_what_is_gone(answer.horizon);
        let missed = session.takes_missed(answer.missed);
        if !answer.more {
            session.away.take_if(|first| *first <= id);
        }
        if is_gap {
            cx.tell(Event::Gap { channel: channel.clone() });
        }
        self.show_missed(cx, &channel, missed);
        if answer.more {
            return self.catch_up(cx, &channel);
        }
        if let Some(seen) = asked.seen.filter(|_| differs) {
            return self.read_late(cx, channel, seen, compared);
        }
        // What the root does not have although it was asked later, another root has told: it is shown once this
        // one has it, and what stands before it.
        if let Some(session) = self.sessions.get_mut(&channel) {
            session.ahead.retain(|&place, _| asked.waiting < Some(place));
        }
        self.show_ahead(cx, &channel);
        self.ask_again(cx, &channel);
    }

    /// Asks once more, if the root may have learnt something since it was asked.
    fn ask_again(&mut self, cx: &mut Context<'_>, channel: &ChannelName) {
        let session = self.sessions.get_mut(channel);
        if session.is_some_and(|session| std::mem::take(&mut session.asks_again)) {
            self.catch_up_after_absence(cx, channel);
        }
    }

    /// Shows what the root has told, and before it that the network has healed, if some of it is late.
    fn show_missed(&mut self, cx: &mut Context<'_>, channel: &ChannelName, missed: Vec<(Entry, Said)>) {
        if missed.iter().any(|&(_, said)| said == Said::Elsewhere) {
            self.tell_user_of_healing(cx, channel, Vec::new());
        }
        for (entry, said) in missed {
            super::send::show(cx, channel.clone(), entry, said);
        }
    }

    /// Who knows that something is missing asks again; the others do with the next renewal.
    pub(super) fn on_renew_unanswered(&mut self, cx: &mut Context<'_>, id: Number, channel: &ChannelName) {
        let Some(session) = self.sessions.get_mut(channel) else { return };
        if session.catching_up.take_if(|asked| *asked == id).is_none() {
            return;
        }
        if session.away.is_some_and(|first| first <= id) {
            self.catch_up_after_absence(cx, channel);
        } else {
            self.catch_up(cx, channel);
        }
    }

    /// The next message that comes, or the next renewal, asks again.
    pub(super) fn on_renew_failed(&mut self, id: Number, channel: &ChannelName) {
        if let Some(session) = self.sessions.get_mut(channel) {
            session.catching_up.take_if(|asked| *asked == id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chat::send::Delivery;
    use crate::chat::{claim, history, join};
    use crate::chord::message::{Answer as Answered, Body, Route};
    use crate::chord::{Chord, Message};
    use crate::id::NodeHandle;
    use crate::machine::{Input, Machine, Output};
    use crate::node::{Command, Node};
    use crate::records::name::Nick;
    use crate::records::{self, Records};

    const NOW: Time = Time::from_micros(1_800_000_000_000_000);

    /// A request that is not answered by then has failed.
    const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

    /// A member of `#rust`, and the root of all that it asks for.
    struct Member {
        node: Node,
        root: NodeHandle,
        channel: ChannelName,
        /// What it has asked for and was not answered.
        asked: Vec<(Number, Payload)>,
        shown: Vec<u64>,
    }

    impl Member {
        fn new() -> Member {
            let mut ring = [7000, 7001].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
            ring.sort_by_key(NodeHandle::id);
            let channel: ChannelName = "rust".parse().unwrap();
            let key = RecordKey::Channel(channel.clone()).id();
            let root = if key.in_arc(ring[1].id(), ring[0].id()) { ring[0] } else { ring[1] };
            let me = if root == ring[0] { ring[1] } else { ring[0] };
            let is_elsewhere = |nick: &Nick| {
                let key = RecordKey::Name(nick.clone()).id();
                !key.in_arc(root.id(), me.id())
            };
            let nick = (0..).map(|i| format!("n{i}").parse().unwrap()).find(is_elsewhere).unwrap();
            let node = Node::ideal(nick, &ring, me, NOW);
            let mut member = Member { node, root, channel, asked: Vec::new(), shown: Vec::new() };
            member.hears(Input::Command(Command::Start { bootstrap: None }));
            member.is_answered(Payload::Claimed(claim::Answer::Held), |it| matches!(it, Payload::Claim(_)));
            member.hears(Input::Command(Command::Line("join rust".to_owned())));
            let joined = join::Answer { members: Vec::new(), last: None };
            member.is_answered(Payload::Joined(joined), |it| matches!(it, Payload::Join(_)));
            member
        }

        fn hears(&mut self, input: Input<Command, Message<Payload>>) {
            self.hears_at(NOW, input);
        }

        fn hears_at(&mut self, now: Time, input: Input<Command, Message<Payload>>) {
            let mut outputs = Vec::new();
            self.node.handle(now, input, &mut outputs);
            for output in outputs {
                match output {
                    Output::Send { message: Message::Route(route), .. } => {
                        let Body::Request(payload) = route.body else { continue };
                        self.asked.push((route.id, payload));
                    }
                    Output::Event(Event::Message { seq, .. }) => self.shown.push(seq),
                    _ => {}
                }
            }
        }

        /// Time passes until `end`: the root is there, and answers nothing but the ring's questions.
        fn waits_until(&mut self, end: Time) {
            let (root, successors) = (self.root, vec![self.node.me(), self.root]);
            while let Some(now) = self.node.next_wakeup().filter(|&at| at <= end) {
                let mut inputs = vec![Input::Wakeup];
                while let Some(input) = inputs.pop() {
                    let mut outputs = Vec::new();
                    self.node.handle(now, input, &mut outputs);
                    for output in outputs {
                        let Output::Send { message, .. } = output else { continue };
                        let message = match message {
                            Message::Ping { question } => Message::Pong { question },
                            Message::GetNeighbors { question }
                            | Message::GetNewNeighbors { question, .. } => {
                                let (predecessor, successors) = (Some(self.node.me()), successors.clone());
                                Message::Neighbors { question, predecessor, successors }
                            }
                            Message::Route(Route { id, body: Body::Request(payload), .. }) => {
                                self.asked.push((id, payload));
                                continue;
                            }
                            _ => continue,
                        };
                        inputs.push(Input::Message { from: root, message });
                    }
                }
            }
        }

        fn is_told(&mut self, payload: Payload) {
            self.hears(Input::Message { from: self.root, message: Message::Tell(payload) });
        }

        /// The root answers the first of the questions that are meant.
        fn is_answered(&mut self, payload: Payload, is_meant: fn(&Payload) -> bool) {
            let first = self.asked.iter().position(|(_, asked)| is_meant(asked)).expect("it has asked");
            let (id, _) = self.asked.remove(first);
            let message = Message::Reply { id, hops: 0, answer: Answered::Payload(payload) };
            self.hears(Input::Message { from: self.root, message });
        }

        fn is_renewed(&mut self, missed: &[u64], seen: &[u64]) {
            let missed = missed.iter().map(|&seq| self.entry(seq)).collect();
            let sum = MessageId::sum(seen.iter().map(|&seq| self.entry(seq).id));
            let renewed = Answer { missed, more: false, horizon: None, sum, was_gone: false };
            self.is_answered(Payload::Renewed(renewed), |it| matches!(it, Payload::Renew(_)));
        }

        fn entry(&self, seq: u64) -> Entry {
            let id = MessageId { author: self.root, counter: seq };
            let place = Place { epoch: 1, root: self.root, seq };
            Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at: NOW }
        }

        /// The root has become one with another, and tells so.
        fn heals(&mut self) {
            let key = RecordKey::Channel(self.channel.clone());
            let healed = crate::chat::heal::Healed { key, members: Vec::new(), was_cut: true };
            self.is_told(Payload::Healed(healed));
        }
    }

    /// What the root of `#rust` answers to what it is asked while its last message has not come to its copies yet, and
    /// is found to stand at `there` before it has.
    fn answer_of_root(ask: impl Fn(ChannelName, NodeHandle) -> Payload, there: Place) -> Vec<Payload> {
        let channel: ChannelName = "rust".parse().unwrap();
        let key = RecordKey::Channel(channel.clone());
        let mut ring = [7000, 7001, 7002].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        ring.sort();
        let mut chords = ring.map(|me| Chord::ideal(&ring, me, 16, NOW)).into_iter();
        let mut chord = chords.find(|chord| chord.is_root(key.id()) == Some(true)).unwrap();
        let (me, member) = (chord.me(), chord.successors()[0]);
        let (mut chat, mut records) = (Chat::new("n".parse().unwrap(), me, NOW), Records::default());
        let says = |place| {
            let (from, text) = ("n".parse().unwrap(), "text".to_owned());
            Statement::Message(
                Entry { place, id: MessageId { author: me, counter: 1 }, from, text, at: NOW },
                Age::NEW,
            )
        };
        let mut events = Vec::new();
        records.write(NOW, &key, says(Place { epoch: 9, root: me, seq: 1 }));
        let mut cx = Context { now: NOW, chord: &mut chord, records: &mut records, events: &mut events };
        let request = chord::Request { origin: member, id: 7, payload: ask(channel, member) };
        match request.payload.clone() {
            Payload::Renew(renewal) => chat.on_renew(&mut cx, &request, renewal),
            Payload::History(past) => chat.on_history(&mut cx, &request, &past),
            other => panic!("{other:?}"),
        }
        assert!(cx.records.merge(NOW, &key, says(there)));
        cx.records.push(NOW, cx.chord);
        let mut answers = Vec::new();
        while let Some(output) = cx.chord.next_output() {
            match output {
                chord::Output::Send { to, message: Message::Request { id, .. } } => {
                    cx.records.on_reply(NOW, cx.chord, id, to, records::Message::Merged);
                    chat.finish_writes(&mut cx);
                }
                chord::Output::Send {
                    message: Message::Reply { answer: Answered::Payload(payload), .. },
                    ..
                } => answers.push(payload),
                _ => {}
            }
        }
        answers
    }

    #[test]
    fn a_message_is_told_with_the_place_that_it_has_when_enough_copies_have_it() {
        let there = Place { epoch: 1, root: NodeHandle::new(([127, 0, 0, 1], 7009).into()), seq: 5 };
        let renew = |seen| {
            move |channel, node| {
                let membership = Membership { node, version: 1, joined: true, nick: "m".parse().unwrap() };
                Payload::Renew(Request { channel, membership, seen, from: None })
            }
        };
        let [Payload::Renewed(renewed)] = &answer_of_root(renew(None), there)[..] else {
            panic!("no answer")
        };
        assert_eq!(renewed.missed.iter().map(|entry| entry.place).collect::<Vec<_>>(), [there]);
        // It is found to stand before what the member has seen: the sum tells.
        let seen = Place { seq: 6, ..there };
        let [Payload::Renewed(renewed)] = &answer_of_root(renew(Some(seen)), there)[..] else {
            panic!("no answer")
        };
        assert!(renewed.missed.is_empty() && renewed.sum != 0);
        let history = |channel, _| Payload::History(history::Request { channel, before: None, count: 9 });
        let [Payload::Past(past)] = &answer_of_root(history, there)[..] else { panic!("no answer") };
        assert_eq!(past.entries.iter().map(|entry| entry.place).collect::<Vec<_>>(), [there]);
    }

    #[test]
    fn what_a_later_answer_tells_before_what_an_earlier_one_told_is_shown() {
        let mut member = Member::new();
        // A renewal is under way when the root hears of what was said elsewhere, bit by bit.
        member.hears_at(NOW + RENEW_EVERY, Input::Wakeup);
        member.heals();
        member.is_renewed(&[2], &[]);
        member.is_renewed(&[1, 2], &[]);
        assert_eq!(member.shown, [2, 1]);
    }

    #[test]
    fn what_heals_while_the_root_is_asked_is_asked_for_again() {
        let mut member = Member::new();
        member.heals();
        // Another root, which has come between, has more.
        member.heals();
        member.heals();
        member.is_renewed(&[1], &[]);
        member.is_renewed(&[2], &[1]);
        assert_eq!(member.shown, [1, 2]);
        assert!(!member.asked.iter().any(|(_, asked)| matches!(asked, Payload::Renew(_))));
    }

    #[test]
    fn who_knows_that_something_is_missing_and_is_not_answered_asks_again() {
        let mut member = Member::new();
        member.heals();
        let unanswered = std::mem::take(&mut member.asked);
        member.waits_until(NOW + ANSWERED_WITHIN);
        member.asked.retain(|(id, _)| unanswered.iter().all(|(before, _)| before != id));
        member.is_renewed(&[1], &[]);
        assert_eq!(member.shown, [1]);
    }

    #[test]
    fn what_another_root_told_waits_for_what_stands_before_it_until_the_root_has_both() {
        let mut member = Member::new();
        let after = Some(member.entry(1).place);
        let delivery = Delivery { channel: member.channel.clone(), entry: member.entry(2), after };
        member.is_told(Payload::Delivery(delivery));
        member.is_renewed(&[], &[]);
        assert!(member.shown.is_empty());
        member.heals();
        member.is_renewed(&[1, 2], &[]);
        assert_eq!(member.shown, [1, 2]);
    }

    #[test]
    fn what_a_root_tells_while_its_past_is_read_is_asked_for_again() {
        let mut member = Member::new();
        member.heals();
        member.is_renewed(&[2], &[]);
        assert_eq!(member.shown, [2]);
        member.heals();
        member.is_renewed(&[], &[1, 2]);
        // It reads what is late when more comes from elsewhere.
        member.heals();
        member.is_renewed(&[3], &[1, 2]);
        assert_eq!(member.shown, [2], "what is late stands before that");
        let past = history::Answer { entries: vec![member.entry(1), member.entry(2)], more: false };
        member.is_answered(Payload::Past(past), |it| matches!(it, Payload::History(_)));
        member.is_renewed(&[3], &[1, 2]);
        assert_eq!(member.shown, [2, 1, 3]);
        assert!(!member.asked.iter().any(|(_, asked)| matches!(asked, Payload::Renew(_))));
    }
}
