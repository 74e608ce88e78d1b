//! All peers of a node: their queues and their connections.
//!
//! ```text
//!                 send                     Welcome              idle, or the peer's goodbye
//!  (no entry) ───────────► Dialling ─────────────────► Open ─────────────────► Closing
//!      │                      │ Duplicate                ▲                        │
//!      │                      └────────────► Awaiting ───┤                        │ both goodbyes
//!      └─────────────────────────────────────────────────┘ the peer calls         ▼
//!                                                                       (no entry) or Dialling
//! ```
//!
//! Every state has a deadline, and every way out that is not a goodbye tells the machine
//! `Unreachable`, with what is certain not to have been delivered.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::clock::Clock;
use super::frames::{Batch, Ended};
use super::goodbye::Closing;
use super::greeting::{Greeted, Greeter};
use super::meeting::Met;
use super::outbox::{Outbox, TooLong};
use super::parting::Parting;
use super::traffic::Traffic;
use crate::id::NodeHandle;
use crate::time::Time;

/// How many reports may wait for the driver.
const REPORTS_MAX: usize = 128;

/// How many callers are told at a time why they are refused; to more, the connection just ends.
const REFUSALS_MAX: usize = 128;

/// What the tasks tell the driver.
#[derive(Debug)]
pub(super) enum Report<T> {
    Messages(Batch<T>),
    Ended { link: LinkName, how: Ended },
    Writable { link: LinkName, half: OwnedWriteHalf },
    Dialled { link: LinkName, answer: Result<Greeted, Parting> },
    Called(Greeted),
    Parted { address: SocketAddr, why: Parting },
}

/// What the driver is told by its peers.
#[derive(Debug)]
pub(super) enum Heard<T> {
    /// A message of this node to itself.
    Own(T),
    Unreachable {
        peer: NodeHandle,
        undelivered: Vec<T>,
    },
    Parted {
        address: SocketAddr,
        why: Parting,
    },
    TooLong {
        to: NodeHandle,
        bytes: usize,
    },
}

/// A connection, or the attempt at one: a peer may have several, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkName {
    pub peer: NodeHandle,
    pub number: u64,
}

pub(super) struct Peer {
    pub state: State,
    /// What goes to the connection, or waits for one.
    pub outbox: Outbox,
    /// When the last frame went or came.
    pub used: Instant,
    /// When the connection was made; if it is not yet, when the first attempt began.
    pub since: Instant,
    /// How many messages came over the connection.
    pub received: u64,
    /// Whether it is among `dirty`.
    pub is_dirty: bool,
}

pub(super) enum State {
    Dialling {
        number: u64,
        task: AbortHandle,
    },
    /// The peer is dialling too, and its connection is the one that is kept.
    Awaiting {
        until: Instant,
    },
    Open(Link),
    Closing(Link, Closing),
}

impl Peer {
    /// A connection, or an attempt at one, that begins now.
    pub fn new(state: State, outbox: Outbox, now: Instant) -> Peer {
        Peer { state, outbox, used: now, since: now, received: 0, is_dirty: false }
    }
}

/// The driver's end of a connection.
pub(super) struct Link {
    pub number: u64,
    /// The moment of the peer's greeting.
    pub moment: Time,
    pub reader: AbortHandle,
    pub writer: Writer,
    /// Since when the peer has read nothing of what waits for it.
    pub stalled: Option<Instant>,
}

pub(super) enum Writer {
    Ready(OwnedWriteHalf),
    /// The write half is with a task that waits until it can write again.
    Blocked(AbortHandle),
    /// The connection broke; its reader is about to say so.
    Broken,
    /// All was written, the goodbye too.
    Shut,
}

impl Link {
    /// Ends the connection without a goodbye.
    pub fn abort(self) {
        self.reader.abort();
        if let Writer::Blocked(task) = self.writer {
            task.abort();
        }
    }
}

pub(super) struct Peers<T> {
    pub greeter: Greeter,
    pub clock: Clock,
    pub traffic: Traffic,
    pub peers: HashMap<NodeHandle, Peer>,
    /// Whom this node has met not long ago.
    pub met: HashMap<NodeHandle, Met>,
    pub tasks: JoinSet<()>,
    /// One permit for each caller that is being refused.
    pub refusals: Arc<Semaphore>,
    pub reports: mpsc::Sender<Report<T>>,
    /// What the driver has to be told.
    pub heard: VecDeque<Heard<T>>,
    /// The time of this turn.
    pub now: Instant,
    /// The node has left: no new connections, and each open one is closed.
    pub is_stopping: bool,
    /// Those who may have something unwritten since the last flush.
    dirty: Vec<NodeHandle>,
    /// No deadline is earlier than this.
    check_at: Option<Instant>,
    numbers: u64,
    last_moment: Time,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Peers<T> {
    pub fn new(greeter: Greeter, clock: Clock, traffic: Traffic) -> (Peers<T>, mpsc::Receiver<Report<T>>) {
        let (reports, receiver) = mpsc::channel(REPORTS_MAX);
        let peers = Peers {
            greeter,
            clock,
            traffic,
            peers: HashMap::new(),
            met: HashMap::new(),
            tasks: JoinSet::new(),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            reports,
            heard: VecDeque::new(),
            now: Instant::now(),
            is_stopping: false,
            dirty: Vec::new(),
            check_at: None,
            numbers: 0,
            last_moment: Time::default(),
        };
        (peers, receiver)
    }

    /// What a task has found out; messages are given back, they are the machine's.
    pub fn on_report(&mut self, report: Report<T>) -> Option<Batch<T>> {
        match report {
            Report::Messages(batch) => {
                self.on_messages(batch.link.peer, batch.messages.len() as u64);
                return Some(batch);
            }
            Report::Ended { link, how } => self.on_ended(link, &how),
            Report::Writable { link, half } => self.on_writable(link, half),
            Report::Dialled { link, answer } => self.on_dialled(link, answer),
            Report::Called(greeted) => self.on_called(greeted),
            Report::Parted { address, why } => self.heard.push_back(Heard::Parted { address, why }),
        }
        // Whoever reports this is about to end.
        self.reap();
        None
    }

    /// Collects the tasks that have ended.
    pub fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                resume_unwind(error.into_panic());
            }
        }
    }

    /// Queues `message` for `to`, and dials if there is no connection.
    pub fn send(&mut self, to: NodeHandle, message: T) {
        if to == self.greeter.me {
            self.heard.push_back(Heard::Own(message));
            return;
        }
        if !self.peers.contains_key(&to) {
            if !self.make_room() {
                self.heard.push_back(Heard::Unreachable { peer: to, undelivered: vec![message] });
                return;
            }
            self.dial(to, Outbox::default());
        }
        let peer = self.peers.get_mut(&to).expect("it was there, or it was dialled just now");
        let outbox = match &mut peer.state {
            State::Closing(_, closing) => &mut closing.later,
            State::Dialling { .. } | State::Awaiting { .. } | State::Open(_) => &mut peer.outbox,
        };
        if let Err(TooLong { bytes }) = outbox.push(&message) {
            self.heard.push_back(Heard::TooLong { to, bytes });
            return;
        }
        if outbox.is_full() {
            self.flush_one(to);
            self.give_up_if_full(to);
        } else {
            self.soil(to);
        }
    }

    /// Remembers that there is something to write.
    pub fn soil(&mut self, peer: NodeHandle) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && !entry.is_dirty
        {
            entry.is_dirty = true;
            self.dirty.push(peer);
        }
    }

    /// Writes what was queued since the last time: one write for each peer.
    pub fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for peer in dirty.drain(..) {
            self.flush_one(peer);
        }
        // Those that became dirty meanwhile have their turn next.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub fn flush_one(&mut self, peer: NodeHandle) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.is_dirty = false;
        let (State::Open(link) | State::Closing(link, _)) = &mut entry.state else { return };
        let Writer::Ready(half) = &link.writer else { return };
        let queued = entry.outbox.bytes();
        let before = entry.outbox.messages_written();
        let written = write_all(half, &mut entry.outbox);
        self.traffic.count_sent(entry.outbox.messages_written() - before);
        if entry.outbox.bytes() < queued {
            entry.used = self.now;
            link.stalled = None;
        }
        match written {
            Written::All => {}
            Written::Blocked => {
                let since = *link.stalled.get_or_insert(self.now);
                lend(link, peer, &mut self.tasks, self.reports.clone());
                self.check_by(since + self.greeter.config.stalled);
            }
            Written::Failed => link.writer = Writer::Broken,
        }
        self.after_flush(peer);
    }

    pub fn on_writable(&mut self, link: LinkName, half: OwnedWriteHalf) {
        if let Some(open) = self.link(link) {
            open.writer = Writer::Ready(half);
            self.flush_one(link.peer);
        }
    }

    /// The connection of this name, if it is still the peer's.
    pub fn link(&mut self, name: LinkName) -> Option<&mut Link> {
        match &mut self.peers.get_mut(&name.peer)?.state {
            State::Open(link) | State::Closing(link, _) if link.number == name.number => Some(link),
            _ => None,
        }
    }

    /// So many messages came from `peer`.
    fn on_messages(&mut self, peer: NodeHandle, count: u64) {
        self.traffic.count_received(count);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.used = self.now;
            entry.received += count;
        }
    }

    fn give_up_if_full(&mut self, peer: NodeHandle) {
        let Some(entry) = self.peers.get(&peer) else { return };
        let later_is_full = match &entry.state {
            State::Closing(_, closing) => closing.later.is_full(),
            _ => false,
        };
        if later_is_full || entry.outbox.is_full() {
            self.give_up(peer);
        }
    }

    /// Ends whatever connection there is, and tells the machine what did not get through.
    pub fn give_up(&mut self, peer: NodeHandle) {
        let Some(entry) = self.peers.remove(&peer) else { return };
        let mut undelivered = entry.outbox.undelivered();
        match entry.state {
            State::Dialling { task, .. } => task.abort(),
            State::Awaiting { .. } => {}
            State::Open(link) => link.abort(),
            State::Closing(link, closing) => {
                link.abort();
                undelivered.extend(closing.later.undelivered());
                // The caller was heard while the old connection lived: it is a new start.
                if let Some(greeted) = closing.parked {
                    self.heard.push_back(Heard::Unreachable { peer, undelivered });
                    self.open(*greeted, Outbox::default());
                    return;
                }
            }
        }
        self.heard.push_back(Heard::Unreachable { peer, undelivered });
    }

    /// The next deadline.
    pub fn check_at(&self) -> Option<Instant> {
        self.check_at
    }

    pub fn check_by(&mut self, at: Instant) {
        self.check_at = Some(self.check_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Does what is due.
    pub fn check(&mut self) {
        if self.check_at.is_none_or(|at| self.now < at) {
            return;
        }
        self.check_at = None;
        let deadlines: Vec<_> =
            self.peers.iter().filter_map(|(peer, entry)| Some((*peer, self.deadline(entry)?))).collect();
        for (peer, deadline) in deadlines {
            match deadline {
                Deadline::GiveUp(at) if at <= self.now => self.give_up(peer),
                Deadline::Close(at) if at <= self.now => self.close(peer),
                Deadline::GiveUp(at) | Deadline::Close(at) => self.check_by(at),
            }
        }
    }

    fn deadline(&self, entry: &Peer) -> Option<Deadline> {
        let config = &self.greeter.config;
        match &entry.state {
            // The dialling task has its own.
            State::Dialling { .. } => None,
            State::Awaiting { until } => Some(Deadline::GiveUp(*until)),
            State::Closing(_, closing) => {
                Some(Deadline::GiveUp(closing.until.max(entry.used + config.goodbye)))
            }
            State::Open(link) => Some(match link.stalled {
                Some(since) => Deadline::GiveUp(since + config.stalled),
                None => Deadline::Close(entry.used + config.idle),
            }),
        }
    }

    /// A number for a new connection.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The moment for a greeting, later than that of every greeting before.
    pub fn moment(&mut self) -> Time {
        let tick = self.last_moment + Duration::from_micros(1);
        self.last_moment = self.clock.now().max(tick);
        self.last_moment
    }
}

enum Deadline {
    GiveUp(Instant),
    Close(Instant),
}

enum Written {
    All,
    Blocked,
    Failed,
}

fn write_all(half: &OwnedWriteHalf, outbox: &mut Outbox) -> Written {
    while !outbox.is_empty() {
        match half.try_write(outbox.unwritten()) {
            Ok(bytes) => outbox.wrote(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
            Err(_) => return Written::Failed,
        }
    }
    Written::All
}

/// Lends the write half to a task that waits until the peer has read something.
fn lend<T: Send + 'static>(
    link: &mut Link,
    peer: NodeHandle,
    tasks: &mut JoinSet<()>,
    reports: mpsc::Sender<Report<T>>,
) {
    let Writer::Ready(half) = std::mem::replace(&mut link.writer, Writer::Broken) else { return };
    let name = LinkName { peer, number: link.number };
    link.writer = Writer::Blocked(tasks.spawn(async move {
        // An error shows when the driver writes; without a driver nobody wants the half back.
        let _ = half.writable().await;
        let _ = reports.send(Report::Writable { link: name, half }).await;
    }));
}
