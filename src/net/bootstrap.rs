//! How a node finds the ring: it asks one address after the other who is there.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::Config;
use super::greeting::{Greeter, Word};
use super::parting::Parting;
use crate::id::NodeHandle;
use crate::time::Time;

/// How long the search for a host's name may take.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// How many nodes are asked at a time.
const ASKED_MAX: usize = 64;

/// The addresses that were tried and lead to no ring: each as it was given, and why it is none.
#[derive(Debug, Default)]
pub struct Tried(pub Vec<(String, Parting)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (address, why)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Tried {}

/// The first node that answers well at one of `addresses`, each `host:port` or `ip:port`, and what was
/// tried before; an error if none does.
///
/// `me` is the node that asks and `listening` where it listens: an address that leads back
/// to it is passed over.
pub async fn bootstrap(
    me: NodeHandle,
    listening: SocketAddr,
    config: &Config,
    addresses: &[String],
) -> Result<(NodeHandle, Tried), Tried> {
    let greeter = Greeter { me, config: config.clone() };
    let mut tried = Vec::new();
    for address in addresses {
        let resolved = match resolve(address).await {
            Ok(resolved) => resolved,
            Err(why) => {
                tried.push((address.clone(), why));
                continue;
            }
        };
        for socket_address in resolved {
            let (asked, why) = match ask(&greeter, listening, socket_address).await {
                Ok(node) if node.addr() == socket_address => return Ok((node, Tried(tried))),
                // It is reached elsewhere, it says: whether that is so is better known now than later.
                Ok(node) => match ask(&greeter, listening, node.addr()).await {
                    Ok(node) => return Ok((node, Tried(tried))),
                    Err(why) => (node.addr(), why),
                },
                Err(why) => (socket_address, why),
            };
            // A name may stand for several addresses: the text says which one failed.
            let name = match *address == asked.to_string() {
                true => address.clone(),
                false => format!("{address} ({asked})"),
            };
            tried.push((name, why));
        }
    }
    Err(Tried(tried))
}

/// A node that answers well, of `nodes` that were in the ring once: all are asked at the same time.
pub async fn find_known(
    me: NodeHandle,
    listening: SocketAddr,
    config: &Config,
    nodes: &[NodeHandle],
) -> Option<NodeHandle> {
    let greeter = Greeter { me, config: config.clone() };
    let mut asked = JoinSet::new();
    for node in nodes {
        let (greeter, address) = (greeter.clone(), node.addr());
        asked.spawn(async move { ask(&greeter, listening, address).await });
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(node)) = answer {
            return Some(node);
        }
    }
    None
}

/// The nodes at `addresses`, each `host:port` or `ip:port`, whether they are there or not: so many at most as are
/// asked at a time. What leads nowhere is passed over.
pub async fn look_up(addresses: &[String]) -> Vec<NodeHandle> {
    let mut found = Vec::new();
    for address in addresses {
        found.extend(resolve(address).await.unwrap_or_default().into_iter().map(NodeHandle::new));
    }
    found.truncate(ASKED_MAX);
    found
}

/// From which address of this machine one of these nodes is reached, if from any; who listens at every address of
/// IPv4 has none of IPv6.
pub fn address_towards(nodes: &[NodeHandle], listening: SocketAddr) -> Option<IpAddr> {
    let mut fitting = nodes.iter().map(NodeHandle::addr).filter(|to| to.is_ipv4() || listening.is_ipv6());
    fitting.find_map(|to| route_to(to).ok())
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>, Parting> {
    match timeout(RESOLVE_DEADLINE, lookup_host(address)).await {
        Ok(found) => Ok(found.map_err(Parting::Resolve)?.collect()),
        Err(elapsed) => Err(Parting::Resolve(elapsed.into())),
    }
}

async fn ask(greeter: &Greeter, listening: SocketAddr, address: SocketAddr) -> Result<NodeHandle, Parting> {
    // The node itself does not answer yet, so it is known by its address.
    if address == greeter.me.addr() || leads_to(listening, address) {
        return Err(Parting::Itself);
    }
    Ok(greeter.call(address, Word::Ask, Time::default()).await?.peer)
}

/// Whether a connection to `address` would reach who listens at `listening`.
fn leads_to(listening: SocketAddr, address: SocketAddr) -> bool {
    if listening.port() != address.port() {
        return false;
    }
    listening.ip() == address.ip() || listening.ip().is_unspecified() && is_of_this_machine(address)
}

/// Whoever talks to an address of the own machine does so from the same address.
fn is_of_this_machine(address: SocketAddr) -> bool {
    route_to(address).is_ok_and(|from| from == address.ip())
}

/// From which address of this machine another one is reached.
/// Connecting a datagram socket sends nothing: it asks for the route.
fn route_to(address: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr =
        if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}
