//! The disk of a host, which holds back what the driver holds back; see [`crate::machine::batches`].
//!
//! A crash loses what had not begun to be written; of what had, all is there or nothing.
//! Who stops in good order writes the rest before.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use super::faults::STOPS;
use super::{Event, Host, Network};
use crate::id::NodeHandle;
use crate::machine::Output;
use crate::machine::batches::{Batches, Changes};
use crate::sim::{Latency, Simulated};
use crate::time::Time;

/// What is on a disk: a value under each key.
pub(super) type Items = BTreeMap<Vec<u8>, Vec<u8>>;

/// The disk as one machine uses it.
pub(super) struct Disk<M: Simulated> {
    batches: Batches<Time, M::Event, M::Message>,
    /// What is being written.
    writing: Option<Changes>,
    /// When the queue holds an event that begins the next batch.
    begins: Option<Time>,
}

impl<M: Simulated> Default for Disk<M> {
    fn default() -> Disk<M> {
        Disk { batches: Batches::default(), writing: None, begins: None }
    }
}

impl<M: Simulated> Network<M> {
    /// Every node that starts from now on has a disk, which takes so long to write a batch.
    pub fn give_disks(&mut self, writing: Latency) {
        self.writing = Some(writing);
    }

    /// What is on the disk of the host of `node`.
    pub fn on_disk(&self, node: NodeHandle) -> Vec<(Vec<u8>, Vec<u8>)> {
        let items = self.by_id.get(&node.id()).map(|host| &self.hosts[*host as usize].items);
        items.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What `node` has put out until this moment, to be written within some time, is on its disk for certain.
    ///
    /// A batch may be under way when that time is over, and then the next one takes its time, too.
    /// While a node is frozen, nothing is written.
    pub fn written_until(&self, node: NodeHandle, within: Duration) -> Time {
        let (Some(writing), Some(host)) = (self.writing, self.by_id.get(&node.id())) else { return self.now };
        let state = &self.hosts[*host as usize];
        let writes = writing.most() * 2;
        let has_long_gone_on = state.frozen_until.is_none() && state.awake_since + writes <= self.now;
        let end = if has_long_gone_on { self.now } else { state.froze.unwrap_or(self.now) };
        end - (within + writes)
    }

    /// Takes what the machine at `host` has put out, and gives it back if it may leave the node now.
    pub(super) fn through_disk(
        &mut self,
        host: Host,
        output: Output<M::Event, M::Message>,
    ) -> Option<Output<M::Event, M::Message>> {
        match &mut self.hosts[host as usize].disk {
            Some(disk) => disk.batches.take(self.now, output),
            None => Some(output),
        }
    }

    /// Begins to write the next batch if it is time, or sees to it that this happens then.
    pub(super) fn mind_disk(&mut self, host: Host) {
        let state = &mut self.hosts[host as usize];
        let (Some(disk), Some(writing)) = (&mut state.disk, self.writing) else { return };
        let incarnation = state.incarnation;
        if let Some(changes) = disk.batches.begin(self.now) {
            disk.writing = Some(changes);
            let at = self.now + writing.of(self.rng.random());
            self.queue.push(at, Event::Written { node: host, incarnation });
        } else if !disk.batches.is_writing()
            && let Some(due) = disk.batches.due()
            && disk.begins.is_none_or(|begins| due < begins)
        {
            disk.begins = Some(due);
            self.queue.push(due, Event::Write { node: host, incarnation });
        }
    }

    /// Whether the machine has ended for which `event` is, or is frozen: the thread that writes stands still as
    /// well, and `event` comes when it goes on.
    fn stands_still(&mut self, host: Host, incarnation: u32, event: Event<M>) -> bool {
        let state = &self.hosts[host as usize];
        if state.incarnation != incarnation {
            return true;
        }
        let Some(until) = state.frozen_until else { return false };
        self.queue.push(until, event);
        true
    }

    /// It may be time for the next batch.
    pub(super) fn write(&mut self, host: Host, incarnation: u32) -> Option<Host> {
        if self.stands_still(host, incarnation, Event::Write { node: host, incarnation }) {
            return None;
        }
        if let Some(disk) = &mut self.hosts[host as usize].disk {
            disk.begins = None;
        }
        self.mind_disk(host);
        None
    }

    /// A batch is on the disk: what has waited for it leaves the node.
    pub(super) fn written(&mut self, host: Host, incarnation: u32) -> Option<Host> {
        if self.stands_still(host, incarnation, Event::Written { node: host, incarnation }) {
            return None;
        }
        let state = &mut self.hosts[host as usize];
        let disk = state.disk.as_mut()?;
        apply(&mut state.items, disk.writing.take());
        disk.batches.written();
        let released: Vec<_> = std::iter::from_fn(|| disk.batches.release()).collect();
        self.mind_disk(host);
        let mut stops = false;
        for output in released {
            stops |= self.perform(host, output);
        }
        if stops {
            self.end(host, STOPS, false);
        }
        Some(host)
    }

    /// The machine at `host` ends: of what is not on the disk yet, all is there if it ends in good order, and
    /// otherwise perhaps the batch that was begun.
    pub(super) fn end_disk(&mut self, host: Host, in_good_order: bool) {
        let state = &mut self.hosts[host as usize];
        let Some(Disk { batches, writing, .. }) = state.disk.take() else { return };
        if in_good_order || (writing.is_some() && self.rng.random()) {
            apply(&mut state.items, writing);
        }
        if in_good_order {
            apply(&mut state.items, Some(batches.into_rest()));
        }
    }
}

fn apply(items: &mut Items, changes: Option<Changes>) {
    for (key, value) in changes.into_iter().flatten() {
        match value {
            Some(value) => drop(items.insert(key, value)),
            None => drop(items.remove(&key)),
        }
    }
}
