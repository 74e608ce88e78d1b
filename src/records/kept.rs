//! What is kept of the records on the disk: each statement by itself, as it changes.
//!
//! After a restart the statements are merged again, as if another copy had told them: what has become too
//! old meanwhile is dropped, what others know better is learnt from them, and what they lack is offered to
//! them by repair.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Record, RecordKey, Records, Statement, Subject};
use crate::time::Time;

/// How long it may take until a renewal is written: after a crash, a lease may end that much earlier.
pub const RENEWAL_WITHIN: Duration = Duration::from_secs(10);

/// What has changed since it was last written, and whether more than by a renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Changed(Option<BTreeMap<(RecordKey, Subject), bool>>);

impl Changed {
    /// Whether anybody wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn note(&mut self, key: &RecordKey, subject: Subject, more_than_renewed: bool) {
        if let Some(changed) = &mut self.0 {
            *changed.entry((key.clone(), subject)).or_default() |= more_than_renewed;
        }
    }
}

/// A statement that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which record.
    pub key: RecordKey,
    /// What it is about.
    pub subject: Subject,
    /// What holds now, with its age; nothing if it was dropped.
    pub statement: Option<Statement>,
    /// How long it may take until it is written.
    pub within: Duration,
}

impl Records {
    /// From now on, what changes is remembered for [`Records::take_changes`].
    pub fn remember_changes(&mut self) {
        self.changed.0.get_or_insert_default();
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self, now: Time) -> Vec<Change> {
        let changed = self.changed.0.as_mut().map(std::mem::take).unwrap_or_default();
        let change = |((key, subject), more_than_renewed): ((RecordKey, Subject), bool)| {
            let statement = self.held.get(&key).and_then(|held| held.record.statement(now, &subject));
            let within =
                if more_than_renewed && statement.is_some() { Duration::ZERO } else { RENEWAL_WITHIN };
            Change { key, subject, statement, within }
        };
        changed.into_iter().map(change).collect()
    }

    /// Learns again what was kept, so long after.
    pub fn restore(&mut self, now: Time, key: &RecordKey, subject: Subject, statement: Statement) {
        let is_kept = self.merge(now, key, statement);
        if is_kept {
            self.note_restored(key);
        }
        match &mut self.changed.0 {
            // It is on the disk already.
            Some(changed) if is_kept => drop(changed.remove(&(key.clone(), subject))),
            // It is too old, and is forgotten there as well.
            _ => self.changed.note(key, subject, false),
        }
    }

    /// Whether `statement` says no more than that what is known still holds.
    pub fn is_renewal(&self, now: Time, key: &RecordKey, statement: &Statement) -> bool {
        match (self.held.get(key).map(|held| &held.record), statement) {
            (Some(Record::Channel(channel)), Statement::Member(new, _)) => {
                channel.member(now, &new.node).is_some_and(|(known, age)| {
                    (known.joined, &known.nick) == (new.joined, &new.nick) && age.is_in_force()
                })
            }
            (Some(Record::Name(claims)), Statement::Claim(new, _)) => {
                claims.get(now, &new.holder).is_some_and(|(known, age)| {
                    (known.person, known.held, known.since) == (new.person, new.held, new.since)
                        && age.is_in_force()
                })
            }
            _ => false,
        }
    }
}

impl Statement {
    /// The same, so much later.
    pub fn aged(self, by: Duration) -> Statement {
        match self {
            Statement::Member(membership, age) => Statement::Member(membership, age.after(by)),
            Statement::Message(entry, age) => Statement::Message(entry, age.after(by)),
            Statement::Claim(claim, age) => Statement::Claim(claim, age.after(by)),
            Statement::Letter(letter, age) => Statement::Letter(letter, age.after(by)),
            Statement::Holder(holder, age) => Statement::Holder(holder, age.after(by)),
            Statement::Written(written, age) => Statement::Written(written, age.after(by)),
        }
    }
}
