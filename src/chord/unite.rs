//! Unite: a node asks those that it has lost whether they are in another ring by now.
//!
//! n -> a lost peer -> … -> the root of n's id there: Route { key: n, FindRoot }
//! root -> n: Reply { Root }
//! n -> root, if it is between n and its successor: GetNeighbors
//! root -> n: Neighbors
//! n -> root, otherwise and once it is the successor: Notify
//! n -> the successor that n had, if the new one does not know it: Meet { root }
//!
//! In one ring, the way leads back to n, the root of its own id: then the peer is not lost any more.
//! In another ring it leads to a node that does not know n; that one is a candidate like the one that
//! stabilizing finds, and is adopted only once it has answered.
//! Whoever is displaced asks through the one that displaces it, so that the rings close like a zip.
//!
//! The paper has one ring for ever; after Shafaat, Ghodsi and Haridi ("Handling network partitions and
//! mergers in structured overlay networks", IEEE P2P 2007), lost peers are asked, and rings merge.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{Body, Message, Number, Route};
use super::Chord;
use crate::id::NodeHandle;
use crate::time::Time;

/// How many peers are remembered.
pub const REMEMBERED_MAX: usize = 64;

/// How long a peer is remembered that never answers: a cut may last a night.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How often one of them is asked; the moment within it follows from the node's id, so that the nodes of
/// a ring do not ask at once.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// The same for a node that has nobody.
const ASK_ALONE_EVERY: Duration = Duration::from_secs(1);

/// How long at least between two questions, however many other nodes tell of.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// Those who may live in another ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remembered {
    /// Each with the time at which it is forgotten; who is asked next stands first.
    peers: VecDeque<(NodeHandle, Time)>,
    /// The last one that another node has told of.
    told: Option<NodeHandle>,
    /// The question that may be answered, and through whom it was asked.
    asked: Option<(Number, NodeHandle)>,
    last_ask: Time,
    next_ask: Time,
    /// A candidate for the successor, which is to be asked when the question under way has ended.
    pub(super) candidate: Option<NodeHandle>,
}

impl Remembered {
    pub(super) fn new(now: Time) -> Remembered {
        Remembered {
            peers: VecDeque::new(),
            told: None,
            asked: None,
            last_ask: now,
            next_ask: now,
            candidate: None,
        }
    }

    pub(super) fn next_wakeup(&self) -> Option<Time> {
        (self.told.is_some() || !self.peers.is_empty()).then_some(self.next_ask)
    }
}

impl<P: Clone> Chord<P> {
    /// The peers that this node would ask whether there is another ring, the next one first.
    pub fn remembered(&self) -> impl Iterator<Item = NodeHandle> + '_ {
        self.remembered.peers.iter().map(|&(node, _)| node)
    }

    /// Asks `peer` sooner or later whether it is in another ring, and unites the two.
    ///
    /// It is forgotten once it is known to be in the same ring, after a day, or when there are more than
    /// [`REMEMBERED_MAX`]: then the one goes that would be forgotten first.
    pub fn remember(&mut self, now: Time, peer: NodeHandle) {
        self.set_time(now);
        self.remember_lost(peer);
    }

    pub(super) fn remember_lost(&mut self, peer: NodeHandle) {
        if peer == self.me || self.knows_as_neighbour(peer) {
            return;
        }
        let remembered = &mut self.remembered;
        if remembered.peers.iter().any(|&(node, _)| node == peer) {
            return;
        }
        if remembered.next_wakeup().is_none() {
            let [first, ..] = *self.me.id().as_bytes();
            remembered.next_ask = self.now + ASK_EVERY * u32::from(first) / 256;
        }
        if remembered.peers.len() == REMEMBERED_MAX
            && let Some(oldest) = (0..REMEMBERED_MAX).min_by_key(|&i| remembered.peers[i].1)
        {
            remembered.peers.remove(oldest);
        }
        remembered.peers.push_front((peer, self.now + REMEMBERED_FOR));
    }

    /// Remembers those of a `former` successor list whom the new one skips: others have lost them.
    pub(super) fn remember_skipped(&mut self, former: &[NodeHandle]) {
        let end = match self.successors.last() {
            Some(last) if !self.comes_round => last.id(),
            _ => self.me.id(),
        };
        for &node in former {
            if node.id().between(self.me.id(), end) && !self.successors.contains(&node) {
                self.remember_lost(node);
            }
        }
    }

    /// Asks nobody any more through `peer`: it is in this ring, or has left in good order.
    pub(super) fn is_not_lost(&mut self, peer: NodeHandle) {
        self.remembered.peers.retain(|&(node, _)| node != peer);
    }

    pub(super) fn ask_lost_when_due(&mut self) {
        if !self.is_member() || self.now < self.remembered.next_ask {
            return;
        }
        let now = self.now;
        self.remembered.peers.retain(|&(_, until)| now < until);
        let told = self.remembered.told.take().filter(|&node| node != self.me);
        let Some(via) = told.or_else(|| self.next_lost()) else { return };
        let id = self.new_number();
        self.remembered.asked = Some((id, via));
        self.remembered.last_ask = now;
        self.remembered.next_ask = now + if self.is_alone() { ASK_ALONE_EVERY } else { ASK_EVERY };
        let (key, origin) = (self.me.id(), self.me);
        let route = Route { key, origin, id, hops: 0, last: false, body: Body::Meet };
        self.send(via, Message::Route(route));
    }

    fn next_lost(&mut self) -> Option<NodeHandle> {
        let (next, until) = self.remembered.peers.pop_front()?;
        self.remembered.peers.push_back((next, until));
        Some(next)
    }

    /// A member of another ring, or of this one, looks for its place: it may be the successor.
    pub(super) fn meet(&mut self, route: &Route<P>) {
        let node = route.origin;
        self.send(node, Message::Place { id: route.id, successors: self.own_list() });
        self.consider_successor(node);
    }

    /// The place of this node is before the first of `successors`, if those are the answer `id` to a
    /// question through a lost peer.
    pub(super) fn on_place_found(&mut self, id: Number, successors: &[NodeHandle]) {
        let Some((_, via)) = self.remembered.asked.take_if(|(asked, _)| *asked == id) else { return };
        match successors.first() {
            Some(&successor) if successor == self.me => self.is_not_lost(via),
            Some(&successor) => self.consider_successor(successor),
            None => {}
        }
    }

    fn consider_successor(&mut self, node: NodeHandle) {
        if self.comes_between(node) {
            self.remembered.candidate = Some(node);
            self.stabilize();
        }
    }

    /// Whether `node` would be a better successor than the one so far.
    pub(super) fn comes_between(&self, node: NodeHandle) -> bool {
        let end = self.successors.first().unwrap_or(&self.me);
        node.id().between(self.me.id(), end.id())
    }

    /// The successor so far learns through whom it finds its place, if the new one does not know it.
    pub(super) fn introduce(&mut self, displaced: Option<NodeHandle>) {
        if let (Some(displaced), Some(&successor)) = (displaced, self.successors.first())
            && !self.successors.contains(&displaced)
        {
            self.send(displaced, Message::Meet { node: successor });
        }
    }

    pub(super) fn on_meet(&mut self, node: NodeHandle) {
        self.ask_through(node);
    }

    /// Asks through `node` where the place of this node is, now or soon.
    pub(super) fn ask_through(&mut self, node: NodeHandle) {
        self.remembered.told = Some(node);
        self.remembered.next_ask = self.now.max(self.remembered.last_ask + ASK_PAUSE);
        self.ask_lost_when_due();
    }
}
