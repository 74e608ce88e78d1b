//! A pseudo-terminal with a program, and a screen to see what a person sees.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rexpect::process::{PtyProcess, Signal, WaitStatus};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize,
};
use vt100::{Color, Parser};

/// How long anything may take before the test fails.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Lines are put together by the terminal, and Ctrl-C is a signal, as the shell expects it.
const LINES: LocalModes = LocalModes::ICANON.union(LocalModes::ISIG);

/// What the shell had written before the program began.
const BEFORE: &[u8] = b"$ chat net monitor\r\n";

pub struct Screen {
    process: PtyProcess,
    keyboard: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

pub struct Seen {
    parser: Parser,
    is_over: bool,
}

impl Seen {
    /// The rows of the screen, without the blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        let (_, columns) = self.parser.screen().size();
        self.parser.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The row that begins with this name.
    pub fn row_of(&self, name: &str) -> Option<String> {
        self.rows().into_iter().find(|row| row.split(' ').next() == Some(name))
    }

    /// How many cells are not in the colours of the terminal.
    fn coloured(&self) -> usize {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        let cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells.filter(|cell| (cell.fgcolor(), cell.bgcolor()) != (Color::Default, Color::Default)).count()
    }
}

fn size(rows: u16, columns: u16) -> [NonZeroU16; 2] {
    [rows, columns].map(|count| NonZeroU16::new(count).unwrap())
}

impl Screen {
    /// A program on a screen of so many columns and rows.
    pub fn new(mut command: Command, (columns, rows): (u16, u16)) -> Screen {
        command.env("TERM", "xterm-256color");
        let mut parser = {
            let [rows, columns] = size(rows, columns);
            Parser::new(rows, columns, 0)
        };
        parser.process(BEFORE);
        let process = PtyProcess::new(command).unwrap();
        let mut output = process.get_file_handle().unwrap();
        let keyboard = process.get_file_handle().unwrap();
        let seen = Arc::new((Mutex::new(Seen { parser, is_over: false }), Condvar::new()));
        let screen = Screen { process, keyboard, seen: seen.clone() };
        screen.tell_size(columns, rows);
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
        screen
    }

    fn tell_size(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// The window gets another size.
    pub fn resize(&self, (columns, rows): (u16, u16)) {
        {
            let [rows, columns] = size(rows, columns);
            self.seen.0.lock().unwrap().parser.screen_mut().set_size(rows, columns);
        }
        self.tell_size(columns, rows);
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// As after Ctrl-Z and `fg`: meanwhile the shell has the terminal.
    pub fn is_stopped_and_goes_on(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.seen.0.lock().unwrap().parser.process(b"\x1b[?1049l\x1b[2J$ fg\r\n");
        let mut mode = tcgetattr(&self.keyboard).unwrap();
        mode.local_modes |= LINES;
        mode.output_modes |= OutputModes::OPOST;
        tcsetattr(&self.keyboard, OptionalActions::Now, &mode).unwrap();
        assert!(self.is_restored());
        self.signal(Signal::SIGCONT);
    }

    pub fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + TIME_MAX;
        let mut state = self.seen.0.lock().unwrap();
        while !is_so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let rows = state.rows().join("\n");
                // Whoever reads for the screen goes on.
                drop(state);
                panic!("waited for {what}, and saw:\n{rows}");
            }
            state = self.seen.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until the row of a node has this word in it.
    pub fn wait_for(&self, name: &str, word: &str) {
        let has = |row: String| row.split_whitespace().any(|seen| seen == word);
        self.wait(&format!("{name}: {word}"), |seen| seen.row_of(name).is_some_and(has));
    }

    pub fn wait_for_row(&self, row: &str) {
        self.wait(row, |seen| seen.rows().iter().any(|seen| seen == row));
    }

    pub fn coloured(&self) -> usize {
        self.seen.0.lock().unwrap().coloured()
    }

    pub fn rows(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().rows()
    }

    /// Whether the terminal is as the shell left it.
    fn is_restored(&self) -> bool {
        let mode = tcgetattr(&self.keyboard).unwrap();
        mode.local_modes.contains(LINES) && mode.output_modes.contains(OutputModes::OPOST)
    }

    /// Waits until the program has taken the terminal.
    pub fn is_taken(&self) -> bool {
        self.wait("the whole screen", |seen| seen.parser.screen().alternate_screen());
        !self.is_restored()
    }

    /// The exit status, after the terminal was found as it was before, and what stands on it now.
    pub fn ends(self) -> (i32, Vec<String>) {
        self.wait("the end", |seen| seen.is_over);
        assert!(self.is_restored(), "the terminal is in another mode than before");
        let state = self.seen.0.lock().unwrap();
        let screen = state.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the screen is not given back");
        let WaitStatus::Exited(_, status) = self.process.wait().unwrap() else { panic!("a signal ended it") };
        let mut rows = state.rows();
        rows.retain(|row| !row.is_empty());
        (status, rows)
    }
}
