//! `chat health`: whether a node is well, asked where no other program is.

use std::net::TcpListener;
use std::process::{Command, Output};

use crate::client::Request;
use crate::node::{Node, Starting, wait_until};

fn health(at: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat")).args(["health", at]).output().unwrap()
}

#[test]
fn health_tells_whether_a_node_is_in_the_ring() {
    let mut node = Node::start_headless("a");
    let at = node.http.to_string();
    assert!(health(&at).status.success());
    node.terminate();
    assert!(node.ends().success());
    let gone = health(&at);
    assert_eq!(gone.status.code(), Some(1));
    let told = String::from_utf8(gone.stderr).unwrap();
    assert!(told.starts_with(&format!("chat: the node at {at} cannot be asked")), "{told}");
    assert_eq!(health("localhost").status.code(), Some(2));
}

#[test]
fn health_does_not_wait_for_who_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let asked = health(&at);
    assert_eq!(asked.status.code(), Some(1));
    let told = String::from_utf8(asked.stderr).unwrap();
    assert_eq!(told, format!("chat: the node at {at} does not answer within 3 s\n"));
}

fn is_not_in_the_ring(at: &str) {
    let asked = health(at);
    let told = String::from_utf8(asked.stderr).unwrap();
    let expected =
        format!("chat: the node at {at} is not in the ring: HTTP status 503 Service Unavailable\n");
    assert_eq!((asked.status.code(), told), (Some(1), expected));
}

#[test]
fn a_node_that_looks_for_the_ring_says_that_it_is_not_there_yet() {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let starting = Starting::begin("a", Some(silent.local_addr().unwrap()), &["--headless"]);
    for path in ["/nodeinfo", "/db/k", "/"] {
        let answer = Request::new("GET", path).send(starting.http);
        let told = "this node has not joined the ring yet, or is leaving it";
        assert_eq!((answer.status, answer.error().as_str()), (503, told), "{path}");
    }
    is_not_in_the_ring(&starting.http.to_string());
}

#[test]
fn a_node_that_leaves_says_that_it_is_not_in_the_ring_any_more() {
    let a = Node::start("a", None, &[]);
    let mut b = Node::start("b", Some(a.addr()), &["--headless"]);
    // It waits for the other one, which says nothing, before it ends.
    a.stop();
    b.terminate();
    wait_until("it leaves", || Request::new("GET", "/nodeinfo").send(b.http).status == 503);
    is_not_in_the_ring(&b.http.to_string());
    assert!(b.ends().success());
}
