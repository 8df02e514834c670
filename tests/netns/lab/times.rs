//! Times that scenarios report, and the end of a stream.

use super::{Relay, SOON, sent_by, wait_for};
use std::time::{Duration, Instant};

/// Prints the median and the 99th percentile.
pub(crate) fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let of_hundred = |n: usize| times[(times.len() * n / 100).min(times.len() - 1)];
    let [p50, p99] = [50, 99].map(|n| of_hundred(n).as_secs_f64() * 1e3);
    println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, {} times", times.len());
}

/// When the first output of a rule sent for the last time.
pub(crate) fn last_sent(mcrd: &Relay, name: &str, gap: Duration) -> Instant {
    until_silent(&format!("what {name} sends"), gap, 0, || sent_by(mcrd, name))
}

/// When a count grew for the last time: what grows by no more than `besides` for `gap`, many times the time between
/// two datagrams, is over.
pub(crate) fn until_silent(
    what: &str,
    gap: Duration,
    besides: u64,
    count: impl Fn() -> u64,
) -> Instant {
    let mut last = (Instant::now(), count());
    wait_for(&format!("the end of {what}"), SOON, || {
        let now = count();
        if now > last.1 + besides {
            last = (Instant::now(), now);
        }
        if last.0.elapsed() > gap { Ok(()) } else { Err(now) }
    });
    last.0
}
