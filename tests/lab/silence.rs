//! Nodes that are stopped, and that say nothing: who waits for one is told which it is.

use std::io::{BufRead, BufReader};

use rustix::process::{Signal, kill_process};

use crate::net::Net;

#[test]
fn a_node_that_says_nothing_is_named_by_who_asks_it() {
    let net = Net::new();
    net.done("boot 2");
    kill_process(net.pids()[1], Signal::STOP).unwrap();
    let http = net.nodes()[1].1;
    let named = format!("chat: n2 at {http} has not answered within 3 s\n");
    assert_eq!(net.refused("nodeinfo n2"), named);
    assert!(net.done("ps").contains("has not answered within 3 s"));
}

#[test]
fn a_node_that_says_nothing_while_others_are_started_is_named_at_once_and_waited_for() {
    let net = Net::new();
    net.done("boot 3");
    let silent = net.pids()[1];
    kill_process(silent, Signal::STOP).unwrap();
    // Who joins through one at random may take the silent one, and then fails: another attempt takes another one.
    let mut named = None;
    for _ in 0..20 {
        let mut adding = net.begin("add");
        let mut errors = BufReader::new(adding.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        if line.starts_with("chat: waiting for n2: n2 at ") {
            kill_process(silent, Signal::CONT).unwrap();
            let output = adding.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let mut rest = String::new();
            errors.read_line(&mut rest).unwrap();
            assert_eq!(rest, "", "it is named once");
            named = Some(String::from_utf8(output.stdout).unwrap());
            break;
        }
        assert!(!adding.wait().unwrap().success(), "{line}");
    }
    let told = named.expect("one of three nodes at random is silent, not all of them");
    assert!(told.contains(": one ring of 4 nodes"), "{told}");
}
