//! What is known of the nodes, from one look to the next; it computes, and `ask` asks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::lab::boot::Place;
use crate::lab::look::Values;
use crate::lab::state::Node;

/// For how long it is shown that a node has come or gone.
pub(super) const MARKED: Duration = Duration::from_secs(10);

/// Over how many answers a rate is taken: nodes do much at intervals of their own, longer than that of two looks.
const SAMPLES_MAX: usize = 6;

/// All nodes that were seen since the monitor began, but those that are gone and forgotten.
#[derive(Debug, Default)]
pub(super) struct Watch {
    nodes: Vec<Watched>,
    /// How many nodes have come since the first look.
    pub(super) came: u64,
    /// How many that were there have gone.
    pub(super) went: u64,
    has_looked: bool,
}

/// A node, and what it has said last.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) node: Node,
    pub(super) standing: Standing,
    pub(super) place: Option<Place>,
    /// In KiB.
    pub(super) memory: Option<u64>,
    /// What it keeps, if it was looked into.
    pub(super) values: Option<Values>,
    /// Its last answers, the oldest first.
    samples: VecDeque<Sample>,
    pub(super) rates: Option<Rates>,
    /// When it came, if that was after the first look.
    came: Option<Instant>,
    is_asked: bool,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was asked, and has not answered yet.
    Asked,
    /// Its process runs, and is not in the ring yet.
    Starts,
    Runs,
    /// Its process runs and does not answer, for this reason.
    Silent(String),
    /// Its process has ended, or another command took it out of the state; known since then.
    Gone(Instant),
}

/// What a node does in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Messages that it sends.
    pub(super) messages: f64,
    /// Lookups that it begins.
    pub(super) lookups: f64,
}

/// The counters of a node, and when it has told them.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    messages: u64,
    lookups: u64,
}

/// What has come of asking a node.
#[derive(Debug)]
pub(super) enum Answer {
    Place { place: Box<Place>, memory: Option<u64>, values: Option<Values> },
    Starts,
    Silent(String),
    Gone,
}

impl Watched {
    fn new(node: Node, came: Option<Instant>) -> Watched {
        Watched {
            node,
            standing: Standing::Asked,
            place: None,
            memory: None,
            values: None,
            samples: VecDeque::new(),
            rates: None,
            came,
            is_asked: false,
        }
    }

    /// Whether it is marked as one that has just come.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        self.came.is_some_and(|came| now < came + MARKED)
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.standing, Standing::Gone(_))
    }

    fn is_shown(&self, now: Instant) -> bool {
        match self.standing {
            Standing::Gone(since) => now < since + MARKED,
            _ => true,
        }
    }

    /// Why it says nothing, if it does not.
    pub(super) fn reason(&self) -> Option<&str> {
        match &self.standing {
            Standing::Silent(reason) => Some(reason),
            _ => None,
        }
    }

    fn on_place(&mut self, now: Instant, place: Place, memory: Option<u64>) {
        self.standing = Standing::Runs;
        self.memory = memory;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        let newest = Sample { at: now, messages: place.messages_sent, lookups: place.lookups };
        self.rates = self.samples.front().and_then(|oldest| Rates::between(*oldest, newest));
        self.samples.push_back(newest);
        self.place = Some(place);
    }

    fn falls_silent(&mut self, standing: Standing) {
        self.standing = standing;
        self.rates = None;
        self.memory = None;
    }
}

impl Rates {
    /// Nothing if the counters do not fit each other.
    fn between(before: Sample, after: Sample) -> Option<Rates> {
        let seconds = Some((after.at - before.at).as_secs_f64()).filter(|seconds| 0.0 < *seconds)?;
        let rate = |before: u64, after: u64| Some(after.checked_sub(before)? as f64 / seconds);
        Some(Rates {
            messages: rate(before.messages, after.messages)?,
            lookups: rate(before.lookups, after.lookups)?,
        })
    }
}

impl Watch {
    /// A look begins: these are the nodes of the state file; returns whom to ask, and whether each was silent.
    ///
    /// Whoever is asked already is not asked again before its answer has come.
    pub(super) fn begin_look(&mut self, now: Instant, listed: Vec<Node>) -> Vec<(Node, bool)> {
        for watched in &mut self.nodes {
            if !watched.is_gone() && !listed.iter().any(|node| is_same(node, &watched.node)) {
                watched.falls_silent(Standing::Gone(now));
                self.went += 1;
            }
        }
        // A node that ended by itself stays in the file: it is remembered, so that it does not come again.
        self.nodes.retain(|watched| {
            watched.is_shown(now) || listed.iter().any(|node| is_same(node, &watched.node))
        });
        for node in listed {
            match self.nodes.iter_mut().find(|watched| is_same(&watched.node, &node)) {
                // It may be in the ring by now.
                Some(watched) => watched.node = node,
                None => {
                    self.came += u64::from(self.has_looked);
                    self.nodes.push(Watched::new(node, self.has_looked.then_some(now)));
                }
            }
        }
        self.has_looked = true;
        let due = self.nodes.iter_mut().filter(|watched| !watched.is_gone() && !watched.is_asked);
        due.map(|watched| {
            watched.is_asked = true;
            (watched.node.clone(), matches!(watched.standing, Standing::Silent(_)))
        })
        .collect()
    }

    /// A node was asked.
    pub(super) fn on_answer(&mut self, now: Instant, node: &Node, answer: Answer) {
        let Some(watched) = self.nodes.iter_mut().find(|watched| is_same(&watched.node, node)) else {
            return;
        };
        watched.is_asked = false;
        match answer {
            // What was asked of it before it went matters no more.
            _ if watched.is_gone() => {}
            Answer::Place { place, memory, values } => {
                watched.values = values;
                watched.on_place(now, *place, memory);
            }
            Answer::Starts => watched.falls_silent(Standing::Starts),
            Answer::Silent(reason) => watched.falls_silent(Standing::Silent(reason)),
            Answer::Gone => {
                // A process that had ended before the first look is no loss of this time.
                let was_there = watched.standing != Standing::Asked || watched.came.is_some();
                self.went += u64::from(was_there);
                watched.falls_silent(Standing::Gone(now));
            }
        }
    }

    /// The nodes to show, those included that have just gone.
    pub(super) fn shown(&self, now: Instant) -> impl Iterator<Item = &Watched> {
        self.nodes.iter().filter(move |watched| watched.is_shown(now))
    }

    /// The node of this name, if it is still shown.
    pub(super) fn node(&self, now: Instant, name: &str) -> Option<&Watched> {
        // Of two, the newer.
        self.shown(now).filter(|watched| watched.node.name == name).last()
    }
}

/// Whether these are one process: a network that was begun anew gives the same names to others.
fn is_same(one: &Node, other: &Node) -> bool {
    (&one.name, one.pid, &one.began) == (&other.name, other.pid, &other.began)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::lab::boot::Peer;
    use crate::lab::state::At;

    /// A node `n<number>`, whose id begins with the number.
    pub(in crate::lab::monitor) fn node(number: u16) -> Node {
        let addr = ([127, 0, 0, 1], 7000 + number).into();
        let http = ([127, 0, 0, 1], 8000 + number).into();
        let at = Some(At { addr, http });
        let began = "1".to_owned();
        Node { pid: u32::from(number), began, at, ..Node::new(format!("n{number}"), None) }
    }

    fn peer(number: u16) -> Peer {
        let addr = ([127, 0, 0, 1], 7000 + number).into();
        Peer { id: format!("{number:04x}{:036}", 0), addr }
    }

    /// What `n<number>` says that has sent so many messages.
    pub(in crate::lab::monitor) fn place(number: u16, messages: u64) -> Place {
        Place {
            node: peer(number),
            since: "2026-11-20T13:37:00.123Z".to_owned(),
            predecessor: Some(peer(number - 1)),
            successors: vec![peer(number + 1)],
            fingers: Vec::new(),
            records_as_root: usize::from(number),
            records_as_copy: 1,
            messages_sent: messages,
            messages_received: 0,
            lookups: messages / 10,
            connections: Vec::new(),
        }
    }

    pub(in crate::lab::monitor) fn says(watch: &mut Watch, now: Instant, number: u16, messages: u64) {
        let place = Box::new(place(number, messages));
        watch.on_answer(
            now,
            &node(number),
            Answer::Place { place, memory: Some(u64::from(number) * 10), values: None },
        );
    }

    fn asked(asked: &[(Node, bool)]) -> Vec<&str> {
        asked.iter().map(|(node, _)| node.name.as_str()).collect()
    }

    fn names(watch: &Watch, now: Instant) -> Vec<&str> {
        watch.shown(now).map(|watched| watched.node.name.as_str()).collect()
    }

    #[test]
    fn who_comes_and_goes_is_counted_and_marked_for_a_while() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        assert_eq!(asked(&watch.begin_look(begin, vec![node(1), node(2)])), ["n1", "n2"]);
        says(&mut watch, begin, 1, 0);
        says(&mut watch, begin, 2, 0);
        assert_eq!((watch.came, watch.went), (0, 0));
        let later = begin + Duration::from_secs(1);
        assert_eq!(asked(&watch.begin_look(later, vec![node(1), node(3)])), ["n1", "n3"]);
        assert_eq!((watch.came, watch.went), (1, 1));
        assert!(watch.node(later, "n2").unwrap().is_gone() && watch.node(later, "n3").unwrap().is_new(later));
        assert!(!watch.node(later, "n1").unwrap().is_new(later));
        assert_eq!(names(&watch, later), ["n1", "n2", "n3"]);
        let end = later + MARKED;
        assert!(!watch.node(end, "n3").unwrap().is_new(end));
        watch.begin_look(end, vec![node(1), node(3)]);
        assert_eq!((names(&watch, end), watch.went), (vec!["n1", "n3"], 1));
    }

    #[test]
    fn a_process_that_ended_by_itself_goes_once_though_the_file_still_has_it() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.begin_look(begin, vec![node(1), node(2)]);
        says(&mut watch, begin, 1, 0);
        // It had ended before.
        watch.on_answer(begin, &node(2), Answer::Gone);
        assert_eq!(watch.went, 0);
        watch.begin_look(begin, vec![node(1), node(2)]);
        watch.on_answer(begin, &node(1), Answer::Gone);
        let end = begin + MARKED;
        assert!(watch.begin_look(end, vec![node(1), node(2)]).is_empty(), "nobody asks who is gone");
        assert_eq!((names(&watch, end), watch.came, watch.went), (vec![], 0, 1));
    }

    #[test]
    fn a_network_that_is_begun_anew_has_other_nodes_of_the_same_names() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.begin_look(begin, vec![node(1)]);
        says(&mut watch, begin, 1, 0);
        watch.begin_look(begin, vec![Node { pid: 77, ..node(1) }]);
        assert_eq!((watch.came, watch.went), (1, 1));
        assert_eq!(watch.node(begin, "n1").unwrap().node.pid, 77);
    }

    #[test]
    fn a_rate_is_what_was_counted_since_the_answers_before_and_is_not_kept_in_silence() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.begin_look(begin, vec![node(1)]);
        says(&mut watch, begin, 1, 100);
        let rates = |watch: &Watch, now| watch.node(now, "n1").unwrap().rates;
        assert_eq!(rates(&watch, begin), None);
        let later = begin + Duration::from_secs(2);
        watch.begin_look(later, vec![node(1)]);
        says(&mut watch, later, 1, 140);
        assert_eq!(rates(&watch, later), Some(Rates { messages: 20.0, lookups: 2.0 }));
        watch.begin_look(later, vec![node(1)]);
        watch.on_answer(later, &node(1), Answer::Silent("it sleeps".to_owned()));
        let silent = watch.node(later, "n1").unwrap();
        assert_eq!((silent.rates, silent.reason()), (None, Some("it sleeps")));
        assert!(silent.place.is_some(), "what it said last is still known");
        let end = later + Duration::from_secs(4);
        assert!(watch.begin_look(end, vec![node(1)])[0].1, "it was silent");
        says(&mut watch, end, 1, 180);
        assert_eq!(rates(&watch, end), Some(Rates { messages: 80.0 / 6.0, lookups: 8.0 / 6.0 }));
        for second in 1..10 {
            let now = end + Duration::from_secs(second);
            watch.begin_look(now, vec![node(1)]);
            says(&mut watch, now, 1, 180 + 50 * second);
        }
        let now = end + Duration::from_secs(9);
        assert_eq!(rates(&watch, now), Some(Rates { messages: 50.0, lookups: 5.0 }), "long ago is forgotten");
    }

    #[test]
    fn a_node_that_has_not_answered_yet_is_not_asked_again() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.begin_look(begin, vec![node(1), node(2)]);
        says(&mut watch, begin, 2, 0);
        assert_eq!(asked(&watch.begin_look(begin, vec![node(1), node(2)])), ["n2"]);
    }
}
