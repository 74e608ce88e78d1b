//! The file of `--hosts`: on which machines nodes are started, and where the others reach them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::state::Node;
use crate::id::Id;

/// What stands for this machine.
const HERE: &str = ".";

/// How many machines there are at most: a connection is kept to each.
const SITES_MAX: usize = 64;

/// A machine on which nodes are started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Site {
    /// At which address its nodes listen.
    pub(super) ip: IpAddr,
    /// How it is reached, if it is not this one.
    pub(super) remote: Option<Remote>,
}

/// How another machine is reached, and what was copied there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Remote {
    /// As the user's ssh knows it.
    pub(super) host: String,
    /// The command for ssh and what it is told, of which there is one word at least.
    pub(super) ssh: Vec<String>,
    /// The directory of the network there.
    pub(super) dir: String,
    /// The program, in that directory.
    pub(super) program: String,
}

/// A program as it is copied.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Program {
    /// This one. Its name says what is in it: it is copied once, and not over another one that runs.
    pub(super) fn this() -> anyhow::Result<Program> {
        let path = std::env::current_exe().context("cannot tell where this program is")?;
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Program { name: format!("chat-{}", Id::hash(&bytes).short()), bytes })
    }
}

/// The machines in `file`, all with nodes of one network, whose directory on each is `dir`.
pub(super) fn read(file: &Path, ssh: &str, dir: &str, program: &str) -> anyhow::Result<Vec<Site>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let ssh: Vec<String> = ssh.split_whitespace().map(str::to_owned).collect();
    ensure!(!ssh.is_empty(), "--ssh is a command, as ssh or \"ssh -F FILE\"");
    let mut sites = Vec::new();
    let mut hosts = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let place = || format!("line {} of {}", number + 1, file.display());
        let Some((host, ip)) = host_and_address(line).with_context(place)? else { continue };
        ensure!(hosts.insert(host), "{}: {host} is named twice", place());
        let remote = (host != HERE).then(|| Remote {
            host: host.to_owned(),
            ssh: ssh.clone(),
            dir: dir.to_owned(),
            program: program.to_owned(),
        });
        sites.push(Site { ip, remote });
    }
    ensure!(!sites.is_empty(), "{} names no host", file.display());
    ensure!(sites.len() <= SITES_MAX, "{} names more than {SITES_MAX} hosts", file.display());
    Ok(sites)
}

/// What a line says, if it says something.
fn host_and_address(line: &str) -> anyhow::Result<Option<(&str, IpAddr)>> {
    let said = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let (host, address) = match words[..] {
        [] => return Ok(None),
        [host, address] => (host, address),
        _ => bail!("a line is a host as ssh knows it, a blank and the address of its nodes"),
    };
    // ssh would take it for an option.
    ensure!(!host.starts_with('-'), "no host is called {host}");
    let ip: IpAddr = address.parse().with_context(|| format!("{address} is not an IP address"))?;
    ensure!(!ip.is_unspecified(), "{ip} means every address: name the one at which the others reach {host}");
    Ok(Some((host, ip)))
}

/// Whether the nodes on these machines reach one another, and those that run already: an address of the loopback
/// interface means another machine on each.
pub(super) fn check_reach(sites: &[Site], nodes: &[Node]) -> anyhow::Result<()> {
    let running = nodes.iter().filter_map(|node| node.at).map(|at| at.addr.ip());
    let ips: BTreeSet<IpAddr> = sites.iter().map(|site| site.ip).chain(running).collect();
    match (ips.iter().find(|ip| ip.is_loopback()), ips.iter().find(|ip| !ip.is_loopback())) {
        (Some(near), Some(far)) => bail!(
            "a node at {near} is not reached by one at {far}: give every node an address that all others reach, and begin with chat net boot --hosts FILE"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sites(text: &str) -> Result<Vec<Site>, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hosts");
        fs::write(&file, text).unwrap();
        read(&file, "ssh -F config", "there", "chat-1")
            .map_err(|error| format!("{error:#}").replace(file.to_str().unwrap(), "FILE"))
    }

    #[test]
    fn a_line_is_a_host_and_its_address() {
        let read = sites("# two\n\n. 192.0.2.1\n  bob@far   2001:db8::1  # behind the wall\n").unwrap();
        let [here, far] = &read[..] else { panic!("{read:?}") };
        assert_eq!((here.ip.to_string(), &here.remote), ("192.0.2.1".to_owned(), &None));
        let remote = far.remote.as_ref().unwrap();
        assert_eq!((far.ip.to_string(), &remote.host[..]), ("2001:db8::1".to_owned(), "bob@far"));
        assert_eq!(remote.ssh, ["ssh", "-F", "config"]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let wrong = |text: &str| sites(text).unwrap_err();
        assert!(wrong("a 192.0.2.1\n\nb\n").starts_with("line 3 of FILE: a line is a host"));
        assert!(wrong("a 192.0.2.1 c").starts_with("line 1 of FILE: a line is a host"));
        assert!(wrong("a localhost").starts_with("line 1 of FILE: localhost is not an IP address"));
        assert!(wrong("a 0.0.0.0").contains("means every address"));
        assert_eq!(wrong("-oProxyCommand=x 192.0.2.1"), "line 1 of FILE: no host is called -oProxyCommand=x");
        assert_eq!(wrong("a 192.0.2.1\na 192.0.2.2"), "line 2 of FILE: a is named twice");
        assert_eq!(wrong("# nobody\n"), "FILE names no host");
        let many: String = (0..=SITES_MAX).map(|i| format!("h{i} 192.0.2.1\n")).collect();
        assert_eq!(wrong(&many), "FILE names more than 64 hosts");
    }

    #[test]
    fn nodes_on_loopback_and_on_other_machines_are_no_ring() {
        let all = |text: &str| check_reach(&sites(text).unwrap(), &[]);
        assert!(all(". 192.0.2.1\na 192.0.2.2").is_ok() && all("a 127.0.0.2\nb 127.0.0.3").is_ok());
        assert!(all(". 127.0.0.1\na 192.0.2.2").is_err());
    }
}
