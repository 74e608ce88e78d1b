//! Health: `chat health IP:PORT` asks a node whether it is in the ring, where no other program could ask.
//!
//! program -> node: GET /nodeinfo
//! node -> program: 200 if it is, 503 if it is not yet, or leaves

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a node may take to answer: it gives up itself a little sooner.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// Ask a node that serves HTTP whether it is in the ring.
///
/// Exit status: 0 it is, 1 it is not or does not answer within 3 s, 2 wrong usage.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "chat health", bin_name = "chat health", version)]
pub struct HealthOptions {
    /// Where it serves HTTP.
    #[arg(value_name = "IP:PORT")]
    pub at: SocketAddr,
}

impl HealthOptions {
    /// The options of this process, whose first argument is `health`.
    ///
    /// Where they are wrong it tells what is wrong and ends the process with status 2.
    pub fn of_process() -> HealthOptions {
        HealthOptions::parse_from(std::env::args_os().skip(1))
    }
}

/// Asks the node.
///
/// # Errors
///
/// If it is not in the ring, or cannot be asked.
pub fn health(options: &HealthOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let at = options.at;
    let status = runtime.block_on(async { timeout(ANSWER_TIME_MAX, ask(at)).await });
    let Ok(status) = status else {
        bail!("the node at {at} does not answer within {} s", ANSWER_TIME_MAX.as_secs());
    };
    let status = status.with_context(|| format!("the node at {at} cannot be asked"))?;
    ensure!(status.is_success(), "the node at {at} is not in the ring: HTTP status {status}");
    Ok(())
}

async fn ask(at: SocketAddr) -> anyhow::Result<StatusCode> {
    let stream = TcpStream::connect(at).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer; what fails on it, the answer tells.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = Request::get("/nodeinfo").header(HOST, at.to_string()).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}
