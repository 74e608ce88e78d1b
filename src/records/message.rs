//! What nodes say to one another about records.

use serde::{Deserialize, Serialize};

use super::channel::Place;
use super::repair::Offered;
use super::takeover::Fetched;
use super::{RecordKey, Records, Statement, Why};
use crate::chord::{Chord, Failure, Range};
use crate::id::NodeHandle;
use crate::time::Time;

/// A message about records; all of them are requests or answers of [`crate::chord`].
///
/// A new variant goes to the end: its place is its number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Push: "learn this"; answered by [`Message::Merged`].
    Merge {
        /// Why the receiver is to have it: as a copy for the sender, or because it is the root now.
        migrates: Option<Why>,
        /// What it should learn.
        statements: Vec<(RecordKey, Statement)>,
    },
    /// Answers [`Message::Merge`]: the statements are merged.
    Merged,
    /// Takeover: "I am the root of this range now; what do you have?"; answered by [`Message::Fetched`].
    Fetch {
        /// The range that the sender takes over.
        range: Range,
        /// What the sender has from the receiver already: up to this revision of the receiver's.
        after: u64,
        /// Whether the sender takes the receiver for its successor.
        to_successor: bool,
    },
    /// Answers [`Message::Fetch`].
    Fetched(Fetched),
    /// Repair: "I have this and have not heard of it for a while", to the root of its key; answered by
    /// [`Message::Offered`].
    Offer {
        /// Which record.
        key: RecordKey,
        /// Up to which place the sender has dropped the messages of a channel.
        horizon: Option<Place>,
    },
    /// Answers [`Message::Offer`].
    Offered {
        /// What the root has of the record, summed up, but for what stands before either horizon.
        digest: u64,
        /// Up to which place the root has dropped the messages of a channel.
        horizon: Option<Place>,
        /// Whether the sender is one of those that should keep it.
        keep: bool,
    },
}

impl Records {
    /// Answers a request about records; nothing if `message` is none.
    pub fn on_request<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        from: NodeHandle,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Merge { migrates, statements } => {
                Some(self.on_merge(now, chord, from, migrates, statements))
            }
            Message::Fetch { range, after, to_successor } => {
                Some(self.on_fetch(now, chord, from, range, after, to_successor))
            }
            Message::Offer { key, horizon } => Some(self.on_offer(now, chord, from, &key, horizon)),
            Message::Merged | Message::Fetched(_) | Message::Offered { .. } => None,
        }
    }

    /// Takes the answer to an own request; returns whether it is one.
    pub fn on_reply<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        from: NodeHandle,
        message: Message,
    ) -> bool {
        match message {
            Message::Merged => self.on_merged(id) || self.on_offer_merged(now, chord, id, from),
            Message::Fetched(fetched) => self.on_fetched(now, chord, id, from, fetched),
            Message::Offered { digest, horizon, keep } => {
                self.on_offered(now, chord, id, from, Offered { digest, horizon, keep })
            }
            // A confused peer: these are no answers.
            Message::Merge { .. } | Message::Fetch { .. } | Message::Offer { .. } => false,
        }
    }

    /// An own request has not been answered; returns whether it was about records.
    pub fn on_failed<P: Clone + From<Message>>(
        &mut self,
        now: Time,
        chord: &mut Chord<P>,
        id: u64,
        why: Failure,
    ) -> bool {
        self.push_failed(id, why)
            || self.fetch_failed(now, chord, id)
            || self.offer_failed(now, chord, id, why)
    }
}
