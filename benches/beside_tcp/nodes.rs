//! Nodes of a ring in this process: the driver and the front end of each run side by side, as in the
//! program.

use std::net::Ipv4Addr;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use chord_chat::chat::event::{Event, SentState};
use chord_chat::chord::SUCCESSORS;
use chord_chat::id::{Id, NodeHandle};
use chord_chat::net::{Clock, Config, Controls, Driver, NETWORK, News};
use chord_chat::node::kept::Kept;
use chord_chat::node::{Command, Node};
use chord_chat::records::name::Person;
use chord_chat::store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::arrivals::Arrivals;
use super::counted::{Counted, Traffic};
use super::host::Host;
use super::{FLOOD_MESSAGES, FRAME_BYTES, MEMBERS, is_ephemeral};

/// How many messages the sender of a flood has on their way at once.
const WINDOW: usize = 512;

/// How long a ring may take until it is right.
const SETTLE_MAX: Duration = Duration::from_secs(60);

enum Job {
    /// Carry out a command, and wait for an event.
    Until { command: Command, is_answer: fn(&Event) -> bool, answer: blocking::Sender<Event> },
    /// Send private messages, one after the other.
    Private { to: String, count: usize, times: blocking::Sender<Vec<Duration>> },
    /// Send a message to a channel and wait until all members were shown it, and again.
    FanOut { channel: String, count: usize, times: blocking::Sender<Vec<Duration>> },
    /// Send many messages to a channel and wait until all members were shown them, and again.
    Flood { channel: String, count: usize, times: blocking::Sender<Vec<Duration>> },
}

/// A node, its driver and its front end.
pub struct RunningNode {
    /// The node's handle.
    pub handle: NodeHandle,
    /// What it has sent.
    pub traffic: Traffic,
    jobs: mpsc::UnboundedSender<Job>,
}

impl RunningNode {
    /// Starts a node, which adds what it is shown of channels to `arrivals`.
    fn start(
        host: &Host,
        nick: &str,
        bootstrap: Option<NodeHandle>,
        arrivals: &Arrivals,
    ) -> Result<RunningNode, String> {
        let nick = nick.parse().expect("a nick");
        let arrivals = arrivals.clone();
        let traffic = Traffic::default();
        let sent = traffic.clone();
        let (jobs, asked) = mpsc::unbounded_channel();
        let (tell, told) = blocking::channel();
        host.run(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            let handle = NodeHandle::new(listener.local_addr().expect("a bound listener"));
            let clock = Clock::start();
            let mut node = Node::new(nick, handle, clock.now());
            // As in the program, unless a run is to show what the disk costs.
            let directory = (!is_ephemeral()).then(|| tempfile::tempdir().expect("a directory"));
            let mut opened = None;
            if let Some(directory) = &directory {
                let person = Person::of_node(handle.id());
                node = node.with_disk(clock.now(), Kept::default(), person, NETWORK);
                opened = Some(store::open(directory.path()).expect("a file"));
            }
            let (mut driver, controls) =
                Driver::new(Counted { node, sent }, listener, Config::default(), clock);
            if let Some(opened) = opened {
                driver = driver.with_disk(opened.writer);
            }
            tokio::spawn(driver.run());
            tell.send(handle).expect("someone waits");
            FrontEnd { controls, arrivals }.run(asked).await;
        });
        let node = RunningNode { handle: told.recv().expect("the thread runs"), traffic, jobs };
        let is_answer = |event: &Event| matches!(event, Event::Ready { .. } | Event::Error { .. });
        match node.until(Command::Start { bootstrap }, is_answer) {
            Event::Error { message, .. } => Err(message),
            _ => Ok(node),
        }
    }

    fn until(&self, command: Command, is_answer: fn(&Event) -> bool) -> Event {
        let (answer, answered) = blocking::channel();
        self.ask(Job::Until { command, is_answer, answer });
        answered.recv().expect("the thread runs")
    }

    /// Joins a channel.
    pub fn join(&self, channel: &str) {
        let command = Command::Line(format!("join {channel}"));
        self.until(command, |event| matches!(event, Event::Joined { .. }));
    }

    /// The nodes after this one, as far as it knows.
    fn successors(&self) -> Vec<NodeHandle> {
        let command = Command::Line("ring".to_owned());
        match self.until(command, |event| matches!(event, Event::RingState { .. })) {
            Event::RingState { successors, .. } => successors,
            _ => unreachable!("it was not waited for"),
        }
    }

    /// How long private messages take until they are delivered.
    pub fn private(&self, to: &str, count: usize) -> Vec<Duration> {
        self.measure(|times| Job::Private { to: to.to_owned(), count, times })
    }

    /// How long messages take from here to the last member of a channel.
    pub fn fan_out(&self, channel: &str, count: usize) -> Vec<Duration> {
        self.measure(|times| Job::FanOut { channel: channel.to_owned(), count, times })
    }

    /// How long many messages take from here to all members of a channel.
    pub fn flood(&self, channel: &str, count: usize) -> Vec<Duration> {
        self.measure(|times| Job::Flood { channel: channel.to_owned(), count, times })
    }

    fn measure(&self, job: impl FnOnce(blocking::Sender<Vec<Duration>>) -> Job) -> Vec<Duration> {
        let (times, measured) = blocking::channel();
        self.ask(job(times));
        measured.recv().expect("the thread runs")
    }

    fn ask(&self, job: Job) {
        self.jobs.send(job).expect("the thread runs");
    }
}

/// Nodes that form one ring, all successor lists complete.
///
/// The first node has a thread of its own in any case.
pub fn ring(host: &Host, nicks: impl IntoIterator<Item = String>, arrivals: &Arrivals) -> Vec<RunningNode> {
    let mut nodes: Vec<RunningNode> = Vec::new();
    for nick in nicks {
        let bootstrap = nodes.first().map(|first| first.handle);
        let host = if nodes.is_empty() { &Host::Own } else { host };
        while let Err(reason) =
            RunningNode::start(host, &nick, bootstrap, arrivals).map(|node| nodes.push(node))
        {
            println!("{nick} is started once more: {reason}");
        }
    }
    settle(&nodes);
    nodes
}

/// Waits until each successor list is what it should be.
pub fn settle(nodes: &[RunningNode]) {
    let mut order: Vec<NodeHandle> = nodes.iter().map(|node| node.handle).collect();
    order.sort_unstable();
    for node in nodes {
        let at = order.binary_search(&node.handle).expect("one of them");
        let after = order.iter().cycle().skip(at + 1).take((order.len() - 1).min(SUCCESSORS));
        let expected: Vec<NodeHandle> = after.copied().collect();
        let deadline = Instant::now() + SETTLE_MAX;
        while node.successors() != expected {
            assert!(Instant::now() < deadline, "the ring around {:?} does not settle", node.handle);
            // A node tells a program nothing when its list is complete: it is asked again, until the deadline.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A channel that is kept by `root`.
pub fn channel_of(root: &RunningNode, nodes: &[RunningNode]) -> String {
    let root_of =
        |key: Id| nodes.iter().map(|node| node.handle).min_by_key(|node| key.distance_to(node.id()));
    (0..)
        .map(|number| format!("#channel{number}"))
        .find(|name| root_of(Id::hash(name)) == Some(root.handle))
        .expect("numbers enough")
}

/// What stands in the place of a person.
struct FrontEnd {
    controls: Controls<Counted>,
    arrivals: Arrivals,
}

impl FrontEnd {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Job>) {
        loop {
            tokio::select! {
                job = asked.recv() => match job {
                    Some(job) => self.carry_out(job).await,
                    // Nobody wants this node any more.
                    None => return,
                },
                _ = self.event() => {}
            }
        }
    }

    /// The next event; those of channels are counted.
    async fn event(&mut self) -> Event {
        match self.controls.news.recv().await {
            Some(News::Event(event)) => {
                if matches!(event, Event::Message { .. }) {
                    self.arrivals.add(1);
                }
                event
            }
            news => panic!("this does not belong to a measurement: {news:?}"),
        }
    }

    async fn command(&mut self, command: Command) {
        self.controls.commands.send(command).await.expect("the node runs");
    }

    async fn line(&mut self, command: &str, to: &str) {
        let text = "x".repeat(FRAME_BYTES);
        self.command(Command::Line(format!("{command} {to} {text}"))).await;
    }

    /// Waits until a message of this node's is where it should be.
    async fn sent(&mut self) {
        loop {
            match self.event().await {
                Event::Sent { state: SentState::Delivered | SentState::Stored, .. } => return,
                Event::Sent { state: SentState::Queued, .. } | Event::Ring { .. } => {}
                Event::Message { .. } | Event::Member { .. } | Event::Migrated { .. } => {}
                event => panic!("this does not belong to a measurement: {event:?}"),
            }
        }
    }

    async fn carry_out(&mut self, job: Job) {
        match job {
            Job::Until { command, is_answer, answer } => {
                self.command(command).await;
                loop {
                    let event = self.event().await;
                    if is_answer(&event) {
                        answer.send(event).expect("someone waits");
                        return;
                    }
                }
            }
            Job::Private { to, count, times } => {
                let mut measured = Vec::with_capacity(count);
                for _ in 0..count {
                    let started = Instant::now();
                    self.line("msg", &to).await;
                    self.sent().await;
                    measured.push(started.elapsed());
                }
                times.send(measured).expect("someone waits");
            }
            Job::FanOut { channel, count, times } => {
                let mut measured = Vec::with_capacity(count);
                for _ in 0..count {
                    self.arrivals.expect(MEMBERS);
                    let started = Instant::now();
                    self.line("send", &channel).await;
                    self.sent().await;
                    measured.push(self.arrivals.complete().await - started);
                }
                times.send(measured).expect("someone waits");
            }
            Job::Flood { channel, count, times } => {
                let mut measured = Vec::with_capacity(count);
                for _ in 0..count {
                    measured.push(self.flood(&channel).await);
                }
                times.send(measured).expect("someone waits");
            }
        }
    }

    async fn flood(&mut self, channel: &str) -> Duration {
        self.arrivals.expect(FLOOD_MESSAGES * MEMBERS);
        let started = Instant::now();
        for number in 0..FLOOD_MESSAGES {
            if WINDOW <= number {
                self.sent().await;
            }
            self.line("send", channel).await;
        }
        for _ in 0..WINDOW.min(FLOOD_MESSAGES) {
            self.sent().await;
        }
        self.arrivals.complete().await - started
    }
}
