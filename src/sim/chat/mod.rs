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

mod kind;
#[cfg(test)]
mod orders;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

pub use self::kind::{is_heartbeat, kind};
use super::{Network, Observer, ring};
use crate::chat::event::{Event, MessageId, Recipient, SentState};
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::name::{ChannelName, Nick};

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

/// Knows what everyone said and was told, and panics when a claim does not hold.
#[derive(Debug)]
pub struct Oracle {
    weather: Weather,
    people: BTreeMap<NodeHandle, Person>,
    /// What will be or was said, by its text.
    sayings: BTreeMap<String, (NodeHandle, Recipient)>,
    messages: BTreeMap<MessageId, Message>,
    ring: BTreeMap<NodeHandle, Place>,
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
    /// Messages that failed.
    pub failed: u64,
    /// Changes of the ring that were checked.
    pub ring_changes: u64,
    /// Records that moved.
    pub migrated: u64,
}

/// One user, at one node.
#[derive(Debug)]
struct Person {
    nick: Nick,
    is_over: bool,
    /// Whether everything was handed over before that.
    in_good_order: bool,
    /// The channels they are in.
    joined: BTreeSet<ChannelName>,
    /// The channels they have left.
    left: BTreeSet<ChannelName>,
    shown: BTreeSet<MessageId>,
    /// The last message of each author in each channel.
    last_of: BTreeMap<(ChannelName, NodeHandle), u64>,
    /// Epoch and number of the last message in each channel.
    last: BTreeMap<ChannelName, (u64, u64)>,
}

#[derive(Debug)]
struct Message {
    to: Recipient,
    state: SentState,
    /// Epoch and number, once somebody was shown it.
    place: Option<(u64, u64)>,
    text: Option<String>,
}

/// What the ring looked like at one node.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    predecessor: Option<NodeHandle>,
    successors: Vec<NodeHandle>,
    comes_round: bool,
    leaves: bool,
}

impl Oracle {
    /// An oracle that has seen nothing.
    pub fn new(weather: Weather) -> Oracle {
        Oracle {
            weather,
            people: BTreeMap::new(),
            sayings: BTreeMap::new(),
            messages: BTreeMap::new(),
            ring: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// `author` will say `text`, which nobody says a second time, to someone.
    pub fn will_say(&mut self, author: NodeHandle, to: Recipient, text: &str) {
        let before = self.sayings.insert(text.to_owned(), (author, to));
        assert!(before.is_none(), "each text is said once: {text:?}");
    }

    fn on_event(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        match event {
            Event::Ready { nick, .. } => self.on_ready(network, node, nick),
            Event::Joined { channel, .. } => {
                let person = self.person(node);
                person.joined.insert(channel.clone());
                person.left.remove(channel);
            }
            Event::Left { channel } => {
                let person = self.person(node);
                person.joined.remove(channel);
                person.left.insert(channel.clone());
            }
            Event::Message { channel, from, text, id, epoch, seq, .. } => {
                self.on_message(node, channel, from, text, *id, (*epoch, *seq));
            }
            Event::Private { from, text, id, .. } => self.on_private(node, from, text, *id),
            Event::Sent { id, to, state } => self.on_sent(node, *id, to, state),
            Event::Migrated { .. } => self.seen.migrated += 1,
            Event::Bye { not_handed_over } => {
                if self.weather == Weather::Fair {
                    assert!(not_handed_over.is_empty(), "{node:?} leaves behind {not_handed_over:?}");
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
        if self.weather == Weather::Fair
            && let Some((other, _)) = self.people.iter().find(is_there)
        {
            panic!("{node:?} has the name {nick}, which {other:?} has");
        }
        self.people.insert(node, Person::new(nick.clone()));
    }

    fn on_message(
        &mut self,
        node: NodeHandle,
        channel: &ChannelName,
        from: &Nick,
        text: &str,
        id: MessageId,
        place: (u64, u64),
    ) {
        self.seen.shown += 1;
        self.check_was_said(id, &Recipient::Channel(channel.clone()), from, text);
        let message = self.messages.get_mut(&id).expect("what was said was queued");
        let weather = self.weather;
        if weather != Weather::Split {
            let before = *message.place.get_or_insert(place);
            assert_eq!(before, place, "{id} has one place");
        }
        let person = self.person(node);
        assert!(person.joined.contains(channel), "{node:?} is shown {id} and is not in {channel}");
        assert!(person.shown.insert(id), "{node:?} is shown {id} twice");
        let last_of_author = person.last_of.insert((channel.clone(), id.author), id.counter);
        let last = person.last.insert(channel.clone(), place);
        // Where two roots are, the order of the merged log is that of their places.
        if weather != Weather::Split {
            let is_later = last_of_author < Some(id.counter);
            assert!(is_later, "{node:?} is shown {id} after a later one of its author");
            assert!(last < Some(place), "{node:?} is shown {id} at {place:?} after {last:?}");
        }
    }

    fn on_private(&mut self, node: NodeHandle, from: &Nick, text: &str, id: MessageId) {
        self.seen.private += 1;
        let Some(to) = self.messages.get(&id).map(|message| message.to.clone()) else {
            panic!("{node:?} is shown {id}, which nobody sent");
        };
        self.check_was_said(id, &to, from, text);
        let person = self.person(node);
        let is_meant = match &to {
            Recipient::Nick(nick) => *nick == person.nick,
            Recipient::Node(prefix) => prefix.matches(node.id()),
            Recipient::Channel(_) => false,
        };
        assert!(is_meant, "{node:?} is shown {id}, which is for {to}");
        assert!(person.shown.insert(id), "{node:?} is shown {id} twice");
    }

    fn check_was_said(&mut self, id: MessageId, to: &Recipient, from: &Nick, text: &str) {
        let said = self.sayings.get(text);
        assert_eq!(said, Some(&(id.author, to.clone())), "{id} to {to} was said by its author: {text:?}");
        let author = self.people.get(&id.author).expect("who says something is ready");
        assert_eq!(author.nick, *from, "{id} has the name of its author");
        let Some(message) = self.messages.get_mut(&id) else { panic!("{id} is shown, which nobody sent") };
        let shown = message.text.get_or_insert_with(|| text.to_owned());
        assert_eq!(shown, text, "{id} says the same to everyone");
    }

    fn on_sent(&mut self, node: NodeHandle, id: MessageId, to: &Recipient, state: &SentState) {
        assert_eq!(id.author, node, "people hear of their own messages: {id}");
        if *state == SentState::Queued {
            let message = Message::new(to.clone());
            assert!(self.messages.insert(id, message).is_none(), "{id} is queued twice");
            return;
        }
        let Some(message) = self.messages.get_mut(&id) else { panic!("{id} was never queued") };
        let has_waited = message.state == SentState::Stored && !matches!(to, Recipient::Channel(_));
        let goes_on = message.state == SentState::Queued || (has_waited && *state == SentState::Delivered);
        assert!(goes_on, "{id} is {:?}, and then {state:?}", message.state);
        message.state = state.clone();
        match state {
            SentState::Queued => {}
            SentState::Stored => self.seen.stored += 1,
            SentState::Failed { .. } => self.seen.failed += 1,
            SentState::Delivered => {
                let is_shown = self.people.values().any(|person| person.shown.contains(&id));
                assert!(is_shown, "{id} is delivered, and nobody was shown it");
            }
        }
    }

    /// Checks the ring if it has changed at `node`.
    fn look_at_ring(&mut self, network: &Network<Node>, node: NodeHandle) {
        let chord = network.get(node).map(Node::chord).filter(|chord| chord.is_in_ring());
        let place = chord.map(|chord| Place {
            predecessor: chord.predecessor(),
            successors: chord.successors().to_vec(),
            comes_round: chord.comes_round(),
            leaves: chord.is_leaving(),
        });
        if self.ring.get(&node) == place.as_ref() {
            return;
        }
        match place {
            Some(place) => self.ring.insert(node, place),
            None => self.ring.remove(&node),
        };
        // Several may have gone at the same moment.
        self.ring.retain(|&node, _| network.get(node).is_some());
        self.seen.ring_changes += 1;
        // A leaver belongs to the ring as long as others count on it.
        let with_leavers = ring::check(&self.ring_members(|_, _| true));
        if let Err(violation) =
            with_leavers.or_else(|_| ring::check(&self.ring_members(|_, place| !place.leaves)))
        {
            panic!("{violation}: {:?}", self.ring_members(|_, _| true));
        }
    }

    fn ring_members(&self, counts: impl Fn(NodeHandle, &Place) -> bool) -> Vec<ring::Member<'_>> {
        self.ring
            .iter()
            .filter(|&(&node, place)| counts(node, place))
            .map(|(&node, place)| ring::Member {
                node,
                predecessor: place.predecessor,
                successors: &place.successors,
                comes_round: place.comes_round,
            })
            .collect()
    }
}

impl Person {
    fn new(nick: Nick) -> Person {
        Person {
            nick,
            is_over: false,
            in_good_order: true,
            joined: BTreeSet::new(),
            left: BTreeSet::new(),
            shown: BTreeSet::new(),
            last_of: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }
}

impl Message {
    fn new(to: Recipient) -> Message {
        Message { to, state: SentState::Queued, place: None, text: None }
    }
}

impl Observer<Node> for Oracle {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        self.on_event(network, node, event);
    }

    fn after(&mut self, network: &Network<Node>, node: NodeHandle) {
        if self.weather == Weather::Fair {
            self.look_at_ring(network, node);
        }
    }
}
