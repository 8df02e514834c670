//! The core: one owner of everything that decides. Sans-I/O: events go in with the time,
//! [`Router::settle`] draws the consequences, outputs come out, and `next_timeout` says when to
//! come back.

use super::event::{Event, Refusal, WorkerReport};
use super::interfaces::Interfaces;
use super::layout::Layout;
use super::loops;
use super::notice::Notice;
use super::ports::{PortState, PortStep, Ports, Wanted};
use super::resolve::{Needs, PortKey, Resolution, resolve};
use super::rules::{Entry, Rules};
use super::said::Said;
use super::spread::Crew;
use super::sums::LostSlots;
use crate::fib::counters::{PortCounters, SlotCounters, WorkerCounters};
use crate::fib::{Builder, Conflict, Fib, OutputSlot, Packed, RuleSlot};
use crate::types::{
    IfIndex, InputFilter, LinkLayer, Membership, NetEvent, Origin, Rule, Time, WorkerPlan,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long after a refused membership all are asked for again.
const MEMBERSHIP_RETRY: Duration = Duration::from_secs(5);

/// Outputs that there is always room for.
const OUTPUTS_KEPT: usize = 64;

/// Something to be done outside.
#[derive(Clone, Debug)]
pub enum Output {
    /// Open an input socket and give it to a worker.
    OpenPort {
        /// The number it is known by.
        port: u32,
        /// The worker that shall read it.
        worker: u32,
        /// What to open.
        key: PortKey,
        /// Into how many shards its interface is divided; 1 = it is not.
        shards: u32,
        /// What stands before the IP header there.
        link_layer: LinkLayer,
        /// What the in-kernel filter lets through.
        filter: InputFilter,
    },
    /// Let other frames through.
    SetFilter {
        /// Which port.
        port: u32,
        /// All that is let through.
        filter: InputFilter,
    },
    /// Close an input socket.
    ClosePort {
        /// Which.
        port: u32,
    },
    /// Give an input socket to another worker, with what waits in it and what was counted.
    MovePort {
        /// Which.
        port: u32,
        /// The worker that shall read it from now on.
        worker: u32,
    },
    /// Let the workers be these. Those that are too many have been asked to give their ports away; they
    /// report and end when they have. [`Event::WorkerStopped`] says so of each.
    Workers(Vec<WorkerPlan>),
    /// Work by this table.
    Publish {
        /// The table.
        fib: Arc<Fib>,
        /// Rule slots with new owners.
        reset_rules: Vec<RuleSlot>,
        /// Output slots with new owners.
        reset_outputs: Vec<OutputSlot>,
    },
    /// Be a member of exactly these.
    Memberships(BTreeSet<Membership>),
    /// An interface is gone; what is kept under its index is void.
    InterfaceGone(IfIndex),
    /// Tell who wants to know.
    Notice(Notice),
}

/// What is known of a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    pub(super) tier: String,
    pub(super) reason: Option<String>,
    /// What else was asked for and could not be had.
    pub(super) notes: Vec<String>,
    pub(super) running: bool,
    pub(super) generation: u64,
    pub(super) counters: WorkerCounters,
    pub(super) slots: SlotCounters,
    pub(super) restarts: u64,
    /// Why it died last.
    pub(super) last_death: String,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Router {
    pub(super) started: Time,
    pub(super) pid: u32,
    pub(super) interfaces: Interfaces,
    pub(super) rules: Rules,
    pub(super) ports: Ports,
    pub(super) layout: Layout,
    /// Those of the layout, and after them those that are still to end.
    pub(super) workers: Vec<Worker>,
    /// There are other workers than before: ports are to be spread over them.
    uneven: bool,
    /// Who runs the workers does not know yet.
    resized: bool,
    /// What workers counted before they died.
    pub(super) lost_slots: LostSlots,
    /// What became of the enabled rules, by slot.
    resolutions: Vec<Option<Resolution>>,
    /// The input sockets that all of them need.
    needed: BTreeMap<PortKey, InputFilter>,
    pub(super) conflicts: BTreeSet<Conflict>,
    /// Outputs that would feed themselves, with the rules that they feed.
    pub(super) loops: BTreeMap<OutputSlot, RuleSlot>,
    /// The table that the workers have, or are to have.
    pub(super) fib: Packed,
    pub(super) memberships: BTreeSet<Membership>,
    pub(super) refused: BTreeMap<Membership, String>,
    ask_again_at: Option<Time>,
    /// The generation of the last table that gave slots to new owners.
    last_reset: u64,
    pub(super) dirty: bool,
    /// The data plane does not have the table, whatever else is said.
    pub(super) resend: bool,
    /// Nothing is asked for before the network is known.
    pub(super) awaits_network: bool,
    /// A time that was waited for has come.
    due: bool,
    pub(super) outputs: VecDeque<Output>,
    pub(super) said: Said,
    /// Something that was said may be true no more.
    unsaid: bool,
}

impl Router {
    /// A core with these workers, no interfaces and no rules; `pid` is shown to who asks.
    pub fn new(now: Time, layout: Layout, pid: u32) -> Self {
        Self {
            started: now,
            pid,
            interfaces: Interfaces::default(),
            rules: Rules::default(),
            ports: Ports::default(),
            workers: vec![Worker::default(); layout.plans().len()],
            layout,
            uneven: false,
            resized: false,
            lost_slots: LostSlots::default(),
            resolutions: Vec::new(),
            needed: BTreeMap::new(),
            conflicts: BTreeSet::new(),
            loops: BTreeMap::new(),
            fib: Packed::default(),
            memberships: BTreeSet::new(),
            refused: BTreeMap::new(),
            ask_again_at: None,
            last_reset: 0,
            dirty: false,
            resend: false,
            awaits_network: false,
            due: false,
            outputs: VecDeque::new(),
            said: Said::default(),
            unsaid: false,
        }
    }

    /// Takes one event. An error concerns events that ask for something; nothing has changed then.
    pub fn handle(&mut self, now: Time, event: Event) -> Result<(), Refusal> {
        // Counters and acknowledgements change no state of a rule.
        let speaks = !matches!(event, Event::Programmed { .. } | Event::Report(_));
        match event {
            Event::Net(event) => self.net(event),
            Event::InterfaceReplaced(index) => self.interface_gone(index),
            Event::Rules { origin, set } => self.dirty |= self.rules.replace(origin, set)?,
            Event::AddRule(rule) => self.add_rule(rule)?,
            Event::RemoveRule(selector) => {
                self.rules.remove_runtime(&selector)?;
                self.dirty = true;
            }
            Event::PortFailed { port, reason } => {
                self.ports.failed(port, reason, now);
            }
            Event::PortClosed { port, counters, failure } => {
                // One that was to be moved is opened again where it belongs.
                self.due |= self.ports.closed(port, counters, failure, now);
            }
            Event::Memberships { failed } => {
                self.ask_again_at = (!failed.is_empty()).then(|| now.plus(MEMBERSHIP_RETRY));
                self.refused = failed.into_iter().collect();
            }
            Event::WorkerReady { worker, tier, reason, notes } => {
                self.ready(worker, tier, reason, notes);
            }
            Event::Workers(workers) => self.set_workers(workers),
            Event::WorkerStopped { worker } => self.worker_stopped(worker),
            Event::Programmed { worker, generation } => {
                if let Some(worker) = self.workers.get_mut(worker as usize) {
                    worker.generation = generation;
                }
            }
            Event::WorkerDied { worker, reason } => self.worker_died(worker, reason),
            Event::DataPlaneDied { reason } => self.data_plane_died(&reason),
            Event::DataPlaneReplaced => self.workers_gone(None),
            Event::Report(report) => self.report(*report),
            // What is due is done by `settle`: the network may change before.
            Event::Timeout => self.due = true,
        }
        self.unsaid |= speaks;
        Ok(())
    }

    /// Draws the consequences of all events since the last call; many events cost one compilation.
    pub fn settle(&mut self, now: Time) {
        if self.awaits_network {
            return;
        }
        let due = std::mem::take(&mut self.due);
        if std::mem::take(&mut self.dirty) {
            self.recompile(now);
        } else if due {
            self.update_ports(now);
        }
        if due && self.ask_again_at.is_some_and(|at| at <= now) {
            self.ask_again_at = None;
            self.outputs.push_back(Output::Memberships(self.memberships.clone()));
        }
        // Not before what was asked for is done: what came of it belongs to what is said.
        if self.unsaid && self.outputs.is_empty() {
            self.unsaid = false;
            self.say();
        }
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), Refusal> {
        if rule.origin != Origin::Runtime {
            return Err(Refusal::NotYours {
                rule: rule.display_name(),
                origin: rule.origin,
                remedy: "only its own source may add it".to_owned(),
            });
        }
        self.dirty |= self.rules.add(rule)?;
        Ok(())
    }

    /// How often a worker has died.
    pub fn deaths(&self, worker: u32) -> u64 {
        self.workers.get(worker as usize).map_or(0, |worker| worker.restarts)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The next thing to be done outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if next.is_none() {
            // A change of all rules must not be remembered by the room that its notices took.
            self.outputs.shrink_to(OUTPUTS_KEPT);
        }
        next
    }

    /// When [`Event::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        [self.ports.next_retry(), self.ask_again_at].into_iter().flatten().min()
    }

    fn net(&mut self, event: NetEvent) {
        let is_route = matches!(event, NetEvent::Route(_) | NetEvent::RouteGone(_));
        self.awaits_network &= !matches!(event, NetEvent::Snapshot(_));
        let changes = self.interfaces.apply(event);
        for index in changes.gone {
            self.interface_gone(index);
        }
        // A host with a full table sees routes change all the time.
        self.dirty |= changes.any && (!is_route || self.rules.any_routed_output());
    }

    /// What the kernel kept for an interface is gone, even if one of the same index is there now.
    fn interface_gone(&mut self, index: IfIndex) {
        self.memberships.retain(|membership| membership.index != index);
        let steps = self.ports.interface_gone(index);
        self.carry_out(steps);
        self.outputs.push_back(Output::InterfaceGone(index));
        self.dirty = true;
    }

    /// Another number of workers that are bound to no core.
    fn set_workers(&mut self, workers: u32) {
        if !self.layout.set_workers(workers) {
            return;
        }
        let plans = self.layout.plans();
        if self.workers.len() < plans.len() {
            self.workers.resize(plans.len(), Worker::default());
        }
        self.uneven = true;
        self.resized = true;
        self.due = true;
    }

    /// A worker that was too many has ended, and its last report has come.
    fn worker_stopped(&mut self, number: u32) {
        if let Some(worker) = self.workers.get_mut(number as usize) {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            *worker = Worker::default();
        }
        let wanted = self.layout.free().end as usize;
        while self.workers.len() > wanted && self.workers.last().is_some_and(|last| !last.running) {
            self.workers.pop();
        }
        self.due = true;
    }

    fn ready(&mut self, number: u32, tier: String, reason: Option<String>, notes: Vec<String>) {
        // The first time: what others have is shared with it.
        self.uneven |=
            self.workers.get(number as usize).is_some_and(|worker| worker.tier.is_empty());
        if let Some(worker) = self.workers.get_mut(number as usize) {
            worker.tier = tier;
            worker.reason = reason;
            worker.notes = notes;
            worker.running = true;
            // Ports may wait for it.
            self.dirty = true;
        }
    }

    fn worker_died(&mut self, number: u32, reason: String) {
        if let Some(worker) = self.workers.get_mut(number as usize) {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            worker.running = false;
            worker.last_death.clone_from(&reason);
            worker.reason = Some(reason);
            worker.generation = 0;
            worker.restarts += 1;
        }
    }

    /// There are so many workers, and there shall be those of the layout.
    pub(super) fn resize_from(&mut self, workers: usize) {
        let most = workers.max(self.layout.plans().len());
        self.workers.resize(most, Worker::default());
        self.uneven = true;
        self.resized = true;
        self.due = true;
    }

    fn data_plane_died(&mut self, reason: &str) {
        self.workers_gone(Some(reason));
        self.ports.all_gone();
    }

    /// What they have counted stays.
    fn workers_gone(&mut self, reason: Option<&str>) {
        for worker in &mut self.workers {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            worker.running = false;
            worker.reason = reason.map(str::to_owned);
            worker.generation = 0;
        }
    }

    /// What a port has counted, as far as it is known.
    pub fn port_counters(&self, port: u32) -> PortCounters {
        self.ports.by_id(port).map(|port| port.counters.clone()).unwrap_or_default()
    }

    /// The table that is in force.
    pub fn table(&self) -> Arc<Fib> {
        Arc::new(self.fib.unpack())
    }

    /// A data plane is there that knows nothing: it shall have the table, whatever was sent before.
    pub fn publish_again(&mut self) {
        self.resend = true;
        self.dirty = true;
    }

    fn report(&mut self, report: WorkerReport) {
        for (port, counters) in report.ports {
            self.ports.report(port, counters);
        }
        if let Some(worker) = self.workers.get_mut(report.worker as usize) {
            // An older report would bring back what slots counted for their owners before.
            if report.generation >= self.last_reset {
                worker.slots = report.slots;
            }
            worker.counters = report.counters;
        }
    }

    /// Resolves all rules against the interfaces there are, and asks for what follows from it. The
    /// table goes out before ports are opened, so that no frame meets a table without its rule.
    fn recompile(&mut self, now: Time) {
        let mut builder = Builder::default();
        let mut needs = Needs::default();
        let mut iifs = BTreeSet::new();
        let mut table = Vec::new();
        let mut resolutions = Vec::new();
        resolutions.resize_with(self.rules.slots(), || None);
        for entry in self.rules.by_precedence() {
            if !entry.rule.enabled {
                continue;
            }
            let (resolution, resolved) = resolve(entry, &self.interfaces, &mut needs);
            table.extend(resolved);
            resolutions[entry.slot.0 as usize] = Some(resolution);
        }
        self.resolutions = resolutions;
        self.needed = needs.ports;
        // From a list, which is sorted once: one by one they would take twice the room.
        let memberships: BTreeSet<Membership> = needs.memberships.into_iter().collect();
        self.loops = loops::block(&mut table, &self.interfaces);
        for resolved in table {
            iifs.insert(resolved.iif);
            builder.rule(resolved);
        }
        for iif in iifs {
            for net in self.interfaces.addresses(iif) {
                builder.own_address(iif, net.addr());
            }
        }
        let compiled = builder.build(self.fib.generation() + 1);
        self.conflicts = compiled.conflicts;
        self.publish(compiled.fib);
        self.update_ports(now);
        if memberships != self.memberships {
            self.memberships = memberships;
            self.ask_again_at = None;
            self.outputs.push_back(Output::Memberships(self.memberships.clone()));
        }
    }

    /// Gives the workers a new table, unless all of them have one that does the same.
    fn publish(&mut self, fib: Fib) {
        let (reset_rules, reset_outputs) = self.rules.take_resets();
        let packed = Packed::from(&fib);
        // What was sent, all workers get, those that are started later too.
        let sent = !std::mem::take(&mut self.resend);
        if sent && reset_rules.is_empty() && packed.forwards_like(&self.fib) {
            return;
        }
        self.fib = packed;
        if !reset_rules.is_empty() {
            self.last_reset = self.fib.generation();
        }
        self.lost_slots.reset(&reset_rules, &reset_outputs);
        for worker in &mut self.workers {
            worker.slots.reset(&reset_rules, &reset_outputs);
        }
        let fib = Arc::new(fib);
        self.outputs.push_back(Output::Publish { fib, reset_rules, reset_outputs });
    }

    fn update_ports(&mut self, now: Time) {
        let wanted = self.needed.iter().flat_map(|(key, filter)| self.divide(*key, filter));
        let wanted: BTreeMap<PortKey, Wanted> = wanted.collect();
        let crew = Crew {
            running: self.workers.iter().map(|worker| worker.running).collect(),
            expected: self
                .workers
                .iter()
                .map(|worker| worker.running || worker.restarts == 0)
                .collect(),
            free: self.layout.free(),
        };
        if std::mem::take(&mut self.uneven) {
            // Away from workers that are to end before those end; to new ones when they run.
            let steps = self.ports.spread(&crew);
            self.carry_out(steps);
        }
        if std::mem::take(&mut self.resized) {
            self.outputs.push_back(Output::Workers(self.layout.plans()));
        }
        let steps = self.ports.want(&wanted, &crew, now);
        self.carry_out(steps);
    }

    /// The ports for what rules need: an interface is divided into shards when its first port is wanted, and
    /// stays so while one is.
    fn divide(&self, key: PortKey, filter: &InputFilter) -> Vec<(PortKey, Wanted)> {
        let PortKey::Packet(iif, _) = key else {
            return vec![(key, Wanted { filter: filter.clone(), worker: None })];
        };
        let bound = self.interfaces.get(iif).and_then(|link| self.layout.bound(&link.name));
        let fresh = match &bound {
            Some(workers) => u32::try_from(workers.len()).unwrap_or(1),
            None => self.layout.shards(),
        };
        let shards = self.ports.shards(iif).unwrap_or(fresh);
        let worker_of = |shard: u32| bound.as_ref()?.get(shard as usize).copied();
        (0..shards)
            .map(|shard| {
                let want = Wanted { filter: filter.clone(), worker: worker_of(shard) };
                (PortKey::Packet(iif, shard), want)
            })
            .collect()
    }

    fn carry_out(&mut self, steps: Vec<PortStep>) {
        for step in steps {
            self.outputs.push_back(match step {
                PortStep::Close(port) => Output::ClosePort { port },
                PortStep::Filter(port) => {
                    let filter = self.ports.by_id(port).map(|port| port.filter.clone());
                    Output::SetFilter { port, filter: filter.unwrap_or_default() }
                }
                PortStep::Move(port) => match self.ports.by_id(port) {
                    Some(at) => Output::MovePort { port, worker: at.worker },
                    None => continue,
                },
                PortStep::Open(port) => match self.open_step(port) {
                    Some(open) => open,
                    None => continue,
                },
            });
        }
    }

    fn open_step(&self, id: u32) -> Option<Output> {
        let port = self.ports.by_id(id)?;
        let link = self.interfaces.get(port.key.iif())?;
        Some(Output::OpenPort {
            port: id,
            worker: port.worker,
            key: port.key,
            shards: self.ports.shards(port.key.iif()).unwrap_or(1),
            link_layer: link.link_layer,
            filter: port.filter.clone(),
        })
    }

    fn runs(&self, worker: u32) -> bool {
        self.workers.get(worker as usize).is_some_and(|worker| worker.running)
    }

    /// What became of a rule; none where it is disabled, or not looked at yet.
    pub(super) fn resolution(&self, entry: &Entry) -> Option<&Resolution> {
        self.resolutions.get(entry.slot.0 as usize)?.as_ref()
    }

    /// Why none of a rule's input ports is open; none where one is.
    pub(super) fn port_trouble(&self, resolution: &Resolution) -> Option<String> {
        let mut trouble = None;
        for key in resolution.ports.iter() {
            let mut behind = self.ports.behind(key).peekable();
            behind.peek()?;
            for port in behind {
                let text = match &port.state {
                    PortState::Open if self.runs(port.worker) => return None,
                    PortState::Open | PortState::Waiting => "its worker does not run",
                    PortState::Failed { reason, .. } => reason,
                };
                trouble.get_or_insert_with(|| format!("input: {text}"));
            }
        }
        trouble
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
