//! Which messages have been shown: none is shown twice.

use std::collections::{BTreeSet, VecDeque};

use crate::records::channel::{LOG_MAX, MessageId};

/// How many are remembered: as many as a channel keeps, for older ones do not come again.
const RECENT_MAX: usize = LOG_MAX;

/// The messages that were shown last.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Recent {
    oldest_first: VecDeque<MessageId>,
    ids: BTreeSet<MessageId>,
}

impl Recent {
    /// Whether the message has not been here before; from now on, it has.
    pub(super) fn is_new(&mut self, id: MessageId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        if self.oldest_first.len() == RECENT_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.oldest_first.push_back(id);
        true
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
        assert!((0..=RECENT_MAX as u64).all(|counter| recent.is_new(id(counter))));
        assert!(!recent.is_new(id(1)));
        assert!(recent.is_new(id(0)), "it was forgotten");
        assert_eq!(recent.ids.len(), RECENT_MAX);
    }
}
