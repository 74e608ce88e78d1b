//! What happens to the ring and to records in one moment, told in few lines.
//!
//! When a node comes, goes or is found again, several things change at once: neighbours, and the records
//! that move. They are told by the way, so they wait until the moment is over, and what is of one kind
//! becomes one line.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chat::event::{Direction, Event, RingChange, Why};
use crate::id::NodeHandle;
use crate::repl::safe;
use crate::time::Time;

/// How long a moment is, from the first thing that happens in it.
const MOMENT: Duration = Duration::from_secs(1);

/// How many lines it has at most: then it is over.
const LINES_MAX: usize = 32;

/// How many things of one kind are named; where there are more, they are counted.
const NAMED_MAX: usize = 3;

/// What has happened and is not told yet.
#[derive(Debug, Default)]
pub struct Moment {
    /// When it began, unless nothing has happened.
    since: Option<Time>,
    /// The line that changed last stands last.
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// The nodes that this happened to.
    Ring { change: RingChange, peers: Few },
    Migrated {
        direction: Direction,
        peer: NodeHandle,
        why: Why,
        records: Few,
        kinds: BTreeMap<&'static str, usize>,
    },
}

/// The first few of many, and how many more there are.
#[derive(Debug, Default)]
struct Few {
    named: Vec<String>,
    more: usize,
}

impl Few {
    fn push(&mut self, name: String) {
        if self.named.len() < NAMED_MAX {
            self.named.push(name);
        } else {
            self.more += 1;
        }
    }

    fn count(&self) -> usize {
        self.named.len() + self.more
    }

    /// All that are named, in words: `a, b and c`, or `a, b, c and 4 more`.
    fn list(&self) -> String {
        match (&self.named[..], self.more) {
            ([], _) => String::new(),
            ([only], 0) => only.clone(),
            ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
            (named, more) => format!("{} and {more} more", named.join(", ")),
        }
    }
}

impl Moment {
    /// Learns what has changed in the ring, or that a record has moved.
    pub fn learn(&mut self, event: &Event, now: Time) {
        match event {
            Event::Ring { change, peer } => self.ring_changed(*change, *peer),
            Event::Migrated { kind, name, direction, peer, why } => {
                self.migrated(kind, name, *direction, *peer, *why);
            }
            _ => return,
        }
        self.since.get_or_insert(now);
    }

    /// When it is over, unless nothing has happened.
    pub fn end(&self) -> Option<Time> {
        self.since.map(|since| since + MOMENT)
    }

    /// Whether it is over, because so much has happened in it.
    pub fn is_full(&self) -> bool {
        self.lines.len() == LINES_MAX
    }

    /// Ends it: what has happened, in lines.
    pub fn take(&mut self) -> Vec<String> {
        self.since = None;
        self.lines.drain(..).map(|line| line.text()).collect()
    }

    fn ring_changed(&mut self, new: RingChange, peer: NodeHandle) {
        let is_same = |line: &Line| matches!(line, Line::Ring { change, .. } if is_one_kind(*change, new));
        let known = self.lines.iter().position(is_same).map(|at| self.lines.remove(at));
        let mut peers = match known {
            Some(Line::Ring { peers, .. }) if adds_up(new) => peers,
            _ => Few::default(),
        };
        let peer = peer.to_string();
        if !peers.named.contains(&peer) {
            peers.push(peer);
        }
        self.lines.push(Line::Ring { change: new, peers });
    }

    fn migrated(&mut self, kind: &'static str, name: &str, way: Direction, with: NodeHandle, for_what: Why) {
        let is_same = |line: &Line| {
            matches!(line, Line::Migrated { direction, peer, why, .. }
                if (*direction, *peer, *why) == (way, with, for_what))
        };
        let at = self.lines.iter().position(is_same).unwrap_or_else(|| {
            let (records, kinds) = (Few::default(), BTreeMap::new());
            self.lines.push(Line::Migrated { direction: way, peer: with, why: for_what, records, kinds });
            self.lines.len() - 1
        });
        if let Line::Migrated { records, kinds, .. } = &mut self.lines[at] {
            let sign = if kind == "channel" { "#" } else { "" };
            records.push(format!("{kind} {sign}{}", safe::line(name)));
            *kinds.entry(kind).or_default() += 1;
        }
    }
}

/// Whether one of two changes makes the other one old, or both are told in one line.
fn is_one_kind(a: RingChange, b: RingChange) -> bool {
    let is_successor = |change| matches!(change, RingChange::Successor | RingChange::Alone);
    a == b || (is_successor(a) && is_successor(b))
}

/// Whether this happens to one node after another, and does not replace what happened before.
fn adds_up(change: RingChange) -> bool {
    matches!(change, RingChange::Lost | RingChange::Left)
}

impl Line {
    fn text(&self) -> String {
        match self {
            Line::Ring { change, peers } => ring_change(*change, peers),
            Line::Migrated { direction, peer, why, records, kinds } => {
                let what = if records.more == 0 { records.list() } else { counted(kinds) };
                migrated(&what, *direction, *peer, *why)
            }
        }
    }
}

/// How many records of each kind: `3 channels and 5 names`.
fn counted(kinds: &BTreeMap<&'static str, usize>) -> String {
    let kinds = kinds.iter().map(|(kind, count)| match (*count, kind.ends_with('x')) {
        (1, _) => format!("1 {kind}"),
        (_, true) => format!("{count} {kind}es"),
        (_, false) => format!("{count} {kind}s"),
    });
    Few { named: kinds.collect(), more: 0 }.list()
}

fn migrated(what: &str, direction: Direction, peer: NodeHandle, why: Why) -> String {
    let (way, why) = match (direction, why) {
        (Direction::Out, Why::NewPredecessor) => ("to", "a new predecessor"),
        (Direction::In, Why::NewPredecessor) => ("from", "this node is its new predecessor"),
        (Direction::Out, Why::Leave) => ("to", "this node leaves"),
        (Direction::In, Why::Leave) => ("from", "it leaves"),
        (Direction::Out, Why::Crash) => ("to", "the root before it crashed"),
        (Direction::In, Why::Crash) => ("from", "it crashed, and this node had a copy"),
    };
    format!("Migrated {what} {way} {peer}: {why}")
}

fn ring_change(change: RingChange, peers: &Few) -> String {
    let (list, is_one) = (peers.list(), peers.count() == 1);
    match change {
        RingChange::Successor => format!("Ring: the successor is now {list}"),
        RingChange::Predecessor => format!("Ring: the predecessor is now {list}"),
        RingChange::Lost if is_one => format!("Ring: {list} does not answer any more"),
        RingChange::Lost => format!("Ring: {list} do not answer any more"),
        RingChange::Left if is_one => format!("Ring: {list} has left"),
        RingChange::Left => format!("Ring: {list} have left"),
        RingChange::Alone => "Ring: this node is alone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> NodeHandle {
        NodeHandle::new(([127, 0, 0, 1], port).into())
    }

    fn ring(change: RingChange, port: u16) -> Event {
        Event::Ring { change, peer: node(port) }
    }

    fn migrated(kind: &'static str, name: &str, why: Why) -> Event {
        Event::Migrated { kind, name: name.into(), direction: Direction::In, peer: node(7001), why }
    }

    fn told(events: &[Event]) -> Vec<String> {
        let mut moment = Moment::default();
        for event in events {
            moment.learn(event, Time::default());
        }
        assert_eq!(moment.end(), Some(Time::default() + MOMENT));
        let lines = moment.take();
        assert_eq!(moment.end(), None);
        lines
    }

    #[test]
    fn records_that_move_together_are_one_line() {
        let why = Why::NewPredecessor;
        let few = [migrated("channel", "rust", why), migrated("name", "bob", why)];
        let reason = "from 73e424d5 at 127.0.0.1:7001: this node is its new predecessor";
        assert_eq!(told(&few), [format!("Migrated channel #rust and name bob {reason}")]);
        let mut many: Vec<_> = (0..5).map(|n| migrated("name", &format!("n{n}"), why)).collect();
        many.extend([
            migrated("channel", "rust", why),
            migrated("mailbox", "a", why),
            migrated("mailbox", "b", why),
        ]);
        assert_eq!(told(&many), [format!("Migrated 1 channel, 2 mailboxes and 5 names {reason}")]);
        let other = [migrated("name", "bob", why), migrated("name", "eve", Why::Crash)];
        assert_eq!(told(&other).len(), 2, "for two reasons");
    }

    #[test]
    fn of_changes_that_replace_one_another_the_last_is_told() {
        use RingChange::{Alone, Left, Lost, Predecessor, Successor};
        let events =
            [ring(Successor, 7001), ring(Alone, 7000), ring(Predecessor, 7001), ring(Successor, 7002)];
        let now = |what: &str, peer: &str| format!("Ring: the {what} is now {peer}");
        let (one, two) = ("73e424d5 at 127.0.0.1:7001", "7d4851f4 at 127.0.0.1:7002");
        assert_eq!(told(&events), [now("predecessor", one), now("successor", two)]);
        let events = [ring(Lost, 7001), ring(Left, 7002), ring(Lost, 7002)];
        let lost = format!("Ring: {one} and {two} do not answer any more");
        assert_eq!(told(&events), [format!("Ring: {two} has left"), lost]);
        let many: Vec<_> = (7001..=7009).map(|port| ring(Left, port)).collect();
        let lines = told(&many);
        assert!(lines[0].ends_with(" and 6 more have left") && lines.len() == 1, "{lines:?}");
    }

    #[test]
    fn a_moment_in_which_too_much_happens_is_over() {
        let mut moment = Moment::default();
        for port in 0..LINES_MAX as u16 {
            let why = Why::Crash;
            let (kind, name, direction) = ("name", "bob".to_owned(), Direction::Out);
            moment.learn(
                &Event::Migrated { kind, name, direction, peer: node(7000 + port), why },
                Time::default(),
            );
        }
        assert!(moment.is_full());
        assert_eq!(moment.take().len(), LINES_MAX);
        assert!(!moment.is_full());
    }
}
