//! What `deploy/` relies on: its files name options that the program has, nodes that are started together are one
//! ring, and a node that is asked to stop hands over what it keeps.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

#[path = "processes/fleet.rs"]
#[expect(dead_code, reason = "the tests in `processes` use the rest")]
mod fleet;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use chord_chat::cli::Options;
use chord_chat::http::HealthOptions;
use clap::Parser;
use fleet::{Node, chat, is, wait_for_ring};
use rustix::process::Signal;
use rustix::system::uname;

/// Where the system puts what systemd keeps for the unit.
const STATE: &str = "/var/lib/chord-chat";

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/deploy/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The words of an instruction of the container file: a list in JSON, after the options that it may have.
fn instruction(name: &str) -> Vec<String> {
    let text = file("Containerfile");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

/// The list of options in a file of YAML.
fn options_in(name: &str) -> Vec<String> {
    let lines = file(name);
    let options =
        lines.lines().filter_map(|line| line.trim().strip_prefix("- ").filter(|it| it.starts_with("--")));
    options.map(str::to_owned).collect()
}

fn parse(arguments: &[String]) -> Options {
    Options::try_from_arguments(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

#[test]
fn the_files_start_the_program_as_it_can_be_started() {
    let entry = instruction("ENTRYPOINT ");
    let compose = parse(&[&entry[..], &options_in("compose.yaml")].concat());
    let pod = |word: String| word.replace("$(POD_NAME)", "chord-chat-0").replace("$(POD_IP)", "192.0.2.1");
    let kubernetes: Vec<String> = options_in("kubernetes.yaml").into_iter().map(pod).collect();
    let kubernetes = parse(&[&entry[..], &kubernetes].concat());
    assert!(compose.or_begin && kubernetes.or_begin, "whoever is first begins the ring");
    for options in [&compose, &kubernetes] {
        assert!(options.headless && options.data_dir.is_some());
        assert_eq!((options.addr.port(), options.http.unwrap().port()), (7000, 8080));
    }
    assert_eq!(kubernetes.nick.unwrap().as_str(), "chord-chat-0");
    let health = instruction("HEALTHCHECK ");
    assert_eq!(HealthOptions::try_parse_from(&health[1..]).unwrap().at.port(), 8080);
}

#[test]
fn the_unit_starts_the_program_as_it_can_be_started() {
    let unit = file("chord-chat.service");
    let value = |name: &str| {
        unit.lines().find_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix(name)).unwrap()
    };
    let command = value("ExecStart=").replace("${STATE_DIRECTORY}", STATE);
    let command = command.replace("$OPTIONS", value("OPTIONS="));
    let options = parse(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    assert!(options.headless && options.http.unwrap().ip().is_loopback());
    assert_eq!(options.http_token_file.unwrap(), format!("{STATE}/token").as_ref() as &std::path::Path);
}

/// Addresses of this machine that nothing listens at: each on an address of its own, which nobody else takes.
fn addresses(count: u8) -> Vec<SocketAddr> {
    static TAKEN: AtomicU8 = AtomicU8::new(0);
    let [.., low, lowest] = std::process::id().to_be_bytes();
    let free = |_| {
        let ip = Ipv4Addr::new(127, 100 + TAKEN.fetch_add(1, Ordering::Relaxed), low, lowest);
        TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
    };
    (0..count).map(free).collect()
}

/// Nodes that are all told to ask one another.
fn start_together(count: u8) -> Vec<Node> {
    let addresses = addresses(count);
    let start = |(i, address): (usize, &SocketAddr)| {
        let nick = format!("n{i}");
        let mut command = chat(&nick, &["--addr", &address.to_string(), "--or-begin"]);
        for other in &addresses {
            command.args(["--bootstrap", &other.to_string()]);
        }
        Node::run(&nick, command)
    };
    let started: Vec<Node> = addresses.iter().enumerate().map(start).collect();
    let mut nodes: Vec<Node> = started.into_iter().map(Node::ready).collect();
    wait_for_ring(&mut nodes);
    nodes
}

#[test]
fn nodes_that_are_started_at_once_and_know_of_nobody_else_are_one_ring() {
    let mut nodes = start_together(6);
    let kept = nodes[0].ask("put apple red", |event| is(event, "written"));
    assert_eq!(kept["key"], "apple");
    for node in &mut nodes {
        let read = node.ask("get apple", |event| is(event, "value"));
        assert_eq!(read["value"], "red", "{read}");
    }
}

#[test]
fn nodes_that_are_asked_to_stop_one_after_the_other_lose_nothing() {
    let mut nodes = start_together(5);
    for number in 0..20 {
        nodes[0].ask(&format!("put key{number} {number}"), |event| is(event, "written"));
    }
    while 1 < nodes.len() {
        let mut first = nodes.remove(0);
        first.signal(Signal::TERM);
        first.expect_bye();
    }
    for number in 0..20 {
        let read = nodes[0].ask(&format!("get key{number}"), |event| is(event, "value"));
        assert_eq!(read["value"], number.to_string(), "{read}");
    }
}

#[test]
fn a_node_on_every_address_tells_the_one_from_which_it_reaches_the_others() {
    let first = Node::first("a");
    let mut command = chat("b", &["--addr", "0.0.0.0:0", "--bootstrap", &first.addr().to_string()]);
    command.arg("--or-begin");
    let second = Node::run("b", command).ready();
    assert_eq!(second.addr().ip(), first.addr().ip());
    wait_for_ring(&mut [first, second]);
    let (status, errors) =
        Node::spawn("c", &["--addr", "0.0.0.0:0", "--bootstrap", "nowhere.invalid:7000"]).status();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("no way to nowhere.invalid:7000") && errors.contains("--advertise"), "{errors}");
}

#[test]
fn a_node_that_nobody_sits_at_has_the_name_of_its_host() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.args(["--headless", "--ephemeral", "--addr", "127.0.0.1:0"]);
    let node = Node::run("service", command).ready();
    let ready = node.wait("ready", |event| is(event, "ready"));
    assert_eq!(ready["nick"].as_str(), uname().nodename().to_str().unwrap().split('.').next());
}
