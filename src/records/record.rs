//! Record: one of the several kinds, behind one face.

use super::channel::Channel;
use super::claims::Claims;
use super::mailbox::Mailbox;
use super::value::{Usage, Value};
use super::{RecordKey, Statement, Subject};
use crate::time::Time;

/// What is known of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Record {
    Channel(Channel),
    Name(Claims),
    Mailbox(Mailbox),
    Value(Value),
}

impl Record {
    /// The record of which nothing is known yet.
    pub(super) fn new(key: &RecordKey) -> Record {
        match key {
            RecordKey::Channel(_) => Record::Channel(Channel::default()),
            RecordKey::Name(_) => Record::Name(Claims::default()),
            RecordKey::Mailbox(_) => Record::Mailbox(Mailbox::default()),
            RecordKey::Value(key) => Record::Value(Value::new(key)),
        }
    }

    /// How much it counts among the values.
    pub(super) fn usage(&self) -> Usage {
        match self {
            Record::Value(value) => value.usage(),
            Record::Channel(_) | Record::Name(_) | Record::Mailbox(_) => Usage::default(),
        }
    }

    /// What holds now about `subject`.
    pub(super) fn statement(&self, now: Time, subject: &Subject) -> Option<Statement> {
        match (self, subject) {
            (Record::Channel(channel), Subject::Member(node)) => {
                let (membership, age) = channel.member(now, node)?;
                Some(Statement::Member(membership.clone(), age))
            }
            (Record::Channel(channel), Subject::Message(id)) => {
                let age = channel.log.age(now, id)?;
                Some(Statement::Message(channel.log.get(id)?.clone(), age))
            }
            (Record::Name(claims), Subject::Claim(holder)) => {
                let (claim, age) = claims.get(now, holder)?;
                Some(Statement::Claim(claim.clone(), age))
            }
            (Record::Mailbox(mailbox), Subject::Letter(id)) => {
                mailbox.letter_told(now, id).map(|(letter, age)| Statement::Letter(letter, age))
            }
            (Record::Mailbox(mailbox), Subject::Holder) => {
                mailbox.holder_told(now).map(|(holder, age)| Statement::Holder(holder, age))
            }
            (Record::Value(value), Subject::Written) => {
                value.told(now).map(|(written, age)| Statement::Written(written, age))
            }
            _ => None,
        }
    }

    /// The statement about `subject` stands at another revision now.
    pub(super) fn set_revision(&mut self, subject: &Subject, revision: u64) {
        match (self, subject) {
            (Record::Channel(channel), Subject::Member(node)) => channel.set_member_revision(node, revision),
            (Record::Channel(channel), Subject::Message(id)) => channel.log.set_revision(id, revision),
            (Record::Name(claims), Subject::Claim(holder)) => claims.set_revision(holder, revision),
            (Record::Mailbox(mailbox), Subject::Letter(id)) => mailbox.set_letter_revision(id, revision),
            (Record::Mailbox(mailbox), Subject::Holder) => mailbox.set_holder_revision(revision),
            (Record::Value(value), Subject::Written) => value.set_revision(revision),
            _ => {}
        }
    }

    /// Forgets what is too old, and returns the revisions that it had.
    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        match self {
            Record::Channel(channel) => channel.prune(now),
            Record::Name(claims) => claims.prune(now),
            Record::Mailbox(mailbox) => mailbox.prune(now),
            Record::Value(value) => value.prune(now),
        }
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Record::Channel(channel) => channel.is_empty(),
            Record::Name(claims) => claims.is_empty(),
            Record::Mailbox(mailbox) => mailbox.is_empty(),
            Record::Value(value) => value.is_empty(),
        }
    }
}
