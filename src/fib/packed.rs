//! A table as it is kept by who does not look packets up in it.

use super::{Fib, Limit, OutputSlot, Tables};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A table in a quarter of the memory: as bytes, out of which it can be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    generation: u64,
    /// In postcard's encoding; sorted, so that equal tables are equal bytes.
    tables: Box<[u8]>,
    rule_slots: u32,
    output_slots: u32,
    limits: Box<[(OutputSlot, Limit)]>,
}

impl Packed {
    /// Which table this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The table.
    pub fn unpack(&self) -> Fib {
        Fib {
            generation: self.generation,
            // These bytes were written here; those of `default` are the empty table's.
            tables: postcard::from_bytes(&self.tables).unwrap_or_default(),
            rule_slots: self.rule_slots,
            output_slots: self.output_slots,
            limits: self.limits.to_vec(),
        }
    }

    /// True where both tables treat every packet the same and count it in the same places.
    pub fn forwards_like(&self, other: &Self) -> bool {
        self.tables == other.tables
    }
}

impl From<&Fib> for Packed {
    fn from(fib: &Fib) -> Self {
        let Fib { generation, tables, rule_slots, output_slots, limits } = fib;
        Self {
            generation: *generation,
            tables: bytes(tables),
            rule_slots: *rule_slots,
            output_slots: *output_slots,
            limits: limits.as_slice().into(),
        }
    }
}

/// The empty table is no bytes, as it is in [`Packed::default`].
fn bytes(tables: &Tables) -> Box<[u8]> {
    if *tables == Tables::default() {
        return Box::default();
    }
    // Fails only where there is no room or the length of a list is not known.
    postcard::to_stdvec(tables).unwrap_or_default().into()
}

pub(super) fn sorted_map<K: Ord + Serialize, V: Serialize, H, S: Serializer>(
    map: &HashMap<K, V, H>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().collect::<BTreeMap<_, _>>())
}

pub(super) fn sorted_set<K: Ord + Serialize, H, S: Serializer>(
    set: &HashSet<K, H>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(set.iter().collect::<BTreeSet<_>>())
}
