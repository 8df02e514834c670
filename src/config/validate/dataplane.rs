//! How packets are moved: workers, shards, cores, and what does not go together.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::settings::{
    BUFFER_BYTES, DEFAULT_HOLD_TIME, DEFAULT_RECEIVE_BUFFER_BYTES, DEFAULT_RINGS, Dataplane,
};
use super::super::v1::{File, Sched};
use super::duration;
use crate::types::IfName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Workers at most, those that are bound to a core included.
const MAX_WORKERS: u32 = 64;
/// Input sockets with rings at most.
const MAX_RINGS: u32 = 64;
/// Shards of one interface at most.
const MAX_SHARDS: u32 = 16;
/// The highest number of a core (CPU_SETSIZE of sched.h less one).
const MAX_CORE: u32 = 1023;
const MAX_USECS: u32 = 10_000;
const MAX_HOLD_TIME: Duration = Duration::from_secs(24 * 3600);

/// Checks `dataplane` and `pinning`. What is wrong gets its default, and is reported.
pub(super) fn dataplane(file: &File, findings: &mut Findings) -> Dataplane {
    let spec = file.dataplane.clone().unwrap_or_default();
    let at = Path::root().key("dataplane");
    let mut within = |key: &'static str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            let message = format!("must be a whole number from {least} to {most}, not {value}");
            findings.report(&at.key(key), message);
        }
        value.clamp(least, most)
    };
    let workers = within("workers", spec.workers.unwrap_or(1), 1, MAX_WORKERS);
    let bytes = spec.receive_buffer_bytes.unwrap_or(DEFAULT_RECEIVE_BUFFER_BYTES);
    let receive_buffer_bytes = within("receiveBufferBytes", bytes, BUFFER_BYTES, 1 << 30);
    let rings = within("rings", spec.rings.unwrap_or(DEFAULT_RINGS), 0, MAX_RINGS);
    let shards = spec.shards.map(|shards| within("shards", shards, 1, MAX_SHARDS));
    let coalesce_usecs = within("coalesceUsecs", spec.coalesce_usecs.unwrap_or(0), 0, MAX_USECS);
    let busy_poll_usecs = within("busyPollUsecs", spec.busy_poll_usecs.unwrap_or(0), 0, MAX_USECS);
    let sched = spec.sched.unwrap_or_default();
    if sched == Sched::Fifo && busy_poll_usecs > 0 {
        let message = "\"fifo\" does not go with busyPollUsecs: a worker that spins never sleeps, and the \
                       kernel stops a real-time thread that runs for 950 ms of a second for the rest of it \
                       (sched_rt_runtime_us): packets wait 30 to 50 ms then; use \"fifo\" without \
                       busyPollUsecs, or sched: \"normal\" and pinning to cores of their own";
        findings.report(&at.key("sched"), message);
    }
    if coalesce_usecs > 0 && busy_poll_usecs > 0 {
        let message = "coalesceUsecs does not go with busyPollUsecs: one waits so that more packets come \
                       together, the other spins so that none waits; remove one";
        findings.report(&at.key("coalesceUsecs"), message);
    }
    let hold_time = hold_time(spec.hold_time.as_deref(), &at.key("holdTime"), findings);
    let pinning = pinning(file.pinning.as_ref(), workers, findings);
    Dataplane {
        io: spec.io.unwrap_or_default(),
        workers,
        shards,
        sched,
        coalesce_usecs,
        busy_poll_usecs,
        hold_time,
        pinning,
        receive_buffer_bytes,
        rings,
        buffers: receive_buffer_bytes / BUFFER_BYTES,
    }
}

fn hold_time(text: Option<&str>, at: &Path, findings: &mut Findings) -> Duration {
    let Some(text) = text else { return DEFAULT_HOLD_TIME };
    let checked = duration::parse(text).and_then(|time| match time <= MAX_HOLD_TIME {
        true => Ok(time),
        false => Err(format!("must be at most \"24h\", not {}", quoted(text))),
    });
    checked.unwrap_or_else(|message| {
        findings.report(at, message);
        DEFAULT_HOLD_TIME
    })
}

/// The cores of each interface.
fn pinning(
    given: Option<&BTreeMap<String, Vec<u32>>>,
    workers: u32,
    findings: &mut Findings,
) -> BTreeMap<IfName, Vec<u32>> {
    let at = Path::root().key("pinning");
    let mut pinning = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (interface, cores) in given.into_iter().flatten() {
        let at = at.key(interface.clone());
        let name = interface.parse::<IfName>().map_err(|_| {
            let message =
                format!("{} is not an interface name, such as \"eth0\"", quoted(interface));
            findings.report_key(&at, message);
        });
        let before = findings.len();
        if cores.is_empty() {
            let message = "names no core; give one at least, such as [2], or remove the interface";
            findings.report(&at, message);
        } else if cores.len() > MAX_SHARDS as usize {
            let message =
                format!("names {} cores; {MAX_SHARDS} is the most for one interface", cores.len());
            findings.report(&at, message);
        }
        let mut seen = BTreeSet::new();
        for (index, core) in cores.iter().enumerate() {
            if *core > MAX_CORE {
                let message =
                    format!("must be the number of a core from 0 to {MAX_CORE}, not {core}");
                findings.report(&at.index(index), message);
            } else if !seen.insert(*core) {
                let message =
                    format!("names core {core} twice; each core is one worker: give each once");
                findings.report(&at.index(index), message);
            }
        }
        all.extend(seen);
        if let Ok(name) = name
            && findings.len() == before
        {
            pinning.insert(name, cores.clone());
        }
    }
    let pinned = u32::try_from(all.len()).unwrap_or(u32::MAX);
    if pinned.saturating_add(workers) > MAX_WORKERS {
        let message = format!(
            "names {pinned} cores, each with a worker of its own, and dataplane.workers are {workers} more; \
             at most {MAX_WORKERS} together"
        );
        findings.report(&at, message);
    }
    pinning
}
