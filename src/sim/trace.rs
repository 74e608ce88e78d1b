//! What happened last, told when something goes wrong.

use std::collections::VecDeque;
use std::fmt;

use crate::id::NodeHandle;
use crate::machine::Input;
use crate::time::Time;

use super::START;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening<G> {
    /// When it happened.
    pub at: Time,
    /// What it was.
    pub what: What<G>,
}

/// What can happen, for the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<G> {
    /// `node` got a command.
    Command {
        /// Who got it.
        node: NodeHandle,
        /// The command, as its `Debug` shows it.
        command: String,
    },
    /// `node` got a message.
    Message {
        /// Who got it.
        node: NodeHandle,
        /// Who sent it.
        from: NodeHandle,
        /// What it says.
        message: G,
    },
    /// A message came to nobody.
    Lost {
        /// Who sent it.
        from: NodeHandle,
        /// To whom.
        to: NodeHandle,
        /// What it says.
        message: G,
    },
    /// `node` was told that a peer cannot be reached.
    Unreachable {
        /// Who was told.
        node: NodeHandle,
        /// Who cannot be reached.
        peer: NodeHandle,
        /// What came back.
        undelivered: Vec<G>,
    },
    /// A wake-up that was due came.
    Wakeup {
        /// To whom.
        node: NodeHandle,
    },
    /// `node` had something done to it: "crashes", "freezes".
    Fate {
        /// To whom it was done.
        node: NodeHandle,
        /// A verb in the third person.
        verb: &'static str,
    },
    /// Anything else.
    Note(String),
}

impl<G: Clone> What<G> {
    /// `node` is given `input`.
    pub(super) fn of<C: fmt::Debug>(node: NodeHandle, input: &Input<C, G>) -> What<G> {
        match input {
            Input::Command(command) => What::Command { node, command: format!("{command:?}") },
            Input::Message { from, message } => What::Message { node, from: *from, message: message.clone() },
            Input::Unreachable { peer, undelivered } => {
                What::Unreachable { node, peer: *peer, undelivered: undelivered.clone() }
            }
            Input::Wakeup => What::Wakeup { node },
        }
    }
}

impl<G: fmt::Debug> fmt::Display for Happening<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6}s ", self.at.since(START).as_secs_f64())?;
        self.what.fmt(f)
    }
}

impl<G: fmt::Debug> fmt::Display for What<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Command { node, command } => write!(f, "{node:?} is asked for {command}"),
            What::Message { node, from, message } => write!(f, "{node:?} gets {message:?} from {from:?}"),
            What::Lost { from, to, message } => write!(f, "{message:?} from {from:?} to {to:?} is lost"),
            What::Unreachable { node, peer, undelivered } => {
                write!(f, "{node:?} cannot reach {peer:?}, not delivered: {undelivered:?}")
            }
            What::Wakeup { node } => write!(f, "{node:?} wakes up"),
            What::Fate { node, verb } => write!(f, "{node:?} {verb}"),
            What::Note(text) => f.write_str(text),
        }
    }
}

/// The last things that happened, oldest first.
///
/// It tells its story on standard error when it is dropped in a panic: so whatever check
/// fails, in a machine, an oracle or a test, the reader sees how it came to this.
pub struct Trace<G: fmt::Debug> {
    seed: u64,
    rerun: String,
    last: VecDeque<Happening<G>>,
    length_max: usize,
    happened: u64,
}

impl<G: fmt::Debug> Trace<G> {
    /// An empty trace that keeps the last `length_max` happenings.
    pub fn new(seed: u64, length_max: usize) -> Trace<G> {
        // The test harness names the thread after the test.
        let rerun = match std::thread::current().name() {
            Some(test) if test != "main" => format!("SEED={seed} cargo test {test}"),
            _ => format!("SEED={seed}"),
        };
        Trace { seed, rerun, last: VecDeque::new(), length_max, happened: 0 }
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Says with which command the run is done again; by default, that of the test.
    pub fn rerun_with(&mut self, command: impl Into<String>) {
        self.rerun = command.into();
    }

    /// Keeps the last `length_max` happenings from now on.
    pub fn keep(&mut self, length_max: usize) {
        self.length_max = length_max;
        self.last.drain(..self.last.len().saturating_sub(length_max));
    }

    /// What happened last, oldest first.
    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Happening<G>> {
        self.last.iter()
    }

    /// Adds what happened; `what` is called only if it is kept.
    pub(super) fn add(&mut self, at: Time, what: impl FnOnce() -> What<G>) {
        self.happened += 1;
        if self.length_max == 0 {
            return;
        }
        if self.last.len() == self.length_max {
            self.last.pop_front();
        }
        self.last.push_back(Happening { at, what: what() });
    }
}

impl<G: fmt::Debug> fmt::Display for Trace<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the last {} of {} events, seed {}:", self.last.len(), self.happened, self.seed)?;
        self.last.iter().try_for_each(|happening| writeln!(f, "{happening}"))?;
        write!(f, "run it again: {}", self.rerun)
    }
}

impl<G: fmt::Debug> Drop for Trace<G> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.last.is_empty() {
            eprintln!("{self}");
        }
    }
}
