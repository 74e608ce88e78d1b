//! What is answered, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::asks::{ANSWER_TIME_MAX, Unanswered};
use crate::chat::ask::{About, Answer, KeptValue};
use crate::chord::Failure;
use crate::chord::trace::{DeadEnd, Way};
use crate::id::NodeHandle;
use crate::json::{Finger, Hop, Node, finger, hop, node, rfc3339};
use crate::net::{Connection, Stage, Traffic};
use crate::records::channel::Entry;

/// A request that is not granted, and why.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    reason: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Refused {
        Refused { status, reason: reason.into() }
    }

    /// The node gave another answer than the one that was asked for.
    pub(super) fn other(answer: Answer) -> Refused {
        let (status, reason) = match answer {
            Answer::Refused(reason) => (StatusCode::INSUFFICIENT_STORAGE, reason),
            Answer::Conflict(reason) => (StatusCode::CONFLICT, reason),
            Answer::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "this node has not joined the ring yet, or is leaving it".to_owned(),
            ),
            Answer::Failed(Failure::NoAnswer | Failure::Unreachable) => {
                return Refused::from(Unanswered::Silent(None));
            }
            Answer::Failed(Failure::TooMany) => return Refused::from(Unanswered::TooMany),
            Answer::Node(_)
            | Answer::Value { .. }
            | Answer::Written { .. }
            | Answer::Way(_)
            | Answer::Queued(_)
            | Answer::Past(_)
            | Answer::Channels(_)
            | Answer::Survey(_)
            | Answer::Values { .. }
            | Answer::Done => {
                (StatusCode::INTERNAL_SERVER_ERROR, "this node gave an answer that does not fit".to_owned())
            }
        };
        Refused { status, reason }
    }

    /// The way does not end at a root.
    pub(super) fn dead_end(dead_end: DeadEnd, way: &Way) -> Refused {
        let last = way.hops.last().map(|(node, _)| format!(", after {}", node.addr())).unwrap_or_default();
        let silent = if way.silent.is_empty() {
            String::new()
        } else {
            format!("; silent: {}", addresses(&way.silent))
        };
        match dead_end {
            DeadEnd::TooMany => Refused::from(Unanswered::TooMany),
            DeadEnd::NobodyNearer => Refused::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the last node does not know yet who is nearer{last}{silent}"),
            ),
            DeadEnd::NoAnswer => Refused::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("too many nodes do not answer{last}{silent}"),
            ),
            DeadEnd::TooLong => Refused::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the way is too long, or takes too long{last}{silent}"),
            ),
        }
    }
}

fn not_answered(who: &str) -> String {
    format!("{who} not answered within {} s", ANSWER_TIME_MAX.as_secs_f64())
}

/// Where these nodes are.
pub(super) fn addresses(nodes: &[NodeHandle]) -> String {
    nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>().join(", ")
}

/// Who has not answered, as far as the way to the root tells it.
fn who_is_silent(way: Option<&Way>) -> String {
    match way {
        Some(Way { silent, .. }) if silent.len() == 1 => format!("{} has", addresses(silent)),
        Some(Way { silent, .. }) if !silent.is_empty() => format!("{} have", addresses(silent)),
        Some(Way { end: Ok(root), .. }) => format!("{}, which is responsible, has", root.addr()),
        _ => "the node that is responsible has".to_owned(),
    }
}

impl From<Unanswered> for Refused {
    fn from(why: Unanswered) -> Refused {
        match why {
            Unanswered::TooMany => Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many questions are under way; try again in a moment",
            ),
            Unanswered::Late => Refused::new(StatusCode::GATEWAY_TIMEOUT, not_answered("this node has")),
            Unanswered::Silent(way) => {
                Refused::new(StatusCode::GATEWAY_TIMEOUT, not_answered(&who_is_silent(way.as_deref())))
            }
            Unanswered::Stopped => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "this node has stopped"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Reason {
            error: String,
        }
        (self.status, Json(Reason { error: self.reason })).into_response()
    }
}

/// What a node knows of itself.
#[derive(Serialize)]
pub(super) struct NodeInfo {
    node: Node,
    nick: String,
    since: String,
    predecessor: Option<Node>,
    successors: Vec<Node>,
    fingers: Vec<Finger>,
    records_as_root: usize,
    records_as_copy: usize,
    messages_sent: u64,
    messages_received: u64,
    lookups: u64,
    connections: Vec<Link>,
}

impl NodeInfo {
    pub(super) fn new(about: About, traffic: &Traffic, connections: &[Connection]) -> NodeInfo {
        NodeInfo {
            node: node(&about.node),
            nick: about.nick.to_string(),
            since: rfc3339(traffic.since()),
            predecessor: about.predecessor.as_ref().map(node),
            successors: about.successors.iter().map(node).collect(),
            fingers: about.fingers.iter().map(|(exponent, at)| finger(*exponent, at)).collect(),
            records_as_root: about.records_as_root,
            records_as_copy: about.records_as_copy,
            messages_sent: traffic.sent(),
            messages_received: traffic.received(),
            lookups: traffic.lookups(),
            connections: connections.iter().map(Link::from).collect(),
        }
    }
}

/// A connection of a node.
#[derive(Serialize)]
struct Link {
    peer: Node,
    stage: &'static str,
    since: String,
    messages_sent: u64,
    messages_received: u64,
    bytes_waiting: usize,
}

impl From<&Connection> for Link {
    fn from(connection: &Connection) -> Link {
        Link {
            peer: node(&connection.peer),
            stage: match connection.stage {
                Stage::Dialling => "dialling",
                Stage::Awaiting => "awaiting",
                Stage::Open => "open",
                Stage::Closing => "closing",
            },
            since: rfc3339(connection.since),
            messages_sent: connection.sent,
            messages_received: connection.received,
            bytes_waiting: connection.bytes_waiting,
        }
    }
}

/// Values that this node keeps, in the order of their keys.
#[derive(Serialize)]
pub(super) struct Values {
    values: Vec<OwnValue>,
    more: usize,
}

/// A value that this node keeps.
#[derive(Serialize)]
struct OwnValue {
    key: String,
    bytes: usize,
    /// Whether this node is its root.
    root: bool,
}

impl Values {
    pub(super) fn new(values: Vec<KeptValue>, more: usize) -> Values {
        let own = |KeptValue { key, bytes, as_root }| OwnValue { key: key.into(), bytes, root: as_root };
        Values { values: values.into_iter().map(own).collect(), more }
    }
}

/// A value that is text.
#[derive(Serialize)]
pub(super) struct Kept {
    key: String,
    value: String,
    root: Node,
    /// The way there, where that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    hops: Option<Vec<Hop>>,
}

impl Kept {
    pub(super) fn new(key: String, value: String, root: NodeHandle, way: Option<&Way>) -> Kept {
        Kept { key, value, root: node(&root), hops: way.map(hops) }
    }
}

/// What was written, or deleted.
#[derive(Serialize)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) was_there: bool,
    pub(super) root: Node,
}

/// A message of a channel.
#[derive(Serialize)]
pub(super) struct Said {
    id: String,
    from: String,
    text: String,
    epoch: u64,
    seq: u64,
    time: String,
}

impl From<&Entry> for Said {
    fn from(entry: &Entry) -> Said {
        Said {
            id: entry.id.to_string(),
            from: entry.from.to_string(),
            text: entry.text.clone(),
            epoch: entry.place.epoch,
            seq: entry.place.seq,
            time: rfc3339(entry.at),
        }
    }
}

/// The way to the root of a key.
#[derive(Serialize)]
pub(super) struct Found {
    key: String,
    id: String,
    linear: bool,
    root: Node,
    hops: Vec<Hop>,
    silent: Vec<Node>,
}

impl Found {
    pub(super) fn new(key: String, root: NodeHandle, way: &Way) -> Found {
        Found {
            key,
            id: way.key.to_string(),
            linear: way.linear,
            root: node(&root),
            hops: hops(way),
            silent: way.silent.iter().map(node).collect(),
        }
    }
}

/// All nodes, as far as they answer.
#[derive(Serialize)]
pub(super) struct Peers {
    nodes: Vec<Node>,
    silent: Vec<Node>,
    /// Whether the walk came round.
    complete: bool,
}

impl From<&Way> for Peers {
    fn from(way: &Way) -> Peers {
        Peers {
            nodes: way.nodes().iter().map(node).collect(),
            silent: way.silent.iter().map(node).collect(),
            complete: way.end.is_ok(),
        }
    }
}

fn hops(way: &Way) -> Vec<Hop> {
    way.hops.iter().map(|(at, took)| hop(at, *took)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn who_is_silent_is_named_as_far_as_the_way_tells_it() {
        let node = |port: u16| NodeHandle::new(([127, 0, 0, 1], port).into());
        let said = |silent: &[NodeHandle], end| {
            let way =
                Way { key: Id::hash("k"), linear: false, hops: Vec::new(), silent: silent.to_vec(), end };
            Refused::from(Unanswered::Silent(Some(Box::new(way)))).reason
        };
        let late = "not answered within 2.8 s";
        assert_eq!(said(&[node(1)], Ok(node(2))), format!("127.0.0.1:1 has {late}"));
        let two = [node(1), node(3)];
        assert_eq!(said(&two, Err(DeadEnd::TooLong)), format!("127.0.0.1:1, 127.0.0.1:3 have {late}"));
        assert_eq!(said(&[], Ok(node(2))), format!("127.0.0.1:2, which is responsible, has {late}"));
        let unknown = Refused::from(Unanswered::Silent(None)).reason;
        assert_eq!(unknown, format!("the node that is responsible has {late}"));
        assert_eq!(said(&[], Err(DeadEnd::NobodyNearer)), unknown);
        assert_eq!(Refused::from(Unanswered::Late).reason, format!("this node has {late}"));
    }
}
