//! L4, the only reader of the clocks.

use crate::types::Time;
use nix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// Now, on CLOCK_MONOTONIC.
pub fn now() -> Time {
    // The call cannot fail for a clock that every Linux has.
    let spec = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists");
    Time(spec.tv_sec().unsigned_abs() * 1_000_000_000 + spec.tv_nsec().unsigned_abs())
}

/// Now, on the wall: for people only, it may jump.
pub fn wall() -> SystemTime {
    SystemTime::now()
}
