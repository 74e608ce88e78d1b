//! What is said, and who is there to hear it: channels and people.
//!
//! The node's own user says it, joins and leaves.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::reply::{Refused, Said};
use super::routes::{Part, Reply, read_body};
use super::serve::Site;
use crate::chat::TEXT_BYTES_MAX;
use crate::chat::ask::{Answer, Ask};
use crate::chat::event::Recipient;
use crate::chat::history::{HISTORY, HISTORY_MAX};
use crate::records::RecordKey;
use crate::records::name::{ChannelName, NotAName};

/// A message that is on its way.
#[derive(Serialize)]
pub(super) struct Queued {
    /// By which the event `sent` tells how far it comes.
    id: String,
}

pub(super) async fn say_in_channel(
    State(site): State<Site>,
    Part(name): Part,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply<(StatusCode, Json<Queued>)> {
    say(&site, Recipient::Channel(read_channel(&name)?), &headers, body).await
}

pub(super) async fn say_to_person(
    State(site): State<Site>,
    Part(nick): Part,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply<(StatusCode, Json<Queued>)> {
    let nick = nick.parse().map_err(|rule| not_a_name("person", &rule))?;
    say(&site, Recipient::Nick(nick), &headers, body).await
}

async fn say(
    site: &Site,
    to: Recipient,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply<(StatusCode, Json<Queued>)> {
    let body = read_body(body, TEXT_BYTES_MAX)?;
    let wrong = |reason: &str| Refused::new(StatusCode::BAD_REQUEST, reason);
    // Who sends JSON means a field of it, and everyone would read the braces.
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.to_ascii_lowercase().starts_with(b"application/json") {
        return Err(wrong("the body is the message itself, as text/plain, and no JSON"));
    }
    let text = String::from_utf8(body.into()).map_err(|_| wrong("a message is text in UTF-8"))?;
    if text.trim().is_empty() {
        return Err(wrong("a message is not empty"));
    }
    match site.asks.ask(Ask::Say(to, text)).await? {
        Answer::Queued(id) => Ok((StatusCode::ACCEPTED, Json(Queued { id: id.to_string() }))),
        other => Err(Refused::other(other)),
    }
}

pub(super) async fn join_channel(State(site): State<Site>, Part(name): Part) -> Reply<StatusCode> {
    begin(&site, Ask::Join(read_channel(&name)?)).await
}

pub(super) async fn leave_channel(State(site): State<Site>, Part(name): Part) -> Reply<StatusCode> {
    begin(&site, Ask::Leave(read_channel(&name)?)).await
}

async fn begin(site: &Site, ask: Ask) -> Reply<StatusCode> {
    match site.asks.ask(ask).await? {
        Answer::Done => Ok(StatusCode::ACCEPTED),
        other => Err(Refused::other(other)),
    }
}

/// The channels that the user is in.
#[derive(Serialize)]
pub(super) struct Channels {
    channels: Vec<String>,
}

pub(super) async fn channels(State(site): State<Site>) -> Reply<Json<Channels>> {
    match site.asks.ask(Ask::Channels).await? {
        Answer::Channels(channels) => {
            let channels = channels.iter().map(|name| name.as_str().to_owned()).collect();
            Ok(Json(Channels { channels }))
        }
        other => Err(Refused::other(other)),
    }
}

/// Which messages of a channel are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Those after the one with this id; all that are kept if that is not among them.
    since: Option<String>,
    /// How many at most, the newest.
    last: Option<usize>,
}

/// What was said in a channel, oldest first.
#[derive(Serialize)]
pub(super) struct Messages {
    channel: String,
    messages: Vec<Said>,
}

pub(super) async fn messages(
    State(site): State<Site>,
    Part(name): Part,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Reply<Json<Messages>> {
    let channel = read_channel(&name)?;
    let rule = || {
        let rule = format!("the parameters are since, an id, and last, a number from 1 to {HISTORY_MAX}");
        Refused::new(StatusCode::BAD_REQUEST, rule)
    };
    let Query(Wanted { since, last }) = wanted.map_err(|_| rule())?;
    if last.is_some_and(|last| !(1..=HISTORY_MAX).contains(&last)) {
        return Err(rule());
    }
    let last = last.unwrap_or(if since.is_some() { HISTORY_MAX } else { HISTORY });
    let id = RecordKey::Channel(channel.clone()).id();
    let entries = match site.asks.ask_root(id, Ask::Past(channel.clone(), last)).await? {
        Answer::Past(entries) => entries,
        other => return Err(Refused::other(other)),
    };
    let is_last_known = |id: String| entries.iter().position(|entry| entry.id.to_string() == id);
    let known = since.and_then(is_last_known).map_or(0, |place| place + 1);
    let messages = entries.iter().skip(known).map(Said::from).collect();
    Ok(Json(Messages { channel: channel.as_str().to_owned(), messages }))
}

fn read_channel(name: &str) -> Reply<ChannelName> {
    name.parse().map_err(|rule| not_a_name("channel", &rule))
}

fn not_a_name(what: &str, rule: &NotAName) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, format!("not the name of a {what}: {rule}"))
}
