//! The talk between a user and a node, whatever the user sits at: a terminal, a pipe, a program.
//!
//! user -> session: [`Typed`], read by a thread of its own
//! session -> node: [`Command`]
//! node -> session: [`Event`]
//! session -> user: lines, written by a thread of its own
//!
//! The node is never slowed by a user who does not read, and a stop is never delayed by either of them.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::chat::event::Event;
use crate::node::Command;
use crate::repl::pending::Pending;
use crate::time::Time;

/// How much text may wait for a user who does not read; what comes then is counted and not kept.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// At the end of input, how long questions may take that were not answered yet; what was sent, and what
/// is being joined or left, the node itself brings to its end.
const FINISH_TIME_MAX: Duration = Duration::from_millis(500);

/// How long a node may take to leave; it has its own, shorter limit, and this one is for when it hangs.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a node may take to leave that was never ready: it has nothing to hand over.
const LEAVE_EARLY_TIME_MAX: Duration = Duration::from_secs(2);

/// How much of what was told before a start failed belongs to its reason.
const NOTES_MAX: usize = 4;

/// How long something is held back at most, also if the wall clock is set back meanwhile.
const HELD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the last lines may take to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Turns events into what the user sees.
pub trait Render {
    /// The event in whole lines, or nothing if the user need not see it, or not yet.
    fn render(&mut self, event: &Event, now: Time) -> String;

    /// When there is something to show although nothing happens: then [`Render::render_due`] is called.
    fn next_due(&self) -> Option<Time> {
        None
    }

    /// What was not shown at once and is to be shown by `now`, in whole lines.
    fn render_due(&mut self, _now: Time) -> String {
        String::new()
    }
}

/// A node, seen from a front end.
#[derive(Debug)]
pub struct NodeLink {
    /// What the user wants.
    pub commands: mpsc::Sender<Command>,
    /// What the user is told; it ends when the node has stopped.
    pub events: mpsc::Receiver<Event>,
}

/// Where the user sits.
#[derive(Debug)]
pub struct Seat {
    /// Says that the node is ready, from when on input is read.
    pub begin: oneshot::Sender<()>,
    /// What the user types.
    pub typed: mpsc::Receiver<Typed>,
    /// What is shown; closed when nobody can see it any more.
    pub shown: mpsc::Sender<String>,
}

/// What comes from the user's keyboard, or from what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// A line that was longer than this many bytes and is thrown away.
    TooLong(usize),
    /// Nothing more will come.
    End,
    /// Ctrl-C where there is nothing to clear.
    Interrupt,
}

/// A signal that asks the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT: once to leave in good order, twice to stop at once.
    Interrupt,
    /// SIGTERM or SIGHUP: to leave in good order.
    Terminate,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The node has left.
    Left {
        /// What it could not hand over, in words.
        not_handed_over: Vec<String>,
    },
    /// The node stopped and nobody had asked for it.
    Failed {
        /// Why.
        reason: String,
    },
    /// The user did not want to wait until the node had left.
    AtOnce,
    /// The node did not leave within its time.
    Hung,
}

impl Ending {
    /// Nothing if the node left in good order, otherwise what to tell the user, in one line.
    pub fn into_result(self) -> anyhow::Result<()> {
        match self {
            Ending::Left { not_handed_over } if not_handed_over.is_empty() => Ok(()),
            Ending::Left { not_handed_over } => {
                Err(anyhow::anyhow!("left, but could not hand over {}", not_handed_over.join(", ")))
            }
            Ending::Failed { reason } => Err(anyhow::anyhow!(reason)),
            Ending::AtOnce => Err(anyhow::anyhow!("stopped at once, without handing anything over")),
            Ending::Hung => Err(anyhow::anyhow!(
                "stopped, because the node did not leave within {} s",
                LEAVE_TIME_MAX.as_secs()
            )),
        }
    }
}

/// Whether a line says that nothing more will come.
pub fn is_exit(line: &str) -> bool {
    let line = line.trim();
    line.strip_prefix('/').unwrap_or(line) == "exit"
}

/// Carries words to and fro until the node has stopped or the user has had enough.
///
/// `stop` is polled for the signals that come.
pub async fn run(
    link: NodeLink,
    seat: Seat,
    render: impl Render,
    mut stop: impl FnMut(&mut Context<'_>) -> Poll<Stop>,
) -> Ending {
    let NodeLink { commands, mut events } = link;
    let Seat { begin, mut typed, shown } = seat;
    let mut session = Session::new(render, begin);
    let ending = loop {
        tokio::select! {
            stop = poll_fn(&mut stop) => match stop {
                Stop::Interrupt if session.phase == Phase::Leaving => break Ending::AtOnce,
                Stop::Interrupt | Stop::Terminate => session.leave(),
            },
            () = passed(session.deadline) => match session.phase {
                Phase::Leaving if session.ready => break Ending::Hung,
                Phase::Leaving => break Ending::Left { not_handed_over: Vec::new() },
                Phase::Talking | Phase::Finishing => session.leave(),
            },
            () = passed(session.due.map(|(_, due)| due)) => session.show_due(),
            room = commands.reserve(), if !session.asked.is_empty() => match (room, session.asked.pop_front()) {
                (Ok(room), Some(command)) => room.send(command),
                // The node has stopped: its events end too, and with them the session.
                _ => session.asked.clear(),
            },
            word = typed.recv(), if session.listens() => match word {
                Some(Typed::Interrupt) if session.phase == Phase::Leaving => break Ending::AtOnce,
                Some(word) => session.on_typed(word),
                None => session.on_input_lost(),
            },
            room = shown.reserve(), if !session.queue.is_empty() => match room {
                Ok(room) => room.send(session.next_line()),
                Err(_) => session.on_output_lost(),
            },
            () = shown.closed(), if !session.output_lost => session.on_output_lost(),
            event = events.recv() => match event {
                Some(event) => session.on_event(&event),
                None => break session.ending(),
            },
        }
    };
    if ending != Ending::AtOnce {
        // A user who does not read cannot keep the program from ending.
        let _ = timeout(FLUSH_TIME_MAX, session.flush(&shown)).await;
    }
    ending
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Talking,
    /// Nothing more will be typed; what was typed is finished.
    Finishing,
    /// The node was told to leave.
    Leaving,
}

struct Session<R> {
    render: R,
    phase: Phase,
    ready: bool,
    begin: Option<oneshot::Sender<()>>,
    /// No more than a line and an exit: the next line is taken when the node has taken this one.
    asked: VecDeque<Command>,
    pending: Pending,
    queue: VecDeque<String>,
    queue_bytes: usize,
    /// How many events the user was not shown since the queue was full.
    lost: u64,
    input_lost: bool,
    output_lost: bool,
    /// The last error, unless a command was given since.
    error: Option<String>,
    /// The first errors before that, as long as the node is not ready.
    notes: Vec<String>,
    bye: Option<Vec<String>>,
    deadline: Option<Instant>,
    /// When something is shown that was held back, by the wall clock and by ours.
    due: Option<(Time, Instant)>,
}

impl<R: Render> Session<R> {
    fn new(render: R, begin: oneshot::Sender<()>) -> Session<R> {
        Session {
            render,
            phase: Phase::Talking,
            ready: false,
            begin: Some(begin),
            asked: VecDeque::new(),
            pending: Pending::default(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            lost: 0,
            input_lost: false,
            output_lost: false,
            error: None,
            notes: Vec::new(),
            bye: None,
            deadline: None,
            due: None,
        }
    }

    /// Whether what is typed is taken now.
    fn listens(&self) -> bool {
        !self.input_lost && self.asked.is_empty()
    }

    fn on_typed(&mut self, typed: Typed) {
        match typed {
            Typed::Interrupt => self.leave(),
            // After `exit` nothing counts but Ctrl-C.
            _ if self.phase != Phase::Talking => {}
            Typed::End => self.finish(),
            Typed::Line(line) if is_exit(&line) => self.finish(),
            Typed::Line(line) => {
                self.error = None;
                self.pending.asked(&line);
                self.asked.push_back(Command::Line(line));
            }
            Typed::TooLong(bytes_max) => {
                self.tell(format!("a line has at most {bytes_max} bytes: a longer one was thrown away"));
            }
        }
    }

    fn on_input_lost(&mut self) {
        self.input_lost = true;
        self.finish();
    }

    fn on_output_lost(&mut self) {
        self.output_lost = true;
        self.queue.clear();
        self.queue_bytes = 0;
        self.leave();
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Ready { .. } => {
                self.ready = true;
                // What was told before was not the end.
                self.error = None;
                self.notes.clear();
                if let Some(begin) = self.begin.take() {
                    // Whoever would read is gone; then the input ends, and says so.
                    let _ = begin.send(());
                }
            }
            Event::Error { message, .. } => {
                let before = self.error.replace(message.clone());
                if !self.ready && self.notes.len() < NOTES_MAX {
                    self.notes.extend(before);
                }
            }
            Event::Bye { not_handed_over } => self.bye = Some(not_handed_over.clone()),
            _ => {}
        }
        self.pending.answered(event);
        self.show(event);
        if self.phase == Phase::Finishing && self.pending.is_empty() {
            self.leave();
        }
    }

    fn tell(&mut self, message: String) {
        self.show(&Event::Error { command: "node".to_owned(), message });
    }

    fn show(&mut self, event: &Event) {
        let text = self.render.render(event, now());
        self.put(text);
    }

    fn show_due(&mut self) {
        let due = self.due.map(|(due, _)| due);
        let text = self.render.render_due(due.unwrap_or_default().max(now()));
        self.put(text);
    }

    fn put(&mut self, text: String) {
        let in_time = |due: Time| Instant::now() + due.since(now()).min(HELD_TIME_MAX);
        self.due = self.render.next_due().map(|due| (due, in_time(due)));
        if text.is_empty() || self.output_lost {
            return;
        }
        if QUEUE_BYTES_MAX < self.queue_bytes + text.len() {
            self.lost += 1;
            return;
        }
        self.queue_bytes += text.len();
        self.queue.push_back(text);
    }

    fn next_line(&mut self) -> String {
        let text = self.queue.pop_front().unwrap_or_default();
        self.queue_bytes -= text.len();
        if 0 < self.lost && self.queue.is_empty() {
            let lost = std::mem::take(&mut self.lost);
            self.tell(format!("{lost} events are not shown here, because the output was not read"));
        }
        text
    }

    /// Leaves as soon as every command has its answer.
    fn finish(&mut self) {
        if self.phase != Phase::Talking {
            return;
        }
        if self.pending.is_empty() {
            return self.leave();
        }
        self.phase = Phase::Finishing;
        self.deadline = Some(Instant::now() + FINISH_TIME_MAX);
    }

    /// Leaves now.
    fn leave(&mut self) {
        if self.phase == Phase::Leaving {
            return;
        }
        self.phase = Phase::Leaving;
        self.asked.push_back(Command::Exit);
        let time_max = if self.ready { LEAVE_TIME_MAX } else { LEAVE_EARLY_TIME_MAX };
        self.deadline = Some(Instant::now() + time_max);
    }

    /// What it means that the node has stopped.
    fn ending(&mut self) -> Ending {
        let error = self.error.take();
        let asked = self.phase == Phase::Leaving;
        match (self.bye.take(), error) {
            (Some(not_handed_over), _) if asked => Ending::Left { not_handed_over },
            (Some(not_handed_over), None) if self.ready => Ending::Left { not_handed_over },
            (None, _) if asked && !self.ready => Ending::Left { not_handed_over: Vec::new() },
            (_, Some(reason)) => {
                self.notes.push(reason);
                Ending::Failed { reason: self.notes.join("; ") }
            }
            (_, None) => Ending::Failed { reason: "the node stopped without a reason".to_owned() },
        }
    }

    async fn flush(&mut self, shown: &mpsc::Sender<String>) {
        while !self.queue.is_empty() {
            let line = self.next_line();
            if shown.send(line).await.is_err() {
                return;
            }
        }
    }
}

/// The wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
