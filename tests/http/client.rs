//! A client that writes each request as it is told to, right or wrong.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const TIME_MAX: Duration = Duration::from_secs(30);

pub struct Request {
    line: String,
    host: Option<String>,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Request {
        let line = format!("{method} {path} HTTP/1.1\r\n");
        Request { line, host: Some(String::new()), headers: String::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        if name == "Host" {
            self.host = Some(value.to_owned());
        } else {
            self.headers += &format!("{name}: {value}\r\n");
        }
        self
    }

    pub fn without_host(mut self) -> Request {
        self.host = None;
        self
    }

    pub fn body(mut self, body: &[u8]) -> Request {
        self.body = body.to_vec();
        self
    }

    /// The answer, after which the connection ends.
    pub fn send(self, to: SocketAddr) -> Reply {
        let mut bytes = Vec::new();
        // A server that refuses a long body may close before it has read all of it.
        let end = self.header("Connection", "close").open(to).stream.read_to_end(&mut bytes);
        assert!(end.is_ok() || !bytes.is_empty(), "{end:?}");
        Reply::read(&bytes)
    }

    pub fn open(self, to: SocketAddr) -> Open {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(TIME_MAX)).unwrap();
        let _ = stream.write_all(&self.bytes(to));
        Open { stream, read: Vec::new() }
    }

    fn bytes(self, to: SocketAddr) -> Vec<u8> {
        let host = self.host.map(|host| if host.is_empty() { to.to_string() } else { host });
        let host = host.map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
        let length = self.body.len();
        let head = format!("{}{host}{}Content-Length: {length}\r\n\r\n", self.line, self.headers);
        [head.as_bytes(), &self.body].concat()
    }
}

/// A connection on which one request comes after the other.
pub struct Line {
    to: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Line {
    pub fn open(to: SocketAddr) -> Line {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(TIME_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        Line { to, stream: BufReader::new(stream) }
    }

    /// Sends a request, whose answer is read later, in its turn.
    pub fn write(&mut self, request: Request) {
        self.stream.get_mut().write_all(&request.bytes(self.to)).unwrap();
    }

    pub fn read(&mut self) -> Reply {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(0 < self.stream.read_line(&mut head).unwrap(), "the connection ended: {head}");
        }
        let mut reply = Reply::read(head.as_bytes());
        let length = reply.header("content-length").unwrap().parse().unwrap();
        reply.body.resize(length, 0);
        self.stream.read_exact(&mut reply.body).unwrap();
        reply
    }

    pub fn ask(&mut self, request: Request) -> Reply {
        self.write(request);
        self.read()
    }

    /// Whether no answer has come that is not read yet.
    pub fn is_silent(&self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A connection on which the answer comes bit by bit.
pub struct Open {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Open {
    /// What has come by the time that `end` has.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            if text.contains(end) {
                return text;
            }
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(0 < count, "the connection ended: {text}");
            self.read.extend_from_slice(&buffer[..count]);
        }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    fn read(bytes: &[u8]) -> Reply {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Reply { status, headers: lines.map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Why the request was refused.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}
