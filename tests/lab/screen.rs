//! What a monitor does with the whole screen.

use rexpect::process::Signal;
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
use vt100::Color;

use crate::desk::{Desk, LINES, Seen, size};

impl Seen {
    /// The row that begins with this name.
    pub fn row_of(&self, name: &str) -> Option<String> {
        self.rows().into_iter().find(|row| row.split(' ').next() == Some(name))
    }
}

impl Desk {
    /// The window gets another size.
    pub fn resize(&self, of: (u16, u16)) {
        {
            let [rows, columns] = size(of);
            self.seen.0.lock().unwrap().parser.screen_mut().set_size(rows, columns);
        }
        self.tell_size(of);
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

    /// Waits until the row of a node has this word in it.
    pub fn wait_for(&self, name: &str, word: &str) {
        let has = |row: String| row.split_whitespace().any(|seen| seen == word);
        self.wait(&format!("{name}: {word}"), |seen| seen.row_of(name).is_some_and(has));
    }

    /// How many cells are not in the colours of the terminal.
    pub fn coloured(&self) -> usize {
        let state = self.seen.0.lock().unwrap();
        let screen = state.parser.screen();
        let (rows, columns) = screen.size();
        let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        let cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells.filter(|cell| (cell.fgcolor(), cell.bgcolor()) != (Color::Default, Color::Default)).count()
    }

    /// Waits until the program has taken the terminal.
    pub fn is_taken(&self) -> bool {
        self.wait("the whole screen", |seen| seen.parser.screen().alternate_screen());
        !self.is_restored()
    }
}
