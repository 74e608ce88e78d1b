//! Mistakes that break what the chat promises: tests switch them on to show that each is noticed.
//!
//! Outside tests, no node has one, and the compiler removes the questions.

use super::Records;

/// A shortcut that other implementations take, or a mistake that is easily made, in what a node keeps or in what
/// it tells of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutant {
    /// "The two lists are joined to a union" (the assignment): who is in either is in, however old that is.
    UnitesSets,
    /// Acknowledges what one copy less has.
    AcknowledgesSooner,
    /// A new root goes by what the first one says whom it asks.
    BelievesTheFirst,
    /// A new root does not tell its copies what it has learnt while it took over.
    KeepsToItself,
    /// Copies ask after their records again and again.
    RepairsWithoutPause,
    /// Strikes letters off once they are acknowledged.
    StrikesLettersOff,
    /// Shows every message as one that comes late.
    MarksAllAsLate,
    /// Keeps the value that is there, and answers that another is written.
    KeepsTheFirstValue,
}

impl Records {
    #[cfg(test)]
    pub(crate) fn set_mutant(&mut self, mutant: Option<Mutant>) {
        self.mutant = mutant;
    }

    #[cfg(test)]
    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    #[cfg(not(test))]
    pub(crate) const fn is(&self, _: Mutant) -> bool {
        false
    }
}
