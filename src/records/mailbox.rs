//! Mailbox: private messages for someone who is away.
//!
//! They are for a person, not for a name: whoever takes the name meanwhile does not get them.
//! So the mailbox also remembers who had the name last.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Merged;
use super::age::Age;
use super::channel::MessageId;
use super::facts::Facts;
use super::name::{Nick, Person};
use crate::time::Time;

/// How long a letter waits for its receiver, and how long it is remembered who had a name.
pub const MAIL_KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How many letters may wait for one person.
pub const MAIL_MAX: usize = 200;

/// How many letters a mailbox holds, for all people and with those of which only the id is left.
const LETTERS_MAX: usize = 2000;

/// A private message that waits for its receiver, or has been shown to them.
///
/// Of what two copies know, the one that has been shown counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Letter {
    /// Which message it is.
    pub id: MessageId,
    /// For whom it is.
    pub to: Person,
    /// What it says; nothing once it has been shown.
    pub text: Option<String>,
    /// Who wrote it.
    pub from: Nick,
    /// When it came to the mailbox, by the clock of the root, or just after the letter before, whichever is later.
    pub at: Time,
}

impl Letter {
    /// Of two statements about a letter, the first one holds.
    fn order(&self) -> (bool, &Letter) {
        (self.text.is_some(), self)
    }
}

/// Who had the name last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// When that was noted, by the clock of the root, or just after the one before, whichever is later.
    pub at: Time,
    /// Who.
    pub person: Person,
}

/// What a node keeps, when its root made it, by this node's clock, and the revision at which it was learnt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held<T> {
    it: T,
    made: Time,
    revision: u64,
}

impl<T> Held<T> {
    fn is_over(&self, now: Time) -> bool {
        self.made + MAIL_KEPT_FOR <= now
    }
}

/// The letters for those who have or had a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox {
    holder: Option<Held<Holder>>,
    letters: BTreeMap<MessageId, Held<Letter>>,
}

impl Mailbox {
    /// Who had the name last.
    pub fn holder(&self) -> Option<Holder> {
        self.holder.as_ref().map(|held| held.it)
    }

    /// The same, with its age.
    pub fn holder_told(&self, now: Time) -> Option<(Holder, Age)> {
        self.holder.as_ref().map(|held| (held.it, Age::since(held.made, now)))
    }

    /// When a letter comes that comes after all that are here.
    pub fn next_at(&self, now: Time) -> Time {
        now.after(self.letters.values().map(|held| held.it.at).max())
    }

    /// The letters that wait for a person, in the order in which they came.
    pub fn waiting(&self, to: Person) -> Vec<&Letter> {
        let letters = self.letters.values().map(|held| &held.it);
        let mut waiting: Vec<_> = letters.filter(|letter| letter.to == to && letter.text.is_some()).collect();
        waiting.sort_by_key(|letter| (letter.at, letter.id));
        waiting
    }

    /// Whether a letter waits for anyone.
    pub fn has_mail(&self) -> bool {
        self.letters.values().any(|held| held.it.text.is_some())
    }

    /// The letter with this id, waiting or not.
    pub fn letter(&self, id: &MessageId) -> Option<&Letter> {
        self.letters.get(id).map(|held| &held.it)
    }

    /// What holds about the letter with this id, with its age.
    pub(super) fn letter_told(&self, now: Time, id: &MessageId) -> Option<(Letter, Age)> {
        self.letters.get(id).map(|held| (held.it.clone(), Age::since(held.made, now)))
    }

    /// Whether one more letter could be kept, with room for what so many roots take.
    pub(super) fn has_room(&self, roots: usize) -> bool {
        self.letters.len() < roots * LETTERS_MAX
    }

    /// A letter that is shown later is kept no longer for that.
    pub(super) fn merge_letter(&mut self, now: Time, letter: Letter, age: Age, revision: u64) -> Merged {
        let told = Held { it: letter, made: age.made(now), revision };
        if told.is_over(now) {
            return Merged::Known;
        }
        let Some(held) = self.letters.get_mut(&told.it.id) else {
            self.letters.insert(told.it.id, told);
            return Merged::News { before: None };
        };
        let made = held.made.min(told.made);
        if told.it.order() < held.it.order() {
            let before = Some(held.revision);
            *held = Held { made, ..told };
            return Merged::News { before };
        }
        held.made = made;
        Merged::Known
    }

    pub(super) fn merge_holder(&mut self, now: Time, holder: Holder, age: Age, revision: u64) -> Merged {
        let told = Held { it: holder, made: age.made(now), revision };
        if told.is_over(now) {
            return Merged::Known;
        }
        match &mut self.holder {
            Some(held) if told.it == held.it => held.made = held.made.min(told.made),
            Some(held) if told.it < held.it => {}
            _ => {
                let before = self.holder.replace(told).map(|held| held.revision);
                return Merged::News { before };
            }
        }
        Merged::Known
    }

    /// Writes what a copy must know to know the same.
    pub(super) fn write_facts(&self, facts: &mut Facts) {
        facts.flag(self.holder.is_some());
        if let Some(holder) = self.holder() {
            facts.bytes(holder.person.as_bytes()).number(holder.at.as_micros());
        }
        for Held { it: letter, .. } in self.letters.values() {
            facts.node(letter.id.author).number(letter.id.counter).flag(letter.text.is_some());
        }
    }

    pub(super) fn set_letter_revision(&mut self, id: &MessageId, revision: u64) {
        if let Some(held) = self.letters.get_mut(id) {
            held.revision = revision;
        }
    }

    pub(super) fn set_holder_revision(&mut self, revision: u64) {
        if let Some(held) = &mut self.holder {
            held.revision = revision;
        }
    }

    /// Forgets what is too old, and returns the revisions that it had.
    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        let mut pruned = Vec::new();
        self.letters.retain(|_, held| {
            let is_over = held.is_over(now);
            if is_over {
                pruned.push(held.revision);
            }
            !is_over
        });
        let over = self.holder.take_if(|held| held.is_over(now));
        pruned.extend(over.map(|held| held.revision));
        pruned
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holder.is_none() && self.letters.is_empty()
    }
}
