//! A name that stands for all hosts, as a service has one in a cluster.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use crate::fleet::{Node, is, text, wait_for_ring};
use crate::namespaces::{Hosts, address};

const HOSTS: usize = 3;
const NAME: &str = "ring.test";

#[test]
fn who_begins_a_ring_because_a_name_stands_for_nobody_yet_is_in_that_of_the_others_when_it_does() {
    let hosts = Hosts::new(HOSTS);
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("hosts");
    fs::write(&table, "").unwrap();
    let start = |i| hosts.start_by_name(i, &format!("n{i}"), NAME, &table);
    let started: Vec<Node> = (0..HOSTS).map(start).collect();
    let mut nodes: Vec<Node> = started.into_iter().map(Node::ready).collect();
    for node in &nodes {
        let ready = node.wait("ready", |event| is(event, "ready"));
        assert_eq!(text(&ready, "ring"), "created", "nobody is there yet");
    }
    let mut known = String::new();
    for i in 0..HOSTS {
        writeln!(known, "{} {NAME}", address(i)).unwrap();
    }
    fs::write(&table, known).unwrap();
    let known_at = Instant::now();
    wait_for_ring(&mut nodes);
    println!("{HOSTS} rings of one node are one {:.1?} after a name stands for all", known_at.elapsed());
}
