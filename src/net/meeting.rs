//! One connection for each pair of nodes, also when both call at the same time.
//!
//! ```text
//! A (smaller id)                                   B
//!   │ ── X: Talk, moment 5 ──►    ◄── Y: Talk, 7 ── │   both are dialling
//!   │ ── Y: Duplicate ─────────────────────────────►│   A's call is the one that is kept
//!   │ ◄───────────────────────── X: Welcome, 9 ──   │   B gives Y up when it hears X
//! ```
//!
//! No message is written before the Welcome, so giving a call up loses nothing.
//!
//! A call that comes while there is a connection is either *older* than it (Y, when X was
//! welcomed first: B has given Y up, or is about to) or a *new start* (B has crashed, or has
//! found the connection broken before A did). The moments tell: B's Welcome on X said 9;
//! a call of B's with a smaller moment is older, one with a greater moment is a new start.
//! A call may be so late that the connection, too, has ended: for a while, the last moment of
//! a peer is remembered.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::frames::Reader;
use super::greeting::{Greeted, Word};
use super::outbox::Outbox;
use super::parting::Parting;
use super::peers::{Heard, Link, LinkName, Peer, Peers, Report, State, Writer};
use crate::id::NodeHandle;
use crate::time::Time;

/// By how many `connections_max` may be exceeded for a moment: each connection beyond it has
/// asked another one to close. Beyond this, nothing new begins.
const OVERFLOW_MAX: usize = 128;

/// When a peer has last called this node, or welcomed it.
pub(super) struct Met {
    /// By the peer's clock.
    moment: Time,
    /// How long this matters, by ours.
    until: Instant,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Peers<T> {
    /// Calls `peer`; `outbox` is what it shall get.
    pub fn dial(&mut self, peer: NodeHandle, outbox: Outbox) {
        let name = LinkName { peer, number: self.number() };
        let moment = self.moment();
        let greeter = self.greeter.clone();
        let reports = self.reports.clone();
        let task = self.tasks.spawn(async move {
            let answer = match greeter.call(peer.addr(), Word::Talk, moment).await {
                Ok(greeted) if greeted.peer != peer => Err(Parting::Another(greeted.peer)),
                answer => answer,
            };
            // Without a driver there is nobody to tell.
            let _ = reports.send(Report::Dialled { link: name, answer }).await;
        });
        let state = State::Dialling { number: name.number, task };
        self.peers.insert(peer, Peer::new(state, outbox, self.now));
    }

    /// A call of this node was answered, or failed.
    pub fn on_dialled(&mut self, link: LinkName, answer: Result<Greeted, Parting>) {
        let peer = link.peer;
        let is_wanted = match self.peers.get(&peer) {
            Some(Peer { state: State::Dialling { number, .. }, .. }) => *number == link.number,
            _ => false,
        };
        if !is_wanted {
            return;
        }
        match answer {
            Ok(greeted) => {
                let Some(entry) = self.peers.remove(&peer) else { return };
                self.start(greeted, entry.outbox);
            }
            Err(Parting::Duplicate) => {
                let until = self.now + self.greeter.config.connect + self.greeter.config.greeting;
                if let Some(entry) = self.peers.get_mut(&peer) {
                    entry.state = State::Awaiting { until };
                }
                self.check_by(until);
            }
            Err(why) => {
                if why.is_between_nodes() {
                    self.heard.push_back(Heard::Parted { address: peer.addr(), why });
                }
                self.give_up(peer);
            }
        }
    }

    /// A peer has called this node.
    pub fn on_called(&mut self, greeted: Greeted) {
        let peer = greeted.peer;
        if self.is_given_up(&greeted) {
            self.refuse(greeted, Word::Duplicate);
            return;
        }
        let Some(entry) = self.peers.get_mut(&peer) else {
            if self.is_stopping {
                self.refuse(greeted, Word::Leaving);
            } else if self.make_room() {
                self.open(greeted, Outbox::default());
            } else {
                self.refuse(greeted, Word::Full);
            }
            return;
        };
        match &mut entry.state {
            State::Dialling { .. } if self.greeter.me.id() < peer.id() => {
                self.refuse(greeted, Word::Duplicate);
            }
            State::Dialling { task, .. } => {
                task.abort();
                self.open_with_queue(greeted);
            }
            State::Awaiting { .. } => self.open_with_queue(greeted),
            State::Open(_) => self.replace(greeted),
            State::Closing(_, closing) => match &closing.parked {
                Some(parked) if greeted.moment <= parked.moment => self.refuse(greeted, Word::Duplicate),
                // The peer has given up an earlier call, if there is one.
                _ => closing.parked = Some(Box::new(greeted)),
            },
        }
    }

    /// Whether the caller has met this node since it made the call.
    fn is_given_up(&self, greeted: &Greeted) -> bool {
        let last_met = match self.peers.get(&greeted.peer).map(|entry| &entry.state) {
            Some(State::Open(link) | State::Closing(link, _)) => Some(link.moment),
            _ => self.met.get(&greeted.peer).filter(|met| self.now < met.until).map(|met| met.moment),
        };
        last_met.is_some_and(|moment| greeted.moment <= moment)
    }

    fn remember(&mut self, peer: NodeHandle, moment: Time) {
        let config = &self.greeter.config;
        if config.connections_max + OVERFLOW_MAX <= self.met.len() {
            let now = self.now;
            self.met.retain(|_, met| now < met.until);
        }
        // An older call has ended by then, one way or the other.
        let until = self.now + config.connect + config.greeting;
        self.met.insert(peer, Met { moment, until });
    }

    fn open_with_queue(&mut self, greeted: Greeted) {
        if let Some(entry) = self.peers.remove(&greeted.peer) {
            self.open(greeted, entry.outbox);
        }
    }

    /// Welcomes a caller and sends it `queued`.
    pub fn open(&mut self, greeted: Greeted, queued: Outbox) {
        let moment = self.moment();
        let mut outbox = Outbox::default();
        outbox.push_control(&self.greeter.say(Word::Welcome, moment));
        outbox.append(queued);
        self.start(greeted, outbox);
    }

    /// The two have met: from here on, messages go both ways.
    fn start(&mut self, greeted: Greeted, outbox: Outbox) {
        let Greeted { peer, moment, stream, rest } = greeted;
        limit_silence(&stream, self.greeter.config.stalled);
        let (read_half, write_half) = stream.into_split();
        let number = self.number();
        self.remember(peer, moment);
        let reader = Reader {
            link: LinkName { peer, number },
            half: read_half,
            bytes: rest,
            frame_deadline: self.greeter.config.frame,
            reports: self.reports.clone(),
        };
        let reader = self.tasks.spawn(reader.run());
        let link = Link { number, moment, reader, writer: Writer::Ready(write_half), stalled: None };
        let state = State::Open(link);
        self.peers.insert(peer, Peer::new(state, outbox, self.now));
        self.soil(peer);
        self.check_by(self.now + self.greeter.config.idle);
        if self.is_stopping {
            self.close(peer);
        }
    }

    /// Tells a caller why not, unless too many are being told already.
    fn refuse(&mut self, greeted: Greeted, word: Word) {
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
        let greeter = self.greeter.clone();
        self.tasks.spawn(async move {
            greeter.refuse(greeted.stream, word).await;
            drop(permit);
        });
    }

    /// Makes room for one more peer; whether there is any.
    pub fn make_room(&mut self) -> bool {
        let connections_max = self.greeter.config.connections_max;
        if connections_max <= self.peers.len() {
            let open = self.peers.iter().filter(|(_, entry)| matches!(entry.state, State::Open(_)));
            let idle = open.filter(|(_, entry)| entry.outbox.is_empty());
            if let Some(peer) = idle.min_by_key(|(_, entry)| entry.used).map(|(peer, _)| *peer) {
                self.close(peer);
            }
        }
        self.peers.len() < connections_max + OVERFLOW_MAX
    }
}

/// The system ends the connection when the peer's machine has acknowledged nothing for so long.
///
/// A machine that is cut off refuses nothing, and the system takes what is written and sends it
/// again after longer and longer pauses. When the network heals, such a connection stays silent
/// for up to two minutes, while a new one would be there at once.
fn limit_silence(stream: &TcpStream, silence: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // Without it the peer is found dead later: no reason to refuse it.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(silence));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, silence);
}
