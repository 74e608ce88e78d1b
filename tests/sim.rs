//! `chat sim`: what the program plays and prints, and how it ends; `src/simulate.rs` has a play that breaks a promise.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use std::process::{Command, Output};

/// A minute with everything in it.
const PLAY: &str = "--nodes 6 --minutes 1 --seed 3 --kill 2 --restart 1 --freeze 1 --split 15s --loss 5%";

/// What a play ends with whose promises were kept.
const KEPT: &str = "Every promise was kept.\n";

fn sim(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.arg("sim").args(arguments.split_whitespace()).output().unwrap()
}

/// What a play prints that keeps every promise.
fn printed(arguments: &str) -> String {
    let output = sim(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{text}");
    assert!(text.ends_with(KEPT), "{text}");
    text
}

/// The rest of the line of a report that begins with this.
fn line<'a>(report: &'a str, label: &str) -> &'a str {
    let line = report.lines().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("a line {label:?}: {report}")).trim()
}

fn count(report: &str, label: &str) -> u64 {
    line(report, label).parse().unwrap()
}

#[test]
fn a_play_with_all_faults_keeps_every_promise_and_its_report_counts_what_became_of_the_messages() {
    let report = printed(PLAY);
    let head = "6 people, 1 min: 2 killed, 1 frozen, 1 restarted, cut in two for 15 s, \
        5 % of the messages between nodes lost\n";
    assert!(report.starts_with(head), "{report}");
    for label in ["sent", "acknowledged", "received"] {
        assert!(0 < count(&report, label), "{label}: {report}");
    }
    for label in ["lost", "not shown to a member", "doubled", "out of order", "otherwise wrong"] {
        assert_eq!(count(&report, label), 0, "{label}: {report}");
    }
    let outage = line(&report, "longest time without a working root");
    let seconds: f64 = outage.strip_suffix(" s").unwrap().parse().unwrap();
    assert!((0.0..60.0).contains(&seconds), "{report}");
    let ring = line(&report, "ring of ");
    assert!(
        ring.contains(" nodes: ideal, every record on its nodes, every member up to date, silent;"),
        "{report}"
    );
}

#[test]
fn the_story_of_a_play_is_told_and_the_same_options_tell_the_same() {
    let (report, story) = (printed(PLAY), printed(&format!("{PLAY} --verbose")));
    let told = story.strip_suffix(&report).expect("the story ends with the same report");
    // A line begins with the time, and goes on with who types or is told something.
    let lines: Vec<&str> = told.lines().map(|line| line.trim_start().split_once("  ").unwrap().1).collect();
    for wanted in ["-- the network is cut in two", "-- the network is whole again", "-- the faults stop"] {
        assert!(lines.contains(&wanted), "{wanted}: {told}");
    }
    for wanted in [" killed", " is frozen for 20 s", " is started again"] {
        assert!(
            lines.iter().any(|line| line.starts_with("-- n") && line.ends_with(wanted)),
            "{wanted}: {told}"
        );
    }
    assert!(lines.iter().any(|line| line.starts_with('n') && line.contains("> send ")), "{told}");
    assert!(lines.iter().any(|line| line.starts_with('n') && line.contains(": [#")), "{told}");
    assert_eq!(printed(&format!("{PLAY} --verbose")), story);
    assert_ne!(printed(&PLAY.replace("--seed 3", "--seed 4")), report);
}

#[test]
fn wrong_options_have_status_2_and_say_the_rule() {
    for (arguments, rule) in [
        ("--nodes 1", "2..=1000"),
        ("--loss 51%", "at most 50%"),
        ("--minutes 1 --split 2m", "a cut of 120 s is longer than the play"),
        ("--kills 3", "--kills"),
        ("everything", "everything"),
    ] {
        let Output { status, stdout, stderr } = sim(arguments);
        assert_eq!((status.code(), &stdout[..]), (Some(2), &b""[..]), "{arguments}");
        let errors = String::from_utf8(stderr).unwrap();
        assert!(errors.contains(rule), "{arguments}: {errors}");
    }
}
