//! What was told last, and the notices that follow from comparing it with what is.

use super::notice::{InterfaceState, Notice, RuleName};
use super::ports::PortState;
use super::resolve::PortKey;
use super::router::{Output, Router};
use super::view::State;
use crate::fib::counters::SlotCounters;
use crate::types::{IfIndex, Membership, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// In the order of their ids.
    rules: Vec<SaidRule>,
    interfaces: BTreeMap<IfIndex, InterfaceState>,
    /// For each worker: does it run, how, and how often has it died?
    workers: Vec<(bool, String, u64)>,
    ports: BTreeMap<PortKey, String>,
    refused: BTreeMap<Membership, String>,
}

#[derive(Clone, Debug)]
struct SaidRule {
    rule: Arc<Rule>,
    /// A rule with other contents has another one.
    serial: u64,
    state: State,
    reason: Option<Box<str>>,
}

impl SaidRule {
    fn name(&self) -> RuleName {
        let Rule { id, origin, .. } = &*self.rule;
        RuleName { id: id.clone(), rule: self.rule.display_name(), origin: *origin }
    }
}

impl Router {
    /// Says what is different from what was said last.
    pub(super) fn say(&mut self) {
        let mut before = std::mem::take(&mut self.said);
        let mut notices = Vec::new();
        let now = Said {
            interfaces: self.say_interfaces(&mut before, &mut notices),
            workers: self.say_workers(&before, &mut notices),
            ports: self.say_ports(&before, &mut notices),
            refused: self.refused.clone(),
            rules: self.say_rules(&mut before, &mut notices),
        };
        for (membership, reason) in &now.refused {
            if before.refused.get(membership) != Some(reason) {
                let interface = self.name_of(membership.index);
                notices.push(Notice::refused(membership, interface, reason));
            }
        }
        self.said = now;
        self.outputs.extend(notices.into_iter().map(Output::Notice));
    }

    fn say_rules(&self, before: &mut Said, notices: &mut Vec<Notice>) -> Vec<SaidRule> {
        let (no_counters, owners) = (SlotCounters::default(), self.slot_owners());
        let mut now = Vec::with_capacity(self.rules.len());
        let mut before = std::mem::take(&mut before.rules).into_iter().peekable();
        let mut gone = Vec::new();
        // Both in the order of ids.
        for entry in self.rules.iter() {
            let status = self.status_of(entry, &no_counters, &owners);
            let (state, reason) = (status.state, status.reason);
            let said = SaidRule {
                rule: status.rule,
                serial: entry.serial,
                state,
                reason: reason.as_deref().map(Box::from),
            };
            let name = said.name();
            let id = &said.rule.id;
            while let Some(old) = before.next_if(|old| old.rule.id < *id) {
                gone.push(old);
            }
            match before.next_if(|old| old.rule.id == *id) {
                None => notices.push(Notice::RuleAdded { name, state, reason }),
                Some(old) if old.serial != said.serial => {
                    notices.push(Notice::RuleChanged { name, state, reason });
                }
                Some(old) if (old.state, &old.reason) != (state, &said.reason) => {
                    notices.push(Notice::RuleState { name, from: old.state, to: state, reason });
                }
                Some(_) => {}
            }
            now.push(said);
        }
        let gone = gone.into_iter().chain(before);
        notices.extend(gone.map(|old| Notice::RuleRemoved { name: old.name() }));
        now
    }

    fn say_interfaces(
        &self,
        before: &mut Said,
        notices: &mut Vec<Notice>,
    ) -> BTreeMap<IfIndex, InterfaceState> {
        let mut now = BTreeMap::new();
        for link in self.interfaces.all() {
            let state = InterfaceState {
                interface: link.name.to_string(),
                ifindex: link.index,
                up: link.up,
                carrier: link.carrier,
            };
            match before.interfaces.remove(&link.index) {
                None => notices.push(Notice::InterfaceAppeared(state.clone())),
                Some(old) if old != state => notices.push(Notice::InterfaceChanged(state.clone())),
                Some(_) => {}
            }
            now.insert(link.index, state);
        }
        let gone = std::mem::take(&mut before.interfaces);
        notices.extend(gone.into_values().map(Notice::InterfaceGone));
        now
    }

    fn say_workers(&self, before: &Said, notices: &mut Vec<Notice>) -> Vec<(bool, String, u64)> {
        let mut now = Vec::with_capacity(self.workers.len());
        for (number, worker) in (0u32..).zip(&self.workers) {
            let (ran, tier, died) =
                before.workers.get(number as usize).cloned().unwrap_or_default();
            if worker.restarts > died {
                let reason = worker.last_death.clone();
                notices.push(Notice::WorkerDied { worker: number, reason });
            }
            if worker.running && (!ran || worker.restarts > died || tier != worker.tier) {
                notices.push(Notice::WorkerReady {
                    worker: number,
                    tier: worker.tier.clone(),
                    reason: worker.reason.clone(),
                });
            }
            now.push((worker.running, worker.tier.clone(), worker.restarts));
        }
        now
    }

    fn say_ports(&self, before: &Said, notices: &mut Vec<Notice>) -> BTreeMap<PortKey, String> {
        let mut now = BTreeMap::new();
        for port in self.ports.iter() {
            let PortState::Failed { reason, .. } = &port.state else { continue };
            if before.ports.get(&port.key) != Some(reason) {
                notices.push(Notice::PortFailed {
                    interface: self.name_of(port.key.iif()),
                    ifindex: port.key.iif(),
                    reason: reason.clone(),
                });
            }
            now.insert(port.key, reason.clone());
        }
        now
    }
}
