//! Facts: what a copy of a record must know to know the same as another, as bytes.

use crate::id::{Id, NodeHandle};

/// Facts about one record; the same ones, written in the same order, have the same digest.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<u8>);

impl Facts {
    pub(super) fn flag(&mut self, flag: bool) -> &mut Facts {
        self.0.push(flag.into());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Facts {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn node(&mut self, node: NodeHandle) -> &mut Facts {
        self.0.extend(node.id().as_bytes());
        self
    }

    /// Its length is part of it: so two texts cannot be taken for one.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Facts {
        self.number(bytes.len() as u64).0.extend(bytes);
        self
    }

    /// The first eight bytes of their SHA-1 hash, as a number.
    pub(super) fn digest(self) -> u64 {
        let hash = Id::hash(self.0);
        u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    }
}
