//! Measures one case for one system once.

use super::cases::{Case, What};
use super::generator::Traffic;
use super::network::Ingress;
use super::search::Search;
use super::special;
use super::systems::{Job, Running, System};
use super::trial::{Bench, Trial, flows, traffic};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The share that may be lost.
pub(crate) const ALLOWED: f64 = 0.001;
/// From this share of its CPU on, somebody is at its end.
const AT_LIMIT: f64 = 0.9;
/// From this share of a CPU on, what others do on the machine is worth a note.
const OTHERS: f64 = 0.25;
const WARM_UP: Duration = Duration::from_millis(200);

/// How long trials are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// A trial at one rate.
    pub(crate) trial: Duration,
    /// A step of a search.
    pub(crate) step: Duration,
}

/// Datagrams a second where latency is measured.
const LATENCY_RATE: f64 = 10_000.0;

/// One number.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// What it is of.
    pub(crate) metric: &'static str,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Itself.
    pub(crate) value: f64,
}

/// What one measurement gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// The numbers.
    pub(crate) values: Vec<Value>,
    /// What bound it, and what to know.
    pub(crate) notes: Vec<String>,
    /// The trials behind it.
    pub(crate) trials: Vec<Trial>,
}

impl Measured {
    /// Adds a number.
    pub(crate) fn value(&mut self, metric: &'static str, unit: &'static str, value: f64) {
        self.values.push(Value { metric, unit, value });
    }
}

/// The job of a case.
pub(crate) fn job(case: &Case) -> Job {
    let fifo = matches!(case.what, What::Latency { fifo: true });
    Job { flows: flows(case.flows), outputs: case.outputs, fifo }
}

/// What a datagram costs without any relay: the sender, and what the kernel does on receiving it.
/// None where the case does not need it.
pub(crate) fn baseline(bench: &mut Bench, case: &Case, effort: Effort) -> Option<Trial> {
    match case.what {
        What::Cpu(rate) => {
            let traffic = traffic(case.ingress, case.flows, rate, effort.trial);
            Some(bench.trial(&traffic, case.outputs, None))
        }
        What::Latency { .. } => Some(bench.direct(&one_by_one(LATENCY_RATE, effort))),
        What::Pattern { rate, one_by_one } => {
            Some(bench.trial(&pattern(rate, one_by_one, effort), case.outputs, None))
        }
        _ => None,
    }
}

/// A system at the case's job.
pub(crate) fn measure(
    bench: &mut Bench,
    case: &Case,
    system: &dyn System,
    baseline: Option<&Trial>,
    effort: Effort,
) -> Measured {
    let job = job(case);
    if case.what == What::Memory {
        return special::memory(bench, system);
    }
    let running = system.start(&bench.network, &job);
    let outputs = system.outputs(&job);
    let warm_up = traffic(case.ingress, case.flows, 5_000.0, WARM_UP);
    bench.trial(&warm_up, outputs, Some(&running));
    let mut measured = match case.what {
        What::Cpu(rate) => {
            let traffic = traffic(case.ingress, case.flows, rate, effort.trial);
            cpu(bench, &traffic, outputs, &running, baseline)
        }
        What::Highest(first) => highest(bench, case, first, outputs, &running, effort),
        What::Latency { .. } => {
            let sent = one_by_one(LATENCY_RATE, effort);
            latency(bench.trial(&sent, outputs, Some(&running)), baseline)
        }
        What::Pattern { rate, one_by_one } => {
            let traffic = pattern(rate, one_by_one, effort);
            let mut measured = cpu(bench, &traffic, outputs, &running, baseline);
            evenness(&mut measured);
            measured
        }
        What::Bytes(rate) => {
            let traffic = traffic(case.ingress, case.flows, rate, effort.trial);
            special::bytes(bench, &traffic)
        }
        What::Reload(rate) => special::reload(bench, &job, rate, system, &running),
        What::Memory => Measured::default(),
    };
    if outputs < case.outputs {
        measured.notes.push(format!("{outputs} of {} outputs", case.outputs));
    }
    if let (true, Some(control)) = (case.ingress != Ingress::Nic, &running.control) {
        measured.notes.push(format!("{} super-frames came in", control.super_frames()));
    }
    let drops = running.drops();
    if !drops.is_empty() {
        measured.notes.push(format!("drops since its start: {}", in_words(&drops)));
    }
    measured
}

/// "name 3, other 4".
pub(crate) fn in_words(drops: &BTreeMap<String, u64>) -> String {
    let words: Vec<_> = drops.iter().map(|(name, count)| format!("{name} {count}")).collect();
    words.join(", ")
}

/// Latency is measured without bursts: in a burst the later ones wait for the earlier ones.
fn one_by_one(rate: f64, effort: Effort) -> Traffic {
    Traffic { burst: Some(1), ..traffic(Ingress::Nic, 1, rate, effort.trial) }
}

fn pattern(rate: f64, paced: bool, effort: Effort) -> Traffic {
    match paced {
        true => one_by_one(rate, effort),
        false => traffic(Ingress::Nic, 1, rate, effort.trial),
    }
}

/// When the copies came, beside what they cost.
fn evenness(measured: &mut Measured) {
    let Some(trial) = measured.trials.last() else { return };
    let [p50, p99, ..] = trial.latency_us;
    let (most, longest) = (trial.most_in_window as f64, trial.longest_frame as f64);
    measured.value("from the sender, p50", "us", p50);
    measured.value("from the sender, p99", "us", p99);
    measured.value("most within 100 us", "datagrams", most);
    measured.value("most in one frame", "datagrams", longest);
}

fn cpu(
    bench: &mut Bench,
    traffic: &Traffic,
    outputs: u32,
    running: &Running,
    baseline: Option<&Trial>,
) -> Measured {
    let trial = bench.trial(traffic, outputs, Some(running));
    let mut measured = Measured::default();
    let alone = baseline.map_or(0.0, Trial::cpu_per_datagram);
    measured.value("CPU for each datagram", "ns", trial.cpu_per_datagram() - alone);
    measured.value("lost", "%", 100.0 * trial.loss());
    measured.notes.extend(bounds(&trial));
    measured.trials.push(trial);
    measured
}

fn highest(
    bench: &mut Bench,
    case: &Case,
    first: f64,
    outputs: u32,
    running: &Running,
    effort: Effort,
) -> Measured {
    let mut measured = Measured::default();
    let search = Search { first, allowed: ALLOWED, precision: 0.05 };
    let found = search.run(|rate| {
        let traffic = traffic(case.ingress, case.flows, rate, effort.step);
        let trial = bench.trial(&traffic, outputs, Some(running));
        let probe = trial.probe();
        measured.trials.push(trial);
        probe
    });
    measured.value("highest rate in", "datagrams/s", found.rate);
    if found.generator_bound {
        let last = measured.trials.last().map_or(0.0, Trial::generator_share);
        measured.notes.push(format!(
            "* the sender could not send faster ({:.0} % of its CPU): a lower bound",
            100.0 * last
        ));
    }
    if found.held_up {
        let text = "* other work held the sender up: a lower bound, and not a figure to keep";
        measured.notes.push(text.to_owned());
    }
    // The trial that failed at the lowest rate says what gave way; else the fastest.
    let failed = measured.trials.iter().filter(|trial| trial.loss() > ALLOWED);
    let failed = failed.min_by(|one, other| one.sent_rate.total_cmp(&other.sent_rate));
    let telling = failed.or(measured.trials.last());
    measured.notes.extend(telling.map(bounds).unwrap_or_default());
    measured
}

fn latency(trial: Trial, direct: Option<&Trial>) -> Measured {
    let mut measured = Measured::default();
    let alone = direct.map_or([0.0; 4], |direct| direct.latency_us);
    for (number, metric) in ["added p50", "added p99", "added p99.9"].into_iter().enumerate() {
        measured.value(metric, "us", trial.latency_us[number] - alone[number]);
    }
    measured.notes.extend(bounds(&trial));
    measured.trials.push(trial);
    measured
}

/// What was at its end in a trial, and what must not be.
pub(crate) fn bounds(trial: &Trial) -> Vec<String> {
    let mut notes = Vec::new();
    let mut limits = String::new();
    for (who, share) in
        [("sender and its softirqs", trial.generator_share()), ("relay", trial.relay_share())]
    {
        if share >= AT_LIMIT {
            let _ = write!(limits, "{who} {:.0} % of a CPU; ", 100.0 * share);
        }
    }
    if !limits.is_empty() {
        notes.push(format!("at its end: {}", limits.trim_end_matches("; ")));
    }
    if trial.foreign_share() > OTHERS {
        let share = 100.0 * trial.foreign_share();
        notes.push(format!("other work on the machine took {share:.0} % of a CPU"));
    }
    if trial.sink_missed > 0 {
        notes.push(format!("INVALID: the sink missed {} frames", trial.sink_missed));
    }
    if trial.refused > 0 {
        notes.push(format!("the sender's kernel refused {}", trial.refused));
    }
    if trial.faults() > 0 {
        let Trial { duplicated, reordered, wrong_size, .. } = trial;
        notes.push(format!(
            "WRONG: {duplicated} doubled, {reordered} out of order, {wrong_size} of a wrong size"
        ));
    }
    notes
}
