//! What arrived of one flow at one output: each datagram once, in order. Pure.

use std::collections::BTreeMap;

/// Gaps that are remembered, each with its first and last number; more are counted as lost.
pub(crate) const MAX_GAPS: usize = 1 << 16;

/// Datagrams of one flow at one output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The number after the highest that came.
    next: u64,
    /// Numbers below `next` that have not come: first to last.
    pub(crate) gaps: BTreeMap<u64, u64>,
    /// Each counted once.
    pub(crate) unique: u64,
    /// Came again.
    pub(crate) duplicated: u64,
    /// Came after one with a higher number.
    pub(crate) reordered: u64,
}

impl Tally {
    /// `count` datagrams came, numbered from `first` on.
    #[inline]
    pub(crate) fn came(&mut self, first: u64, count: u64) {
        if first >= self.next {
            if first > self.next && self.gaps.len() < MAX_GAPS {
                self.gaps.insert(self.next, first - 1);
            }
            self.next = first + count;
            self.unique += count;
            return;
        }
        for number in first..first + count {
            self.late(number);
        }
    }

    fn late(&mut self, number: u64) {
        if number >= self.next {
            self.came(number, 1);
            return;
        }
        let gap = self.gaps.range(..=number).next_back().map(|(&first, &last)| (first, last));
        match gap {
            Some((first, last)) if number <= last => {
                self.gaps.remove(&first);
                if first < number {
                    self.gaps.insert(first, number - 1);
                }
                if number < last {
                    self.gaps.insert(number + 1, last);
                }
                self.unique += 1;
                self.reordered += 1;
            }
            _ => self.duplicated += 1,
        }
    }

    /// How many of `sent` did not come.
    pub(crate) fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.unique)
    }
}
