//! What a node keeps, who has answered, and what happens when it is full.

use std::thread;

use chord_chat::records::value::VALUES_MAX;
use serde_json::{Value, json};

use super::client::{Line, Reply, Request};
use super::node::Node;
use super::{get, node_of, ring, with_token};

/// The keys of the values that a node tells of, how many bytes each has, and whether the node is its root.
fn told(reply: &Reply) -> Vec<(String, u64, bool)> {
    let value = |value: &Value| {
        let key = value["key"].as_str().unwrap().to_owned();
        (key, value["bytes"].as_u64().unwrap(), value["root"].as_bool().unwrap())
    };
    reply.json()["values"].as_array().unwrap().iter().map(value).collect()
}

#[test]
fn what_each_node_keeps_is_told_to_who_has_the_token() {
    let nodes = ring();
    for (key, value) in [("pear", &b"green"[..]), ("apple", b"red"), ("gone", b"soon")] {
        assert_eq!(with_token(&nodes[0], "PUT", &format!("/db/{key}"), value).status, 201);
    }
    assert_eq!(with_token(&nodes[0], "DELETE", "/db/gone", b"").status, 200);
    assert_eq!(with_token(&nodes[0], "PUT", "/channels/rust/membership", b"").status, 202);
    let mut roots = Vec::new();
    for node in &nodes {
        let reply = with_token(node, "GET", "/db", b"");
        let kept = told(&reply);
        let sizes: Vec<(&str, u64)> = kept.iter().map(|(key, bytes, _)| (key.as_str(), *bytes)).collect();
        assert_eq!((sizes, &reply.json()["more"]), (vec![("apple", 3), ("pear", 5)], &json!(0)));
        roots.extend(kept.into_iter().filter(|(.., is_root)| *is_root).map(|(key, ..)| key));
    }
    roots.sort_unstable();
    assert_eq!(roots, ["apple", "pear"], "each has one root");
    let after = |key: &str| with_token(&nodes[1], "GET", &format!("/db?after={key}"), b"");
    assert_eq!(told(&after("apple")).len(), 1);
    assert_eq!(told(&after("pear")).len(), 0);
    assert_eq!((after("").status, with_token(&nodes[1], "GET", "/db?before=pear", b"").status), (400, 400));
    for refused in [get(&nodes[1], "/db"), get(&nodes[1], "/db?after=apple")] {
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert!(!refused.text().contains("pear"), "{refused:?}");
    }
}

#[test]
fn a_value_is_told_with_its_root_and_if_that_is_wanted_with_the_way() {
    let nodes = ring();
    let [a, b, _c] = &nodes;
    assert_eq!(with_token(a, "PUT", "/db/text", b"plain").status, 201);
    assert_eq!(with_token(a, "PUT", "/db/bytes", b"\xff\xfe").status, 201);
    let plain = get(b, "/db/text?path=false");
    assert!(plain.json().get("hops").is_none(), "{plain:?}");
    assert_eq!(plain.header("chord-root"), plain.json()["root"]["addr"].as_str());
    let shown = get(b, "/db/text?path=true").json();
    let hops = shown["hops"].as_array().unwrap();
    assert_eq!((&shown["value"], &shown["root"]), (&json!("plain"), &plain.json()["root"]));
    assert_eq!(hops[0]["node"], node_of(b), "{shown}");
    for path in ["/db/bytes", "/db/bytes?path=true"] {
        let bytes = get(b, path);
        assert_eq!(bytes.body, b"\xff\xfe");
        let root = bytes.header("chord-root").unwrap().to_owned();
        assert_eq!(json!(root), get(a, "/dht/find/bytes").json()["root"]["addr"]);
    }
    assert_eq!(get(b, "/db/text?path=7").status, 400);
}

#[test]
fn a_node_that_is_full_takes_no_more_and_says_so() {
    const LINES: usize = 8;
    let a = Node::start("a", None, &[]);
    let request = |method: &str, key: usize| {
        let token = format!("Bearer {}", a.token);
        Request::new(method, &format!("/db/key{key:04}")).header("Authorization", &token).body(b"value")
    };
    thread::scope(|scope| {
        for place in 0..LINES {
            let (http, request) = (a.http, &request);
            scope.spawn(move || {
                let mut line = Line::open(http);
                for key in (place..VALUES_MAX).step_by(LINES) {
                    assert_eq!(line.ask(request("PUT", key)).status, 201);
                }
            });
        }
    });
    let mut line = Line::open(a.http);
    let full = line.ask(request("PUT", VALUES_MAX));
    assert_eq!(full.status, 507);
    assert_eq!(full.error(), "the node that should keep this value has no room for more");
    // Of what was never there, a deletion has no room either; what is there can be replaced, and deleted.
    let status = |line: &mut Line, method: &str, key: usize| line.ask(request(method, key)).status;
    assert_eq!(status(&mut line, "DELETE", VALUES_MAX), 507);
    assert_eq!(status(&mut line, "PUT", 0), 200);
    assert_eq!(status(&mut line, "DELETE", 1), 200);
    // All that it keeps is told, part by part.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let part = with_token(&a, "GET", &format!("/db{after}"), b"");
        let keys: Vec<String> = told(&part).into_iter().map(|(key, ..)| key).collect();
        assert!(keys.len() <= 1000);
        let more = part.json()["more"].as_u64().unwrap();
        seen.extend(keys);
        assert_eq!(seen.len() as u64 + more, VALUES_MAX as u64 - 1);
        if more == 0 {
            break;
        }
        after = format!("?after={}", seen.last().unwrap());
    }
    assert!(seen.is_sorted_by(|one, other| one < other));
}
