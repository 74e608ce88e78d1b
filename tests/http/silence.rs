//! Nodes that say nothing: who asks for what they are responsible for is told which they are, and in time.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Reply;
use super::node::{Node, wait_until};
use super::{get, with_token};

/// How many nodes say nothing at once: all but one.
const SILENT: usize = 7;

/// How often it is tried: about every second time the ring notices in time that they are silent, as it should.
const TRIES: usize = 30;

/// How long an answer may take on a busy machine; the node itself gives up sooner.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A node, and others that it knows, all of which are in the successor lists of all.
fn ring() -> (Node, Vec<Node>) {
    let first = Node::start("a", None, &[]);
    let others: Vec<Node> =
        (0..SILENT).map(|i| Node::start(&format!("n{i}"), Some(first.addr()), &[])).collect();
    wait_for_ring(&first);
    (first, others)
}

/// Waits until a node sees all others.
fn wait_for_ring(first: &Node) {
    wait_until("one ring", || {
        let told = get(first, "/dht/peers").json();
        told["complete"] == json!(true) && told["nodes"].as_array().map(Vec::len) == Some(SILENT + 1)
    });
}

/// A key of which the successor of this node is the root.
fn key_of_successor(node: &Node) -> (String, String) {
    let successor = get(node, "/nodeinfo").json()["successors"][0]["addr"].as_str().unwrap().to_owned();
    let is_root = |key: &String| {
        get(node, &format!("/dht/find/{key}")).json()["root"]["addr"].as_str() == Some(successor.as_str())
    };
    ((0..).map(|i| format!("key{i}")).find(is_root).unwrap(), successor)
}

/// What comes of asking when all others have just fallen silent: tried until `ask` returns who is named.
fn ask_in_silence(ask: impl Fn(&Node, &str) -> Option<String>) {
    let (node, others) = ring();
    for _ in 0..TRIES {
        let (key, root) = key_of_successor(&node);
        others.iter().for_each(Node::stop);
        let begun = Instant::now();
        let named = ask(&node, &key);
        let took = begun.elapsed();
        others.iter().for_each(Node::go_on);
        assert!(took < ANSWER_TIME_MAX, "{took:?}: {named:?}");
        if let Some(named) = named {
            assert!(named.contains(&root), "{root} is silent: {named}");
            return;
        }
        wait_for_ring(&node);
    }
    panic!("the ring has got around {SILENT} silent nodes {TRIES} times");
}

/// Why there was no answer in time.
fn refusal(reply: &Reply) -> Option<String> {
    assert!(matches!(reply.status, 200 | 201 | 404 | 504), "{reply:?}");
    (reply.status == 504).then(|| reply.error())
}

#[test]
fn who_asks_for_a_value_whose_root_says_nothing_is_told_who_that_is() {
    ask_in_silence(|node, key| refusal(&get(node, &format!("/db/{key}"))));
}

#[test]
fn who_writes_a_value_whose_root_says_nothing_is_told_who_that_is() {
    ask_in_silence(|node, key| refusal(&with_token(node, "PUT", &format!("/db/{key}"), b"value")));
}

/// It ends with an answer where the ring has got around them.
#[test]
fn a_way_on_which_nodes_are_silent_names_them() {
    ask_in_silence(|node, key| {
        let found = get(node, &format!("/dht/find/{key}?linear=true"));
        refusal(&found).or_else(|| Some(found.json()["silent"].to_string()))
    });
}

#[test]
fn a_walk_round_the_ring_names_the_silent_nodes() {
    ask_in_silence(|node, _| {
        let walked = get(node, "/dht/peers").json();
        let others = walked["nodes"].as_array().unwrap().len() - 1;
        assert!(others == 0 || walked["complete"] == json!(false), "none of them answers: {walked}");
        Some(walked["silent"].to_string())
    });
}
