//! Which messages have been shown: none is shown twice.

use std::collections::{BTreeMap, VecDeque};

use crate::records::channel::{LOG_MAX, MessageId, Place};

/// How many are remembered: more than a channel keeps, for older ones do not come again.
const RECENT_MAX: usize = 2 * LOG_MAX;

/// The numbers of what is remembered, counted from the first message ever: from `first` on, before `next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) next: u64,
}

/// The messages that were shown last, and what is remembered of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Recent<T> {
    oldest_first: VecDeque<MessageId>,
    known: BTreeMap<MessageId, T>,
    /// How many have been forgotten.
    forgotten: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent { oldest_first: VecDeque::new(), known: BTreeMap::new(), forgotten: 0 }
    }
}

impl<T> Recent<T> {
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.known.contains_key(id)
    }

    /// Remembers a message that has not been here before; returns what is forgotten for it.
    pub(super) fn insert(&mut self, id: MessageId, remembered: T) -> Option<T> {
        if self.known.insert(id, remembered).is_some() {
            return None;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() <= RECENT_MAX {
            return None;
        }
        self.forgotten += 1;
        self.oldest_first.pop_front().and_then(|oldest| self.known.remove(&oldest))
    }

    /// What was remembered before, by the numbers that it had then.
    pub(super) fn restored(numbered: BTreeMap<u64, (MessageId, T)>) -> Recent<T> {
        // Nobody has been shown so many: such a number was not written here.
        let forgotten = numbered.first_key_value().map_or(0, |(&number, _)| number.min(u64::MAX / 2));
        let mut recent = Recent { forgotten, ..Recent::default() };
        for (id, remembered) in numbered.into_values() {
            recent.insert(id, remembered);
        }
        recent
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers { first: self.forgotten, next: self.forgotten + self.oldest_first.len() as u64 }
    }

    /// What is remembered from this number on.
    pub(super) fn numbered_from(&self, number: u64) -> impl Iterator<Item = (u64, MessageId, &T)> {
        let skipped = number.saturating_sub(self.forgotten);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.oldest_first.len());
        let rest = self.oldest_first.range(skipped..).copied();
        let numbered = (self.forgotten + skipped as u64..).zip(rest);
        numbered.filter_map(|(number, id)| Some((number, id, self.known.get(&id)?)))
    }
}

impl Recent<Place> {
    /// The newest place of all.
    pub(super) fn newest(&self) -> Option<Place> {
        self.known.values().copied().max()
    }

    /// The messages after `after` and up to `upto`, summed up as the channel's root does it.
    pub(super) fn sum(&self, after: Option<Place>, upto: Option<Place>) -> u64 {
        let shown = self.known.iter().filter(|&(_, &place)| after < Some(place) && Some(place) <= upto);
        MessageId::sum(shown.map(|(id, _)| *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeHandle;

    #[test]
    fn a_message_is_new_once_and_the_oldest_are_forgotten() {
        let author = NodeHandle::new(([127, 0, 0, 1], 7000).into());
        let id = |counter| MessageId { author, counter };
        let mut recent = Recent::default();
        assert!((0..RECENT_MAX as u64).all(|counter| recent.insert(id(counter), counter).is_none()));
        assert_eq!(recent.insert(id(1), 1), None, "it is known");
        assert_eq!(recent.insert(id(RECENT_MAX as u64), 0), Some(0), "the oldest is forgotten");
        assert!(recent.contains(&id(1)) && !recent.contains(&id(0)));
        assert_eq!(recent.known.len(), RECENT_MAX);
    }
}
