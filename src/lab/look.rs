//! `ps`, `nodeinfo`, `logs`: shows what there is.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::time::sleep;

use super::boot::{Connection, Finger, Peer, Place, place};
use super::hosted::Request;
use super::state::{Lab, Node};
use super::{client, link, say};
use crate::repl::safe;

/// How many digits of an id are shown where there is little room.
const DIGITS: usize = 8;

/// How often it is looked whether a node has told more.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many bytes of a log are shown at a time.
const PART_BYTES: usize = 64 * 1024;

/// The beginning of a node's id.
pub(super) fn short(peer: Option<&Peer>) -> &str {
    peer.map_or("-", |peer| peer.id.get(..DIGITS).unwrap_or(&peer.id))
}

/// `ps`.
pub(super) async fn ps(lab: &Lab) -> anyhow::Result<()> {
    let nodes = lab.state()?.nodes;
    say(&format!(
        "{:<6} {:>8} {:<8} {:<21} {:<21} {:<8} {:<8} {:>7} {:>7} {:>8} {:<20} {}",
        "NODE", "PID", "ID", "ADDRESS", "HTTP", "BEFORE", "NEXT", "ROOT OF", "COPIES", "KiB", "SINCE", "HOST"
    ))?;
    let asked: Vec<_> =
        nodes.iter().cloned().map(|node| tokio::spawn(async move { place(&node).await })).collect();
    for (node, asked) in nodes.iter().zip(asked) {
        let place = asked.await.context("a question was broken off")?;
        say(&row(node, &place))?;
    }
    Ok(())
}

/// A time in RFC 3339, in UTC, without what comes after the second.
fn to_the_second(time: &str) -> String {
    time.split('.').next().map(|time| format!("{time}Z")).unwrap_or_default()
}

fn row(node: &Node, place: &anyhow::Result<Place>) -> String {
    let Node { name, pid, at, remote, .. } = node;
    let host = remote.as_ref().map_or(".", |remote| &remote.host);
    let http = at.map_or_else(String::new, |at| at.http.to_string());
    let head = format!("{name:<6} {pid:>8}");
    match place {
        Ok(place) => format!(
            "{head} {:<8} {:<21} {http:<21} {:<8} {:<8} {:>7} {:>7} {:>8} {:<20} {host}",
            short(Some(&place.node)),
            place.node.addr,
            short(place.predecessor.as_ref()),
            short(place.successors.first()),
            place.records_as_root,
            place.records_as_copy,
            node.memory().map_or("-".to_owned(), |memory| memory.to_string()),
            to_the_second(&place.since),
        ),
        Err(error) => format!("{head} {error:#}"),
    }
}

/// `nodeinfo`.
pub(super) async fn node_info(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let node = lab.node(name)?;
    let place = place(&node).await?;
    let values = values(lab, &node).await?;
    about(lab, &node, &place, Some(&values))?.iter().try_for_each(|line| say(line))
}

/// Values that a node keeps: those whose keys come first.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Values {
    values: Vec<Value>,
    /// How many more there are.
    more: usize,
}

#[derive(Clone, Debug, Deserialize)]
struct Value {
    key: String,
    bytes: usize,
    /// Whether the node is its root.
    root: bool,
}

impl Values {
    fn lines(&self) -> impl Iterator<Item = String> {
        let line = |Value { key, bytes, root }: &Value| {
            let role = if *root { "root" } else { "copy" };
            format!("value        {}, {bytes} bytes, as {role}", safe::line(key))
        };
        let more = (0 < self.more).then(|| format!("value        and {} more", self.more));
        self.values.iter().map(line).chain(more)
    }
}

/// Which values a node keeps.
pub(super) async fn values(lab: &Lab, node: &Node) -> anyhow::Result<Values> {
    client::get_private(lab, node, "/db").await?.json()
}

/// All that a node says of itself, in lines.
pub(super) fn about(
    lab: &Lab,
    node: &Node,
    place: &Place,
    values: Option<&Values>,
) -> anyhow::Result<Vec<String>> {
    let peer = |peer: &Peer| format!("{} {}", peer.id, peer.addr);
    let on = node.remote.as_ref().map(|remote| format!(" on {}", remote.host)).unwrap_or_default();
    let log = match &node.remote {
        None => lab.log_file(&node.name),
        Some(remote) => Lab::log_file_in(Path::new(&remote.dir), &node.name),
    };
    let mut lines = vec![
        format!("name         {}, process {}", node.name, node.pid),
        format!("node         {}", peer(&place.node)),
        format!("network      {}", lab.network()),
        format!("HTTP         http://{}{on}", node.at()?.http),
        format!("log          {}{on}", log.display()),
        format!("since        {}", place.since),
        format!("memory       {}", node.memory().map_or("-".to_owned(), |memory| format!("{memory} KiB"))),
        format!("records      {} as root, {} as copy", place.records_as_root, place.records_as_copy),
        format!("messages     {} sent, {} received", place.messages_sent, place.messages_received),
        format!("lookups      {}", place.lookups),
        format!("predecessor  {}", place.predecessor.as_ref().map_or("-".to_owned(), peer)),
    ];
    let successors = place.successors.iter().enumerate();
    lines.extend(successors.map(|(number, node)| format!("successor    {} {}", number + 1, peer(node))));
    let finger = |finger: &Finger| format!("finger       from 2^{} {}", finger.exponent, peer(&finger.node));
    lines.extend(place.fingers.iter().map(finger));
    lines.extend(place.connections.iter().map(|connection| {
        let Connection { peer: other, stage, since, messages_sent, messages_received, bytes_waiting } =
            connection;
        let waiting =
            if *bytes_waiting == 0 { String::new() } else { format!(", {bytes_waiting} bytes wait") };
        format!(
            "connection   {} {stage} since {since}, {messages_sent} sent, {messages_received} received{waiting}",
            peer(other)
        )
    }));
    lines.extend(values.into_iter().flat_map(Values::lines));
    Ok(lines)
}

/// `logs`.
pub(super) async fn logs(lab: &Lab, name: &str, follow: bool) -> anyhow::Result<()> {
    let node = match lab.node(name) {
        Ok(node) => node,
        // Of a node that was killed there is what it had told.
        Err(_) if lab.has_log(name) => return show_log(None, open_log(lab, name)?, follow).await,
        Err(error) => return Err(error),
    };
    if let Some(link) = node.link()? {
        let name = name.to_owned();
        link.ask(Request::Log { name, follow }, link::REACH_TIME_MAX).await?;
        return link.copy_rest().await;
    }
    show_log(Some(&node), open_log(lab, name)?, follow).await
}

pub(super) fn open_log(lab: &Lab, name: &str) -> anyhow::Result<File> {
    let path = lab.log_file(name);
    File::open(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Shows a log; where it is to be followed, for as long as there is a node that runs.
pub(super) async fn show_log(node: Option<&Node>, mut log: File, follow: bool) -> anyhow::Result<()> {
    let mut part = vec![0; PART_BYTES];
    loop {
        // What a node tells last, it has told before it ends.
        let goes_on = follow && node.is_some_and(Node::runs);
        let count = log.read(&mut part).context("the log cannot be read")?;
        super::write(&part[..count])?;
        match count {
            0 if !goes_on => return Ok(()),
            0 => sleep(LOOK_EVERY).await,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_with_their_size_and_role_and_those_beyond_are_counted() {
        let lines = |text: &str| serde_json::from_str::<Values>(text).unwrap().lines().collect::<Vec<_>>();
        let all =
            r#"{"values":[{"key":"a b","bytes":3,"root":true},{"key":"c","bytes":0,"root":false}],"more":0}"#;
        assert_eq!(lines(all), ["value        a b, 3 bytes, as root", "value        c, 0 bytes, as copy"]);
        assert_eq!(lines(&all.replace("\"more\":0", "\"more\":7"))[2], "value        and 7 more");
    }
}
