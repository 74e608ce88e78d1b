//! Whose turn it is to write to the terminal: the line editor's or the printer's.
//!
//! Once the editor reads lines, the printer hands its texts to the editor, which clears the line that is
//! typed, shows the text, and draws the line again. Before that the printer writes by itself.
//! The editor's library would let the printer write by itself between two lines too. Then a text could
//! stand behind a prompt that is just being drawn, or overtake one that was handed over and not shown yet.
//! So editor and printer agree here first. No lock is held while anything is written.
//!
//! editor:  Before ─ enter ─► Entering ─ begin ─► Editing ─ end ─► Returning ─ away ─► Away ─ enter ─► …
//!                                                Editing ─ redraw after close ─► Parked
//!                                                                            any ─ gone ─► Gone
//! printer: Idle ─► Handing (the editor is Editing; in all states that lead there the printer waits) ─► Idle
//!          Idle ─► Writing (the editor is in any other state) ─► Idle

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the editor waits at the end of a line for a text to be handed over.
/// If it takes longer, the printer waits for room, and is long past the moment that matters.
const HANDING_TIME_MAX: Duration = Duration::from_millis(20);

/// How long the printer waits for an editor that is between two lines.
/// An editor that said it would return and then did not, because it asked a question of its own, is editing.
/// An editor that is away longer is held up by a node that takes no commands; the texts go on.
const BETWEEN_TIME_MAX: Duration = Duration::from_millis(500);

/// How long the end of the program waits for an editor that is about to change the terminal's mode.
const SETTLING_TIME_MAX: Duration = Duration::from_millis(500);

/// The agreement between editor and printer.
#[derive(Debug, Default)]
pub struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    editor: Editor,
    printer: Printer,
    /// No line will be begun any more.
    stopped: bool,
    /// No line will be drawn any more.
    closing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Editor {
    /// No line was read yet.
    #[default]
    Before,
    /// Between two lines.
    Away,
    /// In the library, where nothing of the line is drawn yet.
    Entering,
    /// The line is on the screen, and texts are taken.
    Editing,
    /// The line was typed to its end.
    Returning,
    /// For ever at the moment after a text was shown and before the line is drawn again.
    Parked,
    /// No line will be read any more.
    Gone,
}

impl Editor {
    /// Whether it will soon be editing a line.
    fn is_between(self) -> bool {
        matches!(self, Editor::Away | Editor::Entering | Editor::Returning)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Printer {
    #[default]
    Idle,
    Writing,
    Handing,
}

/// Which way a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The printer writes it.
    Write,
    /// The editor shows it.
    HandOver,
}

impl Turn {
    /// The editor's thread is about to read a line; false if it should not.
    pub fn enter(&self) -> bool {
        let mut state = self.lock();
        state.editor = if state.stopped { Editor::Gone } else { Editor::Entering };
        self.changed.notify_all();
        !state.stopped
    }

    /// The editor is about to draw the line for the first time, or goes on with it.
    pub fn begin(&self) {
        let state = self.lock();
        // The terminal belongs to the printer until it has written.
        let mut state = self
            .changed
            .wait_while(state, |state| state.printer == Printer::Writing)
            .unwrap_or_else(PoisonError::into_inner);
        state.editor = Editor::Editing;
        self.changed.notify_all();
    }

    /// The editor is about to draw the line; once the end has come, it never does.
    pub fn redraw(&self) {
        let mut state = self.lock();
        if state.closing {
            state.editor = Editor::Parked;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |_| true));
        }
    }

    /// The editor is about to return.
    pub fn end(&self) {
        let mut state = self.lock();
        state.editor = Editor::Returning;
        let handing = |state: &mut State| state.printer == Printer::Handing;
        drop(self.changed.wait_timeout_while(state, HANDING_TIME_MAX, handing));
    }

    /// The editor has returned.
    pub fn away(&self) {
        self.lock().editor = Editor::Away;
        self.changed.notify_all();
    }

    /// The editor will not read any more.
    pub fn gone(&self) {
        self.lock().editor = Editor::Gone;
        self.changed.notify_all();
    }

    /// Calls `print` with the way that its text has to go.
    pub fn print<T>(&self, print: impl FnOnce(Way) -> T) -> T {
        let state = self.lock();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, BETWEEN_TIME_MAX, |state| state.editor.is_between())
            .unwrap_or_else(PoisonError::into_inner);
        let way = match state.editor {
            Editor::Editing | Editor::Returning => Way::HandOver,
            Editor::Before | Editor::Away | Editor::Entering | Editor::Parked | Editor::Gone => Way::Write,
        };
        state.printer = match way {
            Way::HandOver => Printer::Handing,
            Way::Write => Printer::Writing,
        };
        drop(state);
        let result = print(way);
        self.lock().printer = Printer::Idle;
        self.changed.notify_all();
        result
    }

    /// Whether a line is on the screen.
    pub fn is_editing(&self) -> bool {
        self.lock().editor == Editor::Editing
    }

    /// Lets the editor draw no line again, and waits a while for it to get that far: true if it did.
    pub fn close(&self, time_max: Duration) -> bool {
        let mut state = self.lock();
        state.closing = true;
        let on_its_way = |state: &mut State| !matches!(state.editor, Editor::Parked | Editor::Gone);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, time_max, on_its_way)
            .unwrap_or_else(PoisonError::into_inner);
        state.editor == Editor::Parked
    }

    /// Lets no other line be read, and waits until the editor is settled: true if it is in the middle of
    /// a line, false if the terminal is as it was before.
    pub fn stop(&self) -> bool {
        let mut state = self.lock();
        state.stopped = true;
        let moving = |state: &mut State| matches!(state.editor, Editor::Entering | Editor::Returning);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, SETTLING_TIME_MAX, moving)
            .unwrap_or_else(PoisonError::into_inner);
        matches!(state.editor, Editor::Editing | Editor::Parked)
    }

    /// Waits until the editor takes texts or will never do so again; true if it takes them.
    pub fn wait_for_editing(&self) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, SETTLING_TIME_MAX, |state| state.editor.is_between())
            .unwrap_or_else(PoisonError::into_inner);
        state.editor == Editor::Editing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is a few words, each written at once: it is right even after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_text_goes_to_the_editor_once_there_is_one() {
        let turn = Turn::default();
        assert_eq!(turn.print(|way| way), Way::Write);
        assert!(turn.enter());
        turn.begin();
        assert_eq!(turn.print(|way| way), Way::HandOver);
        turn.gone();
        assert_eq!(turn.print(|way| way), Way::Write);
    }

    #[test]
    fn the_prompt_waits_for_a_text_that_is_being_written() {
        let turn = Arc::new(Turn::default());
        let (order, seen) = mpsc::channel();
        let (written, finish) = mpsc::channel::<()>();
        let (writing, wait_for_writing) = mpsc::channel();
        let printer = thread::spawn({
            let (turn, order) = (turn.clone(), order.clone());
            move || {
                turn.print(|_| {
                    writing.send(()).unwrap();
                    finish.recv().unwrap();
                    order.send("text").unwrap();
                });
            }
        });
        wait_for_writing.recv().unwrap();
        let editor = thread::spawn(move || {
            turn.enter();
            turn.begin();
            order.send("prompt").unwrap();
        });
        written.send(()).unwrap();
        printer.join().unwrap();
        editor.join().unwrap();
        assert_eq!(seen.iter().collect::<Vec<_>>(), ["text", "prompt"]);
    }

    #[test]
    fn a_text_between_two_lines_waits_for_the_next_line() {
        let turn = Arc::new(Turn::default());
        turn.enter();
        turn.begin();
        turn.end();
        let printer = thread::spawn({
            let turn = turn.clone();
            move || turn.print(|way| way)
        });
        turn.away();
        turn.enter();
        turn.begin();
        assert_eq!(printer.join().unwrap(), Way::HandOver);
    }

    #[test]
    fn an_editor_that_asks_something_else_is_still_editing() {
        let turn = Turn::default();
        turn.enter();
        turn.begin();
        turn.end();
        assert_eq!(turn.print(|way| way), Way::HandOver);
    }

    #[test]
    fn after_the_close_no_line_is_drawn_again() {
        let turn = Arc::new(Turn::default());
        turn.enter();
        turn.begin();
        turn.redraw();
        assert!(!turn.close(Duration::ZERO));
        // This thread stays where it is until the test's process ends.
        thread::spawn({
            let turn = turn.clone();
            move || turn.redraw()
        });
        assert!(turn.close(Duration::from_secs(30)));
        assert!(turn.stop());
    }

    #[test]
    fn no_line_is_read_after_the_stop() {
        let turn = Turn::default();
        assert!(!turn.stop());
        assert!(!turn.enter());
        let turn = Turn::default();
        turn.enter();
        turn.begin();
        assert!(turn.stop());
    }
}
