//! Messages of the user's that are still on their way after a second.
//!
//! Most are stored sooner, and then nothing is said of the way.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chat::event::{Event, MessageId, Recipient, SentState, shortened};
use crate::time::Time;

/// After which time a message that waits is told of.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many messages are looked after; of others it is told only how they end.
const MESSAGES_MAX: usize = 4096;

/// The messages that wait and have not been told of.
#[derive(Debug, Default)]
pub struct Waiting {
    count: usize,
    /// In the order in which they were written.
    messages: BTreeMap<Recipient, BTreeMap<MessageId, Message>>,
}

#[derive(Debug)]
struct Message {
    /// When it is told of.
    due: Time,
    text: String,
}

/// Messages that wait for the same recipient.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// To whom they go.
    pub to: Recipient,
    /// The beginning of the first.
    pub text: String,
    /// How many more there are.
    pub more: usize,
}

impl Waiting {
    /// Learns what has become of a message.
    pub fn learn(&mut self, event: &Event, now: Time) {
        let Event::Sent { id, to, text, state } = event else { return };
        if *state == SentState::Queued {
            if self.count < MESSAGES_MAX {
                let message = Message { due: now + PATIENCE, text: shortened(text) };
                self.messages.entry(to.clone()).or_default().insert(*id, message);
                self.count += 1;
            }
            return;
        }
        let Some(messages) = self.messages.get_mut(to) else { return };
        if messages.remove(id).is_some() {
            self.count -= 1;
        }
        if messages.is_empty() {
            self.messages.remove(to);
        }
    }

    /// When the next one is told of.
    pub fn due(&self) -> Option<Time> {
        let first = |messages: &BTreeMap<_, Message>| messages.first_key_value().map(|(_, first)| first.due);
        self.messages.values().filter_map(first).min()
    }

    /// What is to be told by now: of each recipient for whom one message has waited long enough, all that wait.
    pub fn take(&mut self, now: Time) -> Vec<Told> {
        let is_due =
            |messages: &BTreeMap<_, Message>| messages.values().next().is_some_and(|first| first.due <= now);
        let mut told = Vec::new();
        for (to, messages) in self.messages.extract_if(.., |_, messages| is_due(messages)) {
            self.count -= messages.len();
            let more = messages.len() - 1;
            told.extend(messages.into_values().next().map(|Message { text, .. }| Told { to, text, more }));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeHandle;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    fn sent(counter: u64, to: &str, state: SentState) -> Event {
        let author = NodeHandle::new(([127, 0, 0, 1], 7000).into());
        let (id, to) = (MessageId { author, counter }, Recipient::Nick(to.parse().unwrap()));
        Event::Sent { id, to, text: format!("text {counter}"), state }
    }

    #[test]
    fn a_message_that_waits_for_a_second_is_told_of_once_and_others_are_not() {
        let mut waiting = Waiting::default();
        waiting.learn(&sent(1, "bob", SentState::Queued), at(0));
        waiting.learn(&sent(2, "bob", SentState::Queued), at(10));
        waiting.learn(&sent(1, "bob", SentState::Stored), at(500));
        assert_eq!(waiting.due(), Some(at(1010)));
        assert_eq!(waiting.take(at(1009)), []);
        let to = Recipient::Nick("bob".parse().unwrap());
        assert_eq!(waiting.take(at(1010)), [Told { to, text: "text 2".to_owned(), more: 0 }]);
        assert_eq!((waiting.due(), waiting.count), (None, 0));
        waiting.learn(&sent(2, "bob", SentState::Stored), at(2000));
        assert_eq!((waiting.due(), waiting.count), (None, 0));
    }

    #[test]
    fn all_that_wait_for_one_recipient_are_told_of_together() {
        let mut waiting = Waiting::default();
        for counter in 0..500 {
            waiting.learn(&sent(counter, "bob", SentState::Queued), at(counter));
        }
        waiting.learn(&sent(500, "eve", SentState::Queued), at(600));
        let told = waiting.take(at(1000));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0].text[..], told[0].more), ("text 0", 499));
        assert_eq!((waiting.due(), waiting.count), (Some(at(1600)), 1));
    }

    #[test]
    fn only_so_many_messages_are_looked_after() {
        let mut waiting = Waiting::default();
        for counter in 0..=MESSAGES_MAX as u64 {
            waiting.learn(&sent(counter, "bob", SentState::Queued), at(0));
        }
        assert_eq!(waiting.count, MESSAGES_MAX);
    }
}
