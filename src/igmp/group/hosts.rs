//! The hosts of a group told apart, so that the leave of the last one needs no question (explicit tracking).

use super::Address;
use crate::igmp::packet::RecordKind;
use crate::types::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Hosts of one group that are told apart; where there are more, they are asked as ever.
const MAX_HOSTS: usize = 256;

/// What one host wants.
#[derive(Clone, Debug)]
enum Wish<A> {
    Listed(BTreeSet<A>),
    /// All but some.
    Open,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Hosts<A> {
    by_host: BTreeMap<A, (Wish<A>, Time)>,
    /// There are members that are not told apart: hosts of older versions hide behind each other's reports.
    untold: bool,
}

impl<A> Default for Hosts<A> {
    fn default() -> Self {
        Self { by_host: BTreeMap::new(), untold: false }
    }
}

impl<A: Address> Hosts<A> {
    /// There are members that cannot be told apart.
    pub(super) fn untold(&mut self) {
        self.untold = true;
        self.by_host.clear();
    }

    pub(super) fn count(&self) -> Option<usize> {
        (!self.untold).then_some(self.by_host.len())
    }

    /// What a record of a host changes; true where it was the last one that wanted anything.
    pub(super) fn record(
        &mut self,
        now: Time,
        host: A,
        kind: RecordKind,
        sources: &BTreeSet<A>,
        lifetime: Duration,
    ) -> bool {
        if self.untold {
            return false;
        }
        let known = self.by_host.remove(&host);
        let was_member = known.is_some();
        let wish = match (kind, known.map(|(wish, _)| wish)) {
            (RecordKind::IsEx | RecordKind::ToEx, _) => Wish::Open,
            (RecordKind::Allow | RecordKind::Block, Some(Wish::Open)) => Wish::Open,
            (RecordKind::Allow, Some(Wish::Listed(before))) => Wish::Listed(&before | sources),
            (RecordKind::Block, Some(Wish::Listed(before))) => Wish::Listed(&before - sources),
            (RecordKind::IsIn | RecordKind::ToIn, _) | (RecordKind::Allow, None) => {
                Wish::Listed(sources.clone())
            }
            // What it wanted before is not known.
            (RecordKind::Block, None) => {
                self.untold();
                return false;
            }
        };
        if !matches!(&wish, Wish::Listed(listed) if listed.is_empty()) {
            self.by_host.insert(host, (wish, now.plus(lifetime)));
            if self.by_host.len() > MAX_HOSTS {
                self.untold();
            }
            return false;
        }
        self.by_host.retain(|_, (_, until)| *until > now);
        was_member && self.by_host.is_empty()
    }
}
