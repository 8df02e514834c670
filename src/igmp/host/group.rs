//! One group that we are a member of or have just left: what is still to be said about it (RFC 9776 section 5).

use crate::igmp::packet::RecordKind;
use crate::types::Reception;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Sources of a group that are reported one by one; beyond, all sources are asked for: too much is received
/// rather than too little.
pub(super) const MAX_SOURCES: usize = 4096;

/// Sources that queries may ask about before the answer is about the whole group (RFC 9776 section 9.1).
pub(super) const MAX_ASKED: usize = 1024;

/// What one record of a report is to say.
pub(super) type Statement = (RecordKind, Vec<Ipv4Addr>);

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// From which sources; include of none = left, and here only until that was said often enough.
    wanted: Reception,
    /// How many reports are still to tell the filter mode.
    mode_reports: u8,
    /// How many reports are still to tell about a source.
    source_reports: BTreeMap<Ipv4Addr, u8>,
    /// The sources that a query asked about whose answer is due; empty = the whole group.
    asked: BTreeSet<Ipv4Addr>,
    /// Versions 1 and 2: how often the first report is still to be repeated.
    pub(super) repeats: u8,
    /// Version 2: no other host has reported since we did (RFC 2236 section 3, the "last host" flag).
    pub(super) last_reporter: bool,
}

impl Group {
    /// A group of which nothing is wanted yet.
    pub(super) fn new() -> Self {
        Self {
            wanted: Reception::Include(BTreeSet::new()),
            mode_reports: 0,
            source_reports: BTreeMap::new(),
            asked: BTreeSet::new(),
            repeats: 0,
            last_reporter: true,
        }
    }

    pub(super) fn wanted(&self) -> &Reception {
        &self.wanted
    }

    /// False where we have left it.
    pub(super) fn is_member(&self) -> bool {
        is_wanted(&self.wanted)
    }

    /// Takes what is wanted now, without anything to be said about it.
    pub(super) fn replace(&mut self, wanted: Reception) {
        self.wanted = wanted;
    }

    /// Takes what is wanted now; the difference is to be told `robustness` times (section 5.1).
    pub(super) fn change(&mut self, wanted: Reception, robustness: u8) {
        match (&self.wanted, &wanted) {
            (Reception::Include(old), Reception::Include(new))
            | (Reception::Exclude(old), Reception::Exclude(new)) => {
                for source in old.symmetric_difference(new) {
                    self.source_reports.insert(*source, robustness);
                }
            }
            _ => {
                self.mode_reports = robustness;
                // The record of the mode carries all sources, and is told as often.
                self.source_reports.clear();
            }
        }
        self.wanted = wanted;
    }

    /// All of what is wanted is to be told again, as if it were new.
    pub(super) fn announce(&mut self, robustness: u8) {
        match &self.wanted {
            // A change of the mode that is pending stays one: who missed it knows the group in the other mode.
            Reception::Include(sources) if self.mode_reports == 0 => {
                self.source_reports.extend(sources.iter().map(|source| (*source, robustness)));
            }
            Reception::Include(_) | Reception::Exclude(_) => {
                self.mode_reports = robustness;
                self.source_reports.clear();
            }
        }
    }

    /// True while a change is to be told.
    pub(super) fn has_changes(&self) -> bool {
        self.mode_reports > 0 || !self.source_reports.is_empty()
    }

    /// What the next report is to say about changes, which is one time less to be said then (section 5.1).
    pub(super) fn state_change(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.mode_reports > 0 {
            self.mode_reports -= 1;
            statements.push(match &self.wanted {
                Reception::Include(sources) => {
                    (RecordKind::ToIn, sources.iter().copied().collect())
                }
                Reception::Exclude(sources) => {
                    (RecordKind::ToEx, sources.iter().copied().collect())
                }
            });
        } else {
            let (allowed, blocked): (Vec<_>, Vec<_>) =
                self.source_reports.keys().partition(|source| self.wanted.wants(**source));
            for (kind, sources) in [(RecordKind::Allow, allowed), (RecordKind::Block, blocked)] {
                if !sources.is_empty() {
                    statements.push((kind, sources));
                }
            }
        }
        // A record of the mode tells about every source too, so it counts for them.
        self.source_reports.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        statements
    }

    /// What there is, in answer to a query; the sources that were asked about are done with.
    pub(super) fn current_state(&mut self) -> Option<Statement> {
        self.asked.clear();
        match &self.wanted {
            Reception::Include(sources) if sources.is_empty() => None,
            Reception::Include(sources) => {
                Some((RecordKind::IsIn, sources.iter().copied().collect()))
            }
            Reception::Exclude(sources) => {
                Some((RecordKind::IsEx, sources.iter().copied().collect()))
            }
        }
    }

    /// A query asked about these sources, none = the whole group; `pending` = an answer to an earlier one is due
    /// (section 5.2 rules 3 to 5).
    pub(super) fn ask(&mut self, sources: impl Iterator<Item = Ipv4Addr>, pending: bool) {
        if pending && self.asked.is_empty() {
            return;
        }
        let mut any = false;
        for source in sources {
            any = true;
            self.asked.insert(source);
            if self.asked.len() > MAX_ASKED {
                self.asked.clear();
                return;
            }
        }
        if !any {
            self.asked.clear();
        }
    }

    /// What a specific query is answered with, if anything (section 5.2).
    pub(super) fn answer(&mut self) -> Option<Statement> {
        if self.asked.is_empty() {
            return self.current_state();
        }
        let mut asked = std::mem::take(&mut self.asked);
        asked.retain(|source| self.wanted.wants(*source));
        (!asked.is_empty()).then(|| (RecordKind::IsIn, asked.into_iter().collect()))
    }

    /// Nothing more is to be said or answered: another version is spoken from now on (section 7.2.1).
    pub(super) fn forget_pending(&mut self) {
        self.mode_reports = 0;
        self.source_reports.clear();
        self.asked.clear();
        self.repeats = 0;
    }
}

/// True where anything is wanted.
pub(super) fn is_wanted(reception: &Reception) -> bool {
    *reception != Reception::Include(BTreeSet::new())
}

/// What is asked for where this is wanted.
pub(super) fn within_limits(reception: &Reception) -> Reception {
    match reception {
        Reception::Include(sources) | Reception::Exclude(sources)
            if sources.len() > MAX_SOURCES =>
        {
            Reception::Exclude(BTreeSet::new())
        }
        reception => reception.clone(),
    }
}
