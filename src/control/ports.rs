//! The input sockets: which are wanted, which are open, what they counted.

use super::resolve::PortKey;
use crate::fib::counters::PortCounters;
use crate::types::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long after a failure a port is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where a port is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    /// Asked for, and as far as we know open.
    Open,
    /// Wanted; could not be opened or has failed.
    Failed { reason: String, retry_at: Time },
    /// Wanted; opened when its worker runs again and has its table.
    Orphaned,
}

/// One port.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) id: u32,
    pub(super) worker: u32,
    pub(super) key: PortKey,
    pub(super) groups: BTreeSet<Ipv4Addr>,
    pub(super) state: PortState,
    /// As the worker reported last.
    pub(super) counters: PortCounters,
    /// Frames that the kernel queued or dropped, and dropped.
    pub(super) kernel: (u64, u64),
}

/// What must be done so that the open ports are the wanted ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortStep {
    Open(u32),
    Close(u32),
    Filter(u32),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ports {
    by_key: BTreeMap<PortKey, Port>,
    /// Closed by us; their last counters are still to come.
    closing: BTreeMap<u32, Port>,
    /// Sums over ports that are closed.
    pub(super) closed: (u64, PortCounters, (u64, u64)),
    /// Workers that died and do not run again yet.
    dead: BTreeSet<u32>,
    next: u32,
}

impl Ports {
    /// Makes the set of ports equal to `wanted`, a group filter for each packet port.
    pub(super) fn want(
        &mut self,
        wanted: &BTreeMap<PortKey, BTreeSet<Ipv4Addr>>,
        workers: u32,
        now: Time,
    ) -> Vec<PortStep> {
        let mut steps = Vec::new();
        let surplus: Vec<PortKey> =
            self.by_key.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in surplus {
            if let Some(port) = self.by_key.remove(&key)
                && port.state == PortState::Open
            {
                steps.push(PortStep::Close(port.id));
                self.closing.insert(port.id, port);
            }
        }
        for (key, groups) in wanted {
            match self.by_key.get_mut(key) {
                Some(port) => {
                    let changed = port.groups != *groups;
                    port.groups.clone_from(groups);
                    match &port.state {
                        PortState::Open if changed => steps.push(PortStep::Filter(port.id)),
                        PortState::Open => {}
                        _ if self.dead.contains(&port.worker) => port.state = PortState::Orphaned,
                        PortState::Failed { retry_at, .. } if *retry_at > now => {}
                        PortState::Failed { .. } | PortState::Orphaned => {
                            port.state = PortState::Open;
                            // A new number: what is still on its way for the old one must not hit it.
                            port.id = self.next;
                            self.next += 1;
                            steps.push(PortStep::Open(port.id));
                        }
                    }
                }
                None => {
                    let worker = self.least_loaded(workers);
                    let orphaned = self.dead.contains(&worker);
                    let port = Port {
                        id: self.next,
                        worker,
                        key: *key,
                        groups: groups.clone(),
                        state: if orphaned { PortState::Orphaned } else { PortState::Open },
                        counters: PortCounters::default(),
                        kernel: (0, 0),
                    };
                    self.next += 1;
                    if !orphaned {
                        steps.push(PortStep::Open(port.id));
                    }
                    self.by_key.insert(*key, port);
                }
            }
        }
        steps
    }

    /// The worker with the fewest ports; a dead one only where all are dead.
    fn least_loaded(&self, workers: u32) -> u32 {
        let load = |worker| self.by_key.values().filter(|port| port.worker == worker).count();
        (0..workers.max(1))
            .min_by_key(|&worker| (self.dead.contains(&worker), load(worker)))
            .unwrap_or(0)
    }

    /// A port could not be opened, or failed later.
    pub(super) fn failed(&mut self, id: u32, reason: String, now: Time) {
        if let Some(port) = self.by_key.values_mut().find(|port| port.id == id) {
            port.state = PortState::Failed { reason, retry_at: now.plus(RETRY) };
        } else if let Some(port) = self.closing.remove(&id) {
            self.retire(&port);
        }
    }

    /// A port's worker has let go of it: the counters are final.
    pub(super) fn closed(
        &mut self,
        id: u32,
        counters: PortCounters,
        failure: Option<String>,
        now: Time,
    ) {
        if let Some(mut port) = self.closing.remove(&id) {
            port.counters = counters;
            self.retire(&port);
        } else if let Some(port) = self.by_key.values_mut().find(|port| port.id == id) {
            let ended = Port { counters, ..port.clone() };
            port.counters = PortCounters::default();
            port.kernel = (0, 0);
            let reason = failure.unwrap_or_else(|| "closed unexpectedly".to_owned());
            port.state = PortState::Failed { reason, retry_at: now.plus(RETRY) };
            self.retire(&ended);
        }
    }

    fn retire(&mut self, port: &Port) {
        self.closed.0 += 1;
        self.closed.1.merge(&port.counters);
        self.closed.2.0 += port.kernel.0;
        self.closed.2.1 += port.kernel.1;
    }

    /// All ports of a worker are gone with it; they are opened again when it runs again.
    pub(super) fn worker_died(&mut self, worker: u32) {
        self.dead.insert(worker);
        let lost: Vec<Port> =
            self.by_key.values().filter(|port| port.worker == worker).cloned().collect();
        for port in lost {
            // What failed before is in the sums already, unless its last counters were to come.
            if port.state == PortState::Open || port.counters != PortCounters::default() {
                self.retire(&port);
            }
            if let Some(port) = self.by_key.get_mut(&port.key) {
                port.counters = PortCounters::default();
                port.kernel = (0, 0);
                port.state = PortState::Orphaned;
            }
        }
        let gone: Vec<u32> =
            self.closing.values().filter(|p| p.worker == worker).map(|p| p.id).collect();
        for id in gone {
            if let Some(port) = self.closing.remove(&id) {
                self.retire(&port);
            }
        }
    }

    /// A worker runs; its ports can be opened.
    pub(super) fn worker_ready(&mut self, worker: u32) {
        self.dead.remove(&worker);
    }

    /// Takes over what a worker counted.
    pub(super) fn report(&mut self, id: u32, counters: PortCounters) {
        if let Some(port) = self.by_id_mut(id) {
            port.counters = counters;
        }
    }

    /// Adds what the kernel counted since the last time.
    pub(super) fn kernel(&mut self, id: u32, received: u64, dropped: u64) {
        match self.by_id_mut(id) {
            Some(port) => {
                port.kernel.0 += received;
                port.kernel.1 += dropped;
            }
            None => {
                // The last reading of a port that is retired already.
                self.closed.2.0 += received;
                self.closed.2.1 += dropped;
            }
        }
    }

    fn by_id_mut(&mut self, id: u32) -> Option<&mut Port> {
        let open = self.by_key.values_mut().find(|port| port.id == id);
        open.or_else(|| self.closing.get_mut(&id))
    }

    /// A wanted port by its number.
    pub(super) fn by_id(&self, id: u32) -> Option<&Port> {
        self.by_key.values().find(|port| port.id == id).or_else(|| self.closing.get(&id))
    }

    /// The wanted port of a key.
    pub(super) fn get(&self, key: &PortKey) -> Option<&Port> {
        self.by_key.get(key)
    }

    /// All wanted ports.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Port> {
        self.by_key.values()
    }

    /// When the next failed port is to be tried again.
    pub(super) fn next_retry(&self) -> Option<Time> {
        self.by_key
            .values()
            .filter_map(|port| match port.state {
                PortState::Failed { retry_at, .. } => Some(retry_at),
                PortState::Open | PortState::Orphaned => None,
            })
            .min()
    }
}
