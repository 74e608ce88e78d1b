//! `leave`, `kill`, `killall`: ends nodes, and only those of this network.

use std::time::Duration;

use anyhow::bail;
use hyper::Method;

use super::client::change;
use super::process::{kill as end, wait_until_gone};
use super::state::{Lab, Node};
use super::{nodes, say};

/// How long a node may take to hand over: it gives up itself after less.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the system may take to end a process.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// `leave`.
pub(super) async fn leave(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let node = lab.node(name)?;
    change(lab, &node, Method::POST, "/dht/leave", &[]).await?.body()?;
    wait_until_gone(name, LEAVE_TIME_MAX, || node.runs()).await?;
    forget(lab, |other| *other == node)?;
    say(&format!("{name} has left"))
}

/// `kill`.
pub(super) async fn kill(lab: &Lab, name: &str) -> anyhow::Result<()> {
    let node = lab.node(name)?;
    if !node.runs() {
        forget(lab, |other| *other == node)?;
        bail!("{name} does not run any more, and is forgotten");
    }
    end(node.pid)?;
    wait_until_gone(name, KILL_TIME_MAX, || node.runs()).await?;
    forget(lab, |other| *other == node)?;
    say(&format!("{name} is killed"))
}

/// `killall`.
pub(super) async fn kill_all(lab: &Lab) -> anyhow::Result<()> {
    let (running, gone): (Vec<_>, Vec<_>) = lab.state()?.nodes.into_iter().partition(Node::runs);
    for node in &running {
        end(node.pid)?;
    }
    for node in &running {
        wait_until_gone(&node.name, KILL_TIME_MAX, || node.runs()).await?;
    }
    forget(lab, |node| running.contains(node) || gone.contains(node))?;
    let killed = nodes(running.len());
    match gone.len() {
        0 => say(&format!("{killed} killed")),
        gone => say(&format!("{killed} killed, {gone} did not run any more")),
    }
}

/// Takes nodes out of the state.
fn forget(lab: &Lab, is_meant: impl Fn(&Node) -> bool) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    locked.state.nodes.retain(|node| !is_meant(node));
    locked.save()
}
