//! What is kept on the disk: restarts, damage, and disks that cannot be written.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use chord_chat::store::FILE_NAME;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::fleet::{Mark, Node, is, is_message, text, wait_for_ring, wait_until};

/// How many nodes the ring has that is switched off.
const NODES: usize = 8;

/// How many messages each of some writes when they are switched off in the middle of it.
const MESSAGES: usize = 100;

/// How many of each are under way then, at most.
const UNDER_WAY: usize = 20;

/// Where somebody's data lies, and how they start: always in the same way.
struct Home {
    nick: String,
    /// Where nobody else listens: after a kill, the port is still free.
    host: Ipv4Addr,
    directory: TempDir,
    bootstrap: Option<String>,
}

/// How many homes there have been.
static HOMES: AtomicU8 = AtomicU8::new(0);

impl Home {
    fn new(nick: &str, bootstrap: Option<&Node>) -> Home {
        let bootstrap = bootstrap.map(|node| node.addr().to_string());
        let host = Ipv4Addr::new(127, 1, 0, HOMES.fetch_add(1, Ordering::Relaxed) + 1);
        Home { nick: nick.to_owned(), host, directory: tempfile::tempdir().unwrap(), bootstrap }
    }

    fn spawn(&self) -> Node {
        self.spawn_with(&self.nick, &["--addr", &format!("{}:0", self.host)])
    }

    /// The same person, with another nick or at a certain address.
    fn spawn_with(&self, nick: &str, options: &[&str]) -> Node {
        let mut arguments = options.to_vec();
        arguments.extend(["--data-dir", self.path().to_str().unwrap()]);
        arguments.extend(self.bootstrap.iter().flat_map(|address| ["--bootstrap", address]));
        Node::spawn(nick, &arguments)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join(FILE_NAME)
    }
}

/// A ring of people who keep their data.
fn homes(count: usize) -> (Vec<Home>, Vec<Node>) {
    let mut homes = vec![Home::new("n0", None)];
    let mut nodes = vec![homes[0].spawn().ready()];
    for i in 1..count {
        homes.push(Home::new(&format!("n{i}"), Some(&nodes[i / 2])));
        nodes.push(homes[i].spawn().ready());
    }
    settle(&mut nodes);
    (homes, nodes)
}

/// Waits for the ring, and gives the nodes back in the order of their nicks.
fn settle(nodes: &mut [Node]) {
    wait_for_ring(nodes);
    nodes.sort_by(|a, b| a.nick.cmp(&b.nick));
}

/// The messages that `node` is shown of its past in a channel.
fn history(node: &mut Node, channel: &str) -> Vec<String> {
    let mark = node.mark();
    node.ask(&format!("history #{channel}"), |event| is(event, "history"));
    let told = node.events_after(mark);
    let messages = told.iter().filter(|event| is(event, "message") && event["channel"] == channel);
    messages.map(|event| text(event, "text").to_owned()).collect()
}

fn members(node: &mut Node, channel: &str) -> Vec<String> {
    let who = node.ask(&format!("who #{channel}"), |event| is(event, "who"));
    let members = who["members"].as_array().unwrap();
    members.iter().map(|member| text(member, "nick").to_owned()).collect()
}

fn is_disk_error(event: &Value) -> bool {
    is(event, "error") && text(event, "message").starts_with("the disk")
}

#[test]
fn a_ring_that_is_killed_as_a_whole_has_everything_when_it_is_switched_on_again() {
    let (homes, mut nodes) = homes(NODES);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    nodes[0].join_channel("attic");
    let said: Vec<String> = (0..3 * NODES).map(|i| format!("message {i}")).collect();
    for (i, text) in said.iter().enumerate() {
        nodes[i % NODES].send("rust", text);
    }
    nodes[0].send("attic", "dust");
    let guest = Home::new("guest", Some(&nodes[0]));
    guest.spawn().ready().exit();
    nodes[1].ask("msg guest where are you", |event| is(event, "sent") && event["state"] == "stored");
    settle(&mut nodes);
    for node in &nodes {
        node.wait_for_message(said.last().unwrap());
    }
    let addresses: Vec<_> = nodes.iter().map(Node::addr).collect();

    nodes.iter().for_each(|node| node.signal(Signal::KILL));
    nodes.iter_mut().for_each(Node::crash);
    let mut nodes: Vec<Node> = homes.iter().map(Home::spawn).collect();
    nodes = nodes.into_iter().map(Node::ready).collect();

    assert_eq!(nodes.iter().map(Node::addr).collect::<Vec<_>>(), addresses, "each is where it was");
    settle(&mut nodes);
    let nicks: Vec<String> = homes.iter().map(|home| home.nick.clone()).collect();
    for node in &mut nodes {
        node.wait("rust", |event| is(event, "joined") && event["channel"] == "rust");
    }
    nodes[0].wait("attic", |event| is(event, "joined") && event["channel"] == "attic");
    for node in &mut nodes {
        wait_until("all members", || members(node, "rust") == nicks);
        wait_until("all messages", || history(node, "rust") == said);
        for nick in &nicks {
            node.ask(&format!("whois {nick}"), |event| is(event, "whois"));
        }
    }
    assert_eq!(history(&mut nodes[3], "attic"), ["dust"]);
    guest.spawn().ready().wait("mail", |event| {
        is(event, "private") && event["text"] == "where are you" && event["from"] == "n1"
    });
    nodes[5].send("rust", "we are back");
    nodes.iter().for_each(|node| drop(node.wait_for_message("we are back")));
}

#[test]
fn what_was_stored_is_there_after_all_were_killed_in_the_middle_of_it() {
    let (homes, mut nodes) = homes(5);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    let is_stored = |event: &Value| is(event, "sent") && event["state"] == "stored";
    for round in 0..MESSAGES {
        for (i, node) in nodes.iter_mut().enumerate() {
            node.write(format!("send #rust {i}-{round}\n").as_bytes());
        }
        nodes[0].wait_for(Mark::default(), round.saturating_sub(UNDER_WAY), "stored messages", is_stored);
    }
    nodes.iter().for_each(|node| node.signal(Signal::KILL));
    nodes.iter_mut().for_each(Node::crash);
    wait_until("the end of the output", || nodes.iter().all(Node::has_ended));
    let stored: BTreeSet<String> = nodes
        .iter()
        .flat_map(Node::events)
        .filter(is_stored)
        .map(|event| text(&event, "id").to_owned())
        .collect();
    let starting: Vec<Node> = homes.iter().map(Home::spawn).collect();
    let mut nodes: Vec<Node> = starting.into_iter().map(Node::ready).collect();
    settle(&mut nodes);
    let known = |node: &mut Node| -> BTreeSet<String> {
        let mark = node.mark();
        node.ask("history #rust 1000", |event| is(event, "history"));
        let told = node.events_after(mark).into_iter();
        told.filter(|event| is(event, "message")).map(|event| text(&event, "id").to_owned()).collect()
    };
    for node in &mut nodes {
        wait_until("all that was stored", || stored.is_subset(&known(node)));
    }
    println!("killed with {} of {} messages stored: all are there", stored.len(), 5 * MESSAGES);
}

#[test]
fn who_was_away_is_shown_what_they_missed_once() {
    let (homes, mut nodes) = homes(4);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    nodes[0].send("rust", "before");
    nodes[3].wait_for_message("before");
    let mut away = nodes.pop().unwrap();
    away.exit();
    wait_for_ring(&mut nodes);
    let missed: Vec<String> = (0..5).map(|i| format!("meanwhile {i}")).collect();
    for text in &missed {
        nodes[0].send("rust", text);
    }
    let back = homes[3].spawn().ready();
    for text in &missed {
        back.wait_for_message(text);
    }
    nodes[0].send("rust", "welcome");
    back.wait_for_message("welcome");
    let shown: Vec<Value> = back.events().into_iter().filter(|event| is(event, "message")).collect();
    let texts: Vec<&str> = shown.iter().map(|event| text(event, "text")).collect();
    assert_eq!(texts[..5], missed);
    assert_eq!(texts[5..], ["welcome"], "what was shown before is not shown again");
    let history: Vec<bool> = shown.iter().map(|event| event["history"] == true).collect();
    assert_eq!(history, [true, true, true, true, true, false], "only the first were missed");
}

#[test]
fn a_message_that_waits_goes_out_after_a_restart() {
    let (homes, mut nodes) = homes(4);
    for node in &mut nodes {
        node.join_channel("rust");
    }
    let root = nodes[0].root_of("#rust");
    let sender = nodes.iter().position(|node| node.id() != root).unwrap();
    nodes.iter().enumerate().filter(|(i, _)| *i != sender).for_each(|(_, node)| node.signal(Signal::STOP));
    nodes[sender].types("send #rust I wait");
    let queued = nodes[sender].wait("queued", |event| is(event, "sent") && event["state"] == "queued");
    nodes[sender].ask("help", |event| is(event, "help"));
    wait_until("the message is on the disk", || {
        fs::read(homes[sender].file()).unwrap().windows(6).any(|bytes| bytes == b"I wait")
    });
    nodes[sender].crash();
    nodes.iter().enumerate().filter(|(i, _)| *i != sender).for_each(|(_, node)| node.signal(Signal::CONT));
    nodes[sender] = homes[sender].spawn().ready();
    let sent = |state: &'static str| {
        let id = queued["id"].clone();
        move |event: &Value| is(event, "sent") && event["id"] == id && event["state"] == state
    };
    let (asked, _) = nodes[sender].wait_after(Mark::default(), "queued", sent("queued"));
    let (stored, _) = nodes[sender].wait_after(Mark::default(), "stored", sent("stored"));
    assert!(asked <= stored);
    for node in &nodes {
        node.wait_for_message("I wait");
        assert_eq!(node.count("I wait"), 1);
    }
}

#[test]
fn who_comes_back_at_another_address_has_their_name_at_once() {
    let first = Node::first("first");
    let home = Home::new("alice", Some(&first));
    let mut alice = home.spawn().ready();
    let before = alice.addr();
    alice.crash();
    // Somebody else listens there now.
    let _other = TcpListener::bind(before).unwrap();
    let alice = home.spawn().ready();
    assert_ne!(alice.addr(), before);
}

#[test]
fn a_letter_waits_for_the_person_whom_a_restart_brings_back() {
    let (homes, mut nodes) = homes(4);
    let mut away = nodes.pop().unwrap();
    away.exit();
    let is_sent = |state: &'static str| move |event: &Value| is(event, "sent") && event["state"] == state;
    nodes[0].ask("msg n3 hello", is_sent("stored"));
    // The author is told, although they were restarted meanwhile.
    nodes[0].exit();
    nodes[0] = homes[0].spawn().ready();
    let back = homes[3].spawn().ready();
    back.wait("hello", |event| is(event, "private") && event["text"] == "hello");
    nodes[0].wait("a receipt", is_sent("delivered"));
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let home = Home::new("alice", None);
    let _alice = home.spawn().ready();
    let (status, errors) = home.spawn().status();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("another chat uses the data in"), "{errors}");
    assert!(errors.contains("--data-dir") && errors.contains("--ephemeral"), "{errors}");
    assert_eq!(errors.matches('\n').count(), 1, "{errors}");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let directory = file.path().join("data");
    let arguments = ["--addr", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()];
    let (status, errors) = Node::spawn("alice", &arguments).status();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("cannot make the directory") && errors.contains("--ephemeral"), "{errors}");
}

#[test]
fn two_people_on_one_machine_have_their_own_data_and_who_keeps_none_leaves_none() {
    let platform = tempfile::tempdir().unwrap();
    let start = |nick: &str, ephemeral: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(["--nick", nick, "--addr", "127.0.0.1:0", "--json"]);
        command.args(ephemeral.then_some("--ephemeral"));
        command.env("XDG_DATA_HOME", platform.path()).env("HOME", platform.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        assert!(command.status().unwrap().success());
    };
    start("carol", true);
    assert_eq!(fs::read_dir(platform.path()).unwrap().count(), 0, "nothing was written");
    start("alice", false);
    start("bob", false);
    for nick in ["alice", "bob"] {
        assert!(platform.path().join("chord-chat").join(nick).join(FILE_NAME).is_file(), "{nick}");
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_told_of() {
    let home = Home::new("alice", None);
    let mut alice = home.spawn().ready();
    alice.join_channel("rust");
    alice.crash();
    let mut bytes = fs::read(home.file()).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(home.file(), &bytes).unwrap();
    let mut alice = home.spawn().ready();
    let error = alice.wait("error", |event| is(event, "error"));
    assert!(text(&error, "message").contains("was damaged"), "{error}");
    let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let set_aside = names.filter(|name| name.to_str().unwrap().starts_with("chat.redb.damaged-")).count();
    assert_eq!(set_aside, 1);
    alice.join_channel("rust");
    alice.exit();
}

#[test]
fn who_has_lost_their_file_by_damage_has_their_name_at_once() {
    let first = Node::first("first");
    let home = Home::new("bob", Some(&first));
    let mut bob = home.spawn().ready();
    let address = bob.addr().to_string();
    bob.crash();
    fs::write(home.file(), [0x5a; 40_000]).unwrap();
    let mut bob = home.spawn_with("bob", &["--addr", &address]).ready();
    let error = bob.wait("error", |event| is(event, "error"));
    assert!(text(&error, "message").contains("was damaged"), "{error}");
    bob.exit();
}

#[test]
fn an_empty_file_is_told_of_and_a_missing_one_is_not() {
    let home = Home::new("alice", None);
    let mut alice = home.spawn().ready();
    alice.exit();
    assert!(!alice.events().iter().any(|event| is(event, "error")), "there was no file, and nothing is told");
    fs::write(home.file(), []).unwrap();
    let alice = home.spawn().ready();
    let error = alice.wait("error", |event| is(event, "error"));
    assert!(text(&error, "message").contains("was empty"), "{error}");
}

#[test]
fn damage_is_told_of_although_the_start_fails() {
    let first = Node::first("first");
    // Other tests listen at another address, and take no port there.
    let nobody = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    for (bootstrap, why) in [(first.addr(), "is taken"), (nobody, "no node of a ring was found")] {
        let home = Home::new("first", None);
        fs::write(home.file(), "no such file").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(["--nick", "first", "--addr", "127.0.0.1:0", "--bootstrap", &bootstrap.to_string()]);
        command.arg("--data-dir").arg(home.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("was damaged") && errors.contains(why), "{errors}");
        assert_eq!(errors.matches('\n').count(), 1, "{errors}");
    }
}

#[test]
fn data_of_one_network_is_refused_in_another() {
    let home = Home::new("alice", None);
    let at = |network: &str| home.spawn_with("alice", &["--addr", "127.0.0.1:0", "--network", network]);
    at("LAB").ready().exit();
    let (status, errors) = at("LAB2").status();
    assert_eq!(status.code(), Some(1));
    for part in ["belongs to the network LAB, not to LAB2", "--data-dir DIR", "--network LAB"] {
        assert!(errors.contains(part), "{errors}");
    }
    assert_eq!(errors.matches('\n').count(), 1, "{errors}");
    at("LAB").ready().exit();
    let (status, errors) = home.spawn().status();
    assert_eq!((status.code(), errors.contains("LAB")), (Some(1), true), "{errors}");
}

#[test]
fn mail_comes_to_the_person_under_another_nick() {
    let mut first = Node::first("first");
    let home = Home::new("bob", Some(&first));
    home.spawn().ready().exit();
    first.ask("msg bob between us", |event| is(event, "sent") && event["state"] == "stored");
    let mut other = Node::join("bob", &first);
    let (status, errors) = home.spawn().status();
    assert_eq!(status.code(), Some(1));
    let advice = format!("bob2 is free: --nick bob2 --data-dir {}", home.path().display());
    assert!(errors.contains(&advice), "{errors}");
    let is_mail = |event: &Value| is(event, "private") && event["text"] == "between us";
    let mut bob2 = home.spawn_with("bob2", &["--addr", "127.0.0.1:0"]).ready();
    bob2.wait("mail", is_mail);
    first.wait("a receipt", |event| is(event, "sent") && event["state"] == "delivered");
    bob2.exit();
    other.exit();
    assert!(!other.events().iter().any(is_mail), "it is for nobody else");
    let mut bob = home.spawn().ready();
    bob.exit();
    assert!(!bob.events().iter().any(is_mail), "it was handed over");
}

#[test]
fn a_directory_that_is_deleted_is_told_of_once() {
    let home = Home::new("alice", None);
    let mut alice = home.spawn().ready();
    fs::remove_dir_all(home.path()).unwrap();
    alice.join_channel("rust");
    let error = alice.wait("an error", is_disk_error);
    assert!(text(&error, "message").contains("was deleted or moved"), "{error}");
    for i in 0..5 {
        alice.send("rust", &format!("after {i}"));
    }
    assert_eq!(alice.events().iter().filter(|event| is_disk_error(event)).count(), 1);
    alice.exit();
}

#[test]
fn a_full_disk_stops_nobody_and_is_told_of_once() {
    let first = Node::first("first");
    let home = Home::new("alice", None);
    let mut alice = Node::spawn_limited(
        "alice",
        &[
            "--addr",
            "127.0.0.1:0",
            "--bootstrap",
            &first.addr().to_string(),
            "--data-dir",
            home.path().to_str().unwrap(),
        ],
        4_096,
    )
    .ready();
    alice.join_channel("rust");
    let long = "x".repeat(4_000);
    let mut sent = 0;
    while !alice.events().iter().any(is_disk_error) {
        alice.send("rust", &format!("{sent} {long}"));
        sent += 1;
        assert!(sent < 1_000, "the limit is never reached");
    }
    for i in 0..5 {
        alice.send("rust", &format!("after {i}"));
        alice.wait_for_message(&format!("after {i}"));
    }
    assert_eq!(alice.events().iter().filter(|event| is_disk_error(event)).count(), 1);
    assert!(alice.events().iter().any(|event| is_message(event, "after 4")));
    alice.exit();
}
