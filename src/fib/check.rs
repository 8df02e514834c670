//! A table that comes from another process is checked before a worker sees it: everything that
//! [`Fib::lookup`] and a worker index by lies within its array.

use super::{Action, Entry, Fib, Target};
use std::net::IpAddr;

/// Counter slots of a kind at most; memory is taken for all of them.
const MAX_SLOTS: u32 = 4_000_000;

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the forwarding table does not hold together: {0}")]
pub struct FibError(&'static str);

fn holds(condition: bool, what: &'static str) -> Result<(), FibError> {
    if condition { Ok(()) } else { Err(FibError(what)) }
}

impl Fib {
    /// The table, where all its parts fit each other.
    pub fn check(self) -> Result<Self, FibError> {
        let tables = &self.tables;
        holds(self.rule_slots <= MAX_SLOTS, "too many rule slots")?;
        holds(self.output_slots <= MAX_SLOTS, "too many output slots")?;
        holds(tables.lengths.are_sound(), "a prefix length that no address has")?;
        for (&(_, _, net), &at) in &tables.destinations {
            holds((at as usize) < tables.prefixes.len(), "a destination without its prefix")?;
            holds(net == net.trunc(), "a destination with host bits")?;
        }
        for prefix in &tables.prefixes {
            let others = prefix.others as usize;
            holds(others < tables.classes.len(), "a prefix without its sources")?;
            holds(prefix.source_lengths.are_sound(), "a prefix length that no address has")?;
        }
        for (&(_, net), &class) in &tables.sources {
            holds((class as usize) < tables.classes.len(), "a source without its class")?;
            holds(net == net.trunc(), "a source with host bits")?;
        }
        let entries = tables.entries.len();
        for class in &tables.classes {
            let mut next = 0u32;
            for &(first, last, entry) in &class.ports {
                holds((entry as usize) < entries, "ports without their entry")?;
                holds(next <= u32::from(first) && first <= last, "ports that overlap")?;
                next = u32::from(last) + 1;
            }
            let other = class.other.is_none_or(|entry| (entry as usize) < entries);
            holds(other, "protocols without their entry")?;
        }
        let limits = self.limits.iter().all(|(slot, _)| slot.0 < self.output_slots);
        holds(limits, "a limit beyond the counters")?;
        for entry in &tables.entries {
            self.check_entry(entry)?;
        }
        Ok(self)
    }

    fn check_entry(&self, entry: &Entry) -> Result<(), FibError> {
        let rules = entry.rules.iter().all(|slot| slot.0 < self.rule_slots);
        holds(rules, "a rule beyond the counters")?;
        for copy in &entry.copies {
            holds(copy.slot.0 < self.output_slots, "an output beyond the counters")?;
            let Action::Send(send) = copy.action else { continue };
            if let Target::Map { base, host_bits } = send.target {
                let bits = if matches!(base, IpAddr::V4(_)) { 32 } else { 128 };
                holds(host_bits <= bits, "more host bits than an address has")?;
            }
        }
        Ok(())
    }
}

/// For the tests of what carries tables: a sound one is changed in one place.
#[cfg(test)]
pub(crate) fn spoil(fib: &mut Fib, how: u8, value: u32) {
    let tables = &mut fib.tables;
    match how % 8 {
        0 => tables.destinations.values_mut().for_each(|at| *at = value),
        1 => tables.sources.values_mut().for_each(|at| *at = value),
        2 => tables.prefixes.iter_mut().for_each(|prefix| prefix.others = value),
        3 => tables
            .classes
            .iter_mut()
            .flat_map(|class| class.ports.iter_mut())
            .for_each(|p| p.2 = value),
        4 => tables.classes.iter_mut().for_each(|class| class.other = Some(value)),
        5 => fib.rule_slots = value,
        6 => fib.output_slots = value,
        _ => tables.lengths = Default::default(),
    }
}
