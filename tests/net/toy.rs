//! A machine that does as it is told and tells what it hears, and real sockets to run it on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chord_chat::id::NodeHandle;
use chord_chat::machine::{Input, Machine, Output};
use chord_chat::net::{Clock, Config, Controls, Driver, News};
use chord_chat::time::Time;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough for a busy machine; no test waits so long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    Note(u64),
    Ping(u64),
    Pong(u64),
    Blob(Vec<u8>),
    /// Nobody is told.
    Noise(Vec<u8>),
}

pub enum Command {
    Send(NodeHandle, Message),
    WakeAfter(Duration),
    Stop,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Heard(NodeHandle, Message),
    Unreachable(NodeHandle, Vec<Message>),
    Woken,
}

/// Answers a ping, which counts as its lookup, with a pong.
pub struct Toy {
    me: NodeHandle,
    wakeup: Option<Time>,
}

impl Machine for Toy {
    type Command = Command;
    type Event = Event;
    type Message = Message;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(
        &mut self,
        now: Time,
        input: Input<Command, Message>,
        outputs: &mut Vec<Output<Event, Message>>,
    ) {
        match input {
            Input::Command(Command::Send(to, message)) => outputs.push(Output::Send { to, message }),
            Input::Command(Command::WakeAfter(duration)) => self.wakeup = Some(now + duration),
            Input::Command(Command::Stop) => outputs.push(Output::Stop),
            Input::Message { from, message: Message::Ping(n) } => {
                outputs.push(Output::Send { to: from, message: Message::Pong(n) });
            }
            Input::Message { message: Message::Noise(_), .. } => {}
            Input::Message { from, message } => outputs.push(Output::Event(Event::Heard(from, message))),
            Input::Unreachable { peer, undelivered } => {
                outputs.push(Output::Event(Event::Unreachable(peer, undelivered)));
            }
            Input::Wakeup => {
                assert!(self.wakeup.take().is_some_and(|due| due <= now), "no wake-up comes too early");
                outputs.push(Output::Event(Event::Woken));
            }
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.wakeup
    }

    fn lookup(&self, message: &Message) -> Option<u64> {
        match message {
            Message::Ping(n) => Some(*n),
            _ => None,
        }
    }
}

/// A toy on its driver.
pub struct Node {
    pub me: NodeHandle,
    pub controls: Controls<Toy>,
    pub task: JoinHandle<Toy>,
}

impl Node {
    pub async fn start(config: Config) -> Node {
        Node::start_at((Ipv4Addr::LOCALHOST, 0).into(), config).await
    }

    pub async fn start_at(address: SocketAddr, config: Config) -> Node {
        let listener = TcpListener::bind(address).await.unwrap();
        let me = NodeHandle::new(listener.local_addr().unwrap());
        Node::run(me, listener, config)
    }

    pub fn run(me: NodeHandle, listener: TcpListener, config: Config) -> Node {
        let toy = Toy { me, wakeup: None };
        let (driver, controls) = Driver::new(toy, listener, config, Clock::start());
        Node { me, controls, task: tokio::spawn(driver.run()) }
    }

    /// Two nodes, the one with the smaller id first: it is the one whose call is kept.
    pub async fn pair(config: &Config) -> (Node, Node) {
        let (one, two) = (Node::start(config.clone()).await, Node::start(config.clone()).await);
        if one.me.id() < two.me.id() { (one, two) } else { (two, one) }
    }

    pub async fn command(&self, command: Command) {
        assert!(self.controls.commands.send(command).await.is_ok(), "the driver runs");
    }

    pub async fn send(&self, to: NodeHandle, message: Message) {
        self.command(Command::Send(to, message)).await;
    }

    pub async fn note(&self, to: NodeHandle, n: u64) {
        self.send(to, Message::Note(n)).await;
    }

    pub async fn news(&mut self) -> News<Event> {
        let news = timeout(PATIENCE, self.controls.news.recv()).await;
        news.expect("something happens in time").expect("the driver runs")
    }

    pub async fn event(&mut self) -> Event {
        match self.news().await {
            News::Event(event) => event,
            other => panic!("an event was expected, not {other:?}"),
        }
    }

    /// The next event is this.
    pub async fn expect(&mut self, event: Event) {
        assert_eq!(self.event().await, event);
    }

    /// The next event is this note.
    pub async fn expect_note(&mut self, from: NodeHandle, n: u64) {
        self.expect(Event::Heard(from, Message::Note(n))).await;
    }

    pub async fn ping(&mut self, to: NodeHandle, n: u64) {
        self.send(to, Message::Ping(n)).await;
        self.expect(Event::Heard(to, Message::Pong(n))).await;
    }

    /// The peer is unreachable, and these were not delivered.
    pub async fn expect_unreachable(&mut self, peer: NodeHandle, undelivered: Vec<Message>) {
        self.expect(Event::Unreachable(peer, undelivered)).await;
    }

    pub async fn stop(self) {
        self.command(Command::Stop).await;
        timeout(PATIENCE, self.task).await.expect("it stops in time").unwrap();
    }

    /// Ends the node as a crash does: its connections are closed without a goodbye.
    pub async fn crash(self) {
        self.controls.abort.cancel();
        timeout(PATIENCE, self.task).await.expect("it stops in time").unwrap();
    }
}
