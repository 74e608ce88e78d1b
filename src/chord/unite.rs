//! Unite: a node asks those that it has lost whether they are in another ring by now.
//!
//! n -> a lost peer -> … -> p, the node before n there: Route { key: n, Unite }
//! p -> n: Place { successors }
//! p -> n, and n -> the first of them, if it is before the own successor: GetNeighbors
//! it -> who asks: Neighbors
//! who asked -> it, the successor now: Notify
//! who asked -> the successor so far, if the new one does not know it: Displaced { by }
//!
//! n -> who comes after n, and who takes the place of n: Remember { lost }
//!
//! In one ring, p has n for its successor: then the peer is not lost any more.
//! In another ring, the next node of the one ring may lie before that of the other: it is a candidate like
//! the one that stabilizing finds, and is adopted only once it has answered.
//! Whoever is displaced asks for its own place through the node that displaces it, so that the rings close
//! from both sides of every seam, and a node that nobody points to any more is known again.
//! Whoever has lost a peer may be gone by the time that is found again: so those that are lost are handed on,
//! to who comes and from who leaves.
//!
//! Departs from the paper: there, nobody is cut off.
//! That lost peers are asked, and rings close in this way, is after Shafaat, Ghodsi and Haridi ("Handling
//! network partitions and mergers in structured overlay networks", IEEE P2P 2007).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::message::{Body, Lost, Message, Number, Route};
use super::mutant::Mutant;
use super::{Chord, Membership};
use crate::id::{Id, NodeHandle};
use crate::time::Time;

/// How many peers are remembered.
pub const REMEMBERED_MAX: usize = 64;

/// How long a peer is remembered that is not found again: a cut may last a night.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How often some of them are asked; the first moment follows from the node's id, so that the nodes of a
/// ring do not ask all at once.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(3);

/// The same for a node that has nobody.
pub(crate) const ASK_ALONE_EVERY: Duration = Duration::from_secs(1);

/// How long it takes until each of them was asked by someone in the ring.
pub(crate) const ASKED_WITHIN: Duration = Duration::from_secs(6);

/// How long the node rests through which this one has joined, once it is known to be in the same ring.
const HOME_RESTS: Duration = Duration::from_secs(60);

/// How much time lies between two questions at least, whatever others say.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// Those who may live in another ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remembered {
    /// Those that are asked in this round yet stand first, and the next one before the others.
    peers: VecDeque<Peer>,
    /// Who has displaced this node last: it is asked before the others.
    displaced_by: Option<NodeHandle>,
    /// The numbers of the last questions, until they are answered, and through whom each was asked.
    asked: BTreeMap<Number, NodeHandle>,
    last_ask: Time,
    next_ask: Time,
    /// Who may be a better successor, and is asked once the question under way has ended.
    pub(super) candidate: Option<NodeHandle>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    node: NodeHandle,
    /// When it is forgotten. Never, if this node has joined through it: whoever comes knows that one.
    until: Option<Time>,
    /// Until then it is not asked.
    rests: Time,
    /// Whether it has had its turn in this round.
    had_turn: bool,
}

impl Remembered {
    pub(super) fn new(now: Time) -> Remembered {
        Remembered {
            peers: VecDeque::new(),
            displaced_by: None,
            asked: BTreeMap::new(),
            last_ask: now,
            next_ask: now,
            candidate: None,
        }
    }

    pub(super) fn next_wakeup(&self) -> Option<Time> {
        let displaced_by = self.displaced_by.map(|_| self.next_ask);
        let peers = self.peers.iter().map(|peer| peer.rests.max(self.next_ask));
        displaced_by.into_iter().chain(peers).min()
    }

    /// Makes room for one more: who has been remembered for the longest time goes.
    fn make_room(&mut self) {
        let oldest = (0..self.peers.len()).filter(|&i| self.peers[i].until.is_some());
        if self.peers.len() == REMEMBERED_MAX
            && let Some(oldest) = oldest.min_by_key(|&i| self.peers[i].until)
        {
            self.peers.remove(oldest);
        }
    }

    /// The next one to be asked: whoever was lost last, and then one after another, beginning after `me` on
    /// the circle.
    ///
    /// Neighbours that have lost the same peers, most of whom may have gone for good, so ask different ones at
    /// the same time: together they soon come to one that is there.
    fn take_turn(&mut self, now: Time, me: Id) -> Option<NodeHandle> {
        let is_next = |peer: &Peer| peer.rests <= now && !peer.had_turn;
        if !self.peers.iter().any(is_next) {
            self.peers.iter_mut().for_each(|peer| peer.had_turn = false);
            self.peers.make_contiguous().sort_by_key(|peer| me.distance_to(peer.node.id()));
        }
        let next = self.peers.iter().position(is_next).unwrap_or(0);
        let mut peer = self.peers.remove(next)?;
        peer.had_turn = true;
        let node = peer.node;
        self.peers.push_back(peer);
        Some(node)
    }

    fn ask_soon(&mut self, now: Time) {
        self.next_ask = now.max(self.last_ask + ASK_PAUSE);
    }
}

impl<P: Clone> Chord<P> {
    /// The peers that this node asks whether there is another ring, at most [`REMEMBERED_MAX`], the next one
    /// first: those that it has lost, and the one through which it has joined.
    pub fn remembered(&self) -> impl Iterator<Item = NodeHandle> + '_ {
        self.remembered.peers.iter().map(|peer| peer.node)
    }

    /// Those that were lost, and that nobody has heard of since.
    pub(super) fn lost(&self) -> impl Iterator<Item = NodeHandle> + '_ {
        let is_lost = |peer: &&Peer| peer.rests <= self.now && !self.knows_as_neighbour(peer.node);
        self.remembered.peers.iter().filter(is_lost).map(|peer| peer.node)
    }

    /// Asks `peer`, in its turn, whether it is in another ring, and unites the two.
    ///
    /// It is forgotten once it is known to be in the same ring, after a day, or when there are more than
    /// [`REMEMBERED_MAX`].
    pub fn remember(&mut self, now: Time, peer: NodeHandle) {
        self.set_time(now);
        self.ask_after(peer);
    }

    /// Remembers `peer`, unless it is a neighbour.
    pub(super) fn ask_after(&mut self, peer: NodeHandle) {
        self.ask_after_until(peer, self.now + REMEMBERED_FOR);
    }

    fn ask_after_until(&mut self, peer: NodeHandle, until: Time) {
        if peer == self.me || self.knows_as_neighbour(peer) || self.is(Mutant::ForgetsTheLost) {
            return;
        }
        let now = self.now;
        match self.remembered.peers.iter_mut().find(|other| other.node == peer) {
            Some(remembered) => remembered.rests = now,
            None => self.put_first(Peer { node: peer, until: Some(until), rests: now, had_turn: false }),
        }
        if self.is_alone() {
            self.remembered.ask_soon(self.now);
        }
    }

    /// Tells `to`, which has come or is to take the place of this node, whom this node has lost.
    pub(super) fn hand_on_remembered(&mut self, to: NodeHandle) {
        let now = self.now;
        let lost = self.remembered.peers.iter().filter(|peer| peer.node != to).filter_map(|peer| {
            let seconds = u32::try_from(peer.until?.since(now).as_secs()).ok()?;
            Some(Lost { node: peer.node, seconds })
        });
        let lost: Vec<Lost> = lost.collect();
        if !lost.is_empty() {
            self.send(to, Message::Remember { lost });
        }
    }

    pub(super) fn on_remember(&mut self, lost: &[Lost]) {
        for &Lost { node, seconds } in lost.iter().take(REMEMBERED_MAX).rev() {
            let left = Duration::from_secs(seconds.into()).min(REMEMBERED_FOR);
            self.ask_after_until(node, self.now + left);
        }
    }

    /// This node has come through `home`.
    pub(super) fn settle_in(&mut self, home: NodeHandle) {
        self.remembered.peers.retain(|peer| peer.node != home);
        self.put_first(Peer { node: home, until: None, rests: self.now + HOME_RESTS, had_turn: false });
    }

    fn put_first(&mut self, peer: Peer) {
        let remembered = &mut self.remembered;
        if remembered.next_ask <= self.now {
            let [first, ..] = *self.me.id().as_bytes();
            remembered.next_ask = self.now + ASK_EVERY * u32::from(first) / u32::from(u8::MAX);
        }
        // Somebody is lost: everyone may be.
        remembered.peers.iter_mut().for_each(|other| other.rests = self.now);
        remembered.make_room();
        remembered.peers.push_front(peer);
    }

    /// Remembers those of the list before, `former`, whom the one now skips: somebody has lost them, unless they
    /// have left in good order.
    pub(super) fn ask_after_skipped(&mut self, former: &[NodeHandle]) {
        let end = match self.successors.last() {
            Some(last) if !self.comes_round => last.id(),
            _ => self.me.id(),
        };
        for &node in former {
            if node.id().between(self.me.id(), end) && !self.has_departed(node) {
                self.ask_after(node);
            }
        }
    }

    /// `peer` is in this ring, or has left in good order.
    pub(super) fn is_not_lost(&mut self, peer: NodeHandle) {
        let now = self.now;
        self.remembered.peers.retain(|other| other.node != peer || other.until.is_none());
        let home = self.remembered.peers.iter_mut().find(|other| other.node == peer);
        home.into_iter().for_each(|home| home.rests = now + HOME_RESTS);
    }

    pub(super) fn ask_lost_when_due(&mut self) {
        let now = self.now;
        if self.is_member() && self.remembered.next_wakeup().is_some_and(|due| due <= now) {
            self.remembered.peers.retain(|peer| peer.until.is_none_or(|until| now < until));
            let pause = if self.is_alone() { ASK_ALONE_EVERY } else { ASK_EVERY };
            for _ in 0..self.asked_at_a_time(pause) {
                self.ask_lost();
            }
            self.remembered.next_ask = now + pause;
        }
    }

    /// How many are asked every `pause`: so many that all members together come to each within [`ASKED_WITHIN`].
    ///
    /// Of those that were lost most may have gone for good, and a small ring has few members to ask after them.
    fn asked_at_a_time(&self, pause: Duration) -> u128 {
        let lost = self.remembered.peers.iter().filter(|peer| peer.rests <= self.now).count();
        let goes_round = self.comes_round || self.has_nobody();
        let members = 1 + if goes_round { self.successors.len() } else { self.successors_max };
        (lost as u128 * pause.as_millis()).div_ceil(members as u128 * ASKED_WITHIN.as_millis()).max(1)
    }

    /// Asks the next of those that were lost where the place of this node is.
    pub fn ask_lost(&mut self) {
        if !self.is_member() {
            return;
        }
        let displaced_by = self.remembered.displaced_by.take();
        if let Some(via) = displaced_by.or_else(|| self.remembered.take_turn(self.now, self.me.id())) {
            self.ask_for_place(via);
        }
    }

    pub(super) fn ask_for_place(&mut self, via: NodeHandle) {
        let id = self.new_number();
        if self.remembered.asked.len() == REMEMBERED_MAX {
            self.remembered.asked.pop_first();
        }
        self.remembered.asked.insert(id, via);
        self.remembered.last_ask = self.now;
        let (key, origin) = (self.me.id(), self.me);
        self.send(via, Message::Route(Route { key, origin, id, hops: 0, last: false, body: Body::Unite }));
    }

    /// The place that the origin of `route` asks for is after this node.
    pub(super) fn on_unite(&mut self, route: &Route<P>) {
        self.send(route.origin, Message::Place { id: route.id, successors: self.own_list() });
        self.consider_successor(route.origin);
    }

    /// The place of this node is before the first of `successors`, if they answer its question `id`.
    pub(super) fn on_place_there(&mut self, id: Number, successors: &[NodeHandle]) {
        let Some(via) = self.remembered.asked.remove(&id) else { return };
        match successors.first() {
            Some(&successor) if successor == self.me => self.is_not_lost(via),
            Some(&successor) => self.consider_successor(successor),
            // A confused peer: it names nobody, not even itself.
            None => {}
        }
    }

    /// A pointer is adopted only once its target has answered (Zave 2017).
    fn consider_successor(&mut self, node: NodeHandle) {
        if !self.comes_between(node) {
            return;
        }
        self.remembered.candidate = Some(node);
        self.stabilize();
    }

    /// Whether `node` would be a better successor than the one so far.
    pub(super) fn comes_between(&self, node: NodeHandle) -> bool {
        match self.successors.first() {
            Some(_) if self.is(Mutant::UnitesWithAnyone) => node != self.me,
            Some(successor) => node.id().between(self.me.id(), successor.id()),
            // Whoever else is known may know the own ring, and is asked first.
            None => self.has_nobody() && node != self.me,
        }
    }

    /// The successor has been replaced: if the new one does not know `former`, nobody may any more.
    pub(super) fn tell_displaced(&mut self, former: Option<NodeHandle>) {
        if let (Some(former), Some(&by)) = (former, self.successors.first())
            && !self.successors.contains(&former)
        {
            self.send(former, Message::Displaced { by });
        }
    }

    pub(super) fn on_displaced(&mut self, by: NodeHandle) {
        if by == self.me || self.membership != Membership::Member {
            return;
        }
        self.remembered.displaced_by = Some(by);
        self.remembered.ask_soon(self.now);
        self.ask_lost_when_due();
    }
}
