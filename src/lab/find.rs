//! `find`: the way to a key, for which each node on it is asked in turn from here.
//!
//! find -> node: GetNextHop                see `chord::trace`
//! node -> find: NextHop
//!
//! The command talks to the nodes as they talk to one another, but it belongs to no ring and asks nothing else.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::say;
use super::state::{Lab, one_of};
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
    let value: ValueKey = key.parse().with_context(|| format!("{key:?} is no key"))?;
    let id = RecordKey::Value(value).id();
    let nodes = lab.running()?;
    let first = NodeHandle::new(one_of(&nodes)?.at()?.addr);
    let way = ask(lab, Question { first, key: id, linear }).await?;
    let names: BTreeMap<SocketAddr, &str> =
        nodes.iter().filter_map(|node| Some((node.at?.addr, &node.name[..]))).collect();
    let name = |node: NodeHandle| {
        names.get(&node.addr()).map_or_else(|| node.addr().to_string(), |name| (*name).to_owned())
    };
    if way.hops.is_empty() {
        bail!("{} does not answer", name(first));
    }
    say(&format!("{key} is {id}"))?;
    for (number, &(node, took)) in (1..).zip(&way.hops) {
        say(&format!("{number:>4}  {:<6} {}  {took:.1?}", name(node), node.id()))?;
    }
    for &node in &way.silent {
        say(&format!("      {:<6} {}  silent", name(node), node.id()))?;
    }
    match way.end {
        Ok(root) => say(&format!("{} is responsible: {} {}", name(root), root.id(), root.addr())),
        Err(dead_end) => bail!("no way to {key}: {dead_end}"),
    }
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
