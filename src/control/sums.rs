//! What was counted by those that are gone: workers that died or were replaced, ports that are closed. A core
//! that comes later goes on from there.

use super::router::Router;
use crate::fib::counters::{PortCounters, SlotCounters};
use crate::fib::{OutputSlot, RuleSlot};
use serde::{Deserialize, Serialize};

/// Of ports that are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClosedPorts {
    /// How many there were.
    pub ports: u64,
    /// What they counted.
    pub counters: PortCounters,
    /// Frames that the kernel queued or dropped for them.
    pub received: u64,
    /// Of those, frames that it dropped.
    pub dropped: u64,
}

/// Both kinds; none = as it was at the last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedSums {
    /// Of workers, by slot.
    pub slots: Option<SlotCounters>,
    /// Of ports.
    pub ports: Option<ClosedPorts>,
}

/// What workers counted by slot before they went.
#[derive(Clone, Debug, Default)]
pub(super) struct LostSlots {
    pub(super) counters: SlotCounters,
    changed: bool,
}

impl LostSlots {
    pub(super) fn merge(&mut self, other: &SlotCounters) {
        self.changed |= *other != SlotCounters::default();
        self.counters.merge(other);
    }

    /// These slots have new owners.
    pub(super) fn reset(&mut self, rules: &[RuleSlot], outputs: &[OutputSlot]) {
        let (known, sent) = (self.counters.rules.len(), self.counters.outputs.len());
        self.changed |= rules.iter().any(|slot| (slot.0 as usize) < known)
            || outputs.iter().any(|slot| (slot.0 as usize) < sent);
        self.counters.reset(rules, outputs);
    }
}

impl Router {
    /// The sums that have changed since the last call.
    pub fn take_changed_sums(&mut self) -> ChangedSums {
        let slots = std::mem::take(&mut self.lost_slots.changed);
        ChangedSums {
            slots: slots.then(|| self.lost_slots.counters.clone()),
            ports: self.ports.take_changed_sums(),
        }
    }

    /// All sums.
    pub fn sums(&self) -> ChangedSums {
        ChangedSums {
            slots: Some(self.lost_slots.counters.clone()),
            ports: Some(self.ports.closed.clone()),
        }
    }

    /// Goes on from sums that a core before this one had.
    pub fn adopt_sums(&mut self, sums: ChangedSums) {
        self.lost_slots.counters = sums.slots.unwrap_or_default();
        self.ports.closed = sums.ports.unwrap_or_default();
    }
}
