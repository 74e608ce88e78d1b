//! The eight items of the assignment, each with real processes.

use std::net::{Ipv4Addr, TcpListener};

use chord_chat::id::{Id, NodeHandle};
use chord_chat::records::RecordKey;
use serde_json::Value;

use crate::fleet::{Node, is, is_message, text, wait_for_ring, wait_until};

/// Three people in one ring.
fn three() -> (Node, Node, Node) {
    let alice = Node::first("alice");
    let bob = Node::join("bob", &alice);
    let carol = Node::join("carol", &bob);
    let mut ring = vec![alice, bob, carol];
    wait_for_ring(&mut ring);
    ring.sort_by(|a, b| a.nick.cmp(&b.nick));
    let carol = ring.pop().unwrap();
    let bob = ring.pop().unwrap();
    (ring.pop().unwrap(), bob, carol)
}

fn channel_key(channel: &str) -> Id {
    RecordKey::Channel(channel.parse().unwrap()).id()
}

fn name_key(nick: &str) -> Id {
    RecordKey::Name(nick.parse().unwrap()).id()
}

/// A free address whose id lies where it is wanted.
fn free_address(wanted: impl Fn(Id) -> bool) -> String {
    // Loopback has more addresses than one: an arc may be so short that no port of one has an id there.
    let mut addresses = (1..1_000_000).map(|host| {
        let host = Ipv4Addr::from_bits(0x7f00_0000 | host);
        TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
    });
    let address = addresses.find(|address| wanted(NodeHandle::new(*address).id()));
    address.expect("some address has an id at the wanted place").to_string()
}

/// A channel whose root, among these nodes, is `node`, and which has room before it for another node.
fn channel_of(node: &Node, predecessor: Id) -> String {
    (0..)
        .map(|i| format!("channel{i}"))
        .find(|name| channel_key(name).between(predecessor, node.id()))
        .expect("the names do not end")
}

fn is_migrated(event: &Value, kind: &str, name: &str, direction: &str, why: &str) -> bool {
    is(event, "migrated")
        && event["kind"] == kind
        && event["name"] == name
        && event["direction"] == direction
        && event["why"] == why
}

fn is_sent(event: &Value, state: &str) -> bool {
    is(event, "sent") && event["state"] == state
}

fn peer_id(event: &Value) -> String {
    text(&event["peer"], "id").to_owned()
}

#[test]
fn item_1_a_node_starts_with_nick_address_and_bootstrap_and_announces_its_id() {
    let alice = Node::first("alice");
    let ready = alice.wait("ready", |event| is(event, "ready"));
    assert_eq!((text(&ready, "nick"), text(&ready, "ring")), ("alice", "created"));
    let address = free_address(|_| true);
    // The first two lead nowhere: the third answers.
    let nowhere = free_address(|_| true);
    let via = format!("localhost:{}", alice.addr().port());
    let bootstrap =
        ["--bootstrap", &nowhere, "--bootstrap", "no-such-host.invalid:7000", "--bootstrap", &via];
    let bob = Node::spawn("bob", &[&["--addr", &address][..], &bootstrap].concat()).ready();
    let ready = bob.wait("ready", |event| is(event, "ready"));
    assert_eq!((text(&ready, "nick"), text(&ready, "ring")), ("bob", "joined"));
    assert_eq!(text(&ready, "addr"), address);
    assert_eq!(text(&ready, "id"), NodeHandle::new(address.parse().unwrap()).id().to_string());
    wait_for_ring(&mut [alice, bob]);
}

#[test]
fn item_2_a_message_to_an_id_is_shown_by_the_node_that_has_it() {
    let (mut alice, bob, carol) = three();
    let id = bob.id().to_string();
    let sent = alice.ask(&format!("msg {id} by the id"), |event| is_sent(event, "delivered"));
    assert_eq!(text(&sent, "to"), format!("@{id}"));
    let prefix = format!("@{}", &id[..8]);
    let sent = alice.ask(&format!("msg {prefix} by its first digits"), |event| is_sent(event, "delivered"));
    assert_eq!(text(&sent, "to"), prefix);
    for wanted in ["by the id", "by its first digits"] {
        let shown = bob.wait(wanted, |event| is(event, "private") && event["text"] == wanted);
        assert_eq!(shown["from"], "alice");
    }
    let nobody = format!("{:0<40}", &id[..39].chars().rev().collect::<String>());
    let failed = alice.ask(&format!("msg {nobody} hello"), |event| is_sent(event, "failed"));
    assert_eq!(failed["reason"], "no node has an id that begins so");
    assert!(!carol.events().iter().any(|event| is(event, "private")));
}

#[test]
fn item_3_a_channel_is_joined_at_the_node_that_its_name_hashes_to() {
    let (mut alice, mut bob, mut carol) = three();
    alice.join_channel("rust");
    let joined = bob.ask("join rust", |event| is(event, "joined"));
    assert_eq!(joined["members"], serde_json::json!(["alice", "bob"]));
    alice.wait("bob", |event| is(event, "member") && event["nick"] == "bob" && event["change"] == "joined");
    // The root is the first node from the key on, whoever asks.
    let key = channel_key("rust");
    let mut ids = [alice.id(), bob.id(), carol.id()];
    ids.sort();
    let root = *ids.iter().find(|id| key <= **id).unwrap_or(&ids[0]);
    for node in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(node.root_of("#rust"), root);
    }
    let who = carol.ask("who rust", |event| is(event, "who"));
    let members: Vec<&str> = who["members"].as_array().unwrap().iter().map(|m| text(m, "nick")).collect();
    assert_eq!(members, ["alice", "bob"]);
}

#[test]
fn item_4_who_has_left_a_channel_gets_no_more_of_its_messages() {
    let (mut alice, mut bob, mut carol) = three();
    for node in [&mut alice, &mut bob, &mut carol] {
        node.join_channel("rust");
    }
    alice.send("rust", "all are here");
    bob.wait_for_message("all are here");
    bob.ask("leave #rust", |event| is(event, "left") && event["channel"] == "rust");
    alice.wait("bob", |event| is(event, "member") && event["nick"] == "bob" && event["change"] == "left");
    alice.send("rust", "bob has gone");
    carol.wait_for_message("bob has gone");
    // What is asked of the same root afterwards is answered afterwards: nothing is on its way any more.
    bob.ask("join #rust --history 0", |event| is(event, "joined"));
    carol.send("rust", "bob is back");
    bob.wait_for_message("bob is back");
    assert_eq!(bob.count("bob has gone"), 0);
}

#[test]
fn item_5_a_message_reaches_every_member_whoever_sends_it() {
    let (mut alice, mut bob, mut carol) = three();
    alice.join_channel("rust");
    bob.join_channel("rust");
    carol.send("rust", "from outside");
    alice.send("rust", "from a member");
    for node in [&alice, &bob] {
        assert_eq!(node.wait_for_message("from outside")["from"], "carol");
        assert_eq!(node.wait_for_message("from a member")["from"], "alice");
    }
    carol.ask("who rust", |event| is(event, "who"));
    assert_eq!(carol.count("from outside"), 0);
    assert_eq!((alice.count("from a member"), bob.count("from outside")), (1, 1));
}

#[test]
fn item_6_a_channel_migrates_to_a_new_predecessor_and_both_tell_it() {
    let (mut alice, mut bob, carol) = three();
    let mut ids = [alice.id(), bob.id(), carol.id()];
    ids.sort();
    let place = ids.iter().position(|id| *id == carol.id()).unwrap();
    let predecessor = ids[(place + 2) % 3];
    let channel = channel_of(&carol, predecessor);
    alice.join_channel(&channel);
    bob.join_channel(&channel);
    assert_eq!(alice.root_of(&format!("#{channel}")), carol.id());
    // Between the key and its root comes another node.
    let key = channel_key(&channel);
    let address = free_address(|id| id.in_arc(key, carol.id()));
    let via = alice.addr().to_string();
    let dave = Node::spawn("dave", &["--addr", &address, "--bootstrap", &via]).ready();
    let out = carol.wait("out", |event| is_migrated(event, "channel", &channel, "out", "new_predecessor"));
    let into = dave.wait("in", |event| is_migrated(event, "channel", &channel, "in", "new_predecessor"));
    assert_eq!((peer_id(&out), peer_id(&into)), (dave.id().to_string(), carol.id().to_string()));
    let mut carol = carol;
    carol.join_channel(&channel);
    carol.send(&channel, "to the new root");
    for node in [&alice, &bob, &carol] {
        node.wait_for_message("to the new root");
    }
    wait_until("the new root", || alice.root_of(&format!("#{channel}")) == dave.id());
}

#[test]
fn item_6_a_name_migrates_to_a_new_predecessor_like_a_channel() {
    let alice = Node::first("alice");
    let mut bob = Node::join("bob", &alice);
    let mut ring = [alice, bob];
    wait_for_ring(&mut ring);
    // Whoever of the two keeps the name of alice gets a predecessor that is to keep it.
    let key = name_key("alice");
    let keeper = usize::from(!key.in_arc(ring[1].id(), ring[0].id()));
    let root = ring[keeper].id();
    let address = free_address(|id| id.in_arc(key, root) && id != root);
    let via = ring[0].addr().to_string();
    let carol = Node::spawn("carol", &["--addr", &address, "--bootstrap", &via]).ready();
    let into = carol.wait("in", |event| is_migrated(event, "name", "alice", "in", "new_predecessor"));
    assert_eq!(peer_id(&into), root.to_string());
    ring[keeper].wait("out", |event| is_migrated(event, "name", "alice", "out", "new_predecessor"));
    bob = ring.into_iter().find(|node| node.nick == "bob").unwrap();
    let is_kept_there = |event: &Value| is(event, "whois") && event["root"]["id"] == carol.id().to_string();
    wait_until("the new root", || is_kept_there(&bob.ask("whois alice", |event| is(event, "whois"))));
}

#[test]
fn item_7_who_exits_leaves_its_channels_and_hands_over_what_it_kept() {
    let (mut alice, mut bob, mut carol) = three();
    let mut ids = [alice.id(), bob.id(), carol.id()];
    ids.sort();
    let place = ids.iter().position(|id| *id == carol.id()).unwrap();
    let (successor, predecessor) = (ids[(place + 1) % 3], ids[(place + 2) % 3]);
    let channel = channel_of(&carol, predecessor);
    for node in [&mut alice, &mut bob, &mut carol] {
        node.join_channel(&channel);
    }
    carol.exit();
    let gone = |event: &Value| is(event, "member") && event["nick"] == "carol" && event["change"] == "left";
    alice.wait("carol", gone);
    bob.wait("carol", gone);
    let is_out = |event: &Value| is_migrated(event, "channel", &channel, "out", "leave");
    let out = carol.events().into_iter().find(is_out).expect("the channel was handed over");
    assert_eq!(peer_id(&out), successor.to_string());
    let heir = if successor == alice.id() { &mut alice } else { &mut bob };
    let into = heir.wait("in", |event| is_migrated(event, "channel", &channel, "in", "leave"));
    assert_eq!(peer_id(&into), carol.id().to_string());
    // The name is deleted, the channel is not.
    let answer = alice.ask("whois carol", |event| is(event, "whois") || is(event, "error"));
    assert_eq!(answer["message"], "carol is away; what msg sends them waits until they are back");
    alice.send(&channel, "without carol");
    bob.wait_for_message("without carol");
    wait_for_ring(&mut [alice, bob]);
}

#[test]
fn item_8_a_message_to_a_name_finds_the_node_of_its_holder() {
    let (mut alice, mut bob, carol) = three();
    let sent = alice.ask("msg bob hi, bob", |event| is_sent(event, "delivered"));
    assert_eq!(sent["to"], "bob");
    let shown = bob.wait("hi, bob", |event| is(event, "private"));
    assert_eq!(
        (&shown["from"], &shown["text"], &shown["id"]),
        (&"alice".into(), &"hi, bob".into(), &sent["id"])
    );
    bob.ask("msg alice hi, alice", |event| is_sent(event, "delivered"));
    alice.wait("hi, alice", |event| is(event, "private") && event["text"] == "hi, alice");
    // The holder goes, and another one of the same name comes.
    bob.exit();
    alice.ask("msg bob still there?", |event| is_sent(event, "stored"));
    let other_bob = Node::join("bob", &carol);
    alice.ask("msg bob welcome back", |event| is_sent(event, "delivered"));
    other_bob.wait("welcome back", |event| is(event, "private") && event["text"] == "welcome back");
    let is_for_him = |event: &Value| is(event, "private") && event["text"] == "still there?";
    assert!(!other_bob.events().iter().any(is_for_him), "it is for the one who went");
    assert!(!carol.events().iter().any(|event| is(event, "private") || is_message(event, "welcome back")));
}
