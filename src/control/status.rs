//! The core seen from outside.

use super::event::{Refusal, Reply, Request};
use super::ports::PortState;
use super::resolve::{PortKey, Resolution, ResolvedOutput};
use super::router::Router;
use super::rules::Entry;
use super::view::{
    ClosedPorts, Drops, InterfaceStatus, OutputStatus, Pong, PortKind, PortStatus, RuleStatus,
    State, Stats, Traffic, WorkerStatus,
};
use crate::fib::counters::{DropCounts, SlotCounters};
use crate::fib::{Conflict, OutputSlot, RuleSlot};
use crate::types::{IfIndex, Rule, Time};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

impl Router {
    /// Answers a question. `AddRule`, `RemoveRule` and `ReplaceRules` are changes and go through
    /// `handle`; what is logged is not known here.
    pub fn answer(&self, now: Time, request: &Request) -> Result<Reply, Refusal> {
        Ok(match request {
            Request::Ping => Reply::Pong(self.pong(now)),
            Request::AddRule(rule) => Reply::Rule(Box::new(self.rule_status(rule.id.as_str())?)),
            Request::RemoveRule(selector) => Reply::Rule(Box::new(self.rule_status(selector)?)),
            Request::Rules => Reply::Rules(self.rule_statuses()),
            Request::Stats => Reply::Stats(Box::new(self.stats(now))),
            Request::Workers => Reply::Workers(self.worker_statuses()),
            Request::Interfaces => Reply::Interfaces(self.interface_statuses()),
            Request::Mroute => Reply::Mroute(self.mroute()),
            Request::IgmpGroups(on) => Reply::IgmpGroups(self.igmp_groups(now, on.as_deref())),
            Request::IgmpInterfaces(on) => {
                Reply::IgmpInterfaces(self.igmp_interfaces(now, on.as_deref()))
            }
            Request::IgmpStats(on) => Reply::IgmpStats(self.igmp_statistics(on.as_deref())),
            Request::RuleSet(origin) => Reply::RuleSet(self.rules_of(*origin)),
            Request::DryRun(change) => Reply::Changes(self.dry_run(now, change)?),
            // What these ask is not the core's.
            Request::ReplaceRules(_)
            | Request::LogLevel
            | Request::SetLogLevel { .. }
            | Request::Upgrade
            | Request::UpgradeDataPlane => {
                return Err(Refusal::Unavailable("the core does not know".to_owned()));
            }
        })
    }

    fn pong(&self, now: Time) -> Pong {
        Pong {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: self.pid,
            uptime_seconds: now.since(self.started).as_secs(),
            generation: self.fib.generation(),
            rules: self.rules.len(),
            state_file: None,
        }
    }

    /// One rule by id or name.
    pub fn rule_status(&self, selector: &str) -> Result<RuleStatus, Refusal> {
        let entry = self.rules.find(selector)?;
        Ok(self.status_of(entry, &self.slot_counters(), &self.slot_owners()))
    }

    /// The status of exactly this rule, if it is there.
    pub fn has(&self, rule: &Rule) -> Option<RuleStatus> {
        let status = self.rule_status(rule.id.as_str()).ok()?;
        (*status.rule == *rule).then_some(status)
    }

    pub(super) fn rule_statuses(&self) -> Vec<RuleStatus> {
        let (counters, owners) = (self.slot_counters(), self.slot_owners());
        let mut entries: Vec<&Entry> = self.rules.iter().collect();
        entries.sort_by_key(|entry| (entry.rule.origin, entry.serial));
        entries.into_iter().map(|entry| self.status_of(entry, &counters, &owners)).collect()
    }

    /// The sums of all workers, dead ones included.
    fn slot_counters(&self) -> SlotCounters {
        let mut sum = self.lost_slots.counters.clone();
        for worker in &self.workers {
            sum.merge(&worker.slots);
        }
        sum
    }

    pub(super) fn slot_owners(&self) -> HashMap<RuleSlot, &Rule> {
        self.rules.iter().map(|entry| (entry.slot, &*entry.rule)).collect()
    }

    pub(super) fn status_of(
        &self,
        entry: &Entry,
        counters: &SlotCounters,
        owners: &HashMap<RuleSlot, &Rule>,
    ) -> RuleStatus {
        let resolution = self.resolution(entry);
        let outputs: Vec<OutputStatus> = (0..entry.outputs.len())
            .map(|at| self.output_status(entry, at, resolution, counters, owners))
            .collect();
        let reason = resolution.and_then(|resolution| {
            let input = resolution.input_trouble().or_else(|| self.port_trouble(resolution));
            input.or_else(|| outputs_trouble(&outputs))
        });
        let note = resolution.and_then(Resolution::input_note);
        let state = match (entry.rule.enabled, &reason) {
            (false, _) => State::Disabled,
            (true, Some(_)) => State::Pending,
            (true, None) => State::Active,
        };
        let matched = counters.rules.get(entry.slot.0 as usize).copied().unwrap_or_default();
        RuleStatus {
            rule: Arc::clone(&entry.rule),
            state,
            reason: reason.or(note),
            matched: Traffic { datagrams: matched.datagrams, bytes: matched.bytes },
            outputs,
        }
    }

    fn output_status(
        &self,
        entry: &Entry,
        at: usize,
        resolution: Option<&Resolution>,
        counters: &SlotCounters,
        owners: &HashMap<RuleSlot, &Rule>,
    ) -> OutputStatus {
        let slot = entry.outputs[at];
        let resolved = resolution.and_then(|resolution| resolution.outputs.get(at));
        let (lost, partly) = self.contradiction(slot, owners);
        let reason = resolved
            .and_then(|output| output.standing.reason().map(str::to_owned))
            .or_else(|| self.circle(slot, owners))
            .or(lost);
        let note = resolved
            .and_then(|output| output.standing.note().map(str::to_owned))
            .or_else(|| self.deaf(slot, resolved?))
            .or(partly);
        let counted = counters.outputs.get(slot.0 as usize).cloned().unwrap_or_default();
        OutputStatus {
            state: match (entry.rule.enabled, &reason) {
                (false, _) => State::Disabled,
                (true, Some(_)) => State::Pending,
                (true, None) => State::Active,
            },
            reason: reason.or(note),
            interfaces: resolved.map(|output| output.interfaces.to_vec()).unwrap_or_default(),
            wanted: counted.wanted,
            sent: Traffic { datagrams: counted.sent, bytes: counted.bytes },
            drops: drops(&counted.drops),
            joined_groups: self.joined_groups.get(&slot).copied(),
        }
    }

    /// Where an output waits for members, the interface on which they cannot be heard.
    fn deaf(&self, slot: OutputSlot, output: &ResolvedOutput) -> Option<String> {
        self.joined_groups.get(&slot)?;
        let mut troubles = output.interfaces.iter().filter_map(|index| {
            let reason = self.members.trouble(*index)?;
            Some(format!("members on {} are not heard: {reason}", self.name_of(*index)))
        });
        troubles.next()
    }

    /// Who takes precedence over an output: for all of its packets, or for some.
    fn contradiction(
        &self,
        slot: OutputSlot,
        owners: &HashMap<RuleSlot, &Rule>,
    ) -> (Option<String>, Option<String>) {
        let first = Conflict { loser: slot, winner: RuleSlot(0), partial: false };
        let conflict = self.conflicts.range(first..).next().filter(|c| c.loser == slot);
        let Some((conflict, winner)) =
            conflict.and_then(|conflict| Some((conflict, owners.get(&conflict.winner)?)))
        else {
            return (None, None);
        };
        let text = format!(
            "{} sends the same copy rewritten differently and takes precedence",
            winner.display_name()
        );
        match conflict.partial {
            false => (Some(text), None),
            true => (None, Some(format!("for some packets {text}"))),
        }
    }

    /// The rule that an output would feed, and that leads back to it.
    fn circle(&self, slot: OutputSlot, owners: &HashMap<RuleSlot, &Rule>) -> Option<String> {
        let fed = owners.get(self.loops.get(&slot)?)?.display_name();
        Some(format!("would loop: it feeds {fed}, which leads back here"))
    }

    fn stats(&self, now: Time) -> Stats {
        let closed = &self.ports.closed;
        let counters = &closed.counters;
        Stats {
            at: now,
            ports: self.port_statuses(),
            closed_ports: ClosedPorts {
                ports: closed.ports,
                kernel_received: closed.received,
                kernel_dropped: closed.dropped,
                frames: counters.frames,
                whole: counters.whole,
                joined: counters.joined,
                datagrams: counters.datagrams,
                matched: counters.matched,
                drops: drops(&counters.drops),
            },
            rules: self.rule_statuses(),
            workers: self.worker_statuses(),
            ledger: self.ledger(),
        }
    }

    fn port_statuses(&self) -> Vec<PortStatus> {
        let open = self.ports.iter().filter(|port| port.state == PortState::Open);
        open.map(|port| {
            let (kind, shard, local) = match port.key {
                PortKey::Packet(_, shard) => (PortKind::Packet, shard, None),
                PortKey::Udp(_, address, port) => {
                    (PortKind::Udp, 0, Some(format!("{address}:{port}")))
                }
            };
            PortStatus {
                port: port.id,
                kind,
                index: port.key.iif(),
                interface: self.name_of(port.key.iif()),
                shard,
                local,
                worker: port.worker,
                kernel_received: port.kernel_counters().0,
                kernel_dropped: port.kernel_counters().1,
                frames: port.counters.frames,
                super_frames: port.counters.super_frames,
                partial_checksums: port.counters.partial_checksums,
                whole: port.counters.whole,
                joined: port.counters.joined,
                held: port.counters.held,
                datagrams: port.counters.datagrams,
                matched: port.counters.matched,
                drops: drops(&port.counters.drops),
            }
        })
        .collect()
    }

    fn worker_statuses(&self) -> Vec<WorkerStatus> {
        (0u32..)
            .zip(&self.workers)
            .map(|(number, worker)| WorkerStatus {
                worker: number,
                tier: worker.tier.clone(),
                tier_reason: worker.reason.clone(),
                cpu: self.layout.core_of(number),
                notes: worker.notes.clone(),
                running: worker.running,
                generation: worker.generation,
                ports: u32::try_from(
                    self.ports
                        .iter()
                        .filter(|port| port.worker == number && port.state == PortState::Open)
                        .count(),
                )
                .unwrap_or(u32::MAX),
                turns: worker.counters.turns,
                frames: worker.counters.frames,
                sends: worker.counters.sends,
                egress_sockets: worker.counters.egress_sockets,
                egress_evictions: worker.counters.egress_evictions,
                buffers_exhausted: worker.counters.buffers_exhausted,
                stale_completions: worker.counters.stale_completions,
                restarts: worker.restarts,
            })
            .collect()
    }

    fn interface_statuses(&self) -> Vec<InterfaceStatus> {
        let mut input_of: HashMap<IfIndex, Vec<String>> = HashMap::new();
        let mut output_of: HashMap<IfIndex, Vec<String>> = HashMap::new();
        for entry in self.rules.iter() {
            let Some(resolution) = self.resolution(entry) else { continue };
            let name = entry.rule.display_name();
            let iifs: BTreeSet<IfIndex> = resolution.ports.iter().map(PortKey::iif).collect();
            for iif in iifs {
                input_of.entry(iif).or_default().push(name.clone());
            }
            let oifs: BTreeSet<IfIndex> = resolution
                .outputs
                .iter()
                .flat_map(|output| output.interfaces.iter().copied())
                .collect();
            for oif in oifs {
                output_of.entry(oif).or_default().push(name.clone());
            }
        }
        self.interfaces
            .all()
            .map(|link| InterfaceStatus {
                link: link.clone(),
                addresses: self.interfaces.addresses(link.index).to_vec(),
                shards: self.ports.shards(link.index).unwrap_or(0),
                input_of: input_of.remove(&link.index).unwrap_or_default(),
                output_of: output_of.remove(&link.index).unwrap_or_default(),
            })
            .collect()
    }

    pub(super) fn name_of(&self, index: IfIndex) -> String {
        self.interfaces.name_of(index)
    }
}

fn drops(counts: &DropCounts) -> Drops {
    counts.iter().collect()
}

/// Why a rule forwards nothing though its input works: no output can send.
fn outputs_trouble(outputs: &[OutputStatus]) -> Option<String> {
    if outputs.iter().any(|output| output.state != State::Pending) {
        return None;
    }
    let first = outputs.first()?.reason.as_deref().unwrap_or_default();
    let which = if outputs.len() == 1 { "output" } else { "every output; the first" };
    Some(format!("{which}: {first}"))
}
