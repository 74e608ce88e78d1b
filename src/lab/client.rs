//! Asks nodes over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::state::{Lab, Node};
use crate::http::ROOT;

/// How long a node may take to answer: it gives up itself a little sooner.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// The longest answer: all nodes of a large ring.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a node has answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    root: Option<SocketAddr>,
    body: Bytes,
}

impl Answer {
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The root that has answered, where one was asked.
    pub(super) fn root(&self) -> Option<SocketAddr> {
        self.root
    }

    /// The body, if all went well, and otherwise why it did not.
    pub(super) fn body(self) -> anyhow::Result<Bytes> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let told: Option<Value> = serde_json::from_slice(&self.body).ok();
        let reason = told.as_ref().and_then(|told| told["error"].as_str()).map(str::to_owned);
        Err(anyhow!(reason.unwrap_or_else(|| format!("HTTP status {}", self.status))))
    }

    /// The same, read from JSON.
    pub(super) fn json<T: DeserializeOwned>(self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body()?).context("the answer does not fit")
    }
}

/// Reads something.
pub(super) async fn get(node: &Node, path: &str) -> anyhow::Result<Answer> {
    ask(node, None, Method::GET, path, &[]).await
}

/// Reads something that is told to nobody else.
pub(super) async fn get_private(lab: &Lab, node: &Node, path: &str) -> anyhow::Result<Answer> {
    change(lab, node, Method::GET, path, &[]).await
}

/// Reads a value, whatever its bytes are.
pub(super) async fn get_as_it_is(node: &Node, path: &str) -> anyhow::Result<Answer> {
    let header = (ACCEPT, "application/octet-stream".to_owned());
    ask(node, Some(header), Method::GET, path, &[]).await
}

/// Changes something.
pub(super) async fn change(
    lab: &Lab,
    node: &Node,
    method: Method,
    path: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let header = (AUTHORIZATION, format!("Bearer {}", lab.token));
    ask(node, Some(header), method, path, body).await
}

async fn ask(
    node: &Node,
    header: Option<(HeaderName, String)>,
    method: Method,
    path: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let link = node.link()?;
    if !node.runs() {
        bail!("{} does not run any more", node.name);
    }
    let at = node.at()?.http;
    let mut request = Request::builder().method(method).uri(path).header(HOST, at.to_string());
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
    let asked = async {
        match link {
            Some(link) => exchange(link.connect(at.port()).await?, request).await,
            None => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                exchange(stream, request).await
            }
        }
    };
    match timeout(ANSWER_TIME_MAX, asked).await {
        Ok(answer) => answer.with_context(|| format!("{} at {at} cannot be asked", node.name)),
        Err(_) => {
            bail!("{} at {at} has not answered within {} s", node.name, ANSWER_TIME_MAX.as_secs())
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer; what fails on it, the answer tells.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let root = answer.headers().get(ROOT).and_then(|root| root.to_str().ok()?.parse().ok());
    let body =
        Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| anyhow!(error))?;
    Ok(Answer { status, root, body: body.to_bytes() })
}

/// The path of a value: what has a meaning in paths is written as `%` and two digits (RFC 3986, section 2.1).
pub(super) fn path_of(directory: &str, key: &str) -> String {
    let mut path = format!("/{directory}/");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_into_a_path_with_no_meaning_of_its_own() {
        assert_eq!(path_of("db", "apple-1.2_3~"), "/db/apple-1.2_3~");
        assert_eq!(path_of("db", "a b/c?d#e%ž"), "/db/a%20b%2Fc%3Fd%23e%25%C5%BE");
    }
}
