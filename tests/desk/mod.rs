//! A program at a pseudo-terminal, and a screen to see what a person sees.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rexpect::process::{PtyProcess, WaitStatus};
use rustix::termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::Parser;

/// How long anything may take before the test fails.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Lines are put together by the terminal, and Ctrl-C is a signal, as the shell expects it.
pub const LINES: LocalModes = LocalModes::ICANON.union(LocalModes::ISIG);

pub struct Desk {
    pub process: PtyProcess,
    pub keyboard: File,
    pub seen: Arc<(Mutex<Seen>, Condvar)>,
}

pub struct Seen {
    pub parser: Parser,
    is_over: bool,
}

impl Seen {
    /// The rows of the screen, without the blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        let (_, columns) = self.parser.screen().size();
        self.parser.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The same without the empty ones below.
    pub fn written(&self) -> Vec<String> {
        let mut rows = self.rows();
        let count = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
        rows.truncate(count);
        rows
    }
}

/// As the parser wants it.
pub fn size((columns, rows): (u16, u16)) -> [NonZeroU16; 2] {
    [rows, columns].map(|count| NonZeroU16::new(count).unwrap())
}

impl Desk {
    /// A program on a screen of so many columns and rows, where `before` was written already.
    pub fn new(command: Command, of: (u16, u16), before: &str) -> Desk {
        let [rows, columns] = size(of);
        let mut parser = Parser::new(rows, columns, 0);
        parser.process(before.as_bytes());
        let process = PtyProcess::new(command).unwrap();
        let mut output = process.get_file_handle().unwrap();
        let keyboard = process.get_file_handle().unwrap();
        let seen = Arc::new((Mutex::new(Seen { parser, is_over: false }), Condvar::new()));
        let desk = Desk { process, keyboard, seen: seen.clone() };
        desk.tell_size(of);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = output.read(&mut buffer).unwrap_or(0);
                let mut state = seen.0.lock().unwrap();
                state.parser.process(&buffer[..count]);
                state.is_over = count == 0;
                seen.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        desk
    }

    pub fn tell_size(&self, (columns, rows): (u16, u16)) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + TIME_MAX;
        let mut state = self.seen.0.lock().unwrap();
        while !is_so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let rows = state.written().join("\n");
                // Whoever reads for the screen goes on.
                drop(state);
                panic!("waited for {what}, and saw:\n{rows}");
            }
            state = self.seen.1.wait_timeout(state, left).unwrap().0;
        }
    }

    pub fn wait_for_row(&self, row: &str) {
        self.wait(row, |seen| seen.rows().iter().any(|seen| seen == row));
    }

    /// What stands on the screen, without the empty rows below.
    pub fn rows(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().written()
    }

    /// Whether the terminal is as the shell left it.
    pub fn is_restored(&self) -> bool {
        let mode = tcgetattr(&self.keyboard).unwrap();
        mode.local_modes.contains(LINES) && mode.output_modes.contains(OutputModes::OPOST)
    }

    /// The exit status, after the terminal was found as it was before, and what stands on it now.
    pub fn ends(self) -> (i32, Vec<String>) {
        self.wait("the end", |seen| seen.is_over);
        assert!(self.is_restored(), "the terminal is in another mode than before");
        let state = self.seen.0.lock().unwrap();
        let screen = state.parser.screen();
        assert!(!screen.bracketed_paste(), "pasted text is still marked");
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the screen is not given back");
        let WaitStatus::Exited(_, status) = self.process.wait().unwrap() else { panic!("a signal ended it") };
        (status, state.written())
    }
}
