//! What must be true of all nodes when nothing happens any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lost, Oracle, Person};
use crate::chat::event::{MessageId, Recipient, SentState};
use crate::chord::{Message, SUCCESSORS};
use crate::id::{Id, NodeHandle};
use crate::machine::{Input, Machine};
use crate::node::Node;
use crate::records::claims::Claim;
use crate::records::name::{ChannelName, Nick};
use crate::records::{ACKNOWLEDGED, COPIES, RecordKey};
use crate::sim::{Network, ring};
use crate::time::Time;

impl Oracle {
    /// Checks what must be true at rest, and says what is not, or not yet.
    pub fn check_rest(&self, network: &Network<Node>) -> Result<(), String> {
        let ring = Ring::of(network);
        if ring.nodes.is_empty() {
            return Ok(());
        }
        ring.check()?;
        self.check_messages(network, &ring)?;
        ring.check_copies()?;
        self.check_values(|key| ring.root(key.id()))?;
        self.check_channels(network, &ring)?;
        self.check_names(network, &ring)
    }

    /// Each message has come to an end, and what was acknowledged has reached whom it is for, or waits.
    fn check_messages(&self, network: &Network<Node>, ring: &Ring<'_>) -> Result<(), String> {
        let mut acknowledged: BTreeMap<&ChannelName, BTreeSet<MessageId>> = BTreeMap::new();
        for (&id, message) in &self.messages {
            match &message.to {
                to if message.state == SentState::Queued
                    && network.get(id.author).is_some()
                    && !message.may_be_forgotten =>
                {
                    return Err(format!("{id} to {to} waits for ever"));
                }
                Recipient::Channel(channel) if message.is_acknowledged() => {
                    acknowledged.entry(channel).or_default().insert(id);
                }
                Recipient::Nick(nick) if message.is_acknowledged() => {
                    self.check_letter(network, ring, (nick, id))?;
                }
                _ => {}
            }
        }
        let mut channels: BTreeSet<&ChannelName> = acknowledged.keys().copied().collect();
        channels.extend(ring.nodes.iter().flat_map(|node| node.records().channels().map(|(name, ..)| name)));
        for channel in channels {
            let acknowledged = acknowledged.remove(channel).unwrap_or_default();
            self.check_log(network, ring, channel, &acknowledged)?;
        }
        Ok(())
    }

    /// The log of a channel has all that was acknowledged, and all that it has was shown to whoever was there
    /// and stayed.
    fn check_log(
        &self,
        network: &Network<Node>,
        ring: &Ring<'_>,
        channel: &ChannelName,
        acknowledged: &BTreeSet<MessageId>,
    ) -> Result<(), String> {
        let root = ring.root(RecordKey::Channel(channel.clone()).id());
        let (mut logged, mut last_of) = (BTreeSet::new(), BTreeMap::new());
        for entry in root.records().channel(channel).into_iter().flat_map(|channel| channel.log.after(None)) {
            let id = entry.id;
            logged.insert(id);
            if Some(id.counter) < last_of.insert(id.author, id.counter) {
                return Err(format!("{id} stands in {channel} after a later one of its author"));
            }
        }
        if let Some(id) = acknowledged.difference(&logged).next() {
            return Err(format!("{id} is stored in {channel}, but {:?} does not know it", root.me()));
        }
        for (node, person) in self.people.iter().filter(|(node, _)| network.get(**node).is_some()) {
            // Who comes later is shown the last messages, and here no channel has more.
            if person.joined.contains(channel)
                && let Some(id) = logged.difference(person.screen.all()).next()
            {
                return Err(format!("{node:?} was not shown {id}, which is in the log of {channel}"));
            }
        }
        Ok(())
    }

    /// A letter that was acknowledged has been shown to its receiver, or waits for them, who are away.
    fn check_letter(
        &self,
        network: &Network<Node>,
        ring: &Ring<'_>,
        (nick, id): (&Nick, MessageId),
    ) -> Result<(), String> {
        if self.was_shown(id) {
            return Ok(());
        }
        let root = ring.root(RecordKey::Mailbox(nick.clone()).id());
        let Some(letter) = root.records().mailbox(nick).and_then(|mailbox| mailbox.letter(&id)) else {
            return Err(format!("{id} is stored for {nick}, but {:?} does not know it", root.me()));
        };
        if letter.text.is_none() {
            return Err(format!("{id} is struck off for {nick}, who was not shown it"));
        }
        let is_receiver = |node: &&Node| node.chat().is_ready() && node.chat().person() == letter.to;
        match network.machines().find(is_receiver) {
            Some(node) => Err(format!("{id} waits for {nick}, who is there: {:?}", node.me())),
            None => Ok(()),
        }
    }

    fn was_shown(&self, id: MessageId) -> bool {
        self.messages.get(&id).is_some_and(|message| message.text.is_some())
    }

    /// Who joined and did not leave is a member.
    fn check_channels(&self, network: &Network<Node>, ring: &Ring<'_>) -> Result<(), String> {
        let mut members: BTreeMap<&ChannelName, BTreeSet<NodeHandle>> = BTreeMap::new();
        for (&node, person) in self.people.iter().filter(|(node, _)| network.get(**node).is_some()) {
            if let Some(channel) = person.returns_to() {
                return Err(format!("{node:?} was in {channel} before a crash, and is not again"));
            }
            for channel in &person.joined {
                members.entry(channel).or_default().insert(node);
            }
        }
        let mut channels: BTreeSet<&ChannelName> = members.keys().copied().collect();
        channels.extend(ring.nodes.iter().flat_map(|node| node.records().channels().map(|(name, ..)| name)));
        for channel in channels {
            let root = ring.root(RecordKey::Channel(channel.clone()).id());
            let known: BTreeSet<NodeHandle> = root
                .records()
                .channel(channel)
                .into_iter()
                .flat_map(|channel| channel.members(network.now()).map(|member| member.node))
                // A lease outlives who crashed.
                .filter(|&node| !self.has_crashed(network, node))
                .collect();
            let joined = members.remove(channel).unwrap_or_default();
            if known != joined {
                return Err(format!("{channel} has the members {known:?}, but {joined:?} joined and stayed"));
            }
        }
        Ok(())
    }

    /// The names are those of the people who are there.
    fn check_names(&self, network: &Network<Node>, ring: &Ring<'_>) -> Result<(), String> {
        let is_there = |node: NodeHandle| network.get(node).is_some_and(|node| node.chat().is_ready());
        for (&node, person) in &self.people {
            let root = ring.root(RecordKey::Name(person.nick.clone()).id());
            let holder = root
                .records()
                .claims(&person.nick)
                .and_then(|claims| claims.holder(network.now()))
                .map(|claim| claim.holder);
            if is_there(node) && holder != Some(node) {
                return Err(format!("{} is the name of {holder:?}, not of {node:?}", person.nick));
            }
            let there = network.get(node).filter(|_| is_there(node)).map(|node| node.chat().person());
            let mailbox = root.records().mailbox(&person.nick);
            let waiting = there.zip(mailbox).map(|(person, mailbox)| mailbox.waiting(person));
            if let Some(letter) = waiting.iter().flatten().next() {
                let letter = letter.id;
                return Err(format!("{letter} waits for {}, who is there", person.nick));
            }
            let is_wrong = |holder: NodeHandle| !is_there(holder) && !self.has_crashed(network, holder);
            if let Some(holder) = holder.filter(|&holder| is_wrong(holder)) {
                return Err(format!("{} is still the name of {holder:?}", person.nick));
            }
        }
        Ok(())
    }

    fn has_crashed(&self, network: &Network<Node>, node: NodeHandle) -> bool {
        let in_good_order =
            self.people.get(&node).is_some_and(|person| person.is_over && person.in_good_order);
        network.get(node).is_none() && !in_good_order
    }

    /// As [`Oracle::check_rest`], so long after that copies have asked after their records.
    pub fn check_long_rest(&self, network: &Network<Node>) -> Result<(), String> {
        self.check_rest(network)?;
        Ring::of(network).check_spare_copies()
    }

    /// Whether everything that was acknowledged, or may be on the way to be, is on enough of the nodes that
    /// keep it, and on one of those that are asked for it when others are `gone`.
    fn is_kept_without(&self, network: &Network<Node>, gone: &[NodeHandle]) -> bool {
        // Who is about to go does not count.
        let stays = |node: &Node| node.chat().is_ready() || !self.people.contains_key(&node.me());
        let mut stay: Vec<&Node> = network.machines().filter(|node| stays(node)).collect();
        stay.sort_by_key(|node| node.me().id());
        self.acknowledged(network).all(|Known { key, is_certain, is_known }| {
            let first = stay.partition_point(|node| node.me().id() < key);
            let keepers = || stay[first..].iter().chain(&stay[..first]);
            let holders = keepers().take(COPIES).filter(|node| is_known(node)).count();
            let mut left = keepers().filter(|node| !gone.contains(&node.me()));
            let asked = left.by_ref().take(1 + ACKNOWLEDGED);
            (holders == 0 && !is_certain)
                || (ACKNOWLEDGED.min(stay.len()) <= holders && { asked }.any(|node| is_known(node)))
        })
    }

    /// Whether each message and value that was acknowledged stays on a node that runs when others are `gone`, and is on as
    /// many as it was acknowledged by: "no crash of fewer nodes than that loses it".
    pub fn is_kept_somewhere_without(&self, network: &Network<Node>, gone: &[NodeHandle]) -> bool {
        let there: Vec<&Node> = network.machines().filter(|node| node.chord().is_in_ring()).collect();
        self.messages.iter().filter(|(_, message)| message.must_be_kept()).all(|(id, message)| {
            let keepers = there.iter().filter(|node| message.is_held_by(id, node));
            let others = keepers.clone().filter(|node| !gone.contains(&node.me())).count();
            0 < others && (ACKNOWLEDGED.min(there.len()) <= keepers.count() || gone.is_empty())
        }) && self.are_values_kept_without(&there, gone)
    }

    /// Which messages that were acknowledged are missing: on the root that should keep them, or on the screen of
    /// a member who stayed.
    pub fn lost(&self, network: &Network<Node>) -> Lost {
        let ring = Ring::of(network);
        let mut members: BTreeMap<&ChannelName, Vec<&Person>> = BTreeMap::new();
        for (_, person) in self.people.iter().filter(|(node, _)| network.get(**node).is_some()) {
            for channel in &person.joined {
                members.entry(channel).or_default().push(person);
            }
        }
        let mut lost = Lost::default();
        for (id, message) in self.messages.iter().filter(|(_, message)| message.must_be_kept()) {
            let Some(key) = message.key() else { continue };
            let is_known = message.is_held_by(id, ring.root(key.id()));
            let members = match &message.to {
                Recipient::Channel(channel) => members.get(channel),
                Recipient::Nick(_) | Recipient::Node(_) => None,
            };
            let missed = |person: &&&Person| !person.screen.has(id);
            let showings = members.into_iter().flatten().filter(missed).count() as u64;
            lost.messages += u64::from(!is_known || 0 < showings);
            lost.showings += showings;
        }
        lost
    }

    fn acknowledged<'a>(&'a self, network: &'a Network<Node>) -> impl Iterator<Item = Known<'a>> {
        let now = network.now();
        let messages = self.messages.iter().filter_map(|(id, message)| {
            let key = message.key()?.id();
            let is_certain = message.must_be_kept();
            let is_known = Box::new(move |node: &Node| message.is_held_by(id, node));
            Some(Known { key, is_certain, is_known })
        });
        // Who crashed may be forgotten; who is there, or went in good order, must not be mistaken.
        let people = self.people.iter().filter(|(node, _)| !self.has_crashed(network, **node));
        let names = people.clone().map(|(&node, person)| (node, &person.nick, !person.is_over));
        let starting = network.machines().filter(|node| !self.people.contains_key(&node.me()));
        let claimed = starting.map(|node| (node.me(), node.chat().nick(), true));
        let names = names.chain(claimed).map(move |(node, nick, is_held)| {
            let is_holder = move |holder: Option<&Claim>| holder.is_some_and(|claim| claim.holder == node);
            let is_known = move |other: &Node| {
                let claims = other.records().claims(nick);
                claims.is_some_and(|claims| is_holder(claims.holder(now)) == is_held)
            };
            let (key, is_certain) = (RecordKey::Name(nick.clone()).id(), self.people.contains_key(&node));
            Known { key, is_certain, is_known: Box::new(is_known) }
        });
        let members = people.flat_map(move |(&node, person)| {
            let joined = person.joined.iter().map(|channel| (channel, true));
            let left = person.left.iter().map(|channel| (channel, false));
            joined.chain(left).map(move |(channel, is_member)| {
                let is_known = move |other: &Node| {
                    let channel = other.records().channel(channel);
                    channel.is_some_and(|channel| channel.is_member(now, node) == is_member)
                };
                let key = RecordKey::Channel(channel.clone()).id();
                Known { key, is_certain: true, is_known: Box::new(is_known) }
            })
        });
        messages.chain(names).chain(members)
    }

    /// Whether the ring keeps what it needs without the nodes that are `gone`, also after each answer
    /// that is under way: then they may crash.
    ///
    /// What has been acknowledged must be on as many nodes as it was when it was: "no crash of fewer nodes
    /// than that loses it". Who comes and goes lowers the number for a round trip or two.
    pub fn may_crash(&self, network: &Network<Node>, gone: &[NodeHandle]) -> bool {
        let members = self.ring_members(|node, _| !gone.contains(&node));
        if members.is_empty() || !ring::is_robust(&members) || !self.is_kept_without(network, gone) {
            return false;
        }
        network.in_flight().all(|flight| {
            let changes_a_list = matches!(
                flight.message,
                Message::Neighbors { .. }
                    | Message::SameNeighbors { .. }
                    | Message::Place { .. }
                    | Message::Gone { .. }
            );
            let Some(node) = network.get(flight.to).filter(|_| changes_a_list && !gone.contains(&flight.to))
            else {
                return true;
            };
            let mut changed = node.clone();
            let input = Input::Message { from: flight.from, message: flight.message.clone() };
            changed.handle(network.now(), input, &mut Vec::new());
            let mut members: Vec<_> =
                members.iter().copied().filter(|member| member.node != flight.to).collect();
            members.push(ring::Member::from(changed.chord()));
            members.sort_by_key(|member| member.node.id());
            ring::is_robust(&members)
        })
    }
}

/// Something that was acknowledged.
struct Known<'a> {
    /// Where it lives.
    key: Id,
    /// Whether its author has heard that it was, and not only may hear so soon.
    is_certain: bool,
    /// Whether a node knows it.
    is_known: Box<dyn Fn(&Node) -> bool + 'a>,
}

/// The nodes that run, in the order of the ring.
struct Ring<'a> {
    nodes: Vec<&'a Node>,
    now: Time,
}

impl<'a> Ring<'a> {
    fn of(network: &'a Network<Node>) -> Ring<'a> {
        let mut nodes: Vec<&Node> = network.machines().collect();
        nodes.sort_by_key(|node| node.me().id());
        Ring { nodes, now: network.now() }
    }

    fn check(&self) -> Result<(), String> {
        if let Some(node) = self.nodes.iter().find(|node| !node.chord().is_member()) {
            return Err(format!("{:?} runs and is not a member", node.me()));
        }
        let members: Vec<_> = self.nodes.iter().map(|node| ring::Member::from(node.chord())).collect();
        ring::check(&members).map_err(|violation| violation.to_string())?;
        if ring::is_ideal(&members, SUCCESSORS) { Ok(()) } else { Err("the ring is not ideal".to_owned()) }
    }

    fn place(&self, key: Id) -> usize {
        self.nodes.partition_point(|node| node.me().id() < key) % self.nodes.len()
    }

    fn root(&self, key: Id) -> &'a Node {
        self.nodes[self.place(key)]
    }

    fn digest(&self, node: &Node, key: &RecordKey) -> u64 {
        node.records().digest(self.now, key, None)
    }

    /// Whoever keeps a record and need not any more knows nothing of it that its root does not: it will drop it.
    fn check_spare_copies(&self) -> Result<(), String> {
        for node in &self.nodes {
            for (key, id) in node.records().keys() {
                if self.digest(node, key) != self.digest(self.root(id), key) {
                    return Err(format!("{:?} has {key} as well, and knows something else of it", node.me()));
                }
            }
        }
        Ok(())
    }

    /// Every record is on its root, and the next nodes know the same of it.
    fn check_copies(&self) -> Result<(), String> {
        let keys: BTreeMap<&RecordKey, Id> =
            self.nodes.iter().flat_map(|node| node.records().keys()).collect();
        for (key, id) in keys {
            let root = self.place(id);
            let known = self.digest(self.nodes[root], key);
            for i in 1..COPIES.min(self.nodes.len()) {
                let copy = self.nodes[(root + i) % self.nodes.len()];
                if self.digest(copy, key) != known {
                    return Err(format!("{:?} does not know the same of {key} as its root", copy.me()));
                }
            }
        }
        match self.nodes.iter().find(|node| !node.records().is_settled(node.chord())) {
            Some(node) => Err(format!("{:?} is taking over a range", node.me())),
            None => Ok(()),
        }
    }
}
