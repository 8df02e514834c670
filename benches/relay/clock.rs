//! Clocks, and where a thread runs.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use nix::unistd::{Pid, gettid};
use std::process::Command;
use std::time::Duration;

/// The generator's CPU, and so that of the softirqs of what it sends.
pub(crate) const GENERATOR_CPU: usize = 0;
/// The CPU of the relay and of the sink: the second where there is one.
pub(crate) fn relay_cpu() -> usize {
    usize::from(std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1))
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("a clock that every Linux has");
    Duration::from(time).as_nanos() as u64
}

/// CLOCK_MONOTONIC, nanoseconds: the one clock of all measurements.
pub(crate) fn now() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// What to take from CLOCK_REALTIME (the kernel's time stamps) to get CLOCK_MONOTONIC.
pub(crate) fn real_less_monotonic() -> u64 {
    let before = now();
    let real = nanoseconds(ClockId::CLOCK_REALTIME);
    real - u64::midpoint(before, now())
}

/// Run time of the calling thread, nanoseconds.
pub(crate) fn own_cpu() -> u64 {
    nanoseconds(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Sleeps until CLOCK_MONOTONIC shows `due`.
pub(crate) fn sleep_until(due: u64) {
    let request = TimeSpec::from(Duration::from_nanos(due));
    // A signal only ends the wait early, and callers look at the clock again.
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &request);
}

/// Pins the calling thread, before all others of its CPU, with timers as exact as they get.
pub(crate) fn settle_on(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu).expect("a CPU number");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("a CPU that is there");
    nix::sys::prctl::set_timerslack(1).expect("one nanosecond");
    let thread = gettid().to_string();
    let done = Command::new("renice").args(["-n", "-19", "-p", &thread]).output();
    assert!(done.is_ok_and(|output| output.status.success()), "renice as root");
}
