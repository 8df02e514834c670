//! What became of the sequence numbers of one flow. Pure, bounded memory.

/// How many sequence numbers back from the largest a datagram is still told apart from its double.
pub const WINDOW: u64 = 65_536;

/// What one arrival was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Larger than all before.
    InOrder,
    /// The first of its number, but a larger one came before (RFC 4737 section 3.3).
    Reordered,
    /// This number came before.
    Duplicate,
    /// Further back than the window: new or double, nobody knows.
    Late,
}

/// Counts losses, doubles and reordering of one flow.
///
/// A datagram further back than [`WINDOW`] is `late` and `reordered`; as nobody can tell whether it
/// is new, it does not take back the loss that was counted for its number.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// Bit `n % window` says whether number `n` came, for `n` in the window below `last`.
    seen: Box<[u64]>,
    first: u64,
    last: u64,
    received: u64,
    unique: u64,
    duplicated: u64,
    reordered: u64,
    late: u64,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl Tracker {
    /// A tracker that remembers `window` numbers, rounded up to a multiple of 64.
    fn with_window(window: u64) -> Self {
        let words = window.div_ceil(64).max(1) as usize;
        Self {
            seen: vec![0; words].into_boxed_slice(),
            first: 0,
            last: 0,
            received: 0,
            unique: 0,
            duplicated: 0,
            reordered: 0,
            late: 0,
        }
    }

    /// Notes the arrival of `sequence`.
    pub fn arrive(&mut self, sequence: u64) -> Arrival {
        self.received += 1;
        if self.received == 1 {
            self.first = sequence;
            self.last = sequence;
            self.unique = 1;
            self.test_and_set(sequence);
            return Arrival::InOrder;
        }
        if sequence > self.last {
            self.forget_between(self.last, sequence);
            self.last = sequence;
            self.test_and_set(sequence);
            self.unique += 1;
            return Arrival::InOrder;
        }
        if self.last - sequence >= self.window() {
            self.late += 1;
            self.reordered += 1;
            return Arrival::Late;
        }
        if self.test_and_set(sequence) {
            self.duplicated += 1;
            return Arrival::Duplicate;
        }
        self.first = self.first.min(sequence);
        self.unique += 1;
        self.reordered += 1;
        Arrival::Reordered
    }

    /// Numbers from [`first`](Self::first) to [`last`](Self::last) that did not come.
    pub fn lost(&self) -> u64 {
        if self.received == 0 {
            return 0;
        }
        (self.last - self.first).saturating_add(1).saturating_sub(self.unique)
    }

    /// The smallest number seen, late ones left out; 0 before the first arrival.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The largest number seen; 0 before the first arrival.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All arrivals.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Different numbers that came, late ones left out.
    pub fn unique(&self) -> u64 {
        self.unique
    }

    /// Arrivals of a number that came before.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// First arrivals of a number after a larger one, late ones included.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Arrivals further back than the window.
    pub fn late(&self) -> u64 {
        self.late
    }

    fn window(&self) -> u64 {
        self.seen.len() as u64 * 64
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        let bit = sequence % self.window();
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn test_and_set(&mut self, sequence: u64) -> bool {
        let (word, mask) = self.place(sequence);
        let before = self.seen[word] & mask != 0;
        self.seen[word] |= mask;
        before
    }

    /// Clears the bits of the numbers after `last` up to `next`, which stood for older numbers.
    fn forget_between(&mut self, last: u64, next: u64) {
        if next - last >= self.window() {
            self.seen.fill(0);
            return;
        }
        for sequence in last + 1..=next {
            let (word, mask) = self.place(sequence);
            self.seen[word] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn after(sequences: &[u64]) -> Tracker {
        let mut tracker = Tracker::default();
        for sequence in sequences {
            tracker.arrive(*sequence);
        }
        tracker
    }

    #[test]
    fn a_clean_flow_is_clean() {
        let tracker = after(&[10, 11, 12]);
        assert_eq!((tracker.lost(), tracker.duplicated(), tracker.reordered()), (0, 0, 0));
        assert_eq!((tracker.first(), tracker.last(), tracker.unique()), (10, 12, 3));
    }

    #[test]
    fn a_gap_is_a_loss_until_it_is_filled() {
        assert_eq!(after(&[0, 1, 5]).lost(), 3);
        let filled = after(&[0, 1, 5, 3]);
        assert_eq!((filled.lost(), filled.reordered()), (2, 1));
    }

    #[test]
    fn reordering_counts_what_comes_after_a_larger_number() {
        // RFC 4737 section 3.3: 3 and 4 are reordered, 5 is not.
        assert_eq!(after(&[1, 2, 5, 3, 4, 6]).reordered(), 2);
    }

    #[test]
    fn a_double_is_not_reordered() {
        let tracker = after(&[1, 2, 2, 1]);
        assert_eq!((tracker.duplicated(), tracker.reordered(), tracker.lost()), (2, 0, 0));
    }

    #[test]
    fn a_number_before_the_first_seen_lengthens_the_range() {
        let tracker = after(&[9, 6]);
        assert_eq!((tracker.first(), tracker.lost(), tracker.reordered()), (6, 2, 1));
    }

    #[test]
    fn the_window_is_65536_numbers() {
        let mut tracker = after(&[0, 65_535]);
        assert_eq!(tracker.arrive(0), Arrival::Duplicate);
        tracker.arrive(65_536);
        assert_eq!(tracker.arrive(0), Arrival::Late);
        assert_eq!(tracker.arrive(1), Arrival::Reordered);
        assert_eq!((tracker.late(), tracker.reordered(), tracker.duplicated()), (1, 2, 1));
    }

    #[test]
    fn the_whole_range_of_numbers_is_survived() {
        let tracker = after(&[0, u64::MAX]);
        assert_eq!(tracker.lost(), u64::MAX - 2);
        assert_eq!(after(&[u64::MAX, u64::MAX]).duplicated(), 1);
    }

    /// The same questions answered from a set of everything that came.
    #[derive(Default)]
    struct Model {
        kept: HashSet<u64>,
        largest: Option<u64>,
        duplicated: u64,
        reordered: u64,
        late: u64,
    }

    impl Model {
        fn arrive(&mut self, sequence: u64, window: u64) -> Arrival {
            let behind = self.largest.map_or(0, |largest| largest.saturating_sub(sequence));
            let in_order = self.largest.is_none_or(|largest| sequence > largest);
            self.largest = self.largest.max(Some(sequence));
            if behind >= window {
                self.late += 1;
                self.reordered += 1;
                Arrival::Late
            } else if !self.kept.insert(sequence) {
                self.duplicated += 1;
                Arrival::Duplicate
            } else if in_order {
                Arrival::InOrder
            } else {
                self.reordered += 1;
                Arrival::Reordered
            }
        }

        fn lost(&self) -> u64 {
            let (Some(first), Some(last)) = (self.kept.iter().min(), self.kept.iter().max()) else {
                return 0;
            };
            (*first..=*last).filter(|sequence| !self.kept.contains(sequence)).count() as u64
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_everything(
            window in prop::sample::select(vec![64u64, 128, 192]),
            base in 0u64..1000,
            steps in prop::collection::vec((0u64..400, prop::bool::weighted(0.3)), 0..300),
        ) {
            let mut tracker = Tracker::with_window(window);
            let mut model = Model::default();
            let mut next = base;
            for (jump, random) in steps {
                // Mostly a rising sequence with gaps, now and then anything from the whole range.
                next = if random { base + jump } else { next + 1 + jump % 3 };
                prop_assert_eq!(tracker.arrive(next), model.arrive(next, window));
            }
            prop_assert_eq!(tracker.lost(), model.lost());
            prop_assert_eq!(tracker.unique(), model.kept.len() as u64);
            prop_assert_eq!(tracker.duplicated(), model.duplicated);
            prop_assert_eq!(tracker.reordered(), model.reordered);
            prop_assert_eq!(tracker.late(), model.late);
        }
    }
}
