//! What hosts say to one another, as the payload of the ring's requests and replies.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::command::Failure;
use crate::id::Id;
use crate::wire::{self, FRAME_BYTES_MAX};

/// The longest payload of a command or an answer, in bytes: what fits into a frame.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - ENVELOPE_BYTES_MAX;

/// The longest reason of a refusal that is sent, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// The most that name, key, and the ring's own fields add to a payload, in bytes; a test fills them all.
const ENVELOPE_BYTES_MAX: usize = 256;

/// What a request or a reply of the ring carries.
///
/// A new variant goes to the end: its place is its number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Call {
    /// Asks for a command; answered by one of the others.
    Command {
        /// The command's name.
        name: String,
        /// Of which key the receiver must be the root, where that does not follow from how it came.
        root_of: Option<Id>,
        /// What is asked, encoded.
        payload: Payload,
    },
    /// It was done; the answer, encoded.
    Ok(Payload),
    /// Nobody has registered the command.
    UnknownCommand,
    /// The receiver is not the root.
    NotRoot,
    /// The application refused, for this reason.
    Refused(String),
}

/// Bytes of any kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(pub Vec<u8>);

impl Call {
    /// A refusal whose reason is not too long.
    pub(super) fn refused(mut reason: String) -> Call {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        Call::Refused(reason)
    }

    /// What the caller is answered.
    pub(super) fn answered<R: Serialize>(answer: &R) -> Call {
        match Payload::of(answer) {
            Ok(payload) => Call::Ok(payload),
            Err(bytes) => Call::refused(format!(
                "done, but the answer has {bytes} bytes, and the limit is {PAYLOAD_BYTES_MAX}"
            )),
        }
    }

    /// What is asked, if something is.
    pub(super) fn payload(&self) -> Option<&Payload> {
        match self {
            Call::Command { payload, .. } => Some(payload),
            _ => None,
        }
    }

    /// What the answer means to who asked.
    pub(super) fn into_answer(self) -> Result<Payload, Failure> {
        match self {
            Call::Ok(payload) => Ok(payload),
            Call::UnknownCommand => Err(Failure::UnknownCommand),
            Call::NotRoot => Err(Failure::NotRoot),
            Call::Refused(reason) => Err(Failure::Refused(reason)),
            // A confused peer: it answers with a question.
            Call::Command { .. } => Err(Failure::Malformed),
        }
    }
}

impl Payload {
    /// The encoding of `value`, or its length if that is too long.
    pub(super) fn of<T: Serialize>(value: &T) -> Result<Payload, usize> {
        let bytes = wire::encode(value);
        if bytes.len() <= PAYLOAD_BYTES_MAX { Ok(Payload(bytes)) } else { Err(bytes.len()) }
    }

    /// The value that is encoded, if it is one of this type.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        wire::decode(&self.0).ok()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
        Ok(Payload(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Payload, E> {
        Ok(Payload(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::NAME_BYTES_MAX;
    use crate::chord::Message;
    use crate::chord::message::{Answer, Body, Route};
    use crate::id::NodeHandle;

    #[test]
    fn the_longest_message_fits_into_a_frame() {
        let payload = Payload(vec![7; PAYLOAD_BYTES_MAX]);
        let origin = NodeHandle::new(([u16::MAX; 8], u16::MAX).into());
        let call = Call::Command {
            name: "n".repeat(NAME_BYTES_MAX),
            root_of: Some(origin.id()),
            payload: payload.clone(),
        };
        let body = Body::Request(call);
        let route = Route { key: origin.id(), origin, id: u64::MAX, hops: 255, last: true, body };
        let asked = wire::encode(&Message::Route(route));
        assert!(asked.len() <= FRAME_BYTES_MAX && FRAME_BYTES_MAX < asked.len() + ENVELOPE_BYTES_MAX);
        let answer = Answer::Payload(Call::Ok(payload));
        let reply = Message::Reply { id: u64::MAX, hops: 255, answer };
        let answered = wire::encode(&reply);
        assert!(answered.len() <= FRAME_BYTES_MAX);
        assert_eq!(wire::decode::<Message<Call>>(&answered).unwrap(), reply);
    }

    #[test]
    fn a_long_reason_ends_between_two_characters() {
        let Call::Refused(reason) = Call::refused("é".repeat(REASON_BYTES_MAX)) else { panic!("refused") };
        assert_eq!(reason, "é".repeat(REASON_BYTES_MAX / 2));
        let Call::Refused(reason) = Call::refused(format!("x{}", "é".repeat(REASON_BYTES_MAX))) else {
            panic!("refused")
        };
        assert_eq!(reason.len(), REASON_BYTES_MAX - 1);
    }

    #[test]
    fn the_bytes_of_each_call_stay_as_they_are() {
        let payload = Payload(vec![1, 2]);
        let command = Call::Command { name: "add".to_owned(), root_of: None, payload: payload.clone() };
        assert_eq!(wire::encode(&command), [0, 3, b'a', b'd', b'd', 0, 2, 1, 2]);
        assert_eq!(wire::encode(&Call::Ok(payload)), [1, 2, 1, 2]);
        assert_eq!(wire::encode(&Call::UnknownCommand), [2]);
        assert_eq!(wire::encode(&Call::NotRoot), [3]);
        assert_eq!(wire::encode(&Call::Refused("no".to_owned())), [4, 2, b'n', b'o']);
    }
}
