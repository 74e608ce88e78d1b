//! A network of hosts that is cut in two.

use crate::fleet::{Node, wait_for_ring};
use crate::namespaces::Hosts;

const HOSTS: usize = 8;

#[test]
fn each_half_of_a_network_goes_on_by_itself_and_reaches_the_other_once_it_is_healed() {
    let hosts = Hosts::new(HOSTS);
    let mut left = hosts.ring();
    for node in &mut left {
        node.join_channel("rust");
    }
    left[0].send("rust", "before the cut");
    left.iter().for_each(|node| drop(node.wait_for_message("before the cut")));
    let far: Vec<usize> = (HOSTS / 2..HOSTS).collect();
    hosts.split(&far);
    let (mut right, mut left): (Vec<Node>, Vec<Node>) =
        left.into_iter().partition(|node| far.contains(&hosts.host_of(node)));
    for (half, text) in [(&mut left, "on the left"), (&mut right, "on the right")] {
        wait_for_ring(half);
        half[0].send("rust", text);
        half.iter().for_each(|node| drop(node.wait_for_message(text)));
    }
    hosts.heal();
    // A node of the one half has ended, and comes back by way of the other.
    let mut node = right.pop().unwrap();
    node.crash();
    let via = hosts.host_of(&left[0]);
    let mut node = hosts.start(hosts.host_of(&node), "late", Some(via)).ready();
    node.join_channel("rust");
    node.send("rust", "across");
    left.iter().for_each(|node| drop(node.wait_for_message("across")));
    assert_eq!(left[0].count("on the left"), 1);
}
