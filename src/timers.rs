//! Deadlines by key, on the time that the caller gives.

use crate::types::Time;
use std::collections::{BTreeMap, BTreeSet};

/// One deadline for each key. Setting, cancelling and taking what is due cost the logarithm of their number.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_key: BTreeMap<K, Time>,
    by_time: BTreeSet<(Time, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets the deadline of a key, in place of the one it had.
    pub fn set(&mut self, key: K, at: Time) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    /// Takes the deadline of a key away; what it was.
    pub fn cancel(&mut self, key: K) -> Option<Time> {
        let at = self.by_key.remove(&key)?;
        self.by_time.remove(&(at, key));
        Some(at)
    }

    /// The deadline of a key.
    pub fn get(&self, key: K) -> Option<Time> {
        self.by_key.get(&key).copied()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has come, the earliest first; equal ones in the order of their keys.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        let (at, key) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, key));
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_key_has_one_deadline() {
        let mut timers = Timers::default();
        for (key, at) in [('b', 5), ('a', 5), ('c', 3), ('c', 9)] {
            timers.set(key, Time(at));
        }
        assert_eq!(
            (timers.len(), timers.next(), timers.get('c')),
            (3, Some(Time(5)), Some(Time(9)))
        );
        assert!(!timers.is_empty());
        assert_eq!(timers.pop_due(Time(4)), None);
        assert_eq!(timers.pop_due(Time(5)), Some('a'));
        assert_eq!(timers.cancel('b'), Some(Time(5)));
        assert_eq!((timers.cancel('b'), timers.pop_due(Time(8))), (None, None));
        assert_eq!(timers.pop_due(Time(9)), Some('c'));
        assert!(timers.is_empty() && timers.next().is_none());
    }
}
