//! What a machine keeps goes to the disk in batches, and what it puts out after that waits for them.
//!
//! ```text
//! machine: Keep A, Send 1, Send 2   Keep B, Send 3          Send 4
//! disk:    A begins                 waits for A    A done ► B begins          B done
//! network:                                         1, 2                       3, 4
//! ```
//!
//! While one batch is being written, all that comes is for the next one: so the disk is written as often as
//! it can be, and never more often than that.
//! What may wait is written with the next batch, or after the time that it may wait.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Add;
use std::time::Duration;

use super::{Keep, Output};

/// What changes: the value under each key from now on, or nothing to forget it.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What goes to the disk, and what waits for it; `T` is a moment of the clock of whoever writes.
#[derive(Debug)]
pub struct Batches<T, E, M> {
    /// What goes into the next batch, and when that begins at the latest.
    next: Changes,
    due: Option<T>,
    /// How many batches were begun, and how many are on the disk.
    begun: u64,
    done: u64,
    /// After how many batches what comes now may leave the node.
    needed: u64,
    /// What waits, with the number of batches after which it may leave.
    held: VecDeque<(u64, Output<E, M>)>,
}

impl<T, E, M> Default for Batches<T, E, M> {
    fn default() -> Batches<T, E, M> {
        Batches { next: Changes::new(), due: None, begun: 0, done: 0, needed: 0, held: VecDeque::new() }
    }
}

impl<T: Copy + Ord + Add<Duration, Output = T>, E, M> Batches<T, E, M> {
    /// Takes what a machine has put out, and gives it back if it may leave the node now.
    pub fn take(&mut self, now: T, output: Output<E, M>) -> Option<Output<E, M>> {
        match output {
            Output::Keep(keep) => {
                self.keep(now, keep);
                None
            }
            output if self.needed <= self.done => Some(output),
            output => {
                self.held.push_back((self.needed, output));
                None
            }
        }
    }

    fn keep(&mut self, now: T, Keep { key, value, within }: Keep) {
        self.next.insert(key, value);
        self.begin_by(now + within);
        if within.is_zero() {
            self.needed = self.begun + 1;
        }
    }

    /// The next batch begins then at the latest, also with nothing in it.
    pub fn begin_by(&mut self, by: T) {
        self.due = Some(self.due.map_or(by, |due| due.min(by)));
    }

    /// What may leave the node now that did not before, if anything.
    pub fn release(&mut self) -> Option<Output<E, M>> {
        self.held.pop_front_if(|(needed, _)| *needed <= self.done).map(|(_, output)| output)
    }

    /// How much waits.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a batch was begun and is not on the disk.
    pub fn is_writing(&self) -> bool {
        self.done < self.begun
    }

    /// The next batch, if it is time to write it.
    pub fn begin(&mut self, now: T) -> Option<Changes> {
        if self.is_writing() {
            return None;
        }
        self.due.take_if(|due| *due <= now)?;
        self.begun += 1;
        Some(std::mem::take(&mut self.next))
    }

    /// When [`Batches::begin`] is due, once the batch before it is on the disk.
    pub fn due(&self) -> Option<T> {
        self.due
    }

    /// The batch that was begun is on the disk.
    pub fn written(&mut self) {
        self.done = self.begun;
    }

    /// Nothing is written any more, and nothing waits for it.
    pub fn give_up(&mut self) {
        self.next = Changes::new();
        self.due = None;
        self.done = self.begun.max(self.needed);
        self.begun = self.done;
    }

    /// What has not been begun.
    pub fn into_rest(self) -> Changes {
        self.next
    }
}
