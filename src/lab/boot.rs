//! `boot`, `add`, `addmany`: starts nodes, and waits until they are one ring.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde::Deserialize;
use tokio::time::sleep;

use super::process::LOOK_EVERY;
use super::state::{At, Lab, Locked, Node, one_of};
use super::{client, process, say};

/// How long a node may take until it is in the ring.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the ring may take until every node knows its neighbours.
const RING_TIME_MAX: Duration = Duration::from_secs(60);

/// `boot`.
pub(super) async fn boot(lab: &Lab, count: i64) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    let running = locked.state.nodes.iter().filter(|node| node.runs()).count();
    if 0 < running {
        bail!(
            "{running} nodes run already: add more with chat net addmany, or end them with chat net killall"
        );
    }
    let gone = locked.state.nodes.len();
    if 0 < gone {
        let gone = super::nodes(gone);
        say(&format!("{gone} of before no longer there: forgotten"))?;
    }
    start_and_tell(&mut locked, lab, count).await
}

/// `add` and `addmany`.
pub(super) async fn add(lab: &Lab, count: i64) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    lab.running()?;
    start_and_tell(&mut locked, lab, count).await
}

async fn start_and_tell(locked: &mut Locked<'_>, lab: &Lab, count: i64) -> anyhow::Result<()> {
    let began = Instant::now();
    locked.state.forget_gone();
    let progress = ProgressBar::new(u64::try_from(count).unwrap_or_default());
    // The others join through nodes that are there.
    let alone = locked.state.nodes.is_empty();
    if alone {
        start(locked, lab, 1, &progress).await?;
    }
    start(locked, lab, count - i64::from(alone), &progress).await?;
    progress.finish_and_clear();
    let nodes = &locked.state.nodes;
    wait_for_ring(nodes).await?;
    let names = match &nodes[nodes.len() - usize::try_from(count).unwrap_or_default()..] {
        [one] => one.name.clone(),
        [first, .., last] => format!("{} to {}", first.name, last.name),
        [] => String::new(),
    };
    let (ring, took) = (super::nodes(nodes.len()), began.elapsed().as_secs_f64());
    say(&format!("{names}: one ring of {ring}, after {took:.1} s"))
}

/// Starts so many nodes at once, and waits until each is in the ring.
async fn start(locked: &mut Locked<'_>, lab: &Lab, count: i64, progress: &ProgressBar) -> anyhow::Result<()> {
    let there: Vec<At> = locked.state.nodes.iter().filter_map(|node| node.at).collect();
    let mut started = Vec::new();
    for _ in 0..count {
        let bootstrap = if there.is_empty() { None } else { Some(one_of(&there)?.addr) };
        let name = locked.state.new_name();
        let child = spawn(lab, &name, bootstrap)?;
        if let Some(began) = process::beginning(child.id()) {
            locked.state.nodes.push(Node { name: name.clone(), pid: child.id(), began, at: None });
            // Whoever ends this command now knows of it all the same.
            locked.save()?;
        }
        started.push((name, child));
    }
    let deadline = Instant::now() + START_TIME_MAX;
    let mut failure = None;
    for (name, mut child) in started {
        match wait_until_ready(lab, &name, &mut child, deadline).await {
            Ok(at) => locked
                .state
                .nodes
                .iter_mut()
                .filter(|node| node.name == name)
                .for_each(|node| node.at = Some(at)),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                locked.state.nodes.retain(|node| node.name != name);
                failure.get_or_insert(error);
            }
        }
        progress.inc(1);
    }
    locked.save()?;
    failure.map_or(Ok(()), Err)
}

fn spawn(lab: &Lab, name: &str, bootstrap: Option<SocketAddr>) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let path = lab.log_file(name);
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let errors = log.try_clone().context("cannot write the log twice")?;
    let mut command = Command::new(&program);
    command.args(["--nick", name, "--addr", "127.0.0.1:0", "--http", "127.0.0.1:0", "--http-token-file"]);
    command.arg(lab.token_file()).args(["--headless", "--json", "--ephemeral"]);
    if let Some(bootstrap) = bootstrap {
        command.args(["--bootstrap", &bootstrap.to_string()]);
    }
    // Of its own group, it goes on when Ctrl-C ends this command.
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

async fn wait_until_ready(lab: &Lab, name: &str, child: &mut Child, deadline: Instant) -> anyhow::Result<At> {
    loop {
        let ended = child.try_wait().context("cannot tell whether the node runs")?;
        let log = lab.log_file(name);
        if let Some(status) = ended {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let last = text.lines().last().unwrap_or("it has told nothing");
            bail!("{name} has ended ({status}): {last}");
        }
        if let Some(at) = lab.told_at(name) {
            return Ok(at);
        }
        if deadline <= Instant::now() {
            bail!("{name} is not in the ring within {} s: see {}", START_TIME_MAX.as_secs(), log.display());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A node as it names others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Peer {
    pub(super) id: String,
    pub(super) addr: SocketAddr,
}

/// What a node knows of its place.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Place {
    pub(super) node: Peer,
    pub(super) predecessor: Option<Peer>,
    pub(super) successors: Vec<Peer>,
    pub(super) fingers: Vec<Finger>,
    pub(super) records_as_root: usize,
    pub(super) records_as_copy: usize,
    pub(super) messages_sent: u64,
    pub(super) messages_received: u64,
    pub(super) lookups: u64,
    pub(super) connections: Vec<Connection>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Finger {
    pub(super) exponent: u32,
    pub(super) node: Peer,
}

/// A connection of a node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    /// How far it is.
    pub(super) stage: String,
    /// When it was made, in RFC 3339.
    pub(super) since: String,
    pub(super) messages_sent: u64,
    pub(super) messages_received: u64,
    pub(super) bytes_waiting: usize,
}

/// What a node says of its place, if it is the one that was started.
pub(super) async fn place(node: &Node) -> anyhow::Result<Place> {
    let place: Place = client::get(node, "/nodeinfo").await?.json()?;
    let At { addr, http } = node.at()?;
    if place.node.addr != addr {
        bail!("at {http} there is another node than {}", node.name);
    }
    Ok(place)
}

/// Waits until the successor of each node is the next one, and the predecessor the one before.
async fn wait_for_ring(nodes: &[Node]) -> anyhow::Result<()> {
    let deadline = Instant::now() + RING_TIME_MAX;
    loop {
        let mut places = BTreeMap::new();
        for node in nodes {
            let place = place(node).await?;
            places.insert(place.node.id.clone(), place);
        }
        let ids: Vec<&String> = places.keys().collect();
        let follows = |(place, &id): (usize, &&String)| {
            let next = ids[(place + 1) % ids.len()];
            let is_next = |peer: Option<&Peer>| peer.is_none_or(|peer| peer.id == *next);
            let is_this = |peer: Option<&Peer>| peer.is_none_or(|peer| peer.id == *id);
            let has_other = ids.len() == 1 || !places[id].successors.is_empty();
            has_other && is_next(places[id].successors.first()) && is_this(places[next].predecessor.as_ref())
        };
        if ids.iter().enumerate().all(follows) {
            return Ok(());
        }
        if deadline <= Instant::now() {
            bail!("the nodes run, but are not one ring after {} s: see chat net ps", RING_TIME_MAX.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}
