//! `GET /events`: what the user is told, as server-sent events, each with the JSON of `docs/json.md`.
//!
//! Who does not have the token is told nothing of private messages.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::guard::has_token;
use super::serve::Site;
use crate::chat::event::{Event, Recipient};
use crate::json::Json;
use crate::repl::session::Render;
use crate::time::Time;

/// How many events wait for a reader; one who is further behind misses some, and is told how many.
const EVENTS_MAX: usize = 1024;

/// How often something is sent, so that a connection that nobody reads any more is noticed.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The user's events, for whoever listens.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Told>);

/// An event as it is told.
#[derive(Clone, Debug)]
struct Told {
    line: String,
    is_private: bool,
}

impl Default for Events {
    fn default() -> Events {
        Events(broadcast::Sender::new(EVENTS_MAX))
    }
}

impl Events {
    /// Something has happened.
    pub fn tell(&self, event: &Event, now: Time) {
        if 0 < self.0.receiver_count() {
            // Whoever listened may have gone just now.
            let line = Json.render(event, now).trim_end().to_owned();
            let _ = self.0.send(Told { line, is_private: is_private(event) });
        }
    }
}

/// Whether it tells of a private message, or may.
fn is_private(event: &Event) -> bool {
    match event {
        Event::Private { .. } | Event::Error { .. } => true,
        Event::Sent { to, .. } => !matches!(to, Recipient::Channel(_)),
        _ => false,
    }
}

pub(super) async fn events(State(site): State<Site>, headers: HeaderMap) -> Response {
    let hears_all = has_token(&site, &headers);
    let events = stream::unfold(site.events.0.subscribe(), move |events| next(events, hears_all));
    Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
}

/// The next event that may be heard, until the node has stopped.
async fn next(
    mut events: broadcast::Receiver<Told>,
    hears_all: bool,
) -> Option<(Result<sse::Event, Infallible>, broadcast::Receiver<Told>)> {
    loop {
        let event = match events.recv().await {
            Ok(told) if told.is_private && !hears_all => continue,
            Ok(told) => sse::Event::default().data(told.line),
            Err(RecvError::Lagged(count)) => sse::Event::default().event("missed").data(count.to_string()),
            Err(RecvError::Closed) => return None,
        };
        return Some((Ok(event), events));
    }
}
