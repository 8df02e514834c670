//! The one place that polls.

use std::fmt::Display;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Asks again and again until `condition` answers `Ok`, and returns its value; `Err` holds what was
/// observed instead.
///
/// # Panics
/// When `deadline` is over, with `what` and the last observation.
pub(crate) fn wait_for<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(observed) if start.elapsed() >= deadline => {
                panic!("{what}: not within {deadline:?}; last seen: {observed}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
