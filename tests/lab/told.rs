//! What the commands tell of values and logs, also where not all goes well.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use chord_chat::records::value::VALUES_MAX;

use crate::desk::Desk;
use crate::net::Net;
use crate::wait_until;

#[test]
fn what_a_node_keeps_is_listed_and_seen_in_the_monitor() {
    let net = Net::new();
    net.done("boot 3");
    net.done("put apple red");
    net.done("put -5 -7");
    assert_eq!(net.done("get -5"), "-7\n");
    let values = |node: &str| {
        let about = net.done(&format!("nodeinfo {node}"));
        about
            .lines()
            .filter_map(|line| line.strip_prefix("value        "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut kept = Vec::new();
    // A copy comes as soon as its root knows of the node.
    wait_until("each node keeps both", || {
        kept = ["n1", "n2", "n3"].iter().flat_map(|node| values(node)).collect();
        kept.len() == 6
    });
    kept.sort();
    let of = |key: &str| [format!("{key} as copy"), format!("{key} as copy"), format!("{key} as root")];
    assert_eq!(kept, [of("-5, 2 bytes,"), of("apple, 3 bytes,")].concat());
    let mut command = net.command("monitor");
    command.env("TERM", "xterm-256color");
    let mut desk = Desk::new(command, (120, 60), "");
    desk.wait("a node", |seen| seen.row_of("n1").is_some());
    desk.types("\r");
    desk.wait("what it keeps", |seen| {
        seen.rows().iter().any(|row| row.starts_with("value        apple, 3 bytes, as "))
    });
    desk.types("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn the_way_to_a_value_is_told_beside_it() {
    let net = Net::new();
    net.done("boot 4");
    net.done("put apple red");
    let output = net.command("get apple --path").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.success(), &output.stdout[..]), (true, &b"red\n"[..]), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "apple is d0be2dc421be4fcd0172e5afceea3970e2f3d940");
    assert!(lines[1].trim_start().starts_with("1  n"), "{told}");
    let root = net.done("find apple").lines().last().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(*lines.last().unwrap(), format!("{root} has answered"));
}

#[test]
fn what_is_kept_is_told_also_when_a_node_is_full() {
    let net = Net::new();
    net.done("boot 1");
    let output = net.command(&format!("storemany {}", VALUES_MAX + 50)).output().unwrap();
    let (told, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(" was not kept: "), "{error}");
    let words: BTreeSet<&str> = told.lines().collect();
    assert_eq!(words.len(), VALUES_MAX, "{error}");
    let last = told.lines().last().unwrap();
    assert_eq!(net.done(&format!("lookup {last}")), format!("{last}\n"));
    let file = net.dir().join("pairs");
    std::fs::write(&file, format!("{last} again\nnew value\n")).unwrap();
    let refused = net.refused(&format!("load {}", file.display()));
    assert!(refused.starts_with("chat: 1 of 2 lines were kept before this: new was not kept: "), "{refused}");
    let long = "x".repeat(257);
    let refused = net.refused(&format!("store {long}"));
    assert!(
        refused.contains("a key has 1 to 256 characters") && refused.contains("put KEY VALUE"),
        "{refused}"
    );
}

#[test]
fn a_log_is_followed_until_its_node_ends_and_read_until_a_new_ring_begins() {
    let net = Net::new();
    net.done("boot 3");
    let mut following = net.begin("logs n2 -f");
    let mut log = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("\"event\":\"ready\"")));
    net.done("add");
    // A new node is told of while it is followed.
    assert_eq!(net.done("kill n2"), "n2 is killed\n");
    assert_eq!(log.filter(|line| line.contains("\"event\":\"ready\"")).count(), 0, "it has begun once");
    assert!(following.wait().unwrap().success(), "the command ends with the node");
    for command in ["logs n2", "logs n2 -f"] {
        assert!(net.done(command).contains("\"event\":\"ready\""), "{command}");
    }
    assert!(net.refused("logs ../net").contains("there is no node"));
    net.end_without_telling(net.pids()[0]);
    let added = net.command("add").output().unwrap();
    assert!(added.status.success(), "{added:?}");
    assert_eq!(String::from_utf8_lossy(&added.stderr), "chat: 1 node no longer there: forgotten: n1\n");
    net.done("killall");
    assert!(net.done("logs n1").contains("\"event\":\"ready\""));
    net.done("boot 1");
    assert!(net.refused("logs n1").contains("there is no node n1"));
    assert!(net.done("logs n6").contains("\"event\":\"ready\""));
}

#[test]
fn a_state_whose_addresses_were_exchanged_is_noticed() {
    let net = Net::new();
    net.done("boot 2");
    let file = net.dir().join("net.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut swapped = state["nodes"].clone();
    for (node, other) in [(0, 1), (1, 0)] {
        swapped[node]["at"]["http"] = state["nodes"][other]["at"]["http"].clone();
    }
    state["nodes"] = swapped;
    std::fs::write(&file, state.to_string()).unwrap();
    let http = state["nodes"][0]["at"]["http"].as_str().unwrap();
    assert_eq!(net.refused("nodeinfo n1"), format!("chat: at {http} there is another node than n1\n"));
    assert_eq!(net.done("ps").matches("there is another node than").count(), 2);
}

#[test]
fn a_bar_shows_how_far_a_ring_is_on_a_terminal_and_nowhere_else() {
    let net = Net::new();
    let shown = net.on_a_terminal("boot 3");
    for stage in ["starting", "becoming one ring"] {
        assert!(shown.contains(stage), "{stage}: {shown:?}");
    }
    let output = net.command("add").output().unwrap();
    assert_eq!((output.status.success(), &output.stderr[..]), (true, &b""[..]));
}
