//! HTTP as programs speak it: real nodes, real connections, and a client that writes the requests itself.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod browser;
mod client;
mod conformance;
mod crowd;
mod health;
mod node;
mod page;
mod silence;
mod values;

use std::net::ToSocketAddrs;

use client::{Reply, Request};
use node::Node;
use serde_json::{Value, json};

/// Three nodes, each of which serves HTTP and knows both others.
fn ring() -> [Node; 3] {
    let first = Node::start("a", None, &[]);
    let via = Some(first.addr());
    let others = ["b", "c"].map(|nick| Node::start(nick, via, &[]));
    let [second, third] = others;
    let nodes = [first, second, third];
    node::wait_until("each knows both others as its successors and its predecessor", || {
        nodes.iter().all(|node| {
            let told = get(node, "/nodeinfo").json();
            told["successors"].as_array().unwrap().len() == nodes.len() - 1 && !told["predecessor"].is_null()
        })
    });
    nodes
}

fn get(node: &Node, path: &str) -> Reply {
    Request::new("GET", path).send(node.http)
}

fn with_token(node: &Node, method: &str, path: &str, body: &[u8]) -> Reply {
    Request::new(method, path)
        .header("Authorization", &format!("Bearer {}", node.token))
        .body(body)
        .send(node.http)
}

#[test]
fn what_one_node_has_written_another_one_shows_until_it_is_deleted() {
    let [a, b, c] = ring();
    let put = with_token(&a, "PUT", "/db/keyval", b"this is the data");
    assert_eq!((put.status, &put.json()["was_there"]), (201, &json!(false)));
    let shown = get(&b, "/db/keyval");
    assert_eq!((shown.status, &shown.json()["value"]), (200, &json!("this is the data")));
    assert_eq!(shown.json()["root"], put.json()["root"]);
    assert_eq!(with_token(&c, "PUT", "/db/keyval", b"another").status, 200);
    assert_eq!(get(&a, "/db/keyval").json()["value"], "another");
    assert_eq!(with_token(&b, "DELETE", "/db/keyval", b"").status, 200);
    assert_eq!(get(&a, "/db/keyval").status, 404);
    assert_eq!(with_token(&b, "DELETE", "/db/keyval", b"").status, 404);
}

#[test]
fn a_value_is_any_bytes_and_has_a_limit() {
    let [a, b, _c] = ring();
    let bytes: Vec<u8> = (0..65_536u32).map(|i| (i * 7 + i / 251) as u8).collect();
    assert_eq!(with_token(&a, "PUT", "/db/large", &bytes).status, 201);
    let shown = get(&b, "/db/large");
    assert_eq!(shown.header("content-type"), Some("application/octet-stream"));
    assert!(shown.body == bytes);
    assert_eq!(with_token(&a, "PUT", "/db/text", b"plain").status, 201);
    let plain = Request::new("GET", "/db/text").header("Accept", "application/octet-stream").send(b.http);
    assert_eq!(plain.body, b"plain");
    let refused = with_token(&a, "PUT", "/db/larger", &[0; 65_537]);
    assert_eq!((refused.status, refused.error()), (413, "the body has more than 65536 bytes".to_owned()));
    assert_eq!(get(&b, "/db/larger").status, 404);
    assert_eq!(with_token(&a, "PUT", "/db/%07", b"").error(), "a key has no control characters");
    assert_eq!(get(&a, &format!("/db/{}", "k".repeat(257))).error(), "a key has at most 256 characters");
}

#[test]
fn who_has_no_token_changes_nothing() {
    let [a, b, _c] = ring();
    for header in [None, Some("Bearer nonsense"), Some("Bearer "), Some("Basic YTpi"), Some(&*b.token)] {
        for (method, path) in
            [("PUT", "/db/k"), ("DELETE", "/db/k"), ("PUT", "/dht/join"), ("POST", "/dht/leave")]
        {
            let mut request = Request::new(method, path).body(b"127.0.0.1:1");
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            let reply = request.send(a.http);
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, Some("Bearer")),
                "{method} {path}"
            );
        }
    }
    assert_eq!(get(&b, "/db/k").status, 404);
    assert_eq!(get(&a, "/nodeinfo").status, 200);
}

/// "DNS rebinding", and a form on another page.
#[test]
fn a_page_of_another_site_gets_nothing() {
    let a = Node::start("a", None, &[]);
    let from =
        |name: &str, value: &str| Request::new("GET", "/nodeinfo").header(name, value).send(a.http).status;
    let here = format!("http://{}", a.http);
    assert_eq!(from("Origin", &here), 200);
    assert_eq!(from("Origin", &format!("https://{}", a.http)), 200, "a proxy encrypts");
    assert_eq!(from("Origin", "https://evil.example"), 403);
    assert_eq!(from("Origin", "http://evil.example"), 403);
    assert_eq!(from("Origin", "null"), 403);
    assert_eq!(from("Host", "evil.example"), 403);
    assert_eq!(from("Host", "localhost:80"), 200);
}

#[test]
fn the_ring_is_told_node_by_node_and_a_key_has_the_same_root_on_every_way() {
    let nodes = ring();
    let told = get(&nodes[0], "/dht/peers").json();
    assert_eq!((&told["complete"], &told["silent"]), (&json!(true), &json!([])));
    let mut seen: Vec<&str> =
        told["nodes"].as_array().unwrap().iter().map(|it| it["addr"].as_str().unwrap()).collect();
    let mut all = nodes.each_ref().map(|node| node.addr().to_string());
    assert_eq!(seen[0], all[0], "who was asked comes first");
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all);
    let roots: Vec<Value> = nodes
        .iter()
        .flat_map(|node| {
            ["/dht/find/apple", "/dht/find/apple?linear=true"]
                .map(|path| get(node, path).json()["root"].clone())
        })
        .collect();
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    let about = get(&nodes[1], "/nodeinfo").json();
    assert_eq!((about["nick"].as_str(), about["successors"].as_array().map(Vec::len)), (Some("b"), Some(2)));
    assert!(get(&nodes[1], "/metrics").text().contains("\nchat_successors 2\n"));
}

/// A counter of `GET /metrics`.
fn counted(node: &Node, name: &str) -> u64 {
    let told = get(node, "/metrics").text();
    assert!(told.contains(&format!("\n# TYPE {name} counter\n")), "{told}");
    let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {told}")).parse().unwrap()
}

#[test]
fn messages_and_the_lookups_of_a_node_are_counted() {
    const SENT: &str = "chat_messages_sent_total";
    const RECEIVED: &str = "chat_messages_received_total";
    const LOOKUPS: &str = "chat_lookups_total";
    const KEYS: u64 = 200;
    /// Fingers are looked up meanwhile, too, after a join every 100 ms.
    const OTHERS_MAX: u64 = 100;
    let nodes = ring();
    let [a, b, _c] = &nodes;
    let before = nodes.each_ref().map(|node| counted(node, LOOKUPS));
    let (sent, received) = (counted(a, SENT), counted(b, RECEIVED));
    for key in 0..KEYS {
        assert_eq!(get(a, &format!("/db/k{key}")).status, 404);
    }
    let here = node_of(a);
    let elsewhere = (0..KEYS).filter(|key| get(b, &format!("/dht/find/k{key}")).json()["root"] != here);
    let elsewhere = elsewhere.count() as u64;
    let after = nodes.each_ref().map(|node| counted(node, LOOKUPS));
    let begun = after[0] - before[0];
    assert!((elsewhere..elsewhere + OTHERS_MAX).contains(&begun), "{begun} lookups for {elsewhere} keys");
    assert!(after[1] - before[1] < OTHERS_MAX, "who is asked has not begun it: {before:?} {after:?}");
    assert!(sent + elsewhere <= counted(a, SENT));
    node::wait_until("what is told of all is received", || received < counted(b, RECEIVED));
}

#[test]
fn all_connections_of_a_node_are_told_until_they_end() {
    let nodes = ring();
    let [a, b, c] = nodes;
    let with = |told: &Value, peer: &Node| {
        let peer = node_of(peer);
        let connections = told["connections"].as_array().unwrap();
        connections.iter().find(|connection| connection["peer"] == peer).cloned().unwrap_or_default()
    };
    let (on_a, on_b) = (with(&get(&a, "/nodeinfo").json(), &b), with(&get(&b, "/nodeinfo").json(), &a));
    assert_eq!((&on_a["stage"], &on_b["stage"]), (&json!("open"), &json!("open")));
    assert!(on_a["since"].as_str().unwrap().ends_with('Z'), "{on_a}");
    // One was asked after the other, and each had sent at least what the other had received by then.
    assert!(on_a["messages_received"].as_u64() <= on_b["messages_sent"].as_u64(), "{on_a} {on_b}");
    assert!(Some(0) < on_a["messages_received"].as_u64(), "{on_a}");
    let told = get(&a, "/nodeinfo").json();
    assert!(told["messages_received"].as_u64() >= on_a["messages_received"].as_u64(), "{told}");
    assert_eq!(told["connections"].as_array().map(Vec::len), Some(2), "{told}");
    drop(b);
    node::wait_until("the connection with a node that is gone is not told any more", || {
        let told = get(&a, "/nodeinfo").json();
        let stages = told["connections"].as_array().unwrap().iter().filter(|it| it["stage"] == "open");
        stages.count() == 1 && with(&told, &c)["stage"] == "open"
    });
}

fn node_of(node: &Node) -> Value {
    get(node, "/nodeinfo").json()["node"].clone()
}

#[test]
fn pages_show_the_ring_and_the_way_to_a_key_and_run_nothing_that_others_have_written() {
    let nodes = ring();
    let page = |path: &str| {
        let page = get(&nodes[0], path);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert_eq!(page.header("content-security-policy"), Some("default-src 'none'; style-src 'self'"));
        page.text()
    };
    let shown = page("/dht/peers/view");
    assert!(shown.contains("<h1>A ring of 3 nodes</h1>"), "{shown}");
    for node in &nodes {
        assert!(shown.contains(&format!("<td>{}</td>", node.addr())), "{shown}");
    }
    let way = page("/db/view/%3Cscript%3E");
    assert!(way.contains("<h1>The way to &lt;script&gt;</h1>") && !way.contains("<script"), "{way}");
    let root = get(&nodes[1], "/dht/find/%3Cscript%3E").json()["root"]["addr"].as_str().unwrap().to_owned();
    assert_eq!(way.matches(&format!("{root} is responsible.")).count(), 2, "{way}");
    assert_eq!(get(&nodes[0], "/style.css").header("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn bad_requests_are_answered_with_what_is_wrong() {
    let a = Node::start("a", None, &[]);
    assert_eq!(get(&a, "/nonsense").status, 404);
    assert_eq!(with_token(&a, "POST", "/nodeinfo", b"").status, 405);
    assert_eq!(get(&a, "/dht/find/apple?linear=7").status, 400);
    for (body, status) in [
        (&b""[..], 400),
        (b"nonsense", 400),
        (b"127.0.0.1:99999", 400),
        ("ž:1".as_bytes(), 400),
        (b"\xff\xfe", 400),
    ] {
        assert_eq!(with_token(&a, "PUT", "/dht/join", body).status, status, "{body:?}");
    }
    assert_eq!(Request::new("GET", "/nodeinfo").without_host().send(a.http).status, 400);
}

#[test]
fn two_rings_become_one_when_a_node_of_the_one_is_asked_to_join_that_of_the_other() {
    let [a, b] = ["a", "b"].map(|nick| Node::start(nick, None, &[]));
    let addr = b.addr().to_string();
    let joined = with_token(&a, "PUT", "/dht/join", addr.as_bytes());
    assert_eq!((joined.status, &joined.json()["asked"]), (202, &json!([addr])));
    node::wait_until("the two are one ring", || {
        [&a, &b].iter().all(|node| get(node, "/nodeinfo").json()["successors"].as_array().unwrap().len() == 1)
    });
}

#[test]
fn many_rings_become_one_when_all_their_nodes_are_named_also_by_a_name_with_several_addresses() {
    let [a, b, c] = ["a", "b", "c"].map(|nick| Node::start(nick, None, &[]));
    let [port_of_b, port_of_c] = [&b, &c].map(|node| node.addr().port());
    // Who is named twice is asked once.
    let lines = format!("localhost:{port_of_b}\n127.0.0.1:{port_of_c}\r\n\n127.0.0.1:{port_of_b}\n");
    let joined = with_token(&a, "PUT", "/dht/join", lines.as_bytes());
    let told = joined.json();
    let asked: Vec<&str> = told["asked"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    // The name may stand for ::1 as well, where nobody listens.
    let of_localhost = ("localhost", port_of_b).to_socket_addrs().unwrap().map(|addr| addr.to_string());
    let mut all: Vec<String> = of_localhost.collect();
    all.dedup();
    let by_address = [format!("127.0.0.1:{port_of_c}"), format!("127.0.0.1:{port_of_b}")];
    all.extend(by_address.into_iter().filter(|addr| !all.contains(addr)).collect::<Vec<_>>());
    assert_eq!((joined.status, asked), (202, all.iter().map(String::as_str).collect()));
    node::wait_until("the three are one ring", || {
        [&a, &b, &c]
            .iter()
            .all(|node| get(node, "/nodeinfo").json()["successors"].as_array().unwrap().len() == 2)
    });
    let too_many: String = (1..=65).map(|port| format!("127.0.0.1:{port}\n")).collect();
    assert_eq!(with_token(&a, "PUT", "/dht/join", too_many.as_bytes()).status, 400);
    assert_eq!(with_token(&a, "PUT", "/dht/join", b"a..b:7000").status, 404);
}

#[test]
fn a_node_that_is_asked_to_leave_hands_over_and_ends() {
    let [mut a, b, _c] = ring();
    for i in 0..20 {
        assert_eq!(with_token(&a, "PUT", &format!("/db/k{i}"), b"v").status, 201);
    }
    assert_eq!(with_token(&a, "POST", "/dht/leave", b"").status, 202);
    assert!(a.ends().success());
    for i in 0..20 {
        assert_eq!(get(&b, &format!("/db/k{i}")).json()["value"], "v", "k{i}");
    }
}

/// Its standard input is closed from the start.
#[test]
fn a_headless_node_goes_on_until_it_is_told_to_leave() {
    let (mut asked, mut signalled) = (Node::start_headless("a"), Node::start_headless("b"));
    assert_eq!(with_token(&asked, "PUT", "/db/k", b"v").status, 201);
    assert_eq!(with_token(&asked, "POST", "/dht/leave", b"").status, 202);
    assert!(asked.ends().success());
    assert_eq!(get(&signalled, "/nodeinfo").status, 200);
    signalled.terminate();
    assert!(signalled.ends().success());
}

#[test]
fn events_are_told_as_they_come() {
    let a = Node::start("a", None, &[]);
    let mut events = Request::new("GET", "/events").open(a.http);
    assert!(events.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
    a.say("join rust");
    let event = events.read_until("\"event\":\"joined\"");
    assert!(event.contains("data: {\"time\":"), "{event}");
}

#[test]
fn what_is_said_over_http_is_heard_and_can_be_read_from_any_message_on() {
    let [a, b, c] = ring();
    let mut events = Request::new("GET", "/events").open(a.http);
    assert_eq!(with_token(&a, "PUT", "/channels/rust/membership", b"").status, 202);
    events.read_until("\"event\":\"joined\"");
    assert_eq!(with_token(&a, "PUT", "/channels/%23rust/membership", b"").status, 409);
    let said: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|text| {
            let said = with_token(&b, "POST", "/channels/rust/messages", text.as_bytes());
            assert_eq!(said.status, 202);
            said.json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    events.read_until("\"text\":\"three\"");
    let texts = |parameters: &str| {
        let shown = get(&c, &format!("/channels/rust/messages{parameters}")).json();
        let messages = shown["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(""), ["one", "two", "three"]);
    assert_eq!(texts("?last=1"), ["three"]);
    assert_eq!(texts(&format!("?since={}", said[0])), ["two", "three"]);
    assert_eq!(texts(&format!("?since={}", said[2])), [""; 0]);
    assert_eq!(texts("?since=unknown"), ["one", "two", "three"]);
    assert_eq!(with_token(&a, "DELETE", "/channels/rust/membership", b"").status, 202);
    events.read_until("\"event\":\"left\"");
    assert_eq!(with_token(&a, "DELETE", "/channels/rust/membership", b"").status, 409);
}

#[test]
fn who_has_no_token_is_told_nothing_of_private_messages() {
    let [a, b, _c] = ring();
    let listen = || Request::new("GET", "/events");
    let mut open = listen().open(a.http);
    let mut all = listen().header("Authorization", &format!("Bearer {}", a.token)).open(a.http);
    let head = "\r\n\r\n";
    let _ = (open.read_until(head), all.read_until(head));
    assert_eq!(with_token(&b, "POST", "/users/a/messages", b"between us").status, 202);
    all.read_until("\"text\":\"between us\"");
    assert_eq!(with_token(&a, "POST", "/users/b/messages", b"and back").status, 202);
    all.read_until("\"state\":\"delivered\"");
    a.say("join rust");
    let told = open.read_until("\"event\":\"joined\"");
    assert!(!told.contains("between us") && !told.contains("and back"), "{told}");
}

#[test]
fn what_is_no_message_is_refused() {
    let a = Node::start("a", None, &[]);
    let longest = "x".repeat(4096);
    for (body, status) in [(longest.as_str(), 202), (&(longest.clone() + "x"), 413), ("", 400), (" \n ", 400)]
    {
        assert_eq!(with_token(&a, "POST", "/channels/rust/messages", body.as_bytes()).status, status);
    }
    assert_eq!(with_token(&a, "POST", "/channels/rust/messages", b"\xff").status, 400);
    // It is the body itself that is said, also where that looks like JSON.
    for (kind, status) in [("application/json; charset=utf-8", 400), ("text/plain", 202)] {
        for path in ["/channels/rust/messages", "/users/a/messages"] {
            let request = Request::new("POST", path).header("Content-Type", kind);
            let request = request.header("Authorization", &format!("Bearer {}", a.token));
            let reply = request.body(br#"{"text":"hello"}"#).send(a.http);
            assert_eq!(reply.status, status, "{path} as {kind}");
        }
    }
    for path in ["/channels/a%20b/messages", "/channels/%ff/messages", "/users/%40a/messages"] {
        assert_eq!(with_token(&a, "POST", path, b"text").status, 400, "{path}");
    }
    for parameters in ["?last=0", "?last=1001", "?last=x", "?lats=1"] {
        assert_eq!(get(&a, &format!("/channels/rust/messages{parameters}")).status, 400, "{parameters}");
    }
}

#[test]
fn a_token_in_a_file_is_the_same_at_every_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let arguments = ["--http-token-file", file.to_str().unwrap()];
    let before = Node::start("a", None, &arguments);
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!((before.token.as_str(), token.len()), ("", 32), "it is told to nobody");
    drop(before);
    let mut again = Node::start("a", None, &arguments);
    again.token = token;
    assert_eq!(with_token(&again, "PUT", "/db/k", b"v").status, 201);
}

#[test]
fn who_watches_the_ring_is_told_of_each_node_and_what_it_keeps() {
    let [a, b, c] = ring();
    assert_eq!(with_token(&a, "PUT", "/db/apple", b"red").status, 201);
    for _ in 0..2 {
        let told =
            Request::new("GET", "/dht/watch").open(a.http).read_until(r#"{"event":"round","nodes":3}"#);
        let events = told.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
        for node in [&a, &b, &c] {
            let is_of_node = |event: &&Value| {
                event["event"] == "node" && event["node"]["addr"] == json!(node.addr().to_string())
            };
            let told = events.iter().rfind(is_of_node).unwrap();
            assert_eq!(told["successors"].as_array().unwrap().len(), 2);
            let values = told["kept"].as_array().unwrap().iter().filter(|kept| kept["kind"] == "value");
            assert_eq!(values.count(), 1);
        }
        let roots = |event: &Value| {
            event["kept"]
                .as_array()
                .is_some_and(|kept| kept.iter().any(|kept| kept["kind"] == "value" && kept["root"] == true))
        };
        assert_eq!(events.iter().filter(|event| roots(event)).count(), 1);
    }
}

#[test]
fn what_is_described_is_there() {
    let a = Node::start("a", None, &[]);
    let described = get(&a, "/openapi.json").json();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let path = path.replace("{key}", "k").replace("{name}", "rust").replace("{nick}", "b");
            let request = Request::new(&method.to_uppercase(), &path);
            let answer = request.open(a.http).read_until("\r\n\r\n");
            // Without the token, and of a key that has no value: but not as a path that is not there.
            assert!(
                !answer.starts_with("HTTP/1.1 405 ") && !answer.contains("no such path"),
                "{method} {path}: {answer}"
            );
        }
    }
}
