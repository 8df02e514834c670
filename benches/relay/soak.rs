//! `make soak`: a stream at a good part of the maximum for a long time, rules that come and go
//! beside it, and at the end: is memory flat, is every loss named?

use super::measure::{ALLOWED, in_words};
use super::network::Ingress;
use super::report;
use super::search::Search;
use super::statistics::slope;
use super::systems::{Job, Mcr, Running, System};
use super::trial::{Bench, Trial, flows, traffic};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The share of the measured maximum.
const SHARE: f64 = 0.7;
const SAMPLE: Duration = Duration::from_secs(3);
/// The beginning is not judged: caches and histories fill.
const SETTLING: f64 = 0.2;
/// Growth that is still flat: bytes an hour, and of the whole time.
const FLAT_BYTES: f64 = 1024.0 * 1024.0;
const FLAT_DESCRIPTORS: f64 = 3.0;
/// Rules that come and go, and how often one does.
const CHURNED: u64 = 50;
const CHURN_EVERY: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How long.
    pub(crate) duration: Duration,
    /// Datagrams a second; none = a share of the measured maximum.
    pub(crate) rate: Option<f64>,
}

/// The relay's state at one time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    seconds: f64,
    resident_bytes: u64,
    descriptors: usize,
    /// Sums of the ledger that do not come out; empty = it closes.
    open_sums: Vec<Value>,
}

/// What came out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Soak {
    rate: f64,
    minutes: f64,
    trial: Trial,
    /// Rules that were added or removed while it ran.
    changes: u64,
    failed_changes: u64,
    drops: BTreeMap<String, u64>,
    /// Losses that no counter names.
    unexplained: i64,
    /// Growth over the judged time.
    grown_bytes: f64,
    grown_descriptors: f64,
    samples: Vec<Sample>,
    open_at_the_end: Vec<Value>,
    faults: Vec<String>,
}

/// Runs it; true where nothing is wrong.
pub(crate) fn run(bench: &mut Bench, plan: Plan) -> bool {
    bench.network.ingress(Ingress::Nic);
    bench.network.segmentation(1, true);
    let job = Job { flows: flows(1), outputs: 1, fifo: false };
    let rate = plan.rate.unwrap_or_else(|| SHARE * highest(bench, &job));
    eprintln!("soak: {rate:.0} datagrams/s for {:.1} minutes", plan.duration.as_secs_f64() / 60.0);
    let running = Mcr::this().start(&bench.network, &job);
    let over = AtomicBool::new(false);
    let (changes, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let traffic = traffic(Ingress::Nic, 1, rate, plan.duration);
    let (trial, samples) = std::thread::scope(|scope| {
        let churn = scope.spawn(|| churn(&running, &over, &changes, &failed));
        let watch = scope.spawn(|| watch(&running, &over));
        let trial = bench.trial(&traffic, 1, Some(&running));
        over.store(true, Ordering::Release);
        churn.join().expect("the churn");
        (trial, watch.join().expect("the samples"))
    });
    let stats = running.control.as_ref().map_or(Value::Null, |one| one.json(&["stats"]));
    let drops = running.drops();
    let named: u64 = drops.values().sum();
    let unexplained = trial.lost as i64 - named as i64;
    let [grown_bytes, grown_descriptors] = growth(&samples);
    let mut soak = Soak {
        rate,
        minutes: plan.duration.as_secs_f64() / 60.0,
        changes: changes.into_inner(),
        failed_changes: failed.into_inner(),
        drops,
        unexplained,
        grown_bytes,
        grown_descriptors,
        samples,
        open_at_the_end: open_sums(&stats, false),
        faults: Vec::new(),
        trial,
    };
    soak.faults = soak.judge();
    soak.print();
    let json = serde_json::to_string_pretty(&soak).expect("numbers and texts");
    println!("{}", report::file("soak.json", &json).display());
    soak.faults.is_empty()
}

/// The maximum, by a short search.
fn highest(bench: &mut Bench, job: &Job) -> f64 {
    let running = Mcr::this().start(&bench.network, job);
    let search = Search { first: 80_000.0, allowed: ALLOWED, precision: 0.1 };
    let found = search.run(|rate| {
        let traffic = traffic(Ingress::Nic, 1, rate, Duration::from_millis(700));
        bench.trial(&traffic, 1, Some(&running)).probe()
    });
    eprintln!("soak: at most {:.0} datagrams/s", found.rate);
    found.rate
}

/// Adds rules for other groups and removes them again, one at a time.
fn churn(running: &Running, over: &AtomicBool, changes: &AtomicU64, failed: &AtomicU64) {
    let Some(control) = &running.control else { return };
    for number in 0.. {
        if over.load(Ordering::Acquire) {
            return;
        }
        let rule = number % CHURNED;
        let (name, group) = (format!("churn-{rule}"), format!("239.50.0.{}", rule + 1));
        let target = format!("{group}:6000:out0");
        let adding = (number / CHURNED).is_multiple_of(2);
        let output = if adding {
            let input =
                ["--input-interface", "in0", "--input-group", &group, "--input-port", "6000"];
            let words = [&["add", "--name", &name][..], &input, &["--outputs", &target]].concat();
            control.run(&words)
        } else {
            control.run(&["remove", &name])
        };
        changes.fetch_add(1, Ordering::Relaxed);
        if !output.status.success() {
            eprintln!("soak: {}", String::from_utf8_lossy(&output.stderr).trim());
            failed.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(CHURN_EVERY);
    }
}

fn watch(running: &Running, over: &AtomicBool) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while !over.load(Ordering::Acquire) {
        let due = start + SAMPLE * u32::try_from(samples.len() + 1).unwrap_or(u32::MAX);
        while Instant::now() < due && !over.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let stats = running.control.as_ref().map_or(Value::Null, |one| one.json(&["stats"]));
        samples.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            resident_bytes: running.resident(),
            descriptors: running.descriptors(),
            open_sums: open_sums(&stats, true),
        });
    }
    samples
}

/// The sums of the ledger that do not come out. While it runs, frames wait in the sockets: the
/// kernel counts them before the relay does.
fn open_sums(stats: &Value, running: bool) -> Vec<Value> {
    let sums = stats["ledger"]["sums"].as_array().map(Vec::as_slice).unwrap_or_default();
    let waits = |sum: &Value| {
        running
            && sum["kind"] == "kernel"
            && sum["difference"].as_i64().is_some_and(|more| more >= 0)
    };
    sums.iter().filter(|sum| sum["closes"] != true && !waits(sum)).cloned().collect()
}

/// By how much memory and descriptors grew in the judged time, along a line through the samples.
fn growth(samples: &[Sample]) -> [f64; 2] {
    let judged = &samples[(samples.len() as f64 * SETTLING) as usize..];
    let (Some(first), Some(last)) = (judged.first(), judged.last()) else { return [0.0; 2] };
    let time = last.seconds - first.seconds;
    let grown = |of: fn(&Sample) -> f64| {
        let points: Vec<_> = judged.iter().map(|sample| (sample.seconds, of(sample))).collect();
        slope(&points) * time
    };
    [grown(|sample| sample.resident_bytes as f64), grown(|sample| sample.descriptors as f64)]
}

impl Soak {
    /// What is wrong, in sentences.
    fn judge(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |wrong: bool, text: String| {
            if wrong {
                faults.push(text);
            }
        };
        let trial = &self.trial;
        fault(trial.sink_missed > 0, format!("the sink missed {} frames", trial.sink_missed));
        fault(trial.sent == 0, "nothing was sent".to_owned());
        fault(
            trial.faults() > 0,
            format!(
                "{} doubled, {} out of order, {} of a wrong size",
                trial.duplicated, trial.reordered, trial.wrong_size
            ),
        );
        fault(
            self.unexplained != 0,
            format!(
                "{} lost, {} named: {} unexplained",
                trial.lost,
                trial.lost as i64 - self.unexplained,
                self.unexplained
            ),
        );
        fault(self.failed_changes > 0, format!("{} changes of rules failed", self.failed_changes));
        fault(
            self.grown_bytes > FLAT_BYTES,
            format!("memory grew by {:.0} bytes", self.grown_bytes),
        );
        fault(
            self.grown_descriptors > FLAT_DESCRIPTORS,
            format!("{:.1} descriptors more", self.grown_descriptors),
        );
        let open = self.samples.iter().filter(|sample| !sample.open_sums.is_empty()).count();
        fault(open > 0, format!("the ledger did not close in {open} samples"));
        fault(
            !self.open_at_the_end.is_empty(),
            format!("the ledger does not close at the end: {:?}", self.open_at_the_end),
        );
        fault(self.samples.len() < 3, "too short to judge memory".to_owned());
        faults
    }

    fn print(&self) {
        let trial = &self.trial;
        println!(
            "soak: {} sent at {:.0}/s in {:.1} minutes, {} lost ({}), {} unexplained",
            trial.sent,
            trial.sent_rate,
            self.minutes,
            trial.lost,
            if self.drops.is_empty() { "none named".to_owned() } else { in_words(&self.drops) },
            self.unexplained
        );
        println!(
            "soak: {} changes of rules; memory {:+.0} KiB, descriptors {:+.1} in the judged time",
            self.changes,
            self.grown_bytes / 1024.0,
            self.grown_descriptors
        );
        for fault in &self.faults {
            println!("soak: WRONG: {fault}");
        }
        println!("soak: {}", if self.faults.is_empty() { "passed" } else { "failed" });
    }
}
