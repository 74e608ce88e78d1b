//! `docs/protocol.md` is executed: its bytes are read, mean what it says, and are written as they stand there.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use std::fmt::Debug;
use std::{env, fs};

use chord_chat::chat::payload::Payload;
use chord_chat::{chord, records, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What bytes mean, in the words of `Debug`, and how that is encoded; nothing if they mean nothing.
type Read = fn(&[u8]) -> Option<(String, Vec<u8>)>;

/// An enum whose variants the document describes, each in a section of its own.
struct Chapter {
    heading: &'static str,
    file: &'static str,
    name: &'static str,
    read: Read,
}

const CHAPTERS: &[Chapter] = &[
    Chapter {
        heading: "## What the ring says",
        file: "src/chord/message.rs",
        name: "Message<P>",
        read: meaning::<chord::Message<Payload>>,
    },
    Chapter {
        heading: "## What the chat says",
        file: "src/chat/payload.rs",
        name: "Payload",
        read: meaning::<Payload>,
    },
    Chapter {
        heading: "## What is said about records",
        file: "src/records/message.rs",
        name: "Message",
        read: meaning::<records::Message>,
    },
];

/// Where the enums are that the table of choices lists.
const CHOICES: &[(&str, &str, &str)] = &[
    ("Body", "src/chord/message.rs", "Body<P>"),
    ("Answer", "src/chord/message.rs", "Answer<P>"),
    ("Step", "src/chord/message.rs", "Step"),
    ("claim::Answer", "src/chat/claim.rs", "Answer"),
    ("Addressee", "src/chat/msg.rs", "Addressee"),
    ("Heard", "src/chat/msg.rs", "Heard"),
    ("NodeFound", "src/chat/msg.rs", "NodeFound"),
    ("MemberChange", "src/chat/event.rs", "MemberChange"),
    ("RecordKey", "src/records/mod.rs", "RecordKey"),
    ("Statement", "src/records/mod.rs", "Statement"),
    ("RecordKind", "src/chat/survey.rs", "RecordKind"),
    ("Topic", "src/chat/survey.rs", "Topic"),
    ("records::Why", "src/records/mod.rs", "Why"),
];

fn meaning<M: DeserializeOwned + Serialize + Debug>(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let message: M = wire::decode(bytes).ok()?;
    Some((format!("{message:?}"), wire::encode(&message)))
}

fn text(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

/// The names of the variants of an enum, in their order.
fn variants(file: &str, name: &str) -> Vec<String> {
    let source = text(file);
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap_or_else(|| panic!("{name}"));
    let (body, _) = body.split_once("\n}\n").unwrap();
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let named = indented.filter(|line| line.starts_with(char::is_uppercase));
    named.map(|line| line.chars().take_while(|char| char.is_alphanumeric()).collect()).collect()
}

/// The sections of a chapter: the name of each, and its text.
fn sections<'a>(document: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let (_, chapter) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    let chapter = chapter.split("\n## ").next().unwrap();
    chapter.split("\n### `").skip(1).map(|section| (section.split('`').next().unwrap(), section)).collect()
}

/// The example of a section: its bytes as they are written, and what they mean.
fn example(section: &str) -> (&str, &str) {
    let (_, block) = section.split_once("```text\n").unwrap_or_else(|| panic!("no example: {section}"));
    block.split("\n```").next().unwrap().split_once('\n').unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|char| !char.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

#[test]
fn every_message_is_described_in_the_order_of_its_number() {
    let document = text("docs/protocol.md");
    for chapter in CHAPTERS {
        let described: Vec<_> = sections(&document, chapter.heading).iter().map(|(name, _)| *name).collect();
        assert_eq!(described, variants(chapter.file, chapter.name), "{}", chapter.heading);
    }
}

#[test]
fn the_bytes_of_every_message_stay_as_they_are() {
    let document = text("docs/protocol.md");
    let mut updated = document.clone();
    for chapter in CHAPTERS {
        for (number, (name, section)) in sections(&document, chapter.heading).into_iter().enumerate() {
            let (hex, means) = example(section);
            let bytes = bytes(hex);
            assert_eq!(usize::from(bytes[0]), number, "a message begins with its number: {name}");
            let (meaning, encoded) = (chapter.read)(&bytes).unwrap_or_else(|| panic!("no message: {name}"));
            assert_eq!(encoded, bytes, "what is read is written in the same bytes: {name}");
            if env::var_os("UPDATE").is_some() {
                let fresh = section.replacen(&format!("\n{means}\n"), &format!("\n{meaning}\n"), 1);
                updated = updated.replacen(section, &fresh, 1);
            } else {
                assert_eq!(means, meaning, "{name}");
            }
        }
    }
    if updated != document {
        fs::write(format!("{ROOT}/docs/protocol.md"), updated).unwrap();
    }
}

#[test]
fn every_choice_within_a_message_is_listed_with_its_number() {
    let document = text("docs/protocol.md");
    for (title, file, name) in CHOICES {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{title}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {title}"));
        let listed: Vec<_> = row.split('`').skip(3).step_by(2).collect();
        assert_eq!(listed, variants(file, name), "{title}");
        for (number, variant) in listed.iter().enumerate() {
            assert!(row.contains(&format!(" {number} `{variant}`")), "{row}");
        }
    }
}

#[test]
fn a_message_is_read_from_all_its_bytes_or_not_at_all() {
    let document = text("docs/protocol.md");
    for chapter in CHAPTERS {
        for (name, section) in sections(&document, chapter.heading) {
            let bytes = bytes(example(section).0);
            let longer = [&bytes[..], &[0]].concat();
            for other in (0..bytes.len()).map(|end| &bytes[..end]).chain([&longer[..]]) {
                assert_eq!((chapter.read)(other), None, "{name} has {} bytes, not these", bytes.len());
            }
        }
    }
}
