//! Pages for people: the ring as a circle, and the way to a key, drawn and as tables.
//!
//! They are made here and have no script, so that they are the same in every browser, and for who reads the page's text.

use std::f64::consts::TAU;
use std::fmt::Write;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};

use super::reply::{Refused, addresses};
use super::routes::{Part, Reply, id_of, read_key};
use super::serve::Site;
use crate::chat::ask::{Answer, Ask};
use crate::chord::trace::Way;
use crate::id::{Id, NodeHandle};

/// Nothing but our own style sheet.
const POLICY: &str = "default-src 'none'; style-src 'self'";

const STYLE: &str = include_str!("style.css");

/// The picture's middle, and how far from it nodes and marks stand.
const MIDDLE: f64 = 200.0;
const RADIUS: f64 = 150.0;
const MARK_RADIUS: f64 = 172.0;

pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")], STYLE).into_response()
}

/// `GET /dht/peers/view`.
pub(super) async fn peers(State(site): State<Site>) -> Reply<Response> {
    let way = way(&site, Ask::Ring).await?;
    let nodes = way.nodes();
    let mut picture = Picture::default();
    for node in &nodes {
        picture.node(node, if nodes.first() == Some(node) { "here" } else { "node" });
    }
    let mut body = format!("<h1>A ring of {}</h1>\n", count(nodes.len(), "node"));
    if way.end.is_err() {
        body += "<p class=\"wrong\">The walk did not come round: not all nodes are shown.</p>\n";
    }
    if !way.silent.is_empty() {
        let _ = writeln!(body, "<p class=\"wrong\">Silent: {}.</p>", addresses(&way.silent));
    }
    body += &picture.end("The nodes at their places on the circle; the one that was asked is filled.");
    body += "<table>\n<tr><th></th><th>Id</th><th>Address</th></tr>\n";
    for (number, node) in nodes.iter().enumerate() {
        let _ =
            writeln!(body, "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", number + 1, node.id(), node.addr());
    }
    body += "</table>\n";
    Ok(page("The ring", &body))
}

/// `GET /db/view/{key}`.
pub(super) async fn key(State(site): State<Site>, Part(key): Part) -> Reply<Response> {
    let id = id_of(&read_key(&key)?);
    let mut body =
        format!("<h1>The way to {}</h1>\n<p>It is {id}.</p>\n<div class=\"beside\">\n", escaped(&key));
    // All at once: each may take as long as whoever asks waits.
    let find = |linear| way(&site, Ask::Find { key: id, linear });
    let (circle, by_fingers, by_successors) =
        tokio::try_join!(way(&site, Ask::Ring), find(false), find(true))?;
    let circle = circle.nodes();
    for (way, heading) in [(by_fingers, "By fingers"), (by_successors, "Successor by successor")] {
        let _ = writeln!(
            body,
            "<section>\n<h2>{heading}: {}</h2>",
            count(way.nodes().len().saturating_sub(1), "step")
        );
        body += &drawn(&circle, &way);
        body += &table(&way);
        body += "</section>\n";
    }
    body += "</div>\n";
    Ok(page("The way to a key", &body))
}

async fn way(site: &Site, ask: Ask) -> Reply<Way> {
    match site.asks.ask(ask).await? {
        Answer::Way(way) => Ok(*way),
        other => Err(Refused::other(other)),
    }
}

fn drawn(circle: &[NodeHandle], way: &Way) -> String {
    let mut picture = Picture::default();
    let nodes = way.nodes();
    picture.way(&nodes);
    for node in circle {
        let is_root = way.end == Ok(*node);
        let class = if is_root {
            "root"
        } else if nodes.contains(node) {
            "here"
        } else {
            "node"
        };
        picture.node(node, class);
    }
    picture.mark(way.key);
    picture.end("The way from node to node; the cross is the key, the ring the node that is responsible.")
}

fn table(way: &Way) -> String {
    let mut table = "<table>\n<tr><th></th><th>Node</th><th>Took</th></tr>\n".to_owned();
    for (number, (node, took)) in way.hops.iter().enumerate() {
        let took = if took.is_zero() { String::new() } else { format!("{took:.1?}") };
        let _ = writeln!(
            table,
            "<tr><td>{number}</td><td title=\"{}\">{}</td><td>{took}</td></tr>",
            node.id(),
            node.addr()
        );
    }
    for node in &way.silent {
        let _ = writeln!(
            table,
            "<tr><td></td><td title=\"{}\">{}</td><td>silent</td></tr>",
            node.id(),
            node.addr()
        );
    }
    let end = match way.end {
        Ok(root) => format!("{} is responsible.", root.addr()),
        Err(_) => "The way did not come to an end.".to_owned(),
    };
    table + "</table>\n<p>" + &end + "</p>\n"
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn page(title: &str, body: &str) -> Response {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n{body}</body>\n</html>\n"
    );
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(text)).into_response()
}

/// A text that has no meaning in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The circle, with what is drawn on it.
#[derive(Default)]
struct Picture(String);

impl Picture {
    fn node(&mut self, node: &NodeHandle, class: &str) {
        let ((x, y), id, addr) = (place(node.id(), RADIUS), node.id(), node.addr());
        let _ = writeln!(
            self.0,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{id} {addr}</title></circle>"
        );
    }

    fn way(&mut self, nodes: &[NodeHandle]) {
        let points: Vec<String> = nodes
            .iter()
            .map(|node| place(node.id(), RADIUS))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(self.0, "<polyline class=\"way\" points=\"{}\"/>", points.join(" "));
    }

    fn mark(&mut self, key: Id) {
        let (x, y) = place(key, MARK_RADIUS);
        let _ = writeln!(
            self.0,
            "<path class=\"mark\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"><title>{key}</title></path>",
            x - 5.0,
            y - 5.0
        );
    }

    fn end(self, what: &str) -> String {
        let size = 2.0 * MIDDLE;
        format!(
            "<svg viewBox=\"0 0 {size} {size}\" role=\"img\" aria-label=\"{what}\">\n\
             <circle class=\"ring\" cx=\"{MIDDLE}\" cy=\"{MIDDLE}\" r=\"{RADIUS}\"/>\n{}</svg>\n",
            self.0
        )
    }
}

/// How far round an id is, from 0 up to 1.
fn part_of_circle(id: Id) -> f64 {
    // The digits after these are less than can be drawn.
    let first = u32::from_str_radix(&id.short(), 16).unwrap_or_default();
    f64::from(first) / 2.0_f64.powi(32)
}

/// Where an id stands: 0 is at the top, and it goes round as a clock does.
fn place(id: Id, radius: f64) -> (f64, f64) {
    let turn = part_of_circle(id) * TAU;
    (MIDDLE + radius * turn.sin(), MIDDLE - radius * turn.cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_written_has_no_meaning_in_a_page() {
        assert_eq!(escaped("<b title=\"x\">&amp;"), "&lt;b title=&quot;x&quot;&gt;&amp;amp;");
    }

    #[test]
    fn the_circle_begins_at_the_top_and_goes_as_a_clock_does() {
        let near = |(x, y): (f64, f64), (a, b): (f64, f64)| (x - a).abs() < 1e-6 && (y - b).abs() < 1e-6;
        let id = |hex: &str| format!("{hex:0<40}").parse::<Id>().unwrap();
        assert!(near(place(id("0"), RADIUS), (MIDDLE, MIDDLE - RADIUS)));
        assert!(near(place(id("4"), RADIUS), (MIDDLE + RADIUS, MIDDLE)));
        assert!(near(place(id("8"), RADIUS), (MIDDLE, MIDDLE + RADIUS)));
    }
}
