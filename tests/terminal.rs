//! The program at a terminal, looked at through a pseudo-terminal and a screen.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod desk;
mod fake;

use std::process::Command;

use desk::{Desk, LINES, Seen};
use fake::Puppet;
use rexpect::process::Signal;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

#[test]
fn the_program() {
    fake::program();
}

/// A program on a screen of so many rows.
fn begin(command: Command, rows: u16) -> Desk {
    Desk::new(command, (80, rows), "")
}

impl Desk {
    /// A program whose node is ready and whose prompt is on the screen.
    fn ready(puppet: &mut Puppet, rows: u16) -> Desk {
        let desk = begin(puppet.command(false), rows);
        puppet.tell("ready");
        desk.wait_for_row("alice>");
        desk
    }

    /// Waits until the cursor stands behind `text` in the last row that is not empty.
    fn wait_for_line(&self, text: &str) {
        self.wait(text, |seen| {
            let (row, col) = seen.parser.screen().cursor_position();
            let rows = seen.written();
            rows.last().is_some_and(|last| last == text.trim_end())
                && usize::from(row) + 1 == rows.len()
                && usize::from(col) == text.chars().count()
        });
    }
}

fn count(rows: &[String], row: &str) -> usize {
    rows.iter().filter(|seen| *seen == row).count()
}

#[test]
fn a_line_that_comes_in_does_not_tear_the_line_that_is_typed() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("send #rust žluť 日本");
    desk.wait("the typed line", |seen| seen.written().last().unwrap() == "alice> send #rust žluť 日本");
    puppet.tell("say hello\x1b[2J\x1b[H");
    desk.wait_for_row("[#rust] bob: hello␛[2J␛[H");
    desk.wait("the typed line", |seen| seen.written().last().unwrap() == "alice> send #rust žluť 日本");
    desk.types("!\r");
    desk.wait_for_row("[#rust] alice: žluť 日本! ✓");
    desk.wait_for_line("alice> ");
    assert_eq!(count(&desk.rows(), "alice> send #rust žluť 日本!"), 1);
}

#[test]
fn a_typed_line_of_many_rows_stays_whole() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    let text = "word ".repeat(40);
    let typed = format!("send #rust {text}");
    let whole = move |seen: &Seen| {
        let rows: String = seen.parser.screen().rows(0, 80).map(|row| format!("{row:80}")).collect();
        rows.trim_end().ends_with(typed.trim_end())
    };
    desk.types(&format!("send #rust {text}"));
    desk.wait("the typed line", &whole);
    for i in 0..3 {
        puppet.tell(&format!("say message {i}"));
        desk.wait_for_row(&format!("[#rust] bob: message {i}"));
        desk.wait("the typed line", &whole);
    }
}

#[test]
fn no_line_is_torn_lost_or_doubled_when_everybody_talks_at_once() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 1000);
    let (rounds, burst) = (60, 5);
    for i in 0..rounds {
        // Enter is pressed while messages come in, and the answer comes right after it.
        for j in 0..burst {
            puppet.tell(&format!("say message {i}.{j}"));
        }
        desk.types(&format!("send rust {i}\r"));
    }
    desk.wait_for_row(&format!("[#rust] bob: message {}.{}", rounds - 1, burst - 1));
    desk.wait_for_row(&format!("[#rust] alice: {} ✓", rounds - 1));
    desk.wait_for_line("alice> ");
    let rows = desk.rows();
    for i in 0..rounds {
        for j in 0..burst {
            assert_eq!(count(&rows, &format!("[#rust] bob: message {i}.{j}")), 1, "{rows:#?}");
        }
        assert_eq!(count(&rows, &format!("[#rust] alice: {i} ✓")), 1, "{rows:#?}");
    }
}

#[test]
fn an_answer_that_comes_with_the_next_prompt_stands_above_it() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 1000);
    for i in 0..200 {
        desk.types(&format!("send rust {i}\r"));
        desk.wait_for_row(&format!("[#rust] alice: {i} ✓"));
        desk.wait_for_line("alice> ");
    }
}

#[test]
fn tab_completes_commands_and_the_channels_that_were_seen() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("/jo\t");
    desk.wait_for_line("alice> /join ");
    desk.types("\x03");
    desk.wait_for_line("alice> ");
    desk.types("join #rusty-crabs\r");
    desk.wait_for_row("You are in #rusty-crabs, with: alice, bob");
    desk.wait_for_line("alice> ");
    desk.types("send #ru\t");
    desk.wait_for_line("alice> send #rusty-crabs ");
    desk.types("hello b\t");
    desk.wait_for_line("alice> send #rusty-crabs hello bob ");
    desk.types("\x03");
    desk.wait_for_line("alice> ");
    // Where there is a choice, it is listed, and messages are shown again at once.
    desk.types("wh\t");
    desk.wait_for_row("who    whois");
    puppet.tell("say after the list");
    desk.wait_for_row("[#rust] bob: after the list");
    desk.wait_for_line("alice> who");
}

#[test]
fn ctrl_c_clears_a_line_and_leaves_from_an_empty_one() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("send #rust something rash");
    desk.wait_for_line("alice> send #rust something rash");
    assert!(!desk.is_restored(), "the editor reads single keys");
    desk.types("\x03");
    desk.wait_for_line("alice> ");
    desk.types("\x03");
    let (status, rows) = desk.ends();
    assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
}

#[test]
fn ctrl_d_and_exit_leave() {
    for keys in ["\x04", "exit\r", "/exit\r"] {
        let mut puppet = Puppet::new();
        let mut desk = Desk::ready(&mut puppet, 24);
        desk.types(keys);
        let (status, rows) = desk.ends();
        assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
    }
}

#[test]
fn ctrl_c_while_leaving_stops_at_once() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    puppet.tell("stubborn");
    puppet.tell("say stubborn");
    desk.wait_for_row("[#rust] bob: stubborn");
    desk.types("exit\r");
    desk.wait("the empty row after exit", |seen| {
        let (row, col) = seen.parser.screen().cursor_position();
        seen.written().get(usize::from(row)).is_none_or(String::is_empty) && col == 0
    });
    puppet.tell("say still here");
    desk.wait_for_row("[#rust] bob: still here");
    desk.types("\x03");
    let (status, rows) = desk.ends();
    assert_eq!(status, 1);
    assert_eq!(rows.last().unwrap(), "chat: stopped at once, without handing anything over");
}

#[test]
fn a_node_that_stops_while_a_line_is_typed_gives_the_terminal_back() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("send #rust unfinis");
    desk.wait_for_line("alice> send #rust unfinis");
    puppet.tell("error the disk is full");
    puppet.tell("stop");
    let (status, rows) = desk.ends();
    assert_eq!(status, 1);
    let end: Vec<_> = rows.iter().rev().take(3).rev().map(String::as_str).collect();
    assert_eq!(end, ["Error: the disk is full", "Bye.", "chat: the disk is full"], "{rows:#?}");
}

#[test]
fn sigterm_leaves_in_good_order_while_a_line_is_typed() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut puppet = Puppet::new();
        let mut desk = Desk::ready(&mut puppet, 24);
        desk.types("send #rust unfinis");
        desk.wait_for_line("alice> send #rust unfinis");
        desk.process.signal(signal).unwrap();
        let (status, rows) = desk.ends();
        assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
    }
}

#[test]
fn a_program_that_was_stopped_goes_on_where_it_was() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("send rust unfin");
    desk.wait_for_line("alice> send rust unfin");
    desk.process.signal(Signal::SIGSTOP).unwrap();
    // As a shell does when its job was stopped.
    let mut mode = tcgetattr(&desk.keyboard).unwrap();
    mode.local_modes |= LINES;
    tcsetattr(&desk.keyboard, OptionalActions::Now, &mode).unwrap();
    desk.process.signal(Signal::SIGCONT).unwrap();
    // The mode is set before anything is drawn again.
    desk.wait("the mode of the editor", |_| !desk.is_restored());
    desk.types("ished\r");
    desk.wait_for_row("[#rust] alice: unfinished ✓");
    desk.types("\x04");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let mut puppet = Puppet::new();
    let mut desk = Desk::ready(&mut puppet, 24);
    desk.types("send #rust unfinis");
    desk.wait_for_line("alice> send #rust unfinis");
    puppet.tell("panic");
    let (status, rows) = desk.ends();
    assert_eq!(status, 101);
    assert!(rows.iter().any(|row| row.contains("as the test wants it")), "{rows:#?}");
}

#[test]
fn a_node_that_cannot_start_tells_why_in_one_line() {
    let mut puppet = Puppet::new();
    let desk = begin(puppet.command(false), 24);
    puppet.tell("error the nick alice is taken; alice2 is free");
    puppet.tell("stop");
    let (status, rows) = desk.ends();
    assert_eq!(status, 1);
    assert_eq!(rows.last().unwrap(), "chat: the nick alice is taken; alice2 is free");
    assert!(!rows.iter().any(|row| row.contains("Error") || row.contains("Bye")), "{rows:#?}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let mut puppet = Puppet::new();
    let mut command = puppet.command(false);
    command.env("TERM", "dumb");
    let mut desk = begin(command, 24);
    puppet.tell("ready");
    desk.wait_for_row("You are alice.");
    assert!(desk.is_restored(), "the terminal puts the lines together");
    desk.types("send rust hi\n");
    desk.wait_for_row("[#rust] alice: hi ✓");
    desk.types("\x04");
    let (status, rows) = desk.ends();
    assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
}

/// The program that people use, in a ring of its own or in that of `via`.
fn chat(nick: &str, via: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.args(["--nick", nick, "--addr", "127.0.0.1:0", "--ephemeral"]);
    command.args(via.iter().flat_map(|via| ["--bootstrap", via]));
    command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
    command
}

/// Two people at terminals, in one channel.
fn two_people() -> (Desk, Desk) {
    let mut alice = begin(chat("alice", None), 1000);
    alice.wait_for_row("Type help to see the commands.");
    alice.wait_for_line("alice> ");
    let rows = alice.rows();
    let address = rows.iter().find_map(|row| row.strip_prefix("  address  ")).expect("an address is told");
    let mut bob = begin(chat("bob", Some(address)), 1000);
    bob.wait_for_line("bob> ");
    alice.types("join #rust\r");
    alice.wait_for_row("You are in #rust, with: alice");
    bob.types("join #rust\r");
    bob.wait_for_row("You are in #rust, with: alice, bob");
    alice.wait_for_row("* bob joined #rust");
    (alice, bob)
}

#[test]
fn real_people_do_not_tear_each_others_lines() {
    let (mut alice, mut bob) = two_people();
    alice.types("send #rust I am typing");
    alice.wait_for_line("alice> send #rust I am typing");
    for i in 0..20 {
        bob.types(&format!("send #rust message {i}\r"));
    }
    alice.wait_for_row("[#rust] bob: message 19");
    alice.wait_for_line("alice> send #rust I am typing");
    alice.types(" slowly\r");
    bob.wait_for_row("[#rust] alice: I am typing slowly");
    let rows = alice.rows();
    for i in 0..20 {
        assert_eq!(count(&rows, &format!("[#rust] bob: message {i}")), 1, "{rows:#?}");
    }
}

#[test]
fn tab_completes_what_a_real_session_has_seen() {
    let (mut alice, _bob) = two_people();
    alice.types("ms\tb\t");
    alice.wait_for_line("alice> msg bob ");
    alice.types("\x03");
    alice.wait_for_line("alice> ");
    alice.types("/le\t#r\t");
    alice.wait_for_line("alice> /leave #rust ");
    alice.types("\r");
    alice.wait_for_row("You have left #rust.");
}

#[test]
fn a_real_node_is_left_by_ctrl_d_and_ctrl_c_and_gives_the_terminal_back() {
    let (mut alice, mut bob) = two_people();
    bob.types("\x04");
    let (status, rows) = bob.ends();
    assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
    alice.wait_for_row("* bob left #rust");
    alice.types("half a line");
    alice.wait_for_line("alice> half a line");
    alice.types("\x03");
    alice.wait_for_line("alice> ");
    alice.types("\x03");
    let (status, rows) = alice.ends();
    assert_eq!((status, rows.last().map(String::as_str)), (0, Some("Bye.")), "{rows:#?}");
}

#[test]
fn colours_are_shown_unless_they_are_unwanted() {
    let is_coloured = |seen: &Seen| {
        let (rows, cols) = seen.parser.screen().size();
        let cells = (0..rows.get()).flat_map(|row| (0..cols.get()).map(move |col| (row, col)));
        cells
            .filter_map(|(row, col)| seen.parser.screen().cell(row, col))
            .any(|cell| cell.bold() || cell.fgcolor() != vt100::Color::Default)
    };
    for wanted in [true, false] {
        let mut command = chat("alice", None);
        if wanted {
            command.env_remove("NO_COLOR");
        }
        let mut desk = begin(command, 40);
        desk.wait_for_line("alice> ");
        desk.types("dance\r");
        desk.wait("the answer", |seen| seen.written().iter().any(|row| row.starts_with("Error: dance")));
        assert_eq!(is_coloured(&desk.seen.0.lock().unwrap()), wanted);
    }
}

#[test]
fn the_arrow_keys_bring_back_what_was_typed_before_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(["--nick", "alice", "--addr", "127.0.0.1:0", "--data-dir"]).arg(directory.path());
        command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
        let desk = begin(command, 40);
        desk.wait_for_line("alice> ");
        desk
    };
    let mut alice = start();
    alice.types("help help\r");
    alice.wait_for_row("help [<command>]");
    alice.wait_for_line("alice> ");
    alice.types("\x04");
    assert_eq!(alice.ends().0, 0);
    let mut alice = start();
    alice.types("\x1b[A");
    alice.wait_for_line("alice> help help");
}
