//! Search: a node that has few successors left asks everyone whom it has lost at once.
//!
//! n -> each lost peer -> … -> p, the node before n there: Route { key: n, Unite }   the rest is in `unite`
//! n -> each finger, and whom a neighbour has told of: Ping
//! it -> n: Pong
//!
//! Until all of them are known to be gone, or have had their time to answer, nodes may come after n that it does
//! not know: what it keeps meanwhile may be kept by fewer nodes than there could be.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Chord;
use super::stabilize::SILENCE;
use crate::id::NodeHandle;
use crate::time::Time;

/// How long a node waits for answers: who is silent for so long is taken for dead.
const SEARCH_FOR: Duration = SILENCE;

/// Those who were asked, and are not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Search {
    until: Time,
    open: BTreeSet<NodeHandle>,
}

impl Search {
    pub(super) fn next_wakeup(&self) -> Time {
        self.until
    }
}

impl<P: Clone> Chord<P> {
    /// Whether more nodes may come after this one than [`Chord::successors`] tells: its list is not full and does
    /// not go round to itself, because those that it has lost have not been replaced; or it goes round, but who
    /// was asked last has told of others; or a [`Chord::search`] is under way.
    pub fn may_lack_successors(&self) -> bool {
        let goes_round = self.comes_round || self.has_nobody();
        let is_missing = |&node: &NodeHandle| !self.knows_as_neighbour(node);
        self.search.is_some()
            || (!goes_round && self.successors.len() < self.successors_max)
            || (self.comes_round && self.acquaintances.iter().any(is_missing))
    }

    /// Asks everyone whom this node has lost, and not only one after another, whether they are in a ring.
    pub fn search(&mut self, now: Time) {
        self.set_time(now);
        self.search_now();
    }

    pub(super) fn search_now(&mut self) {
        if !self.is_member() {
            return;
        }
        let known = self.fingers.iter().map(|(_, node)| node).chain(self.acquaintances.iter().copied());
        let known: BTreeSet<NodeHandle> = known.filter(|&node| !self.knows_as_neighbour(node)).collect();
        for &node in &known {
            self.make_sure_of(node);
        }
        let open: BTreeSet<NodeHandle> = self.lost().collect();
        for &peer in &open {
            self.ask_for_place(peer);
        }
        self.search = (!open.is_empty()).then(|| Search { until: self.now + SEARCH_FOR, open });
    }

    /// `peer` cannot be reached: no answer will come.
    pub(super) fn search_failed_at(&mut self, peer: NodeHandle) {
        if let Some(search) = &mut self.search {
            search.open.remove(&peer);
        }
        self.search.take_if(|search| search.open.is_empty());
    }

    pub(super) fn end_search_when_due(&mut self) {
        let now = self.now;
        self.search.take_if(|search| search.until <= now);
    }
}
