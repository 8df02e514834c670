//! Rate limits of outputs, shared by all workers.
//!
//! A [`Meter`] is a virtual scheduler (GCRA, ITU-T I.371 annex A): one number for each rate, the time at
//! which what was sent so far would have left at exactly the rate. What may be sent now must not lead
//! further ahead of the clock than the burst takes at that rate. There is nothing to fill up and no
//! timer; workers that send by one output share it by compare and swap.

use crate::fib::{Fib, Limit, OutputSlot};
use crate::types::Time;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a nanosecond that times are kept in: 100 bytes at 400 Gbit/s take 2 ns, and whole ones
/// would be off by up to half. 64 bits of them go round in 2.2 years, which is taken care of.
const PARTS: u32 = 8;
/// How far clocks that workers have read before may lie back: 10 s.
const SKEW: u64 = 10_000_000_000 << PARTS;

/// One rate.
#[derive(Debug)]
struct Rate {
    /// When everything sent so far would have left, in parts of nanoseconds, modulo 2^64.
    departs: AtomicU64,
    /// Units (bits, datagrams) per second.
    per_second: u64,
    /// How far ahead of the clock it may lie.
    tolerance: u64,
}

impl Rate {
    /// Starts with the whole burst.
    fn new(per_second: u64, burst: u64) -> Self {
        let per_second = per_second.max(1);
        Self {
            departs: AtomicU64::new(0),
            per_second,
            // So that no sum comes near a wrap: what takes longer than 104 days is cut to that.
            tolerance: Self::time(burst, per_second).min(1 << 61),
        }
    }

    /// How long `units` take, rounded down: a stream of exactly the rate must pass for ever.
    fn time(units: u64, per_second: u64) -> u64 {
        let parts = (u128::from(units) * (1_000_000_000 << PARTS)) / u128::from(per_second);
        u64::try_from(parts).unwrap_or(u64::MAX)
    }

    fn cost(&self, units: u64) -> u64 {
        Self::time(units, self.per_second)
    }

    /// Takes `cost` if it is there.
    fn take(&self, now: u64, cost: u64) -> bool {
        if cost > self.tolerance {
            return false;
        }
        let mut departs = self.departs.load(Ordering::Relaxed);
        loop {
            // Never further ahead than this, but for clocks read earlier: all else is long past.
            let ahead = departs.wrapping_sub(now);
            let ahead = if ahead <= self.tolerance.saturating_add(SKEW) { ahead } else { 0 };
            if ahead + cost > self.tolerance {
                return false;
            }
            let next = now.wrapping_add(ahead + cost);
            match self.departs.compare_exchange_weak(
                departs,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => departs = other,
            }
        }
    }

    fn give_back(&self, cost: u64) {
        self.departs.fetch_sub(cost, Ordering::Relaxed);
    }
}

/// The limit of one output.
#[derive(Debug)]
pub struct Meter {
    limit: Limit,
    bits: Option<Rate>,
    packets: Option<Rate>,
}

impl Meter {
    /// A meter that nothing has passed yet.
    pub fn new(limit: Limit) -> Self {
        let burst_bits = limit.burst_bytes.saturating_mul(8);
        let packets = |rate| Rate::new(rate, Limit::burst_packets(rate));
        Self {
            limit,
            bits: limit.bits_per_second.map(|rate| Rate::new(rate, burst_bits)),
            packets: limit.packets_per_second.map(packets),
        }
    }

    /// Whether so many datagrams with so many bytes of UDP payload in all may be sent at `now`: all of
    /// them or none. True counts them as sent. Over any time `t` at most `rate * t + burst` pass, but
    /// for 1/256 ns in each call; a stream that keeps to it is never refused. `now` may lie up to ten
    /// seconds behind that of another worker.
    ///
    /// Of two rates both must agree. What one of them had taken is given back when the other refuses;
    /// another worker may be refused in between.
    #[inline]
    pub fn admit(&self, now: Time, bytes: u64, packets: u64) -> bool {
        let now = now.0 << PARTS;
        let Some(bits) = &self.bits else {
            return self.packets.as_ref().is_none_or(|rate| rate.take(now, rate.cost(packets)));
        };
        let cost = bits.cost(bytes.saturating_mul(8));
        if !bits.take(now, cost) {
            return false;
        }
        let admitted = self.packets.as_ref().is_none_or(|rate| rate.take(now, rate.cost(packets)));
        if !admitted {
            bits.give_back(cost);
        }
        admitted
    }
}

/// The meters of all outputs that have a limit. Never changes; a new one replaces it.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    by_slot: HashMap<OutputSlot, Arc<Meter>, foldhash::fast::FixedState>,
}

impl Meters {
    /// The meters for a table: those of outputs that stay with their limit go on as they are, so that
    /// no change of other rules opens a new burst.
    pub fn follow(&self, fib: &Fib) -> Arc<Self> {
        let meter = |slot: &OutputSlot, limit: &Limit| match self.by_slot.get(slot) {
            Some(meter) if meter.limit == *limit => Arc::clone(meter),
            _ => Arc::new(Meter::new(*limit)),
        };
        let limits = fib.limits().iter();
        Arc::new(Self {
            by_slot: limits.map(|(slot, limit)| (*slot, meter(slot, limit))).collect(),
        })
    }

    /// The meter of an output; none = it has no limit.
    #[inline]
    pub fn of(&self, slot: OutputSlot) -> Option<&Meter> {
        self.by_slot.get(&slot).map(Arc::as_ref)
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
