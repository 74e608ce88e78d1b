//! Strangers at the door of a real node: their connection is closed, and the node goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chord_chat::net::PROTOCOL_VERSION;
use chord_chat::time::Time;
use chord_chat::wire::{self, FRAME_BYTES_MAX};

use crate::fleet::{Node, TIME_MAX, is, text};

const TALK: u32 = 0;

/// How many connections say nothing.
const SILENT: usize = 1_000;

fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes(), content].concat()
}

fn greeting(version: u16, network: &str) -> Vec<u8> {
    let me = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let body = wire::encode(&(TALK, network, me, Time::from_micros(1)));
    frame(&[b"chord-chat", &version.to_be_bytes()[..], &body].concat())
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.addr()).unwrap();
    stream.set_read_timeout(Some(TIME_MAX)).unwrap();
    stream
}

/// Waits until the node has closed the connection.
fn expect_end(mut stream: TcpStream, what: &str) {
    let mut scrap = [0; 4096];
    loop {
        match stream.read(&mut scrap) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                let reset = error.kind() == std::io::ErrorKind::ConnectionReset;
                assert!(reset, "{what}: {error}");
                return;
            }
        }
    }
}

/// A ring of two people who talk; afterwards, they still do.
fn check(strangers: impl FnOnce(&Node)) {
    let mut alice = Node::first("alice");
    let mut bob = Node::join("bob", &alice);
    alice.join_channel("rust");
    bob.join_channel("rust");
    strangers(&alice);
    bob.send("rust", "still here?");
    alice.wait_for_message("still here?");
    alice.ask("msg bob yes", |event| event["state"] == "delivered");
    alice.exit();
    bob.exit();
}

#[test]
fn whoever_speaks_nonsense_is_cut_off_and_the_node_goes_on() {
    let good = greeting(PROTOCOL_VERSION, "chord-chat");
    let too_long = [&good[..], &(FRAME_BYTES_MAX as u32 + 1).to_be_bytes()].concat();
    let no_message = [&good[..], &frame(b"\xff\xff\xff\xff")].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("zeros", &[0; 64]),
        ("a greeting that is too long", &[0xff; 64]),
        ("half a greeting", &good[..good.len() / 2]),
        ("a frame that is too long", &too_long),
        ("a frame that is no message", &no_message),
    ];
    check(|node| {
        let streams = cases.map(|(what, bytes)| {
            let mut stream = connect(node);
            stream.write_all(bytes).unwrap();
            (what, stream)
        });
        for (what, stream) in streams {
            expect_end(stream, what);
        }
    });
}

#[test]
fn half_a_frame_and_a_trickle_of_bytes_end_at_the_deadline() {
    check(|node| {
        let good = greeting(PROTOCOL_VERSION, "chord-chat");
        let mut half = connect(node);
        half.write_all(&[&good[..], &100u32.to_be_bytes(), &[0; 50]].concat()).unwrap();
        let mut slow = connect(node);
        slow.set_nonblocking(true).unwrap();
        let begin = Instant::now();
        // A byte now and then keeps nobody's door open.
        for byte in good.iter().cycle() {
            assert!(begin.elapsed() < TIME_MAX, "the trickle goes on");
            if slow.write_all(&[*byte]).is_err() || slow.read(&mut [0; 64]).is_ok_and(|count| count == 0) {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(150));
        }
        expect_end(half, "half a frame");
    });
}

#[test]
fn a_node_of_another_version_is_told_so() {
    check(|node| {
        let mut stream = connect(node);
        stream.write_all(&greeting(PROTOCOL_VERSION + 1, "chord-chat")).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer[4..16], [&b"chord-chat"[..], &PROTOCOL_VERSION.to_be_bytes()].concat());
        let told = node.wait("parted", |event| is(event, "error"));
        let message = text(&told, "message");
        assert!(message.ends_with("that node speaks protocol version 2, this one 1"), "{message}");
    });
}

#[test]
fn a_thousand_connections_that_say_nothing_are_closed_and_the_node_goes_on() {
    check(|node| {
        let silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(node)).collect();
        for stream in silent {
            expect_end(stream, "silence");
        }
    });
}
