//! Who has a name: the claims of all who want it.

use serde::{Deserialize, Serialize};

use super::Merged;
use super::age::Age;
use super::facts::Facts;
use super::lease::{Leased, Leases};
use super::name::Person;
use crate::id::NodeHandle;
use crate::time::Time;

/// "This name is mine", or is no longer; written by the holder alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Where they are whose it is.
    pub holder: NodeHandle,
    /// Who they are.
    pub person: Person,
    /// Rises with each statement of the holder.
    pub version: u64,
    /// When the holder first claimed it: of two claims, the earlier one wins.
    pub since: Time,
    /// Whether the holder still wants it.
    pub held: bool,
}

impl Leased for Claim {
    fn author(&self) -> NodeHandle {
        self.holder
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// All claims of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claims(Leases<Claim>);

impl Claims {
    pub(super) fn merge(&mut self, now: Time, claim: Claim, age: Age, revision: u64) -> Merged {
        self.0.merge(now, claim, age, revision)
    }

    /// Whose name it is: the earliest claim that has not been given up, and whose lease has not ended.
    ///
    /// Who has come back at another address has two such claims: the newer one says where they are.
    pub fn holder(&self, now: Time) -> Option<&Claim> {
        let first = self.held(now).min_by_key(|claim| (claim.since, claim.holder))?;
        self.held(now).filter(|claim| claim.person == first.person).max_by_key(|claim| claim.version)
    }

    /// Who wants the name and does not have it: it was claimed in two parts of a network.
    pub fn losers(&self, now: Time) -> impl Iterator<Item = &Claim> {
        let holder = self.holder(now).map(|claim| claim.person);
        self.held(now).filter(move |claim| Some(claim.person) != holder)
    }

    fn held(&self, now: Time) -> impl Iterator<Item = &Claim> {
        self.0.live(now).filter(|claim| claim.held)
    }

    pub(super) fn get(&self, now: Time, holder: &NodeHandle) -> Option<(&Claim, Age)> {
        self.0.get(now, holder)
    }

    /// Writes what a copy must know to know the same; which renewal of a claim it knows makes no difference
    /// while it holds.
    pub(super) fn write_facts(&self, now: Time, facts: &mut Facts) {
        for (claim, holds) in self.0.all(now) {
            facts.node(claim.holder).flag(claim.held).flag(holds).bytes(claim.person.as_bytes());
        }
    }

    /// How many people have a statement here.
    pub(super) fn statements(&self) -> usize {
        self.0.len()
    }

    pub(super) fn set_revision(&mut self, holder: &NodeHandle, revision: u64) {
        self.0.set_revision(holder, revision);
    }

    pub(super) fn prune(&mut self, now: Time) -> Vec<u64> {
        self.0.prune(now)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
