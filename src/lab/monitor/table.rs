//! The table of nodes: its columns, in which order its rows stand, and how it is told to scripts.

use std::cmp::Reverse;
use std::time::Instant;

use serde::Serialize;

use super::watch::{Rates, Standing, Watch, Watched};
use crate::json::rfc3339;
use crate::lab::boot::{Peer, Place};
use crate::lab::look::short;
use crate::repl::safe;
use crate::time::Time;

/// By what the rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// By id: each node stands before its successor.
    #[default]
    Ring,
    Records,
    Messages,
    Lookups,
    Memory,
}

impl Order {
    /// All, each with the key that chooses it and its name.
    pub(super) const ALL: [(Order, char, &str); 5] = [
        (Order::Ring, 'r', "ring"),
        (Order::Records, 'c', "records"),
        (Order::Messages, 'm', "messages"),
        (Order::Lookups, 'l', "lookups"),
        (Order::Memory, 'y', "memory"),
    ];

    pub(super) fn of_key(key: char) -> Option<Order> {
        Order::ALL.into_iter().find(|(_, own, _)| *own == key).map(|(order, ..)| order)
    }
}

/// A column of the table.
pub(super) struct Column {
    title: &'static str,
    pub(super) width: usize,
    /// Numbers stand at the right.
    is_number: bool,
    /// The order that can be read off it.
    pub(super) order: Option<Order>,
    /// Nothing where it is not known.
    cell: fn(&Watched, Instant) -> Option<String>,
}

/// The columns, the most important first: a screen shows as many as there is room for.
pub(super) const COLUMNS: &[Column] = &[
    Column {
        title: "NODE",
        width: 6,
        is_number: false,
        order: None,
        cell: |watched, _| Some(watched.node.name.clone()),
    },
    Column {
        title: "ID",
        width: 8,
        is_number: false,
        order: Some(Order::Ring),
        cell: |watched, _| watched.place.as_ref().map(|place| short(Some(&place.node)).to_owned()),
    },
    Column {
        title: "STATE",
        width: 6,
        is_number: false,
        order: None,
        cell: |watched, now| {
            let is_new = watched.standing == Standing::Runs && watched.is_new(now);
            Some(if is_new { "new" } else { state(watched) }.to_owned())
        },
    },
    Column {
        title: "ROOT",
        width: 6,
        is_number: true,
        order: Some(Order::Records),
        cell: |watched, _| watched.place.as_ref().map(|place| place.records_as_root.to_string()),
    },
    Column {
        title: "COPIES",
        width: 6,
        is_number: true,
        order: None,
        cell: |watched, _| watched.place.as_ref().map(|place| place.records_as_copy.to_string()),
    },
    Column {
        title: "MSG/S",
        width: 6,
        is_number: true,
        order: Some(Order::Messages),
        cell: |watched, _| watched.rates.map(|rates| format!("{:.1}", rates.messages)),
    },
    Column {
        title: "LOOKUP/S",
        width: 8,
        is_number: true,
        order: Some(Order::Lookups),
        cell: |watched, _| watched.rates.map(|rates| format!("{:.1}", rates.lookups)),
    },
    Column {
        title: "KiB",
        width: 7,
        is_number: true,
        order: Some(Order::Memory),
        cell: |watched, _| watched.memory.map(|memory| memory.to_string()),
    },
    Column {
        title: "RANGE",
        width: 6,
        is_number: true,
        order: None,
        cell: |watched, _| {
            let range = watched.place.as_ref().and_then(range);
            range.map(|range| format!("{:.1}%", 100.0 * range))
        },
    },
    Column {
        title: "BEFORE",
        width: 8,
        is_number: false,
        order: None,
        cell: |watched, _| {
            let place = watched.place.as_ref();
            place.map(|place| short(place.predecessor.as_ref()).to_owned())
        },
    },
    Column {
        title: "NEXT",
        width: 8,
        is_number: false,
        order: None,
        cell: |watched, _| {
            let place = watched.place.as_ref();
            place.map(|place| short(place.successors.first()).to_owned())
        },
    },
    Column {
        title: "ADDRESS",
        width: 21,
        is_number: false,
        order: None,
        cell: |watched, _| watched.node.at.map(|at| at.addr.to_string()),
    },
];

impl Column {
    /// What stands in it, as wide as the column.
    pub(super) fn cell(&self, watched: &Watched, now: Instant) -> String {
        self.fit((self.cell)(watched, now).as_deref().unwrap_or("-"))
    }

    pub(super) fn heading(&self) -> String {
        self.fit(self.title)
    }

    fn fit(&self, text: &str) -> String {
        let width = self.width;
        if self.is_number { format!("{text:>width$}") } else { format!("{text:<width$.width$}") }
    }
}

/// How a node is, in one word.
fn state(watched: &Watched) -> &'static str {
    match watched.standing {
        Standing::Asked => "asked",
        Standing::Starts => "starts",
        Standing::Runs => "runs",
        Standing::Silent(_) => "silent",
        Standing::Gone(_) => "gone",
    }
}

/// Which part of the circle a node is responsible for, as it knows its predecessor.
fn range(place: &Place) -> Option<f64> {
    // 64 of the 160 bits are enough for a percentage.
    let start = |peer: &Peer| u64::from_str_radix(peer.id.get(..16)?, 16).ok();
    let (before, own) = (start(place.predecessor.as_ref()?)?, start(&place.node)?);
    Some(own.wrapping_sub(before) as f64 / 2f64.powi(64))
}

/// The nodes in this order; where it makes no difference, in that of the ring.
pub(super) fn rows(watch: &Watch, order: Order, now: Instant) -> Vec<&Watched> {
    let mut rows: Vec<&Watched> = watch.shown(now).collect();
    // Who has said nothing yet stands at the end.
    rows.sort_by_key(|watched| match &watched.place {
        Some(place) => (0, place.node.id.as_str()),
        None => (1, ""),
    });
    let rate = |watched: &Watched, of: fn(&Rates) -> f64| watched.rates.as_ref().map_or(-1.0, of);
    match order {
        Order::Ring => {}
        Order::Records => rows.sort_by_key(|watched| {
            Reverse(watched.place.as_ref().map(|place| place.records_as_root + place.records_as_copy))
        }),
        Order::Messages => rows.sort_by(|one, other| {
            rate(other, |rates| rates.messages).total_cmp(&rate(one, |rates| rates.messages))
        }),
        Order::Lookups => rows.sort_by(|one, other| {
            rate(other, |rates| rates.lookups).total_cmp(&rate(one, |rates| rates.lookups))
        }),
        Order::Memory => rows.sort_by_key(|watched| Reverse(watched.memory)),
    }
    rows
}

/// The whole network in two lines.
pub(super) fn summary(watch: &Watch, now: Instant) -> [String; 2] {
    let (mut here, mut silent, mut starting) = (0, 0, 0);
    let (mut roots, mut copies, mut messages, mut lookups) = (0, 0, 0.0, 0.0);
    for watched in watch.shown(now).filter(|watched| !watched.is_gone()) {
        here += 1;
        match watched.standing {
            Standing::Silent(_) => silent += 1,
            Standing::Starts => starting += 1,
            _ => {}
        }
        if let Some(place) = &watched.place {
            roots += place.records_as_root;
            copies += place.records_as_copy;
        }
        if let Some(rates) = watched.rates {
            messages += rates.messages;
            lookups += rates.lookups;
        }
    }
    let Watch { came, went, .. } = watch;
    let some =
        |count: usize, what: &str| if count == 0 { String::new() } else { format!(", {count} {what}") };
    [
        format!(
            "{}{}{}; {came} came, {went} went",
            crate::lab::nodes(here),
            some(silent, "silent"),
            some(starting, "starting")
        ),
        format!("{roots} records, {copies} copies; {messages:.1} messages/s, {lookups:.1} lookups/s"),
    ]
}

/// The table for scripts and files: all columns, in the order of the ring.
pub(super) fn text(watch: &Watch, now: Instant) -> Vec<String> {
    let headings: Vec<String> = COLUMNS.iter().map(Column::heading).collect();
    let mut lines = vec![headings.join(" ").trim_end().to_owned()];
    for watched in rows(watch, Order::Ring, now) {
        let mut cells: Vec<String> = COLUMNS.iter().map(|column| column.cell(watched, now)).collect();
        cells.extend(watched.reason().map(str::to_owned));
        lines.push(safe::line(cells.join(" ").trim_end()));
    }
    lines.extend(summary(watch, now));
    lines
}

/// One look, for programs.
#[derive(Serialize)]
struct Look<'a> {
    time: String,
    came: u64,
    went: u64,
    nodes: Vec<Seen<'a>>,
}

/// A node; what it has not said is null.
#[derive(Serialize)]
struct Seen<'a> {
    name: &'a str,
    pid: u32,
    state: &'static str,
    reason: Option<&'a str>,
    id: Option<&'a str>,
    addr: Option<String>,
    http: Option<String>,
    predecessor: Option<&'a str>,
    successor: Option<&'a str>,
    range: Option<f64>,
    records_as_root: Option<usize>,
    records_as_copy: Option<usize>,
    messages_sent: Option<u64>,
    messages_received: Option<u64>,
    lookups: Option<u64>,
    messages_per_second: Option<f64>,
    lookups_per_second: Option<f64>,
    memory_kib: Option<u64>,
}

impl<'a> From<&'a Watched> for Seen<'a> {
    fn from(watched: &'a Watched) -> Seen<'a> {
        let place = watched.place.as_ref();
        Seen {
            name: &watched.node.name,
            pid: watched.node.pid,
            state: state(watched),
            reason: watched.reason(),
            id: place.map(|place| place.node.id.as_str()),
            addr: watched.node.at.map(|at| at.addr.to_string()),
            http: watched.node.at.map(|at| at.http.to_string()),
            predecessor: place.and_then(|place| Some(place.predecessor.as_ref()?.id.as_str())),
            successor: place.and_then(|place| Some(place.successors.first()?.id.as_str())),
            range: place.and_then(range),
            records_as_root: place.map(|place| place.records_as_root),
            records_as_copy: place.map(|place| place.records_as_copy),
            messages_sent: place.map(|place| place.messages_sent),
            messages_received: place.map(|place| place.messages_received),
            lookups: place.map(|place| place.lookups),
            messages_per_second: watched.rates.map(|rates| rates.messages),
            lookups_per_second: watched.rates.map(|rates| rates.lookups),
            memory_kib: watched.memory,
        }
    }
}

/// One look as a JSON object in one line, its nodes in the order of the ring.
pub(super) fn json(watch: &Watch, now: Instant, time: Time) -> serde_json::Result<String> {
    let nodes = rows(watch, Order::Ring, now).into_iter().map(Seen::from).collect();
    serde_json::to_string(&Look { time: rfc3339(time), came: watch.came, went: watch.went, nodes })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::monitor::watch::Answer;
    use crate::lab::monitor::watch::tests::{node, place, says};

    /// Three nodes that have been looked at twice, a second apart; the third is silent.
    fn watch() -> (Watch, Instant) {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        for (now, messages) in [(begin, 0), (begin + Duration::from_secs(1), 50)] {
            watch.begin_look(now, vec![node(9), node(2), node(5)]);
            says(&mut watch, now, 9, messages);
            says(&mut watch, now, 2, messages * 2);
            says(&mut watch, now, 5, messages);
        }
        let now = begin + Duration::from_secs(2);
        watch.begin_look(now, vec![node(9), node(2), node(5)]);
        watch.on_answer(now, &node(5), Answer::Silent("it sleeps\u{1b}[2J".to_owned()));
        (watch, now)
    }

    fn names(watch: &Watch, order: Order, now: Instant) -> Vec<&str> {
        rows(watch, order, now).iter().map(|watched| watched.node.name.as_str()).collect()
    }

    #[test]
    fn rows_stand_in_the_order_that_was_chosen() {
        let (watch, now) = watch();
        assert_eq!(names(&watch, Order::Ring, now), ["n2", "n5", "n9"]);
        assert_eq!(names(&watch, Order::Records, now), ["n9", "n5", "n2"]);
        assert_eq!(names(&watch, Order::Messages, now), ["n2", "n9", "n5"]);
        assert_eq!(names(&watch, Order::Lookups, now), ["n2", "n9", "n5"]);
        assert_eq!(names(&watch, Order::Memory, now), ["n9", "n2", "n5"]);
        for (order, key, _) in Order::ALL {
            assert_eq!(Order::of_key(key), Some(order));
        }
    }

    #[test]
    fn the_text_has_a_row_for_each_node_and_commands_no_terminal() {
        let (watch, now) = watch();
        let lines = text(&watch, now);
        assert_eq!(
            lines,
            [
                "NODE   ID       STATE    ROOT COPIES  MSG/S LOOKUP/S     KiB  RANGE BEFORE   NEXT     ADDRESS",
                "n2     00020000 runs        2      1  100.0     10.0      20   0.0% 00010000 00030000 127.0.0.1:7002",
                "n5     00050000 silent      5      1      -        -       -   0.0% 00040000 00060000 127.0.0.1:7005        it sleeps␛[2J",
                "n9     00090000 runs        9      1   50.0      5.0      90   0.0% 00080000 000a0000 127.0.0.1:7009",
                "3 nodes, 1 silent; 0 came, 0 went",
                "16 records, 3 copies; 150.0 messages/s, 15.0 lookups/s",
            ]
        );
    }

    #[test]
    fn a_look_is_one_line_of_json_with_null_for_what_is_not_known() {
        let (mut watch, now) = watch();
        watch.begin_look(now, vec![node(9), node(2), node(5), node(7)]);
        let line = json(&watch, now, Time::from_micros(0)).unwrap();
        let look: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&look["time"], &look["came"]), (&"1970-01-01T00:00:00.000Z".into(), &1.into()));
        let states: Vec<_> = look["nodes"].as_array().unwrap().iter().map(|node| &node["state"]).collect();
        assert_eq!(states, ["runs", "silent", "runs", "asked"]);
        let (first, last) = (&look["nodes"][0], &look["nodes"][3]);
        assert_eq!((&first["messages_per_second"], &first["lookups"]), (&100.0.into(), &10.into()));
        assert_eq!(first.as_object().unwrap().len(), last.as_object().unwrap().len());
        assert!(last["id"].is_null() && last["messages_sent"].is_null(), "{last}");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn the_range_of_a_node_goes_round_the_circle() {
        let whole = |before: &str, own: &str| {
            let mut place = place(5, 0);
            place.node.id = format!("{own}{}", "0".repeat(39));
            place.predecessor.as_mut().unwrap().id = format!("{before}{}", "0".repeat(39));
            range(&place).unwrap()
        };
        assert_eq!((whole("4", "8"), whole("c", "4"), whole("0", "8")), (0.25, 0.5, 0.5));
        let alone = Place { predecessor: None, ..place(5, 0) };
        assert_eq!(range(&alone), None);
    }
}
