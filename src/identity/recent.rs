//! A map of bounded size: when it is full, a new key evicts the least recently used one.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map that keeps the `most` entries that were used last.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    /// The values, each with the number of its last use.
    entries: HashMap<K, (u64, V)>,
    /// The keys by the number of their last use.
    uses: BTreeMap<u64, K>,
    next: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// Creates an empty map of at most `most` entries, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), entries: HashMap::new(), uses: BTreeMap::new(), next: 0 }
    }

    /// Returns a value. This is no use of its entry.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Uses an entry: returns its value, which is created first if it is missing.
    pub(super) fn entry(&mut self, key: &K, create: impl FnOnce() -> V) -> &mut V {
        let number = self.next;
        self.next += 1;
        if let Some((last, _)) = self.entries.get(key) {
            self.uses.remove(last);
        } else if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.uses.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.uses.insert(number, key.clone());
        let (last, value) = self.entries.entry(key.clone()).or_insert_with(|| (number, create()));
        *last = number;
        value
    }

    /// Removes an entry, if it exists.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some((last, _)) = self.entries.remove(key) {
            self.uses.remove(&last);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_map_evicts_the_least_recently_used_entry() {
        let mut map = Recent::new(3);
        for key in ["a", "b", "c", "a", "d"] {
            *map.entry(&key, || 0) += 1;
        }
        assert_eq!(["a", "b", "c", "d"].map(|key| map.get(&key).copied()), [Some(2), None, Some(1), Some(1)]);
        map.remove(&"c");
        map.remove(&"x");
        *map.entry(&"e", || 0) += 1;
        assert_eq!(["a", "c", "d", "e"].map(|key| map.get(&key).copied()), [Some(2), None, Some(1), Some(1)]);
    }

    proptest! {
        #[test]
        fn map_equals_a_slow_model(
            most in 0_usize..5,
            steps in proptest::collection::vec((0_u8..8, proptest::bool::weighted(0.2)), 0..60),
        ) {
            let mut map = Recent::new(most);
            // The keys and values, the least recently used first.
            let mut model: Vec<(u8, u32)> = Vec::new();
            for (key, is_removal) in steps {
                let before = model.iter().position(|(known, _)| *known == key).map(|at| model.remove(at).1);
                if is_removal {
                    map.remove(&key);
                } else {
                    model.push((key, before.unwrap_or_default() + 1));
                    *map.entry(&key, || 0) += 1;
                }
                if model.len() > most.max(1) {
                    model.remove(0);
                }
                for key in 0..8 {
                    let expected = model.iter().find(|(known, _)| *known == key).map(|(_, value)| value);
                    prop_assert_eq!(map.get(&key), expected);
                }
                prop_assert_eq!((map.entries.len(), map.uses.len()), (model.len(), model.len()));
            }
        }
    }
}
