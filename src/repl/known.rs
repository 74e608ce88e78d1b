//! What a session has seen: the channels and the people, for completion and for the receipts.

use std::collections::BTreeSet;

use crate::chat::event::{Event, MemberChange, Recipient};
use crate::records::name::{ChannelName, Nick};

/// How many channels, and how many nicks, are remembered.
const NAMES_MAX: usize = 4096;

/// The channels and the people that a session has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    joined: BTreeSet<ChannelName>,
    channels: BTreeSet<ChannelName>,
    nicks: BTreeSet<Nick>,
}

impl Known {
    /// Whether the user is a member of `channel`.
    pub fn has_joined(&self, channel: &ChannelName) -> bool {
        self.joined.contains(channel)
    }

    /// The channels that the user is a member of.
    pub fn joined(&self) -> impl Iterator<Item = &ChannelName> {
        self.joined.iter()
    }

    /// The channels that were seen, the joined ones among them.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.iter()
    }

    /// The people who were seen.
    pub fn nicks(&self) -> impl Iterator<Item = &Nick> {
        self.nicks.iter()
    }

    /// Learns the names in an event.
    pub fn learn(&mut self, event: &Event) {
        match event {
            Event::Healed { channel, members } => {
                self.learn_channel(channel);
                members.iter().for_each(|nick| self.learn_nick(nick));
            }
            Event::Joined { channel, members } => {
                self.learn_channel(channel);
                self.joined.insert(channel.clone());
                members.iter().for_each(|nick| self.learn_nick(nick));
            }
            Event::Gap { channel } => self.learn_channel(channel),
            Event::Left { channel } => {
                self.joined.remove(channel);
            }
            Event::Member { channel, nick, change } => {
                self.learn_channel(channel);
                match change {
                    MemberChange::Joined => self.learn_nick(nick),
                    // They may still be there, in other channels.
                    MemberChange::Left | MemberChange::Lost => {}
                }
            }
            Event::Message { channel, from, .. } => {
                self.learn_channel(channel);
                self.learn_nick(from);
            }
            Event::Sent { to: Recipient::Channel(channel), .. } | Event::History { channel, .. } => {
                self.learn_channel(channel);
            }
            Event::Sent { to: Recipient::Nick(nick), .. }
            | Event::Private { from: nick, .. }
            | Event::Renamed { nick, .. }
            | Event::Whois { nick, .. } => self.learn_nick(nick),
            Event::Who { channel, members } => {
                self.learn_channel(channel);
                members.iter().for_each(|(nick, _)| self.learn_nick(nick));
            }
            Event::Channels { channels } => channels.iter().for_each(|channel| self.learn_channel(channel)),
            Event::Names { names } => names.iter().for_each(|nick| self.learn_nick(nick)),
            Event::Ready { .. }
            | Event::Sent { to: Recipient::Node(_), .. }
            | Event::Migrated { .. }
            | Event::Ring { .. }
            | Event::Error { .. }
            | Event::Help { .. }
            | Event::RingState { .. }
            | Event::Trace { .. }
            | Event::Written { .. }
            | Event::Value { .. }
            | Event::Answer { .. }
            | Event::Bye { .. } => {}
        }
    }

    fn learn_channel(&mut self, channel: &ChannelName) {
        if self.channels.len() < NAMES_MAX {
            self.channels.insert(channel.clone());
        }
    }

    fn learn_nick(&mut self, nick: &Nick) {
        if self.nicks.len() < NAMES_MAX {
            self.nicks.insert(nick.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_knows_what_its_events_named() {
        let mut known = Known::default();
        let rust: ChannelName = "rust".parse().unwrap();
        let members = vec!["alice".parse().unwrap(), "bob".parse().unwrap()];
        known.learn(&Event::Joined { channel: rust.clone(), members });
        known.learn(&Event::Names { names: vec!["eve".parse().unwrap()] });
        assert!(known.has_joined(&rust));
        assert_eq!(known.nicks().map(Nick::as_str).collect::<Vec<_>>(), ["alice", "bob", "eve"]);
        known.learn(&Event::Left { channel: rust.clone() });
        assert!(!known.has_joined(&rust));
        assert_eq!(
            known.channels().collect::<Vec<_>>(),
            [&rust],
            "a channel that was left can be joined again"
        );
    }

    #[test]
    fn a_session_remembers_a_limited_number_of_names() {
        let mut known = Known::default();
        let names = (0..NAMES_MAX + 10).map(|i| format!("n{i}").parse().unwrap()).collect();
        known.learn(&Event::Names { names });
        assert_eq!(known.nicks().count(), NAMES_MAX);
    }
}
