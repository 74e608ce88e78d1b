use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::sim::toys::{Clerk, Entry, Errand, Parcel, node};
use crate::sim::{Latency, links};

const MS: Duration = Duration::from_millis(1);

fn at(millis: u32) -> Time {
    START + millis * MS
}

/// A network with the clerks 1 to `count`.
fn clerks(seed: u64, links: Links, count: u16) -> Network<Clerk> {
    let mut network = Network::new(seed, links);
    for number in 1..=count {
        network.add(Clerk::new(number));
    }
    network
}

fn send(network: &mut Network<Clerk>, from: u16, to: u16, numbers: std::ops::Range<u64>) {
    network.command(node(from), Errand::Send(node(to), numbers));
}

fn entries(network: &Network<Clerk>, number: u16) -> Vec<Entry> {
    network.get(node(number)).expect("the clerk is there").entries()
}

fn got(network: &Network<Clerk>, number: u16) -> Vec<u64> {
    network.get(node(number)).expect("the clerk is there").got()
}

#[test]
fn a_message_arrives_after_its_latency() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 7..8);
    network.run_until(at(0));
    let under_way: Vec<_> = network.in_flight().collect();
    assert_eq!(under_way, [InFlight { from: node(1), to: node(2), arrives: at(1), message: &Parcel(7) }]);
    network.run_until(at(10));
    assert_eq!(network.get(node(2)).unwrap().book, [(at(1), Entry::Got(node(1), Parcel(7)))]);
    assert_eq!(network.in_flight().count(), 0);
    assert_eq!(network.now(), at(10));
    assert_eq!((network.counters.messages, network.counters.bytes), (1, 1));
}

fn wild() -> Links {
    Links {
        base: Latency::Uniform(MS, 100 * MS),
        jitter: Latency::Exponential(20 * MS),
        loss: 0.1,
        duplicates: 0.1,
        ..Links::good()
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let run = |seed| {
        let mut network = clerks(seed, wild(), 10);
        for i in 1..=10 {
            send(&mut network, i, i % 10 + 1, 0..100);
        }
        network.run_for(20 * MS);
        network.crash(node(4));
        network.run_for(60 * 1000 * MS);
        let books: Vec<Clerk> = network.machines().cloned().collect();
        (network.fingerprint(), network.counters.clone(), books)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn messages_of_a_pair_arrive_in_order_unless_any_order_is_asked_for() {
    let run = |order| {
        let mut network =
            clerks(0, Links { order, jitter: Latency::Uniform(MS, 50 * MS), ..Links::good() }, 2);
        for i in 0..10 {
            send(&mut network, 1, 2, 10 * i..10 * (i + 1));
            network.run_for(MS);
        }
        network.run_for(1000 * MS);
        got(&network, 2)
    };
    let sent: Vec<u64> = (0..100).collect();
    assert_eq!(run(links::Order::Fifo), sent);
    let mut any = run(links::Order::Any);
    assert_ne!(any, sent);
    any.sort_unstable();
    assert_eq!(any, sent);
}

#[test]
fn as_many_messages_are_lost_and_doubled_as_asked_for() {
    let mut network = clerks(0, Links { loss: 0.2, duplicates: 0.1, ..Links::good() }, 2);
    send(&mut network, 1, 2, 0..10_000);
    network.run_for(1000 * MS);
    let mut got = got(&network, 2);
    let counters = &network.counters;
    assert_eq!(got.len() as u64, 10_000 + counters.duplicated - counters.lost);
    assert!((900..1_100).contains(&counters.duplicated), "{counters:?}");
    assert!((2_000..2_400).contains(&counters.lost), "{counters:?}");
    got.dedup();
    assert!(got.len() < 10_000);
}

#[test]
fn a_message_to_nobody_comes_back() {
    let mut network = clerks(0, Links::good(), 1);
    send(&mut network, 1, 2, 0..3);
    network.run_for(10 * MS);
    let back = vec![Parcel(0), Parcel(1), Parcel(2)];
    assert_eq!(network.get(node(1)).unwrap().book, [(at(1), Entry::Unreachable(node(2), back))]);
    assert_eq!(network.counters.returned, 3);
}

#[test]
fn a_crash_breaks_the_connections_and_loses_what_is_under_way() {
    let mut network = clerks(0, Links::good(), 4);
    send(&mut network, 1, 3, 0..1);
    send(&mut network, 3, 2, 0..1);
    network.run_for(10 * MS);
    send(&mut network, 1, 3, 1..2);
    network.run_for(Duration::ZERO);
    network.crash(node(3));
    assert!(network.get(node(3)).is_none());
    network.run_for(10 * MS);
    let broken = Entry::Unreachable(node(3), vec![]);
    assert_eq!(entries(&network, 2), [Entry::Got(node(3), Parcel(0)), broken.clone()]);
    assert_eq!(entries(&network, 1), [broken]);
    assert_eq!(entries(&network, 4), []);
    send(&mut network, 1, 3, 2..3);
    network.run_for(10 * MS);
    assert_eq!(entries(&network, 1)[1], Entry::Unreachable(node(3), vec![Parcel(2)]));
}

#[test]
fn nobody_is_told_of_a_crash_after_the_connection_was_idle() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.run_for(61 * 1000 * MS);
    network.crash(node(2));
    network.run_for(10 * MS);
    assert_eq!(entries(&network, 1), []);
}

#[test]
fn what_is_sent_before_the_crash_is_known_is_lost() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.run_for(10 * MS);
    network.crash(node(2));
    send(&mut network, 1, 2, 1..2);
    network.run_for(10 * MS);
    assert_eq!(entries(&network, 1), [Entry::Unreachable(node(2), vec![])]);
}

#[test]
fn a_node_that_restarts_gets_nothing_that_was_meant_for_its_former_self() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.run_for(Duration::ZERO);
    network.crash(node(2));
    network.restart(Clerk::new(2));
    network.run_for(10 * MS);
    assert_eq!(got(&network, 2), Vec::<u64>::new());
    assert_eq!(entries(&network, 1), [Entry::Unreachable(node(2), vec![])]);
    send(&mut network, 1, 2, 1..2);
    network.run_for(10 * MS);
    assert_eq!(got(&network, 2), [1]);
}

#[test]
fn a_host_that_vanishes_says_nothing_until_it_is_back() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.run_for(10 * MS);
    network.vanish(node(2));
    send(&mut network, 1, 2, 1..2);
    network.run_for(1000 * MS);
    assert_eq!(entries(&network, 1), []);
    network.restart(Clerk::new(2));
    send(&mut network, 1, 2, 2..3);
    network.run_for(10 * MS);
    assert_eq!(entries(&network, 1), [Entry::Unreachable(node(2), vec![])]);
    send(&mut network, 1, 2, 3..4);
    network.run_for(10 * MS);
    assert_eq!(got(&network, 2), [3]);
}

#[test]
fn a_node_that_stops_is_heard_to_the_end() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.command(node(1), Errand::GoHome);
    network.run_for(10 * MS);
    assert!(network.get(node(1)).is_none());
    assert_eq!(entries(&network, 2), [Entry::Got(node(1), Parcel(0)), Entry::Unreachable(node(1), vec![])]);
}

#[test]
fn a_frozen_node_gets_what_waited_and_then_its_wakeup() {
    let mut network = Network::new(0, Links::good());
    network.add(Clerk::new(1));
    network.add(Clerk::waking(2, 100 * MS, at(5)));
    network.freeze(node(2), 50 * MS);
    send(&mut network, 1, 2, 0..3);
    network.run_until(at(49));
    assert!(network.is_frozen(node(2)));
    assert_eq!(entries(&network, 2), []);
    assert_eq!(network.in_flight().count(), 3);
    // These arrive at the moment of the thaw: they come after what waited.
    send(&mut network, 1, 2, 3..5);
    network.run_until(at(104));
    let book = &network.get(node(2)).unwrap().book;
    assert_eq!(got(&network, 2), [0, 1, 2, 3, 4]);
    assert!(book.iter().all(|(time, _)| *time == at(50)));
    assert_eq!(book.last().unwrap().1, Entry::Woke);
    network.run_until(at(150));
    assert_eq!(entries(&network, 2).len(), 7);
}

#[test]
fn parts_of_a_cut_network_hear_nothing_of_one_another() {
    for (cut, told) in
        [(Cut::Silent, vec![]), (Cut::Refused, vec![Entry::Unreachable(node(2), vec![Parcel(1)])])]
    {
        let mut network = clerks(0, Links::good(), 3);
        send(&mut network, 1, 2, 0..1);
        network.run_for(Duration::ZERO);
        network.partition(cut, |who| u32::from(who == node(2)));
        send(&mut network, 1, 2, 1..2);
        send(&mut network, 1, 3, 1..2);
        network.run_for(10 * MS);
        assert_eq!((got(&network, 2), got(&network, 3)), (vec![], vec![1]));
        assert_eq!(entries(&network, 1), told);
        network.heal();
        send(&mut network, 1, 2, 2..3);
        network.run_for(10 * MS);
        assert_eq!(got(&network, 2), [2]);
    }
}

#[test]
fn a_wakeup_comes_when_it_is_due_however_often_it_is_put_off() {
    let mut network = Network::new(0, Links::good());
    network.add(Clerk::waking(1, 10 * MS, at(3)));
    network.run_until(at(34));
    let book: Vec<Time> = network.get(node(1)).unwrap().book.iter().map(|(time, _)| *time).collect();
    assert_eq!(book, [at(3), at(13), at(23), at(33)]);
    assert_eq!(network.counters.wakeups, 4);
}

#[derive(Default)]
struct Seen {
    told: Vec<(NodeHandle, Parcel)>,
    steps: u64,
}

impl Observer<Clerk> for Seen {
    fn told(&mut self, _: &Network<Clerk>, node: NodeHandle, event: &Parcel) {
        self.told.push((node, *event));
    }

    fn after(&mut self, _: &Network<Clerk>, _: NodeHandle) {
        self.steps += 1;
    }
}

#[test]
fn an_observer_sees_every_event_and_every_step() {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut network = Network::new(0, Links::good());
    network.observe(seen.clone());
    network.add(Clerk::new(1));
    network.add(Clerk::new(2));
    send(&mut network, 1, 2, 5..7);
    let reached = network.run_until_condition(at(10), |network| got(network, 2) == [5, 6]);
    assert!(reached);
    assert_eq!(seen.borrow().told, [(node(2), Parcel(5)), (node(2), Parcel(6))]);
    // Two starts, a command, two messages.
    assert_eq!(seen.borrow().steps, 5);
    assert!(!network.run_until_condition(at(20), |_| false));
    assert_eq!(network.now(), at(20));
}

#[test]
fn the_story_tells_what_happened_last_and_how_to_see_it_again() {
    let mut network = clerks(7, Links::good(), 2);
    send(&mut network, 1, 2, 0..1);
    network.run_for(10 * MS);
    network.trace.keep(2);
    let story = network.trace.to_string();
    let lines: Vec<&str> = story.lines().collect();
    assert_eq!(lines.len(), 4, "{story}");
    assert!(lines[1].ends_with(&format!(" is asked for Send({:?}, 0..1)", node(2))), "{story}");
    assert!(lines[2].contains("0.001000s ") && lines[2].contains(" gets Parcel(0) from "), "{story}");
    assert!(lines[3].starts_with("run it again: SEED=7 "), "{story}");
}

#[test]
fn a_condition_can_be_asked_for_now_and_then() {
    let mut network = clerks(0, Links::good(), 2);
    send(&mut network, 1, 2, 5..7);
    let mut asked = 0;
    let reached = network.poll_until(at(10), 3 * MS, |network| {
        asked += 1;
        got(network, 2) == [5, 6]
    });
    assert!(reached);
    assert_eq!((asked, network.now()), (2, at(3)));
    assert!(!network.poll_until(at(10), 3 * MS, |_| false));
    assert_eq!(network.now(), at(10));
}

#[test]
fn a_clock_that_is_ahead_shows_a_later_time_and_runs_as_fast() {
    let mut network = Network::new(0, Links::good());
    network.add(Clerk::new(1));
    network.add_ahead(Clerk::waking(2, 10 * MS, at(1005)), 1000 * MS);
    send(&mut network, 1, 2, 0..1);
    network.run_until(at(20));
    let times: Vec<Time> = network.get(node(2)).unwrap().book.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [at(1001), at(1005), at(1015)]);
}

/// The clerks 1 and 2, who have disks that take 10 ms to write.
fn with_disks(seed: u64) -> Network<Clerk> {
    let mut network = Network::new(seed, Links::good());
    network.give_disks(Latency::Constant(10 * MS));
    for number in [1, 2] {
        network.add(Clerk::new(number));
    }
    network
}

fn keep(network: &mut Network<Clerk>, number: u8, within: Duration) {
    network.command(node(1), Errand::Keep(number, within, node(2)));
}

fn on_disk(network: &Network<Clerk>) -> Vec<u8> {
    network.on_disk(node(1)).into_iter().map(|(key, _)| key[0]).collect()
}

#[test]
fn what_must_be_kept_first_leaves_once_it_is_on_the_disk_and_the_rest_at_once() {
    let mut network = with_disks(0);
    keep(&mut network, 1, 100 * MS);
    keep(&mut network, 2, Duration::ZERO);
    network.run_until(at(10));
    assert_eq!(got(&network, 2), [1], "it may be written later");
    network.run_until(at(12));
    assert_eq!(got(&network, 2), [1, 2]);
    assert_eq!(on_disk(&network), [1, 2], "together");
    assert_eq!(network.written_until(node(1), 100 * MS), at(12) - 120 * MS);
}

/// Not more, not less, and a batch that was begun is there as a whole or not at all.
#[test]
fn a_crash_takes_what_was_not_on_the_disk() {
    let after_crash = |seed| {
        let mut network = with_disks(seed);
        keep(&mut network, 1, Duration::ZERO);
        network.run_until(at(11));
        keep(&mut network, 2, Duration::ZERO);
        keep(&mut network, 3, Duration::ZERO);
        network.run_until(at(15));
        keep(&mut network, 4, Duration::ZERO);
        network.crash(node(1));
        network.run_until(at(50));
        assert_eq!(got(&network, 2), [1], "nothing leaves that is not kept");
        network.add(Clerk::new(1));
        on_disk(&network)
    };
    let found: std::collections::BTreeSet<Vec<u8>> = (0..16).map(after_crash).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [vec![1], vec![1, 2]], "2 was begun");
}

#[test]
fn who_stops_writes_the_rest_and_who_is_frozen_nothing() {
    let mut network = with_disks(0);
    keep(&mut network, 1, Duration::ZERO);
    network.run_until(at(5));
    network.freeze(node(1), 100 * MS);
    network.run_until(at(100));
    assert_eq!(on_disk(&network), [] as [u8; 0]);
    assert_eq!(network.written_until(node(1), Duration::ZERO), at(5) - 20 * MS);
    network.run_until(at(110));
    assert_eq!(on_disk(&network), [1]);
    keep(&mut network, 2, 100 * MS);
    network.command(node(1), Errand::GoHome);
    network.run_until(at(120));
    assert_eq!(on_disk(&network), [1, 2]);
}
