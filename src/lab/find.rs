//! `find`: the way to a key, for which each node on it is asked in turn from here.
//!
//! find -> node: GetNextHop                see `chord::trace`
//! node -> find: NextHop
//!
//! The command talks to the nodes as they talk to one another, but it belongs to no ring and asks nothing else.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::say;
use super::state::{Lab, Node, one_of};
use crate::chat::payload::Payload;
use crate::chord::trace::Way;
use crate::chord::{Chord, Message, Output, Upcall};
use crate::id::{Id, NodeHandle};
use crate::machine::{self, Input, Machine};
use crate::net::{Clock, Config, Driver, News, address_towards};
use crate::records::RecordKey;
use crate::records::value::ValueKey;
use crate::time::Time;

/// How long the whole may take: longer than a way may, which ends by itself.
const TIME_MAX: Duration = Duration::from_secs(40);

/// Whom to ask first, for which key, and whether to go successor by successor.
struct Question {
    first: NodeHandle,
    key: Id,
    linear: bool,
}

/// Asks for one way, then stops.
struct Asker(Chord<Payload>);

impl Machine for Asker {
    type Command = Question;
    type Event = Way;
    type Message = Message<Payload>;

    fn me(&self) -> NodeHandle {
        self.0.me()
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Question, Message<Payload>>,
        outputs: &mut Vec<machine::Output<Way, Message<Payload>>>,
    ) {
        match input {
            Input::Command(Question { first, key, linear }) => {
                self.0.trace_from(now, first, key, linear);
            }
            Input::Message { from, message: message @ Message::NextHop { .. } } => {
                self.0.handle(now, Input::Message { from, message });
            }
            // Whoever takes this for a node asks in vain.
            Input::Message { .. } => {}
            Input::Unreachable { peer, undelivered } => {
                self.0.handle(now, Input::Unreachable { peer, undelivered });
            }
            Input::Wakeup => self.0.handle(now, Input::Wakeup),
        }
        while let Some(output) = self.0.next_output() {
            match output {
                Output::Send { to, message } => outputs.push(machine::Output::Send { to, message }),
                Output::Upcall(Upcall::Traced { way, .. }) => {
                    outputs.extend([machine::Output::Event(way), machine::Output::Stop]);
                }
                Output::Upcall(_) => {}
            }
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.0.next_wakeup()
    }
}

/// Shows the way to a key from a node at random.
pub(super) async fn find(lab: &Lab, key: &str, linear: bool) -> anyhow::Result<()> {
    let nodes = lab.running()?;
    let way = way(lab, &one_of(&nodes)?, key, linear).await?;
    lines(&nodes, key, &way).iter().try_for_each(|line| say(line))?;
    match way.end {
        Ok(root) => {
            let name = name_of(&nodes, root.addr());
            say(&format!("{name} is responsible: {} {}", root.id(), root.addr()))
        }
        Err(dead_end) => bail!("no way to {key}: {dead_end}"),
    }
}

/// The way to a key from a node, which answers.
pub(super) async fn way(lab: &Lab, first: &Node, key: &str, linear: bool) -> anyhow::Result<Way> {
    let value: ValueKey = key.parse().with_context(|| format!("{key:?} is no key"))?;
    let id = RecordKey::Value(value).id();
    let way = ask(lab, Question { first: NodeHandle::new(first.at()?.addr), key: id, linear }).await?;
    ensure!(!way.hops.is_empty(), "{} does not answer", first.name);
    Ok(way)
}

/// A way hop by hop, with how long each took.
pub(super) fn lines(nodes: &[Node], key: &str, way: &Way) -> Vec<String> {
    let name = |node: NodeHandle| name_of(nodes, node.addr());
    let mut lines = vec![format!("{key} is {}", way.key)];
    let hops = (1..).zip(&way.hops);
    lines.extend(
        hops.map(|(number, &(node, took))| {
            format!("{number:>4}  {:<6} {}  {took:.1?}", name(node), node.id())
        }),
    );
    let silent = way.silent.iter();
    lines.extend(silent.map(|&node| format!("      {:<6} {}  silent", name(node), node.id())));
    lines
}

/// The name of the node at an address, or the address of one that is none of these.
pub(super) fn name_of(nodes: &[Node], addr: SocketAddr) -> String {
    let is_there = |node: &&Node| node.at.is_some_and(|at| at.addr == addr);
    nodes.iter().find(is_there).map_or_else(|| addr.to_string(), |node| node.name.clone())
}

async fn ask(lab: &Lab, question: Question) -> anyhow::Result<Way> {
    let first = question.first;
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let here = address_towards(&[first], any).with_context(|| format!("no way to {}", first.addr()))?;
    let listener = TcpListener::bind((here, 0)).await.with_context(|| format!("cannot listen at {here}"))?;
    let me = NodeHandle::new(listener.local_addr().context("cannot tell where this command listens")?);
    let clock = Clock::start();
    let asker = Asker(Chord::new(me, 1, clock.now()));
    let (driver, mut controls) = Driver::new(asker, listener, Config::new(lab.network()), clock);
    controls.commands.send(question).await.context("the way cannot be asked for")?;
    let late = || format!("no answer within {} s", TIME_MAX.as_secs());
    timeout(TIME_MAX, driver.run()).await.with_context(late)?;
    let mut parted = None;
    while let Ok(news) = controls.news.try_recv() {
        match news {
            News::Event(way) => return Ok(way),
            News::Parted { address, why } => parted = Some(format!("parted from {address}: {why}")),
            News::TooLong { .. } | News::DiskLost(_) | News::Missed(_) => {}
        }
    }
    bail!(parted.unwrap_or_else(|| "the way was not told".to_owned()))
}
