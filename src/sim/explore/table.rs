//! Values that are numbered when they are first seen.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Distinct values and their numbers.
pub(super) struct Table<T> {
    values: Vec<Rc<T>>,
    numbers: BTreeMap<Rc<T>, u32>,
}

impl<T: Ord> Table<T> {
    pub(super) fn new() -> Table<T> {
        Table { values: Vec::new(), numbers: BTreeMap::new() }
    }

    /// The number of `value`, a new one if it has none.
    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("memory ends before 2^32 values");
        let value = Rc::new(value);
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }
}
