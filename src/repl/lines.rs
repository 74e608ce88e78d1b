//! A seat without a terminal: plain lines in, plain lines out.

use std::io::{self, BufRead, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::records::value::VALUE_BYTES_MAX;
use crate::repl::session::{Seat, Typed};

/// The longest line that is read: what a command takes is shorter, also the longest value with its key.
pub const LINE_BYTES_MAX: usize = VALUE_BYTES_MAX + 2 * 1024;

/// How many lines wait on their way between the threads.
const LINES_MAX: usize = 64;

/// How much is written at once when much waits.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// A seat that reads `input` and writes `output`, and what tells that all was written.
///
/// Each has a thread of its own, which may block.
/// The one that reads ends with the program: nothing can wake it.
pub fn sit(
    input: impl FnOnce() -> Box<dyn BufRead> + Send + 'static,
    output: impl Write + Send + 'static,
) -> io::Result<(Seat, oneshot::Receiver<()>)> {
    let (begin, begun) = oneshot::channel();
    let (typed_sender, typed) = mpsc::channel(LINES_MAX);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        if begun.blocking_recv().is_ok() {
            read_lines(Lines::new(input()), &typed_sender);
        }
    })?;
    let (shown, written) = write(output, ())?;
    Ok((Seat { begin, typed, shown }, written))
}

/// A seat where nobody sits: it writes `output`, and nothing is ever typed.
pub fn watch(output: impl Write + Send + 'static) -> io::Result<(Seat, oneshot::Receiver<()>)> {
    let (begin, _) = oneshot::channel();
    let (nobody, typed) = mpsc::channel(1);
    let (shown, written) = write(output, nobody)?;
    Ok((Seat { begin, typed, shown }, written))
}

/// Writes what is sent, in a thread that keeps `kept` as long.
fn write(
    output: impl Write + Send + 'static,
    kept: impl Send + 'static,
) -> io::Result<(mpsc::Sender<String>, oneshot::Receiver<()>)> {
    let (shown, shown_receiver) = mpsc::channel(LINES_MAX);
    let (done, written) = oneshot::channel();
    thread::Builder::new().name("output".to_owned()).spawn(move || {
        write_lines(shown_receiver, output);
        drop(kept);
        // Nobody waits any more if the program is ending at once.
        let _ = done.send(());
    })?;
    Ok((shown, written))
}

fn read_lines(mut lines: Lines<impl BufRead>, typed: &mpsc::Sender<Typed>) {
    loop {
        // Input that cannot be read any more has ended.
        let next = lines.next().unwrap_or(Typed::End);
        let last = next == Typed::End;
        if typed.blocking_send(next).is_err() || last {
            return;
        }
    }
}

fn write_lines(mut lines: mpsc::Receiver<String>, mut output: impl Write) {
    while let Some(batch) = next_batch(&mut lines) {
        if output.write_all(batch.as_bytes()).and_then(|()| output.flush()).is_err() {
            // The reader has gone, as with `| head`: the channel is closed, and the session leaves.
            return;
        }
    }
}

/// All lines that wait, up to a limit, or nothing if there will be no more.
pub(super) fn next_batch(lines: &mut mpsc::Receiver<String>) -> Option<String> {
    let mut batch = lines.blocking_recv()?;
    while batch.len() < BATCH_BYTES_MAX {
        match lines.try_recv() {
            Ok(line) => batch.push_str(&line),
            Err(_) => break,
        }
    }
    Some(batch)
}

/// Reads lines of a limited length.
struct Lines<R> {
    input: R,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Lines<R> {
        Lines { input }
    }

    /// The next line without its end; what is not UTF-8 in it is replaced.
    fn next(&mut self) -> io::Result<Typed> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let at_end = buffer.is_empty();
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if LINE_BYTES_MAX < line.len() + part.len() {
                // The rest of the line is read, but not kept.
                too_long = true;
                line.clear();
            }
            if !too_long {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            match (end, at_end) {
                (None, false) => {}
                _ if too_long => return Ok(Typed::TooLong(LINE_BYTES_MAX)),
                (None, true) if line.is_empty() => return Ok(Typed::End),
                _ => {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn read(input: &[u8]) -> Vec<Typed> {
        // A tiny buffer, so that lines are put together from parts.
        let mut lines = Lines::new(BufReader::with_capacity(7, Cursor::new(input.to_vec())));
        let mut read = Vec::new();
        loop {
            match lines.next().unwrap() {
                Typed::End => return read,
                typed => read.push(typed),
            }
        }
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.to_owned())
    }

    #[test]
    fn lines_are_read_with_any_end() {
        assert_eq!(read(b""), []);
        assert_eq!(read(b"join rust\nexit"), [line("join rust"), line("exit")]);
        assert_eq!(read(b"a\r\n\nb\n"), [line("a"), line(""), line("b")]);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(read(b"send rust \xff\xfe!\n"), [line("send rust \u{fffd}\u{fffd}!")]);
        assert_eq!(read("send rust žluťoučký 👩‍💻".as_bytes()), [line("send rust žluťoučký 👩‍💻")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_one_is_read() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(read(format!("{longest}\nb").as_bytes()), [line(&longest), line("b")]);
        let too_long = Typed::TooLong(LINE_BYTES_MAX);
        assert_eq!(read(format!("{longest}x\nb\n").as_bytes()), [too_long.clone(), line("b")]);
        assert_eq!(read("x".repeat(3 * LINE_BYTES_MAX).as_bytes()), [too_long]);
    }

    #[test]
    fn what_waits_is_written_at_once_and_a_closed_output_ends_the_channel() {
        let (shown, lines) = mpsc::channel(4);
        shown.try_send("a\n".to_owned()).unwrap();
        shown.try_send("b\n".to_owned()).unwrap();
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                assert_eq!(bytes, b"a\nb\n");
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        write_lines(lines, Broken);
        assert!(shown.is_closed());
    }
}
