//! When the next datagram may go. Pure: the time is an argument.

use std::time::Duration;

/// How far a sender that was held up may run behind its schedule and still catch up. What lies
/// further back is forgiven: a stall must not become a flood.
const MAX_BACKLOG: Duration = Duration::from_millis(50);

/// A schedule of slots of `burst` datagrams each, `rate` datagrams a second over all.
///
/// Times are measured from the start of sending.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: u64,
    burst: u64,
    sent: u64,
    epoch: Duration,
}

impl Pacer {
    /// `rate` in datagrams a second, 0 for no limit; `burst` datagrams go back to back (0 counts
    /// as 1).
    pub fn new(rate: u64, burst: u64) -> Self {
        Self { rate, burst: burst.max(1), sent: 0, epoch: Duration::ZERO }
    }

    /// How long to wait before the next datagram; `None` where it may go now.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        if self.rate == 0 {
            return None;
        }
        let due = self.epoch + self.slot_offset();
        if let Some(ahead) = due.checked_sub(now).filter(|ahead| !ahead.is_zero()) {
            return Some(ahead);
        }
        self.epoch += now.saturating_sub(due).saturating_sub(MAX_BACKLOG);
        None
    }

    /// Notes that `count` datagrams went; more than a slot holds is paid for by a longer wait.
    pub fn sent(&mut self, count: u64) {
        self.sent = self.sent.saturating_add(count);
    }

    /// Time of the slot that the next datagram belongs to, from the epoch.
    fn slot_offset(&self) -> Duration {
        let first_of_slot = u128::from(self.sent / self.burst * self.burst);
        let nanos = first_of_slot * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends `count` datagrams in trains of `train`, sleeping exactly as told; the times they went.
    fn schedule(rate: u64, burst: u64, train: u64, count: u64) -> Vec<Duration> {
        let mut pacer = Pacer::new(rate, burst);
        let mut now = Duration::ZERO;
        let mut times = Vec::new();
        while (times.len() as u64) < count {
            if let Some(wait) = pacer.wait(now) {
                now += wait;
                assert_eq!(pacer.wait(now), None, "a wait that was served is over");
            }
            times.extend((0..train).map(|_| now));
            pacer.sent(train);
        }
        times
    }

    #[test]
    fn a_thousand_a_second_is_one_a_millisecond() {
        let times = schedule(1000, 1, 1, 4);
        assert_eq!(times, [0, 1, 2, 3].map(Duration::from_millis));
    }

    #[test]
    fn a_burst_goes_at_once_and_waits_for_its_successor() {
        let times = schedule(1000, 4, 1, 9);
        assert_eq!(times, [0, 0, 0, 0, 4, 4, 4, 4, 8].map(Duration::from_millis));
    }

    #[test]
    fn a_train_longer_than_a_slot_is_paid_for() {
        let times = schedule(1000, 1, 3, 6);
        assert_eq!(times, [0, 0, 0, 3, 3, 3].map(Duration::from_millis));
    }

    #[test]
    fn no_rate_never_waits() {
        let mut pacer = Pacer::new(0, 1);
        pacer.sent(u64::MAX);
        assert_eq!(pacer.wait(Duration::ZERO), None);
    }

    #[test]
    fn a_short_stall_is_caught_up_and_a_long_one_forgiven() {
        let after_stall = |stall| {
            let mut pacer = Pacer::new(1000, 1);
            let now = Duration::from_millis(stall);
            let mut at_once = 0;
            while pacer.wait(now).is_none() {
                pacer.sent(1);
                at_once += 1;
            }
            at_once
        };
        assert_eq!(after_stall(20), 21);
        assert_eq!(after_stall(50), 51);
        assert_eq!(after_stall(5_000), 51);
    }

    proptest! {
        #[test]
        fn no_prefix_runs_faster_than_the_rate(
            rate in 1u64..2_000_000, burst in 1u64..100, train in 1u64..64,
        ) {
            let times = schedule(rate, burst, train, 500);
            for (index, time) in times.iter().enumerate() {
                // One slot or one train may go ahead of the even schedule, and no more; a
                // nanosecond is what rounding costs.
                let even = (index as u128).saturating_sub(u128::from(burst + train)) * 1_000_000_000
                    / u128::from(rate);
                prop_assert!(time.as_nanos() + 1 >= even, "datagram {index} at {time:?}");
                let late = index as u128 * 1_000_000_000 / u128::from(rate);
                prop_assert!(time.as_nanos() <= late, "datagram {index} at {time:?}");
            }
        }
    }
}
