//! What a core takes over from one that went before it, so that what it decided goes on: rules with
//! their slots, open ports, the generation of the table.

use super::ports::{Port, PortState};
use super::resolve::PortKey;
use super::router::Router;
use super::rules::Entry;
use crate::fib::{Builder, OutputSlot, Packed, RuleSlot};
use crate::types::{Few, Rule};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A rule with its places in the counter arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Where it is counted.
    pub slot: RuleSlot,
    /// Where its outputs are counted, in order.
    pub outputs: Few<OutputSlot>,
    /// Order of arrival.
    pub serial: u64,
}

/// A port that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptPort {
    /// Its number.
    pub id: u32,
    /// The worker that reads it.
    pub worker: u32,
    /// What it is.
    pub key: PortKey,
}

/// Slots above this were never given out: whoever says so is not believed.
const MAX_SLOT: u32 = 1 << 26;

impl Router {
    /// Takes over rules, ports, the generation of the table that is in force and the number of workers; for a core that has
    /// seen nothing yet. Until the network is known it asks for nothing. What contradicts itself is
    /// left out: the numbers of the ports that are not taken come back, to be closed.
    pub fn adopt(
        &mut self,
        (generation, workers): (u64, usize),
        rules: Vec<KeptRule>,
        ports: Vec<KeptPort>,
    ) -> Vec<u32> {
        self.fib = Packed::from(&Builder::default().build(generation).fib);
        self.resend = true;
        self.dirty = true;
        self.awaits_network = true;
        let (mut slots, mut outputs) = (BTreeSet::new(), BTreeSet::new());
        for kept in rules {
            let sound = kept.outputs.len() == kept.rule.outputs.len()
                && kept.slot.0 < MAX_SLOT
                && kept.outputs.iter().all(|slot| slot.0 < MAX_SLOT && !outputs.contains(slot))
                && slots.insert(kept.slot);
            if sound {
                outputs.extend(kept.outputs.iter().copied());
                let KeptRule { rule, slot, outputs, serial } = kept;
                self.rules.adopt(Entry { rule, slot, outputs, serial });
            }
        }
        self.rules.close_gaps();
        if workers != self.workers.len() {
            self.resize_from(workers);
        }
        let mut refused = Vec::new();
        for port in ports {
            let bound = self.layout.core_of(port.worker).is_some();
            let known = (port.worker as usize) < self.workers.len();
            if !known || !self.ports.adopt(port, bound) {
                refused.push(port.id);
            }
        }
        refused
    }

    /// The rules that have come, gone or changed since the last call; none = gone.
    pub fn take_changed_rules(&mut self) -> Vec<(crate::types::RuleId, Option<KeptRule>)> {
        self.rules.take_changed()
    }

    /// All rules with their slots.
    pub fn kept_rules(&self) -> Vec<KeptRule> {
        self.rules.iter().map(Entry::kept).collect()
    }
}

impl super::ports::Ports {
    /// Takes over an open port; false where there is one already.
    fn adopt(&mut self, KeptPort { id, worker, key }: KeptPort, bound: bool) -> bool {
        self.next = self.next.max(id.saturating_add(1));
        if self.by_key.contains_key(&key) || self.by_id(id).is_some() {
            return false;
        }
        // Whatever it lets through now, it is told what it shall.
        let mut port = Port::open(id, worker, key, PortState::Open);
        port.unsure = true;
        port.bound = bound;
        self.take_over(port);
        true
    }
}
