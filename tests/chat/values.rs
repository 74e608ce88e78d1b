//! Values under keys: written, shown and deleted from any node, whatever becomes of those that keep them.

use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::records::value::{VALUE_BYTES_MAX, VALUES_MAX, ValueKey};
use chord_chat::records::{COPIES, RecordKey};
use chord_chat::sim::{Cut, Links};

use crate::town::{REST, SECOND, Town, at, someone_else};

/// How long a request may take, also when the node that should answer it has crashed.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);

/// The answer that somebody was given.
fn answer(event: &Event) -> Option<Event> {
    matches!(event, Event::Written { .. } | Event::Value { .. } | Event::Error { .. }).then(|| event.clone())
}

impl Town {
    /// What the node answers to a line.
    fn asks(&mut self, n: u16, line: &str) -> Event {
        self.forget();
        self.types(n, line);
        self.run(ANSWERED_WITHIN);
        self.take(n, answer).into_iter().next().unwrap_or_else(|| panic!("{line}"))
    }

    /// The value that is shown to `n`, and the node that has answered.
    fn get(&mut self, n: u16, key: &str) -> (Option<String>, NodeHandle) {
        match self.asks(n, &format!("get {key}")) {
            Event::Value { key: shown, value, root, path } => {
                assert_eq!((shown.as_str(), path), (key, Vec::new()));
                (value.map(|value| String::from_utf8(value).unwrap()), root)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Checks that everyone is shown this value.
    fn check(&mut self, key: &str, wanted: Option<&str>) {
        for n in self.people() {
            assert_eq!(self.get(n, key).0.as_deref(), wanted, "{key}, asked by {n}");
        }
    }

    /// Writes or deletes a value, and returns whether one was there.
    fn writes(&mut self, n: u16, line: &str) -> bool {
        match self.asks(n, line) {
            Event::Written { deleted, was_there, .. } => {
                assert_eq!(deleted, line.starts_with("del"));
                was_there
            }
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&mut self, n: u16, line: &str) -> String {
        match self.asks(n, line) {
            Event::Error { command, message } => format!("{command}: {message}"),
            other => panic!("{other:?}"),
        }
    }

    /// Who knows this value, or that it was deleted.
    fn knows(&self, n: u16, key: &str) -> Option<Option<Vec<u8>>> {
        let key: ValueKey = key.parse().unwrap();
        self.network.get(at(n)).unwrap().records().value(&key).map(|written| written.value.clone())
    }

    /// Checks that the keepers of a key know the same of it.
    fn check_copies(&self, key: &str) {
        let now = self.network.now();
        let record = RecordKey::Value(key.parse().unwrap());
        let digest = |n| self.network.get(at(n)).unwrap().records().digest(now, &record, None);
        let digests: Vec<u64> = self.keepers(key, COPIES).into_iter().map(digest).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{key}: {digests:?}");
    }
}

#[test]
fn a_value_is_put_replaced_and_deleted_from_any_node() {
    let mut town = Town::of(8, Links::good());
    town.check("apple", None);
    assert!(!town.writes(1, "put apple  a red one "));
    town.check("apple", Some("a red one"));
    assert!(town.writes(2, "put apple a green one"));
    town.check("apple", Some("a green one"));
    assert!(town.writes(3, "del apple"));
    town.check("apple", None);
    assert!(!town.writes(4, "del apple"), "there is none any more");
    assert!(!town.writes(5, "put apple another"));
    town.check("apple", Some("another"));
    town.check_copies("apple");
    let holders = (0..8).filter(|&n| town.knows(n, "apple").is_some()).count();
    assert_eq!(holders, COPIES);
}

#[test]
fn a_value_survives_the_crash_of_its_root_at_any_moment_and_of_two_keepers_at_once() {
    for millis in 0..8 {
        let mut town = Town::of(8, Links::good());
        let keepers = town.keepers("apple", COPIES);
        let author = someone_else(8, &keepers[..3]);
        town.types(author, "put apple red");
        town.run(Duration::from_millis(millis));
        town.network.crash(at(keepers[0]));
        town.run(ANSWERED_WITHIN);
        let told = town.take(author, answer);
        let is_written = |told: &[_]| matches!(told, [Event::Written { deleted: false, .. }]);
        assert!(is_written(&told), "a crash after {millis} ms: {told:?}");
        assert_eq!(town.get(author, "apple"), (Some("red".to_owned()), at(keepers[1])));
        town.run(REST);
        for &keeper in &keepers[1..3] {
            town.network.crash(at(keeper));
        }
        town.check("apple", Some("red"));
    }
}

#[test]
fn a_deletion_survives_the_crash_of_its_root() {
    let mut town = Town::of(8, Links::good());
    let keepers = town.keepers("apple", COPIES);
    let author = someone_else(8, &keepers);
    town.writes(author, "put apple red");
    town.writes(author, "del apple");
    town.network.crash(at(keepers[0]));
    town.check("apple", None);
    assert!(!town.writes(author, "put apple green"));
    town.check("apple", Some("green"));
}

#[test]
fn a_value_moves_to_who_comes_before_its_root_and_back_when_they_leave() {
    let mut town = Town::of(8, Links::good());
    town.writes(0, "put apple red");
    let root = town.keepers("apple", COPIES)[0];
    let key = Id::hash("apple");
    let comer = (8..500).find(|&n| at(n).id().between(key, at(root).id())).unwrap();
    town.starts(comer, "zoe");
    town.run(REST);
    assert_eq!(town.get(0, "apple"), (Some("red".to_owned()), at(comer)));
    town.check_copies("apple");
    town.writes(0, "put apple green");
    town.types(comer, "exit");
    town.run(REST);
    assert!(town.network.get(at(comer)).is_none());
    assert_eq!(town.get(0, "apple"), (Some("green".to_owned()), at(root)));
    town.check_copies("apple");
}

#[test]
fn after_a_cut_the_later_write_holds_and_what_was_deleted_stays_so() {
    let mut town = Town::of(8, Links::good());
    for key in ["apple", "pear", "plum"] {
        town.writes(0, &format!("put {key} before"));
    }
    town.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
    town.run(3 * REST);
    town.writes(0, "put apple even");
    town.writes(1, "put apple odd");
    town.writes(1, "del pear");
    town.writes(1, "put plum odd");
    town.writes(0, "del plum");
    town.writes(1, "put quince odd");
    assert!(!town.writes(0, "del quince"), "on this side there is none");
    assert_eq!(town.get(0, "apple").0.as_deref(), Some("even"));
    assert_eq!(town.get(0, "pear").0.as_deref(), Some("before"));
    assert_eq!(town.get(1, "plum").0.as_deref(), Some("odd"));
    town.network.heal();
    town.run(2 * REST);
    town.check("apple", Some("odd"));
    town.check("pear", None);
    town.check("plum", None);
    town.check("quince", None);
    for key in ["apple", "pear", "plum", "quince"] {
        town.check_copies(key);
    }
}

#[test]
fn a_copy_that_was_away_does_not_bring_back_what_was_deleted() {
    let mut town = Town::of(8, Links::good());
    town.writes(0, "put apple red");
    let keepers = town.keepers("apple", COPIES);
    let away = keepers[1];
    town.network.freeze(at(away), 30 * REST);
    let author = someone_else(8, &keepers);
    town.run(REST);
    town.writes(author, "del apple");
    assert_eq!(town.knows(away, "apple"), Some(Some(b"red".to_vec())));
    town.run(33 * REST);
    town.check("apple", None);
    town.check_copies("apple");
    assert!(town.knows(away, "apple").is_none_or(|value| value.is_none()));
}

#[test]
fn get_says_which_node_answers_and_over_which_path_when_asked() {
    let mut town = Town::of(16, Links::good());
    town.writes(0, "put apple red");
    let root = town.keepers("apple", COPIES)[0];
    let mut longest = 0;
    for n in 0..16 {
        let Event::Value { key, value, root: answered, path } = town.asks(n, "get apple --path") else {
            panic!("an answer is wanted")
        };
        assert_eq!((key.as_str(), value.as_deref(), answered), ("apple", Some(&b"red"[..]), at(root)));
        assert_eq!(path.first().map(|(node, _)| *node), Some(at(n)), "it begins here");
        longest = longest.max(path.len());
    }
    assert!(1 < longest, "others are asked on the way");
}

#[test]
fn the_longest_value_is_kept_by_all_copies_and_a_longer_one_is_refused() {
    let mut town = Town::of(4, Links::good());
    let longest = "x".repeat(VALUE_BYTES_MAX);
    town.writes(0, &format!("put apple {longest}"));
    town.check("apple", Some(&longest));
    town.check_copies("apple");
    let refusal = town.refusal(0, &format!("put apple {longest}y"));
    assert_eq!(refusal, "put: a value has at most 65536 bytes, this one has 65537");
    town.check("apple", Some(&longest));
}

#[test]
fn what_is_no_key_or_no_value_is_refused() {
    let mut town = Town::of(1, Links::good());
    assert_eq!(town.refusal(0, "put a\u{7}b red"), "put: a key has no control characters");
    assert_eq!(town.refusal(0, "get \u{1b}[2J"), "get: a key has no control characters");
    assert_eq!(town.refusal(0, &format!("del {}", "k".repeat(257))), "del: a key has at most 256 characters");
    assert_eq!(town.refusal(0, "put apple"), "put: usage: put <key> <value>");
    assert_eq!(town.refusal(0, "get"), "get: usage: get <key> [--path]");
    assert_eq!(town.refusal(0, "get apple pear"), "get: usage: get <key> [--path]");
    assert_eq!(town.refusal(0, "del apple pear"), "del: usage: del <key>");
}

#[test]
fn a_node_that_keeps_too_many_values_refuses_others_and_says_so() {
    let mut town = Town::of(1, Links::good());
    for n in 0..VALUES_MAX {
        town.types(0, &format!("put k{n} x"));
    }
    town.run(SECOND);
    let refusal = town.refusal(0, "put apple red");
    assert_eq!(refusal, "put: apple: the node that should keep this value has no room for more");
    assert!(town.writes(0, "put k0 another"));
    assert!(town.writes(0, "del k1"));
    assert_eq!(town.get(0, "k0").0.as_deref(), Some("another"));
}
