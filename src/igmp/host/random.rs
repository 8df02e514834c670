//! Delays by chance that a seed repeats.

use std::time::Duration;

/// SplitMix64: enough to keep hosts from answering at the same moment, not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Longer than zero, at most `within` (at least a nanosecond), uniform.
    pub(super) fn delay(&mut self, within: Duration) -> Duration {
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(1 + self.next() % within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_the_range_and_a_seed_repeats_them() {
        let second = Duration::from_secs(1);
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..2000).map(|_| random.delay(second)).collect::<Vec<_>>()
        };
        let delays = draw(7);
        assert_eq!(delays, draw(7));
        assert_ne!(delays, draw(8));
        assert!(delays.iter().all(|delay| *delay > Duration::ZERO && *delay <= second));
        for tenth in 0..10 {
            let inside = |d: &&Duration| d.as_nanos() / 100_000_000 == tenth;
            let count = delays.iter().filter(inside).count();
            assert!((140..=260).contains(&count), "{tenth}: {count}");
        }
        assert_eq!(Random::new(1).delay(Duration::ZERO), Duration::from_nanos(1));
    }

    /// The first numbers of the generator's published test, seed 1234567.
    #[test]
    fn it_is_the_generator_that_it_says() {
        let mut random = Random::new(1_234_567);
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(published.map(|_| random.next()), published);
    }
}
