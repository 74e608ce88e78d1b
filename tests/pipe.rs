//! The program in a pipe: plain lines, and JSON.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod fake;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use fake::Puppet;

#[test]
fn the_program() {
    fake::program();
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the program printed, without what the test harness put before it.
fn printed(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().skip_while(|line| !line.starts_with("test the_program")).skip(1).map(str::to_owned).collect()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

#[test]
fn a_pipe_gets_plain_lines_without_prompt_and_colour() {
    let mut puppet = Puppet::new();
    let mut command = puppet.command(false);
    command.env_remove("NO_COLOR");
    let mut child = start(command);
    // All input is there before the node is ready; its end finishes what was asked.
    child.stdin.take().unwrap().write_all(b"join #rust\nsend rust hi \xff\x1b[2J\n").unwrap();
    puppet.tell("ready");
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), &output.stderr[..]), (0, &b""[..]));
    let lines = printed(&output);
    assert_eq!(lines[0], "You are alice.");
    assert_eq!(
        lines[5..],
        ["You are in #rust, with: alice, bob", "[#rust] alice: hi \u{fffd}␛[2J ✓", "Bye."]
    );
}

#[test]
fn json_has_one_object_in_each_line_and_nothing_else() {
    let mut puppet = Puppet::new();
    let mut child = start(puppet.command(true));
    let mut input = child.stdin.take().unwrap();
    puppet.tell("ready");
    input.write_all(&[b'x'; 100_000]).unwrap();
    input.write_all(b"\nsend rust hi\nnonsense\nexit\nsend rust too late\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), &output.stderr[..]), (0, &b""[..]));
    let events: Vec<String> = printed(&output)
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|object| object["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["ready", "error", "message", "sent", "error", "bye"]);
}

#[test]
fn each_line_is_written_as_soon_as_its_event_has_happened() {
    let mut puppet = Puppet::new();
    let mut child = start(puppet.command(true));
    let input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    puppet.tell("ready");
    let mut next = |wanted: &str| {
        let found = lines.by_ref().map(Result::unwrap).find(|line| line.contains(wanted));
        assert!(found.is_some(), "{wanted}");
    };
    next("\"event\":\"ready\"");
    for i in 0..10 {
        puppet.tell(&format!("say {i}"));
        next(&format!("\"text\":\"{i}\""));
    }
    drop(input);
    next("\"event\":\"bye\"");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for json in [false, true] {
        let mut puppet = Puppet::new();
        let mut child = start(puppet.command(json));
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        puppet.tell("ready");
        let mut line = String::new();
        while !line.contains("alice") {
            line.clear();
            output.read_line(&mut line).unwrap();
        }
        drop(output);
        // For a moment, a child of another test may hold the other end of the pipe too.
        while puppet.try_to_tell("say one").is_ok() && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        let status = child.wait().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((status.code(), &errors[..]), (Some(0), ""));
        drop(input);
    }
}

#[test]
fn a_node_that_cannot_start_tells_why_on_standard_error() {
    for json in [false, true] {
        let mut puppet = Puppet::new();
        let child = start(puppet.command(json));
        puppet.tell("error the nick alice is taken; alice2 is free");
        puppet.tell("stop");
        let output = child.wait_with_output().unwrap();
        assert_eq!(status(&output), 1);
        assert_eq!(
            String::from_utf8(output.stderr.clone()).unwrap(),
            "chat: the nick alice is taken; alice2 is free\n"
        );
        let lines = printed(&output);
        match json {
            false => assert!(lines.is_empty(), "{lines:?}"),
            true => assert!(lines[0].contains("\"event\":\"error\""), "{lines:?}"),
        }
    }
}
