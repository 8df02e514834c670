//! What a process holds, and whether that grows from round to round.

use super::{Joined, Namespace, SOON, verify, wait_for};
use std::time::Duration;

/// Descriptors and memory of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Resident memory, KiB.
    pub(crate) resident: u64,
}

impl Footprint {
    /// Of a process that runs.
    pub(crate) fn of(pid: i32) -> Self {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let resident = line.split_whitespace().next().and_then(|n| n.parse().ok());
        Self { descriptors, resident: resident.expect("a number") }
    }
}

/// Watches a process of the relay's over rounds that each end in the same state: nothing may be left of a round.
pub(crate) struct Rounds<'n> {
    relay: &'n Namespace,
    pid: i32,
    descriptors: usize,
    joined: Joined,
    seen: Vec<Footprint>,
}

impl<'n> Rounds<'n> {
    /// KiB by which resident memory may be more after the last round than in any of the first rounds:
    /// what malloc(3) keeps. A table, a ring or a socket left behind by each of 100 rounds is more.
    const GROWTH: u64 = 2 * 1024;

    /// Until the data plane has closed sockets to send from that nothing uses any more: two minutes.
    const IDLE: Duration = Duration::from_secs(150);

    /// Begins with what the process holds and what is joined now.
    pub(crate) fn begin(relay: &'n Namespace, pid: i32) -> Self {
        let descriptors = Footprint::of(pid).descriptors;
        Self { relay, pid, descriptors, joined: Joined::now(relay), seen: Vec::new() }
    }

    /// The rounds before the first that memory is compared with: caches and rings have been filled.
    pub(crate) fn warm() -> usize {
        if verify() { 10 } else { 2 }
    }

    /// A round is over.
    pub(crate) fn over(&mut self, pid: i32) {
        assert_eq!(pid, self.pid, "the same process, round {}", self.seen.len());
        self.seen.push(Footprint::of(pid));
    }

    /// All rounds are over, and everything is as it was before the first.
    pub(crate) fn end(self, what: &str) {
        assert!(self.seen.len() > Self::warm(), "{} rounds", self.seen.len());
        let first = &self.seen[..Self::warm()];
        let last = wait_for("no descriptor is left of a round", Self::IDLE, || {
            let now = Footprint::of(self.pid);
            let few = now.descriptors <= self.descriptors;
            if few { Ok(now) } else { Err(format!("{} {:?} {now:?}", self.descriptors, self.seen)) }
        });
        let resident = first.iter().map(|one| one.resident).max().unwrap_or(0);
        println!(
            "{what}: {} rounds; before: {} descriptors, in the first {} up to {resident} KiB; \
             after the last: {}, {} KiB",
            self.seen.len(),
            self.descriptors,
            first.len(),
            last.descriptors,
            last.resident
        );
        assert!(last.resident <= resident + Self::GROWTH, "memory: {:?} {last:?}", self.seen);
        wait_for("memberships are those before the first round", SOON, || {
            let now = Joined::now(self.relay);
            if now == self.joined { Ok(()) } else { Err(format!("{:?} {now:?}", self.joined)) }
        });
    }
}
