//! Those who do not mean well, or are of another kind: their connection is closed, the node goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chord_chat::id::NodeHandle;
use chord_chat::net::{Config, News, OUTBOX_FRAMES_MAX};
use chord_chat::wire::{self, FRAME_BYTES_MAX};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::raw::{FULL, Raw, TALK, VERSION, WELCOME, frame, greeting, word};
use crate::toy::{Event, Message, Node, PATIENCE};

fn impatient() -> Config {
    let (greeting, frame) = (Duration::from_millis(500), Duration::from_millis(200));
    Config { greeting, frame, ..Config::default() }
}

fn somewhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

#[tokio::test]
async fn whoever_does_not_greet_well_is_cut_off() {
    let (mut a, b) = Node::pair(&impatient()).await;
    let good = frame(&greeting(VERSION, TALK, "chord-chat", somewhere(), 1));
    let cases: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 64],
        &[0xff; 64],
        &frame(&[]),
        &frame(b"chord-chat"),
        &frame(b"chord-chat\x00\x01\x00\xff\xff\xff"),
        // Only half of it: the deadline ends that.
        &good[..good.len() / 2],
        // An answer where a call belongs.
        &frame(&greeting(VERSION, WELCOME, "chord-chat", somewhere(), 1)),
    ];
    for bytes in cases {
        let mut raw = Raw::connect(b.me).await;
        raw.write(bytes).await;
        raw.expect_end().await;
        a.ping(b.me, 1).await;
    }
}

#[tokio::test]
async fn a_connection_that_speaks_nonsense_is_closed() {
    let (mut a, mut b) = Node::pair(&impatient()).await;
    let mut trailing = wire::encode(&Message::Note(1));
    trailing.push(0);
    let cases: [&[u8]; 6] = [
        &frame(b"\xff\xff\xff\xff"),
        &frame(&trailing),
        // A list that claims to be long.
        &frame(&[3, 253, 0, 0, 0, 0, 0, 0, 0, 1]),
        &(FRAME_BYTES_MAX as u32 + 1).to_be_bytes(),
        // A length without its frame, and half a length: the deadline ends them.
        &100_u32.to_be_bytes(),
        &[0, 0],
    ];
    for bytes in cases {
        let (mut raw, me) = Raw::welcomed(b.me).await;
        raw.send(&Message::Note(1)).await;
        raw.write(bytes).await;
        raw.expect_end().await;
        b.expect_note(me, 1).await;
        b.expect_unreachable(me, vec![]).await;
        a.ping(b.me, 1).await;
    }
}

#[tokio::test]
async fn half_a_frame_and_then_the_end_is_a_crash() {
    let mut a = Node::start(Config::default()).await;
    let (mut raw, me) = Raw::welcomed(a.me).await;
    raw.write(&frame(&wire::encode(&Message::Note(1)))[..5]).await;
    drop(raw);
    a.expect_unreachable(me, vec![]).await;
}

#[tokio::test]
async fn a_trickle_is_cut_off_however_steady_it_is() {
    let mut a = Node::start(impatient()).await;
    let (raw, me) = Raw::welcomed(a.me).await;
    let (_reader, mut writer) = raw.stream.into_split();
    let trickle = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        writer.write_all(&1_000_u32.to_be_bytes()).await.unwrap();
        while writer.write_all(&[0]).await.is_ok() {
            pause.tick().await;
        }
    });
    a.expect_unreachable(me, vec![]).await;
    timeout(PATIENCE, trickle).await.expect("the connection is closed").unwrap();
}

#[tokio::test]
async fn the_longest_frame_passes_and_a_longer_one_is_told() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    // One byte for the kind of the message, five for the length of the list.
    let longest = Message::Blob(vec![7; FRAME_BYTES_MAX - 6]);
    assert_eq!(wire::encode(&longest).len(), FRAME_BYTES_MAX);
    a.send(b.me, longest.clone()).await;
    b.expect(Event::Heard(a.me, longest)).await;
    a.send(b.me, Message::Blob(vec![7; FRAME_BYTES_MAX])).await;
    match a.news().await {
        News::TooLong { to, bytes } => assert_eq!((to, bytes), (b.me, FRAME_BYTES_MAX + 6)),
        other => panic!("{other:?}"),
    }
    a.ping(b.me, 1).await;
}

async fn expect_parted(node: &mut Node, text: &str) {
    match node.news().await {
        News::Parted { why, .. } => assert_eq!(why.to_string(), text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_of_two_networks_part_and_both_say_why() {
    let mut a = Node::start(Config::new("red")).await;
    let mut b = Node::start(Config::new("blue")).await;
    a.note(b.me, 1).await;
    expect_parted(&mut a, "that node is in the network 'blue', this one in 'red'").await;
    a.expect_unreachable(b.me, vec![Message::Note(1)]).await;
    expect_parted(&mut b, "that node is in the network 'red', this one in 'blue'").await;
}

#[tokio::test]
async fn a_caller_of_another_version_is_told_ours_and_the_node_says_why() {
    let mut a = Node::start(Config::default()).await;
    let mut raw = Raw::connect(a.me).await;
    // All that a later version promises is how its greeting begins.
    raw.write(&frame(b"chord-chat\x00\x02something else")).await;
    assert!(raw.read_frame().await.unwrap().starts_with(b"chord-chat\x00\x01"));
    raw.expect_end().await;
    expect_parted(&mut a, "that node speaks protocol version 2, this one 1").await;
}

#[tokio::test]
async fn an_answer_in_another_version_is_told() {
    let mut a = Node::start(Config::default()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let other = NodeHandle::new(listener.local_addr().unwrap());
    a.note(other, 1).await;
    let mut raw = Raw { stream: listener.accept().await.unwrap().0 };
    raw.read_frame().await.unwrap();
    raw.write(&frame(b"chord-chat\x00\x02something else")).await;
    expect_parted(&mut a, "that node speaks protocol version 2, this one 1").await;
    a.expect_unreachable(other, vec![Message::Note(1)]).await;
}

#[tokio::test]
async fn a_node_that_answers_for_another_one_is_not_it() {
    let mut a = Node::start(Config::default()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let called = NodeHandle::new(listener.local_addr().unwrap());
    let _b = Node::run(NodeHandle::new(somewhere()), listener, Config::default());
    a.note(called, 1).await;
    a.expect_unreachable(called, vec![Message::Note(1)]).await;
}

#[tokio::test]
async fn a_thousand_silent_connections_disturb_nobody_and_are_closed() {
    let (mut a, mut b) =
        Node::pair(&Config { greeting: Duration::from_millis(500), ..Config::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(Raw::connect(b.me).await);
    }
    for n in 0..100 {
        a.ping(b.me, n).await;
        b.ping(a.me, n).await;
    }
    // Also one that is new.
    let mut c = Node::start(Config::default()).await;
    c.ping(b.me, 1).await;
    for raw in &mut silent {
        raw.expect_end().await;
    }
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_silent_connection_goes() {
    let never = Duration::from_secs(3_600);
    let a = Node::start(Config { greetings_max: 8, greeting: never, ..Config::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(Raw::connect(a.me).await);
    }
    let mut newer = Vec::new();
    for _ in 0..8 {
        newer.push(Raw::connect(a.me).await);
    }
    for raw in &mut silent {
        raw.expect_end().await;
    }
    let mut last = newer.pop().unwrap();
    last.write(&frame(&greeting(VERSION, TALK, "chord-chat", somewhere(), 1))).await;
    assert_eq!(word(&last.read_frame().await.unwrap()), WELCOME);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_unreachable_and_slows_nobody() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    let (_raw, me) = Raw::welcomed(a.me).await;
    let blob = |n: u16| Message::Noise([n.to_be_bytes(); 10_000].concat());
    let mut sent = 0;
    let undelivered = loop {
        a.send(me, blob(sent)).await;
        sent += 1;
        a.send(b.me, Message::Ping(u64::from(sent))).await;
        match a.event().await {
            Event::Unreachable(peer, undelivered) if peer == me => break undelivered,
            event => assert_eq!(event, Event::Heard(b.me, Message::Pong(u64::from(sent)))),
        }
        assert!(sent < 10_000, "the queue has a limit");
    };
    let first = sent - undelivered.len() as u16;
    let expected: Vec<_> = (first..sent).map(blob).collect();
    assert!(undelivered == expected, "what is left is complete and in order");
    assert!(0 < first, "the system has taken some");
}

#[tokio::test]
async fn so_many_frames_wait_for_a_connection_and_no_more() {
    let mut a = Node::start(Config::default()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = NodeHandle::new(listener.local_addr().unwrap());
    let notes = OUTBOX_FRAMES_MAX as u64 + 1;
    for n in 0..notes {
        a.note(silent, n).await;
    }
    a.expect_unreachable(silent, (0..notes).map(Message::Note).collect()).await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_for_long_is_unreachable_with_a_short_queue_too() {
    let mut a = Node::start(Config { stalled: Duration::from_millis(100), ..Config::default() }).await;
    let (_raw, me) = Raw::welcomed(a.me).await;
    let bytes = 1_000_000;
    // More than the system takes for someone who does not read, less than the queue does.
    for _ in 0..8 {
        a.send(me, Message::Noise(vec![0; bytes])).await;
    }
    let Event::Unreachable(_, undelivered) = a.event().await else { panic!("it does not read") };
    assert!(!undelivered.is_empty() && undelivered.len() < 8);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_whose_machine_takes_nothing_is_unreachable_though_the_queue_is_empty() {
    let mut a = Node::start(Config { stalled: Duration::from_millis(200), ..Config::default() }).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut raw = Raw { stream: socket.connect(a.me.addr()).await.unwrap() };
    raw.write(&frame(&greeting(VERSION, TALK, "chord-chat", somewhere(), 1))).await;
    assert_eq!(word(&raw.read_frame().await.unwrap()), WELCOME);
    // The system takes this from the node, but cannot get rid of it.
    let peer = NodeHandle::new(somewhere());
    a.send(peer, Message::Noise(vec![0; 100_000])).await;
    a.expect_unreachable(peer, vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_starves_nobody() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    let mut floods = Vec::new();
    for port in 1..5 {
        let (mut raw, word) = Raw::call(b.me, (Ipv4Addr::LOCALHOST, port).into(), 1).await;
        assert_eq!(word, WELCOME);
        let noise = frame(&wire::encode(&Message::Noise(vec![0; 100]))).repeat(1_000);
        floods.push(tokio::spawn(async move { while raw.stream.write_all(&noise).await.is_ok() {} }));
    }
    let started = Instant::now();
    for n in 0..100 {
        a.ping(b.me, n).await;
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    b.crash().await;
    for flood in floods {
        timeout(PATIENCE, flood).await.expect("the connection has ended").unwrap();
    }
}

#[tokio::test]
async fn beyond_the_last_limit_a_caller_is_told_that_the_node_is_full() {
    // Nobody answers the goodbyes by which the node makes room.
    let goodbye = Duration::from_secs(3_600);
    let a = Node::start(Config { connections_max: 2, goodbye, ..Config::default() }).await;
    let mut connections = Vec::new();
    for port in 1..1_000 {
        let (raw, word) = Raw::call(a.me, (Ipv4Addr::LOCALHOST, port).into(), 1).await;
        connections.push(raw);
        if word == FULL {
            break;
        }
    }
    assert_eq!(connections.len(), 2 + 128 + 1);
}

#[tokio::test]
async fn connecting_and_going_away_at_once_does_no_harm() {
    let (mut a, b) = Node::pair(&Config::default()).await;
    for _ in 0..500 {
        drop(TcpStream::connect(b.me.addr()).await.unwrap());
    }
    a.ping(b.me, 1).await;
}

#[tokio::test]
async fn a_node_without_free_files_goes_on() {
    const INSIDE: &str = "CHORD_CHAT_TEST_FEW_FILES";
    if std::env::var_os(INSIDE).is_some() {
        return run_out_of_files().await;
    }
    // The limit is one of the process, so the test runs itself in another one.
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" --exact bad_input::a_node_without_free_files_goes_on"]);
    let run = shell.arg(std::env::current_exe().unwrap()).env(INSIDE, "1").kill_on_drop(true).output();
    let output = timeout(PATIENCE, run).await.expect("it ends in time").unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

async fn run_out_of_files() {
    let (mut a, mut b) = Node::pair(&Config::default()).await;
    a.ping(b.me, 1).await;
    let mut silent = Vec::new();
    while let Ok(stream) = TcpStream::connect(b.me.addr()).await {
        silent.push(stream);
    }
    for n in 0..100 {
        a.ping(b.me, n).await;
        b.ping(a.me, n).await;
    }
    drop(silent);
    let mut c = Node::start(Config::default()).await;
    c.ping(b.me, 1).await;
}
