//! Members that are there because the file says so.

use crate::types::{IgmpSettings, Reception};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// For each group what is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Statics(BTreeMap<Ipv4Addr, Reception>);

impl Statics {
    pub(super) fn of(settings: &IgmpSettings) -> Self {
        let mut statics: BTreeMap<Ipv4Addr, Reception> = BTreeMap::new();
        for join in &settings.static_joins {
            let wanted = match join.source {
                None => Reception::Exclude(BTreeSet::new()),
                Some(source) => Reception::Include(BTreeSet::from([source])),
            };
            let all = match statics.remove(&join.group) {
                Some(before) => either(before, wanted),
                None => wanted,
            };
            statics.insert(join.group, all);
        }
        Self(statics)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.0.keys().copied()
    }

    pub(super) fn has(&self, group: Ipv4Addr) -> bool {
        self.0.contains_key(&group)
    }

    /// What these and those who reported want together.
    pub(super) fn with(&self, group: Ipv4Addr, reported: Option<Reception>) -> Option<Reception> {
        match (self.0.get(&group).cloned(), reported) {
            (Some(ours), Some(reported)) => Some(either(ours, reported)),
            (one, other) => one.or(other),
        }
    }
}

/// What one or the other wants.
fn either(a: Reception, b: Reception) -> Reception {
    use Reception::{Exclude, Include};
    match (a, b) {
        (Include(a), Include(b)) => Include(&a | &b),
        (Exclude(a), Exclude(b)) => Exclude(&a & &b),
        (Include(wanted), Exclude(not)) | (Exclude(not), Include(wanted)) => {
            Exclude(&not - &wanted)
        }
    }
}
