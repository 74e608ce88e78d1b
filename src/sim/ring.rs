//! The oracle of the ring: what must hold of all members together, after every event.
//!
//! After Zave ("Reasoning about identifier spaces: how to make Chord correct", IEEE TSE 43(12),
//! 2017).
//!
//! The invariant of the paper speaks of rings that never had fewer than *r* + 1 members; a chat
//! begins with one.
//! So [`check`] looks at what the invariant implies, which a ring of any size must keep;
//! [`check_large`] adds the invariant itself for rings that were never small; and [`is_robust`] says
//! when a small ring may lose a member.

#[cfg(test)]
mod walk;

use std::fmt;

use crate::chord::Chord;
use crate::id::NodeHandle;

/// What the oracle sees of a member.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Which node.
    pub node: NodeHandle,
    /// Its predecessor, if it knows one.
    pub predecessor: Option<NodeHandle>,
    /// Its successor list, nearest first.
    pub successors: &'a [NodeHandle],
    /// Whether the list goes all the way round to the member, and so ends with it.
    pub comes_round: bool,
}

impl<'a, P: Clone> From<&'a Chord<P>> for Member<'a> {
    fn from(chord: &'a Chord<P>) -> Member<'a> {
        Member {
            node: chord.me(),
            predecessor: chord.predecessor(),
            successors: chord.successors(),
            comes_round: chord.comes_round(),
        }
    }
}

/// How the ring is broken; each points at a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A successor list is not in clockwise order.
    Unordered(NodeHandle),
    /// A member is in its own successor list.
    OwnSuccessor(NodeHandle),
    /// No entry of a member's successor list is a live member.
    NoLiveSuccessor(NodeHandle),
    /// The best successors form no ring, or several.
    Rings(usize),
    /// The ring is not ordered by id: it goes round the circle so many times.
    Turns(usize),
    /// So many members are skipped by nobody's list, fewer than are needed.
    Principals(usize, usize),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Unordered(node) => write!(f, "the successor list of {node} is not in order"),
            Violation::OwnSuccessor(node) => write!(f, "{node} is in its own successor list"),
            Violation::NoLiveSuccessor(node) => write!(f, "{node} has no live successor"),
            Violation::Rings(rings) => write!(f, "there are {rings} rings"),
            Violation::Turns(turns) => write!(f, "the ring goes round the circle {turns} times"),
            Violation::Principals(there, needed) => {
                write!(f, "{there} members are skipped by no list, {needed} are needed")
            }
        }
    }
}

/// Checks over all live members, which are given in the order of their ids, what the invariant implies.
///
/// This holds of a ring of any size.
pub fn check(members: &[Member<'_>]) -> Result<(), Violation> {
    assert!(members.is_sorted_by_key(|member| member.node.id()), "members are given in order");
    if members.is_empty() {
        return Ok(());
    }
    members.iter().try_for_each(check_list)?;
    let best = |i| best_successor(members, i).unwrap_or_else(|| last_resort(members, i));
    check_ring(&(0..members.len()).map(best).collect::<Vec<_>>())
}

fn check_list(member: &Member<'_>) -> Result<(), Violation> {
    if member.successors.contains(&member.node) {
        return Err(Violation::OwnSuccessor(member.node));
    }
    let distances = member.successors.iter().map(|node| member.node.id().distance_to(node.id()));
    // Strictly: nobody stands in a list twice.
    if distances.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(Violation::Unordered(member.node)) }
}

fn position(members: &[Member<'_>], node: NodeHandle) -> Option<usize> {
    members.binary_search_by_key(&node.id(), |member| member.node.id()).ok()
}

/// "bestSucc(m) = first entry of succ(m) that is a live member".
fn best_successor(members: &[Member<'_>], i: usize) -> Option<usize> {
    members[i].successors.iter().find_map(|&node| position(members, node))
}

/// Where a member turns that has run out of successors: to its predecessor, or to itself.
fn last_resort(members: &[Member<'_>], i: usize) -> usize {
    members[i].predecessor.and_then(|node| position(members, node)).unwrap_or(i)
}

/// There is exactly one ring, it is ordered by id, and every member reaches it.
fn check_ring(best: &[usize]) -> Result<(), Violation> {
    let mut on_ring = vec![false; best.len()];
    let mut rings = 0;
    let mut ring_start = 0;
    let mut visited_by = vec![usize::MAX; best.len()];
    for start in 0..best.len() {
        let mut at = start;
        while visited_by[at] == usize::MAX {
            visited_by[at] = start;
            at = best[at];
        }
        if visited_by[at] == start && !on_ring[at] {
            // A circle that was not seen before; whoever was visited earlier leads to an earlier one.
            rings += 1;
            ring_start = at;
            while !on_ring[at] {
                on_ring[at] = true;
                at = best[at];
            }
        }
    }
    if rings != 1 {
        return Err(Violation::Rings(rings));
    }
    let mut turns = 0;
    let mut at = ring_start;
    loop {
        // Members are numbered in order, so each turn passes zero once.
        turns += usize::from(best[at] <= at);
        at = best[at];
        if at == ring_start {
            break;
        }
    }
    if turns == 1 { Ok(()) } else { Err(Violation::Turns(turns)) }
}

/// Checks the invariant in full, for a ring that has been of more than `successors_max` members ever
/// since it was ideal: [`check`], and "every member has a live bestSucc, and there are at least r+1
/// principals".
pub fn check_large(members: &[Member<'_>], successors_max: usize) -> Result<(), Violation> {
    check(members)?;
    if let Some(i) = (0..members.len()).find(|&i| best_successor(members, i).is_none()) {
        return Err(Violation::NoLiveSuccessor(members[i].node));
    }
    let there = principals(members, successors_max);
    let needed = successors_max + 1;
    if needed <= there { Ok(()) } else { Err(Violation::Principals(there, needed)) }
}

/// Whether a ring of any size may lose a member: it is right, and for some *k* its lists, cut to *k*
/// entries, satisfy the invariant of a ring with *r* = *k*.
///
/// A ring that has grown from one node has as many principals as it has had time to make known.
/// While it has at most *k* + 1 members, each must be known to all others.
pub fn is_robust(members: &[Member<'_>]) -> bool {
    let longest = members.iter().map(|member| member.successors.len()).max().unwrap_or(0);
    let satisfies = |k: usize| {
        let lives = |member: &Member<'_>| {
            let mut entries = member.successors.iter().take(k);
            (member.comes_round && member.successors.len() < k)
                || entries.any(|&node| position(members, node).is_some())
        };
        members.iter().all(lives) && (k + 1).min(members.len()) <= principals(members, k)
    };
    check(members).is_ok() && (members.len() == 1 || (1..=longest).any(satisfies))
}

/// The number of principals: members that no extended successor list skips in its first `k` entries.
///
/// A list that comes round ends with its own node.
fn principals(members: &[Member<'_>], k: usize) -> usize {
    let mut skipped = vec![false; members.len()];
    for member in members {
        let end = (member.comes_round && member.successors.len() < k).then_some(member.node);
        let mut before = member.node;
        for node in member.successors.iter().copied().take(k).chain(end) {
            mark_between(members, before, node, &mut skipped);
            before = node;
        }
    }
    skipped.iter().filter(|&&skipped| !skipped).count()
}

fn mark_between(members: &[Member<'_>], from: NodeHandle, to: NodeHandle, marks: &mut [bool]) {
    let first = members.partition_point(|member| member.node.id() <= from.id());
    for i in (first..first + members.len()).map(|i| i % members.len()) {
        if !members[i].node.id().between(from.id(), to.id()) {
            break;
        }
        marks[i] = true;
    }
}

/// Whether every list and every predecessor is exactly what it should be.
pub fn is_ideal(members: &[Member<'_>], successors_max: usize) -> bool {
    let n = members.len();
    members.iter().enumerate().all(|(i, member)| {
        let successors = (1..n).take(successors_max).map(|k| members[(i + k) % n].node);
        let predecessor = (1 < n).then(|| members[(i + n - 1) % n].node);
        member.predecessor == predecessor && member.successors.iter().copied().eq(successors)
    })
}
