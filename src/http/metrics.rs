//! Figures for Prometheus, in its text format.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::reply::Refused;
use super::serve::Site;
use crate::chat::ask::{Answer, Ask};

/// "text/plain; version=0.0.4" (Prometheus, exposition formats).
const FORMAT: &str = "text/plain; version=0.0.4";

pub(super) async fn metrics(State(site): State<Site>) -> Result<Response, Refused> {
    let about = match site.asks.ask(Ask::Node).await? {
        Answer::Node(about) => about,
        other => return Err(Refused::other(other)),
    };
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP chat_{name} {help}\n# TYPE chat_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "chat_{name}{labels} {value}");
        }
    };
    let records = [
        ("{role=\"root\"}", about.records_as_root as u64),
        ("{role=\"copy\"}", about.records_as_copy as u64),
    ];
    metric("records", "gauge", "Records that this node keeps.", &records);
    metric("successors", "gauge", "Nodes in the successor list.", &[("", about.successors.len() as u64)]);
    metric("fingers", "gauge", "Different nodes among the fingers.", &[("", about.fingers.len() as u64)]);
    let has_predecessor = u64::from(about.predecessor.is_some());
    metric("predecessor", "gauge", "Whether the node before this one is known.", &[("", has_predecessor)]);
    metric("messages_sent_total", "counter", "Messages sent to other nodes.", &[("", site.traffic.sent())]);
    metric(
        "messages_received_total",
        "counter",
        "Messages received from other nodes.",
        &[("", site.traffic.received())],
    );
    metric("lookups_total", "counter", "Lookups begun by this node.", &[("", site.traffic.lookups())]);
    metric("http_requests_total", "counter", "Requests that were let through.", &[("", site.requests())]);
    metric(
        "questions_under_way",
        "gauge",
        "Requests that wait for the ring.",
        &[("", site.asks.under_way() as u64)],
    );
    Ok(([(CONTENT_TYPE, FORMAT)], text).into_response())
}
