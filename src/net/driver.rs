//! The loop that runs a machine: one task, one turn after the other.
//!
//! ```text
//! wait ──► commands, reports ──► machine.handle(…) for each ──► one write for each peer ──┐
//!   ▲                                                                                     │
//!   └─────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Messages come before timers: a process that was stopped and goes on reads its mail
//! before it concludes from its clock that everyone has fallen silent.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::config::Config;
use super::connections::Asked;
use super::disk::Disk;
use super::greeting::Greeter;
use super::listener::listen;
use super::parting::Parting;
use super::peers::{Heard, Peers, Report};
use super::traffic::Traffic;
use crate::id::NodeHandle;
use crate::machine::{Input, Machine, Output};
use crate::store::Writer;

/// How many commands may wait for the node; who sends more waits.
pub const COMMANDS_MAX: usize = 256;

/// How much news may wait for whoever shows it; see [`News::Missed`].
pub const EVENTS_MAX: usize = 65_536;

/// How many inputs are handled before what they led to is written.
const TURN_INPUTS_MAX: usize = 128;

/// How many reports or commands are taken at once.
const TAKEN_MAX: usize = 64;

/// A wake-up that is late by so much means that the process was stopped, or has too much to do.
const LATE: Duration = Duration::from_millis(50);

/// How long mail is waited for before a late wake-up, each time.
const MAIL_PAUSE: Duration = Duration::from_millis(2);

/// After so many turns a late wake-up waits no longer, however much mail there is.
const TURNS_BEFORE_WAKEUP_MAX: u32 = 16;

/// What a driver tells whoever runs it.
#[derive(Debug)]
pub enum News<E> {
    /// An event of the machine.
    Event(E),
    /// This node and another one have parted, and people should know why: they belong to
    /// different networks, or speak different versions.
    Parted {
        /// The address of the other one.
        address: SocketAddr,
        /// Why.
        why: Parting,
    },
    /// A message was not sent, because it is longer than a frame may be.
    TooLong {
        /// Who does not get it.
        to: NodeHandle,
        /// How long it is.
        bytes: usize,
    },
    /// The disk was given up for the rest of this run, for this reason: nothing is kept on it any more.
    DiskLost(String),
    /// So much news was dropped, because nobody took it and [`EVENTS_MAX`] were waiting.
    /// The node goes on all the same: a terminal that stands still slows no ring.
    Missed(u64),
}

/// The other ends of a driver's channels.
#[derive(Debug)]
pub struct Controls<M: Machine> {
    /// Commands for the machine, at most [`COMMANDS_MAX`] waiting.
    /// Dropping it stops nothing.
    pub commands: mpsc::Sender<M::Command>,
    /// What the machine tells, in order; it ends when the driver ends.
    pub news: mpsc::Receiver<News<M::Event>>,
    /// Ends the driver at once, without a word to anyone.
    pub abort: CancellationToken,
    /// Reads what the driver counts, and its connections.
    pub traffic: Traffic,
}

/// Runs a [`Machine`] on the network.
pub struct Driver<M: Machine> {
    machine: M,
    peers: Peers<M::Message>,
    commands: Source<M::Command>,
    reports: Source<Report<M::Message>>,
    asked: Source<Asked>,
    news: mpsc::Sender<News<M::Event>>,
    missed: u64,
    abort: CancellationToken,
    outputs: Vec<Output<M::Event, M::Message>>,
    disk: Disk<M::Event, M::Message>,
    listener: Option<TcpListener>,
    /// The number of the newest lookup that was counted.
    last_lookup: u64,
}

/// A channel and what was taken from it for this turn.
struct Source<T> {
    receiver: mpsc::Receiver<T>,
    taken: Vec<T>,
    is_open: bool,
}

#[derive(PartialEq, Eq)]
enum Woken {
    Work,
    End,
}

impl<M> Driver<M>
where
    M: Machine,
    M::Message: Send + 'static,
{
    /// A driver for `machine`, which is reached at `listener`.
    ///
    /// `clock` is the one that told the machine the time at its start.
    pub fn new(machine: M, listener: TcpListener, config: Config, clock: Clock) -> (Driver<M>, Controls<M>) {
        let greeter = Greeter { me: machine.me(), config };
        let (traffic, asked) = Traffic::new(clock.now());
        let (peers, reports) = Peers::new(greeter, clock, traffic.clone());
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (news, news_receiver) = mpsc::channel(EVENTS_MAX);
        let abort = CancellationToken::new();
        let controls =
            Controls { commands: command_sender, news: news_receiver, abort: abort.clone(), traffic };
        let driver = Driver {
            machine,
            peers,
            commands: Source::new(commands),
            reports: Source::new(reports),
            asked: Source::new(asked),
            news,
            missed: 0,
            abort,
            outputs: Vec::new(),
            disk: Disk::new(None),
            listener: Some(listener),
            last_lookup: 0,
        };
        (driver, controls)
    }

    /// Keeps what the machine wants kept; without it, that is dropped.
    pub fn with_disk(mut self, writer: Writer) -> Driver<M> {
        self.disk = Disk::new(Some(writer));
        self
    }

    /// Runs until the machine stops or the driver is aborted, and gives the machine back.
    ///
    /// When the machine stops, what is queued is sent and every connection is closed in
    /// good order, within [`Config::goodbye`].
    pub async fn run(mut self) -> M {
        let aborted = self.abort.clone().cancelled_owned();
        let mut aborted = std::pin::pin!(aborted);
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        let listener = self.listen();
        while !self.peers.is_stopping {
            if self.wait(aborted.as_mut(), timer.as_mut()).await == Woken::End {
                break;
            }
            self.turn();
            self.wake_up_if_due().await;
        }
        if !self.abort.is_cancelled() {
            self.say_goodbyes(aborted).await;
        }
        listener.abort();
        self.peers.abort().await;
        if !self.abort.is_cancelled() {
            self.disk.close().await;
        }
        self.machine
    }

    fn listen(&mut self) -> AbortHandle {
        let listener = self.listener.take().expect("a driver runs once");
        let listening = listen(listener, self.peers.greeter.clone(), self.peers.reports.clone());
        self.peers.tasks.spawn(listening)
    }

    /// Waits until there is something to do, and takes what there is.
    async fn wait(
        &mut self,
        aborted: Pin<&mut impl Future<Output = ()>>,
        mut timer: Pin<&mut Sleep>,
    ) -> Woken {
        if !self.peers.heard.is_empty() || self.peers.has_dirty() {
            // A machine that talks to itself leaves the others a chance, too.
            yield_now().await;
            self.commands.take();
            self.reports.take();
            return Woken::Work;
        }
        let due = self.due();
        if let Some(due) = due
            && due != timer.deadline()
        {
            timer.as_mut().reset(due);
        }
        tokio::select! {
            biased;
            () = aborted => Woken::End,
            () = self.commands.wait() => { self.reports.take(); Woken::Work }
            () = self.reports.wait() => Woken::Work,
            () = self.disk.answered() => Woken::Work,
            () = self.asked.wait() => Woken::Work,
            () = timer, if due.is_some() => Woken::Work,
        }
    }

    /// When there is something to do though nothing comes.
    fn due(&self) -> Option<Instant> {
        let wakeup = self.machine.next_wakeup().map(|time| self.peers.clock.instant(time));
        [wakeup, self.peers.check_at(), self.disk.due()].into_iter().flatten().min()
    }

    /// One turn: handles what was taken, then writes.
    fn turn(&mut self) {
        self.peers.now = Instant::now();
        self.mind_disk();
        let mut commands = std::mem::take(&mut self.commands.taken);
        for command in commands.drain(..) {
            self.handle(Input::Command(command));
        }
        self.commands.taken = commands;
        let mut reports = std::mem::take(&mut self.reports.taken);
        for report in reports.drain(..) {
            self.on_report(report);
        }
        self.reports.taken = reports;
        for _ in 0..TURN_INPUTS_MAX {
            let Some(heard) = self.peers.heard.pop_front() else { break };
            self.on_heard(heard);
        }
        self.mind_disk();
        self.peers.check();
        self.peers.flush();
        self.tell_connections();
    }

    /// Answers those who have asked for the connections.
    fn tell_connections(&mut self) {
        self.asked.take();
        for asked in self.asked.taken.drain(..) {
            // Whoever asked may have gone.
            let _ = asked.send(self.peers.connections());
        }
    }

    /// Lets the disk go on, and lets go what has waited for it.
    fn mind_disk(&mut self) {
        if let Some(reason) = self.disk.go_on(self.peers.now) {
            self.tell(News::DiskLost(reason));
        }
        while let Some(output) = self.disk.release() {
            // Whoever has left says no more.
            if !self.peers.is_stopping {
                self.put_out(output);
            }
        }
    }

    fn handle(&mut self, input: Input<M::Command, M::Message>) {
        if self.peers.is_stopping {
            return;
        }
        let now = self.peers.clock.at(self.peers.now);
        self.machine.handle(now, input, &mut self.outputs);
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            if let Some(output) = self.disk.take(self.peers.now, output) {
                self.put_out(output);
            }
        }
        self.outputs = outputs;
    }

    fn put_out(&mut self, output: Output<M::Event, M::Message>) {
        match output {
            Output::Send { to, message } => self.send(to, message),
            Output::Event(event) => self.tell(News::Event(event)),
            Output::Stop => self.peers.stop(),
            // The disk has taken it.
            Output::Keep(_) => {}
        }
    }

    fn send(&mut self, to: NodeHandle, message: M::Message) {
        if let Some(number) = self.machine.lookup(&message)
            && self.last_lookup < number
        {
            self.last_lookup = number;
            self.peers.traffic.count_lookup();
        }
        let me = self.machine.me();
        if to != me {
            self.peers.traffic.pass(me, to, || M::topic(&message));
        }
        self.peers.send(to, message);
    }

    fn on_report(&mut self, report: Report<M::Message>) {
        let Some(batch) = self.peers.on_report(report) else { return };
        let from = batch.link.peer;
        for (i, message) in batch.messages.into_iter().enumerate() {
            self.peers.traffic.pass(from, self.machine.me(), || M::topic(&message));
            self.handle(Input::Message { from, message });
            if i % TURN_INPUTS_MAX == TURN_INPUTS_MAX - 1 {
                self.peers.flush();
            }
        }
        drop(batch.turn);
    }

    fn on_heard(&mut self, heard: Heard<M::Message>) {
        match heard {
            Heard::Own(message) => self.handle(Input::Message { from: self.machine.me(), message }),
            Heard::Unreachable { peer, undelivered } => self.handle(Input::Unreachable { peer, undelivered }),
            Heard::Parted { address, why } => self.tell_stranger(News::Parted { address, why }),
            Heard::TooLong { to, bytes } => self.tell(News::TooLong { to, bytes }),
        }
    }

    /// Wakes the machine if that is due, but not before it has read its mail.
    async fn wake_up_if_due(&mut self) {
        let Some(lateness) = self.lateness() else { return };
        if self.peers.is_stopping {
            return;
        }
        if LATE <= lateness {
            // The process was stopped, and the mail is still with the system; or there is too much of it.
            for _ in 0..TURNS_BEFORE_WAKEUP_MAX {
                if timeout(MAIL_PAUSE, self.reports.wait()).await.is_err() {
                    break;
                }
                self.turn();
            }
        } else if !self.reports.receiver.is_empty() {
            return;
        }
        if self.lateness().is_some() {
            self.peers.now = Instant::now();
            self.handle(Input::Wakeup);
            self.mind_disk();
            self.peers.flush();
        }
    }

    /// For how long the machine should have been woken.
    fn lateness(&self) -> Option<Duration> {
        let now = self.peers.clock.now();
        self.machine.next_wakeup().filter(|due| *due <= now).map(|due| now.since(due))
    }

    fn tell(&mut self, news: News<M::Event>) {
        if 0 < self.missed && self.news.try_send(News::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        // The order is kept: as long as something was missed that was not told, more is.
        if 0 < self.missed || self.news.try_send(news).is_err() {
            self.missed += 1;
        }
    }

    /// Tells what strangers can cause, but never instead of events.
    fn tell_stranger(&mut self, news: News<M::Event>) {
        if EVENTS_MAX / 2 < self.news.capacity() {
            self.tell(news);
        }
    }

    /// Sends what is queued and closes every connection, within a deadline.
    async fn say_goodbyes(&mut self, mut aborted: Pin<&mut impl Future<Output = ()>>) {
        let until = Instant::now() + self.peers.greeter.config.goodbye;
        while !self.peers.peers.is_empty() {
            let waited = tokio::select! {
                biased;
                () = aborted.as_mut() => return,
                waited = timeout_at(until, self.reports.wait()) => waited,
            };
            if waited.is_err() {
                return;
            }
            self.turn();
        }
    }
}

impl<T> Source<T> {
    fn new(receiver: mpsc::Receiver<T>) -> Source<T> {
        Source { receiver, taken: Vec::new(), is_open: true }
    }

    /// Waits until something was taken; for ever if nothing can come.
    async fn wait(&mut self) {
        if self.is_open {
            self.is_open = 0 < self.receiver.recv_many(&mut self.taken, TAKEN_MAX).await;
        }
        if !self.is_open {
            std::future::pending::<()>().await;
        }
    }

    /// Takes what is there, without waiting.
    fn take(&mut self) {
        while self.taken.len() < TAKEN_MAX {
            match self.receiver.try_recv() {
                Ok(next) => self.taken.push(next),
                Err(_) => return,
            }
        }
    }
}
