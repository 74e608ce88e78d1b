//! What the documents claim, compared with what is there.

use std::collections::BTreeSet;

use chord_chat::chat::command::COMMANDS;
use chord_chat::chat::event::Event;
use chord_chat::id::NodeHandle;
use chord_chat::machine::{Input, Machine, Output};
use chord_chat::node::{Command, Node};
use chord_chat::sim::START;

use super::source::read;
use super::{all_tests, check, modules};

/// The documents whose form is checked.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/architecture.md",
    "docs/deploy.md",
    "docs/failures.md",
    "docs/http.md",
    "docs/json.md",
    "docs/lab.md",
    "docs/paper/README.md",
    "docs/protocol.md",
];

/// How many lines the overview may have before its table of dependencies.
const ARCHITECTURE_LINES_MAX: usize = 175;

/// With what a line of prose ends.
const ENDS: &[char] = &['.', ':', '?', '!', ')'];

/// What a node that is alone answers to `line`.
fn answers(line: &str) -> Vec<Event> {
    let me = NodeHandle::new("127.0.0.1:7000".parse().unwrap());
    let mut node = Node::new("alice".parse().unwrap(), me, START);
    let mut outputs = Vec::new();
    node.handle(START, Input::Command(Command::Start { bootstrap: None }), &mut outputs);
    outputs.clear();
    node.handle(START, Input::Command(Command::Line(line.to_owned())), &mut outputs);
    let event = |output| match output {
        Output::Event(event) => Some(event),
        Output::Send { .. } | Output::Keep(_) | Output::Stop => None,
    };
    outputs.into_iter().filter_map(event).collect()
}

fn help(line: &str) -> String {
    match &answers(line)[..] {
        [Event::Help { text }] => text.clone(),
        other => panic!("{line:?} is answered by {other:?}"),
    }
}

#[test]
fn help_tells_of_every_command() {
    let overview = help("help");
    for command in COMMANDS {
        assert!(overview.contains(&command.usage()), "{}", command.name);
        let own = help(&format!("help {}", command.name));
        assert!(own.contains(&command.usage()) && own.contains(command.about), "{own}");
    }
    assert_eq!(overview.lines().count(), COMMANDS.len());
}

#[test]
fn the_readme_has_a_row_for_every_command() {
    let row = |usage: &str, about: &str| format!("| `{}` | {about} |", usage.replace('|', "\\|"));
    let expected: Vec<_> = COMMANDS.iter().map(|command| row(&command.usage(), command.about)).collect();
    let text = read("README.md");
    let rows: Vec<_> = section(&text, "## Commands").lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.join("\n"), expected.join("\n"));
}

#[test]
fn the_readme_names_the_command_that_runs_all_tests() {
    let readme = read("README.md");
    let command = block(section(&readme, "## Tests"));
    assert_eq!(command.lines().count(), 1, "one command runs all tests: {command}");
    assert!(read(".ci/run").lines().any(|line| line.trim() == command), "the checks run the same: {command}");
}

#[test]
fn every_dependency_is_explained() {
    let manifest = read("Cargo.toml");
    let mut named = BTreeSet::new();
    let mut is_list = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_list = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_list) {
            named.insert(name.to_owned());
        }
    }
    let text = read("docs/architecture.md");
    let rows = section(&text, "## Dependencies").lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    assert_eq!(explained, named);
}

#[test]
fn the_code_map_has_every_module_and_no_other() {
    let text = read("docs/architecture.md");
    let entries = section(&text, "## Code map").lines().filter_map(|line| line.strip_prefix("### `"));
    let mapped: BTreeSet<_> = entries.flat_map(|entry| entry.split('`').step_by(2)).map(module_of).collect();
    assert_eq!(mapped, modules());
    let (overview, _) = text.split_once("## Dependencies").unwrap();
    assert!(overview.lines().count() < ARCHITECTURE_LINES_MAX, "an overview is short");
}

fn module_of(entry: &str) -> String {
    entry.trim_end_matches('/').trim_end_matches(".rs").to_owned()
}

#[test]
fn a_failure_is_shown_by_tests_that_exist() {
    let tests = all_tests();
    let text = read("docs/failures.md");
    let mut complaints = Vec::new();
    let mut shown = 0;
    for (i, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("Shown by")) {
        for name in line.split('`').skip(1).step_by(2) {
            shown += 1;
            if !tests.contains_key(name) {
                complaints.push(format!("docs/failures.md:{}: {name}", i + 1));
            }
        }
    }
    check("only a test that exists shows something", &complaints);
    assert!(0 < shown, "tests show what the document says");
}

#[test]
fn a_document_has_one_sentence_in_each_line() {
    let mut complaints = Vec::new();
    for path in DOCUMENTS {
        for (line, text) in prose(&read(path)) {
            let sentences = text.split([' ', '(']).collect::<Vec<_>>();
            let breaks = sentences.windows(2).filter(|pair| {
                pair[0].ends_with(['.', '?', '!'])
                    && !pair[0].ends_with("al.")
                    && pair[1].starts_with(|char: char| char.is_uppercase())
            });
            if 0 < breaks.count() {
                complaints.push(format!("{path}:{line}: more than one sentence"));
            }
            if !text.trim_end_matches(['"', '*']).ends_with(ENDS) {
                complaints.push(format!("{path}:{line}: not the end of a sentence"));
            }
        }
    }
    check("one sentence per line", &complaints);
}

/// The lines that are prose, with what is between backquotes left out.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut is_code = false;
    for (i, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let is_other = line.trim().is_empty() || line.starts_with(['|', '#', '!', '<', '>']);
        if !is_code && !is_other {
            let quoted = line.split('`').enumerate();
            let plain: Vec<_> = quoted.map(|(n, part)| if n % 2 == 0 { part } else { "x" }).collect();
            lines.push((i + 1, plain.concat()));
        }
    }
    lines
}

/// From a heading to the next one of its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading:?}")) + 1;
    let level = heading.split(' ').next().unwrap();
    let body = start + heading.len();
    let end = text[body..].find(&format!("\n{level} ")).map_or(text.len(), |end| body + end);
    &text[start..end]
}

/// The first block of code.
fn block(text: &str) -> &str {
    let (_, block) = text.split_once("```").expect("there is a block of code");
    let (_, block) = block.split_once('\n').expect("a block begins with a line");
    block.split("```").next().unwrap().trim_end()
}
