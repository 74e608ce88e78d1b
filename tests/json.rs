//! `docs/json.md` is a contract: its examples are what the program prints, and it names every field.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use chord_chat::json::Json;
use chord_chat::records::name::is_invisible;
use chord_chat::repl::session::Render;
use chord_chat::time::Time;
use serde_json::{Map, Value};

/// 2026-11-20T13:37:00.123Z.
const NOON: Time = Time::from_micros(1_795_181_820_123_456);

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md");

fn document() -> String {
    fs::read_to_string(DOCUMENT).unwrap()
}

fn rendered() -> Vec<String> {
    samples::samples().iter().map(|event| Json.render(event, NOON)).collect()
}

fn object(line: &str) -> Map<String, Value> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The sections of the document that describe an event: its name and its text.
fn sections(document: &str) -> BTreeMap<&str, &str> {
    let section = |part: &'_ str| -> Option<(usize, usize)> {
        let name = part.strip_prefix('`')?;
        Some((1, 1 + name.find('`')?))
    };
    document
        .split("\n### ")
        .filter_map(|part| section(part).map(|(from, to)| (&part[from..to], part)))
        .collect()
}

/// The examples of a section, in order: its one block of JSON.
fn examples(section: &str) -> Vec<&str> {
    let (_, block) = section.split_once("```json\n").unwrap_or_else(|| panic!("no example: {section}"));
    block.split("```").next().unwrap().lines().collect()
}

/// The fields that a section lists: the first column of its table.
fn listed(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_are_what_is_printed() {
    let document = document();
    let sections = sections(&document);
    let mut printed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in rendered() {
        let name = object(&line)["event"].as_str().unwrap().to_owned();
        printed.entry(name).or_default().push(line.trim_end().to_owned());
    }
    if env::var_os("UPDATE").is_some() {
        return update(&document, &printed);
    }
    for (name, lines) in &printed {
        let section = sections.get(&name[..]).unwrap_or_else(|| panic!("docs/json.md has no `{name}`"));
        assert_eq!(examples(section).join("\n"), lines.join("\n"), "the examples of `{name}`");
    }
    let documented: Vec<_> = sections.keys().copied().collect();
    assert_eq!(documented, printed.keys().collect::<Vec<_>>(), "no event is documented that does not exist");
}

/// Writes the examples anew, for review.
fn update(document: &str, printed: &BTreeMap<String, Vec<String>>) {
    let mut updated = document.to_owned();
    for (name, section) in sections(document) {
        let Some(lines) = printed.get(name) else { continue };
        let (before, block) = section.split_once("```json\n").unwrap();
        let (_, after) = block.split_once("```").unwrap();
        let fresh = format!("{before}```json\n{}\n```{after}", lines.join("\n"));
        updated = updated.replace(section, &fresh);
    }
    fs::write(DOCUMENT, updated).unwrap();
}

#[test]
fn every_field_is_listed_and_every_listed_field_exists() {
    let document = document();
    for (name, section) in sections(&document) {
        let fields: BTreeSet<String> = examples(section)
            .into_iter()
            .flat_map(|line| object(line).into_iter().map(|(field, _)| field))
            .filter(|field| field != "time" && field != "event")
            .collect();
        assert_eq!(listed(section), fields, "the fields of `{name}`");
    }
}

#[test]
fn an_event_is_one_line_with_its_time_whatever_it_holds() {
    let text = "a\nb\u{1b}[2J\u{9b}2J\u{7f}\u{2028}\u{202e}\u{e0001}\"\\👩\u{200d}💻".to_owned();
    let error = chord_chat::chat::event::Event::Error { command: "node".into(), message: text.clone() };
    for line in rendered().into_iter().chain([Json.render(&error, NOON)]) {
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.ends_with('\n'));
        assert!(line.trim_end().chars().all(|char| !char.is_control() && !is_invisible(char)), "{line}");
        assert_eq!(object(&line)["time"], "2026-11-20T13:37:00.123Z");
    }
    assert_eq!(object(&Json.render(&error, NOON))["message"], text);
}
