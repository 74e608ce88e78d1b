//! The signals that ask the program to stop.

use std::io;
use std::task::{Context, Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::repl::session::Stop;

/// SIGINT, SIGTERM and SIGHUP, which from now on no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Starts to catch the signals.
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal that comes.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        if self.interrupt.poll_recv(cx).is_ready() {
            return Poll::Ready(Stop::Interrupt);
        }
        let terminate = self.terminate.poll_recv(cx).is_ready() || self.hang_up.poll_recv(cx).is_ready();
        if terminate { Poll::Ready(Stop::Terminate) } else { Poll::Pending }
    }
}
