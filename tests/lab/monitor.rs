//! `chat net monitor`, at terminals of several sizes and for scripts.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rexpect::process::Signal;
use rustix::process::{Signal as Order, kill_process};
use serde_json::Value;

use crate::net::Net;
use crate::screen::Screen;

const SMALL: (u16, u16) = (60, 15);
const LARGE: (u16, u16) = (120, 40);

/// What the shell had written before, and the terminal shows again.
const BEFORE: &str = "$ chat net monitor";

fn monitor(net: &Net, size: (u16, u16)) -> Screen {
    let screen = Screen::new(net.command("monitor"), size);
    assert!(screen.is_taken());
    screen
}

#[test]
fn nodes_are_seen_as_they_come_are_killed_and_leave() {
    let net = Net::new();
    net.done("boot 3");
    let mut screen = monitor(&net, SMALL);
    for name in ["n1", "n2", "n3"] {
        screen.wait_for(name, "runs");
    }
    screen.wait_for_row("3 nodes; 0 came, 0 went");
    net.done("add");
    screen.wait_for("n4", "new");
    net.done("kill n2");
    screen.wait_for("n2", "gone");
    screen.wait_for_row("3 nodes; 1 came, 1 went");
    net.done("leave n1");
    screen.wait_for("n1", "gone");
    screen.wait_for_row("2 nodes; 1 came, 2 went");
    // As something else than this program would.
    net.end_without_telling(net.pids()[0]);
    screen.wait_for("n3", "gone");
    screen.wait_for_row("1 node; 1 came, 3 went");
    screen.types("q");
    assert_eq!(screen.ends(), (0, vec![BEFORE.to_owned()]));
}

/// The names in the first column, as far as they answer.
fn names(screen: &Screen) -> Vec<String> {
    let rows = screen.rows();
    let rows = rows[3..].iter().filter(|row| row.starts_with('n') && row.contains(" runs "));
    rows.map(|row| row.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn rows_are_sorted_and_one_node_is_looked_into() {
    let net = Net::new();
    net.done("boot 8");
    net.done("storemany 100");
    let mut screen = monitor(&net, LARGE);
    screen.wait("all nodes, which have been looked at twice", |seen| {
        let rows = seen.rows();
        rows.iter().filter(|row| row.contains(" runs ") && !row.contains(" - ")).count() == 8
    });
    assert_eq!(names(&screen), net.around_the_ring());
    screen.types("c");
    screen.wait("rows by how much is kept", |seen| {
        let kept = |row: &String| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            let count = |place: usize| columns.get(place)?.parse::<u32>().ok();
            Some(count(3)? + count(4)?).filter(|_| row.starts_with('n'))
        };
        let kept: Vec<u32> = seen.rows().iter().filter_map(kept).collect();
        kept.len() == 8 && kept.is_sorted_by(|one, other| one >= other) && kept[0] > kept[7]
    });
    screen.types("r\x1b[B\x1b[B\r");
    let third = &net.around_the_ring()[2];
    screen.wait(third, |seen| seen.rows()[2].starts_with(&format!("name         {third}, process ")));
    screen.wait("its place and its connections", |seen| {
        ["predecessor", "successor", "finger", "records", "connection"]
            .iter()
            .all(|word| seen.rows().iter().any(|row| row.starts_with(word)))
    });
    screen.types("\x1b");
    screen.wait("all nodes", |seen| seen.row_of("n1").is_some());
    screen.types("\x03");
    assert_eq!(screen.ends().0, 0);
}

#[test]
fn a_node_that_is_silent_is_shown_so_and_keeps_nobody_waiting() {
    let net = Net::new();
    net.done("boot 3");
    let screen = monitor(&net, SMALL);
    let mut command = net.command("monitor");
    command.env("NO_COLOR", "1");
    let plain = Screen::new(command, SMALL);
    screen.wait_for("n2", "runs");
    let pid = net.pids()[1];
    kill_process(pid, Order::STOP).unwrap();
    for screen in [&screen, &plain] {
        screen.wait_for("n2", "silent");
        screen.wait_for_row("3 nodes, 1 silent; 0 came, 0 went");
        screen.wait_for("n1", "runs");
        screen.wait_for("n3", "runs");
    }
    assert!(0 < screen.coloured(), "a silent node has another colour");
    assert_eq!(plain.coloured(), 0, "NO_COLOR is set");
    // Others are looked at all the same: it is seen within the second that it takes them.
    net.end_without_telling(net.pids()[2]);
    screen.wait_for("n3", "gone");
    screen.wait_for("n2", "silent");
    kill_process(pid, Order::CONT).unwrap();
    screen.wait_for("n2", "runs");
}

#[test]
fn the_table_fits_a_window_that_gets_another_size() {
    let net = Net::new();
    net.done("boot 2");
    let mut screen = monitor(&net, SMALL);
    screen.wait_for("n2", "runs");
    assert!(screen.rows()[2].ends_with("KiB"), "{:#?}", screen.rows());
    screen.resize(LARGE);
    screen.wait("more columns, and the help in the last row", |seen| {
        let rows = seen.rows();
        rows[2].ends_with("ADDRESS") && rows[39].starts_with("q quit") && seen.row_of("n2").is_some()
    });
    screen.resize(SMALL);
    screen.wait("fewer columns, and the help in the last rows", |seen| {
        let rows = seen.rows();
        rows[2].ends_with("KiB") && rows[13].starts_with("q quit") && seen.row_of("n2").is_some()
    });
    screen.types("q");
    assert_eq!(screen.ends().0, 0);
}

#[test]
fn a_monitor_that_was_stopped_takes_the_terminal_again() {
    let net = Net::new();
    net.done("boot 2");
    let mut screen = monitor(&net, SMALL);
    screen.wait_for("n2", "runs");
    screen.is_stopped_and_goes_on();
    assert!(screen.is_taken());
    screen.wait_for("n2", "runs");
    screen.types("q");
    assert_eq!(screen.ends().0, 0);
}

#[test]
fn a_signal_ends_the_monitor_and_gives_the_terminal_back() {
    let net = Net::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut screen = monitor(&net, SMALL);
        screen.wait_for_row("0 nodes; 0 came, 0 went");
        screen.signal(signal);
        assert_eq!(screen.ends(), (0, vec![BEFORE.to_owned()]), "{signal}");
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
