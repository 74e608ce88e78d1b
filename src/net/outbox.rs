//! The queue of one peer: frames, encoded, until the system has taken their last byte.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{self, FRAME_BYTES_MAX};

/// How many frames may wait for one peer.
pub const OUTBOX_FRAMES_MAX: usize = 16_384;

/// How many bytes may wait for one peer.
pub const OUTBOX_BYTES_MAX: usize = 8 << 20;

/// The bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 4;

/// Above this, an empty outbox gives its memory back.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Frames in the order in which they are sent.
///
/// A frame stays until all of it was written, so that what is left when the connection
/// breaks is certain not to have been delivered.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    frames: VecDeque<Frame>,
    /// Where the first of `frames` begins in `bytes`.
    start: usize,
    /// How much of `bytes` was written.
    written: usize,
    /// How many messages were written to their last byte.
    messages_written: u64,
}

#[derive(Debug)]
struct Frame {
    /// With its length field.
    bytes: usize,
    is_message: bool,
}

/// The message is longer than a frame may be; it was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    pub bytes: usize,
}

impl Outbox {
    /// Queues `message`, even beyond the limit: see [`Outbox::is_full`].
    pub fn push<T: Serialize>(&mut self, message: &T) -> Result<(), TooLong> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        wire::encode_into(message, &mut self.bytes);
        let bytes = self.bytes.len() - at - LENGTH_BYTES;
        assert!(bytes > 0, "a message has at least one byte: the frame without any is the goodbye");
        if bytes > FRAME_BYTES_MAX {
            self.bytes.truncate(at);
            return Err(TooLong { bytes });
        }
        self.bytes[at..at + LENGTH_BYTES].copy_from_slice(&length_field(bytes));
        self.frames.push_back(Frame { bytes: LENGTH_BYTES + bytes, is_message: true });
        Ok(())
    }

    /// Queues a frame that is not a message: a greeting or a goodbye.
    pub fn push_control(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(&length_field(content.len()));
        self.bytes.extend_from_slice(content);
        self.frames.push_back(Frame { bytes: LENGTH_BYTES + content.len(), is_message: false });
    }

    /// Queues what waits in `later`, of which nothing was written yet.
    pub fn append(&mut self, mut later: Outbox) {
        assert_eq!(later.written, 0, "a frame is not sent in two halves over two connections");
        if self.is_empty() {
            *self = Outbox { messages_written: self.messages_written, ..later };
        } else {
            self.bytes.append(&mut later.bytes);
            self.frames.append(&mut later.frames);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn is_full(&self) -> bool {
        OUTBOX_FRAMES_MAX < self.frames.len() || OUTBOX_BYTES_MAX < self.bytes()
    }

    /// How many bytes wait to be written.
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// How many messages were written to their last byte.
    pub fn messages_written(&self) -> u64 {
        self.messages_written
    }

    /// What is to be written next.
    pub fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So many bytes of [`Outbox::unwritten`] were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        assert!(self.written <= self.bytes.len(), "no more is written than there is");
        if self.written == self.bytes.len() {
            self.messages_written += self.frames.iter().filter(|frame| frame.is_message).count() as u64;
            self.clear();
            return;
        }
        while let Some(frame) = self.frames.front()
            && self.start + frame.bytes <= self.written
        {
            self.start += frame.bytes;
            self.messages_written += u64::from(frame.is_message);
            self.frames.pop_front();
        }
        // Moved only when that frees half of it, so that each byte is moved once on average.
        if self.bytes.len() <= 2 * self.start {
            self.bytes.drain(..self.start);
            self.written -= self.start;
            self.start = 0;
        }
    }

    fn clear(&mut self) {
        if self.bytes.capacity() <= KEPT_BYTES_MAX {
            self.bytes.clear();
            self.frames.clear();
            (self.start, self.written) = (0, 0);
        } else {
            *self = Outbox { messages_written: self.messages_written, ..Outbox::default() };
        }
    }

    /// The messages that are certain not to have been delivered, oldest first.
    pub fn undelivered<T: DeserializeOwned>(&self) -> Vec<T> {
        let mut messages = Vec::with_capacity(self.frames.len());
        let mut at = self.start;
        for frame in &self.frames {
            if frame.is_message {
                // What does not decode here would not have been decoded there either.
                messages.extend(wire::decode(&self.bytes[at + LENGTH_BYTES..at + frame.bytes]).ok());
            }
            at += frame.bytes;
        }
        messages
    }
}

fn length_field(bytes: usize) -> [u8; LENGTH_BYTES] {
    u32::try_from(bytes).expect("a frame is shorter than 4 GiB").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u8>),
        Goodbye,
        Wrote(usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Step::Push),
            1 => Just(Step::Goodbye),
            4 => (0..1_000_usize).prop_map(Step::Wrote),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_and_what_is_left_is_what_was_queued(
            steps in proptest::collection::vec(any_step(), 0..100)
        ) {
            let mut outbox = Outbox::default();
            // The frames that are not completely written, and how much of the first one is.
            let mut left: VecDeque<Vec<u8>> = VecDeque::new();
            let mut written = 0;
            let mut messages_written = 0;
            for step in steps {
                match step {
                    Step::Push(message) => {
                        outbox.push(&message).unwrap();
                        let content = wire::encode(&message);
                        left.push_back([&length_field(content.len())[..], &content].concat());
                    }
                    Step::Goodbye => {
                        outbox.push_control(&[]);
                        left.push_back(vec![0; LENGTH_BYTES]);
                    }
                    Step::Wrote(bytes) => {
                        let bytes = bytes.min(outbox.bytes());
                        outbox.wrote(bytes);
                        written += bytes;
                        while let Some(frame) = left.pop_front_if(|frame| frame.len() <= written) {
                            written -= frame.len();
                            messages_written += u64::from(LENGTH_BYTES < frame.len());
                        }
                    }
                }
                let bytes: Vec<u8> = left.iter().flatten().copied().collect();
                prop_assert_eq!(outbox.unwritten(), &bytes[written..]);
                prop_assert_eq!(outbox.is_empty(), left.is_empty());
                prop_assert_eq!(outbox.messages_written(), messages_written);
                let messages = left.iter().filter(|frame| LENGTH_BYTES < frame.len());
                let messages: Vec<Vec<u8>> =
                    messages.map(|frame| wire::decode(&frame[LENGTH_BYTES..]).unwrap()).collect();
                prop_assert_eq!(outbox.undelivered::<Vec<u8>>(), messages);
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_long_leaves_the_queue_as_it_was() {
        let mut outbox = Outbox::default();
        outbox.push(&1_u8).unwrap();
        assert_eq!(outbox.push(&vec![0_u8; FRAME_BYTES_MAX]), Err(TooLong { bytes: FRAME_BYTES_MAX + 5 }));
        outbox.push(&2_u8).unwrap();
        assert_eq!(outbox.undelivered::<u8>(), [1, 2]);
    }

    #[test]
    fn the_limits_are_these() {
        let mut outbox = Outbox::default();
        for _ in 0..OUTBOX_FRAMES_MAX {
            outbox.push(&1_u8).unwrap();
        }
        assert!(!outbox.is_full());
        outbox.push(&1_u8).unwrap();
        assert!(outbox.is_full());

        let mut outbox = Outbox::default();
        while outbox.bytes() <= OUTBOX_BYTES_MAX {
            assert!(!outbox.is_full());
            outbox.push(&vec![0_u8; 1_000_000]).unwrap();
        }
        assert!(outbox.is_full());
        outbox.wrote(1_000_000);
        assert!(!outbox.is_full());
    }
}
