//! What must hold for the text of the project: layers, purity, lengths, and what the documents claim.
//!
//! If a test here complains, the design is wrong, not the test.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod documents;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{Source, everything, sources};

/// Modules, from the left to the right: each may use those of the rows above.
const LAYERS: &[&[&str]] = &[
    &["time", "id"],
    &["machine", "wire"],
    &["chord"],
    &["application"],
    &["records"],
    &["chat"],
    &["node"],
    &["store"],
    &["net", "sim"],
    &["repl"],
    &["json", "simulate"],
    &["http"],
    &["lab"],
    &["cli"],
    &["lib", "main"],
];

/// The layers that compute and do not act.
const PURE: &[&str] = &["time", "id", "machine", "chord", "application", "records", "chat", "node"];

/// What would make a pure layer depend on the world around it, or its order on chance.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "RefCell",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "anyhow",
    "async",
    "await",
    "env",
    "eprint",
    "eprintln",
    "fs",
    "getrandom",
    "print",
    "println",
    "rand",
    "thread",
    "tokio",
    "unsafe",
];

/// How many lines a function has at most.
const FUNCTION_LINES_MAX: usize = 70;

/// How many lines a file has at most.
const FILE_LINES_MAX: usize = 600;

/// Tests that may sleep, and why.
const SLEEPERS: &[(&str, &str)] = &[];

/// What stays out of tests: a test that waits for a while, or that does not run, or that passes by failing.
const UNTIDY_IN_TESTS: &[&str] = &["sleep(", "#[ignore", "#[should_panic"];

/// A subject and a verb need so many words, mostly with an article; two are a topic.
const SENTENCE_WORDS_MIN: usize = 3;

/// The front ends' tests start their own executable again, and this is the entry of the program in it.
const NOT_A_TEST: &str = "the_program";

/// Reports all complaints at once.
fn check(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("the module {module} has no place among the layers"))
}

#[test]
fn dependencies_point_one_way() {
    let mut complaints = Vec::new();
    for source in sources("src") {
        let module = source.module();
        for (line, used) in source.uses() {
            if used != module && layer(module) <= layer(&used) {
                complaints.push(format!("{}:{line}: {module} uses {used}", source.path));
            }
        }
    }
    check("a module uses those to its left", &complaints);
}

#[test]
fn no_path_goes_round_the_layers() {
    let mut complaints = Vec::new();
    for source in sources("src") {
        // From a file of the top level, `super` is the root of the crate.
        let is_top = source.path.matches('/').count() == 1;
        for (line, text) in source.code_lines() {
            if text.contains("super::super") || is_top && text.contains("super::") {
                complaints.push(format!("{}:{line}: name it from `crate`", source.path));
            }
        }
    }
    check("`super` stays within a module of the top level", &complaints);
}

#[test]
fn the_core_computes_and_does_not_act() {
    let mut complaints = Vec::new();
    for source in sources("src").into_iter().filter(|source| PURE.contains(&source.module())) {
        for (line, word) in source.words() {
            if IMPURE.contains(&&word[..]) {
                complaints.push(format!("{}:{line}: {word}", source.path));
            }
        }
    }
    check("no socket, clock, thread, file, output, environment or chance in the core", &complaints);
}

#[test]
fn one_module_alone_knows_how_messages_become_bytes() {
    let mut complaints = Vec::new();
    for source in sources("src").into_iter().filter(|source| source.module() != "wire") {
        complaints.extend(
            source
                .words()
                .filter(|(_, word)| word == "bincode")
                .map(|(line, _)| format!("{}:{line}", source.path)),
        );
    }
    check("only `wire` names bincode", &complaints);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut complaints = Vec::new();
    for source in everything() {
        for (line, name, lines) in source.functions() {
            if FUNCTION_LINES_MAX < lines {
                complaints.push(format!("{}:{line}: {name} has {lines} lines", source.path));
            }
        }
    }
    check(&format!("a function has at most {FUNCTION_LINES_MAX} lines"), &complaints);
}

#[test]
fn files_are_short() {
    let too_long = |source: &Source| FILE_LINES_MAX < source.text.lines().count();
    let complaints: Vec<_> = everything().into_iter().filter(too_long).map(|source| source.path).collect();
    check(&format!("a file has at most {FILE_LINES_MAX} lines"), &complaints);
}

#[test]
fn what_can_fail_says_what_it_expects() {
    let mut complaints = Vec::new();
    for source in sources("src") {
        for (line, text) in source.code_lines() {
            if text.contains(".unwrap()") {
                complaints.push(format!("{}:{line}", source.path));
            }
        }
    }
    check("outside tests, `expect` with a sentence, not `unwrap`", &complaints);
}

#[test]
fn no_work_is_left_in_comments() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut complaints = Vec::new();
    for (path, text) in source::all_texts() {
        for (i, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(&mark[..])) {
                complaints.push(format!("{path}:{}", i + 1));
            }
        }
    }
    check("what is to be done is not written into the text", &complaints);
}

#[test]
fn tests_run_do_not_wait_and_pass_by_passing() {
    let mut complaints = Vec::new();
    for source in everything().into_iter().filter(|source| !source.path.starts_with("tests/tidy")) {
        let excused = SLEEPERS.iter().any(|(path, _)| *path == source.path);
        for (line, text) in source.test_lines() {
            let untidy = UNTIDY_IN_TESTS.iter().find(|untidy| text.contains(**untidy));
            if let Some(untidy) = untidy.filter(|_| !excused) {
                complaints.push(format!("{}:{line}: {untidy}", source.path));
            }
        }
    }
    check("a test waits for a condition, runs, and passes by passing", &complaints);
}

#[test]
fn a_test_is_named_by_a_sentence() {
    let mut complaints = Vec::new();
    for source in everything() {
        for (line, name) in source.tests() {
            if name.split('_').count() < SENTENCE_WORDS_MIN && name != NOT_A_TEST {
                complaints.push(format!("{}:{line}: {name}", source.path));
            }
        }
    }
    check("the name of a test states a fact", &complaints);
}

/// The names of the tests of the whole project, and where each is.
fn all_tests() -> BTreeMap<String, String> {
    let named = |source: Source| {
        let path = source.path.clone();
        source.tests().into_iter().map(move |(_, name)| (name, path.clone())).collect::<Vec<_>>()
    };
    everything().into_iter().flat_map(named).collect()
}

/// The modules of the top level.
fn modules() -> BTreeSet<String> {
    sources("src").iter().map(|source| source.module().to_owned()).collect()
}
