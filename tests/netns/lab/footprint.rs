//! What a process holds, and whether that grows from round to round.

use super::{Joined, Namespace, SOON, verify, wait_for};

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

/// Watches a data plane over rounds that each end in the same state: nothing may be left of a round.
pub(crate) struct Rounds<'n> {
    relay: &'n Namespace,
    plane: i32,
    joined: Joined,
    seen: Vec<Footprint>,
}

impl<'n> Rounds<'n> {
    /// KiB by which resident memory may be more after the last round than in any of the first rounds:
    /// what malloc(3) keeps. A table, a ring or a socket left behind by each of 100 rounds is more.
    const GROWTH: u64 = 2 * 1024;

    /// Begins with the data plane and the memberships that there are now.
    pub(crate) fn begin(relay: &'n Namespace, plane: i32) -> Self {
        Self { relay, plane, joined: Joined::now(relay), seen: Vec::new() }
    }

    /// The rounds before the first that memory is compared with: caches and rings have been filled.
    pub(crate) fn warm() -> usize {
        if verify() { 10 } else { 2 }
    }

    /// A round is over.
    pub(crate) fn over(&mut self, plane: i32) {
        assert_eq!(plane, self.plane, "the same data plane, round {}", self.seen.len());
        self.seen.push(Footprint::of(plane));
    }

    /// All rounds are over, and everything is as it was before the first.
    pub(crate) fn end(self, what: &str) {
        assert!(self.seen.len() > Self::warm(), "{} rounds", self.seen.len());
        let first = &self.seen[..Self::warm()];
        let most = |of: fn(&Footprint) -> u64| first.iter().map(of).max().unwrap_or(0);
        let descriptors = most(|one| one.descriptors as u64) as usize;
        let last = wait_for("no descriptor is left of a round", SOON, || {
            let now = Footprint::of(self.plane);
            if now.descriptors <= descriptors { Ok(now) } else { Err(format!("{first:?} {now:?}")) }
        });
        let resident = most(|one| one.resident);
        println!(
            "{what}: {} rounds; data plane in the first {}: up to {descriptors} descriptors, \
             {resident} KiB; after the last: {}, {} KiB",
            self.seen.len(),
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
