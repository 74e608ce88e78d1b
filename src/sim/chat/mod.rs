//! The oracle of the chat: what people may be told, at any time and in any network, and what must be
//! true of all nodes at rest.
//!
//! ```text
//! let oracle = Rc::new(RefCell::new(Oracle::new(Weather::Fair)));
//! network.observe(Rc::clone(&oracle));
//! oracle.borrow_mut().will_say(alice, Recipient::Channel(rust), "a text that nobody else uses");
//! ..
//! oracle.borrow().check_rest(&network).unwrap();
//! ```

mod back;
#[cfg(test)]
mod crashes;
mod held;
mod kind;
mod order;
#[cfg(test)]
mod orders;
mod rest;
mod values;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

pub use self::kind::{is_heartbeat, is_lease, kind};
use self::watch::Position;
use super::{Network, Observer, START};
use crate::chat::event::{Event, MessageId, Recipient, SentState};
use crate::chat::payload::Payload;
use crate::chord;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::channel::Place;
use crate::records::name::{ChannelName, Nick};
use crate::time::Time;

/// How many broken promises are told in words.
const TOLD_MAX: usize = 20;

/// What a network is like, and so which claims hold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Whoever lives answers in time, and crashes leave the ring what it needs: all claims hold.
    Fair,
    /// Messages are lost, late or doubled, and nobody who lives is taken for dead.
    Rough,
    /// Who lives may be taken for dead, and there may be two roots: what holds in any network.
    Split,
}

/// What the chat promises, at any time and in any network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nobody is shown what nobody said, or said otherwise, or said to others.
    Said,
    /// A message is shown once.
    Once,
    /// The messages of an author come in their order, and those of a root's term in the same order to
    /// everyone.
    Order,
    /// Who has left a channel is shown nothing of it any more.
    Left,
    /// What an author is told of a message goes on, never back, and is so.
    State,
    /// What is acknowledged is held by 3 nodes, or by every node where there are fewer.
    Kept,
    /// Who is shown a value is shown one that somebody wrote, and none that is earlier than what was acknowledged.
    Value,
    /// A name has one holder.
    Name,
    /// The ring is one, in order; see [`crate::sim::ring`].
    Ring,
}

/// Knows what everyone said and was told, and what of it breaks a promise.
#[derive(Debug)]
pub struct Oracle {
    weather: Weather,
    /// Whether it goes on when a promise is broken, and panics otherwise.
    counts: bool,
    /// How often each promise was broken.
    pub broken: BTreeMap<Promise, u64>,
    /// What the first broken promises were, at most 20, and when.
    pub told: Vec<(Time, String)>,
    people: BTreeMap<NodeHandle, Person>,
    /// What will be or was said, by its text.
    sayings: BTreeMap<String, (NodeHandle, Recipient)>,
    messages: BTreeMap<MessageId, Message>,
    /// Which messages a root is asked to keep, by who asks and the number of the request.
    asked: BTreeMap<(NodeHandle, Number), Vec<MessageId>>,
    values: values::Values,
    /// What stands where, of what was shown.
    places: BTreeMap<(ChannelName, Place), MessageId>,
    /// From when on all claims of the ring and of names hold, because nothing goes wrong, if ever.
    calm_from: Option<Time>,
    ring: BTreeMap<NodeHandle, Position>,
    /// What was seen, so that a test can show that it looked at something.
    pub seen: Seen,
}

/// How much an oracle has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages shown in channels.
    pub shown: u64,
    /// Private messages shown.
    pub private: u64,
    /// Messages acknowledged as stored.
    pub stored: u64,
    /// Private messages of which the author heard that they were shown.
    pub delivered: u64,
    /// Messages that failed.
    pub failed: u64,
    /// Values acknowledged as written or deleted.
    pub written: u64,
    /// Changes of the ring that were checked.
    pub ring_changes: u64,
    /// Records that moved.
    pub migrated: u64,
}

/// What is missing of what was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Messages that are missing somewhere.
    pub messages: u64,
    /// On how many screens they are missing, all together.
    pub showings: u64,
}

/// One user, at one node.
#[derive(Debug)]
struct Person {
    nick: Nick,
    /// The nicks that they had before.
    nicks: BTreeSet<Nick>,
    /// Since when they are ready.
    since: Time,
    is_over: bool,
    /// Whether everything was handed over before that.
    in_good_order: bool,
    /// The channels they are in.
    joined: BTreeSet<ChannelName>,
    /// The channels they have left.
    left: BTreeSet<ChannelName>,
    /// The channels they have asked to leave.
    leaves: BTreeSet<ChannelName>,
    screen: back::Screen,
    /// Until when what they were told is on their disk for certain, if they have ended.
    kept_until: Option<Time>,
    /// The channels that they were in when they crashed, and are not in again.
    returns: BTreeSet<ChannelName>,
}

#[derive(Debug)]
struct Message {
    to: Recipient,
    state: SentState,
    /// Since when.
    since: Time,
    /// Whether its author has crashed, and may be told once more that it waits.
    waits_again: bool,
    /// Whether its author has crashed, and may never hear of it again.
    may_be_forgotten: bool,
    /// Whether its author has crashed, and may hear once more that it was delivered.
    delivered_again: bool,
    /// Where it stood when somebody was shown it; more than one place where there were two roots.
    places: BTreeSet<Place>,
    /// Where it stands, as members or copies were told.
    told: BTreeSet<Place>,
    text: Option<String>,
    /// Who held it when they ended, until it was acknowledged.
    ended: BTreeSet<NodeHandle>,
    acknowledged: Option<held::Acknowledged>,
}

impl Oracle {
    /// An oracle that has seen nothing, and panics when a promise is broken.
    pub fn new(weather: Weather) -> Oracle {
        Oracle {
            weather,
            counts: false,
            broken: BTreeMap::new(),
            told: Vec::new(),
            people: BTreeMap::new(),
            sayings: BTreeMap::new(),
            messages: BTreeMap::new(),
            asked: BTreeMap::new(),
            values: values::Values::default(),
            places: BTreeMap::new(),
            calm_from: (weather == Weather::Fair).then_some(START),
            ring: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// An oracle that counts broken promises, and goes on.
    pub fn counting(weather: Weather) -> Oracle {
        Oracle { counts: true, ..Oracle::new(weather) }
    }

    fn breaks(&mut self, now: Time, promise: Promise, what: String) {
        assert!(self.counts, "{what}");
        *self.broken.entry(promise).or_default() += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push((now, what));
        }
    }

    /// `author` will say `text`, which nobody says a second time, to someone.
    pub fn will_say(&mut self, author: NodeHandle, to: Recipient, text: &str) {
        let before = self.sayings.insert(text.to_owned(), (author, to));
        assert!(before.is_none(), "each text is said once: {text:?}");
    }

    /// `node` asks to leave `channel`: until it is told that this is done, a crash may do it or undo it.
    pub fn will_leave(&mut self, node: NodeHandle, channel: ChannelName) {
        if let Some(person) = self.people.get_mut(&node) {
            person.leaves.insert(channel);
        }
    }

    fn on_event(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        match event {
            Event::Ready { nick, .. } => self.on_ready(network, node, nick),
            Event::Joined { channel, .. } => {
                let person = self.person(node);
                person.joined.insert(channel.clone());
                person.left.remove(channel);
                person.leaves.remove(channel);
                person.returns.remove(channel);
            }
            Event::Left { channel } => {
                let person = self.person(node);
                person.joined.remove(channel);
                person.leaves.remove(channel);
                person.returns.remove(channel);
                person.left.insert(channel.clone());
            }
            Event::Message { channel, from, text, id, epoch, seq, late, .. } => {
                self.on_message(network.now(), node, channel, (from, text, *id));
                self.check_order(network, node, channel, *id, (*epoch, *seq), *late);
                self.check_held(network, node, *id);
            }
            Event::Private { from, text, id, .. } => self.on_private(network.now(), node, from, text, *id),
            Event::Sent { id, to, text, state } => {
                self.on_sent(network.now(), node, *id, (to, text), state);
                if *state == SentState::Stored {
                    self.check_held(network, node, *id);
                }
            }
            Event::Value { key, value, .. } => self.on_value(network.now(), node, key, value.as_ref()),
            Event::Migrated { .. } => self.seen.migrated += 1,
            Event::Renamed { nick, was, .. } => {
                let person = self.person(node);
                person.nick = nick.clone();
                person.nicks.insert(was.clone());
            }
            Event::Bye { not_handed_over } => {
                if self.is_calm(network.now()) && !not_handed_over.is_empty() {
                    let what = format!("{node:?} leaves behind {not_handed_over:?}");
                    self.breaks(network.now(), Promise::Ring, what);
                }
                if let Some(person) = self.people.get_mut(&node) {
                    person.is_over = true;
                    person.in_good_order = not_handed_over.is_empty();
                }
            }
            _ => {}
        }
    }

    fn person(&mut self, node: NodeHandle) -> &mut Person {
        self.people.get_mut(&node).expect("who is told something of the chat is ready")
    }

    /// "Nobody takes over a name whose holder is there."
    fn on_ready(&mut self, network: &Network<Node>, node: NodeHandle, nick: &Nick) {
        let is_there = |&(&other, person): &(&NodeHandle, &Person)| {
            other != node && person.nick == *nick && network.get(other).is_some_and(|it| it.chat().is_ready())
        };
        if self.is_calm(network.now())
            && let Some((other, _)) = self.people.iter().find(is_there)
        {
            let what = format!("{node:?} has the name {nick}, which {other:?} has");
            self.breaks(network.now(), Promise::Name, what);
        }
        if self.people.contains_key(&node) {
            return self.comes_back(network.now(), node);
        }
        self.people.insert(node, Person::new(nick.clone(), network.now()));
    }

    fn on_message(
        &mut self,
        now: Time,
        node: NodeHandle,
        channel: &ChannelName,
        (from, text, id): (&Nick, &str, MessageId),
    ) {
        self.seen.shown += 1;
        self.check_was_said(now, id, &Recipient::Channel(channel.clone()), from, text);
        let person = self.person(node);
        if !person.joined.contains(channel) {
            let what = format!("{node:?} is shown {id} and is not in {channel}");
            self.breaks(now, Promise::Left, what);
        }
        self.check_once(now, node, id);
    }

    fn check_once(&mut self, now: Time, node: NodeHandle, id: MessageId) {
        if !self.person(node).screen.shows(now, id) {
            self.breaks(now, Promise::Once, format!("{node:?} is shown {id} twice"));
        }
    }

    fn on_private(&mut self, now: Time, node: NodeHandle, from: &Nick, text: &str, id: MessageId) {
        self.seen.private += 1;
        let Some(to) = self.messages.get(&id).map(|message| message.to.clone()) else {
            return self.breaks(now, Promise::Said, format!("{node:?} is shown {id}, which nobody sent"));
        };
        self.check_was_said(now, id, &to, from, text);
        let person = self.person(node);
        let is_meant = match &to {
            Recipient::Nick(nick) => *nick == person.nick || person.nicks.contains(nick),
            Recipient::Node(prefix) => prefix.matches(node.id()),
            Recipient::Channel(_) => false,
        };
        if !is_meant {
            self.breaks(now, Promise::Said, format!("{node:?} is shown {id}, which is for {to}"));
        }
        self.check_once(now, node, id);
    }

    fn check_was_said(&mut self, now: Time, id: MessageId, to: &Recipient, from: &Nick, text: &str) {
        let is_said = self.sayings.get(text) == Some(&(id.author, to.clone()));
        let is_author = |author: &Person| author.nick == *from || author.nicks.contains(from);
        let is_by = self.people.get(&id.author).is_some_and(is_author);
        let is_same = self.messages.get_mut(&id).is_some_and(|message| {
            let shown = message.text.get_or_insert_with(|| text.to_owned());
            shown == text
        });
        if !(is_said && is_by && is_same) {
            let what = format!("{id} to {to} by {from} says {text:?}: that is not what was said");
            self.breaks(now, Promise::Said, what);
        }
    }

    fn on_sent(
        &mut self,
        now: Time,
        node: NodeHandle,
        id: MessageId,
        (to, text): (&Recipient, &str),
        state: &SentState,
    ) {
        if self.sayings.get(text) != Some(&(node, to.clone())) {
            let what = format!("{node:?} is told of {text:?} to {to}, which it did not send");
            self.breaks(now, Promise::State, what);
        }
        let mut may_again = false;
        let before = match (self.messages.get_mut(&id), state) {
            (None, SentState::Queued | SentState::Waiting) => {
                self.messages.insert(id, Message::new(now, to.clone()));
                return;
            }
            (None, _) => None,
            (Some(_), SentState::Waiting) => return self.waits_again(now, node, id),
            (Some(message), _) => {
                message.since = now;
                may_again = std::mem::take(&mut message.delivered_again);
                Some(std::mem::replace(&mut message.state, state.clone()))
            }
        };
        let goes_on = match (&before, state) {
            (Some(SentState::Queued), state) => *state != SentState::Queued,
            // Mail: it waited for its receiver.
            (Some(SentState::Stored), SentState::Delivered) => !matches!(to, Recipient::Channel(_)),
            (Some(SentState::Delivered), SentState::Delivered) => may_again,
            _ => false,
        };
        let is_shown = || self.people.values().any(|person| person.screen.has(&id));
        let is_so = *state != SentState::Delivered || is_shown();
        if id.author != node || !goes_on || !is_so {
            let what = format!("{node:?} hears that {id} to {to} is {state:?}, after {before:?}");
            self.breaks(now, Promise::State, what);
        }
        match state {
            SentState::Stored => self.seen.stored += 1,
            SentState::Failed { .. } => self.seen.failed += 1,
            SentState::Delivered => {
                self.seen.delivered += 1;
                // Each message is counted once, as what it is in the end.
                self.seen.stored -= u64::from(before == Some(SentState::Stored));
                self.seen.delivered -= u64::from(before == Some(SentState::Delivered));
            }
            SentState::Queued | SentState::Waiting => {}
        }
    }
}

impl Person {
    fn new(nick: Nick, since: Time) -> Person {
        Person {
            nick,
            since,
            is_over: false,
            in_good_order: true,
            joined: BTreeSet::new(),
            left: BTreeSet::new(),
            leaves: BTreeSet::new(),
            screen: back::Screen::default(),
            kept_until: None,
            returns: BTreeSet::new(),
            nicks: BTreeSet::new(),
        }
    }
}

impl Message {
    fn channel(&self) -> Option<&ChannelName> {
        match &self.to {
            Recipient::Channel(channel) => Some(channel),
            Recipient::Nick(_) | Recipient::Node(_) => None,
        }
    }

    fn new(since: Time, to: Recipient) -> Message {
        Message {
            to,
            state: SentState::Queued,
            since,
            waits_again: false,
            may_be_forgotten: false,
            delivered_again: false,
            places: BTreeSet::new(),
            told: BTreeSet::new(),
            text: None,
            ended: BTreeSet::new(),
            acknowledged: None,
        }
    }
}

impl Observer<Node> for Oracle {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        self.on_event(network, node, event);
    }

    fn sent(
        &mut self,
        network: &Network<Node>,
        from: NodeHandle,
        to: NodeHandle,
        message: &chord::Message<Payload>,
    ) {
        self.on_sent_message(network, from, to, message);
    }

    fn ends(&mut self, network: &Network<Node>, node: NodeHandle) {
        self.note_end(network, node);
        self.note_disk(network, node);
    }

    fn after(&mut self, network: &Network<Node>, node: NodeHandle) {
        self.look_at_ring(network, node);
    }
}
