//! A seat at a terminal: a line editor, and a printer that never tears the line that is being typed.
//!
//! The editor reads in a thread of its own, and nothing can wake it: when the node stops by itself,
//! it is left where it is, and the terminal gets back the mode that it had.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::config::{BellStyle, ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Editor, EventContext, EventHandler, ExternalPrinter, KeyEvent,
    Movement, RepeatCount,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::{mpsc, oneshot};

use crate::repl::complete::{CommandTable, candidates};
use crate::repl::known::Known;
use crate::repl::lines::next_batch;
use crate::repl::session::{Seat, Typed, is_exit};
use crate::repl::turn::{Turn, Way};

/// How many lines the arrow keys bring back.
const HISTORY_LINES_MAX: usize = 1000;

/// How many lines wait on their way between the threads.
const LINES_MAX: usize = 64;

/// A text that leaves the screen as it is: up a line, and down again.
const NOTHING_SHOWN: &str = "\x1b[A\n";

/// Ends what the editor may have begun: what is drawn is shown at once, pasted text is marked no longer,
/// and the line is cleared.
const EDITOR_OFF: &str = "\x1b[?2026l\x1b[?2004l\r\x1b[J";

/// How long the editor may take to show the last text.
const SHOWN_TIME_MAX: Duration = Duration::from_millis(500);

/// After which time it is likely that the editor has drawn its line and waits.
const DRAWN_TIME: Duration = Duration::from_millis(20);

/// A terminal in use; dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Terminal {
    mode: Mode,
    editing: Arc<OnceLock<Mode>>,
    turn: Arc<Turn>,
    /// Does not keep the printer from ending.
    shown: WeakSender<String>,
}

impl Terminal {
    /// Puts the terminal into the editor's mode again whenever the program was stopped and goes on.
    ///
    /// After Ctrl-Z the shell changes the mode, and the editor, which does the stopping, may have set its
    /// own too early: a process of many threads runs on for a moment after it has stopped itself.
    pub async fn mind_stops(&self) -> Infallible {
        let Ok(mut continued) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else {
            return pending().await;
        };
        loop {
            continued.recv().await;
            if let Some(mode) = self.editing.get().filter(|_| self.turn.is_editing()) {
                mode.set();
                if let Some(shown) = self.shown.upgrade() {
                    // If there is no room, other texts wait, and each draws the line again.
                    let _ = shown.try_send(NOTHING_SHOWN.to_owned());
                }
            }
        }
    }
}

/// A mode of the terminal on standard input.
#[derive(Clone, Debug)]
struct Mode(Termios);

impl Mode {
    fn now() -> io::Result<Mode> {
        Ok(Mode(tcgetattr(io::stdin())?))
    }

    /// The same, but keys that are pressed are not shown.
    fn without_echo(&self) -> Mode {
        let mut mode = self.clone();
        mode.0.local_modes -= LocalModes::ECHO;
        mode
    }

    fn set(&self) {
        // A terminal that has gone needs no mode; who reads from it will see that it has gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let editing = self.turn.stop();
        self.mode.set();
        if editing {
            let mut output = io::stdout();
            let _ = output.write_all(EDITOR_OFF.as_bytes()).and_then(|()| output.flush());
        }
    }
}

/// A seat at the terminal on standard input and output, and what tells that all was printed.
///
/// The arrow keys bring back what was typed before, also at earlier times if it was kept in a file.
/// Fails if this terminal cannot move its cursor; then plain lines do.
pub fn sit(
    prompt: String,
    table: CommandTable,
    typed_file: Option<PathBuf>,
    known: Arc<Mutex<Known>>,
) -> anyhow::Result<(Terminal, Seat, oneshot::Receiver<()>)> {
    let mode = Mode::now()?;
    let turn = Arc::new(Turn::default());
    let editing = Arc::new(OnceLock::new());
    let mut editor = editor(Help { table, known, turn: turn.clone(), editing: editing.clone() })?;
    let printer = editor.create_external_printer()?;
    if let Some(file) = &typed_file {
        // Whoever has typed nothing yet has no such file.
        let _ = editor.load_history(file);
    }

    let (begin, begun) = oneshot::channel();
    let (typed_sender, typed) = mpsc::channel(LINES_MAX);
    let (shown, shown_receiver) = mpsc::channel(LINES_MAX);
    let (done, printed) = oneshot::channel();
    restore_after_panic(mode.clone());
    let terminal = Terminal { mode: mode.clone(), editing, turn: turn.clone(), shown: shown.downgrade() };
    thread::Builder::new().name("editor".to_owned()).spawn({
        let turn = turn.clone();
        move || {
            if begun.blocking_recv().is_ok() {
                // Keys that are pressed between two lines wait for the editor, which shows them.
                mode.without_echo().set();
                read_lines(&mut editor, &prompt, typed_file.as_deref(), &typed_sender, &turn);
            }
            // The printer may wait for room in the editor: it must see that it is gone.
            drop(editor);
            turn.gone();
        }
    })?;
    thread::Builder::new().name("printer".to_owned()).spawn(move || {
        print_lines(shown_receiver, printer, &turn);
        // Nobody waits any more if the program is ending at once.
        let _ = done.send(());
    })?;
    Ok((terminal, Seat { begin, typed, shown }, printed))
}

fn editor(help: Help) -> rustyline::Result<Editor<Help, DefaultHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        // Without this the editor would wait for a second Tab, and show no message meanwhile.
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        // There are no colours, but only so is the helper told when the line is drawn.
        .color_mode(ColorMode::Forced)
        .build();
    let turn = help.turn.clone();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(help));
    for (key, otherwise) in [('C', Some(Cmd::Kill(Movement::WholeBuffer))), ('D', None)] {
        let handler = AtEmptyLine { turn: turn.clone(), otherwise };
        editor.bind_sequence(KeyEvent::ctrl(key), EventHandler::Conditional(Box::new(handler)));
    }
    Ok(editor)
}

/// Puts the terminal right before the panic is reported, so that the report can be read.
fn restore_after_panic(mode: Mode) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        mode.set();
        report(info);
    }));
}

fn read_lines(
    editor: &mut Editor<Help, DefaultHistory>,
    prompt: &str,
    file: Option<&Path>,
    typed: &mpsc::Sender<Typed>,
    turn: &Turn,
) {
    // After the user's last word the editor stays: it keeps the keys from being echoed among the last
    // messages, shows these, and sees Ctrl-C.
    let mut leaving = false;
    while turn.enter() {
        let line = editor.readline(if leaving { "" } else { prompt });
        turn.away();
        let word = match line {
            Ok(_) if leaving => continue,
            Ok(line) => {
                if let Some(file) = file {
                    // What cannot be kept is only missing the next time.
                    let _ = editor.append_history(file);
                }
                leaving = is_exit(&line);
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) if leaving => {
                // The terminal is left as it is now; from here on, Ctrl-C is a signal.
                let _ = typed.blocking_send(Typed::Interrupt);
                return;
            }
            Err(ReadlineError::Interrupted) => {
                leaving = true;
                Typed::Interrupt
            }
            Err(ReadlineError::Eof) if !leaving => {
                leaving = true;
                Typed::End
            }
            // The terminal has gone. Without a sender the session sees the end.
            Err(_) => return,
        };
        if typed.blocking_send(word).is_err() {
            return;
        }
    }
}

fn print_lines(mut lines: mpsc::Receiver<String>, mut printer: impl ExternalPrinter, turn: &Turn) {
    while let Some(batch) = next_batch(&mut lines) {
        if print(&batch, &mut printer, turn).is_err() {
            // The terminal has gone: the channel is closed, and the session leaves.
            return;
        }
    }
    if turn.wait_for_editing() {
        // Nothing that fails here can be helped: the terminal has gone.
        let _ = show_all(&mut printer, turn);
    }
}

/// Waits until the editor has shown all that it was handed, and lets it draw no line below that.
fn show_all(printer: &mut impl ExternalPrinter, turn: &Turn) -> io::Result<()> {
    // The editor has room for one text: when there is room for the second of these, it has taken
    // the first, and so has shown what came before.
    print(NOTHING_SHOWN, printer, turn)?;
    print(NOTHING_SHOWN, printer, turn)?;
    if !turn.close(DRAWN_TIME) {
        // It has shown the second too and waits for a key: this calls it once more.
        print(NOTHING_SHOWN, printer, turn)?;
        turn.close(SHOWN_TIME_MAX);
    }
    Ok(())
}

fn print(text: &str, printer: &mut impl ExternalPrinter, turn: &Turn) -> io::Result<()> {
    let write = || {
        let mut output = io::stdout();
        output.write_all(text.as_bytes()).and_then(|()| output.flush())
    };
    turn.print(|way| match way {
        Way::Write => write(),
        // An editor that went away while the text waited for room does not take it any more.
        Way::HandOver => printer.print(text.to_owned()).or_else(|_| write()),
    })
}

/// What the editor asks of us while a line is typed.
struct Help {
    table: CommandTable,
    known: Arc<Mutex<Known>>,
    turn: Arc<Turn>,
    /// The mode that the editor gave the terminal.
    editing: Arc<OnceLock<Mode>>,
}

impl Completer for Help {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(candidates(&line[..pos], self.table, &known))
    }
}

impl Hinter for Help {
    type Hint = String;

    /// Gives no hint: the editor asks for one before it draws a line, which is what the printer must know.
    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.turn.begin();
        if self.editing.get().is_none()
            && let Ok(mode) = Mode::now()
        {
            let _ = self.editing.set(mode);
        }
        None
    }
}

impl Validator for Help {
    /// Every line is right: the editor asks when Enter was pressed, and returns next.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.turn.end();
        Ok(ValidationResult::Valid(None))
    }
}

impl Highlighter for Help {
    /// Changes nothing: the editor asks for it whenever it draws the line.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.turn.redraw();
        Cow::Borrowed(prompt)
    }
}

impl rustyline::Helper for Help {}

/// A key that ends the input when nothing was typed, and does something else otherwise.
struct AtEmptyLine {
    turn: Arc<Turn>,
    otherwise: Option<Cmd>,
}

impl ConditionalEventHandler for AtEmptyLine {
    fn handle(
        &self,
        _: &rustyline::Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        if context.line().is_empty() {
            self.turn.end();
            return None;
        }
        self.otherwise.clone()
    }
}
