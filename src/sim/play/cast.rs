//! The people of a play, and what they do.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use super::{Plan, Play, Told, What, part};
use crate::chat::event::Recipient;
use crate::chat::history::HISTORY_MAX;
use crate::id::NodeHandle;
use crate::node::kept::Kept;
use crate::node::{Command, Node};
use crate::records::channel::LOG_MAX;
use crate::records::name::{Nick, Person};
use crate::sim::START;

/// The channels of a play.
pub(super) const CHANNELS: [&str; 3] = ["rust", "chord", "tea"];

/// The keys under which values are kept.
const KEYS: [&str; 3] = ["apple", "pear", "plum"];

/// The name of the network, as it is kept on each disk.
const NETWORK: &str = "play";

/// How long people wait at least and at most, on average, between two things that they do.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Who is there, or was.
#[derive(Debug, Default)]
pub(super) struct Cast {
    people: BTreeMap<NodeHandle, Guest>,
    texts: u64,
    /// How many values were written.
    values: u64,
}

#[derive(Debug)]
struct Guest {
    nick: Nick,
    /// By how much the clock of their node is ahead.
    skew: Duration,
    has_exited: bool,
}

impl Cast {
    pub(super) fn nick(&self, node: NodeHandle) -> &Nick {
        &self.people.get(&node).expect("whoever plays has come").nick
    }

    pub(super) fn has_exited(&self, node: NodeHandle) -> bool {
        self.people.get(&node).is_some_and(|guest| guest.has_exited)
    }

    /// How many messages were said.
    pub(super) fn said(&self) -> u64 {
        self.texts
    }
}

/// How long people wait, on average, between two things that they do: not so short that a channel
/// outgrows its log, for then not all that was stored can be looked for in the end.
pub(super) fn pause(plan: &Plan) -> Duration {
    // About half of what people do is to send two messages to one of the channels.
    let acts_max = LOG_MAX as u32 * CHANNELS.len() as u32 / 2;
    (plan.length / acts_max).clamp(PAUSE.0, PAUSE.1)
}

impl<F: FnMut(Told<'_>) + 'static> Play<F> {
    /// Someone comes, through a node that is there.
    pub(super) fn comes(&mut self) {
        let number = 1 + self.cast.people.len() as u32;
        let [_, a, b, c] = number.to_be_bytes();
        let me = NodeHandle::new(([10, a, b, c], 7000).into());
        let nick: Nick = format!("n{number}").parse().expect("a letter and digits are a name");
        let bootstrap = self.someone();
        let skew = Duration::from_millis(self.network.rng().random_range(0..500));
        self.cast.people.insert(me, Guest { nick, skew, has_exited: false });
        self.starts(me, bootstrap);
    }

    /// Someone comes back whose node was killed, where it was, through a node that it knew and that answers.
    ///
    /// If none does, it begins a ring; but who was killed before it could keep anyone needs to be told of one.
    pub(super) fn comes_back(&mut self, me: NodeHandle) {
        let known = Kept::read(self.network.on_disk(me)).known;
        let answers = |&node: &NodeHandle| {
            let is_there = self.network.get(node).is_some() && !self.network.is_frozen(node);
            is_there && self.network.reached_since(me, node).is_some()
        };
        // All are asked at the same time, and the first answer counts.
        let answering: Vec<NodeHandle> = known.iter().copied().filter(answers).collect();
        let bootstrap = match answering.len() {
            0 if known.is_empty() => match self.someone() {
                Some(other) => Some(other),
                None => return,
            },
            0 => None,
            many => Some(answering[self.network.rng().random_range(0..many)]),
        };
        self.note(&format!("{} is started again", self.cast.nick(me)));
        self.starts(me, bootstrap);
    }

    fn starts(&mut self, me: NodeHandle, bootstrap: Option<NodeHandle>) {
        let Guest { nick, skew, .. } = &self.cast.people[&me];
        let (nick, skew) = (nick.clone(), *skew);
        let now = self.network.now() + skew;
        let mut node = Node::new(nick, me, now).with_history(HISTORY_MAX);
        if 0 < self.plan.restarts + self.plan.blackouts {
            let kept = Kept::read(self.network.on_disk(me));
            assert_eq!(kept.unreadable, 0, "what a node keeps can be read");
            node = node.with_disk(now, kept, Person::of_node(me.id()), NETWORK);
        }
        #[cfg(test)]
        let node = node.with_mutant(self.mutant);
        self.network.add_ahead(node, skew);
        self.network.command(me, Command::Start { bootstrap });
    }

    /// Who is there, not frozen, and has a name.
    pub(super) fn ready(&self) -> Vec<NodeHandle> {
        let ready = self.network.machines().filter(|node| node.chat().is_ready());
        ready.map(|node| node.chord().me()).filter(|&node| !self.network.is_frozen(node)).collect()
    }

    pub(super) fn someone(&mut self) -> Option<NodeHandle> {
        let ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        let index = self.network.rng().random_range(0..ready.len());
        Some(ready[index])
    }

    pub(super) fn pick_channel(&mut self) -> &'static str {
        CHANNELS[self.network.rng().random_range(0..CHANNELS.len())]
    }

    pub(super) fn line(&mut self, node: NodeHandle, line: String) {
        let at = self.network.now().since(START);
        (self.tell.borrow_mut())(Told { at, what: What::Line(node, &line) });
        self.network.command(node, Command::Line(line));
    }

    /// Someone does something.
    pub(super) fn act(&mut self) {
        let Some(someone) = self.someone() else { return };
        let channel = self.pick_channel();
        let there = self.network.machines().count();
        match self.network.rng().random_range(0..100) {
            0..50 => self.send(someone, channel),
            50..65 => self.private(someone),
            65..82 => self.line(someone, format!("join {channel}")),
            82..90 => self.leave(someone, channel),
            90..92 if self.plan.nodes as usize / 2 < there => self.exit(someone),
            92..96 if there < self.plan.nodes as usize => self.comes(),
            96..100 => self.value(someone),
            _ => self.send(someone, channel),
        }
    }

    fn leave(&mut self, node: NodeHandle, channel: &str) {
        let name = channel.parse().expect("the channels of a play have good names");
        self.oracle.borrow_mut().will_leave(node, name);
        self.line(node, format!("leave {channel}"));
    }

    /// Who would leave nobody in their part of the network stays: nobody else has what was said there.
    fn exit(&mut self, node: NodeHandle) {
        let part_of = |node| self.salt.map(|salt| part(salt, node));
        let stays = |other| other != node && part_of(other) == part_of(node) && !self.cast.has_exited(other);
        let has_others = self.ready().into_iter().any(stays)
            && self.network.get(node).is_some_and(|node| !node.chord().successors().is_empty());
        if has_others && !self.are_forgotten_without(&[node]) {
            if let Some(guest) = self.cast.people.get_mut(&node) {
                guest.has_exited = true;
            }
            self.line(node, "exit".to_owned());
        }
    }

    fn text(&mut self) -> String {
        self.cast.texts += 1;
        format!("text {}", self.cast.texts)
    }

    fn send(&mut self, author: NodeHandle, channel: &str) {
        let name = channel.parse().expect("the channels of a play have good names");
        let to = Recipient::Channel(name);
        for _ in 0..self.network.rng().random_range(1..=3) {
            let text = self.text();
            self.oracle.borrow_mut().will_say(author, to.clone(), &text);
            self.line(author, format!("send {channel} {text}"));
        }
    }

    /// A private message to someone who is there, or was.
    fn private(&mut self, author: NodeHandle) {
        let index = self.network.rng().random_range(0..self.cast.people.len());
        let Some(nick) = self.cast.people.values().nth(index).map(|guest| guest.nick.clone()) else { return };
        let text = self.text();
        self.oracle.borrow_mut().will_say(author, Recipient::Nick(nick.clone()), &text);
        self.line(author, format!("msg {nick} {text}"));
    }

    /// A value is written, looked at or deleted.
    fn value(&mut self, node: NodeHandle) {
        let key = KEYS[self.network.rng().random_range(0..KEYS.len())];
        let line = match self.network.rng().random_range(0..8) {
            0..4 => {
                self.cast.values += 1;
                let text = format!("value {}", self.cast.values);
                let name = key.parse().expect("the keys of a play are good ones");
                self.oracle.borrow_mut().will_put(&name, &text);
                format!("put {key} {text}")
            }
            4..7 => format!("get {key}"),
            _ => format!("del {key}"),
        };
        self.line(node, line);
    }
}
