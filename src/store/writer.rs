//! The writer: a thread that puts one batch after the other on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc as blocking;
use std::thread;

use tokio::sync::mpsc;

/// What changes: the value under each key from now on, or nothing to forget it.
///
/// Where nothing changes, nothing is written, but it is seen whether there is still a file.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The driver's end of the thread that writes.
///
/// One batch is under way at a time: after [`Writer::begin`] comes one [`Writer::done`].
/// Dropping it ends the thread after what is under way.
#[derive(Debug)]
pub struct Writer {
    batches: blocking::SyncSender<Changes>,
    done: mpsc::Receiver<Result<(), String>>,
}

impl Writer {
    /// A thread that carries batches out by `write`, which returns when they are on the disk.
    ///
    /// Fails if the system gives no thread.
    pub fn start<E: fmt::Display>(
        mut write: impl FnMut(&Changes) -> Result<(), E> + Send + 'static,
    ) -> io::Result<Writer> {
        let (batches, asked) = blocking::sync_channel::<Changes>(1);
        let (tell, done) = mpsc::channel(1);
        thread::Builder::new().name("disk".to_owned()).spawn(move || {
            for changes in asked {
                let written = catch_unwind(AssertUnwindSafe(|| write(&changes)));
                let result = match written {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(_) => Err("the file cannot be changed any more".to_owned()),
                };
                // Nobody waits any more if the program is ending.
                if tell.blocking_send(result).is_err() {
                    break;
                }
            }
            // The file is closed before the driver sees the end of the answers.
            drop(write);
            drop(tell);
        })?;
        Ok(Writer { batches, done })
    }

    /// Begins to write `changes`; false if the thread has ended.
    pub fn begin(&self, changes: Changes) -> bool {
        self.batches.try_send(changes).is_ok()
    }

    /// Waits until what was begun is on the disk, or for the reason why it is not; nothing if the thread has
    /// ended.
    ///
    /// May be cancelled.
    pub async fn done(&mut self) -> Option<Result<(), String>> {
        self.done.recv().await
    }

    /// The same, if it is known by now.
    pub fn try_done(&mut self) -> Option<Result<(), String>> {
        self.done.try_recv().ok()
    }

    /// Closes the file, and waits until that is done.
    pub async fn close(self) {
        let Writer { batches, mut done } = self;
        drop(batches);
        while done.recv().await.is_some() {}
    }
}
