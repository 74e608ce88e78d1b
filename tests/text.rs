//! What people read: every event as text.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod samples;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_chat::chat::event::{Direction, Event, MessageId, Recipient, RingChange, SentState, Why};
use chord_chat::repl::colour::Colour;
use chord_chat::repl::session::Render;
use chord_chat::repl::text::Text;
use chord_chat::time::Time;
use samples::{channel, nick, node, samples};

const EXPECTED: &str = include_str!("samples/text.txt");

fn text(colour: Colour) -> Text {
    Text::new(colour, Arc::new(Mutex::default()))
}

/// What is shown of `event`, at once or after a while.
fn render(text: &mut Text, event: &Event) -> String {
    let now = Time::default();
    let shown = text.render(event, now);
    shown + &text.next_due().map(|due| text.render_due(due)).unwrap_or_default()
}

fn error(message: &str) -> Event {
    Event::Error { command: "node".into(), message: message.into() }
}

#[test]
fn every_event_is_shown_as_people_read_it() {
    let mut text = text(Colour::OFF);
    let shown: String = samples().iter().map(|event| render(&mut text, event)).collect();
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/text.txt");
        return std::fs::write(path, shown).unwrap();
    }
    assert_eq!(shown, EXPECTED);
}

#[test]
fn who_cannot_type_is_not_told_of_commands_and_reads_the_same_else() {
    let (mut seated, mut reading) = (text(Colour::OFF), Text::for_readers());
    for event in samples() {
        let shown = render(&mut seated, &event).replace("Type help to see the commands.\n", "");
        assert_eq!(render(&mut reading, &event), shown);
    }
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let (mut plain, mut coloured) = (text(Colour::OFF), text(Colour::ON));
    let mut different = 0;
    for event in samples() {
        let (plain, coloured) = (render(&mut plain, &event), render(&mut coloured, &event));
        different += usize::from(plain != coloured);
        let bare: String = coloured
            .split('\x1b')
            .enumerate()
            .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect();
        // Padding is counted without colours, so that columns stay.
        assert_eq!(bare, plain);
        assert!(
            coloured.lines().all(|line| line.matches("\x1b[0m").count() * 2 == line.matches('\x1b').count())
        );
    }
    assert!(20 < different);
}

#[test]
fn the_texts_of_others_cannot_forge_a_line_or_command_the_terminal() {
    let hostile = "x\n[#rust] alice: forged\r\x1b[2J\x1b]0;t\x07\u{9b}A\u{202e}\u{2028}\u{85}\0".to_owned();
    let id = match &samples()[9] {
        Event::Private { id, .. } => *id,
        other => panic!("{other:?}"),
    };
    let to = Recipient::Nick(nick("bob"));
    let events = [
        Event::Private { from: nick("bob"), text: hostile.clone(), id, history: false },
        Event::Message {
            channel: channel("rust"),
            from: nick("bob"),
            text: hostile.clone(),
            id,
            epoch: 1,
            seq: 1,
            history: false,
            late: false,
        },
        Event::Sent {
            id,
            to,
            text: "\x1b[2J\n".to_owned(),
            state: SentState::Failed { reason: hostile.clone() },
        },
        Event::Error { command: hostile.clone(), message: hostile.clone() },
        Event::Migrated {
            kind: "name",
            name: hostile.clone(),
            direction: Direction::In,
            peer: node(7001),
            why: Why::Crash,
        },
    ];
    let mut text = text(Colour::OFF);
    render(&mut text, &samples()[0]);
    for event in events {
        let shown = render(&mut text, &event);
        assert_eq!(shown.matches('\n').count(), 1, "{shown:?}");
        let line = shown.trim_end_matches('\n');
        assert!(line.chars().all(|char| !char.is_control() && char != '\u{202e}'), "{line:?}");
        assert!(line.contains("␛[2J"), "{line:?}");
    }
}

#[test]
fn a_message_of_ones_own_comes_back_or_gets_a_receipt() {
    let mut text = text(Colour::OFF);
    render(&mut text, &samples()[0]);
    let id = match &samples()[9] {
        Event::Private { id, .. } => *id,
        other => panic!("{other:?}"),
    };
    let stored = |name| Event::Sent {
        id,
        to: Recipient::Channel(channel(name)),
        text: "a message of more than thirty characters".into(),
        state: SentState::Stored,
    };
    let receipt = "✓ kept for #rust: \"a message of more than thirty…\"\n";
    assert_eq!(render(&mut text, &stored("rust")), receipt);
    render(&mut text, &Event::Joined { channel: channel("rust"), members: vec![] });
    assert_eq!(render(&mut text, &stored("rust")), "");
    let said = |author, history| Event::Message {
        channel: channel("rust"),
        from: nick("alice"),
        text: "hello".into(),
        id: MessageId { author: node(author), counter: 1 },
        epoch: 1,
        seq: 1,
        history,
        late: false,
    };
    assert_eq!(render(&mut text, &said(7000, false)), "[#rust] alice: hello ✓\n");
    assert_eq!(render(&mut text, &said(7000, true)), "[#rust, earlier] alice: hello ✓\n");
    assert_eq!(render(&mut text, &said(7001, false)), "[#rust] alice: hello\n", "somebody else's");
    render(&mut text, &Event::Left { channel: channel("rust") });
    assert_eq!(render(&mut text, &stored("rust")), receipt);
}

#[test]
fn what_went_wrong_before_the_start_is_shown_only_if_the_node_starts() {
    let mut started = text(Colour::OFF);
    assert_eq!(render(&mut started, &error("10.0.0.1:7 does not answer")), "");
    let shown = render(&mut started, &samples()[0]);
    assert!(shown.starts_with("Error: 10.0.0.1:7 does not answer\nYou are alice.\n"), "{shown}");

    let mut failed = text(Colour::OFF);
    let bye = Event::Bye { not_handed_over: vec![] };
    assert_eq!(render(&mut failed, &error("alice is taken")) + &render(&mut failed, &bye), "");
}

#[test]
fn what_happens_in_one_moment_is_told_in_one_line_of_each_kind_and_at_the_end() {
    let mut text = text(Colour::ON);
    let second = Duration::from_secs(1);
    let start = Time::default();
    text.render(&samples()[0], start);
    let [ring, moved] =
        [RingChange::Predecessor, RingChange::Lost].map(|change| Event::Ring { change, peer: node(7001) });
    let migrated = |name: &str| Event::Migrated {
        kind: "channel",
        name: name.into(),
        direction: Direction::In,
        peer: node(7001),
        why: Why::Crash,
    };
    for event in [ring.clone(), moved, migrated("rust"), migrated("ruby")] {
        assert_eq!(text.render(&event, start), "");
    }
    assert_eq!(text.next_due(), Some(start + second));
    assert_eq!(text.render_due(start + second / 2), "");
    let shown = text.render_due(start + second);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("\x1b[2m")), "dim: {shown:?}");
    assert_eq!(text.next_due(), None);
    text.render(&ring, start + second);
    let shown = text.render(&Event::Bye { not_handed_over: vec![] }, start + second);
    assert_eq!(shown.lines().count(), 2, "nothing is held back at the end: {shown}");
}
