//! What bad input gets: on the command line, and from the keyboard.

use std::net::TcpListener;

use chord_chat::chat::TEXT_BYTES_MAX;
use chord_chat::chat::command::{Argument, COMMANDS, Kind};
use serde_json::Value;

use crate::fleet::{Node, is, text};

/// What a process says that cannot start: one line, and its exit status.
fn refusal(nick: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, errors) = Node::spawn(nick, arguments).status();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    (status.code(), errors)
}

fn error(node: &mut Node, line: &str) -> String {
    let answer = node.ask(line, |event| is(event, "error") || event["state"] == "failed");
    let field = if is(&answer, "error") { "message" } else { "reason" };
    text(&answer, field).to_owned()
}

/// What a node prints after `line`, up to the answer of the next command.
fn printed(node: &mut Node, line: &str) -> Vec<Value> {
    let before = node.events().len();
    node.types(line);
    node.ask("channels", |event| is(event, "channels"));
    let events = node.events().split_off(before);
    events.into_iter().filter(|event| !is(event, "ring") && !is(event, "channels")).collect()
}

#[test]
fn an_unknown_command_is_named_and_help_is_offered() {
    let mut alice = Node::first("alice");
    assert_eq!(error(&mut alice, "dance"), "there is no command \"dance\"; help lists them");
    assert_eq!(error(&mut alice, "/dance"), "there is no command \"dance\"; help lists them");
    assert_eq!(error(&mut alice, "help dance"), "there is no command \"dance\"; help lists them");
    assert!(printed(&mut alice, "").is_empty());
    assert!(printed(&mut alice, "   ").is_empty());
}

#[test]
fn a_missing_argument_gets_the_usage_and_nothing_is_sent() {
    let mut alice = Node::first("alice");
    for command in COMMANDS {
        let required: Vec<_> = command.arguments.iter().filter(|argument| !argument.optional).collect();
        for given in 0..required.len() {
            let line = format!("{} {}", command.name, "word ".repeat(given));
            assert_eq!(error(&mut alice, &line), format!("usage: {}", command.usage()), "{line}");
            assert_eq!(printed(&mut alice, &line).len(), 1, "{line}");
        }
        // One argument too many; a text has no end, and `who` takes what is there for a channel.
        if !command.arguments.iter().any(|argument| argument.kind == Kind::Text) {
            let word = |argument: &Argument| match argument.kind {
                Kind::Count if argument.name.starts_with("--") => format!("{} 1 ", argument.name),
                Kind::Count => "1 ".to_owned(),
                _ => "word ".to_owned(),
            };
            let words: String = command.arguments.iter().map(word).collect();
            let line = format!("{} {words}word", command.name);
            assert_eq!(error(&mut alice, &line), format!("usage: {}", command.usage()), "{line}");
        }
    }
}

#[test]
fn a_bad_name_is_refused_with_the_rule() {
    let mut alice = Node::first("alice");
    let long = "a".repeat(33);
    let cases = [
        ("join #", "not the name of a channel: a name is not empty".to_owned()),
        (&format!("join {long}"), "not the name of a channel: a name has at most 32 characters".to_owned()),
        (
            "join a\u{7}b",
            "not the name of a channel: a name has no blanks and no control characters".to_owned(),
        ),
        (&format!("whois {long}"), "not the name of a person: a name has at most 32 characters".to_owned()),
        ("msg #rust hello", "not the name of a person: a nick does not begin with #, @ or /".to_owned()),
        ("msg @123 hello", "@123: after @ come at least 8 hexadecimal digits of a node's id".to_owned()),
    ];
    for (line, expected) in cases {
        assert_eq!(error(&mut alice, line), expected, "{line}");
        assert_eq!(printed(&mut alice, line).len(), 1, "{line}");
    }
    for nick in ["", "a b", "a\u{1b}[31m", "#alice", "@alice", &long] {
        let (status, errors) = Node::spawn(nick, &["--addr", "127.0.0.1:0"]).status();
        assert_eq!(status.code(), Some(2), "{nick:?}");
        assert!(errors.contains("a name") || errors.contains("a nick"), "{nick:?}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{errors:?}");
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_with_the_limit() {
    let mut alice = Node::first("alice");
    alice.join_channel("rust");
    let longest = "é".repeat(TEXT_BYTES_MAX / 2);
    alice.send("rust", &longest);
    alice.wait_for_message(&longest);
    for line in [format!("send rust {longest}!"), format!("msg alice {longest}!")] {
        assert_eq!(error(&mut alice, &line), "a message has at most 4096 bytes, this one has 4097");
        assert_eq!(printed(&mut alice, &line).len(), 1);
    }
}

#[test]
fn a_name_that_nobody_has_is_named() {
    let mut alice = Node::first("alice");
    assert_eq!(error(&mut alice, "msg eve hello"), "nobody has the name eve");
    assert_eq!(error(&mut alice, "whois eve"), "nobody has the name eve");
    assert_eq!(error(&mut alice, "leave rust"), "you are not in #rust");
    assert_eq!(error(&mut alice, "who"), "you are in no channel; name one");
    assert_eq!(error(&mut alice, "msg @00000000 hello"), "no node has an id that begins so");
}

#[test]
fn a_port_in_use_and_a_foreign_address_are_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let expected = format!(
        "chat: another program listens at {address}: choose another port, or port 0 for any that is free\n"
    );
    assert_eq!(refusal("alice", &["--addr", &address]), (Some(1), expected));
    // 192.0.2.0/24 is for documents: nobody has it.
    let expected = "chat: 192.0.2.1 is not an address of this machine\n".to_owned();
    assert_eq!(refusal("alice", &["--addr", "192.0.2.1:7000"]), (Some(1), expected));
}

#[test]
fn each_bootstrap_that_fails_gives_its_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    // Other tests listen at another address, and take no port there.
    let closed = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let begin = ["--addr", "127.0.0.1:0", "--bootstrap"];
    let (status, errors) =
        refusal("alice", &[&begin[..], &[&address, "--bootstrap", "no-such-host.invalid:7000"]].concat());
    assert_eq!(status, Some(1));
    assert!(
        errors.starts_with(&format!("chat: no node of a ring was found: {address}: nothing listens there; "))
    );
    assert!(errors.contains("no-such-host.invalid:7000: cannot find the host: "), "{errors}");
    // It is itself the one that is to let it in.
    let own = ["--addr", &address, "--bootstrap", &address];
    let expected = format!("chat: no node of a ring was found: {address}: is this node itself\n");
    assert_eq!(refusal("alice", &own), (Some(1), expected));
    let expected = format!("chat: no node of a ring was found: {silent}: no greeting within 2s\n");
    assert_eq!(refusal("alice", &[&begin[..], &[&silent]].concat()), (Some(1), expected));
}

#[test]
fn a_nick_that_is_taken_is_refused_and_a_free_one_is_suggested() {
    let alice = Node::first("alice");
    let mut second = Node::join("alice2", &alice);
    let via = alice.addr().to_string();
    let (status, errors) = refusal("alice", &["--addr", "127.0.0.1:0", "--bootstrap", &via]);
    let expected =
        format!("chat: the name alice is taken by the node at {via}; alice3 is free: --nick alice3\n");
    assert_eq!((status, errors), (Some(1), expected));
    // Nobody has noticed: the holder still has the name.
    second.ask("msg alice hello", |event| event["state"] == "delivered");
    alice.wait("hello", |event| is(event, "private"));
}

#[test]
fn nodes_of_different_networks_part_and_say_why() {
    let alice = Node::first("alice");
    let via = alice.addr().to_string();
    let arguments = ["--addr", "127.0.0.1:0", "--bootstrap", &via, "--network", "lab"];
    let (status, errors) = refusal("bob", &arguments);
    let expected = format!(
        "chat: no node of a ring was found: {via}: that node is in the network 'chord-chat', this one in 'lab'\n"
    );
    assert_eq!((status, errors), (Some(1), expected));
    let told = alice.wait("parted", |event| is(event, "error"));
    let message = text(&told, "message");
    assert!(message.ends_with("that node is in the network 'lab', this one in 'chord-chat'"), "{message}");
}
