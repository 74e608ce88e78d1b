//! `chat net --hosts`: one ring on several hosts, whose nodes are started and looked after by ssh.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::namespaces::{Hosts, address};
use crate::ssh::{Net, refused, said};

/// How long a ring may take until it is right again.
const RING_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a command may take that concerns a host which says nothing.
const AWAY_TIME_MAX: Duration = Duration::from_secs(15);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the file of hosts says: this host, and two others.
fn three() -> String {
    format!("# the lab\n. {}\nh1 {}\nh2 {} # far\n", address(0), address(1), address(2))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + RING_TIME_MAX;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {RING_TIME_MAX:?}");
        thread::park_timeout(LOOK_EVERY);
    }
}

/// The name and the host of each node that answers, in the order of their ids; the node after each is the next one.
fn ring(net: &Net<'_>) -> Vec<(String, String)> {
    let mut places = Vec::new();
    wait_until("one ring", || {
        let told = net.done("ps");
        places =
            told.lines().skip(1).map(|row| row.split_whitespace().map(str::to_owned).collect()).collect();
        places.retain(|columns: &Vec<String>| columns.len() == 12);
        places.sort_by(|one, other| one[2].cmp(&other[2]));
        (0..places.len()).all(|i| places[i][6] == places[(i + 1) % places.len()][2])
    });
    places.iter().map(|columns| (columns[0].clone(), columns[11].clone())).collect()
}

fn hosts_of(net: &Net<'_>) -> Vec<String> {
    let mut nodes = ring(net);
    nodes.sort();
    nodes.into_iter().map(|(name, host)| format!("{name} {host}")).collect()
}

#[test]
fn one_ring_spans_hosts_and_every_command_reaches_its_nodes() {
    let hosts = Hosts::new(3);
    let net = Net::new(&hosts, 3);
    let booted = said(&net.on("boot 5", &three()));
    assert!(booted.starts_with("n1 to n5: one ring of 5 nodes"), "{booted}");
    assert!(net.done("add").starts_with("n6: one ring of 6 nodes"));
    assert_eq!(hosts_of(&net), ["n1 .", "n2 h1", "n3 h2", "n4 .", "n5 h1", "n6 h2"]);
    let about = net.done("nodeinfo n2");
    assert!(about.contains(" on h1\n") && about.contains(&format!(" {}:", address(1))), "{about}");
    // Through nodes at random: each of them is asked some time.
    let words = net.done("storemany 8");
    for word in words.lines() {
        assert_eq!(net.done(&format!("lookup {word}")), format!("{word}\n"));
    }
    let found = net.done("find apple --linear");
    assert!(found.lines().last().unwrap().contains(" is responsible: "), "{found}");
    assert!(net.done("logs n3").contains("\"event\":\"ready\""));
    let mut following = net.begin("logs n3 -f");
    let mut log = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.next().is_some(), "it is there before its node ends");
    assert_eq!(net.done("leave n2"), "n2 has left\n");
    assert_eq!(net.done("kill n3"), "n3 is killed\n");
    // The log ends with its node, and the command with the log.
    assert!(log.any(|line| line.contains("\"event\":\"ring\"")));
    assert!(following.wait().unwrap().success());
    assert_eq!(hosts_of(&net), ["n1 .", "n4 .", "n5 h1", "n6 h2"]);
    for word in words.lines() {
        assert_eq!(net.done(&format!("lookup {word}")), format!("{word}\n"));
    }
    assert_eq!(net.done("killall"), "4 nodes killed\n");
    net.wait_until_over();
}

#[test]
fn the_monitor_sees_who_comes_and_who_ends_on_other_hosts() {
    let hosts = Hosts::new(2);
    let net = Net::new(&hosts, 2);
    said(&net.on("boot 2", &format!(". {}\nh1 {}\n", address(0), address(1))));
    let mut monitor = net.begin("monitor --json");
    let (sender, looks) = mpsc::channel();
    let output = BufReader::new(monitor.stdout.take().unwrap());
    thread::spawn(move || {
        for line in output.lines() {
            let Ok(line) = line else { return };
            if sender.send(serde_json::from_str::<Value>(&line).unwrap()).is_err() {
                return;
            }
        }
    });
    let wait_for = |name: &str, state: &str| loop {
        let look = looks.recv_timeout(RING_TIME_MAX).unwrap();
        let nodes = look["nodes"].as_array().unwrap().clone();
        if let Some(node) = nodes.into_iter().find(|node| node["name"] == name && node["state"] == state) {
            return node;
        }
    };
    wait_for("n2", "runs");
    assert!(net.done("addmany 2").starts_with("n3 to n4: "));
    let pid = wait_for("n4", "runs")["pid"].as_i64().unwrap();
    assert_eq!(hosts_of(&net), ["n1 .", "n2 h1", "n3 .", "n4 h1"]);
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    wait_for("n4", "gone");
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    assert_eq!(net.done("killall"), "3 nodes killed, 1 did not run any more\n");
    net.wait_until_over();
}

#[test]
fn a_host_that_says_nothing_is_named_and_holds_nobody_up() {
    let hosts = Hosts::new(3);
    let net = Net::new(&hosts, 3);
    said(&net.on("boot 6", &three()));
    net.done("put apple red");
    hosts.cut(2);
    let begun = Instant::now();
    let seen = net.run("ps");
    assert!(begun.elapsed() < AWAY_TIME_MAX, "{:?}", begun.elapsed());
    let (table, told) = (said(&seen), String::from_utf8_lossy(&seen.stderr).into_owned());
    assert!(table.contains("n3 is on h2, which cannot be reached") && table.contains(" h1\n"), "{table}");
    assert!(told.starts_with("chat: h2: ") && told.contains(" h2 true works"), "{told}");
    wait_until("the value is read", || {
        let read = net.run("get apple");
        read.status.success() && read.stdout == b"red\n"
    });
    assert!(refused(&net.run("kill n3")).contains("n3 is on h2, which cannot be reached"));
    assert!(refused(&net.run("add")).contains("nothing is started; if that machine is gone for good"));
    // What cannot be seen is not forgotten.
    let left = net.run("killall");
    assert_eq!(left.stdout, b"4 nodes killed\n");
    assert!(refused(&left).contains("2 nodes may run still: n3 is on h2"), "{left:?}");
    hosts.heal();
    assert_eq!(net.done("killall"), "2 nodes killed\n");
    net.wait_until_over();
}

#[test]
fn a_host_that_cannot_be_entered_is_named_and_nobody_is_asked_for_a_password() {
    let hosts = Hosts::new(2);
    let net = Net::new(&hosts, 2);
    let begun = Instant::now();
    let locked = refused(&net.on("boot 2", &format!("locked {}\n", address(1))));
    assert!(locked.starts_with("chat: locked: ") && locked.contains("Permission denied"), "{locked}");
    let unknown = refused(&net.on("boot 2", "nowhere.invalid 192.0.2.1\n"));
    assert!(unknown.starts_with("chat: nowhere.invalid: ") && unknown.contains(" true works"), "{unknown}");
    assert!(begun.elapsed() < AWAY_TIME_MAX, "{:?}", begun.elapsed());
    let wrong = refused(&net.on("boot 2", "h1\n"));
    assert!(wrong.contains("line 1 of ") && wrong.contains("a line is a host"), "{wrong}");
    let foreign = refused(&net.on("boot 2", "h1 192.0.2.1\n"));
    assert!(foreign.starts_with("chat: h1: n") && foreign.contains("192.0.2.1"), "{foreign}");
    assert_eq!(net.done("ps").lines().count(), 1, "nothing was started");
    net.wait_until_over();
}

#[test]
fn a_ring_on_loopback_does_not_grow_onto_other_hosts() {
    let hosts = Hosts::new(2);
    let net = Net::new(&hosts, 2);
    net.done("boot 2");
    let refused = refused(&net.on("addmany 2", &format!("h1 {}\n", address(1))));
    assert!(refused.contains("a node at 127.0.0.1 is not reached by one at 10.77.0.2"), "{refused}");
    assert_eq!(net.done("killall"), "2 nodes killed\n");
    assert_eq!(std::fs::read_dir(net.home(1)).unwrap().count(), 0, "nothing was copied");
}
