//! Many nodes: the ring is right around each of them, and nothing is lost while they come and go.

use std::collections::VecDeque;

use crate::fleet::{Node, is, ring_of, wait_for_ring};

const NODES: usize = 32;
const MEMBERS: usize = 6;
const CHANGES: usize = 20;

#[test]
fn the_ring_is_right_around_each_of_32_nodes_and_a_channel_has_them_all() {
    // `ring_of` waits until every predecessor and every list of successors is the true one.
    let mut nodes = ring_of(NODES);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    let root = nodes[0].root_of("#rust");
    assert!(nodes.iter_mut().all(|node| node.root_of("#rust") == root));
    let who = nodes[1].ask("who rust", |event| is(event, "who"));
    assert_eq!(who["members"].as_array().unwrap().len(), NODES);
    nodes[2].send("rust", "hello to all");
    for node in &nodes {
        let shown = node.wait_for_message("hello to all");
        assert_eq!((&shown["seq"], node.count("hello to all")), (&1.into(), 1));
    }
}

#[test]
fn twenty_come_and_go_while_messages_flow_and_each_member_who_stays_gets_each_message_once() {
    let mut members = ring_of(MEMBERS);
    for node in &mut members {
        node.join_channel("rust");
    }
    let mut guests = VecDeque::new();
    let mut sent = Vec::new();
    for change in 0..CHANGES {
        // Messages are under way while the ring changes: nobody waits for them here.
        for (place, member) in members.iter_mut().enumerate() {
            let text = format!("{change}.{place}");
            member.types(&format!("send rust {text}"));
            sent.push(text);
        }
        if change % 2 == 0 {
            let mut guest = Node::join(&format!("guest{change}"), &members[change % MEMBERS]);
            guest.join_channel("rust");
            guests.push_back(guest);
        } else {
            let mut guest: Node = guests.pop_front().unwrap();
            guest.exit();
        }
    }
    for member in &members {
        for text in &sent {
            member.wait_for_message(text);
        }
    }
    wait_for_ring(&mut members);
    let order = |node: &Node| -> Vec<String> {
        let messages = node.events().into_iter().filter(|event| is(event, "message"));
        messages.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
    };
    let first = order(&members[0]);
    assert_eq!(first.len(), sent.len(), "each message is shown once");
    for member in &members {
        assert_eq!(order(member), first, "{} sees the same order as {}", member.nick, members[0].nick);
        assert!(!member.events().iter().any(|event| event["state"] == "failed"));
    }
}

#[test]
fn a_ring_may_be_made_of_ipv6() {
    let mut alice = Node::spawn("alice", &["--addr", "[::1]:0"]).ready();
    let via = alice.addr().to_string();
    let mut bob = Node::spawn("bob", &["--addr", "[::1]:0", "--bootstrap", &via]).ready();
    assert!(bob.addr().is_ipv6());
    alice.join_channel("rust");
    bob.join_channel("rust");
    bob.send("rust", "over IPv6");
    alice.wait_for_message("over IPv6");
    bob.ask("msg alice and in private", |event| is(event, "sent") && event["state"] == "delivered");
    bob.exit();
    alice.exit();
}
