//! Reads values over HTTP, from whichever node, as fast as they come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: a node gives up after 3 s.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The value under a key, as this node reads it; or why not.
pub fn read(node: SocketAddr, key: &str) -> Result<String, String> {
    let answer = exchange(node, key).map_err(|error| format!("{node}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{node}: {answer:?}"))?;
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(body.to_owned())
    } else {
        Err(format!("{node}: {head}\n{body}"))
    }
}

fn exchange(node: SocketAddr, key: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(node)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let head = format!("GET /db/{key} HTTP/1.1\r\nHost: {node}\r\nAccept: application/octet-stream\r\n");
    stream.write_all((head + "Connection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
