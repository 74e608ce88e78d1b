//! Two nodes and more that mean well: nothing is lost, nothing comes twice, whatever ends.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chord_chat::id::NodeHandle;
use chord_chat::net::{Config, Stage};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::raw::free_address;
use crate::toy::{Command, Event, Message, Node, PATIENCE};

#[tokio::test]
async fn two_nodes_talk() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    a.note(b.me, 1).await;
    b.expect_note(a.me, 1).await;
    b.note(a.me, 2).await;
    a.expect_note(b.me, 2).await;
    b.ping(a.me, 3).await;
}

#[tokio::test]
async fn what_arrives_is_counted_and_a_lookup_that_is_sent_again_only_once() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    for n in [1, 1, 2, 1, 3, 3] {
        a.ping(b.me, n).await;
    }
    a.note(b.me, 4).await;
    b.expect_note(a.me, 4).await;
    b.note(a.me, 5).await;
    a.expect_note(b.me, 5).await;
    let (here, there) = (&a.controls.traffic, &b.controls.traffic);
    assert_eq!((here.sent(), here.received(), here.lookups()), (7, 7, 3));
    assert_eq!((there.sent(), there.received(), there.lookups()), (7, 7, 0));
}

#[tokio::test]
async fn a_driver_tells_its_connections_and_when_they_have_ended() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    assert_eq!(a.controls.traffic.connections().await, Some(vec![]));
    a.ping(b.me, 1).await;
    a.ping(b.me, 2).await;
    let connections = a.controls.traffic.connections().await.unwrap();
    let told: Vec<_> = connections.iter().map(|it| (it.peer, it.stage, it.sent, it.received)).collect();
    assert_eq!(told, [(b.me, Stage::Open, 2, 2)]);
    b.stop().await;
    let over = timeout(PATIENCE, async {
        while a.controls.traffic.connections().await != Some(vec![]) {
            yield_now().await;
        }
    });
    over.await.expect("a connection that has ended is told no longer");
    let traffic = a.controls.traffic.clone();
    a.stop().await;
    assert_eq!(traffic.connections().await, None);
}

#[tokio::test]
async fn what_is_sent_to_nobody_or_to_the_node_itself_is_not_counted() {
    let mut a = Node::start(Config::default()).await;
    a.note(NodeHandle::new(free_address().await), 1).await;
    assert!(matches!(a.event().await, Event::Unreachable(..)));
    a.note(a.me, 2).await;
    a.expect_note(a.me, 2).await;
    assert_eq!((a.controls.traffic.sent(), a.controls.traffic.received()), (0, 0));
}

#[tokio::test]
async fn nodes_talk_over_ipv6() {
    let mut a = Node::start_at((Ipv6Addr::LOCALHOST, 0).into(), Config::default()).await;
    let b = Node::start_at((Ipv6Addr::LOCALHOST, 0).into(), Config::default()).await;
    a.ping(b.me, 1).await;
}

#[tokio::test]
async fn a_node_talks_to_itself_without_a_connection() {
    let mut a = Node::start(Config::default()).await;
    a.ping(a.me, 1).await;
}

#[tokio::test]
async fn a_wakeup_comes_when_it_is_due() {
    let mut a = Node::start(Config::default()).await;
    let due = Instant::now() + Duration::from_millis(20);
    a.command(Command::WakeAfter(Duration::from_millis(20))).await;
    a.expect(Event::Woken).await;
    assert!(due <= Instant::now());
}

#[tokio::test]
async fn nobody_listens_so_the_peer_is_unreachable_at_once() {
    let mut a = Node::start(Config::default()).await;
    let nobody = NodeHandle::new(free_address().await);
    let started = Instant::now();
    for n in 0..3 {
        a.note(nobody, n).await;
    }
    let mut undelivered = Vec::new();
    while undelivered.len() < 3 {
        match a.event().await {
            Event::Unreachable(peer, notes) if peer == nobody => undelivered.extend(notes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(undelivered, [Message::Note(0), Message::Note(1), Message::Note(2)]);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_crash_is_told_at_once() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    a.ping(b.me, 1).await;
    b.ping(a.me, 1).await;
    let (started, b_me) = (Instant::now(), b.me);
    b.crash().await;
    a.expect_unreachable(b_me, vec![]).await;
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_node_that_stops_says_so_and_nobody_misses_it() {
    // It does not wait for its deadline: a goodbye is answered at once.
    let goodbye = Duration::from_secs(3_600);
    let (mut a, mut b) = Node::pair(&Config { goodbye, ..Config::default() }).await;
    a.ping(b.me, 1).await;
    for n in 0..1_000 {
        b.note(a.me, n).await;
    }
    let b_me = b.me;
    b.stop().await;
    for n in 0..1_000 {
        a.expect_note(b_me, n).await;
    }
    // That is no crash, so the first sign of it is that nobody listens there.
    a.note(b_me, 7).await;
    a.expect_unreachable(b_me, vec![Message::Note(7)]).await;
    b = Node::start_at(b_me.addr(), Config::default()).await;
    a.ping(b.me, 8).await;
}

#[tokio::test]
async fn a_node_that_stops_before_it_is_connected_sends_what_is_queued() {
    let (a, mut b) = Node::pair(&Config::default()).await;
    let a_me = a.me;
    for n in 0..10 {
        a.note(b.me, n).await;
    }
    a.stop().await;
    for n in 0..10 {
        b.expect_note(a_me, n).await;
    }
}

#[tokio::test]
async fn a_node_stops_in_time_though_a_peer_does_not_answer() {
    let (greeting, goodbye) = (Duration::from_secs(3_600), Duration::from_millis(50));
    let mut a = Node::start(Config { greeting, goodbye, ..Config::default() }).await;
    // The system accepts for it, but nobody ever greets.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    a.note(NodeHandle::new(silent.local_addr().unwrap()), 1).await;
    a.ping(a.me, 1).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_call_at_the_same_time_and_nothing_is_lost_or_doubled() {
    for round in 0..200 {
        let (mut a, mut b) = Node::pair(&Config::default()).await;
        for n in 0..5 {
            // Which one is first, and by how much, differs from round to round.
            let (first, second) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            first.note(second.me, n).await;
            second.note(first.me, n).await;
            if round % 3 == 0 {
                yield_now().await;
            }
        }
        for n in 0..5 {
            a.expect_note(b.me, n).await;
            b.expect_note(a.me, n).await;
        }
    }
}

/// How both write and close, over and over: each note may meet a connection that is open,
/// about to close from here, from there, or from both sides, or not there at all.
async fn talk_while_connections_close(idle: Duration, rounds: u64) {
    let (mut a, mut b) = Node::pair(&Config { idle, ..Config::default() }).await;
    let (mut from_a, mut from_b) = (0..u64::MAX, 0..u64::MAX);
    for round in 0..rounds {
        let (a_sends, b_sends) = (round % 3 != 0, round % 3 != 1);
        for n in 0..1 + round % 4 {
            if a_sends {
                a.note(b.me, from_a.start + n).await;
            }
            if b_sends {
                b.note(a.me, from_b.start + n).await;
            }
        }
        for _ in 0..1 + round % 4 {
            if a_sends {
                b.expect_note(a.me, from_a.next().unwrap()).await;
            }
            if b_sends {
                a.expect_note(b.me, from_b.next().unwrap()).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_close_as_soon_as_they_are_idle() {
    talk_while_connections_close(Duration::ZERO, 3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_close_while_they_are_used() {
    talk_while_connections_close(Duration::from_micros(50), 10_000).await;
}

#[tokio::test]
async fn a_restarted_node_is_heard_though_nobody_saw_it_fall() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    for n in 0..20 {
        a.ping(b.me, n).await;
        let (b_me, a_me) = (b.me, a.me);
        b.crash().await;
        b = Node::start_at(b_me.addr(), Config::default()).await;
        b.ping(a_me, n).await;
        a.expect_unreachable(b_me, vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_talks_in_all_directions() {
    let mut nodes = Vec::new();
    for _ in 0..16 {
        nodes.push(Node::start(Config::default()).await);
    }
    let handles: Vec<_> = nodes.iter().map(|node| node.me).collect();
    for n in 0..20 {
        for node in &nodes {
            for to in handles.iter().filter(|to| **to != node.me) {
                node.note(*to, n).await;
            }
        }
    }
    for node in &mut nodes {
        let mut next: std::collections::HashMap<_, _> = handles.iter().map(|from| (*from, 0)).collect();
        for _ in 0..20 * 15 {
            let Event::Heard(from, Message::Note(n)) = node.event().await else { panic!("a note") };
            assert_eq!(next.insert(from, n + 1), Some(n));
        }
    }
}

#[tokio::test]
async fn with_too_many_connections_the_idle_ones_make_room() {
    let config = Config { connections_max: 4, ..Config::default() };
    let mut a = Node::start(config.clone()).await;
    let mut others = Vec::new();
    for _ in 0..12 {
        others.push(Node::start(config.clone()).await);
    }
    for n in 0..3 {
        for other in &mut others {
            a.ping(other.me, n).await;
            other.ping(a.me, n).await;
        }
    }
}

#[tokio::test]
async fn a_driver_without_commands_or_listeners_for_news_goes_on() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    let Node { me, controls, task } = b;
    let abort = controls.abort.clone();
    drop((controls.commands, controls.news));
    a.ping(me, 1).await;
    abort.cancel();
    timeout(PATIENCE, task).await.expect("it stops in time").unwrap();
}
