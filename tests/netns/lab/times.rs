//! Times that scenarios report, and the end of a stream.

use super::{Relay, SOON, output, rule, sent, wait_for};
use std::time::{Duration, Instant};

/// Prints the median and the 99th percentile.
pub(crate) fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let of_hundred = |n: usize| times[(times.len() * n / 100).min(times.len() - 1)];
    let [p50, p99] = [50, 99].map(|n| of_hundred(n).as_secs_f64() * 1e3);
    println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, {} times", times.len());
}

/// When the first output of a rule sent for the last time: over is what is silent for `gap`, many times the time
/// between two datagrams.
pub(crate) fn last_sent(mcrd: &Relay, name: &str, gap: Duration) -> Instant {
    let count = || sent(output(rule(&mcrd.json(&["stats"]), name), 0));
    let mut last = (Instant::now(), count());
    wait_for(&format!("{name} ends"), SOON, || {
        let now = count();
        if now != last.1 {
            last = (Instant::now(), now);
        }
        if last.0.elapsed() > gap { Ok(()) } else { Err(now) }
    });
    last.0
}
