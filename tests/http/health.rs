//! `chat health`: whether a node is well, asked where no other program is.

use std::net::TcpListener;
use std::process::{Command, Output};

use crate::node::Node;

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
