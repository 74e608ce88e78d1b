//! Twice: what is said twice is two messages, and one that comes twice is one.

use chord_chat::chat::event::{Event, MessageId, SentState};
use chord_chat::sim::Links;

use crate::town::{REST, SECOND, Town};

const PEOPLE: u16 = 6;
const AUTHOR: u16 = 1;
const OTHER: u16 = 2;

/// What was shown: its id, and its text.
fn shown(event: &Event) -> Option<(MessageId, String)> {
    match event {
        Event::Message { id, text, .. } | Event::Private { id, text, .. } => Some((*id, text.clone())),
        _ => None,
    }
}

/// The id of what was acknowledged.
fn acknowledged(event: &Event) -> Option<MessageId> {
    match event {
        Event::Sent { id, state: SentState::Stored | SentState::Delivered, .. } => Some(*id),
        _ => None,
    }
}

#[test]
fn two_equal_texts_are_two_messages_and_one_that_is_sent_twice_is_shown_once() {
    // Each message between nodes comes twice, or many are lost and sent again.
    for (duplicates, loss) in [(0.0, 0.0), (1.0, 0.0), (0.3, 0.3)] {
        let mut town = Town::of(PEOPLE, Links::good());
        for n in 0..PEOPLE {
            town.says(n, "join rust");
        }
        (town.network.links.duplicates, town.network.links.loss) = (duplicates, loss);
        for _ in 0..2 {
            town.types(AUTHOR, "send rust hello");
            town.types(OTHER, "send rust hello");
            town.types(AUTHOR, &format!("msg p{OTHER} psst"));
        }
        town.run(10 * SECOND);
        (town.network.links.duplicates, town.network.links.loss) = (0.0, 0.0);
        town.run(2 * REST);
        let of = |author: u16| town.told(author, acknowledged);
        let said = [of(AUTHOR), of(OTHER)].concat();
        assert_eq!(said.len(), 6, "{duplicates} doubled, {loss} lost: all is acknowledged");
        for n in 0..PEOPLE {
            let mut of_channel = town.told(n, shown);
            let private: Vec<_> = of_channel.extract_if(.., |(_, text)| text == "psst").collect();
            assert_eq!(
                private.len(),
                if n == OTHER { 2 } else { 0 },
                "{duplicates} doubled, {loss} lost: p{n}"
            );
            assert_eq!(of_channel.len(), 4, "{duplicates} doubled, {loss} lost: p{n}");
            assert!(of_channel.iter().all(|(_, text)| text == "hello"));
            let mut ids: Vec<_> = of_channel.into_iter().chain(private).map(|(id, _)| id).collect();
            assert!(ids.iter().all(|id| said.contains(id)));
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), if n == OTHER { 6 } else { 4 }, "each has an id of its own");
        }
    }
}
