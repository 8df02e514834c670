//! The core: one owner of everything that decides. Sans-I/O: events go in with the time,
//! [`Router::settle`] draws the consequences, outputs come out, and `next_timeout` says when to
//! come back.

mod igmp;
mod inputs;
mod table;
mod workers;

use super::event::{Event, Refusal};
use super::interfaces::Interfaces;
use super::layout::Layout;
use super::members::Members;
use super::notice::Notice;
use super::ports::Ports;
use super::resolve::{PortKey, Resolution};
use super::rules::{Entry, Rules};
use super::said::Said;
use super::sums::LostSlots;
use super::upstream::Upstream;
use crate::fib::{Conflict, Fib, OutputSlot, Packed, RuleSlot};
use crate::types::{
    IfIndex, InputFilter, LinkLayer, Membership, NetEvent, Origin, Rule, Time, Transmit, WorkerPlan,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use workers::Worker;

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
    /// Send this on its link.
    Transmit(Transmit),
    /// Take the IGMP packets of exactly these interfaces' links.
    LinkListeners(BTreeSet<IfIndex>),
    /// Have exactly these groups let in by these interfaces' hardware: no membership of the kernel asks for them.
    HardwareGroups(BTreeSet<(IfIndex, Ipv4Addr)>),
    /// Leave what the kernel has joined on an interface and join it again: its link was lost, and who listened
    /// there may have forgotten us.
    RejoinInterface(IfIndex),
    /// Tell who wants to know.
    Notice(Notice),
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
    /// All of our own, whoever asks for them.
    pub(super) memberships: BTreeSet<Membership>,
    /// Who is a member of what on our links.
    pub(super) members: Members,
    pub(super) upstream: Upstream,
    /// Links whose IGMP packets are asked for.
    listening: BTreeSet<IfIndex>,
    /// One of them may be another interface now.
    listen_anew: bool,
    /// For each output that waits for members how many groups have some.
    pub(super) joined_groups: HashMap<OutputSlot, usize>,
    /// When members' wishes make the next table, and when there was one last.
    compile_at: Option<Time>,
    compiled_at: Time,
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
            members: Members::default(),
            upstream: Upstream::new(u64::from(pid)),
            listening: BTreeSet::new(),
            listen_anew: false,
            joined_groups: HashMap::new(),
            compile_at: None,
            compiled_at: now,
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
        // Counters and acknowledgements change no state of a rule, and packets only by a new table.
        let speaks = match event {
            Event::Programmed { .. }
            | Event::Report(_)
            | Event::LinkPacket { .. }
            | Event::LinkDrops { .. } => false,
            Event::Timeout => {
                let waited_for = [self.ports.next_retry(), self.ask_again_at];
                waited_for.into_iter().flatten().any(|at| at <= now)
            }
            _ => true,
        };
        match event {
            Event::Net(event) => self.net(now, event),
            Event::InterfaceReplaced(index) => self.interface_gone(now, index),
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
            Event::Igmp(config) => self.dirty |= self.members.set_config(config),
            Event::LinkPacket { index, packet } => {
                self.members.handle_packet(now, index, &packet);
                self.upstream.handle_packet(now, index, &packet);
            }
            Event::Listeners { failed } => self.members.set_deaf(now, failed),
            Event::LinkDrops { index, drops } if self.listening.contains(&index) => {
                self.members.add_drops(index, drops);
            }
            Event::LinkDrops { .. } => {}
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
        let members_changed = self.hear_members(now, due);
        if std::mem::take(&mut self.dirty) || members_changed {
            self.recompile(now);
            self.unsaid = true;
        } else if due {
            self.update_ports(now);
        }
        if due && self.ask_again_at.is_some_and(|at| at <= now) {
            self.ask_again_at = None;
            self.outputs.push_back(Output::Memberships(self.upstream.kernel().clone()));
        }
        self.ask_on_regained(now);
        self.transmit();
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
        let igmp = [self.members.next_timeout(), self.upstream.next_timeout(), self.compile_at];
        let all = [self.ports.next_retry(), self.ask_again_at].into_iter().chain(igmp);
        all.flatten().min()
    }

    fn net(&mut self, now: Time, event: NetEvent) {
        let is_route = matches!(event, NetEvent::Route(_) | NetEvent::RouteGone(_));
        self.awaits_network &= !matches!(event, NetEvent::Snapshot(_));
        match &event {
            NetEvent::Link(link) => self.upstream.note_link(link),
            NetEvent::Snapshot(all) => {
                all.links.iter().for_each(|link| self.upstream.note_link(link));
            }
            _ => {}
        }
        let changes = self.interfaces.apply(event);
        for index in changes.gone {
            self.interface_gone(now, index);
        }
        // A host with a full table sees routes change all the time.
        self.dirty |= changes.any && (!is_route || self.rules.any_routed_output());
    }

    /// What the kernel kept for an interface is gone, even if one of the same index is there now.
    fn interface_gone(&mut self, now: Time, index: IfIndex) {
        self.memberships.retain(|membership| membership.index != index);
        self.upstream.interface_gone(now, index);
        self.members.stop(now, index);
        self.listen_anew |= self.listening.contains(&index);
        let steps = self.ports.interface_gone(index);
        self.carry_out(steps);
        self.outputs.push_back(Output::InterfaceGone(index));
        self.dirty = true;
    }

    /// What became of a rule; none where it is disabled, or not looked at yet.
    pub(super) fn resolution(&self, entry: &Entry) -> Option<&Resolution> {
        self.resolutions.get(entry.slot.0 as usize)?.as_ref()
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
