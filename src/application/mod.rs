//! Applications of the ring: commands that nodes have one another do, by key or by node.
//!
//! An [`Application`] is a value with functions.
//! A [`Host`] runs it on a node of a ring: it is a [`Machine`], for the
//! [`Driver`](crate::net::Driver) to run on the network, or for the
//! [simulator](crate::sim::network) to run with many others in one process.
//! The functions run one at a time, and return at once; none of them can block the node.
//!
//! The interface is the common API for key-based routing of Dabek, Zhao, Druschel, Kubiatowicz and
//! Stoica (IPTPS 2003), with named commands and answers on top.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use chord_chat::application::{Answer, Application, Command, Context, Host, Order, Reply, Request};
//! use chord_chat::id::{Id, NodeHandle};
//! use chord_chat::machine::{Input, Machine, Output};
//! use chord_chat::time::Time;
//!
//! /// Counts a word at the root of its key, and answers how often it has been counted.
//! const ADD: Command<String, u64> = Command::new("add");
//!
//! #[derive(Default)]
//! struct Tally(BTreeMap<String, u64>);
//!
//! impl Application for Tally {
//!     type Command = &'static str;
//!     type Event = String;
//!
//!     /// The user wants a word counted.
//!     fn on_command(&mut self, cx: &mut Context<Tally>, word: &'static str) {
//!         cx.request(Id::hash(word), ADD, word.to_owned(), Tally::added);
//!     }
//! }
//!
//! impl Tally {
//!     /// The root counts.
//!     fn add(&mut self, _: &mut Context<Tally>, request: Request<String, u64>) -> Answer<u64> {
//!         let count = self.0.entry(request.payload).or_default();
//!         *count += 1;
//!         Answer::Ok(*count)
//!     }
//!
//!     /// The origin tells its user.
//!     fn added(&mut self, cx: &mut Context<Tally>, reply: Reply<u64>) {
//!         cx.emit(match reply.answer {
//!             Ok(count) => format!("counted {count} times"),
//!             Err(failure) => format!("not counted: {failure}"),
//!         });
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Time::from_micros(1_767_225_600_000_000);
//! let mut host = Host::new(Tally::default(), NodeHandle::new("127.0.0.1:7000".parse()?), now);
//! host.register(ADD, Tally::add)?;
//!
//! let mut outputs = Vec::new();
//! host.handle(now, Input::Command(Order::Create), &mut outputs);
//! host.handle(now, Input::Command(Order::Command("rust")), &mut outputs);
//! assert_eq!(outputs, [Output::Event("counted 1 times".to_owned())]);
//! # Ok(())
//! # }
//! ```

mod command;
mod context;
mod registry;
pub mod builtin;
mod call;
mod leave;
mod value;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::call::{Call, PAYLOAD_BYTES_MAX, Payload, REASON_BYTES_MAX};
pub use self::command::{
    Answer, Command, Failure, Handler, MessageId, NAME_BYTES_MAX, Reply, ReplyHandler, Request, Ticket,
};
pub use self::context::Context;
use self::context::{Stage, Waiting};
pub use self::leave::{Departure, LEAVE_DEADLINE};
use self::registry::Arrived;
pub use self::registry::NotRegistered;
use crate::chord::{self, Chord, Range, SUCCESSORS, Upcall, Why};
use crate::id::{Id, NodeHandle};
use crate::machine::{Input, Machine, Output};
use crate::time::Time;

/// How many things a node does before it lets its driver go on, if they lead to ever more.
const STEPS_MAX: usize = 4096;

/// A program that runs on the nodes of a ring.
///
/// What is not wanted need not be written.
/// See [the module](self) for a whole one, and `examples/tally/` for one that hands over what it keeps.
pub trait Application: Sized + 'static {
    /// What whoever runs the node can ask for.
    type Command;
    /// What whoever runs the node is told, by [`Context::emit`].
    type Event: fmt::Debug;

    /// Does what whoever runs the node asks for.
    fn on_command(&mut self, cx: &mut Context<Self>, command: Self::Command);

    /// This node is a member of the ring.
    fn on_joined(&mut self, cx: &mut Context<Self>) {
        let _ = cx;
    }

    /// No place in the ring of `via` was found; [`Order::Join`] may be given again.
    fn on_join_failed(&mut self, cx: &mut Context<Self>, via: NodeHandle) {
        let _ = (cx, via);
    }

    /// The range of keys of which this node is the root has changed.
    fn on_update(&mut self, cx: &mut Context<Self>, update: Update) {
        let _ = (cx, update);
    }

    /// The successor list has changed; `before` was the successor.
    fn on_successors_changed(&mut self, cx: &mut Context<Self>, before: Option<NodeHandle>) {
        let _ = (cx, before);
    }

    /// A neighbour is there no longer.
    fn on_neighbour_gone(&mut self, cx: &mut Context<Self>, gone: Gone) {
        let _ = (cx, gone);
    }

    /// This node is about to leave: hand over to `successor` what it will be the root of, then call
    /// [`Context::handed_over`].
    ///
    /// Requests for keys of this node are held from now on, and passed on to the successor in the end;
    /// requests to this very node still come, until everything is handed over.
    /// If another node becomes the successor, this is called again, with that one.
    /// After [`LEAVE_DEADLINE`] the node goes as it is.
    fn on_leaving(&mut self, cx: &mut Context<Self>, successor: NodeHandle) {
        cx.handed_over(successor);
    }

    /// This node has left the ring; nothing is called afterwards.
    fn on_left(&mut self, cx: &mut Context<Self>, departure: Departure) {
        let _ = (cx, departure);
    }

    /// When [`Application::on_wakeup`] is due, if ever; asked after each thing that happens.
    fn next_wakeup(&self) -> Option<Time> {
        None
    }

    /// The time that [`Application::next_wakeup`] named has come.
    fn on_wakeup(&mut self, cx: &mut Context<Self>) {
        let _ = cx;
    }
}

/// What whoever runs a [`Host`] can ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order<C> {
    /// Start a ring of this node alone; only outside a ring.
    Create,
    /// Join the ring of another node; only outside a ring.
    Join(NodeHandle),
    /// Something for the application.
    Command(C),
    /// Leave in good order, and stop.
    Leave,
}

/// A change of the range of keys for which a node is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Update {
    /// Whether this node is now the root of the range, or no longer.
    pub gained: bool,
    /// The range.
    pub range: Range,
    /// Who is the root of the range if it was lost, and who was it if it was gained, as far as is known.
    pub peer: Option<NodeHandle>,
    /// The predecessor before; nobody if this node was alone or had just come.
    pub before: Option<NodeHandle>,
    /// The predecessor from now on; nobody if this node is alone.
    pub predecessor: Option<NodeHandle>,
    /// Why.
    pub why: Why,
}

/// How a neighbour has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gone {
    /// It does not answer any more.
    Lost(NodeHandle),
    /// It has left in good order.
    Left(NodeHandle),
}

/// A node of the ring that runs an [`Application`].
///
/// It is a value: it can be copied and compared if the application can, for the simulator to try every
/// order of what happens to it.
pub struct Host<A: Application> {
    application: A,
    cx: Context<A>,
    /// The predecessor that the application was told of last.
    predecessor: Option<NodeHandle>,
    /// Whether the end has come and the driver has not been told.
    stops: bool,
}

impl<A: Application> Host<A> {
    /// The node `me`, which begins at `now` and belongs to no ring yet.
    pub fn new(application: A, me: NodeHandle, now: Time) -> Host<A> {
        let cx = Context::new(Chord::new(me, SUCCESSORS, now), now);
        Host { application, cx, predecessor: None, stops: false }
    }

    /// Serves `command` from now on: when another node, or this one, asks for it, `handler` is called.
    ///
    /// A command that is registered already, or built in, stays as it is.
    ///
    /// ```
    /// # use chord_chat::application::{Answer, Application, Context, Host, Request};
    /// use chord_chat::application::{Command, NotRegistered, builtin};
    /// # use chord_chat::id::NodeHandle;
    /// # use chord_chat::time::Time;
    /// # struct App;
    /// # impl Application for App {
    /// #     type Command = ();
    /// #     type Event = ();
    /// #     fn on_command(&mut self, _: &mut Context<App>, _: ()) {}
    /// # }
    /// # let me = NodeHandle::new("127.0.0.1:7000".parse().unwrap());
    /// # let mut host = Host::new(App, me, Time::default());
    ///
    /// const HALF: Command<u64, u64> = Command::new("half");
    ///
    /// fn half(_: &mut App, _: &mut Context<App>, request: Request<u64, u64>) -> Answer<u64> {
    ///     match request.payload % 2 {
    ///         0 => Answer::Ok(request.payload / 2),
    ///         _ => Answer::refused("it is odd"),
    ///     }
    /// }
    ///
    /// assert_eq!(host.register(HALF, half), Ok(()));
    /// assert_eq!(host.register(HALF, half), Err(NotRegistered::Twice("half")));
    /// assert_eq!(
    ///     host.register(builtin::PING, |_, _, _| Answer::Ok(())),
    ///     Err(NotRegistered::BuiltIn("ping"))
    /// );
    /// assert!(host.unregister("half"));
    /// assert!(!host.unregister("half"));
    /// ```
    pub fn register<Q, R>(
        &mut self,
        command: Command<Q, R>,
        handler: Handler<A, Q, R>,
    ) -> Result<(), NotRegistered>
    where
        Q: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        self.cx.register(command, handler)
    }

    /// Serves the command of this name no longer; returns whether it was registered.
    /// Whoever asks for it gets [`Failure::UnknownCommand`].
    pub fn unregister(&mut self, name: &str) -> bool {
        self.cx.unregister(name)
    }

    /// The application.
    pub fn application(&self) -> &A {
        &self.application
    }

    /// Its part in the ring.
    pub fn chord(&self) -> &Chord<Call> {
        &self.cx.chord
    }
}

impl<A: Application> Machine for Host<A> {
    type Command = Order<A::Command>;
    type Event = A::Event;
    type Message = chord::Message<Call>;

    fn me(&self) -> NodeHandle {
        self.cx.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Order<A::Command>, chord::Message<Call>>,
        outputs: &mut Vec<Output<A::Event, chord::Message<Call>>>,
    ) {
        self.cx.now = now;
        match input {
            Input::Command(order) => self.on_order(order),
            Input::Message { from, message } => self.cx.chord.handle(now, Input::Message { from, message }),
            Input::Unreachable { peer, undelivered } => {
                self.cx.chord.handle(now, Input::Unreachable { peer, undelivered });
            }
            Input::Wakeup => self.on_wakeup(),
        }
        for _ in 0..STEPS_MAX {
            if !self.take_step(outputs) {
                break;
            }
        }
        if self.stops && !self.has_more_to_do() {
            self.stops = false;
            outputs.push(Output::Stop);
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        let now = self.has_more_to_do().then_some(self.cx.now);
        let leave = match &self.cx.stage {
            Stage::Leaving(leaving) => Some(leaving.next_wakeup()),
            Stage::Left => return now,
            Stage::Outside | Stage::Joining | Stage::Member => None,
        };
        let application = self.application.next_wakeup();
        [now, leave, application, self.cx.chord.next_wakeup()].into_iter().flatten().min()
    }

    fn lookup(&self, message: &chord::Message<Call>) -> Option<u64> {
        message.lookup_of(self.me())
    }
}

impl<A: Application> Host<A> {
    fn on_order(&mut self, order: Order<A::Command>) {
        let now = self.cx.now;
        match (order, &self.cx.stage) {
            (Order::Create, Stage::Outside) => self.cx.chord.create(now),
            (Order::Join(via), Stage::Outside) => {
                self.cx.stage = Stage::Joining;
                self.cx.chord.join(now, via);
            }
            // A confused user: it belongs to a ring, or has left it.
            (Order::Create | Order::Join(_), _) | (Order::Command(_), Stage::Left) => {}
            (Order::Command(command), _) => self.application.on_command(&mut self.cx, command),
            (Order::Leave, _) => self.cx.leave(),
        }
    }

    fn on_wakeup(&mut self) {
        let now = self.cx.now;
        self.cx.chord.handle(now, Input::Wakeup);
        self.leave_when_due();
        if self.cx.stage != Stage::Left && self.application.next_wakeup().is_some_and(|due| due <= now) {
            self.application.on_wakeup(&mut self.cx);
        }
    }

    fn has_more_to_do(&self) -> bool {
        let cx = &self.cx;
        cx.wants_to_leave
            || cx.handed_over_to.is_some()
            || !cx.failed.is_empty()
            || !cx.events.is_empty()
            || cx.chord.has_output()
    }

    /// Does the next thing that what was done before has led to; returns whether there was one.
    fn take_step(&mut self, outputs: &mut Vec<Output<A::Event, chord::Message<Call>>>) -> bool {
        outputs.extend(self.cx.events.drain(..).map(Output::Event));
        if std::mem::take(&mut self.cx.wants_to_leave) {
            self.begin_to_leave();
        } else if let Some(successor) = self.cx.handed_over_to.take() {
            self.on_handed_over(successor);
        } else if let Some((id, failure)) = self.cx.failed.pop_front() {
            self.on_failed(id, failure);
        } else {
            match self.cx.chord.next_output() {
                Some(chord::Output::Send { to, message }) => outputs.push(Output::Send { to, message }),
                // Nobody is called after the end.
                Some(chord::Output::Upcall(_)) if self.cx.stage == Stage::Left => {}
                Some(chord::Output::Upcall(upcall)) => self.on_upcall(upcall),
                None => return false,
            }
        }
        true
    }

    fn on_upcall(&mut self, upcall: Upcall<Call>) {
        match upcall {
            Upcall::Joined => {
                self.cx.stage = Stage::Member;
                self.application.on_joined(&mut self.cx);
            }
            Upcall::JoinFailed { via } => {
                self.cx.stage = Stage::Outside;
                self.application.on_join_failed(&mut self.cx, via);
            }
            Upcall::Deliver { key, request } if matches!(self.cx.stage, Stage::Leaving(_)) => {
                self.hold(Some(key), request);
            }
            Upcall::Deliver { key, request } => self.serve(Some(key), request),
            Upcall::Receive { request } => self.serve(None, request),
            Upcall::Reply { id, from, payload } => self.on_reply(id, from, payload),
            Upcall::Root { id, root, .. } => self.on_root(id, root),
            Upcall::Failed { id, why } => self.on_failed(id, why.into()),
            Upcall::Update(update) => self.on_update(update),
            Upcall::SuccessorsChanged { before } => {
                self.application.on_successors_changed(&mut self.cx, before);
                self.hand_over_to_another();
            }
            Upcall::Lost(peer) => self.application.on_neighbour_gone(&mut self.cx, Gone::Lost(peer)),
            Upcall::NeighbourLeft(peer) => self.application.on_neighbour_gone(&mut self.cx, Gone::Left(peer)),
            Upcall::Left { to } => self.end(to.map_or(Departure::Alone, Departure::To)),
            Upcall::LeaveFailed => self.on_leave_failed(),
            // A host says nothing without asking for an answer, and asks for no trace.
            Upcall::Told { .. } | Upcall::Undelivered { .. } | Upcall::Traced { .. } => {}
        }
    }

    fn on_update(&mut self, update: chord::Update) {
        let chord::Update { gained, range, peer, why, .. } = update;
        let predecessor = if gained { self.known_node(range.from) } else { peer };
        let before = std::mem::replace(&mut self.predecessor, predecessor);
        // Who joins gets a part of what the successor had.
        let peer = if why == Why::Joined { self.cx.successor() } else { peer };
        self.application.on_update(&mut self.cx, Update { gained, range, peer, before, predecessor, why });
    }

    fn known_node(&self, id: Id) -> Option<NodeHandle> {
        let known = self.cx.predecessor().into_iter().chain(self.cx.successors().iter().copied());
        known.chain(self.predecessor).find(|node| node.id() == id)
    }

    /// Has the application do what another node asks for, and answers.
    fn serve(&mut self, key: Option<Id>, request: chord::Request<Call>) {
        let chord::Request { origin, id, ref payload } = request;
        // A confused peer: it asks with an answer.
        let Call::Command { name, root_of, .. } = payload else { return };
        let leaving = match &self.cx.stage {
            Stage::Leaving(leaving) => Some(leaving),
            _ => None,
        };
        let is_root = |key| leaving.is_none() && self.cx.is_root(key) == Some(true);
        let answer = match (builtin::answer(&self.cx, name), self.cx.registry.get(name)) {
            _ if key.is_none() && root_of.is_some_and(|key| !is_root(key)) => Some(Call::NotRoot),
            (Some(answer), _) => Some(answer),
            (None, None) => Some(Call::UnknownCommand),
            _ if leaving.is_some_and(leave::Leaving::is_departing) => return self.hold(None, request),
            (None, Some(serve)) => {
                let key = key.or(*root_of);
                serve(&mut self.application, &mut self.cx, Arrived { key, request })
            }
        };
        if let Some(answer) = answer {
            self.cx.chord.reply(self.cx.now, origin, id, answer);
        }
    }

    fn on_reply(&mut self, id: MessageId, from: NodeHandle, call: Call) {
        if let Some(Waiting::Reply(resume)) = self.cx.waiting.remove(&id) {
            let reply = Reply { id, from: Some(from), answer: call.into_answer() };
            resume(&mut self.application, &mut self.cx, reply);
        }
    }

    fn on_root(&mut self, id: MessageId, root: NodeHandle) {
        // The ring's own lookups are seen to by the ring.
        if let Some(Waiting::Root(then)) = self.cx.waiting.remove(&id) {
            then(&mut self.application, &mut self.cx, Reply { id, from: Some(root), answer: Ok(root) });
        }
    }

    fn on_failed(&mut self, id: MessageId, failure: Failure) {
        if let Some(waiting) = self.cx.waiting.remove(&id) {
            self.fail(id, &waiting, failure);
        }
    }

    fn fail(&mut self, id: MessageId, waiting: &Waiting<A>, failure: Failure) {
        let (application, cx) = (&mut self.application, &mut self.cx);
        match waiting {
            Waiting::Root(then) => then(application, cx, Reply { id, from: None, answer: Err(failure) }),
            Waiting::Reply(resume) => resume(application, cx, Reply { id, from: None, answer: Err(failure) }),
        }
    }
}
