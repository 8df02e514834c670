//! The input sockets: which are wanted, which are open, what they counted.

use super::resolve::PortKey;
use super::spread::{Crew, Load};
use super::sums::ClosedPorts;
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
    /// It belongs to the worker of a core and stays there.
    pub(super) bound: bool,
    /// Its worker has changed since it was opened: that the first one lets go of it is no failure.
    pub(super) moved: bool,
    pub(super) key: PortKey,
    pub(super) filter: InputFilter,
    /// Whether it lets that in is not known.
    pub(super) unsure: bool,
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
    pub(super) fn open(id: u32, worker: u32, key: PortKey, state: PortState) -> Self {
        let numbered = state == PortState::Open;
        let counters = PortCounters::default();
        let (bound, moved, unsure, failures) = (false, false, false, 0);
        let filter = InputFilter::default();
        Self { id, worker, bound, moved, key, filter, unsure, state, numbered, failures, counters }
    }

    /// Frames that the kernel queued or dropped, and those it dropped. For UDP it counts its drops
    /// only: what was taken is added.
    pub(super) fn kernel_counters(&self) -> (u64, u64) {
        let (received, dropped) = (self.counters.kernel_received, self.counters.kernel_dropped);
        match self.key {
            PortKey::Packet(..) => (received, dropped),
            PortKey::Udp(..) => (received + self.counters.frames, dropped),
        }
    }

    /// Starts over, to be opened again; returns the port as it was.
    fn end(&mut self) -> Self {
        let ended = self.clone();
        self.state = PortState::Waiting;
        self.moved = false;
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
    Move(u32),
}

/// A port that shall be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What it lets in.
    pub(super) filter: InputFilter,
    /// The worker that it is bound to; none = any that is bound to no core.
    pub(super) worker: Option<u32>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    pub(super) by_key: BTreeMap<PortKey, Port>,
    /// Closed by us; their last counters are still to come.
    closing: BTreeMap<u32, Port>,
    /// Sums over ports that are closed.
    pub(super) closed: ClosedPorts,
    sums_changed: bool,
    pub(super) next: u32,
}

impl Ports {
    /// Makes the set of ports equal to `wanted`, each read by a worker of `crew`.
    pub(super) fn want(
        &mut self,
        wanted: &BTreeMap<PortKey, Wanted>,
        crew: &Crew,
        now: Time,
    ) -> Vec<PortStep> {
        let mut steps = Vec::new();
        let surplus: Vec<PortKey> =
            self.by_key.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in surplus {
            steps.extend(self.drop_port(&key));
        }
        let mut load = None;
        for (key, want) in wanted {
            if !self.by_key.contains_key(key) {
                let load = load.get_or_insert_with(|| Load::of(self.by_key.values()));
                let worker = want.worker.unwrap_or_else(|| load.least(*key, crew));
                load.add(*key, worker);
                self.add_port(*key, worker, want.worker.is_some());
            }
            let Some(port) = self.by_key.get_mut(key) else { continue };
            let unsure = std::mem::take(&mut port.unsure);
            let changed = unsure || port.filter != want.filter;
            port.filter.clone_from(&want.filter);
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
            if due && crew.runs(port.worker) {
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

    fn add_port(&mut self, key: PortKey, worker: u32, bound: bool) {
        let port = Port::open(self.next, worker, key, PortState::Waiting);
        self.take_over(Port { bound, ..port });
        self.next += 1;
    }

    /// Adds a port as it is.
    pub(super) fn take_over(&mut self, port: Port) {
        self.by_key.insert(port.key, port);
    }

    /// Into how many shards an interface is divided; none = it has no port.
    pub(super) fn shards(&self, iif: IfIndex) -> Option<u32> {
        let all = PortKey::Packet(iif, 0)..=PortKey::Packet(iif, u32::MAX);
        u32::try_from(self.by_key.range(all).count()).ok().filter(|shards| *shards > 0)
    }

    /// The wanted ports behind what a rule needs: all shards of an interface, or the one UDP port.
    pub(super) fn behind(&self, key: &PortKey) -> impl Iterator<Item = &Port> {
        let last = match *key {
            PortKey::Packet(iif, _) => PortKey::Packet(iif, u32::MAX),
            udp @ PortKey::Udp(..) => udp,
        };
        self.by_key.range(*key..=last).map(|(_, port)| port)
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

    /// A port's worker has let go of it: the counters are final. True where it is to be opened again at once.
    pub(super) fn closed(
        &mut self,
        id: u32,
        counters: PortCounters,
        failure: Option<String>,
        now: Time,
    ) -> bool {
        if let Some(mut port) = self.closing.remove(&id) {
            port.counters = counters;
            self.retire(&port);
        } else if let Some(port) = self.by_key.values_mut().find(|port| port.id == id) {
            port.counters = counters;
            let ended = match failure {
                None if port.moved => port.end(),
                failure => {
                    let reason = failure.unwrap_or_else(|| "closed unexpectedly".to_owned());
                    port.fail(reason, now)
                }
            };
            let again = port.state == PortState::Waiting;
            self.retire(&ended);
            return again;
        }
        false
    }

    fn retire(&mut self, port: &Port) {
        let (received, dropped) = port.kernel_counters();
        self.closed.ports += 1;
        self.closed.counters.merge(&port.counters);
        self.closed.received += received;
        self.closed.dropped += dropped;
        self.sums_changed = true;
    }

    /// The sums over ports that are closed, where they have changed since the last call.
    pub(super) fn take_changed_sums(&mut self) -> Option<ClosedPorts> {
        std::mem::take(&mut self.sums_changed).then(|| self.closed.clone())
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
