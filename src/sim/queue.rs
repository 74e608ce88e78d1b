//! What will happen, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// A queue of events, ordered by time and, at one time, by when they were put in.
///
/// The heap moves its entries about, so it holds small ones; the events lie still in `slots`.
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, u32)>>,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    pub(super) fn push(&mut self, at: Time, event: E) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 events are under way")
            }
        };
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, slot)));
    }

    /// The time of the next event.
    pub(super) fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.slots[slot as usize].take().expect("an entry of the heap has its event");
        Some((at, event))
    }

    /// All events, in no particular order, which is the same on every run.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Time, &E)> {
        self.heap
            .iter()
            .filter_map(|Reverse((at, _, slot))| Some((*at, self.slots[*slot as usize].as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_by_time_and_then_by_age() {
        let mut queue = Queue::new();
        let at = |micros| Time::from_micros(micros);
        for (time, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            queue.push(at(time), event);
        }
        assert_eq!(queue.pop(), Some((at(1), 'a')));
        queue.push(at(3), 'e');
        let rest: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(rest, "bcde");
    }
}
