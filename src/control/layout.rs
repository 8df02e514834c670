//! How many workers there are, on which cores, and into how many shards interfaces are divided.

use crate::types::{IfName, WorkerPlan};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Shards of one interface at most.
const MAX_SHARDS: u32 = 16;

/// Workers and shards. Workers that are bound to a core come first and stay, so that numbers do not change
/// when there are more or fewer of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    workers: u32,
    shards: Option<u32>,
    pinning: BTreeMap<IfName, Vec<u32>>,
    /// Each core that an interface names, once; its place is its worker's number.
    cores: Vec<u32>,
}

impl Layout {
    /// `workers` that are bound to no core, at least one; `shards` of each interface that `pinning` does
    /// not name, none = as many as such workers, 16 at most; the cores of interfaces.
    pub fn new(workers: u32, shards: Option<u32>, pinning: BTreeMap<IfName, Vec<u32>>) -> Self {
        let cores: BTreeSet<u32> = pinning.values().flatten().copied().collect();
        Self { workers: workers.max(1), shards, pinning, cores: cores.into_iter().collect() }
    }

    /// All workers by number.
    pub fn plans(&self) -> Vec<WorkerPlan> {
        let bound = self.cores.iter().map(|core| WorkerPlan { cpu: Some(*core) });
        let free = (0..self.workers).map(|_| WorkerPlan { cpu: None });
        bound.chain(free).collect()
    }

    /// Workers that are bound to no core, by number.
    pub(super) fn free(&self) -> Range<u32> {
        let bound = u32::try_from(self.cores.len()).unwrap_or(u32::MAX);
        bound..bound.saturating_add(self.workers)
    }

    /// The core that a worker is bound to.
    pub(super) fn core_of(&self, worker: u32) -> Option<u32> {
        self.cores.get(worker as usize).copied()
    }

    /// Another number of workers that are bound to no core. True where it was another.
    pub(super) fn set_workers(&mut self, workers: u32) -> bool {
        let before = std::mem::replace(&mut self.workers, workers.max(1));
        before != self.workers
    }

    /// As many workers as there may come to be by reloads: each may be given a share of what there is.
    pub fn most_workers(&self) -> u32 {
        self.free().end.max(self.shards.unwrap_or(1))
    }

    /// The workers of an interface that is bound to cores, one for each of its shards.
    pub(super) fn bound(&self, interface: &IfName) -> Option<Vec<u32>> {
        let worker = |core: &u32| self.cores.binary_search(core).ok();
        let cores = self.pinning.get(interface)?;
        Some(cores.iter().filter_map(worker).filter_map(|at| u32::try_from(at).ok()).collect())
    }

    /// Into how many shards an interface is divided that is bound to no core.
    pub(super) fn shards(&self) -> u32 {
        self.shards.unwrap_or(self.workers).clamp(1, MAX_SHARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> IfName {
        text.parse().expect("a name")
    }

    #[test]
    fn bound_workers_come_first_and_keep_their_numbers() {
        let pinning = [(name("a"), vec![7, 2]), (name("b"), vec![2, 5])].into();
        let mut layout = Layout::new(2, None, pinning);
        let cpus = |layout: &Layout| layout.plans().iter().map(|p| p.cpu).collect::<Vec<_>>();
        assert_eq!(cpus(&layout), [Some(2), Some(5), Some(7), None, None]);
        assert_eq!(layout.bound(&name("a")), Some(vec![2, 0]));
        assert_eq!(layout.bound(&name("b")), Some(vec![0, 1]));
        assert_eq!(layout.bound(&name("c")), None);
        assert_eq!((layout.free(), layout.shards()), (3..5, 2));
        assert!(layout.set_workers(1));
        assert!(!layout.set_workers(1));
        assert_eq!(cpus(&layout), [Some(2), Some(5), Some(7), None]);
        assert_eq!((layout.core_of(2), layout.core_of(3)), (Some(7), None));
    }

    #[test]
    fn shards_are_as_many_as_said_or_as_workers() {
        let of = |workers, shards| Layout::new(workers, shards, BTreeMap::new()).shards();
        assert_eq!([of(0, None), of(1, None), of(4, None), of(64, None)], [1, 1, 4, 16]);
        assert_eq!([of(1, Some(4)), of(8, Some(1))], [4, 1]);
    }
}
