//! The input sockets: which are wanted, which are open, what they counted.

use super::resolve::PortKey;
use crate::fib::counters::PortCounters;
use crate::types::{IfIndex, InputFilter, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after its first failure a port is tried again; each further failure doubles it, up to
/// 64 times.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS: u32 = 6;

/// Where a port is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    /// Asked for, and as far as we know open.
    Open,
    /// Wanted; could not be opened or has failed.
    Failed { reason: String, retry_at: Time },
    /// Wanted; the data plane does not run, and opens it when it does.
    Waiting,
}

/// One port.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) id: u32,
    pub(super) worker: u32,
    pub(super) key: PortKey,
    /// What it lets in; none = nobody knows.
    pub(super) filter: Option<InputFilter>,
    pub(super) state: PortState,
    /// Its number has been given out.
    numbered: bool,
    /// Failures since it was wanted first.
    failures: u32,
    /// As the worker reported last.
    pub(super) counters: PortCounters,
}

impl Port {
    /// One that has counted nothing and never failed.
    pub(super) fn open(
        id: u32,
        worker: u32,
        key: PortKey,
        filter: Option<InputFilter>,
        state: PortState,
    ) -> Self {
        let numbered = state == PortState::Open;
        let counters = PortCounters::default();
        Self { id, worker, key, filter, state, numbered, failures: 0, counters }
    }

    /// Frames that the kernel queued or dropped, and those it dropped. For UDP it counts its drops
    /// only: what was taken is added.
    pub(super) fn kernel_counters(&self) -> (u64, u64) {
        let (received, dropped) = (self.counters.kernel_received, self.counters.kernel_dropped);
        match self.key {
            PortKey::Packet(_) => (received, dropped),
            PortKey::Udp(..) => (received + self.counters.frames, dropped),
        }
    }

    /// Starts over, to be opened again; returns the port as it was.
    fn end(&mut self) -> Self {
        let ended = self.clone();
        self.state = PortState::Waiting;
        self.counters = PortCounters::default();
        ended
    }

    fn fail(&mut self, reason: String, now: Time) -> Self {
        let ended = self.end();
        let delay = RETRY * (1 << self.failures.min(RETRY_DOUBLINGS));
        self.failures += 1;
        self.state = PortState::Failed { reason, retry_at: now.plus(delay) };
        ended
    }
}

/// What must be done so that the open ports are the wanted ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortStep {
    Open(u32),
    Close(u32),
    Filter(u32),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    by_key: BTreeMap<PortKey, Port>,
    /// Closed by us; their last counters are still to come.
    closing: BTreeMap<u32, Port>,
    /// Sums over ports that are closed.
    pub(super) closed: (u64, PortCounters, (u64, u64)),
    pub(super) next: u32,
}

impl Ports {
    /// Makes the set of ports equal to `wanted`, a filter for each packet port. `running`
    /// says of each worker whether it runs.
    pub(super) fn want(
        &mut self,
        wanted: &BTreeMap<PortKey, InputFilter>,
        running: &[bool],
        now: Time,
    ) -> Vec<PortStep> {
        let mut steps = Vec::new();
        let surplus: Vec<PortKey> =
            self.by_key.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in surplus {
            steps.extend(self.drop_port(&key));
        }
        for (key, filter) in wanted {
            if !self.by_key.contains_key(key) {
                let port = self.new_port(*key, running);
                self.next += 1;
                self.by_key.insert(*key, port);
            }
            let Some(port) = self.by_key.get_mut(key) else { continue };
            let changed = port.filter.as_ref() != Some(filter);
            port.filter = Some(filter.clone());
            let due = match &port.state {
                PortState::Open => {
                    if changed {
                        steps.push(PortStep::Filter(port.id));
                    }
                    false
                }
                PortState::Failed { retry_at, .. } => *retry_at <= now,
                PortState::Waiting => true,
            };
            if due && running.get(port.worker as usize) == Some(&true) {
                port.state = PortState::Open;
                if std::mem::replace(&mut port.numbered, true) {
                    // A new number: what is still on its way for the old one must not hit it.
                    port.id = self.next;
                    self.next += 1;
                }
                steps.push(PortStep::Open(port.id));
            }
        }
        steps
    }

    /// A port for the worker with the fewest; for one that does not run only where none does.
    fn new_port(&self, key: PortKey, running: &[bool]) -> Port {
        let load = |worker| self.by_key.values().filter(|port| port.worker == worker).count();
        let least = (0u32..).zip(running).min_by_key(|(worker, runs)| (!**runs, load(*worker)));
        let worker = least.map_or(0, |(worker, _)| worker);
        Port::open(self.next, worker, key, Some(InputFilter::default()), PortState::Waiting)
    }

    /// Adds a port as it is.
    pub(super) fn take_over(&mut self, port: Port) {
        self.by_key.insert(port.key, port);
    }

    fn drop_port(&mut self, key: &PortKey) -> Option<PortStep> {
        let port = self.by_key.remove(key)?;
        if port.state != PortState::Open {
            return None;
        }
        let id = port.id;
        self.closing.insert(id, port);
        Some(PortStep::Close(id))
    }

    /// An interface is gone, or another has its index now: sockets bound to it are dead for good.
    pub(super) fn interface_gone(&mut self, index: IfIndex) -> Vec<PortStep> {
        let dead: Vec<PortKey> =
            self.by_key.keys().filter(|key| key.iif() == index).copied().collect();
        dead.iter().filter_map(|key| self.drop_port(key)).collect()
    }

    /// A port could not be opened, or failed later.
    pub(super) fn failed(&mut self, id: u32, reason: String, now: Time) {
        if let Some(port) = self.by_key.values_mut().find(|port| port.id == id) {
            let ended = port.fail(reason, now);
            // One that could not be opened has nothing to keep.
            if ended.counters != PortCounters::default() {
                self.retire(&ended);
            }
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
            let reason = failure.unwrap_or_else(|| "closed unexpectedly".to_owned());
            port.counters = counters;
            let ended = port.fail(reason, now);
            self.retire(&ended);
        }
    }

    fn retire(&mut self, port: &Port) {
        self.closed.0 += 1;
        self.closed.1.merge(&port.counters);
        let (received, dropped) = port.kernel_counters();
        self.closed.2.0 += received;
        self.closed.2.1 += dropped;
    }

    /// All ports are gone with the data plane; they are opened again when their workers run.
    pub(super) fn all_gone(&mut self) {
        let lost: Vec<Port> = self.by_key.values_mut().map(Port::end).collect();
        for port in lost.iter().filter(|port| port.state == PortState::Open) {
            self.retire(port);
        }
        for port in std::mem::take(&mut self.closing).into_values() {
            self.retire(&port);
        }
    }

    /// Takes over what a worker counted.
    pub(super) fn report(&mut self, id: u32, counters: PortCounters) {
        if let Some(port) = self.by_id_mut(id) {
            port.counters = counters;
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
                PortState::Open | PortState::Waiting => None,
            })
            .min()
    }
}
