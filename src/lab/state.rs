//! Which nodes there are: the file `net.json` in the directory of the network.
//!
//! Two commands may run at a time: who changes the file holds a lock meanwhile, and replaces it as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::hosted::Seen;
use super::hosts::{Remote, Site};
use super::link::Link;
use super::{process, warn};
use crate::http::Token;
use crate::id::Id;
use crate::store::data_root;

/// The directory of one network.
#[derive(Clone, Debug)]
pub(super) struct Lab {
    dir: PathBuf,
    pub(super) token: Token,
    /// The connections of this command to other machines.
    links: BTreeMap<Remote, Arc<Link>>,
}

/// The nodes of a network.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// The number in the newest name: none is given twice.
    last: u32,
    /// On which machines nodes are started; without any, on this one, on loopback.
    #[serde(default)]
    pub(super) sites: Vec<Site>,
    pub(super) nodes: Vec<Node>,
}

/// A node that was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    /// By which the user names it.
    pub(super) name: String,
    pub(super) pid: u32,
    /// When the system says that this process began: another one that has its number by now began at another time.
    pub(super) began: String,
    /// Where other nodes and programs reach it, once it is in the ring.
    pub(super) at: Option<At>,
    /// On which other machine it is, where a state like this one says the same of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remote: Option<Remote>,
    /// The connection to that machine, if it is there.
    #[serde(skip)]
    pub(super) link: Option<Arc<Link>>,
}

/// Where a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) addr: SocketAddr,
    pub(super) http: SocketAddr,
}

impl Node {
    /// One whose process nothing is known of yet.
    pub(super) fn new(name: String, remote: Option<Remote>) -> Node {
        Node { name, pid: 0, began: String::new(), at: None, remote, link: None }
    }

    /// Whether its process is still there; on another machine, whether it was when this command began.
    pub(super) fn runs(&self) -> bool {
        match &self.remote {
            None => process::beginning(self.pid).as_deref() == Some(self.began.as_str()),
            Some(_) => self.seen().is_some_and(|seen| seen.runs),
        }
    }

    /// Whether its machine cannot be reached, so that nobody can tell whether it runs.
    pub(super) fn is_away(&self) -> bool {
        self.remote.is_some() && self.link.is_none()
    }

    /// Whether it is on another machine, and was not there yet when that was asked.
    pub(super) fn is_unknown(&self) -> bool {
        self.remote.is_some() && self.seen().is_none()
    }

    /// How much memory it takes, in KiB, if the system says it.
    pub(super) fn memory(&self) -> Option<u64> {
        match &self.remote {
            None => process::memory(self.pid),
            Some(_) => self.seen()?.memory,
        }
    }

    fn seen(&self) -> Option<&Seen> {
        self.link.as_ref()?.seen.iter().find(|seen| seen.node.name == self.name)
    }

    /// The connection to its machine, if it is on another one.
    pub(super) fn link(&self) -> anyhow::Result<Option<&Link>> {
        match (&self.remote, &self.link) {
            (Some(Remote { host, .. }), None) => bail!("{} is on {host}, which cannot be reached", self.name),
            (_, link) => Ok(link.as_deref()),
        }
    }

    pub(super) fn at(&self) -> anyhow::Result<At> {
        self.at.with_context(|| format!("{} is not in the ring yet", self.name))
    }
}

/// An event of a node.
#[derive(Deserialize)]
struct Told {
    event: String,
    addr: Option<SocketAddr>,
}

/// The state, which nobody else changes as long as this is there.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    lab: &'a Lab,
    pub(super) state: State,
    /// Its lock ends with it.
    _lock: File,
}

impl Lab {
    /// The network in this directory, or in the usual one; the directory is made if it is not there.
    pub(super) fn new(dir: Option<PathBuf>) -> anyhow::Result<Lab> {
        let dir = match dir {
            Some(dir) => dir,
            // No person has a directory of this name: a dot in a nick is written in another way.
            None => data_root()?.join("net.d"),
        };
        fs::create_dir_all(dir.join("logs")).with_context(|| format!("cannot make {}", dir.display()))?;
        let token = Token::in_file(&dir.join("token"))?;
        Ok(Lab { dir, token, links: BTreeMap::new() })
    }

    /// The same with a connection to every other machine that has nodes, or to that of the only node that is meant.
    ///
    /// A machine that cannot be reached is told, and the command goes on without.
    pub(super) async fn linked(self, only: Option<&str>) -> anyhow::Result<Lab> {
        let (lab, failures) = self.link(only).await?;
        for error in failures {
            warn(&format!("{error:#}"));
        }
        Ok(lab)
    }

    /// The same with new connections to all machines, and why there is none to some.
    pub(super) async fn linked_anew(&self) -> anyhow::Result<(Lab, Vec<anyhow::Error>)> {
        Lab { links: BTreeMap::new(), ..self.clone() }.link(None).await
    }

    async fn link(mut self, only: Option<&str>) -> anyhow::Result<(Lab, Vec<anyhow::Error>)> {
        let mut ports: BTreeMap<Remote, BTreeSet<u16>> = BTreeMap::new();
        for node in self.state()?.nodes.into_iter().filter(|node| only.is_none_or(|name| name == node.name)) {
            if let Some(remote) = node.remote {
                ports.entry(remote).or_default().extend(node.at.map(|at| at.http.port()));
            }
        }
        let mut opening = JoinSet::new();
        for (remote, ports) in ports {
            opening.spawn(async move { (Link::open(&remote, ports).await, remote) });
        }
        let mut failures = Vec::new();
        while let Some(opened) = opening.join_next().await {
            match opened.context("a connection was broken off")? {
                (Ok(link), remote) => {
                    self.links.insert(remote, Arc::new(link));
                }
                (Err(error), _) => failures.push(error),
            }
        }
        Ok((self, failures))
    }

    /// The other machines that are reached.
    pub(super) fn links(&self) -> impl Iterator<Item = (&Remote, &Link)> {
        self.links.iter().map(|(remote, link)| (remote, &**link))
    }

    /// The directory of this network on another machine, from the home directory there.
    pub(super) fn dir_elsewhere(&self) -> String {
        // Who has no token cannot tell which network it is.
        format!(".local/share/chord-chat/net.d-{}", Id::hash(self.token.to_string()).short())
    }

    /// The name that the nodes give their network: a port that one of another network has had leads to none of this.
    pub(super) fn network(&self) -> String {
        format!("lab-{}", Id::hash(self.token.to_string()).short())
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// What a node tells.
    pub(super) fn log_file(&self, name: &str) -> PathBuf {
        Lab::log_file_in(&self.dir, name)
    }

    /// Whether there is what a node of this name has told, which may have ended.
    pub(super) fn has_log(&self, name: &str) -> bool {
        // Nothing else than a name is looked for.
        name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && self.log_file(name).is_file()
    }

    /// Removes what nodes have told of which none is known any more.
    pub(super) fn remove_logs(&self) -> anyhow::Result<()> {
        let dir = self.dir.join("logs");
        let remove = || -> std::io::Result<()> {
            for file in fs::read_dir(&dir)? {
                let path = file?.path();
                if path.extension().is_some_and(|kind| kind == "log") {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        remove().with_context(|| format!("cannot remove what is in {}", dir.display()))
    }

    /// The same in the directory of a network on another machine.
    pub(super) fn log_file_in(dir: &Path, name: &str) -> PathBuf {
        dir.join("logs").join(format!("{name}.log"))
    }

    fn state_file(&self) -> PathBuf {
        self.dir.join("net.json")
    }

    /// What the file says.
    pub(super) fn state(&self) -> anyhow::Result<State> {
        let file = self.state_file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let mut state: State = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: end its nodes, and remove it", file.display()))?;
        for node in &mut state.nodes {
            node.link = node.remote.as_ref().and_then(|remote| self.links.get(remote)).cloned();
            // Whoever started these may have been ended before they were in the ring.
            if node.remote.is_some()
                && let Some(Seen { node: seen, .. }) = node.seen().cloned()
            {
                (node.pid, node.began, node.at) = (seen.pid, seen.began, seen.at);
            } else if node.at.is_none() {
                node.at = self.told_at(&node.name);
            }
        }
        Ok(state)
    }

    /// Where a node says that it is reached, once it is in the ring.
    pub(super) fn told_at(&self, name: &str) -> Option<At> {
        let text = fs::read_to_string(self.log_file(name)).ok()?;
        let is_ready = |told: Told| told.addr.filter(|_| told.event == "ready");
        let addr = text.lines().filter_map(|line| serde_json::from_str(line).ok()).find_map(is_ready)?;
        let served = text.lines().find_map(|line| line.strip_prefix("chat: HTTP at http://"))?;
        Some(At { addr, http: served.split(';').next()?.parse().ok()? })
    }

    /// The state, to be changed.
    pub(super) fn lock(&self) -> anyhow::Result<Locked<'_>> {
        let path = self.dir.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Locked { lab: self, state: self.state()?, _lock: lock })
    }

    /// The nodes that run, of which there is one at least.
    pub(super) fn running(&self) -> anyhow::Result<Vec<Node>> {
        let nodes = self.state()?.nodes;
        let started = nodes.len();
        let running: Vec<Node> = nodes.into_iter().filter(|node| node.at.is_some() && node.runs()).collect();
        match (running.is_empty(), started) {
            (false, _) => Ok(running),
            (true, 0) => bail!("no node runs: chat net boot starts some"),
            (true, _) => bail!("no node runs any more: chat net boot starts others"),
        }
    }

    /// One of the nodes that run, at random.
    pub(super) fn any(&self) -> anyhow::Result<Node> {
        one_of(&self.running()?)
    }

    /// The node of this name.
    pub(super) fn node(&self, name: &str) -> anyhow::Result<Node> {
        let node = self.state()?.nodes.into_iter().find(|node| node.name == name);
        node.with_context(|| format!("there is no node {name}: chat net ps lists them"))
    }
}

impl State {
    /// A name that no node has had, and where that node is to run: the machines have turns.
    pub(super) fn next(&mut self) -> (String, Site) {
        let turn = usize::try_from(self.last).unwrap_or_default().checked_rem(self.sites.len());
        self.last += 1;
        let here = Site { ip: Ipv4Addr::LOCALHOST.into(), remote: None };
        (format!("n{}", self.last), turn.map_or(here, |turn| self.sites[turn].clone()))
    }

    /// Forgets the nodes that do not run any more, and returns them.
    pub(super) fn forget_gone(&mut self) -> Vec<Node> {
        self.nodes.extract_if(.., |node| !node.runs() && !node.is_away()).collect()
    }
}

impl Locked<'_> {
    /// The file of the state.
    pub(super) fn file(&self) -> PathBuf {
        self.lab.state_file()
    }

    /// Writes what has changed.
    pub(super) fn save(&self) -> anyhow::Result<()> {
        let (file, new) = (self.lab.state_file(), self.lab.dir.join("net.json.new"));
        let text = serde_json::to_string_pretty(&self.state).context("the state is no JSON")?;
        fs::write(&new, text + "\n")
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// One of these, of which there is one at least, at random.
pub(super) fn one_of<T: Clone>(some: &[T]) -> anyhow::Result<T> {
    let place = getrandom::u32().context("the system gives no random numbers")? as usize % some.len();
    Ok(some[place].clone())
}
