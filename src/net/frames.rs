//! Messages come in: one task reads a connection to its end and decodes what it reads.
//!
//! ```text
//! socket ── bytes ──► reader ── Messages, Messages, … ──► driver
//!                            ── Ended { how } ──────────►
//! ```
//!
//! A reader has one batch of messages with the driver at a time, so a peer that floods
//! waits for its turn like all others, and its bytes wait in the system's buffers.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

use super::greeting::codec;
use super::peers::{LinkName, Report};
use crate::wire::{self, FRAME_BYTES_MAX};

/// How much is read at once at first, and again after a quiet read: many connections are idle.
const READ_BYTES_MIN: usize = 2 << 10;

/// How much is read at once while much comes.
const READ_BYTES_MAX: usize = 64 << 10;

/// How a connection's reading side ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer has said goodbye: nothing more comes, and nothing was lost.
    Goodbye,
    /// No goodbye: the peer crashed, or what it sent was no frame, or came too slowly.
    Broken,
}

/// Messages of one peer, in the order in which they came.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub link: LinkName,
    pub messages: Vec<T>,
    /// Dropped when the batch was handled, so that the reader may send the next one.
    pub turn: OwnedSemaphorePermit,
}

/// The reading side of a connection.
pub(super) struct Reader<T> {
    pub link: LinkName,
    pub half: OwnedReadHalf,
    /// What was read together with the greeting.
    pub bytes: BytesMut,
    /// See [`super::Config::frame`].
    pub frame_deadline: Duration,
    pub reports: mpsc::Sender<Report<T>>,
}

impl<T: DeserializeOwned> Reader<T> {
    /// Reads to the end.
    pub async fn run(mut self) {
        // Fails only when there is no driver any more, and then nobody wants to know.
        if let Some(how) = self.read().await {
            let _ = self.reports.send(Report::Ended { link: self.link, how }).await;
        }
    }

    async fn read(&mut self) -> Option<Ended> {
        let mut frames = Frames { codec: codec(FRAME_BYTES_MAX), length_is_taken: false };
        let turns = Arc::new(Semaphore::new(1));
        let mut read_bytes = READ_BYTES_MIN;
        let mut frame_began = None;
        loop {
            let (messages, how) = frames.take(&mut self.bytes);
            if !messages.is_empty() {
                let turn = turns.clone().acquire_owned().await.ok()?;
                self.reports.send(Report::Messages(Batch { link: self.link, messages, turn })).await.ok()?;
                frame_began = None;
            }
            if how.is_some() {
                return how;
            }
            // What is left is the beginning of a frame.
            if frames.length_is_taken || !self.bytes.is_empty() {
                frame_began = frame_began.or_else(|| Some(Instant::now()));
            }
            let read = self.read_some(read_bytes, frame_began.map(|began| began + self.frame_deadline));
            let Some(read) = read.await else { return Some(Ended::Broken) };
            if read_bytes <= read {
                read_bytes = READ_BYTES_MAX;
            } else if read <= READ_BYTES_MIN / 2 {
                read_bytes = READ_BYTES_MIN;
            }
        }
    }

    /// How many bytes were read, or `None` at the end.
    async fn read_some(&mut self, read_bytes: usize, until: Option<Instant>) -> Option<usize> {
        if self.bytes.is_empty() && READ_BYTES_MAX / 2 < self.bytes.capacity() && read_bytes == READ_BYTES_MIN
        {
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(read_bytes);
        let reading = self.half.read_buf(&mut self.bytes);
        let read = match until {
            // What has come is read first, even if this process was stopped until after the deadline.
            Some(until) => timeout_at(until, reading).await.ok()?,
            None => reading.await,
        };
        read.ok().filter(|read| 0 < *read)
    }
}

/// Takes the messages out of the bytes.
struct Frames {
    codec: LengthDelimitedCodec,
    /// The codec has taken a length out of the bytes already, but not its frame.
    length_is_taken: bool,
}

impl Frames {
    /// All messages that are complete, and how the connection ended if it did.
    fn take<T: DeserializeOwned>(&mut self, bytes: &mut BytesMut) -> (Vec<T>, Option<Ended>) {
        let mut messages = Vec::new();
        loop {
            let before = bytes.len();
            match self.codec.decode(bytes) {
                Ok(None) => {
                    self.length_is_taken |= bytes.len() < before;
                    return (messages, None);
                }
                Ok(Some(frame)) if frame.is_empty() => return (messages, Some(Ended::Goodbye)),
                Ok(Some(frame)) => match wire::decode(&frame) {
                    Ok(message) => {
                        self.length_is_taken = false;
                        messages.push(message);
                    }
                    Err(_) => return (messages, Some(Ended::Broken)),
                },
                Err(_) => return (messages, Some(Ended::Broken)),
            }
        }
    }
}
