//! What the user asked for and has no answer yet: at the end of input it is finished before the node leaves.

use std::collections::{BTreeMap, BTreeSet};

use crate::chat::command;
use crate::chat::event::{Event, MessageId, Recipient, SentState};

/// How many messages on their way are remembered; beyond that, the end of input does not wait for more.
const MESSAGES_MAX: usize = 65_536;

/// The commands that wait for their answer, and the messages that are on their way.
#[derive(Debug, Default)]
pub struct Pending {
    commands: BTreeMap<&'static str, usize>,
    messages: BTreeSet<MessageId>,
}

impl Pending {
    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.messages.is_empty()
    }

    /// Remembers a line that goes to the node.
    pub fn asked(&mut self, line: &str) {
        let word = line.split_whitespace().next().unwrap_or_default();
        let name = word.strip_prefix('/').unwrap_or(word);
        // Every command is answered, by an event of its own or by an error.
        // Any other line is answered at once, with an error.
        if let Some(command) = command::find(name) {
            *self.commands.entry(command.name).or_default() += 1;
        }
    }

    /// Strikes off what `event` answers.
    pub fn answered(&mut self, event: &Event) {
        match event {
            Event::Sent { id, to, state: SentState::Queued, .. } => {
                self.strike(sender(to));
                self.remember(*id);
            }
            // It was asked for before the restart.
            Event::Sent { id, state: SentState::Waiting, .. } => self.remember(*id),
            // What is stored needs this node no longer, whether or not it has been delivered yet.
            Event::Sent { id, to, .. } => {
                if !self.messages.remove(id) {
                    self.strike(sender(to));
                }
            }
            Event::Error { command, .. } => self.strike(command),
            Event::Joined { .. } => self.strike("join"),
            Event::Left { .. } => self.strike("leave"),
            Event::Help { .. } => self.strike("help"),
            Event::Who { .. } => self.strike("who"),
            Event::History { .. } => self.strike("history"),
            Event::Channels { .. } => self.strike("channels"),
            Event::Names { .. } => self.strike("names"),
            Event::Whois { .. } => self.strike("whois"),
            Event::RingState { .. } => self.strike("ring"),
            Event::Trace { .. } => self.strike("trace"),
            Event::Written { deleted, .. } => self.strike(if *deleted { "del" } else { "put" }),
            Event::Value { .. } => self.strike("get"),
            Event::Ready { .. }
            | Event::Answer { .. }
            | Event::Member { .. }
            | Event::Message { .. }
            | Event::Healed { .. }
            | Event::Gap { .. }
            | Event::Renamed { .. }
            | Event::Private { .. }
            | Event::Migrated { .. }
            | Event::Ring { .. }
            | Event::Bye { .. } => {}
        }
    }

    fn remember(&mut self, id: MessageId) {
        if self.messages.len() < MESSAGES_MAX {
            self.messages.insert(id);
        }
    }

    fn strike(&mut self, name: &str) {
        if let Some(count) = self.commands.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.commands.remove(name);
            }
        }
    }
}

/// The command that sends to such a recipient.
fn sender(to: &Recipient) -> &'static str {
    match to {
        Recipient::Channel(_) => "send",
        Recipient::Nick(_) | Recipient::Node(_) => "msg",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeHandle;

    fn sent(counter: u64, state: SentState) -> Event {
        let author = NodeHandle::new("127.0.0.1:7000".parse().unwrap());
        let (id, to) = (MessageId { author, counter }, Recipient::Nick("bob".parse().unwrap()));
        Event::Sent { id, to, text: "hi".to_owned(), state }
    }

    #[test]
    fn a_message_is_waited_for_until_it_is_stored_delivered_or_failed() {
        let failed = SentState::Failed { reason: String::new() };
        for end in [SentState::Stored, SentState::Delivered, failed] {
            let mut pending = Pending::default();
            pending.asked("/msg bob hi");
            assert!(!pending.is_empty());
            pending.answered(&sent(1, SentState::Queued));
            assert!(!pending.is_empty());
            pending.answered(&sent(1, end));
            assert!(pending.is_empty());
        }
    }

    #[test]
    fn a_second_receipt_does_not_answer_another_message() {
        let mut pending = Pending::default();
        for counter in [1, 2] {
            pending.asked("msg bob hi");
            pending.answered(&sent(counter, SentState::Queued));
        }
        pending.answered(&sent(1, SentState::Stored));
        pending.answered(&sent(1, SentState::Delivered));
        assert!(!pending.is_empty());
    }

    #[test]
    fn an_error_answers_its_command_alone() {
        let mut pending = Pending::default();
        pending.asked("join rust");
        pending.asked("nonsense");
        pending.asked("");
        pending.answered(&Event::Error { command: "whois".into(), message: String::new() });
        assert!(!pending.is_empty());
        pending.answered(&Event::Error { command: "join".into(), message: String::new() });
        assert!(pending.is_empty());
    }
}
