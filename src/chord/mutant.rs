//! Shortcuts that break the ring: tests switch them on to show that the oracle notices each.
//!
//! Outside tests, no node has one, and the compiler removes the questions.

use super::Chord;

/// A shortcut that other implementations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutant {
    /// Adopts the successor's predecessor without asking it.
    AdoptsWithoutAsking,
    /// A later notify overwrites an earlier, better one.
    ForgetsBetterCandidate,
    /// Rectify does not ping the old predecessor.
    DoesNotPing,
    /// Join sets the successor only and leaves the list for later.
    JoinsWithSuccessorOnly,
    /// No rule for small rings: lists wrap around the circle.
    WrapsSmallRings,
    /// Adopts whoever is found in another ring, also one that is further away than the successor.
    UnitesWithAnyone,
    /// Does not ask after those that it has lost.
    ForgetsTheLost,
}

impl<P> Chord<P> {
    #[cfg(test)]
    pub(crate) fn with_mutant(mut self, mutant: Mutant) -> Chord<P> {
        self.mutant = Some(mutant);
        self
    }

    #[cfg(test)]
    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    #[cfg(not(test))]
    pub(super) const fn is(&self, _: Mutant) -> bool {
        false
    }
}
