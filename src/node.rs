//! A node: ring, records and chat as one value.

pub mod kept;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use crate::chat::ask::{Ask, Ticket};
use crate::chat::event::{Event, RingChange};
use crate::chat::payload::Payload;
use crate::chat::survey::Topic;
use crate::chat::{Chat, Context};
use crate::chord::{self, Chord, Failure, Message, Request, SUCCESSORS, Upcall};
use crate::id::{Id, NodeHandle};
use crate::machine::{Input, Machine, Output};
#[cfg(test)]
use crate::records::Mutant;
use crate::records::Records;
use crate::records::name::{Nick, Person};
use crate::time::Time;

/// How many requests wait while this node takes over the range of their key.
const WAITING_MAX: usize = 1024;

/// How long they wait; their origins send them again in the end.
const WAIT: Duration = Duration::from_secs(3);

/// What the user of a node can ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Create a ring, or join that of another node.
    Start {
        /// A node of the ring to join.
        bootstrap: Option<NodeHandle>,
    },
    /// A line as a person types it.
    Line(String),
    /// What a program asks: answered by [`Event::Answer`].
    Ask(Ticket, Ask),
    /// Leave in good order.
    Exit,
}

/// A node of the ring, and the chat of its user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    chord: Chord<Payload>,
    records: Records,
    chat: Chat,
    /// Requests for keys whose range this node is taking over.
    waiting: VecDeque<(Time, Id, Request<Payload>)>,
    /// If there is a disk: what changes is put out to be kept.
    disk: Option<kept::Disk>,
}

impl Node {
    /// The node `me` of the person `nick`, which begins at `now`.
    pub fn new(nick: Nick, me: NodeHandle, now: Time) -> Node {
        Node {
            chord: Chord::new(me, SUCCESSORS, now),
            records: Records::default(),
            chat: Chat::new(nick, me, now),
            waiting: VecDeque::new(),
            disk: None,
        }
    }

    /// The node `me` of the person `nick` in the ring of all `nodes`, as [`Chord::ideal`] makes it: with
    /// [`Command::Start`], it claims the name.
    pub fn ideal(nick: Nick, nodes: &[NodeHandle], me: NodeHandle, now: Time) -> Node {
        Node { chord: Chord::ideal(nodes, me, SUCCESSORS, now), ..Node::new(nick, me, now) }
    }

    /// Shows whoever joins a channel that many messages from before.
    pub fn with_history(mut self, history: usize) -> Node {
        self.chat.set_history(history);
        self
    }

    /// Its user is this person, who may have been here before.
    pub fn with_person(mut self, person: Person) -> Node {
        self.chat.set_person(person);
        self
    }

    /// With these options, which begin with a blank, whoever starts again with another nick is the same person:
    /// they are part of the advice when the nick is taken.
    pub fn with_data_options(mut self, options: String) -> Node {
        self.chat.set_data_options(options);
        self
    }

    /// Its part in the ring.
    pub fn chord(&self) -> &Chord<Payload> {
        &self.chord
    }

    /// What it keeps for the ring.
    pub fn records(&self) -> &Records {
        &self.records
    }

    #[cfg(test)]
    pub(crate) fn with_mutant(mut self, mutant: Option<Mutant>) -> Node {
        self.records.set_mutant(mutant);
        self
    }

    /// Its user's chat.
    pub fn chat(&self) -> &Chat {
        &self.chat
    }
}

impl Machine for Node {
    type Command = Command;
    type Event = Event;
    type Message = Message<Payload>;

    fn me(&self) -> NodeHandle {
        self.chord.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Command, Message<Payload>>,
        outputs: &mut Vec<Output<Event, Message<Payload>>>,
    ) {
        let was_over = self.chat.is_over();
        let start = outputs.len();
        let goes_on = self.chord.goes_on(now);
        let mut turn = Turn { node: self, now, events: Vec::new(), outputs };
        if goes_on {
            // What comes now was said while it stood still.
            turn.chat(Chat::on_return);
        }
        match input {
            Input::Command(command) => turn.on_command(command),
            Input::Message { from, message } => turn.on_ring_input(Input::Message { from, message }),
            Input::Unreachable { peer, undelivered } => {
                turn.on_ring_input(Input::Unreachable { peer, undelivered });
            }
            Input::Wakeup => {
                turn.on_ring_input(Input::Wakeup);
                turn.on_wakeup();
            }
        }
        turn.finish();
        turn.keep(start);
        if self.chat.is_over() && !was_over {
            outputs.push(Output::Stop);
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        let waiting = self.waiting.front().map(|&(deadline, ..)| deadline);
        [self.chord.next_wakeup(), self.records.next_wakeup(), self.chat.next_wakeup(), waiting]
            .into_iter()
            .flatten()
            .min()
    }

    fn lookup(&self, message: &Message<Payload>) -> Option<u64> {
        message.lookup_of(self.me())
    }

    fn topic(message: &Message<Payload>) -> Option<&'static str> {
        Topic::of(message).map(Topic::name)
    }
}

/// The reaction to one input.
struct Turn<'a> {
    node: &'a mut Node,
    now: Time,
    events: Vec<Event>,
    outputs: &'a mut Vec<Output<Event, Message<Payload>>>,
}

impl Turn<'_> {
    /// Lets the chat act on what it needs of the node.
    fn chat(&mut self, act: impl FnOnce(&mut Chat, &mut Context<'_>)) {
        let Node { chord, records, chat, .. } = &mut *self.node;
        act(chat, &mut Context { now: self.now, chord, records, events: &mut self.events });
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Start { bootstrap } => self.chat(|chat, cx| chat.start(cx, bootstrap)),
            Command::Line(line) => self.chat(|chat, cx| chat.on_line(cx, &line)),
            Command::Ask(ticket, ask) => self.chat(|chat, cx| chat.on_ask(cx, ticket, ask)),
            Command::Exit => self.chat(Chat::exit),
        }
    }

    fn on_ring_input(&mut self, input: Input<Infallible, Message<Payload>>) {
        self.node.chord.handle(self.now, input);
    }

    fn on_wakeup(&mut self) {
        self.node.records.on_wakeup(self.now, &mut self.node.chord);
        self.chat(Chat::on_wakeup);
    }

    /// Follows up until nothing is left to do, and hands everything out in order.
    fn finish(&mut self) {
        loop {
            while let Some(output) = self.node.chord.next_output() {
                match output {
                    chord::Output::Send { to, message } => {
                        self.node.chat.on_sent(self.now, to, &message);
                        self.outputs.push(Output::Send { to, message });
                    }
                    chord::Output::Upcall(upcall) => self.on_upcall(upcall),
                }
                self.hand_out_events();
            }
            for migrated in self.node.records.take_migrated() {
                self.chat(|chat, cx| chat.on_migrated(cx, migrated));
            }
            self.node.records.push(self.now, &mut self.node.chord);
            let behind = self.node.records.take_behind(&self.node.chord);
            self.chat(|chat, cx| chat.catch_up_members(cx, behind));
            let healed = self.node.records.take_healed();
            self.chat(|chat, cx| chat.on_records_healed(cx, healed));
            self.chat(Chat::finish_writes);
            self.release_waiting();
            self.hand_out_events();
            if !self.node.chord.has_output() {
                return;
            }
        }
    }

    fn hand_out_events(&mut self) {
        self.outputs.extend(self.events.drain(..).map(Output::Event));
    }

    fn on_upcall(&mut self, upcall: Upcall<Payload>) {
        match upcall {
            Upcall::Joined => self.chat(Chat::on_joined),
            Upcall::JoinFailed { via } => self.chat(|chat, cx| chat.on_ring_not_found(cx, via)),
            Upcall::Deliver { key, request } => self.on_deliver(key, request),
            Upcall::Receive { request } => self.on_receive(request),
            Upcall::Told { payload, .. } => self.chat(|chat, cx| chat.on_told(cx, payload)),
            Upcall::Reply { id, from, payload } => self.on_reply(id, from, payload),
            Upcall::Failed { id, why } => self.on_failed(id, why),
            Upcall::Update(update) => {
                self.node.chat.end_terms(update.range);
                self.node.records.on_update(self.now, &mut self.node.chord, update);
                if update.why == chord::Why::NewPredecessor
                    && let Some(peer) = update.peer
                {
                    self.ring_changed(RingChange::Predecessor, peer);
                }
            }
            Upcall::SuccessorsChanged { before } => self.on_successors_changed(before),
            Upcall::Lost(peer) => self.ring_changed(RingChange::Lost, peer),
            Upcall::NeighbourLeft(peer) => self.ring_changed(RingChange::Left, peer),
            Upcall::Traced { id, way } => self.chat(|chat, cx| chat.on_traced(cx, id, way)),
            Upcall::Left { to } => self.on_left(to),
            Upcall::LeaveFailed => self.chat(Chat::on_leave_refused),
            // A delivery that did not arrive: the member notices the gap, or its lease ends.
            Upcall::Undelivered { .. } => {}
            // Only asked for by the ring itself.
            Upcall::Root { .. } => {}
        }
    }

    fn on_deliver(&mut self, key: Id, request: Request<Payload>) {
        if matches!(request.payload, Payload::Records(_)) {
            return self.on_request(request);
        }
        if !self.may_be_root(key) {
            return self.node.chord.pass_on(self.now, key, request);
        }
        if self.serves(key) {
            return self.on_request(request);
        }
        if self.node.waiting.len() == WAITING_MAX
            && let Some((_, _, dropped)) = self.node.waiting.pop_front()
        {
            self.node.chord.drop_request(&dropped);
        }
        self.node.waiting.push_back((self.now + WAIT, key, request));
    }

    /// Only private messages, questions about the node itself, and what nodes say about copies, are for this very
    /// node.
    fn on_receive(&mut self, request: Request<Payload>) {
        match request.payload {
            Payload::Private(_) | Payload::Survey { .. } | Payload::Records(_) => self.on_request(request),
            // A confused peer: all else is for the root of a key.
            _ => self.node.chord.drop_request(&request),
        }
    }

    /// Whether `key` has no other root: one that came between since the request did is to answer it.
    fn may_be_root(&self, key: Id) -> bool {
        self.node.chord.is_root(key) != Some(false)
    }

    /// Whether this node acts as the root of `key`: it has taken over all there is, and does not hand over.
    fn serves(&self, key: Id) -> bool {
        self.node.records.is_ready(key) && !self.node.chat.is_handing_over()
    }

    /// The successor is the root now: what has waited goes there.
    fn on_left(&mut self, to: Option<NodeHandle>) {
        for (_, key, request) in std::mem::take(&mut self.node.waiting) {
            self.node.chord.pass_on(self.now, key, request);
        }
        self.chat(|chat, cx| chat.on_ring_left(cx, to));
    }

    fn release_waiting(&mut self) {
        if self.node.waiting.is_empty() {
            return;
        }
        for (deadline, key, request) in std::mem::take(&mut self.node.waiting) {
            if deadline <= self.now {
                // When its origin asks again, it counts as new.
                self.node.chord.drop_request(&request);
                continue;
            }
            if !self.may_be_root(key) {
                self.node.chord.pass_on(self.now, key, request);
            } else if self.serves(key) {
                self.on_request(request);
            } else {
                self.node.waiting.push_back((deadline, key, request));
            }
        }
    }

    fn on_request(&mut self, request: Request<Payload>) {
        let Payload::Records(message) = request.payload else {
            return self.chat(|chat, cx| chat.on_request(cx, request));
        };
        let Node { chord, records, .. } = &mut *self.node;
        if let Some(answer) = records.on_request(self.now, chord, request.origin, message) {
            // A repeat changes nothing more, and the answer may be large.
            chord.reply_read(self.now, request.origin, request.id, answer.into());
        }
    }

    fn on_reply(&mut self, id: u64, from: NodeHandle, payload: Payload) {
        let is_expected = match payload {
            Payload::Records(message) => {
                let Node { chord, records, .. } = &mut *self.node;
                records.on_reply(self.now, chord, id, from, message)
            }
            payload if self.node.chat.waits_for(id) => {
                self.chat(|chat, cx| chat.on_reply(cx, id, from, payload));
                true
            }
            _ => false,
        };
        if !is_expected {
            // A confused peer: it answers what was not asked.
            self.on_failed(id, Failure::NoAnswer);
        }
    }

    fn on_failed(&mut self, id: u64, why: Failure) {
        if !self.node.records.on_failed(self.now, &mut self.node.chord, id, why) {
            self.chat(|chat, cx| chat.on_failed(cx, id, why));
        }
    }

    fn on_successors_changed(&mut self, before: Option<NodeHandle>) {
        self.node.records.on_successors_changed(self.now, &mut self.node.chord);
        let now = self.node.chord.successors().first().copied();
        match now {
            Some(successor) if before != Some(successor) => {
                self.ring_changed(RingChange::Successor, successor);
            }
            Some(_) => {}
            None => {
                let me = self.node.chord.me();
                self.ring_changed(RingChange::Alone, me);
            }
        }
    }

    fn ring_changed(&mut self, change: RingChange, peer: NodeHandle) {
        self.chat(|chat, cx| chat.on_ring_change(cx, change, peer));
    }
}
