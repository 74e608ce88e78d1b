//! The program as a whole: how it starts, how it fails, and two people who talk.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

fn chat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command
        .args(arguments)
        .arg("--ephemeral")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The exit status and the one line on standard error of a program that cannot start.
fn failure(arguments: &[&str]) -> (i32, String) {
    let output = chat(arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), errors)
}

/// Checks that the program fails with status 1 and one line that says `why`.
fn check_failure(arguments: &[&str], why: &str) {
    let (status, errors) = failure(arguments);
    assert_eq!(status, 1, "{errors}");
    assert_eq!(errors.matches('\n').count(), 1, "{errors:?}");
    assert!(errors.starts_with("chat: ") && errors.contains(why), "{errors:?}");
}

/// Somebody who chats through pipes, in JSON.
struct Person {
    child: Child,
    input: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl Person {
    fn start(nick: &str, bootstrap: Option<&str>) -> Person {
        let mut arguments = vec!["--nick", nick, "--addr", "127.0.0.1:0", "--json"];
        arguments.extend(bootstrap.into_iter().flat_map(|addr| ["--bootstrap", addr]));
        let mut child = chat(&arguments).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut person = Person { child, input, events, addr: String::new() };
        let ready = person.wait_for("ready");
        assert_eq!(ready["ring"], if bootstrap.is_some() { "joined" } else { "created" });
        ready["addr"].as_str().unwrap().clone_into(&mut person.addr);
        person
    }

    fn types(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next event of that name; an event that never comes ends with the program, and fails the test.
    fn wait_for(&mut self, name: &str) -> Value {
        for line in self.events.by_ref() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if event["event"] == name {
                return event;
            }
            assert_ne!(event["event"], "error", "{event}");
        }
        panic!("{name} never came");
    }

    /// The next error: its command, and what it says.
    fn error(&mut self) -> String {
        let events = self.events.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let error = events.into_iter().find(|event| event["event"] == "error").unwrap();
        format!("{}: {}", error["command"].as_str().unwrap(), error["message"].as_str().unwrap())
    }

    fn leaves(mut self) {
        drop(self.input);
        let bye = self.events.by_ref().last().unwrap().unwrap();
        assert!(bye.contains("\"event\":\"bye\""), "{bye}");
        let output: Output = self.child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
    }
}

#[test]
fn wrong_usage_has_status_2_and_says_the_rule() {
    let (status, errors) = failure(&["--nick", "two words", "--addr", "127.0.0.1:0"]);
    assert_eq!(status, 2);
    assert!(errors.contains("a name has no blanks"), "{errors}");
    let (status, errors) = failure(&["--nick", "alice", "--addr", "0.0.0.0:0"]);
    assert_eq!(status, 2);
    assert!(errors.contains("--advertise"), "{errors}");
}

#[test]
fn what_cannot_start_says_why_in_one_line_and_has_status_1() {
    // Other tests listen at another address, and take no port there.
    let taken = TcpListener::bind("127.0.0.2:0").unwrap();
    let taken_addr = taken.local_addr().unwrap().to_string();
    check_failure(&["--nick", "alice", "--addr", &taken_addr], "another program listens at");
    check_failure(
        &["--nick", "alice", "--addr", "192.0.2.1:0"],
        "192.0.2.1 is not an address of this machine",
    );

    drop(taken);
    let with = |bootstrap| ["--nick", "alice", "--addr", &taken_addr, "--bootstrap", bootstrap];
    check_failure(&with(&taken_addr), &taken_addr);
    check_failure(&with("127.0.0.1:1"), "127.0.0.1:1");
}

#[test]
fn a_nick_that_is_taken_is_refused_with_a_suggestion() {
    let alice = Person::start("alice", None);
    check_failure(&["--nick", "alice", "--addr", "127.0.0.1:0", "--bootstrap", &alice.addr], "alice");
    alice.leaves();
}

#[test]
fn two_people_talk() {
    let mut alice = Person::start("alice", None);
    let mut bob = Person::start("bob", Some(&alice.addr));
    for (person, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        person.types("join #rust");
        let joined = person.wait_for("joined");
        assert!(joined["members"].as_array().unwrap().contains(&Value::from(name)), "{joined}");
    }
    bob.types("send rust hello, 日本");
    for person in [&mut alice, &mut bob] {
        let message = person.wait_for("message");
        assert_eq!((&message["from"], &message["text"]), (&"bob".into(), &"hello, 日本".into()));
    }
    alice.types("/msg bob psst");
    assert_eq!(bob.wait_for("private")["text"], "psst");
    while alice.wait_for("sent")["state"] != "delivered" {}
    alice.leaves();
    bob.leaves();
}

#[test]
fn a_value_of_64_kib_is_kept_and_shown_and_a_longer_one_is_refused() {
    let mut alice = Person::start("alice", None);
    let mut bob = Person::start("bob", Some(&alice.addr));
    let longest = "x".repeat(65_536);
    alice.types(&format!("put apple {longest}y"));
    assert_eq!(alice.error(), "put: a value has at most 65536 bytes, this one has 65537");
    alice.types("put a\u{1}b red");
    assert_eq!(alice.error(), "put: a key has no control characters");
    alice.types(&format!("put apple {longest}"));
    let written = alice.wait_for("written");
    assert_eq!((&written["key"], &written["was_there"]), (&"apple".into(), &false.into()));
    bob.types("get apple --path");
    let value = bob.wait_for("value");
    assert_eq!((&value["value"], &value["bytes"]), (&longest.into(), &65_536.into()));
    assert_eq!(value["root"], written["root"]);
    assert_eq!(value["path"][0]["node"]["addr"], bob.addr);
    bob.types("del apple");
    assert_eq!(bob.wait_for("written")["was_there"], true);
    alice.types("get apple");
    let value = alice.wait_for("value");
    assert_eq!((&value["value"], &value["bytes"], value.get("path")), (&Value::Null, &Value::Null, None));
    alice.leaves();
    bob.leaves();
}
