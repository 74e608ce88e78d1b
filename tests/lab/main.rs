//! `chat net` as its users type it: the walk-throughs of four courses, with real processes.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

#[path = "../desk/mod.rs"]
mod desk;
mod monitor;
mod net;
mod reader;
mod screen;
mod silence;
mod told;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use net::Net;
use rustix::process::{Signal, kill_process};

/// How long a ring may take until it is right again.
const RING_TIME_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether something is so that nobody tells of.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    wait_until("one ring", || is_one_ring(net));
}

/// Waits until something is so that nobody tells of.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + RING_TIME_MAX;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {RING_TIME_MAX:?}");
        thread::park_timeout(LOOK_EVERY);
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
    let around = net.around_the_ring();
    for _ in 0..4 {
        let linear = net.done("find apple --linear");
        assert_eq!(root(&linear), root(&by_fingers));
        let hops: Vec<Vec<&str>> =
            linear.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let (_, hops) = hops.split_last().unwrap();
        assert!(hops.iter().all(|hop| hop[3].ends_with('s')), "how long each took: {linear}");
        let place = |name: &str| around.iter().position(|node| node == name).unwrap();
        for pair in hops.windows(2) {
            assert_eq!(place(pair[1][1]), (place(pair[0][1]) + 1) % around.len(), "{linear}");
        }
        assert!(root(&linear).starts_with(hops.last().unwrap()[1]), "the last one is the root: {linear}");
    }
}

#[test]
fn a_way_goes_around_a_node_that_is_silent_and_one_that_begins_there_says_so() {
    let net = Net::new();
    net.done("boot 4");
    kill_process(net.pids()[2], Signal::STOP).unwrap();
    assert_eq!(net.done("kill n4"), "n4 is killed\n");
    let (mut refused, mut found) = (0, 0);
    let deadline = Instant::now() + RING_TIME_MAX;
    while refused == 0 || found == 0 {
        assert!(Instant::now() < deadline, "of nodes at random, each is some time the first");
        let output = net.command("find apple").output().unwrap();
        let (told, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            let root = told.lines().last().unwrap();
            assert!(root.starts_with("n1 is ") || root.starts_with("n2 is "), "{told}");
            found += 1;
        } else {
            assert_eq!((&*told, &*error), ("", "chat: n3 does not answer\n"));
            refused += 1;
        }
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
    assert!(about.contains("\nsince        2") && about.contains(" KiB\n"), "{about}");
    let connections: Vec<&str> = about.lines().filter(|line| line.starts_with("connection ")).collect();
    assert_eq!(connections.len(), 2, "{about}");
    for connection in connections {
        assert!(connection.contains(" open since 2"), "{about}");
        assert!(!connection.contains(" 0 sent") && !connection.contains(" 0 received"), "{about}");
    }
    assert!(net.done("logs n2").contains("\"event\":\"ready\""));
    for command in ["nodeinfo n9", "logs n9", "leave n9", "kill n9"] {
        assert_eq!(net.refused(command), "chat: there is no node n9: chat net ps lists them\n");
    }
}

/// A machine that was restarted has other processes with these numbers, or none.
#[test]
fn the_nodes_of_two_directories_are_of_two_networks() {
    let nets = [Net::new(), Net::new()];
    let network = |net: &Net, node: &str| {
        let about = net.done(&format!("nodeinfo {node}"));
        about.lines().find_map(|line| line.strip_prefix("network      lab-")).unwrap().to_owned()
    };
    let networks = nets.each_ref().map(|net| {
        net.done("boot 2");
        assert_eq!(network(net, "n1"), network(net, "n2"));
        network(net, "n1")
    });
    assert_ne!(networks[0], networks[1]);
    let [one, other] = nets.each_ref().map(|net| {
        let about = net.done("nodeinfo n1");
        about
            .lines()
            .find_map(|line| line.strip_prefix("node "))
            .unwrap()
            .split_whitespace()
            .last()
            .unwrap()
            .to_owned()
    });
    let joins = |network: &str, node: &str| {
        let mut chat = std::process::Command::new(env!("CARGO_BIN_EXE_chat"));
        chat.args(["--network", &format!("lab-{network}"), "--bootstrap", node]);
        chat.args(["--nick", "eve", "--addr", "127.0.0.1:0", "--ephemeral", "--json"]);
        chat.stdin(std::process::Stdio::null()).output().unwrap().status.success()
    };
    assert!(joins(&networks[0], &one), "who names the network is let in");
    assert!(!joins(&networks[0], &other), "this one is of another");
}

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

#[test]
fn a_value_is_read_as_it_is_but_does_not_command_a_terminal() {
    let net = Net::new();
    net.done("boot 2");
    net.done("put apple \u{1b}[2Jred");
    assert_eq!(net.done("get apple"), "\u{1b}[2Jred\n");
    let shown = net.on_a_terminal("get apple");
    assert!(shown.contains("[2Jred") && !shown.contains("\u{1b}[2J"), "{shown:?}");
}

#[test]
fn the_nodes_of_a_command_that_was_ended_early_are_known() {
    let net = Net::new();
    net.end_once_started("boot 8", 8);
    assert_eq!(net.done("killall"), "8 nodes killed\n");
    assert!(net.is_over(), "something is left running");
}

/// 8 of 32 nodes are killed, two neighbours at a time with 3 s between, and as many join; somebody reads all the time,
/// through nodes that are not killed, and asks once more where an answer fails.
#[test]
fn values_can_be_read_at_every_moment_while_nodes_are_killed_and_others_join() {
    const KEYS: usize = 1000;
    const BETWEEN: Duration = Duration::from_secs(3);
    let net = Net::new();
    net.done("boot 32");
    let stored = net.done(&format!("storemany {KEYS}"));
    let words: Vec<&str> = stored.lines().collect();
    let order = net.around_the_ring();
    let killed: Vec<&String> = order.chunks(8).flat_map(|arc| &arc[..2]).collect();
    let mut nodes = net.nodes();
    nodes.retain(|(name, _)| !killed.contains(&name));
    let (read, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let again = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut again = 0;
            for (number, word) in words.iter().cycle().enumerate() {
                let node = |attempt: usize| nodes[(number * 7 + attempt) % nodes.len()].1;
                let value = reader::read(node(0), word).or_else(|_| {
                    again += 1;
                    reader::read(node(1), word)
                });
                let is_right = value.as_deref() == Ok(*word);
                // Whoever waits for the next reading is not left waiting.
                if !is_right || over.load(Ordering::Relaxed) {
                    read.store(usize::MAX, Ordering::Relaxed);
                    assert!(is_right, "{word}: {value:?}");
                    break;
                }
                read.fetch_add(1, Ordering::Relaxed);
            }
            again
        });
        let wait_for_all_to_be_read = |least: Duration| {
            let (begin, before) = (Instant::now(), read.load(Ordering::Relaxed));
            let is_read = || before.saturating_add(KEYS) <= read.load(Ordering::Relaxed);
            while !is_read() || begin.elapsed() < least {
                thread::park_timeout(LOOK_EVERY);
            }
        };
        for two in killed.chunks(2) {
            for name in two {
                net.done(&format!("kill {name}"));
            }
            wait_for_all_to_be_read(BETWEEN);
            net.done("addmany 2");
        }
        wait_for_all_to_be_read(Duration::ZERO);
        let all = read.load(Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
        let again = reading.join().unwrap();
        println!("{all} values were read, {again} of them at the second attempt");
        again
    });
    assert_eq!(net.nodes().len(), 32);
    assert!(again < KEYS, "most are read at once");
}
