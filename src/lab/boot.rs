//! `boot`, `add`, `addmany`: starts nodes, and waits until they are one ring.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hosted::Request;
use super::hosts::{Program, Remote, Site};
use super::link::Link;
use super::options::On;
use super::process::LOOK_EVERY;
use super::progress::Progress;
use super::state::{At, Lab, Locked, Node, one_of};
use super::{client, hosts, process, say, warn};

/// How long a node may take until it is in the ring.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the ring may take until every node knows its neighbours.
const RING_TIME_MAX: Duration = Duration::from_secs(60);

/// How long another machine may take to start its nodes: what starting takes, and the way there.
const START_ELSEWHERE_TIME_MAX: Duration = Duration::from_secs(40);

/// `boot`.
pub(super) async fn boot(lab: &Lab, count: i64, on: &On) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    check_all_are_reached(&locked)?;
    let running = locked.state.nodes.iter().filter(|node| node.runs()).count();
    if 0 < running {
        bail!(
            "{running} nodes run already: add more with chat net addmany, or end them with chat net killall"
        );
    }
    let gone = locked.state.forget_gone().len();
    if 0 < gone {
        let gone = super::nodes(gone);
        say(&format!("{gone} of before no longer there: forgotten"))?;
    }
    lab.remove_logs()?;
    locked.state.sites.clear();
    start_and_tell(&mut locked, lab, count, on).await
}

/// `add` and `addmany`.
pub(super) async fn add(lab: &Lab, count: i64, on: &On) -> anyhow::Result<()> {
    let mut locked = lab.lock()?;
    lab.running()?;
    check_all_are_reached(&locked)?;
    let gone = locked.state.forget_gone();
    if !gone.is_empty() {
        let names: Vec<&str> = gone.iter().map(|node| node.name.as_str()).collect();
        warn(&format!("{} no longer there: forgotten: {}", super::nodes(gone.len()), names.join(", ")));
    }
    start_and_tell(&mut locked, lab, count, on).await
}

/// Of a ring a part of which is not seen, nobody can tell whether it is one.
fn check_all_are_reached(locked: &Locked<'_>) -> anyhow::Result<()> {
    let Some(node) = locked.state.nodes.iter().find(|node| node.is_away()) else { return Ok(()) };
    node.link().map(|_| ()).with_context(|| {
        let file = locked.file();
        format!(
            "nothing is started; if that machine is gone for good, take its nodes out of {}",
            file.display()
        )
    })
}

async fn start_and_tell(locked: &mut Locked<'_>, lab: &Lab, count: i64, on: &On) -> anyhow::Result<()> {
    let began = Instant::now();
    let progress = Progress::new()?;
    prepare_sites(locked, lab, on, &progress).await?;
    progress.begin("starting", usize::try_from(count).unwrap_or_default());
    // The others join through nodes that are there.
    let alone = locked.state.nodes.is_empty();
    if alone {
        start(locked, lab, 1, &progress).await?;
    }
    start(locked, lab, count - i64::from(alone), &progress).await?;
    let nodes = &locked.state.nodes;
    let new = &nodes[nodes.len() - usize::try_from(count).unwrap_or_default()..];
    let names = match new {
        [one] => one.name.clone(),
        [first, .., last] => format!("{} to {}", first.name, last.name),
        [] => String::new(),
    };
    let all_the_same =
        || format!("what was started goes on ({names}), but is not seen to be one ring with the others");
    wait_for_ring(nodes, &progress).await.with_context(all_the_same)?;
    progress.end();
    let (ring, took) = (super::nodes(nodes.len()), began.elapsed().as_secs_f64());
    say(&format!("{names}: one ring of {ring}, after {took:.1} s"))
}

/// Learns on which machines to start nodes, and copies the program to each that does not have it.
async fn prepare_sites(
    locked: &mut Locked<'_>,
    lab: &Lab,
    on: &On,
    progress: &Progress,
) -> anyhow::Result<()> {
    if on.hosts.is_none() && locked.state.sites.iter().all(|site| site.remote.is_none()) {
        return Ok(());
    }
    let program = Arc::new(Program::this()?);
    if let Some(file) = &on.hosts {
        locked.state.sites = hosts::read(file, &on.ssh, &lab.dir_elsewhere(), &program.name)?;
    }
    hosts::check_reach(&locked.state.sites, &locked.state.nodes)?;
    let mut installing = JoinSet::new();
    for remote in locked.state.sites.iter_mut().filter_map(|site| site.remote.as_mut()) {
        remote.program.clone_from(&program.name);
        let (remote, program, token) = (remote.clone(), program.clone(), lab.token.clone());
        installing.spawn(async move { remote.install(&program, &token).await });
    }
    progress.begin("copying the program", installing.len());
    while let Some(installed) = installing.join_next().await {
        installed.context("copying was broken off")??;
        progress.advance(1);
    }
    Ok(())
}

/// Starts so many nodes at once, each on the machine whose turn it is, and waits until each is in the ring.
async fn start(locked: &mut Locked<'_>, lab: &Lab, count: i64, progress: &Progress) -> anyhow::Result<()> {
    let through: Vec<_> = locked.state.nodes.iter().filter_map(|node| node.at).map(|at| at.addr).collect();
    let mut here = Start { ip: Ipv4Addr::LOCALHOST.into(), names: Vec::new(), through };
    let mut elsewhere: BTreeMap<Remote, Start> = BTreeMap::new();
    for _ in 0..count {
        let (name, Site { ip, remote }) = locked.state.next();
        let Some(remote) = remote else {
            here.ip = ip;
            here.names.push(name);
            continue;
        };
        locked.state.nodes.push(Node::new(name.clone(), Some(remote.clone())));
        let start = Start { ip, names: Vec::new(), through: here.through.clone() };
        elsewhere.entry(remote).or_insert(start).names.push(name);
    }
    if elsewhere.is_empty() {
        return start_here(locked, lab, &here, progress).await;
    }
    // Whoever ends this command now knows of them all the same.
    locked.save()?;
    let mut asked = JoinSet::new();
    for (remote, start) in elsewhere {
        let progress = progress.clone();
        asked.spawn(async move {
            let count = start.names.len();
            let link = Link::open_for(&remote, BTreeSet::new()).await?;
            link.ask(Request::Start(start), START_ELSEWHERE_TIME_MAX).await?;
            progress.advance(count);
            Ok(())
        });
    }
    let mut result = start_here(locked, lab, &here, progress).await;
    while let Some(answer) = asked.join_next().await {
        result = result.and(answer.context("a request was broken off")?);
    }
    learn_what_was_started(locked, lab).await?;
    result
}

/// Asks the other machines: what one of them has started in vain, or not at all, is forgotten.
async fn learn_what_was_started(locked: &mut Locked<'_>, lab: &Lab) -> anyhow::Result<()> {
    locked.save()?;
    locked.state = lab.clone().linked(None).await?.state()?;
    let nodes = &mut locked.state.nodes;
    nodes.retain(|node| node.at.is_some() || node.is_away());
    // In the order in which they were named: the longer of two names has the larger number.
    nodes.sort_by(|one, other| (one.name.len(), &one.name).cmp(&(other.name.len(), &other.name)));
    locked.save()
}

/// Nodes that are to be started on one machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// Where they listen.
    ip: IpAddr,
    /// How they are named.
    names: Vec<String>,
    /// The nodes through which they join, each through one of them; without any, they begin a ring.
    through: Vec<SocketAddr>,
}

/// Starts nodes on this machine at once, and waits until each is in the ring.
pub(super) async fn start_here(
    locked: &mut Locked<'_>,
    lab: &Lab,
    start: &Start,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut started = Vec::new();
    for name in &start.names {
        let bootstrap = if start.through.is_empty() { None } else { Some(one_of(&start.through)?) };
        let child = spawn(lab, name, start.ip, bootstrap)?;
        if let Some(began) = process::beginning(child.id()) {
            locked.state.nodes.push(Node { pid: child.id(), began, ..Node::new(name.clone(), None) });
            // Whoever ends this command now knows of it all the same.
            locked.save()?;
        }
        started.push((name, child));
    }
    let deadline = Instant::now() + START_TIME_MAX;
    let mut failure = None;
    for (name, mut child) in started {
        match wait_until_ready(lab, name, &mut child, deadline).await {
            Ok(at) => locked
                .state
                .nodes
                .iter_mut()
                .filter(|node| node.name == *name)
                .for_each(|node| node.at = Some(at)),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                locked.state.nodes.retain(|node| node.name != *name);
                failure.get_or_insert(error);
            }
        }
        progress.advance(1);
    }
    locked.save()?;
    failure.map_or(Ok(()), Err)
}

fn spawn(lab: &Lab, name: &str, ip: IpAddr, bootstrap: Option<SocketAddr>) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let path = lab.log_file(name);
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let errors = log.try_clone().context("cannot write the log twice")?;
    let mut command = Command::new(&program);
    let addr = SocketAddr::new(ip, 0).to_string();
    command.args(["--network", &lab.network(), "--nick", name, "--addr", &addr]);
    command.args(["--http", "127.0.0.1:0", "--http-token-file"]);
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
    /// When it was started, in RFC 3339.
    pub(super) since: String,
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
///
/// Who says nothing is named once, as soon as that is noticed: it is waited for like the others.
async fn wait_for_ring(nodes: &[Node], progress: &Progress) -> anyhow::Result<()> {
    progress.begin("becoming one ring", nodes.len());
    let deadline = Instant::now() + RING_TIME_MAX;
    let mut named = BTreeSet::new();
    loop {
        let mut places = BTreeMap::new();
        let mut late = None;
        for node in nodes {
            match place(node).await {
                Ok(place) => drop(places.insert(place.node.id.clone(), place)),
                Err(error) if node.runs() => {
                    if named.insert(&node.name) {
                        progress.warn(&format!("waiting for {}: {error:#}", node.name));
                    }
                    late = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let right = count_in_place(&places);
        progress.reach(right);
        if late.is_none() && right == places.len() {
            return Ok(());
        }
        if deadline <= Instant::now() {
            if let Some(error) = late {
                return Err(error);
            }
            bail!("the nodes are not one ring after {} s: see chat net ps", RING_TIME_MAX.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// How many of these know the one after them, and are known to it.
fn count_in_place(places: &BTreeMap<String, Place>) -> usize {
    let ids: Vec<&String> = places.keys().collect();
    let follows = |(place, id): &(usize, &&String)| {
        let (id, next) = (**id, ids[(place + 1) % ids.len()]);
        let is_next = |peer: Option<&Peer>| peer.is_none_or(|peer| peer.id == *next);
        let is_this = |peer: Option<&Peer>| peer.is_none_or(|peer| peer.id == *id);
        let has_other = ids.len() == 1 || !places[id].successors.is_empty();
        has_other && is_next(places[id].successors.first()) && is_this(places[next].predecessor.as_ref())
    };
    ids.iter().enumerate().filter(follows).count()
}
