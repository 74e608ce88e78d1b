//! `chat net` as its users type it: the walk-throughs of four courses, with real processes.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod net;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use net::Net;

/// How long a ring may take until it is right again.
const RING_TIME_MAX: Duration = Duration::from_secs(30);

/// The names in the first column of `ps`, of those that answer.
fn names(net: &Net) -> Vec<String> {
    let told = net.done("ps");
    let rows = told.lines().skip(1).filter(|row| !row.contains("does not run"));
    rows.map(|row| row.split_whitespace().next().unwrap().to_owned()).collect()
}

/// Whether the node after each is the one that says so.
fn is_one_ring(net: &Net) -> bool {
    let told = net.done("ps");
    let mut places: Vec<(&str, &str, &str)> = told
        .lines()
        .skip(1)
        .map(|row| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            (columns[2], columns[5], columns[6])
        })
        .collect();
    places.sort_unstable();
    let next = |place: usize| places[(place + 1) % places.len()];
    (0..places.len()).all(|place| places[place].2 == next(place).0 && next(place).1 == places[place].0)
}

fn wait_for_ring(net: &Net) {
    let deadline = Instant::now() + RING_TIME_MAX;
    while !is_one_ring(net) {
        assert!(Instant::now() < deadline, "no ring:\n{}", net.done("ps"));
    }
}

/// Boot 2, add 10, store 100, look each up through a node at random; then nodes leave and are killed.
#[test]
fn a_ring_grows_keeps_what_is_stored_and_shrinks() {
    let net = Net::new();
    assert!(net.done("boot").starts_with("n1 to n2: one ring of 2 nodes"));
    assert!(net.done("add").starts_with("n3: one ring of 3 nodes"));
    assert!(net.done("addmany 9").starts_with("n4 to n12: one ring of 12 nodes"));
    assert!(is_one_ring(&net));
    let stored = net.done("storemany 100");
    let words: BTreeSet<&str> = stored.lines().collect();
    assert_eq!(words.len(), 100);
    for word in &words {
        assert_eq!(net.done(&format!("lookup {word}")), format!("{word}\n"));
    }
    for name in ["n1", "n7"] {
        assert_eq!(net.done(&format!("leave {name}")), format!("{name} has left\n"));
    }
    assert_eq!(net.done("kill n4"), "n4 is killed\n");
    wait_for_ring(&net);
    assert_eq!(names(&net), ["n2", "n3", "n5", "n6", "n8", "n9", "n10", "n11", "n12"]);
    for word in &words {
        assert_eq!(net.done(&format!("lookup {word}")), format!("{word}\n"));
    }
    assert_eq!(net.done("killall"), "9 nodes killed\n");
    assert_eq!(names(&net), [""; 0]);
    assert!(net.is_over(), "something is left running");
    assert_eq!(net.refused("get x"), "chat: no node runs: chat net boot starts some\n");
}

#[test]
fn a_key_is_found_by_fingers_and_node_by_node() {
    let net = Net::new();
    net.done("boot 8");
    let root = |told: &str| told.lines().last().unwrap().to_owned();
    let by_fingers = net.done("find apple");
    assert!(by_fingers.starts_with("apple is d0be2dc421be4fcd0172e5afceea3970e2f3d940\n"), "{by_fingers}");
    assert!(root(&by_fingers).contains(" is responsible: "), "{by_fingers}");
    for _ in 0..4 {
        let linear = net.done("find apple --linear");
        assert_eq!(root(&linear), root(&by_fingers));
    }
}

#[test]
fn values_are_put_read_deleted_and_loaded_from_a_file() {
    let net = Net::new();
    net.done("boot 3");
    assert!(net.done("put apple red").starts_with("apple is kept"));
    assert_eq!(net.done("get apple"), "red\n");
    assert!(net.done("delete apple").starts_with("apple is deleted"));
    assert_eq!(net.refused("get apple"), "chat: apple has no value\n");
    assert_eq!(net.refused("delete apple"), "chat: apple has no value\n");
    let file = net.dir().join("pairs");
    std::fs::write(&file, "apple red\n\npear  a long value\napple green\n").unwrap();
    assert_eq!(net.done(&format!("load {}", file.display())), "2 keys are kept, and were read back\n");
    assert_eq!(
        (net.done("get apple"), net.done("get pear")),
        ("green\n".to_owned(), "a long value\n".to_owned())
    );
    std::fs::write(&file, "apple\n").unwrap();
    let refused = net.refused(&format!("load {}", file.display()));
    assert!(refused.ends_with("is not a key, a blank and a value\n"), "{refused}");
}

#[test]
fn what_a_node_knows_and_has_told_is_shown() {
    let net = Net::new();
    net.done("boot 3");
    let about = net.done("nodeinfo n2");
    assert!(about.contains("\npredecessor  ") && about.contains("\nsuccessor    1 "), "{about}");
    assert!(net.done("logs n2").contains("\"event\":\"ready\""));
    for command in ["nodeinfo n9", "logs n9", "leave n9", "kill n9"] {
        assert_eq!(net.refused(command), "chat: there is no node n9: chat net ps lists them\n");
    }
}

/// A machine that was restarted has other processes with these numbers, or none.
#[test]
fn a_state_that_does_not_fit_what_runs_is_told_and_ends_nobody_else() {
    let net = Net::new();
    net.done("boot 2");
    net.refused("boot 2");
    let pids = net.pids();
    net.end_without_telling(pids[0]);
    assert!(net.done("ps").contains("n1 does not run any more"));
    // As if the number had been given to another process, which began at another time.
    let file = net.dir().join("net.json");
    let state = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, state.replace(&format!("\"pid\": {}", pids[0]), "\"pid\": 1")).unwrap();
    assert_eq!(net.done("killall"), "1 node killed, 1 did not run any more\n");
    assert!(net.is_over());
    let again = net.done("boot 2");
    assert!(again.starts_with("n3 to n4: "), "{again}");
}
