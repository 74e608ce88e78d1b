//! `chat net monitor`, at terminals of several sizes and for scripts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rexpect::process::Signal;
use rustix::process::{Signal as Order, kill_process};
use serde_json::Value;

use crate::desk::Desk;
use crate::net::Net;
use crate::wait_until;

const SMALL: (u16, u16) = (60, 15);
const LARGE: (u16, u16) = (120, 40);

/// What the shell had written before, and the terminal shows again.
const BEFORE: &str = "$ chat net monitor";

fn monitor(net: &Net, size: (u16, u16)) -> Desk {
    let desk = begin(net.command("monitor"), size);
    assert!(desk.is_taken());
    desk
}

fn begin(mut command: Command, size: (u16, u16)) -> Desk {
    command.env("TERM", "xterm-256color");
    Desk::new(command, size, &format!("{BEFORE}\r\n"))
}

#[test]
fn nodes_are_seen_as_they_come_are_killed_and_leave() {
    let net = Net::new();
    net.done("boot 3");
    let mut desk = monitor(&net, SMALL);
    for name in ["n1", "n2", "n3"] {
        desk.wait_for(name, "runs");
    }
    desk.wait_for_row("3 nodes; 0 came, 0 went");
    net.done("add");
    desk.wait_for("n4", "new");
    net.done("kill n2");
    desk.wait_for("n2", "gone");
    desk.wait_for_row("3 nodes; 1 came, 1 went");
    net.done("leave n1");
    desk.wait_for("n1", "gone");
    desk.wait_for_row("2 nodes; 1 came, 2 went");
    // As something else than this program would.
    net.end_without_telling(net.pids()[0]);
    desk.wait_for("n3", "gone");
    desk.wait_for_row("1 node; 1 came, 3 went");
    desk.types("q");
    assert_eq!(desk.ends(), (0, vec![BEFORE.to_owned()]));
}

/// The names in the first column, as far as they answer.
fn names(desk: &Desk) -> Vec<String> {
    let rows = desk.rows();
    let rows = rows[3..].iter().filter(|row| row.starts_with('n') && row.contains(" runs "));
    rows.map(|row| row.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn rows_are_sorted_and_one_node_is_looked_into() {
    let net = Net::new();
    net.done("boot 8");
    net.done("storemany 100");
    let mut desk = monitor(&net, LARGE);
    desk.wait("all nodes, which have been looked at twice", |seen| {
        let rows = seen.rows();
        rows.iter().filter(|row| row.contains(" runs ") && !row.contains(" - ")).count() == 8
    });
    assert_eq!(names(&desk), net.around_the_ring());
    desk.types("c");
    desk.wait("rows by how much is kept", |seen| {
        let kept = |row: &String| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            let count = |place: usize| columns.get(place)?.parse::<u32>().ok();
            Some(count(3)? + count(4)?).filter(|_| row.starts_with('n'))
        };
        let kept: Vec<u32> = seen.rows().iter().filter_map(kept).collect();
        kept.len() == 8 && kept.is_sorted_by(|one, other| one >= other) && kept[0] > kept[7]
    });
    // Not every node has a finger: the next one may be more than half the circle away.
    let order = net.around_the_ring();
    let mut place = None;
    wait_until("a node has a finger", || {
        place = order.iter().position(|name| net.done(&format!("nodeinfo {name}")).contains("\nfinger "));
        place.is_some()
    });
    let place = place.unwrap();
    desk.types(&format!("r{}\r", "\x1b[B".repeat(place)));
    let name = &order[place];
    desk.wait(name, |seen| seen.rows()[2].starts_with(&format!("name         {name}, process ")));
    desk.wait("its place and its connections", |seen| {
        ["predecessor", "successor", "finger", "records", "connection"]
            .iter()
            .all(|word| seen.rows().iter().any(|row| row.starts_with(word)))
    });
    desk.types("\x1b");
    desk.wait("all nodes", |seen| seen.row_of("n1").is_some());
    desk.types("\x03");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_node_that_is_silent_is_shown_so_and_keeps_nobody_waiting() {
    let net = Net::new();
    net.done("boot 3");
    let desk = monitor(&net, SMALL);
    let mut command = net.command("monitor");
    command.env("NO_COLOR", "1");
    let plain = begin(command, SMALL);
    desk.wait_for("n2", "runs");
    let pid = net.pids()[1];
    kill_process(pid, Order::STOP).unwrap();
    for desk in [&desk, &plain] {
        desk.wait_for("n2", "silent");
        desk.wait_for_row("3 nodes, 1 silent; 0 came, 0 went");
        desk.wait_for("n1", "runs");
        desk.wait_for("n3", "runs");
    }
    assert!(0 < desk.coloured(), "a silent node has another colour");
    assert_eq!(plain.coloured(), 0, "NO_COLOR is set");
    // Others are looked at all the same: it is seen within the second that it takes them.
    net.end_without_telling(net.pids()[2]);
    desk.wait_for("n3", "gone");
    desk.wait_for("n2", "silent");
    kill_process(pid, Order::CONT).unwrap();
    desk.wait_for("n2", "runs");
}

#[test]
fn the_table_fits_a_window_that_gets_another_size() {
    let net = Net::new();
    net.done("boot 2");
    let mut desk = monitor(&net, SMALL);
    desk.wait_for("n2", "runs");
    assert!(desk.rows()[2].ends_with("KiB"), "{:#?}", desk.rows());
    desk.resize(LARGE);
    desk.wait("more columns, and the help in the last row", |seen| {
        let rows = seen.rows();
        rows[2].ends_with("ADDRESS") && rows[39].starts_with("q quit") && seen.row_of("n2").is_some()
    });
    desk.resize(SMALL);
    desk.wait("fewer columns, and the help in the last rows", |seen| {
        let rows = seen.rows();
        rows[2].ends_with("KiB") && rows[13].starts_with("q quit") && seen.row_of("n2").is_some()
    });
    desk.types("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_monitor_that_was_stopped_takes_the_terminal_again() {
    let net = Net::new();
    net.done("boot 2");
    let mut desk = monitor(&net, SMALL);
    desk.wait_for("n2", "runs");
    desk.is_stopped_and_goes_on();
    assert!(desk.is_taken());
    desk.wait_for("n2", "runs");
    desk.types("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_signal_ends_the_monitor_and_gives_the_terminal_back() {
    let net = Net::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut desk = monitor(&net, SMALL);
        desk.wait_for_row("0 nodes; 0 came, 0 went");
        desk.signal(signal);
        assert_eq!(desk.ends(), (0, vec![BEFORE.to_owned()]), "{signal}");
    }
}

#[test]
fn a_script_gets_one_table_as_text_or_as_json() {
    let net = Net::new();
    net.done("boot 4");
    net.done("storemany 20");
    net.end_without_telling(net.pids()[3]);
    let text = net.done("monitor --once");
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("NODE   ID       STATE ") && rows.len() == 7, "{text}");
    let states = rows[1..5].iter().map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        (columns[0], columns[2])
    });
    let mut states: Vec<_> = states.collect();
    states.sort_unstable();
    assert_eq!(states, [("n1", "runs"), ("n2", "runs"), ("n3", "runs"), ("n4", "gone")]);
    assert_eq!(rows[5], "3 nodes; 0 came, 0 went");
    let told = net.done("monitor --once --json");
    assert_eq!(told.lines().count(), 1, "{told}");
    let look: Value = serde_json::from_str(&told).unwrap();
    let nodes = look["nodes"].as_array().unwrap();
    let running: Vec<&Value> = nodes.iter().filter(|node| node["state"] == "runs").collect();
    assert_eq!(running.len(), 3, "{told}");
    for node in running {
        assert!(node["messages_per_second"].is_number() && node["memory_kib"].is_number(), "{node}");
        assert!(Some(0) < node["messages_sent"].as_u64(), "{node}");
    }
    assert_eq!(
        net.refused("monitor"),
        "chat: the monitor needs a terminal that can move its cursor: where there is none, use --once or --json\n"
    );
}

#[test]
fn a_program_gets_one_look_after_the_other_for_as_long_as_it_reads() {
    let net = Net::new();
    net.done("boot 2");
    let mut running = net.command("monitor --json").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut look = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(look()["nodes"].as_array().unwrap().len(), 2);
    net.done("add");
    let mut next = look();
    while next["came"] != 1 {
        next = look();
    }
    assert_eq!(next["nodes"].as_array().unwrap().len(), 3);
    drop(lines);
    assert!(running.wait().unwrap().success(), "who reads no longer has had enough");
}
