//! Which hosts have a connection, and what each of the two believes of it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::{Host, mixed};
use crate::time::Time;

/// How many connections are kept before those that are idle are looked for.
const SWEEP_AT_FIRST: usize = 1024;

/// The connections of a network.
///
/// Every message looks at its pair: so a pair is one entry of one table.
pub(super) struct Connections {
    /// Only for looking up: its order differs from run to run.
    pairs: HashMap<u64, Pair, BuildHasherDefault<Mixer>>,
    /// With whom each host has an entry in `pairs`.
    peers: Vec<Vec<Host>>,
    sweep_at: usize,
}

struct Pair {
    /// When a message was last sent, either way.
    used: Time,
    /// What the lower and the higher of the two hosts know.
    sides: [Side; 2],
}

struct Side {
    /// When the last message that was sent from this side arrives at the other.
    last_arrival: Time,
    /// The incarnation of the other side that this one believes to be connected with.
    peer: Option<u32>,
}

impl Connections {
    pub(super) fn new() -> Connections {
        Connections { pairs: HashMap::default(), peers: Vec::new(), sweep_at: SWEEP_AT_FIRST }
    }

    /// Which incarnation of `to` the host `from` believes to be connected with.
    pub(super) fn peer(&self, from: Host, to: Host, now: Time, idle: Duration) -> Option<u32> {
        let pair = self.pairs.get(&key(from, to))?;
        if pair.used + idle < now { None } else { pair.sides[side(from, to)].peer }
    }

    /// Opens the connection between the current incarnations of two hosts, and notes its use.
    ///
    /// Returns whether the first takes an earlier incarnation of the second for its peer.
    pub(super) fn open(&mut self, from: (Host, u32), to: (Host, u32), now: Time, idle: Duration) -> bool {
        let pair = self.pair(from.0, to.0, now, idle);
        let closed = pair.used + idle < now;
        pair.used = now;
        let side = side(from.0, to.0);
        let believed = pair.sides[side].peer;
        if !closed && believed.is_some_and(|incarnation| incarnation != to.1) {
            return true;
        }
        pair.sides[side].peer = Some(to.1);
        pair.sides[1 - side].peer = Some(from.1);
        false
    }

    /// `host` knows that it has no connection to `peer`, unless it is to the incarnation `current`.
    pub(super) fn close(&mut self, host: Host, peer: Host, current: Option<u32>) {
        if let Some(pair) = self.pairs.get_mut(&key(host, peer)) {
            let side = &mut pair.sides[side(host, peer)];
            side.peer = side.peer.filter(|incarnation| Some(*incarnation) == current);
        }
    }

    /// Ends the given incarnation of `host`; returns who was connected to it.
    pub(super) fn end(&mut self, host: Host, incarnation: u32, now: Time, idle: Duration) -> Vec<Host> {
        let mut connected = Vec::new();
        for &peer in self.peers.get(host as usize).into_iter().flatten() {
            let Some(pair) = self.pairs.get_mut(&key(host, peer)) else { continue };
            let side = side(host, peer);
            pair.sides[side].peer = None;
            if now <= pair.used + idle && pair.sides[1 - side].peer == Some(incarnation) {
                connected.push(peer);
            }
        }
        connected
    }

    /// The time at which something that takes until `at` arrives after all that was sent before.
    pub(super) fn in_order(&mut self, from: Host, to: Host, at: Time, now: Time, idle: Duration) -> Time {
        let side = side(from, to);
        let last_arrival = &mut self.pair(from, to, now, idle).sides[side].last_arrival;
        *last_arrival = at.max(*last_arrival);
        *last_arrival
    }

    fn pair(&mut self, a: Host, b: Host, now: Time, idle: Duration) -> &mut Pair {
        if self.sweep_at < self.pairs.len() {
            self.sweep(now, idle);
        }
        let peers = &mut self.peers;
        self.pairs.entry(key(a, b)).or_insert_with(|| {
            let hosts = a.max(b) as usize + 1;
            if peers.len() < hosts {
                peers.resize_with(hosts, Vec::new);
            }
            peers[a as usize].push(b);
            peers[b as usize].push(a);
            Pair { used: now, sides: [(); 2].map(|()| Side { last_arrival: now, peer: None }) }
        })
    }

    /// Forgets connections that are idle and have nothing under way.
    fn sweep(&mut self, now: Time, idle: Duration) {
        let pairs = &mut self.pairs;
        pairs.retain(|_, pair| {
            now <= pair.used + idle || pair.sides.iter().any(|side| now <= side.last_arrival)
        });
        for (host, peers) in self.peers.iter_mut().enumerate() {
            peers.retain(|peer| pairs.contains_key(&key(host as Host, *peer)));
        }
        self.sweep_at = (2 * pairs.len()).max(SWEEP_AT_FIRST);
    }
}

fn key(a: Host, b: Host) -> u64 {
    u64::from(a.min(b)) << 32 | u64::from(a.max(b))
}

/// Which of the two sides of the pair `from` is.
fn side(from: Host, to: Host) -> usize {
    usize::from(to < from)
}

#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mixed(self.0 ^ number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[test]
    fn idle_connections_are_forgotten() {
        let mut connections = Connections::new();
        for i in 0..100_000 {
            let now = Time::from_micros(u64::from(i) * 100_000);
            assert!(!connections.open((0, 0), (i + 1, 0), now, IDLE));
            assert!(connections.pairs.len() <= 2 * 1024, "600 connections are in use");
        }
        let connected = connections.end(0, 0, Time::from_micros(9_999_900_000), IDLE);
        assert_eq!(connected.len(), 601);
    }
}
