//! The paths, and what each does.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get, post, put};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout, timeout_at};

use super::asks::{ANSWER_TIME_MAX, Unanswered};
use super::reply::{Found, Kept, NodeInfo, Peers, Refused, Values, Written};
use super::serve::Site;
use super::{events, guard, metrics, page, talk, views, watch};
use crate::chat::ask::{Answer, Ask};
use crate::chord::trace::{DeadEnd, Way};
use crate::id::{Id, NodeHandle};
use crate::json::node;
use crate::records::RecordKey;
use crate::records::value::{NotAKey, VALUE_BYTES_MAX, ValueKey};

/// How many values are told of at a time.
const VALUES_TOLD_MAX: usize = 1000;

/// How many nodes are asked to join at a time.
const JOINED_MAX: usize = 64;

/// How long it may take to look up where a node is.
const LOOK_UP_TIME_MAX: Duration = Duration::from_millis(2500);

/// As what a value is told that is no text, or is asked for as it is.
const ANY_BYTES: &str = "application/octet-stream";

/// In which header it is told which root has answered, where it listens for other nodes.
pub(crate) const ROOT: &str = "chord-root";

const OPENAPI: &str = include_str!("openapi.json");

pub(super) type Reply<T> = Result<T, Refused>;

/// The part of a path that names something.
pub(super) struct Part(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Reply<Part> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(part)) => Ok(Part(part)),
            Err(_) => Err(Refused::new(StatusCode::BAD_REQUEST, "the path is no text in UTF-8")),
        }
    }
}

pub(super) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/page/{file}", get(page::file))
        .route("/nodeinfo", get(node_info))
        .route("/db", get(values))
        .route("/db/{key}", get(get_value).put(put_value).delete(delete_value))
        .route("/dht/find/{key}", get(find))
        .route("/dht/peers", get(peers))
        .route("/dht/peers/view", get(views::peers))
        .route("/dht/watch", get(watch::watch))
        .route("/db/view/{key}", get(views::key))
        .route("/style.css", get(views::style))
        .route("/dht/join", put(join))
        .route("/dht/leave", post(leave))
        .route("/channels", get(talk::channels))
        .route("/channels/{name}/messages", get(talk::messages).post(talk::say_in_channel))
        .route("/channels/{name}/membership", put(talk::join_channel).delete(talk::leave_channel))
        .route("/users/{nick}/messages", post(talk::say_to_person))
        .route("/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi))
        .fallback(async || {
            Refused::new(StatusCode::NOT_FOUND, "there is no such path: /openapi.json has them")
        })
        .method_not_allowed_fallback(async || {
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method: see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(VALUE_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(site.clone(), guard::guard))
        .with_state(site)
}

async fn node_info(State(site): State<Site>) -> Reply<Json<NodeInfo>> {
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    let about = match site.asks.ask(Ask::Node).await? {
        Answer::Node(about) => *about,
        other => return Err(Refused::other(other)),
    };
    let connections = timeout_at(deadline, site.traffic.connections()).await;
    let connections = connections.map_err(|_| Unanswered::Late)?.ok_or(Unanswered::Stopped)?;
    Ok(Json(NodeInfo::new(about, &site.traffic, &connections)))
}

/// From which key on the values of this node are told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Option<String>,
}

async fn values(
    State(site): State<Site>,
    after: Result<Query<After>, QueryRejection>,
) -> Reply<Json<Values>> {
    let Query(After { after }) = after
        .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "the only parameter is after, which is a key"))?;
    let after = after.as_deref().map(read_key).transpose()?;
    match site.asks.ask(Ask::Values(after, VALUES_TOLD_MAX)).await? {
        Answer::Values { values, more } => Ok(Json(Values::new(values, more))),
        other => Err(Refused::other(other)),
    }
}

/// What is told with a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Besides {
    /// The way to its root.
    #[serde(default)]
    path: bool,
}

async fn get_value(
    State(site): State<Site>,
    Part(key): Part,
    besides: Result<Query<Besides>, QueryRejection>,
    headers: HeaderMap,
) -> Reply<Response> {
    let Query(Besides { path }) = besides.map_err(|_| {
        Refused::new(StatusCode::BAD_REQUEST, "the only parameter is path, which is true or false")
    })?;
    let asked = read_key(&key)?;
    let id = id_of(&asked);
    // At once: each may take as long as whoever asks waits.
    let (answer, way) = tokio::join!(site.asks.ask_root(id, Ask::Get(asked)), way_if(path, &site, id));
    let (value, root) = match answer? {
        Answer::Value { value: Some(value), root } => (value, root),
        Answer::Value { value: None, .. } => {
            return Err(Refused::new(StatusCode::NOT_FOUND, format!("{key} has no value")));
        }
        other => return Err(Refused::other(other)),
    };
    let is_wanted_as_it_is = headers.get(ACCEPT).is_some_and(|wanted| wanted == ANY_BYTES);
    let kind = (CONTENT_TYPE, HeaderValue::from_static(ANY_BYTES));
    let mut response = match (is_wanted_as_it_is, String::from_utf8(value)) {
        (false, Ok(value)) => Json(Kept::new(key, value, root, way?.as_ref())).into_response(),
        (true, Ok(value)) => ([kind], value).into_response(),
        (_, Err(error)) => ([kind], error.into_bytes()).into_response(),
    };
    if let Ok(root) = HeaderValue::from_str(&root.addr().to_string()) {
        response.headers_mut().insert(ROOT, root);
    }
    Ok(response)
}

/// The way to a root, if it is wanted, as far as it is found.
async fn way_if(is_wanted: bool, site: &Site, id: Id) -> Reply<Option<Way>> {
    if !is_wanted {
        return Ok(None);
    }
    match site.asks.ask(Ask::Find { key: id, linear: false }).await? {
        Answer::Way(way) if way.end == Err(DeadEnd::TooMany) => {
            Err(Refused::dead_end(DeadEnd::TooMany, &way))
        }
        Answer::Way(way) => Ok(Some(*way)),
        other => Err(Refused::other(other)),
    }
}

async fn put_value(
    State(site): State<Site>,
    Part(key): Part,
    body: Result<Bytes, BytesRejection>,
) -> Reply<(StatusCode, Json<Written>)> {
    let value = read_body(body, VALUE_BYTES_MAX)?;
    let (written, was_there) = write(&site, key, Some(value.to_vec())).await?;
    Ok((if was_there { StatusCode::OK } else { StatusCode::CREATED }, Json(written)))
}

async fn delete_value(State(site): State<Site>, Part(key): Part) -> Reply<Json<Written>> {
    let (written, was_there) = write(&site, key.clone(), None).await?;
    if !was_there {
        return Err(Refused::new(StatusCode::NOT_FOUND, format!("{key} has no value")));
    }
    Ok(Json(written))
}

/// Writes or deletes a value; returns whether there was one before.
async fn write(site: &Site, key: String, value: Option<Vec<u8>>) -> Reply<(Written, bool)> {
    let asked = read_key(&key)?;
    match site.asks.ask_root(id_of(&asked), Ask::Put(asked, value)).await? {
        Answer::Written { was_there, root } => Ok((Written { key, was_there, root: node(&root) }, was_there)),
        other => Err(Refused::other(other)),
    }
}

/// How the way to a key is looked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manner {
    /// Successor by successor.
    #[serde(default)]
    linear: bool,
}

async fn find(
    State(site): State<Site>,
    Part(key): Part,
    manner: Result<Query<Manner>, QueryRejection>,
) -> Reply<Json<Found>> {
    let Query(Manner { linear }) = manner.map_err(|_| {
        Refused::new(StatusCode::BAD_REQUEST, "the only parameter is linear, which is true or false")
    })?;
    let id = id_of(&read_key(&key)?);
    match site.asks.ask(Ask::Find { key: id, linear }).await? {
        Answer::Way(way) => match way.end {
            Ok(root) => Ok(Json(Found::new(key, root, &way))),
            Err(dead_end) => Err(Refused::dead_end(dead_end, &way)),
        },
        other => Err(Refused::other(other)),
    }
}

async fn peers(State(site): State<Site>) -> Reply<Json<Peers>> {
    match site.asks.ask(Ask::Ring).await? {
        Answer::Way(way) => Ok(Json(Peers::from(&*way))),
        other => Err(Refused::other(other)),
    }
}

#[derive(Serialize)]
struct Asked {
    /// Where the named nodes are: all addresses of each name.
    asked: Vec<String>,
}

async fn join(
    State(site): State<Site>,
    body: Result<Bytes, BytesRejection>,
) -> Reply<(StatusCode, Json<Asked>)> {
    let body = read_body(body, VALUE_BYTES_MAX)?;
    let wrong = |reason: String| Refused::new(StatusCode::BAD_REQUEST, reason);
    let text = std::str::from_utf8(&body).map_err(|_| wrong("the body is no text".to_owned()))?;
    let names: Vec<&str> = text.split_ascii_whitespace().collect();
    if names.is_empty() || JOINED_MAX < names.len() {
        return Err(wrong(format!(
            "the body is 1 to {JOINED_MAX} lines of HOST:PORT, this one has {}",
            names.len()
        )));
    }
    if let Some(name) = names.iter().find(|name| !is_host_and_port(name)) {
        return Err(wrong(format!("{name:?} is not HOST:PORT")));
    }
    let nodes = look_up_all(&names).await?;
    for &peer in &nodes {
        match site.asks.ask(Ask::Unite(peer)).await? {
            Answer::Done => {}
            other => return Err(Refused::other(other)),
        }
    }
    let asked = nodes.iter().map(|node| node.addr().to_string()).collect();
    Ok((StatusCode::ACCEPTED, Json(Asked { asked })))
}

fn is_host_and_port(name: &str) -> bool {
    let Some((host, port)) = name.rsplit_once(':') else { return false };
    let (host, signs) = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => (ipv6, &b":."[..]),
        None => (host, &b"-._"[..]),
    };
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || signs.contains(&byte);
    !host.is_empty()
        && host.bytes().all(is_of_host)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// Where the nodes of these names are, each once, in the order of the names: of a name that stands for several, all.
async fn look_up_all(names: &[&str]) -> Reply<Vec<NodeHandle>> {
    let mut nodes = Vec::new();
    // All at once, so that a slow one keeps nobody waiting twice.
    for found in try_join_all(names.iter().map(|name| look_up(name))).await? {
        for node in found {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    if JOINED_MAX < nodes.len() {
        let reason =
            format!("these are {} addresses, and {JOINED_MAX} nodes at most are asked to join", nodes.len());
        return Err(Refused::new(StatusCode::BAD_REQUEST, reason));
    }
    Ok(nodes)
}

async fn look_up(name: &str) -> Reply<Vec<NodeHandle>> {
    let found = timeout(LOOK_UP_TIME_MAX, lookup_host(name)).await.map_err(|_| {
        Refused::new(StatusCode::GATEWAY_TIMEOUT, format!("looking {name} up takes too long"))
    })?;
    let found: Vec<NodeHandle> = found.into_iter().flatten().map(NodeHandle::new).collect();
    if found.is_empty() {
        return Err(Refused::new(StatusCode::NOT_FOUND, format!("{name} is not found")));
    }
    Ok(found)
}

async fn leave(State(site): State<Site>) -> Reply<StatusCode> {
    site.asks.leave().await?;
    Ok(StatusCode::ACCEPTED)
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}

pub(super) fn read_key(key: &str) -> Reply<ValueKey> {
    key.parse().map_err(|rule: NotAKey| Refused::new(StatusCode::BAD_REQUEST, rule.to_string()))
}

/// Where a value lives on the circle.
pub(super) fn id_of(key: &ValueKey) -> Id {
    RecordKey::Value(key.clone()).id()
}

/// The body, which has at most so many bytes.
pub(super) fn read_body(body: Result<Bytes, BytesRejection>, limit: usize) -> Reply<Bytes> {
    let too_long =
        || Refused::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes"));
    match body {
        Ok(body) if limit < body.len() => Err(too_long()),
        Ok(body) => Ok(body),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_long()),
        Err(rejection) => Err(Refused::new(rejection.status(), "the body could not be read")),
    }
}
