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
//! It says what the machine has told others, so it is not written before that has left: a crash in between would
//! leave a disk that knows of more than anyone was told.

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
    /// What may wait and came when something was held: after how many batches it may go into one, and by when it
    /// has to.
    later: BTreeMap<u64, (Changes, T)>,
}

impl<T, E, M> Default for Batches<T, E, M> {
    fn default() -> Batches<T, E, M> {
        Batches {
            next: Changes::new(),
            due: None,
            begun: 0,
            done: 0,
            needed: 0,
            held: VecDeque::new(),
            later: BTreeMap::new(),
        }
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
        if !within.is_zero() && self.done < self.needed {
            let by = now + within;
            let (changes, due) = self.later.entry(self.needed).or_insert_with(|| (Changes::new(), by));
            changes.insert(key, value);
            *due = by.min(*due);
            return;
        }
        // What was to be written later is older.
        for (changes, _) in self.later.values_mut() {
            changes.remove(&key);
        }
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
        while let Some(later) = self.later.first_entry().filter(|later| *later.key() <= self.done) {
            let (changes, due) = later.remove();
            self.next.extend(changes);
            self.begin_by(due);
        }
    }

    /// Nothing is written any more, and nothing waits for it.
    pub fn give_up(&mut self) {
        self.next = Changes::new();
        self.later = BTreeMap::new();
        self.due = None;
        self.done = self.begun.max(self.needed);
        self.begun = self.done;
    }

    /// What has not been begun.
    pub fn into_rest(mut self) -> Changes {
        self.next.extend(self.later.into_values().flat_map(|(changes, _)| changes));
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    const NOW: Time = Time::from_micros(1_000_000);
    const LATER: Duration = Duration::from_millis(100);

    type Told = Batches<Time, u8, ()>;

    fn keep(key: u8, value: u8, within: Duration) -> Output<u8, ()> {
        Output::Keep(Keep { key: vec![key], value: Some(vec![value]), within })
    }

    fn batch<const N: usize>(changes: [(u8, u8); N]) -> Option<Changes> {
        Some(changes.into_iter().map(|(key, value)| (vec![key], Some(vec![value]))).collect())
    }

    fn released(batches: &mut Told) -> Vec<u8> {
        let event = |output| match output {
            Output::Event(event) => event,
            output => panic!("{output:?}"),
        };
        std::iter::from_fn(|| batches.release()).map(event).collect()
    }

    #[test]
    fn that_something_was_told_is_not_written_before_it_is_told() {
        let mut batches = Told::default();
        assert_eq!(batches.take(NOW, keep(1, 1, Duration::ZERO)), None);
        assert_eq!(batches.take(NOW, keep(2, 2, LATER)), None);
        assert_eq!(batches.take(NOW, Output::Event(7)), None, "it waits");
        assert_eq!(batches.begin(NOW), batch([(1, 1)]));
        assert_eq!(released(&mut batches), [0_u8; 0]);
        batches.written();
        assert_eq!(released(&mut batches), [7_u8]);
        assert_eq!((batches.begin(NOW), batches.due()), (None, Some(NOW + LATER)));
        assert_eq!(batches.begin(NOW + LATER), batch([(2, 2)]));
    }

    #[test]
    fn what_is_told_again_and_again_is_written_all_the_same() {
        let mut batches = Told::default();
        let tell = |batches: &mut Told, value| {
            assert_eq!(batches.take(NOW, keep(1, value, Duration::ZERO)), None);
            assert_eq!(batches.take(NOW, keep(2, value, LATER)), None);
        };
        tell(&mut batches, 1);
        assert_eq!(batches.begin(NOW), batch([(1, 1)]));
        for value in 2..9 {
            tell(&mut batches, value);
            batches.written();
            assert_eq!(batches.begin(NOW), batch([(1, value), (2, value - 1)]));
        }
    }

    #[test]
    fn of_two_values_under_a_key_the_one_that_came_last_is_on_the_disk_in_the_end() {
        let mut batches = Told::default();
        for (value, within) in [(1, Duration::ZERO), (2, LATER), (3, Duration::ZERO)] {
            assert_eq!(batches.take(NOW, keep(1, value, within)), None);
        }
        assert_eq!(batches.begin(NOW), batch([(1, 3)]));
        for (value, within) in [(4, Duration::ZERO), (5, LATER)] {
            assert_eq!(batches.take(NOW, keep(1, value, within)), None);
        }
        batches.written();
        assert_eq!(batches.begin(NOW), batch([(1, 4)]));
        assert_eq!(Some(batches.into_rest()), batch([(1, 5)]));
    }
}
