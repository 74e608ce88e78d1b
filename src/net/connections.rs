//! What a driver tells of its connections to whoever asks.
//!
//! reader -> driver: where to answer
//! driver -> reader: all connections, as they are in this turn

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::peers::{Peer, Peers, State};
use crate::id::NodeHandle;
use crate::time::Time;

/// Where the driver answers.
pub(super) type Asked = oneshot::Sender<Vec<Connection>>;

/// A connection of a node, or the attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: NodeHandle,
    /// How far it is.
    pub stage: Stage,
    /// When it was made; if it is not yet, when the first attempt began.
    pub since: Time,
    /// Messages whose last byte the system has taken.
    pub sent: u64,
    /// Messages that were handed to the machine.
    pub received: u64,
    /// How many bytes wait to be written, what waits for the next connection included.
    pub bytes_waiting: usize,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// This node calls the peer.
    Dialling,
    /// The peer calls this node at the same time, and its call is the one that is kept.
    Awaiting,
    /// Messages go both ways.
    Open,
    /// A goodbye is under way.
    Closing,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Peers<T> {
    /// All connections, in the order of the peers' ids.
    pub fn connections(&self) -> Vec<Connection> {
        let mut all: Vec<_> = self.peers.iter().map(|(peer, entry)| self.connection(*peer, entry)).collect();
        all.sort_unstable_by_key(|connection| connection.peer.id());
        all
    }

    fn connection(&self, peer: NodeHandle, entry: &Peer) -> Connection {
        let (stage, later) = match &entry.state {
            State::Dialling { .. } => (Stage::Dialling, 0),
            State::Awaiting { .. } => (Stage::Awaiting, 0),
            State::Open(_) => (Stage::Open, 0),
            State::Closing(_, closing) => (Stage::Closing, closing.later.bytes()),
        };
        Connection {
            peer,
            stage,
            since: self.clock.at(entry.since),
            sent: entry.outbox.messages_written(),
            received: entry.received,
            bytes_waiting: entry.outbox.bytes() + later,
        }
    }
}
