//! Hosts that a test makes for itself, each with an address on one network, and removes again.
//!
//! ```text
//!  host 0        host 1        host 2          each a namespace, with the interface `wire`
//!    │             │             │
//!  port0         port1         port2           in a namespace of their own, the hub, where each
//!    └── bridge 0 ─┴─────────────┘             port is on bridge 0, on bridge 1, or on none
//!        bridge 1
//! ```
//!
//! Nothing of this is visible outside: the interfaces of the machine stay as they are.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::fleet::Node;

/// What the names of all namespaces of these tests begin with.
const PREFIX: &str = "chord-chat-test";

/// The port of each node.
const PORT: u16 = 7000;

/// How many hosts have an address.
const HOSTS_MAX: usize = 250;

const MADE: &str = "network namespaces can be made: \
    run these tests as root, and install iproute2 (for example by: apt-get install iproute2)";

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Some hosts on one network.
pub struct Hosts {
    name: String,
    count: usize,
}

/// What went over the wire of a host, in bytes, with all headers.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub sent: u64,
    pub received: u64,
}

impl Hosts {
    pub fn new(count: usize) -> Hosts {
        assert!(count <= HOSTS_MAX, "a host has an address");
        remove_what_others_left();
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let hosts = Hosts { name: format!("{PREFIX}-{}-{number}", std::process::id()), count };
        let namespaces: Vec<String> = (0..count).map(|i| hosts.host(i)).chain([hosts.hub()]).collect();
        batch(None, &namespaces.iter().map(|name| format!("netns add {name}\n")).collect::<String>());
        let mut hub = String::new();
        for bridge in 0..2 {
            let _ = writeln!(hub, "link add bridge{bridge} type bridge");
            let _ = writeln!(hub, "link set bridge{bridge} up");
        }
        for i in 0..count {
            let (host, hardware) = (hosts.host(i), hardware_address(i));
            let _ =
                writeln!(hub, "link add port{i} type veth peer name wire address {hardware} netns {host}");
            let _ = writeln!(hub, "link set port{i} master bridge0");
            let _ = writeln!(hub, "link set port{i} up");
        }
        batch(Some(&hosts.hub()), &hub);
        for i in 0..count {
            // Without IPv6, and with all hardware addresses known, the systems say nothing on their own:
            // all that goes over the wire comes from the nodes, and who is cut off is nothing but silent.
            let mut host = format!(
                "link set lo up\nlink set wire addrgenmode none\nlink set wire up\naddr add {}/24 dev wire\n",
                address(i)
            );
            for other in (0..count).filter(|&other| other != i) {
                let (address, hardware) = (address(other), hardware_address(other));
                let _ = writeln!(host, "neigh add {address} lladdr {hardware} nud permanent dev wire");
            }
            batch(Some(&hosts.host(i)), &host);
        }
        hosts
    }

    fn host(&self, i: usize) -> String {
        assert!(i < self.count, "there is a host {i}");
        format!("{}-host{i}", self.name)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    /// A program on host `i`.
    pub fn command(&self, i: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(i)]).arg(program);
        command
    }

    /// A process on host `i` that joins the ring through the node on host `via`, or begins one.
    pub fn start(&self, i: usize, nick: &str, via: Option<usize>) -> Node {
        let mut command = self.command(i, Path::new(env!("CARGO_BIN_EXE_chat")));
        command.args(["--ephemeral", "--nick", nick, "--addr", &format!("{}:{PORT}", address(i))]);
        if let Some(via) = via {
            command.args(["--bootstrap", &format!("{}:{PORT}", address(via))]);
        }
        Node::run(nick, command)
    }

    /// A process on host `i` that looks for the others at a name, and begins a ring where nobody is; which
    /// addresses the name stands for is in the file `table`, as in `/etc/hosts`.
    pub fn start_by_name(&self, i: usize, nick: &str, name: &str, table: &Path) -> Node {
        let mut command = self.command(i, Path::new("sh"));
        // Only this process sees the file in that place.
        command.args(["-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(table);
        command.arg(env!("CARGO_BIN_EXE_chat")).args(["--ephemeral", "--nick", nick, "--or-begin"]);
        command.args(["--addr", &format!("{}:{PORT}", address(i)), "--bootstrap", &format!("{name}:{PORT}")]);
        Node::run(nick, command)
    }

    /// A ring of a node on each host; the nicks are `n0`, `n1`, …
    pub fn ring(&self) -> Vec<Node> {
        let mut nodes = vec![self.start(0, "n0", None).ready()];
        while nodes.len() < self.count {
            // Each round doubles the ring.
            let more = nodes.len().min(self.count - nodes.len());
            let joins = |i| self.start(i, &format!("n{i}"), Some(i - nodes.len()));
            let starting: Vec<Node> = (nodes.len()..nodes.len() + more).map(joins).collect();
            nodes.extend(starting.into_iter().map(Node::ready));
        }
        crate::fleet::wait_for_ring(&mut nodes);
        nodes
    }

    /// The host on which a node runs.
    pub fn host_of(&self, node: &Node) -> usize {
        (0..self.count).find(|&i| node.addr().ip().to_string() == address(i)).expect("it runs on a host")
    }

    /// Cuts host `i` off: what it sends and what is sent to it is lost without a word.
    pub fn cut(&self, i: usize) {
        batch(Some(&self.hub()), &format!("link set port{i} nomaster\n"));
    }

    /// Cuts the network in two: these hosts reach one another, and none of the others.
    pub fn split(&self, others: &[usize]) {
        let moves = others.iter().map(|i| format!("link set port{i} master bridge1\n"));
        batch(Some(&self.hub()), &moves.collect::<String>());
    }

    /// Every host reaches every other one again.
    pub fn heal(&self) {
        let moves = (0..self.count).map(|i| format!("link set port{i} master bridge0\n"));
        batch(Some(&self.hub()), &moves.collect::<String>());
    }

    /// What has gone over the wire of host `i` so far.
    pub fn counted(&self, i: usize) -> Counted {
        let output = Command::new("ip")
            .args(["-netns", &self.host(i), "-stats", "-json", "link", "show", "wire"])
            .output()
            .expect(MADE);
        let links: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bytes = |way| links[0]["stats64"][way]["bytes"].as_u64().expect("a number of bytes");
        Counted { sent: bytes("tx"), received: bytes("rx") }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in (0..self.count).map(|i| self.host(i)).chain([self.hub()]) {
            // A test that fails to make them all has less to remove.
            let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
        }
    }
}

/// The address of host `i`.
pub fn address(i: usize) -> String {
    format!("10.77.0.{}", i + 1)
}

fn hardware_address(i: usize) -> String {
    format!("02:00:00:00:00:{:02x}", i + 1)
}

/// Gives many commands to `ip` at once, in a namespace.
fn batch(namespace: Option<&str>, commands: &str) {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-netns", namespace]);
    }
    ip.args(["-batch", "-"]);
    let child = ip.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{error}; {MADE}"));
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert!(status.success(), "{}; {MADE}\n{commands}", String::from_utf8_lossy(&stderr));
}

/// A test that was killed removes nothing: who comes next does.
fn remove_what_others_left() {
    let list = Command::new("ip").args(["netns", "list"]).output();
    let list = list.unwrap_or_else(|error| panic!("{error}; {MADE}"));
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if process.is_some_and(|process| !fs::exists(format!("/proc/{process}")).unwrap_or(true)) {
            // Another test may do so at the same time.
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}
