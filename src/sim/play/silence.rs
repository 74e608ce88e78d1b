//! At rest, only what is due is heard: the heartbeat of the ring, that leases are renewed, and that copies are
//! compared; and of each no more than its period allows.
//!
//! It is listened for as long as the longest period, so that nothing goes on in pauses between two looks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Play;
use crate::chord::fingers::FIX_EVERY;
use crate::chord::unite::{ASK_ALONE_EVERY, ASK_EVERY, ASKED_WITHIN};
use crate::chord::{STABILIZE_EVERY, SUCCESSORS};
use crate::node::Node;
use crate::records::COPIES;
use crate::records::lease::{LEASE, RENEW_EVERY};
use crate::records::repair::REPAIR_EVERY;
use crate::sim::Network;
use crate::time::Time;

/// How long it is listened to.
const LISTEN: Duration = REPAIR_EVERY;

/// How long after the last fault it may begin: whoever crashed is a member until the lease has ended, and the
/// others are told a few seconds later.
const LEASES_END: Duration = LEASE.saturating_add(Duration::from_secs(10));

/// Of each kind, how many messages there were, and their bytes.
type Counted = BTreeMap<&'static str, (u64, u64)>;

/// What is due at rest.
struct Due {
    nodes: u64,
    /// How many people are in a channel, in all channels.
    members: u64,
    /// How many records are on a node that is not their root.
    copies: u64,
    /// How many people have messages that wait in mailboxes.
    authors: u64,
    /// How many peers one node has lost, at most.
    lost: u64,
    /// How many messages it takes at most to ask a root, and to be answered.
    asked: u64,
}

impl Due {
    fn of(network: &Network<Node>) -> Due {
        let (mut nodes, mut members, mut copies, mut authors, mut lost) = (0_u64, 0, 0, 0, 0);
        for node in network.machines() {
            nodes += 1;
            members += node.chat().joined().count() as u64;
            let is_copy = |id| node.chord().is_root(id) == Some(false);
            copies += node.records().keys().filter(|&(_, id)| is_copy(id)).count() as u64;
            authors += u64::from(0 < node.chat().letters());
            lost = lost.max(node.chord().remembered().count() as u64);
        }
        // Each hop at least halves the distance, among nodes that lie about as chance has it.
        let hops = u64::from(nodes.max(2).ilog2()) + 1;
        Due { nodes, members, copies, authors, lost, asked: hops + 1 }
    }

    /// How many messages of this kind there are at most while it is listened to.
    fn messages(&self, kind: &str) -> f64 {
        // At the edges there is one more than fits in between.
        let times = |period: Duration| LISTEN.as_secs_f64() / period.as_secs_f64() + 1.0;
        let Due { nodes, members, copies, authors, lost, asked } = *self;
        let asks = |those: u64| (those * asked) as f64;
        // What goes from hop to hop.
        let handed_on =
            || ["name", "renew", "repair", "find root"].map(|kind| self.messages(kind)).iter().sum::<f64>();
        match kind {
            "name" => asks(nodes) * times(RENEW_EVERY),
            "renew" => asks(members) * times(RENEW_EVERY),
            "letters" => asks(authors) * times(RENEW_EVERY),
            // The root tells at most four copies, which answer.
            "merge" => (2 * (COPIES as u64 - 1) * (nodes + members)) as f64 * times(RENEW_EVERY),
            // Its root is asked, and whoever told it last to keep the record.
            "repair" => (asks(copies) + (2 * copies) as f64) * times(REPAIR_EVERY),
            "find root" => asks(nodes) * times(FIX_EVERY),
            // A question, its answer and a notify, and the same when something goes by way of the successor.
            "stabilize" => 3.0 * (nodes as f64 * times(STABILIZE_EVERY) + handed_on()),
            // A ping and its answer, and the same when something goes by way of another node.
            "rectify" => 2.0 * (nodes as f64 * times(STABILIZE_EVERY) + handed_on()),
            "unite" | "find place" => {
                let pause = if nodes == 1 { ASK_ALONE_EVERY } else { ASK_EVERY };
                // Whoever knows one another comes to each of the lost together, in time.
                let members = nodes.min(1 + SUCCESSORS as u64);
                let turns = (u128::from(members) * ASKED_WITHIN.as_millis()).max(1);
                let at_a_time = (u128::from(lost) * pause.as_millis()).div_ceil(turns).max(1);
                asks(nodes) * times(pause) * at_a_time as f64
            }
            _ => 0.0,
        }
    }
}

impl<F: FnMut(super::Told<'_>) + 'static> Play<F> {
    /// Listens once, so long after the faults stopped at `calm`.
    pub(super) fn listen(&mut self, calm: Time) {
        self.network.run_until(calm + LEASES_END);
        let before = self.network.counters.kinds.clone();
        let due = Due::of(&self.network);
        self.network.run_for(LISTEN);
        let heard = heard_since(&before, &self.network.counters.kinds);
        let excess = |kind: &str, heard: u64| heard as f64 / due.messages(kind);
        let too_much = heard.into_iter().filter(|&(kind, heard)| 1.0 < excess(kind, heard));
        let too_much =
            too_much.max_by(|&(a, heard_a), &(b, heard_b)| excess(a, heard_a).total_cmp(&excess(b, heard_b)));
        self.report.unrest = too_much.map(|(kind, heard)| {
            let (seconds, most) = (LISTEN.as_secs(), due.messages(kind));
            format!("{heard} messages about {kind:?} are sent in {seconds} s of rest, and at most {most:.0} are due")
        });
    }
}

fn heard_since(before: &Counted, after: &Counted) -> BTreeMap<&'static str, u64> {
    let heard = |(&kind, (count, _)): (&&'static str, &(u64, u64))| {
        let before = before.get(kind).map_or(0, |(count, _)| *count);
        (before < *count).then_some((kind, count - before))
    };
    after.iter().filter_map(heard).collect()
}
