//! The first frame each way: who are you, and do we speak the same language?
//!
//! ```text
//! caller                                             called
//!   │ ── Talk { network, address, moment } ────────►    │  checks, and asks `meeting`
//!   │ ◄─────── Welcome { network, address, moment } ──  │
//!   │ ◄══════════════════ messages ══════════════════►  │
//!
//!   │ ── Talk ─────────────────────────────────────►    │  has reason not to
//!   │ ◄────────────────── Duplicate, Leaving, Full ──   │  and closes
//!
//!   │ ── Ask ──────────────────────────────────────►    │  somebody looks for the ring
//!   │ ◄─────────────────────────────────── Welcome ──   │  and closes
//! ```
//!
//! The magic and the version stand first and never change their places, so nodes of all
//! versions can tell each other why they part. Whoever is called answers with its own
//! greeting even when it refuses: so both sides know both versions and both networks.
//!
//! Later, the handshake of an encryption takes the place between the two greetings and
//! `meeting`; nothing else here knows what a connection's bytes look like.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

use super::config::Config;
use super::outbox::Outbox;
use super::parting::Parting;
use crate::id::NodeHandle;
use crate::time::Time;
use crate::wire;

/// The version of the protocol: nodes talk only to nodes of the same version.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest greeting, in bytes: all that a stranger can make this node keep.
pub(super) const GREETING_BYTES_MAX: usize = 256;

/// With what every greeting begins.
const MAGIC: &[u8; 10] = b"chord-chat";

/// What is read and thrown away, so that closing does not reset a refusal away.
const LINGER_BYTES_MAX: usize = 64 << 10;

/// What both sides say first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub word: Word,
    pub network: String,
    /// Where the sender says that it is reached.
    pub address: SocketAddr,
    /// When the sender called or answered, by its own clock; no two of its greetings have
    /// the same, so they have an order (see [`super::meeting`]).
    pub moment: Time,
}

/// What a greeting wants, or what answers it. New ones are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// The caller wants a connection for messages.
    Talk,
    /// The caller wants to know who is there.
    Ask,
    /// The answer to both.
    Welcome,
    /// See [`Parting::Duplicate`].
    Duplicate,
    /// See [`Parting::Leaving`].
    Leaving,
    /// See [`Parting::Full`].
    Full,
}

impl Greeting {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(PROTOCOL_VERSION.to_be_bytes());
        wire::encode_into(self, &mut bytes);
        bytes
    }

    /// The greeting in `bytes`, if it comes from a node that this one can talk to.
    fn decode(bytes: &[u8], network: &str) -> Result<Greeting, Parting> {
        let Some((version, body)) = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk::<2>) else {
            return Err(Parting::NotChordChat);
        };
        let theirs = u16::from_be_bytes(*version);
        if theirs != PROTOCOL_VERSION {
            return Err(Parting::Version { theirs });
        }
        let greeting: Greeting = wire::decode(body).map_err(|_| Parting::NotChordChat)?;
        if greeting.network != network {
            return Err(Parting::Network { theirs: greeting.network, ours: network.to_owned() });
        }
        Ok(greeting)
    }
}

/// A connection whose other side has greeted well.
#[derive(Debug)]
pub(super) struct Greeted {
    pub peer: NodeHandle,
    /// The moment in the peer's greeting.
    pub moment: Time,
    pub stream: TcpStream,
    /// What was read after the greeting.
    pub rest: BytesMut,
}

/// Who this node is, for those who greet.
#[derive(Clone, Debug)]
pub(super) struct Greeter {
    pub me: NodeHandle,
    pub config: Config,
}

impl Greeter {
    /// The frame that says `word`.
    pub fn say(&self, word: Word, moment: Time) -> Vec<u8> {
        let network = self.config.network.clone();
        Greeting { word, network, address: self.me.addr(), moment }.encode()
    }

    /// Calls whoever listens at `address` with `word`, [`Word::Talk`] or [`Word::Ask`].
    pub async fn call(&self, address: SocketAddr, word: Word, moment: Time) -> Result<Greeted, Parting> {
        let deadline = self.config.connect;
        let mut stream = match timeout(deadline, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(Parting::Connect)?,
            Err(_) => return Err(Parting::ConnectTimeout(deadline)),
        };
        stream.set_nodelay(true).map_err(Parting::Connect)?;
        let until = Instant::now() + self.config.greeting;
        self.write(&mut stream, word, moment, until).await?;
        let (answer, rest) = self.read(&mut stream, until).await?;
        let peer = NodeHandle::new(answer.address);
        match answer.word {
            _ if peer == self.me => Err(Parting::Itself),
            Word::Welcome => Ok(Greeted { peer, moment: answer.moment, stream, rest }),
            Word::Duplicate => Err(Parting::Duplicate),
            Word::Leaving => Err(Parting::Leaving),
            Word::Full => Err(Parting::Full),
            Word::Talk | Word::Ask => Err(Parting::NotChordChat),
        }
    }

    /// Hears who calls; `None` if there is nothing left to do for this caller.
    pub async fn hear(&self, mut stream: TcpStream) -> Result<Option<Greeted>, Parting> {
        let until = Instant::now() + self.config.greeting;
        let (greeting, rest) = match self.read(&mut stream, until).await {
            Ok(greeted) => greeted,
            Err(parting) => {
                if parting.is_between_nodes() {
                    self.refuse(stream, Word::Welcome).await;
                }
                return Err(parting);
            }
        };
        let peer = NodeHandle::new(greeting.address);
        match greeting.word {
            Word::Talk if peer != self.me => {
                Ok(Some(Greeted { peer, moment: greeting.moment, stream, rest }))
            }
            Word::Talk | Word::Ask => {
                self.refuse(stream, Word::Welcome).await;
                Ok(None)
            }
            _ => Err(Parting::NotChordChat),
        }
    }

    /// Says `word`, and closes the connection so that it can be read.
    pub async fn refuse(&self, mut stream: TcpStream, word: Word) {
        let until = Instant::now() + self.config.greeting;
        if self.write(&mut stream, word, Time::default(), until).await.is_err() {
            return;
        }
        // Whether the other side reads it is its own affair.
        let _ = timeout_at(until, linger(stream)).await;
    }

    async fn write(
        &self,
        stream: &mut TcpStream,
        word: Word,
        moment: Time,
        until: Instant,
    ) -> Result<(), Parting> {
        let mut frame = Outbox::default();
        frame.push_control(&self.say(word, moment));
        match timeout_at(until, stream.write_all(frame.unwritten())).await {
            Ok(written) => written.map_err(|_| Parting::Closed),
            Err(_) => Err(Parting::Silent(self.config.greeting)),
        }
    }

    async fn read(&self, stream: &mut TcpStream, until: Instant) -> Result<(Greeting, BytesMut), Parting> {
        let mut codec = codec(GREETING_BYTES_MAX);
        let mut bytes = BytesMut::new();
        loop {
            match codec.decode(&mut bytes) {
                Ok(Some(frame)) => return Ok((Greeting::decode(&frame, &self.config.network)?, bytes)),
                Ok(None) => {}
                Err(_) => return Err(Parting::NotChordChat),
            }
            bytes.reserve(GREETING_BYTES_MAX);
            match timeout_at(until, stream.read_buf(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => return Err(Parting::Closed),
                Ok(Ok(_)) => {}
                Err(_) => return Err(Parting::Silent(self.config.greeting)),
            }
        }
    }
}

/// Takes frames of at most `frame_bytes_max` apart.
pub(super) fn codec(frame_bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(frame_bytes_max).new_codec()
}

async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut scrap = [0; 512];
    let mut read = 0;
    while read <= LINGER_BYTES_MAX {
        match stream.read(&mut scrap).await? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Greeting {
        let address = "127.0.0.1:7000".parse().unwrap();
        Greeting { word: Word::Talk, network: "chord-chat".to_owned(), address, moment: Time::from_micros(5) }
    }

    #[test]
    fn the_bytes_of_a_greeting_stay_as_they_are() {
        let bytes = greeting().encode();
        // Magic, version, Talk, the name with its length, IPv4, the port, the moment.
        let golden = b"chord-chat\x00\x01\x00\x0achord-chat\x00\x7f\x00\x00\x01\xfb\x58\x1b\x05";
        assert_eq!(bytes, golden);
        assert_eq!(Greeting::decode(golden, "chord-chat").unwrap(), greeting());
        let words = [Word::Talk, Word::Ask, Word::Welcome, Word::Duplicate, Word::Leaving, Word::Full];
        for (i, word) in words.into_iter().enumerate() {
            assert_eq!(usize::from(Greeting { word, ..greeting() }.encode()[12]), i);
        }
    }

    #[test]
    fn the_longest_greeting_fits() {
        let network = "x".repeat(super::super::NETWORK_BYTES_MAX);
        let address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let greeting = Greeting { word: Word::Full, network, address, moment: Time::from_micros(u64::MAX) };
        assert!(greeting.encode().len() <= GREETING_BYTES_MAX);
    }

    #[test]
    fn nodes_that_cannot_talk_part_with_a_reason() {
        let text = |bytes: &[u8], network| Greeting::decode(bytes, network).unwrap_err().to_string();
        let bytes = greeting().encode();
        assert_eq!(text(&bytes, "lab"), "that node is in the network 'chord-chat', this one in 'lab'");
        let other = Greeting { network: "a\u{1b}[2Jb'".to_owned(), ..greeting() };
        let told = "that node is in the network 'a\\u{1b}[2Jb\\'', this one in 'lab'";
        assert_eq!(text(&other.encode(), "lab"), told);
        assert_eq!(
            text(b"chord-chat\x00\x02", "lab"),
            "that node speaks protocol version 2, this one 1",
            "the version counts before all else"
        );
        for end in 0..bytes.len() {
            assert_eq!(text(&bytes[..end], "chord-chat"), "what answers there is not chord-chat");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(text(&longer, "chord-chat"), "what answers there is not chord-chat");
    }
}
