//! The terminal while the monitor has it, and how it is given back.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::thread;

use anyhow::{Context, ensure};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Position, Rect};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

/// How many keys may wait; more wait with the system.
const KEYS_MAX: usize = 64;

/// The whole screen; dropping it gives the terminal back as it was, and so does a panic.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be used.
    pub(super) fn take() -> anyhow::Result<Screen> {
        let has_no_cursor = env::var_os("TERM").is_none_or(|term| term == "dumb");
        ensure!(
            io::stdin().is_terminal() && io::stdout().is_terminal() && !has_no_cursor,
            "the monitor needs a terminal that can move its cursor: where there is none, use --once or --json"
        );
        match ratatui::try_init() {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(error) => {
                give_back();
                Err(error).context("this terminal cannot be used")
            }
        }
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> anyhow::Result<()> {
        self.terminal.draw(draw).map(drop).context("the terminal cannot be written")
    }

    /// Takes the terminal once more: while the program was stopped, the shell had it.
    pub(super) fn take_again(&mut self) -> anyhow::Result<()> {
        let mut take = || {
            disable_raw_mode()?;
            enable_raw_mode()?;
            execute!(io::stdout(), EnterAlternateScreen)?;
            // All is drawn anew; `clear` would ask the terminal where the cursor is, and its answer be taken for keys.
            let size = self.terminal.size()?;
            self.terminal.resize(Rect::from((Position::ORIGIN, size)))
        };
        take().context("the terminal cannot be taken again")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What fails here cannot be helped: then the terminal has gone.
        let _ = self.terminal.show_cursor();
        give_back();
    }
}

fn give_back() {
    let _ = ratatui::try_restore();
    let _ = io::stdout().flush();
}

/// Keys that are pressed, and changes of the size; it ends when the terminal has gone.
///
/// The thread that reads them ends with the process: nothing else can wake it.
pub(super) fn keys() -> anyhow::Result<mpsc::Receiver<Event>> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    let read = move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read).context("cannot start a thread")?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Tells this executable, when it is started again at a terminal, to be the program.
    const IS_PROGRAM: &str = "MONITOR_TAKES_THE_SCREEN_AND_PANICS";

    #[test]
    fn the_program() {
        if env::var_os(IS_PROGRAM).is_some() {
            let _screen = Screen::take().unwrap();
            panic!("as it was told");
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_reported() {
        let mut program = Command::new(env::current_exe().unwrap());
        let this = module_path!().split_once("::").unwrap().1;
        program
            .args([&format!("{this}::the_program"), "--exact", "--nocapture"])
            .env(IS_PROGRAM, "1")
            .env("TERM", "xterm");
        let mut terminal = rexpect::session::spawn_command(program, Some(10_000)).unwrap();
        let before = terminal.exp_string("\u{1b}[?1049h").unwrap();
        assert!(!before.contains("as it was told"), "{before}");
        terminal.exp_string("\u{1b}[?1049l").unwrap();
        // The line ends as on a terminal that is in its usual mode.
        terminal.exp_string("as it was told\r\n").unwrap();
        terminal.exp_eof().unwrap();
    }
}
