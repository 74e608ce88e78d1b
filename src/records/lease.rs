//! Lease: a claim that ends by itself unless its author renews it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Merged;
use super::age::Age;
use crate::id::NodeHandle;
use crate::time::Time;

/// How long a claim holds without being renewed.
pub const LEASE: Duration = Duration::from_secs(90);

/// How often an author renews.
pub const RENEW_EVERY: Duration = Duration::from_secs(30);

/// How long a statement is kept at most: after that, nobody offers or accepts it any more.
///
/// It must be longer than any older statement by the same author can still be on its way.
const KEEP: Duration = Duration::from_secs(15 * 60);

impl Age {
    /// Whether the lease of a statement that is so old has not ended.
    pub(super) fn is_in_force(self) -> bool {
        Duration::from_millis(self.0) < LEASE
    }
}

/// A statement that one node makes about itself, and renews.
pub(super) trait Leased: Ord {
    /// Who makes it.
    fn author(&self) -> NodeHandle;
    /// Rises with each statement of its author, also after a restart.
    fn version(&self) -> u64;
}

/// The last statement of each author.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leases<T>(BTreeMap<NodeHandle, Held<T>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held<T> {
    statement: T,
    /// When the author made it, by this node's clock.
    made: Time,
    revision: u64,
}

impl<T> Default for Leases<T> {
    fn default() -> Leases<T> {
        Leases(BTreeMap::new())
    }
}

impl<T: Leased> Leases<T> {
    /// The newer of two statements of an author holds; of the same one, the greater age.
    pub(super) fn merge(&mut self, now: Time, statement: T, age: Age, revision: u64) -> Merged {
        let made = age.made(now);
        if made + KEEP <= now {
            return Merged::Known;
        }
        let author = statement.author();
        let Some(held) = self.0.get_mut(&author) else {
            self.0.insert(author, Held { statement, made, revision });
            return Merged::News { before: None };
        };
        let newer = (held.statement.version(), &held.statement) < (statement.version(), &statement);
        if newer {
            let before = Some(held.revision);
            *held = Held { statement, made, revision };
            return Merged::News { before };
        }
        if held.statement == statement {
            held.made = held.made.min(made);
        }
        Merged::Known
    }

    pub(super) fn get(&self, now: Time, author: &NodeHandle) -> Option<(&T, Age)> {
        let held = self.0.get(author)?;
        Some((&held.statement, Age::since(held.made, now)))
    }

    /// The statements whose lease has not ended.
    pub(super) fn live(&self, now: Time) -> impl Iterator<Item = &T> {
        self.0.values().filter(move |held| now < held.made + LEASE).map(|held| &held.statement)
    }

    /// The statements whose lease ended after `since`, and not later than `now`.
    pub(super) fn ended(&self, since: Time, now: Time) -> impl Iterator<Item = &T> {
        self.0
            .values()
            .filter(move |held| (since < held.made + LEASE) && (held.made + LEASE <= now))
            .map(|held| &held.statement)
    }

    /// All statements, and whether the lease of each has not ended.
    pub(super) fn all(&self, now: Time) -> impl Iterator<Item = (&T, bool)> {
        self.0.values().map(move |held| (&held.statement, now < held.made + LEASE))
    }

    pub(super) fn set_revision(&mut self, author: &NodeHandle, revision: u64) {
        if let Some(held) = self.0.get_mut(author) {
            held.revision = revision;
        }
    }

    /// Forgets what is too old, and returns the revisions that it had.
    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        let mut pruned = Vec::new();
        self.0.retain(|_, held| {
            let keep = now < held.made + KEEP;
            if !keep {
                pruned.push(held.revision);
            }
            keep
        });
        pruned
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
