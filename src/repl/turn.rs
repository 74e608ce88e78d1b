//! Whose turn it is to write to the terminal: the line editor's or the printer's.
//!
//! While a line is edited, the printer hands its text to the editor, which clears the line, shows the text
//! and draws the line again; between two lines, the printer writes by itself.
//! The editor's library decides between the two ways at a moment of its own, and at both ends of a line
//! that moment may be the wrong one: then a text would stand behind the prompt.
//! So editor and printer agree here first. No lock is held while anything is written.
//!
//! editor:  Away ─ enter ─► Entering ─ begin ─► Editing ─ end ─► Returning ─ away ─► Away … Gone
//! printer: Idle ─► Writing (by itself: the editor is Away, Entering or Gone) ─► Idle
//!          Idle ─► Handing (to the editor: it is Editing) ─► Idle

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the editor waits at the end of a line for a text to be handed over.
/// If it takes longer, the printer waits for room, and is long past the moment that matters.
const HANDING_TIME_MAX: Duration = Duration::from_millis(50);

/// How long the printer waits for an editor that said it would return.
/// An editor that then does not return, because it asked a question of its own, is editing.
const RETURNING_TIME_MAX: Duration = Duration::from_millis(500);

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
    stopped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Editor {
    /// Between two lines.
    #[default]
    Away,
    /// In the library, where nothing of the line is drawn yet.
    Entering,
    /// The line is on the screen, and texts are taken.
    Editing,
    /// The line was typed to its end.
    Returning,
    /// No line will be read any more.
    Gone,
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
        let returning = |state: &mut State| state.editor == Editor::Returning;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, RETURNING_TIME_MAX, returning)
            .unwrap_or_else(PoisonError::into_inner);
        let way = match state.editor {
            Editor::Editing | Editor::Returning => Way::HandOver,
            Editor::Away | Editor::Entering | Editor::Gone => Way::Write,
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

    /// Lets no other line be read, and waits until the editor is settled: true if it is editing a line,
    /// false if the terminal is as it was before.
    pub fn stop(&self) -> bool {
        let mut state = self.lock();
        state.stopped = true;
        let moving = |state: &mut State| matches!(state.editor, Editor::Entering | Editor::Returning);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, SETTLING_TIME_MAX, moving)
            .unwrap_or_else(PoisonError::into_inner);
        matches!(state.editor, Editor::Editing)
    }

    /// Waits until the editor takes texts or will never do so again; true if it takes them.
    pub fn wait_for_editing(&self) -> bool {
        let state = self.lock();
        let moving = |state: &mut State| !matches!(state.editor, Editor::Editing | Editor::Gone);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, SETTLING_TIME_MAX, moving)
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
    fn a_text_goes_to_the_editor_only_while_it_edits() {
        let turn = Turn::default();
        assert_eq!(turn.print(|way| way), Way::Write);
        assert!(turn.enter());
        assert_eq!(turn.print(|way| way), Way::Write);
        turn.begin();
        assert_eq!(turn.print(|way| way), Way::HandOver);
        turn.end();
        turn.away();
        assert_eq!(turn.print(|way| way), Way::Write);
        turn.gone();
        assert_eq!(turn.print(|way| way), Way::Write);
    }

    #[test]
    fn the_prompt_waits_for_a_text_that_is_being_written() {
        let turn = Arc::new(Turn::default());
        turn.enter();
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
            turn.begin();
            order.send("prompt").unwrap();
        });
        written.send(()).unwrap();
        printer.join().unwrap();
        editor.join().unwrap();
        assert_eq!(seen.iter().collect::<Vec<_>>(), ["text", "prompt"]);
    }

    #[test]
    fn a_text_waits_for_an_editor_that_returns() {
        let turn = Arc::new(Turn::default());
        turn.enter();
        turn.begin();
        turn.end();
        let printer = thread::spawn({
            let turn = turn.clone();
            move || turn.print(|way| way)
        });
        turn.away();
        assert_eq!(printer.join().unwrap(), Way::Write);
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
