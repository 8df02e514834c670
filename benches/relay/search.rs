//! The search for the highest rate that still passes. Pure: trials are a closure.

/// What a trial at some rate showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Probe {
    /// Datagrams a second that were really sent.
    pub(crate) sent_rate: f64,
    /// Lost, as a share of what should have arrived.
    pub(crate) loss: f64,
    /// The sender used all of its CPU.
    pub(crate) sender_at_end: bool,
}

/// How the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// Datagrams a second to begin with.
    pub(crate) first: f64,
    /// The share that may be lost.
    pub(crate) allowed: f64,
    /// It ends when the highest that passes and the lowest that does not are so close (0.05 = 5 %).
    pub(crate) precision: f64,
}

/// What it found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// The highest rate that passed; 0 where none did.
    pub(crate) rate: f64,
    /// True where the generator could not send faster: the system may be able to take more.
    pub(crate) generator_bound: bool,
    /// True where other work held the sender up so often that the search was given up.
    pub(crate) held_up: bool,
}

/// Below this share of what was asked for, the generator is at its end.
const KEPT_UP: f64 = 0.97;
/// Below so many datagrams a second nothing is searched.
const LEAST: f64 = 500.0;
/// Steps at which other work may hold the sender up; then what passed so far has to do.
const HELD_UP: u32 = 3;

impl Search {
    /// Doubles until it fails, halves until it passes, then takes the middle.
    pub(crate) fn run(&self, mut trial: impl FnMut(f64) -> Probe) -> Found {
        let (mut passed, mut failed) = (0.0, None::<f64>);
        let mut rate = self.first;
        let mut held_up = 0;
        loop {
            let mut probe = trial(rate);
            // Other work on the machine spoils one trial more easily than two.
            if probe.loss > self.allowed || probe.sent_rate < KEPT_UP * rate {
                probe = better(probe, trial(rate));
            }
            let kept_up = probe.sent_rate >= KEPT_UP * rate;
            if probe.loss <= self.allowed {
                passed = probe.sent_rate.max(passed);
                // Held up by other work, it may do better the next time.
                held_up += u32::from(!kept_up);
                if !kept_up && probe.sender_at_end {
                    return Found { rate: passed, generator_bound: true, held_up: false };
                }
            } else {
                let lowest = failed.unwrap_or(f64::INFINITY).min(rate).min(probe.sent_rate);
                failed = Some(lowest.max(passed));
            }
            rate = match failed {
                None => rate * 2.0,
                Some(failed) if passed == 0.0 => failed / 2.0,
                Some(failed) if failed - passed <= self.precision * failed => {
                    return Found { rate: passed, generator_bound: false, held_up: false };
                }
                Some(failed) => f64::midpoint(passed, failed),
            };
            if rate < LEAST {
                return Found { rate: 0.0, generator_bound: false, held_up: false };
            }
            if held_up >= HELD_UP {
                return Found { rate: passed, generator_bound: false, held_up: true };
            }
        }
    }
}

/// The one that lost less; where both lost as much, the faster.
fn better(one: Probe, other: Probe) -> Probe {
    let order = one.loss.total_cmp(&other.loss).then(other.sent_rate.total_cmp(&one.sent_rate));
    if order.is_le() { one } else { other }
}
