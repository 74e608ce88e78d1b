//! `leave`, `kill`, `killall`: ends nodes, and only those of this network.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Method;

use super::client::change;
use super::hosted::Request;
use super::link::Link;
use super::process::{kill as end, wait_until_gone};
use super::say;
use super::state::{Lab, Node};

/// How long a node may take to hand over: it gives up itself after less.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the system may take to end a process.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// How much longer that may take on another machine.
const WAY_TIME_MAX: Duration = Duration::from_secs(5);

/// `leave`.
pub(super) async fn leave(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let node = lab.node(name)?;
    change(lab, &node, Method::POST, "/dht/leave", &[]).await?.body()?;
    match node.link()? {
        None => wait_for_leave(lab, &node).await?,
        Some(link) => {
            link.ask(Request::Leaves { name: name.to_owned() }, LEAVE_TIME_MAX + WAY_TIME_MAX).await?;
            forget(lab, &[name])?;
        }
    }
    say(&format!("{name} has left"))
}

/// Waits until a node on this machine has left that was asked to.
pub(super) async fn wait_for_leave(lab: &Lab, node: &Node) -> anyhow::Result<()> {
    wait_until_gone(&node.name, LEAVE_TIME_MAX, || node.runs()).await?;
    forget(lab, &[&node.name])
}

/// `kill`.
pub(super) async fn kill(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let node = lab.node(name)?;
    let link = node.link()?;
    if !node.runs() {
        forget(lab, &[name])?;
        bail!("{name} does not run any more, and is forgotten");
    }
    match link {
        None => kill_here(lab, &[name]).await?,
        Some(link) => kill_elsewhere(lab, link, &[name]).await?,
    }
    say(&format!("{name} is killed"))
}

/// `killall`.
pub(super) async fn kill_all(lab: &Lab) -> anyhow::Result<()> {
    let nodes = lab.state()?.nodes;
    let (away, there): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| node.is_away());
    let (running, gone): (Vec<&Node>, Vec<&Node>) = there.iter().partition(|node| node.runs());
    // The machines go on if one of them fails; what it has is then not forgotten.
    let mut result = kill_here(lab, &names(running.iter().filter(|node| node.remote.is_none()))).await;
    for (remote, link) in lab.links() {
        let there = names(running.iter().filter(|node| node.remote.as_ref() == Some(remote)));
        result = result.and(kill_elsewhere(lab, link, &there).await);
    }
    result?;
    forget(lab, &names(gone.iter()))?;
    let killed = super::nodes(running.len());
    match gone.len() {
        0 => say(&format!("{killed} killed"))?,
        gone => say(&format!("{killed} killed, {gone} did not run any more"))?,
    }
    match away[..] {
        [] => Ok(()),
        [node, ..] => {
            let left = super::nodes(away.len());
            node.link().map(|_| ()).with_context(|| format!("{left} may run still"))
        }
    }
}

fn names<'a, 'b: 'a>(nodes: impl Iterator<Item = &'a &'b Node>) -> Vec<&'b str> {
    nodes.map(|node| node.name.as_str()).collect()
}

async fn kill_elsewhere(lab: &Lab, link: &Link, names: &[&str]) -> anyhow::Result<()> {
    let request = Request::Kill { names: names.iter().map(|&name| name.to_owned()).collect() };
    link.ask(request, KILL_TIME_MAX + WAY_TIME_MAX).await?;
    forget(lab, names)
}

/// Ends nodes of this machine.
pub(super) async fn kill_here(lab: &Lab, names: &[impl AsRef<str>]) -> anyhow::Result<()> {
    let is_meant = |node: &Node| names.iter().any(|name| name.as_ref() == node.name);
    let mut nodes = lab.state()?.nodes;
    nodes.retain(|node| is_meant(node) && node.runs());
    for node in &nodes {
        end(node.pid)?;
    }
    for node in &nodes {
        wait_until_gone(&node.name, KILL_TIME_MAX, || node.runs()).await?;
    }
    forget(lab, names)
}

/// Takes nodes out of the state.
fn forget(lab: &Lab, names: &[impl AsRef<str>]) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    locked.state.nodes.retain(|node| names.iter().all(|name| name.as_ref() != node.name));
    locked.save()
}
