//! Processes of `chat --headless --http`, which end with the bench.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;

/// How long it may take until all are one ring.
const RING_TIME_MAX: Duration = Duration::from_secs(60);

pub struct Node {
    child: Child,
    pub http: SocketAddr,
    pub token: String,
}

/// So many nodes, which are one ring.
pub fn ring(count: usize) -> Vec<Node> {
    let (first, addr) = start(0, None);
    let mut nodes = vec![first];
    nodes.extend((1..count).map(|n| start(n, Some(addr)).0));
    let deadline = Instant::now() + RING_TIME_MAX;
    for node in &nodes {
        while Client::of(node.http).peers() < count {
            assert!(Instant::now() < deadline, "the nodes are no ring");
            // A node tells nobody when it knows all others: it is asked again, until the deadline.
            thread::sleep(Duration::from_millis(50));
        }
    }
    nodes
}

/// A node that is ready, and its address.
fn start(n: usize, bootstrap: Option<SocketAddr>) -> (Node, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.args(["--nick", &format!("n{n}"), "--addr", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--headless", "--ephemeral", "--json"]);
    if let Some(bootstrap) = bootstrap {
        command.args(["--bootstrap", &bootstrap.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let served = told.next().unwrap().unwrap();
    thread::spawn(move || told.for_each(drop));
    let (http, token) =
        served.strip_prefix("chat: HTTP at http://").unwrap().split_once("; the token is ").unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = events.by_ref().map(Result::unwrap).find(|line| line.contains("\"ready\"")).unwrap();
    thread::spawn(move || events.for_each(drop));
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let addr = ready["addr"].as_str().unwrap().parse().unwrap();
    (Node { child, http: http.parse().unwrap(), token: token.to_owned() }, addr)
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
