//! The front ends on standard input and output: a terminal with a line editor, or plain lines.
//!
//! Nothing here is global but what a process has once: its standard streams, its signals, its terminal.

pub mod colour;
pub mod complete;
pub mod known;
pub mod lines;
mod moment;
mod pending;
pub mod safe;
pub mod session;
pub(crate) mod signals;
mod terminal;
pub mod text;
mod turn;
mod waiting;

use std::io::{self, BufReader, IsTerminal};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::records::name::Nick;
use crate::repl::colour::Colour;
use crate::repl::complete::CommandTable;
use crate::repl::known::Known;
use crate::repl::session::{Ending, NodeLink, Render, Seat};
use crate::repl::signals::Signals;
use crate::repl::text::Text;

/// How long the program waits at its end for a user's side that does not take the last lines.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(2);

/// Serves a person until the node has stopped: at a terminal with a line editor, otherwise in plain lines.
///
/// The lines that are typed at a terminal are kept in the file `typed`, if there is one.
pub async fn run(
    nick: &Nick,
    table: CommandTable,
    typed: Option<PathBuf>,
    link: NodeLink,
) -> anyhow::Result<Ending> {
    let known = Arc::new(Mutex::new(Known::default()));
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        // A terminal that cannot move its cursor is served like a pipe.
        let seat = terminal::sit(format!("{nick}> "), table, typed, known.clone());
        if let Ok((terminal, seat, printed)) = seat {
            let talk = talk(link, seat, printed, Text::new(Colour::of_environment(), known));
            // The terminal is the shell's again when this returns.
            return tokio::select! {
                ending = talk => ending,
                never = terminal.mind_stops() => match never {},
            };
        }
    }
    run_plain(link, Text::new(Colour::OFF, known)).await
}

/// Serves whoever reads standard output and writes standard input, in lines.
pub async fn run_plain(link: NodeLink, render: impl Render) -> anyhow::Result<Ending> {
    let input = || -> Box<dyn io::BufRead> { Box::new(BufReader::new(io::stdin())) };
    let (seat, written) = lines::sit(input, io::stdout()).context("cannot start a thread")?;
    talk(link, seat, written, render).await
}

/// Tells whoever reads standard output, and listens to nobody: until a signal ends it, or the node has stopped.
pub async fn run_headless(link: NodeLink, render: impl Render) -> anyhow::Result<Ending> {
    let (seat, written) = lines::watch(io::stdout()).context("cannot start a thread")?;
    talk(link, seat, written, render).await
}

async fn talk(
    link: NodeLink,
    seat: Seat,
    shown: oneshot::Receiver<()>,
    render: impl Render,
) -> anyhow::Result<Ending> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let ending = session::run(link, seat, render, |cx| signals.poll_next(cx)).await;
    if ending != Ending::AtOnce {
        // The last lines may be on their way still; a user who does not take them ends the wait.
        let _ = timeout(LAST_LINES_TIME_MAX, shown).await;
    }
    Ok(ending)
}
