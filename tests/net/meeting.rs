//! Which connection is kept, seen from the other side of the wire.

use std::net::Ipv4Addr;
use std::time::Duration;

use chord_chat::id::NodeHandle;
use chord_chat::net::{Config, EVENTS_MAX, News, bootstrap};
use chord_chat::wire;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::raw::{DUPLICATE, Raw, TALK, VERSION, WELCOME, frame, free_address, greeting};
use crate::toy::{Command, Event, Message, Node, PATIENCE};

fn quick_goodbye() -> Config {
    Config { goodbye: Duration::from_millis(50), ..Config::default() }
}

#[tokio::test]
async fn a_call_from_before_the_welcome_is_old_and_one_from_after_it_is_a_new_start() {
    let mut a = Node::start(quick_goodbye()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = NodeHandle::new(address);
    a.note(peer, 1).await;
    let mut first = Raw::welcome(&listener, 9).await;
    assert_eq!(first.read_frame().await.unwrap(), wire::encode(&Message::Note(1)));
    let (_, word) = Raw::call(a.me, address, 7).await;
    assert_eq!(word, DUPLICATE);
    first.send(&Message::Note(2)).await;
    a.expect_note(peer, 2).await;
    // The node waits a moment for the end of the first connection, then gives it up.
    let (mut second, word) = Raw::call(a.me, address, 11).await;
    assert_eq!(word, WELCOME);
    a.expect_unreachable(peer, vec![]).await;
    first.expect_end().await;
    second.send(&Message::Note(3)).await;
    a.expect_note(peer, 3).await;
}

#[tokio::test]
async fn what_a_peer_wrote_before_its_new_start_is_read_first() {
    let mut a = Node::start(Config::default()).await;
    let (mut first, peer) = Raw::welcomed(a.me).await;
    for n in 0..1_000 {
        first.send(&Message::Note(n)).await;
    }
    first.write(&frame(&[])).await;
    let (mut second, word) = Raw::call(a.me, peer.addr(), u64::MAX).await;
    assert_eq!(word, WELCOME);
    second.send(&Message::Note(1_000)).await;
    for n in 0..=1_000 {
        a.expect_note(peer, n).await;
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_with_what_is_queued_and_a_goodbye() {
    let mut a = Node::start(Config::default()).await;
    let (mut raw, peer) = Raw::welcomed(a.me).await;
    raw.send(&Message::Ping(1)).await;
    raw.send(&Message::Ping(2)).await;
    raw.write(&frame(&[])).await;
    assert_eq!(raw.read_frame().await.unwrap(), wire::encode(&Message::Pong(1)));
    assert_eq!(raw.read_frame().await.unwrap(), wire::encode(&Message::Pong(2)));
    assert_eq!(raw.read_frame().await.unwrap(), b"");
    assert_eq!(raw.read_frame().await, None);
    a.note(peer, 3).await;
    a.expect_unreachable(peer, vec![Message::Note(3)]).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_what_was_queued_meanwhile_goes_over_the_next_one() {
    let mut a = Node::start(Config { idle: Duration::from_millis(20), ..Config::default() }).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let peer = NodeHandle::new(listener.local_addr().unwrap());
    a.note(peer, 1).await;
    let mut raw = Raw::welcome(&listener, 1).await;
    assert_eq!(raw.read_frame().await.unwrap(), wire::encode(&Message::Note(1)));
    assert_eq!(raw.read_frame().await.unwrap(), b"");
    a.note(peer, 2).await;
    // What the peer had written is heard all the same.
    raw.send(&Message::Note(3)).await;
    raw.write(&frame(&[])).await;
    a.expect_note(peer, 3).await;
    assert_eq!(raw.read_frame().await, None);
    let mut raw = Raw::welcome(&listener, 2).await;
    assert_eq!(raw.read_frame().await.unwrap(), wire::encode(&Message::Note(2)));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_goodbye_is_unreachable() {
    let idle = Duration::from_millis(20);
    let mut a = Node::start(Config { idle, ..quick_goodbye() }).await;
    let (mut raw, peer) = Raw::welcomed(a.me).await;
    assert_eq!(raw.read_frame().await.unwrap(), b"");
    a.expect_unreachable(peer, vec![]).await;
    raw.expect_end().await;
}

#[tokio::test]
async fn a_peer_that_refuses_because_it_calls_itself_but_does_not_is_unreachable() {
    let short = Duration::from_millis(50);
    let mut a = Node::start(Config { connect: short, greeting: short, ..Config::default() }).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = NodeHandle::new(address);
    a.note(peer, 1).await;
    let mut raw = Raw { stream: listener.accept().await.unwrap().0 };
    raw.read_frame().await.unwrap();
    raw.write(&frame(&greeting(1, DUPLICATE, "chord-chat", address, 0))).await;
    a.expect_unreachable(peer, vec![Message::Note(1)]).await;
}

#[tokio::test]
async fn mail_is_read_before_the_timers_fire_after_the_process_was_stopped() {
    let mut a = Node::start(Config::default()).await;
    let (mut raw, peer) = Raw::welcomed(a.me).await;
    let began = Instant::now();
    a.command(Command::WakeAfter(Duration::from_millis(500))).await;
    // The node has heard this, so its timer runs.
    raw.send(&Message::Note(0)).await;
    a.expect_note(peer, 0).await;
    for n in 1..=1_000 {
        raw.stream.try_write(&frame(&wire::encode(&Message::Note(n)))).unwrap();
    }
    // Nothing else runs on this thread meanwhile: so is a process that was stopped.
    while began.elapsed() < Duration::from_millis(650) {
        std::hint::spin_loop();
    }
    for n in 1..=1_000 {
        a.expect_note(peer, n).await;
    }
    a.expect(Event::Woken).await;
}

#[tokio::test]
async fn news_that_nobody_takes_is_counted() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    let notes = EVENTS_MAX as u64 + 100;
    for n in 0..notes {
        b.note(a.me, n).await;
    }
    let b_me = b.me;
    // The goodbye comes after all notes.
    b.stop().await;
    for n in 0..EVENTS_MAX as u64 {
        a.expect_note(b_me, n).await;
    }
    a.send(a.me, Message::Note(0)).await;
    assert!(matches!(a.news().await, News::Missed(100)));
    a.expect_note(a.me, 0).await;
}

async fn find(a: &Node, config: &Config, addresses: &[String]) -> Result<NodeHandle, String> {
    bootstrap(a.me, a.me.addr(), config, addresses).await.map(|(node, _)| node).map_err(|why| why.to_string())
}

#[tokio::test]
async fn the_ring_is_found_at_the_first_address_that_answers() {
    let config = Config { greeting: Duration::from_millis(500), ..Config::default() };
    let (a, b) = Node::pair(&Config::default()).await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = b.me.addr().port();
    let addresses = [
        free_address().await.to_string(),
        silent.local_addr().unwrap().to_string(),
        format!("localhost:{port}"),
        "127.0.0.1:1".to_owned(),
    ];
    assert_eq!(find(&a, &config, &addresses).await, Ok(b.me));
}

#[tokio::test]
async fn each_address_that_does_not_lead_to_the_ring_has_its_reason() {
    let config = Config { greeting: Duration::from_millis(500), ..Config::default() };
    let a = Node::start(config.clone()).await;
    let b = Node::start(Config::new("blue")).await;
    let dead = free_address().await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = silent.local_addr().unwrap();
    let addresses = [dead.to_string(), silent.to_string(), b.me.addr().to_string(), a.me.addr().to_string()];
    let why = find(&a, &config, &addresses).await.unwrap_err();
    assert_eq!(
        why,
        format!(
            "{dead}: nothing listens there; {silent}: no greeting within 500ms; \
             {}: that node is in the network 'blue', this one in 'chord-chat'; {}: is this node itself",
            b.me.addr(),
            a.me.addr()
        )
    );
    let why = find(&a, &config, &["nowhere".to_owned()]).await.unwrap_err();
    assert!(why.starts_with("nowhere: cannot find the host: "), "{why}");
}

#[tokio::test]
async fn a_node_that_listens_everywhere_knows_all_its_addresses() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let listening = listener.local_addr().unwrap();
    let me = NodeHandle::new((Ipv4Addr::new(192, 0, 2, 1), listening.port()).into());
    let config = Config::default();
    let address = format!("127.0.0.1:{}", listening.port());
    let why = bootstrap(me, listening, &config, std::slice::from_ref(&address)).await.unwrap_err();
    assert_eq!(why.to_string(), format!("{address}: is this node itself"));
}

/// Each refused caller keeps a connection until it has read why, or its time is over.
#[tokio::test]
async fn so_many_callers_are_told_why_they_are_refused_and_the_others_just_end() {
    const REFUSALS_MAX: usize = 128;
    let a = Node::start(Config { greeting: Duration::from_secs(20), ..Config::default() }).await;
    let me = free_address().await;
    let (_first, word) = Raw::call(a.me, me, 9).await;
    assert_eq!(word, WELCOME);
    let mut told = Vec::new();
    for _ in 0..REFUSALS_MAX {
        let (raw, word) = Raw::call(a.me, me, 5).await;
        assert_eq!(word, DUPLICATE, "the call is older than the connection");
        told.push(raw);
    }
    let mut late = Raw::connect(a.me).await;
    late.write(&frame(&greeting(VERSION, TALK, "chord-chat", me, 5))).await;
    assert_eq!(late.read_frame().await, None);
    // Once some have gone, the next is told again.
    drop(told);
    let told_again = async {
        loop {
            let mut raw = Raw::connect(a.me).await;
            raw.write(&frame(&greeting(VERSION, TALK, "chord-chat", me, 5))).await;
            if raw.read_frame().await.is_some() {
                return;
            }
        }
    };
    timeout(PATIENCE, told_again).await.expect("a permit comes back");
}
