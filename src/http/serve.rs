//! Serves whoever connects, so many at a time.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::reply::Refused;
use super::routes::router;
use super::watch::Watch;
use super::{Asks, Events, Token};
use crate::chat::ask::Answer;
use crate::net::Traffic;

/// How many connections are served at a time; the others wait until one ends.
const CONNECTIONS_MAX: usize = 512;

/// How long a client may take to send the head of a request, and be idle between two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a connection may last: whoever reads events connects again then.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// How long to wait when the system cannot give one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every request may need.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) asks: Asks,
    pub(super) events: Events,
    pub(super) traffic: Traffic,
    pub(super) token: Token,
    pub(super) watch: Watch,
    requests: Arc<AtomicU64>,
}

impl Site {
    pub(super) fn new(asks: Asks, events: Events, traffic: Traffic, token: Token) -> Site {
        Site { asks, events, traffic, token, watch: Watch::default(), requests: Arc::default() }
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Serves the node over HTTP until it is dropped.
pub async fn serve(listener: TcpListener, asks: Asks, events: Events, traffic: Traffic, token: Token) {
    let app = router(Site::new(asks, events, traffic, token));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                tokio::spawn(async move {
                    // A client that breaks off is no failure of ours.
                    let _ = timeout(CONNECTION_TIME_MAX, talk(stream, app)).await;
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers every request that this node is not in the ring yet, until `place` has come, and returns that.
pub async fn refuse_until<T>(listener: &TcpListener, place: impl Future<Output = T>) -> T {
    let app = Router::new().fallback(async || Refused::other(Answer::NotReady));
    let mut place = pin!(place);
    // They end with this: whoever asks again is served then.
    let mut talks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            place = &mut place => return place,
            Some(_) = talks.join_next() => {}
            accepted = listener.accept(), if talks.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(talks.spawn(timeout(HEAD_TIME_MAX, talk(stream, app.clone())))),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn talk(stream: TcpStream, app: Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await?;
    Ok(())
}
