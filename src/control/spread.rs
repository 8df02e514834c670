//! Which worker reads which port.

use super::ports::{Port, PortState, PortStep, Ports};
use super::resolve::PortKey;
use crate::types::IfIndex;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The workers as far as ports are concerned.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    /// Of each worker, whether it runs.
    pub(super) running: Vec<bool>,
    /// Of each, whether it runs or has not had the time to start.
    pub(super) expected: Vec<bool>,
    /// Those that are bound to no core, and stay.
    pub(super) free: Range<u32>,
}

impl Crew {
    pub(super) fn runs(&self, worker: u32) -> bool {
        self.running.get(worker as usize) == Some(&true)
    }
}

/// How many ports each worker has, and how many of each interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    all: HashMap<u32, usize>,
    of_interface: HashMap<(IfIndex, u32), usize>,
}

impl Load {
    pub(super) fn of<'p>(ports: impl Iterator<Item = &'p Port>) -> Self {
        let mut load = Self::default();
        for port in ports {
            load.add(port.key, port.worker);
        }
        load
    }

    pub(super) fn add(&mut self, key: PortKey, worker: u32) {
        *self.all.entry(worker).or_default() += 1;
        *self.of_interface.entry((key.iif(), worker)).or_default() += 1;
    }

    fn take(&mut self, key: PortKey, worker: u32) {
        if let Some(count) = self.all.get_mut(&worker) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.of_interface.get_mut(&(key.iif(), worker)) {
            *count = count.saturating_sub(1);
        }
    }

    fn total(&self, worker: u32) -> usize {
        self.all.get(&worker).copied().unwrap_or(0)
    }

    fn on(&self, iif: IfIndex, worker: u32) -> usize {
        self.of_interface.get(&(iif, worker)).copied().unwrap_or(0)
    }

    /// The worker that a new port goes to: it has fewest ports of the interface, and of those the fewest of
    /// all; one that has died and does not run yet only where all have.
    pub(super) fn least(&self, key: PortKey, crew: &Crew) -> u32 {
        let place = |worker: &u32| {
            let expected = crew.expected.get(*worker as usize) == Some(&true);
            (!expected, self.on(key.iif(), *worker), self.total(*worker), *worker)
        };
        crew.free.clone().min_by_key(place).unwrap_or(crew.free.start)
    }
}

impl Ports {
    /// Spreads the ports that are bound to no core evenly over the workers that run: first those of workers
    /// that do not stay, then so that no worker has two more of an interface than another, then so that none
    /// has two more in all. No more are moved than that takes, and none is closed.
    pub(super) fn spread(&mut self, crew: &Crew) -> Vec<PortStep> {
        let mut to: Vec<u32> = crew.free.clone().filter(|worker| crew.runs(*worker)).collect();
        if to.is_empty() {
            to = crew.free.clone().collect();
        }
        let mut load = Load::of(self.by_key.values());
        let mut place: BTreeMap<PortKey, u32> = self
            .by_key
            .values()
            .filter(|port| !port.bound)
            .map(|port| (port.key, port.worker))
            .collect();
        for (key, worker) in &mut place {
            if !crew.free.contains(worker) {
                load.take(*key, *worker);
                *worker = load.least(*key, crew);
                load.add(*key, *worker);
            }
        }
        let mut interfaces: Vec<IfIndex> = place.keys().map(PortKey::iif).collect();
        interfaces.dedup();
        for iif in interfaces {
            let on = |load: &Load, worker: u32| (load.on(iif, worker), load.total(worker));
            while let Some((most, least)) = ends(&to, |worker| on(&load, worker))
                && load.on(iif, most) > load.on(iif, least) + 1
            {
                let of = |key: &PortKey| key.iif() == iif;
                if !shift(&mut place, &mut load, most, least, of) {
                    break;
                }
            }
        }
        while let Some((most, least)) = ends(&to, |worker| load.total(worker))
            && load.total(most) > load.total(least) + 1
        {
            let before = load.clone();
            let more = |key: &PortKey| before.on(key.iif(), most) > before.on(key.iif(), least);
            if !shift(&mut place, &mut load, most, least, more) {
                break;
            }
        }
        self.put(&place)
    }

    /// Gives ports to other workers; those that are open have to be moved.
    fn put(&mut self, place: &BTreeMap<PortKey, u32>) -> Vec<PortStep> {
        let mut steps = Vec::new();
        for (key, worker) in place {
            let Some(port) = self.by_key.get_mut(key).filter(|port| port.worker != *worker) else {
                continue;
            };
            port.worker = *worker;
            if port.state == PortState::Open {
                port.moved = true;
                steps.push(PortStep::Move(port.id));
            }
        }
        steps
    }
}

/// The workers with the most and the least of something.
fn ends<K: Ord>(workers: &[u32], load: impl Fn(u32) -> K) -> Option<(u32, u32)> {
    // Of several equal ones the first, both times.
    let most = workers.iter().rev().max_by_key(|worker| load(**worker))?;
    let least = workers.iter().min_by_key(|worker| load(**worker))?;
    Some((*most, *least))
}

/// Gives one port that `fits` from one worker to another; the last, so that the first stay where they are.
fn shift(
    place: &mut BTreeMap<PortKey, u32>,
    load: &mut Load,
    from: u32,
    to: u32,
    fits: impl Fn(&PortKey) -> bool,
) -> bool {
    let found = place.iter_mut().rev().find(|(key, worker)| **worker == from && fits(key));
    let Some((key, worker)) = found else { return false };
    load.take(*key, from);
    load.add(*key, to);
    *worker = to;
    true
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
