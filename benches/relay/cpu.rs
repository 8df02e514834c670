//! Who used the processors: run time of threads by the scheduler's account (the first number of
//! /proc/PID/task/TID/schedstat, nanoseconds), and the load of each CPU.
//!
//! Without CONFIG_IRQ_TIME_ACCOUNTING a softirq that runs at the end of a system call is part of the
//! run time of the thread that made the call, so the sum over generator, relay and softirq threads
//! is all that a datagram costs.

use super::host;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Run time of all threads of a process, nanoseconds; 0 where it is gone.
pub(crate) fn of_process(id: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let texts = threads.map(|thread| fs::read_to_string(thread.path().join("schedstat")));
    texts.filter_map(|text| run_time(&text.ok()?)).sum()
}

fn run_time(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Resident memory of a process, bytes, of pages that it shares its part (Pss of
/// /proc/PID/smaps_rollup, proc_pid_smaps(5)); 0 where it is gone.
pub(crate) fn resident(id: u32) -> u64 {
    let sums = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// Both accounts at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// Of the softirq threads (ksoftirqd), nanoseconds.
    pub(crate) softirqd: u64,
    cpus: Vec<Ticks>,
}

/// Of one CPU since boot, in clock ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// Reads them.
pub(crate) struct Meter {
    threads: Vec<File>,
}

impl Meter {
    /// With the softirq threads that we were given from outside of the sandbox.
    pub(crate) fn new() -> Self {
        Self { threads: host::inherited_threads() }
    }

    /// How many softirq threads are counted: as many as CPUs, or their time is missing.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Now.
    pub(crate) fn read(&self) -> Reading {
        let run_times = self.threads.iter().filter_map(|file| {
            let mut text = [0; 96];
            let len = file.read_at(&mut text, 0).ok()?;
            run_time(std::str::from_utf8(&text[..len]).ok()?)
        });
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Reading { softirqd: run_times.sum(), cpus: stat.lines().filter_map(ticks).collect() }
    }
}

/// A line "cpuN user nice system idle iowait irq softirq steal …" of /proc/stat (proc_stat(5)).
fn ticks(line: &str) -> Option<Ticks> {
    let mut words = line.strip_prefix("cpu")?.split_whitespace();
    // The first line, of all CPUs, has no number.
    if !line[3..].starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    words.next();
    let values: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
    let all = values.iter().sum();
    let idle = values.get(3)? + values.get(4)?;
    Some(Ticks { busy: all - idle, all })
}

impl Reading {
    /// The share of each CPU that was busy since an earlier reading, 0 to 1. All tasks of the machine
    /// are in it.
    pub(crate) fn busy_since(&self, earlier: &Self) -> Vec<f64> {
        let pairs = self.cpus.iter().zip(&earlier.cpus);
        pairs
            .map(|(now, then)| {
                let all = now.all.saturating_sub(then.all).max(1);
                now.busy.saturating_sub(then.busy) as f64 / all as f64
            })
            .collect()
    }
}

/// A run time as a share of a time on the clock.
pub(crate) fn share(run: u64, clock: Duration) -> f64 {
    run as f64 / clock.as_nanos().max(1) as f64
}
