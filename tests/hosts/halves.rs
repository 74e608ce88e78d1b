//! A network of hosts that is cut in two, and heals.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::{Mark, Node, is, is_in_place, is_message, text, wait_for_ring};
use crate::namespaces::Hosts;

const HOSTS: usize = 8;

/// How long the halves may take until they are one; the figures that are printed are the measurement.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// How long the network stays cut after both halves have spoken: longer than a connection waits for an answer, so that
/// what was sent to the other half is lost.
const CUT_FOR: Duration = Duration::from_secs(6);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is said in each half while it is by itself.
const LEFT: [&str; 2] = ["left one", "left two"];
const RIGHT: [&str; 2] = ["right one", "right two"];

/// Somebody who only looks on while the network heals.
struct Onlooker {
    node: Node,
    /// What came before that.
    before: Mark,
    /// What was said in the other half.
    missed: [&'static str; 2],
}

impl Onlooker {
    /// The messages that were shown since the network has healed.
    fn shown(&self) -> Vec<Value> {
        let mut events = self.node.events_after(self.before);
        events.retain(|event| is(event, "message"));
        events
    }

    fn is_up_to_date(&self) -> bool {
        self.node.events_after(self.before).iter().any(is_healed) && self.missed.len() <= self.shown().len()
    }

    /// What was missed was shown once, in its order and marked, and nothing else; returns when the last of it
    /// came, or the word that the network has healed.
    fn check(&self) -> Instant {
        let nick = &self.node.nick;
        let shown = self.shown();
        assert_eq!(texts(&shown), self.missed, "{nick}");
        assert!(shown.iter().all(|event| event["history"] == true), "{nick}: {shown:?}");
        let at = |wanted: &dyn Fn(&Value) -> bool| self.node.wait_after(self.before, "what came", wanted).0;
        let last = |event: &Value| is_message(event, self.missed[1]);
        at(&is_healed).max(at(&last))
    }
}

fn is_healed(event: &Value) -> bool {
    is(event, "healed") && event["channel"] == "rust"
}

fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(event, "text")).collect()
}

/// Waits until `answer` is yes, after the network has healed.
fn wait_since(healed: Instant, what: &str, mut answer: impl FnMut() -> bool) {
    while !answer() {
        assert!(healed.elapsed() < HEALED_WITHIN, "waited for {what}");
        thread::park_timeout(LOOK_EVERY);
    }
}

/// The messages of the channel, as this node reads them.
fn log(node: &mut Node) -> Vec<String> {
    let mark = node.mark();
    node.ask("history #rust", |event| is(event, "history"));
    let mut events = node.events_after(mark);
    events.retain(|event| is(event, "message"));
    texts(&events).into_iter().map(str::to_owned).collect()
}

/// Each half closes to a ring, and what is said there is acknowledged and shown to all of it.
fn talk_apart(halves: &mut [(Vec<Node>, [&str; 2])]) {
    for (half, texts) in halves {
        wait_for_ring(half);
        for (author, text) in texts.iter().enumerate() {
            half[author].send("rust", text);
            half.iter().for_each(|node| drop(node.wait_for_message(text)));
        }
    }
}

/// For a while, nobody is shown what the other half says.
fn stay_apart(halves: &[(Vec<Node>, [&str; 2]); 2]) {
    let [(left, by_left), (right, by_right)] = halves;
    let spoken = Instant::now();
    while spoken.elapsed() < CUT_FOR {
        for (half, others) in [(left, by_right), (right, by_left)] {
            assert!(half.iter().all(|node| others.iter().all(|text| node.count(text) == 0)));
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

#[test]
fn each_half_of_a_network_goes_on_by_itself_and_the_two_are_one_once_it_is_healed() {
    let hosts = Hosts::new(HOSTS);
    let mut nodes = hosts.ring();
    let ids: Vec<_> = nodes.iter().map(Node::id).collect();
    for node in &mut nodes {
        node.join_channel("rust");
    }
    nodes[0].send("rust", "before");
    nodes.iter().for_each(|node| drop(node.wait_for_message("before")));
    let far: Vec<usize> = (HOSTS / 2..HOSTS).collect();
    hosts.split(&far);
    let (left, right): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| !far.contains(&hosts.host_of(node)));
    let mut halves = [(left, LEFT), (right, RIGHT)];
    talk_apart(&mut halves);
    stay_apart(&halves);
    let [(left, _), (right, _)] = halves;
    let looks_on = |missed| move |node: Node| Onlooker { before: node.mark(), node, missed };
    let mut onlookers: Vec<Onlooker> =
        left.into_iter().map(looks_on(RIGHT)).chain(right.into_iter().map(looks_on(LEFT))).collect();
    hosts.heal();
    let healed = Instant::now();
    // From here on nobody comes, and nobody does anything.
    wait_since(healed, "everyone to be up to date", || onlookers.iter().all(Onlooker::is_up_to_date));
    let last = onlookers.iter().map(Onlooker::check).max().unwrap();
    wait_since(healed, "one ring", || onlookers.iter_mut().all(|it| is_in_place(&mut it.node, &ids)));
    println!(
        "after {HOSTS} hosts that were two halves can reach one another, the last is up to date in {:.1?}",
        last.duration_since(healed)
    );
    for (author, text) in [(0, "from the left"), (HOSTS - 1, "from the right")] {
        onlookers[author].node.send("rust", text);
        for Onlooker { node, .. } in &onlookers {
            assert_eq!(node.wait_for_message(text)["history"], false, "{}", node.nick);
        }
    }
    for text in ["before", "from the left", "from the right"].iter().chain(&LEFT).chain(&RIGHT) {
        for Onlooker { node, .. } in &onlookers {
            assert_eq!(node.count(text), 1, "{}: {text}", node.nick);
        }
    }
    let logs: Vec<_> = onlookers.iter_mut().map(|onlooker| log(&mut onlooker.node)).collect();
    assert_eq!(logs[0].len(), 7);
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:#?}");
}
