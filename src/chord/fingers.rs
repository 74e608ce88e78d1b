//! Fix fingers: a node looks up who is the root of the points at powers of two from it.
//!
//! n -> … -> root of n + 2^k: Route { FindRoot }
//! root -> n: Reply { Root }

use std::collections::BTreeMap;
use std::time::Duration;

use super::Chord;
use super::message::Number;
use crate::id::{ID_BITS, NodeHandle};
use crate::time::Time;

/// How often a finger is looked up again when all are known.
pub(crate) const FIX_EVERY: Duration = Duration::from_secs(30);

/// How often while some are not: after a join, or after a finger was lost.
const FIX_MISSING_EVERY: Duration = Duration::from_millis(100);

/// The finger table: entry k is the root of n + 2^k.
///
/// Most entries are equal to the one before; only the first of a run is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingers {
    runs: BTreeMap<u32, NodeHandle>,
    /// The entry that is looked up next.
    next: u32,
    next_fix: Time,
    under_way: Option<(Number, u32)>,
    /// Whether some entries have not been looked up since the ring changed here.
    missing: bool,
}

impl Fingers {
    pub(super) fn new(now: Time) -> Fingers {
        Fingers { runs: BTreeMap::new(), next: 0, next_fix: now, under_way: None, missing: true }
    }

    pub(super) fn next_fix(&self) -> Time {
        self.next_fix
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, NodeHandle)> + '_ {
        self.runs.iter().map(|(&exponent, &node)| (exponent, node))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn insert(&mut self, exponent: u32, node: NodeHandle) {
        self.runs.insert(exponent, node);
    }

    pub(super) fn remove(&mut self, peer: NodeHandle, now: Time) {
        let before = self.runs.len();
        self.runs.retain(|_, node| *node != peer);
        if self.runs.len() < before {
            self.missing = true;
            self.next_fix = self.next_fix.min(now + FIX_MISSING_EVERY);
        }
    }
}

impl<P: Clone> Chord<P> {
    pub(super) fn fix_all_fingers(&mut self) {
        self.fingers.missing = true;
        self.fingers.next = 0;
        self.fingers.next_fix = self.now;
    }

    pub(super) fn fix_fingers_when_due(&mut self) {
        if !self.is_member() || self.now < self.fingers.next_fix {
            return;
        }
        match self.fingers.under_way {
            // It is answered, or fails, in bounded time.
            Some(_) => self.fingers.next_fix = self.now + FIX_MISSING_EVERY,
            None => self.fix_fingers(),
        }
    }

    /// Looks up the next finger that is not the successor anyway.
    pub(super) fn fix_fingers(&mut self) {
        let me = self.me.id();
        let from = self.fingers.next;
        // Entries that start before the successor are the successor.
        let beyond = |&exponent: &u32| match self.successors.first() {
            Some(successor) => !me.plus_power_of_two(exponent).in_arc(me, successor.id()),
            None => false,
        };
        let due = (from..ID_BITS).find(beyond);
        if from == 0 {
            let first = due.unwrap_or(ID_BITS);
            self.retain_fingers(|&exponent| first <= exponent);
        }
        match due {
            Some(exponent) if self.is_root(me.plus_power_of_two(exponent)) == Some(true) => {
                self.end_fingers_before(exponent);
                self.fingers.next = 0;
                self.fingers.missing = false;
            }
            Some(exponent) => {
                self.fingers.next = exponent + 1;
                let id = self.find_root(self.now, me.plus_power_of_two(exponent));
                // With too many requests under way it is looked up again in its turn.
                self.fingers.under_way = self.is_waiting(id).then_some((id, exponent));
            }
            None => {
                self.fingers.next = 0;
                self.fingers.missing = false;
            }
        }
        let pause = if self.fingers.missing { FIX_MISSING_EVERY } else { FIX_EVERY };
        self.fingers.next_fix = self.now + pause;
    }

    /// Whether the request `id`, which failed, was for a finger: it is looked up again in its turn.
    pub(super) fn finger_not_found(&mut self, id: Number) -> bool {
        self.fingers.under_way.take_if(|(under_way, _)| *under_way == id).is_some()
    }

    /// Whether the answer `id` was for a finger; then it is entered.
    pub(super) fn found_finger(&mut self, id: Number, root: NodeHandle) -> bool {
        let Some((_, exponent)) = self.fingers.under_way.take_if(|(under_way, _)| *under_way == id) else {
            return false;
        };
        let me = self.me.id();
        if root == self.me {
            self.end_fingers_before(exponent);
            self.fingers.next = ID_BITS;
            return true;
        }
        let beyond = |&other: &u32| !me.plus_power_of_two(other).in_arc(me, root.id());
        let end = (exponent..ID_BITS).find(beyond).unwrap_or(ID_BITS);
        let known = self.fingers.runs.get(&exponent) == Some(&root);
        // It stays.
        self.fingers.runs.retain(|_, node| *node != root);
        self.retain_fingers(|other| !(exponent..end).contains(other));
        self.fingers.runs.insert(exponent, root);
        self.fingers.next = end;
        if self.fingers.missing || !known {
            // What was looked up has changed, so the next may have, too.
            self.fingers.next_fix = self.now;
        }
        true
    }

    /// Nobody is beyond: the rest of the circle is this node's own.
    fn end_fingers_before(&mut self, exponent: u32) {
        self.retain_fingers(|&other| other < exponent);
    }

    /// Drops the entries of the other exponents, and asks after the nodes in them: they may be lost.
    fn retain_fingers(&mut self, stays: impl Fn(&u32) -> bool) {
        let (runs, dropped) =
            std::mem::take(&mut self.fingers.runs).into_iter().partition(|(exponent, _)| stays(exponent));
        self.fingers.runs = runs;
        let dropped: BTreeMap<u32, NodeHandle> = dropped;
        for node in dropped.into_values() {
            if !self.has_departed(node) {
                self.ask_after(node);
            }
        }
    }
}
