//! The one place that knows how messages become bytes: bincode, bounded.
//!
//! Integers are variable-length and little-endian, enums begin with their variant's
//! number, texts and lists with their length: bincode 2's standard configuration.

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame, in bytes, without its length field.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// How much memory the decoding of one frame may claim, in bytes.
///
/// Bincode counts what it claims *before* it reads, so a short frame that promises a
/// long list is refused; a list takes a few times the memory of its encoding.
const DECODED_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX;

type Wire = Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>>;

const WIRE: Wire = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();

/// Why bytes are not a message.
#[derive(Debug)]
pub enum NotAMessage {
    /// They do not decode.
    Malformed(bincode::error::DecodeError),
    /// So many bytes are left over after the message.
    Trailing(usize),
}

impl fmt::Display for NotAMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAMessage::Malformed(error) => write!(f, "malformed message: {error}"),
            NotAMessage::Trailing(bytes) => write!(f, "{bytes} bytes after the message"),
        }
    }
}

impl std::error::Error for NotAMessage {}

/// Appends the encoding of `message` to `bytes`.
pub fn encode_into<M: Serialize>(message: &M, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(message, bytes, WIRE)
        .expect("messages have no type that bincode refuses, and writing to memory cannot fail");
}

/// The encoding of `message`.
pub fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    encode_into(message, &mut bytes);
    bytes
}

/// The message that `bytes` encode, all of them.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, NotAMessage> {
    match bincode::serde::decode_from_slice(bytes, WIRE) {
        Ok((message, read)) if read == bytes.len() => Ok(message),
        Ok((_, read)) => Err(NotAMessage::Trailing(bytes.len() - read)),
        Err(error) => Err(NotAMessage::Malformed(error)),
    }
}
