//! What people type and see, written down: each transcript is played in the simulator and with real processes.
//!
//! ```text
//! alice> join #rust
//! alice: You are in #rust, with: alice
//! ```
//!
//! `name>` types a line and `name:` is a line that is shown then; `name$ chat` starts the program.
//! What differs from run to run is written as `<id of alice>`, `<node of alice>` and `<time>`.
//! A transcript whose first line ends with `(with the ring)` also shows the lines about the ring and
//! about records that move; these depend on the addresses, so it is played in the simulator alone.
//!
//! `UPDATE=1 cargo test --test transcripts` writes what the simulator shows, for review.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod played;
mod script;
mod simulated;

use std::fs;
use std::path::{Path, PathBuf};

use chord_chat::chat::command::COMMANDS;
use script::{Script, Step};

fn transcripts() -> Vec<(PathBuf, Script)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), Script::parse(&fs::read_to_string(path).unwrap()))).collect()
}

#[test]
fn every_command_has_a_transcript() {
    let transcripts = transcripts();
    for command in COMMANDS {
        let named =
            transcripts.iter().find(|(path, _)| path.file_stem().is_some_and(|stem| stem == command.name));
        let (_, script) = named.unwrap_or_else(|| panic!("tests/transcripts/{}.txt is there", command.name));
        let types_it = |step: &Step| step.line.split_whitespace().next() == Some(command.name);
        assert!(script.steps.iter().any(types_it), "{} is typed in its transcript", command.name);
    }
}

#[test]
fn the_simulator_shows_what_is_written() {
    for (path, script) in transcripts() {
        let played = simulated::play(&script);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, played.to_string()).unwrap();
        } else {
            let (shown, written) = (played.to_string(), script.to_string());
            let differs = shown.lines().zip(written.lines()).find(|(shown, written)| shown != written);
            assert_eq!(differs, None, "{}: shown, written", path.display());
            assert_eq!(shown.len(), written.len(), "{}: one ends before the other", path.display());
        }
    }
}

#[test]
fn real_processes_show_what_is_written() {
    for (path, script) in transcripts().into_iter().filter(|(_, script)| !script.shows_ring()) {
        played::check(&path, &script);
    }
}
