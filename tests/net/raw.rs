//! The other side of a connection, byte by byte, as `docs/protocol.md` says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use chord_chat::id::NodeHandle;
use chord_chat::time::Time;
use chord_chat::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::toy::{Message, PATIENCE};

pub const VERSION: u16 = 1;
pub const TALK: u32 = 0;
pub const WELCOME: u32 = 2;
pub const DUPLICATE: u32 = 3;
pub const FULL: u32 = 5;

/// A greeting, without its length.
pub fn greeting(version: u16, word: u32, network: &str, address: SocketAddr, moment: u64) -> Vec<u8> {
    let mut bytes = b"chord-chat".to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(wire::encode(&(word, network, address, Time::from_micros(moment))));
    bytes
}

/// The word in a greeting of a node of this version.
pub fn word(greeting: &[u8]) -> u32 {
    let body = greeting.strip_prefix(b"chord-chat\x00\x01").unwrap();
    wire::decode::<(u32, String, SocketAddr, Time)>(body).unwrap().0
}

pub fn frame(content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    bytes.extend(content);
    bytes
}

/// A connection to a node.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub async fn connect(node: NodeHandle) -> Raw {
        Raw { stream: TcpStream::connect(node.addr()).await.unwrap() }
    }

    /// Greets as the node at `address` would, and tells what the answer is.
    pub async fn call(node: NodeHandle, address: SocketAddr, moment: u64) -> (Raw, u32) {
        let mut raw = Raw::connect(node).await;
        raw.write(&frame(&greeting(VERSION, TALK, "chord-chat", address, moment))).await;
        let answer = raw.read_frame().await.expect("a greeting is answered");
        (raw, word(&answer))
    }

    /// A connection that was welcomed, from an address at which nobody listens.
    pub async fn welcomed(node: NodeHandle) -> (Raw, NodeHandle) {
        // Each call is later than the one before.
        static MOMENTS: AtomicU64 = AtomicU64::new(1);
        let me = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let (raw, word) = Raw::call(node, me, MOMENTS.fetch_add(1, Ordering::Relaxed)).await;
        assert_eq!(word, WELCOME);
        (raw, NodeHandle::new(me))
    }

    /// Waits for a call, and answers it as the listener's node would.
    pub async fn welcome(listener: &TcpListener, moment: u64) -> Raw {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a call comes").unwrap();
        let mut raw = Raw { stream };
        assert_eq!(word(&raw.read_frame().await.unwrap()), TALK);
        let address = listener.local_addr().unwrap();
        raw.write(&frame(&greeting(VERSION, WELCOME, "chord-chat", address, moment))).await;
        raw
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn send(&mut self, message: &Message) {
        self.write(&frame(&wire::encode(message))).await;
    }

    /// The next frame, or `None` when the connection has ended.
    pub async fn read_frame(&mut self) -> Option<Vec<u8>> {
        let reading = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut content = vec![0; length as usize];
            self.stream.read_exact(&mut content).await.ok()?;
            Some(content)
        };
        timeout(PATIENCE, reading).await.expect("something comes in time")
    }

    /// The node closes the connection; what it still says does not matter.
    pub async fn expect_end(&mut self) {
        while self.read_frame().await.is_some() {}
    }
}

/// An address at which nobody listens: other tests do at another one, and take no port there.
pub async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
    listener.local_addr().unwrap()
}
