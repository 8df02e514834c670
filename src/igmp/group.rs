//! One group on one link: what its members want, by the tables of RFC 9776 section 6.4, and who is asked
//! whether they still do.

mod asking;
mod hosts;

pub(super) use asking::Ask;

use super::packet::RecordKind;
use crate::types::{IgmpVersion, Time};
use asking::Asking;
use hosts::Hosts;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What an address is to the tables: those of IPv4 now, those of IPv6 may follow (RFC 9777 has the same tables).
pub(super) trait Address: Copy + Ord + std::fmt::Debug {}

impl<A: Copy + Ord + std::fmt::Debug> Address for A {}

/// The intervals that are in force on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    /// Group membership interval.
    pub(super) membership: Duration,
    /// Older host present interval (RFC 9776 section 8.13).
    pub(super) older_host: Duration,
    /// Last member query interval.
    pub(super) last_member: Duration,
    /// Last member query count.
    pub(super) count: u8,
}

impl Intervals {
    /// Last member query time (RFC 9776 section 8.10).
    pub(super) fn last_member_time(&self) -> Duration {
        self.last_member * u32::from(self.count)
    }
}

/// Which traffic a group's state lets through (RFC 9776 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterMode {
    Include,
    Exclude,
}

/// What a record asks us to ask: who still wants the group, and who still wants these sources.
#[derive(Debug, PartialEq, Eq)]
struct Doubts<A> {
    group: bool,
    sources: BTreeSet<A>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Group<A> {
    mode: FilterMode,
    /// The group timer; it means something in EXCLUDE mode only.
    expires: Time,
    /// Each with its source timer; none = it has run out, and the source is excluded.
    sources: BTreeMap<A, Option<Time>>,
    /// Until when hosts of version 1 and of version 2 count as present.
    older: [Time; 2],
    since: Time,
    reporter: A,
    asking: Option<Box<Asking<A>>>,
    hosts: Option<Box<Hosts<A>>>,
}

impl<A: Address> Group<A> {
    /// A group of which nothing is wanted yet. Its hosts are told apart where `track` says so.
    pub(super) fn new(now: Time, reporter: A, track: bool) -> Self {
        Self {
            mode: FilterMode::Include,
            expires: now,
            sources: BTreeMap::new(),
            older: [Time::default(); 2],
            since: now,
            reporter,
            asking: None,
            hosts: track.then(Box::default),
        }
    }

    /// The group's compatibility mode (RFC 9776 section 7.3.2).
    pub(super) fn version(&self, now: Time) -> IgmpVersion {
        match self.older {
            [v1, _] if v1 > now => IgmpVersion::V1,
            [_, v2] if v2 > now => IgmpVersion::V2,
            _ => IgmpVersion::V3,
        }
    }

    /// A host of version 1 or 2 reports.
    pub(super) fn older_report(
        &mut self,
        now: Time,
        version: IgmpVersion,
        reporter: A,
        intervals: &Intervals,
    ) {
        let place = usize::from(version != IgmpVersion::V1);
        self.older[place] = now.plus(intervals.older_host);
        if let Some(hosts) = &mut self.hosts {
            hosts.untold();
        }
        self.reporter = reporter;
        // Who is left has been found: RFC 2236 section 3 asks no further.
        if let Some(asking) = &mut self.asking {
            asking.answered();
        }
        let _ = self.change(now, RecordKind::IsEx, &BTreeSet::new(), intervals);
    }

    /// A host leaves by version 2; what is to be asked now.
    pub(super) fn leave(&mut self, now: Time, asks: bool, intervals: &Intervals) -> Vec<Ask<A>> {
        let nothing = BTreeSet::new();
        self.doubt(now, RecordKind::ToIn, &nothing, asks, intervals)
    }

    /// A record of a version 3 report; what is to be asked now, where it is us who `asks`. True where the group
    /// has no more members.
    pub(super) fn record(
        &mut self,
        now: Time,
        (kind, sources): (RecordKind, &BTreeSet<A>),
        reporter: A,
        asks: bool,
        intervals: &Intervals,
    ) -> (Vec<Ask<A>>, bool) {
        self.reporter = reporter;
        if let Some(hosts) = &mut self.hosts
            && hosts.record(now, reporter, kind, sources, intervals.membership)
            && self.version(now) == IgmpVersion::V3
        {
            return (Vec::new(), true);
        }
        let nothing = BTreeSet::new();
        let sources = match (self.version(now), kind) {
            (IgmpVersion::V1, RecordKind::ToIn | RecordKind::Block)
            | (IgmpVersion::V2, RecordKind::Block) => return (Vec::new(), false),
            (IgmpVersion::V1 | IgmpVersion::V2, RecordKind::ToEx) => &nothing,
            _ => sources,
        };
        (self.doubt(now, kind, sources, asks, intervals), self.is_empty())
    }

    fn doubt(
        &mut self,
        now: Time,
        kind: RecordKind,
        sources: &BTreeSet<A>,
        asks: bool,
        intervals: &Intervals,
    ) -> Vec<Ask<A>> {
        if self.version(now) == IgmpVersion::V1 && kind == RecordKind::ToIn {
            return Vec::new();
        }
        let doubts = self.change(now, kind, sources, intervals);
        if asks { self.ask(now, doubts, intervals) } else { Vec::new() }
    }

    /// The tables: RFC 9776 sections 6.4.1 and 6.4.2. `B` is what the record lists, `X` the sources whose timers
    /// run and `Y` those that are excluded.
    fn change(
        &mut self,
        now: Time,
        kind: RecordKind,
        b: &BTreeSet<A>,
        intervals: &Intervals,
    ) -> Doubts<A> {
        let membership = now.plus(intervals.membership);
        let group_timer = self.expires;
        let running = |of: &Self, source: &A| matches!(of.sources.get(source), Some(Some(_)));
        let mut doubts = Doubts { group: false, sources: BTreeSet::new() };
        match (self.mode, kind) {
            (_, RecordKind::IsIn | RecordKind::Allow) => self.refresh(b, membership),
            (FilterMode::Include, RecordKind::ToIn) => {
                doubts.sources = self.sources.keys().filter(|a| !b.contains(a)).copied().collect();
                self.refresh(b, membership);
            }
            (FilterMode::Include, RecordKind::Block) => {
                doubts.sources = b.iter().filter(|b| running(self, b)).copied().collect();
            }
            (FilterMode::Include, RecordKind::IsEx | RecordKind::ToEx) => {
                if kind == RecordKind::ToEx {
                    doubts.sources = b.iter().filter(|b| running(self, b)).copied().collect();
                }
                let kept = |source: &A| (*source, self.sources.get(source).copied().flatten());
                self.sources = b.iter().map(kept).collect();
                self.mode = FilterMode::Exclude;
                self.expires = membership;
            }
            (FilterMode::Exclude, RecordKind::ToIn) => {
                let x = self.sources.keys().filter(|source| running(self, source));
                doubts.sources = x.filter(|x| !b.contains(x)).copied().collect();
                doubts.group = true;
                self.refresh(b, membership);
            }
            (FilterMode::Exclude, RecordKind::Block) => {
                for source in b {
                    self.sources.entry(*source).or_insert(Some(group_timer));
                }
                doubts.sources = b.iter().filter(|b| running(self, b)).copied().collect();
            }
            (FilterMode::Exclude, RecordKind::IsEx | RecordKind::ToEx) => {
                let new = if kind == RecordKind::ToEx { group_timer } else { membership };
                let timer =
                    |source: &A| (*source, self.sources.get(source).copied().unwrap_or(Some(new)));
                self.sources = b.iter().map(timer).collect();
                if kind == RecordKind::ToEx {
                    doubts.sources = b.iter().filter(|b| running(self, b)).copied().collect();
                }
                self.expires = membership;
            }
        }
        doubts
    }

    fn refresh(&mut self, sources: &BTreeSet<A>, until: Time) {
        self.sources.extend(sources.iter().map(|source| (*source, Some(until))));
    }

    /// A query of the querier without the S flag: what is not confirmed goes within `time` (RFC 9776 section
    /// 6.6.1). No sources = the whole group.
    pub(super) fn lower(&mut self, now: Time, sources: &BTreeSet<A>, time: Duration) {
        let end = now.plus(time);
        if sources.is_empty() {
            self.expires = self.expires.min(end);
        }
        for source in sources {
            if let Some(Some(timer)) = self.sources.get_mut(source) {
                *timer = (*timer).min(end);
            }
        }
    }

    /// Timers that have run out take effect (RFC 9776 sections 6.3 and 6.5). Afterwards it may be empty.
    pub(super) fn expire(&mut self, now: Time) {
        let ends = |timer: &Option<Time>| timer.is_some_and(|at| at <= now);
        match self.mode {
            FilterMode::Include => self.sources.retain(|_, timer| !ends(timer)),
            FilterMode::Exclude if self.expires > now => {
                self.sources
                    .values_mut()
                    .filter(|timer| ends(timer))
                    .for_each(|timer| *timer = None);
            }
            FilterMode::Exclude => {
                self.mode = FilterMode::Include;
                self.sources.retain(|_, timer| timer.is_some() && !ends(timer));
            }
        }
    }

    /// When [`Self::expire`] or [`Self::due`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let group = (self.mode == FilterMode::Exclude).then_some(self.expires);
        let sources = self.sources.values().flatten().min().copied();
        let asking = self.asking.as_ref().map(|asking| asking.at());
        [group, sources, asking].into_iter().flatten().min()
    }

    /// True where nobody wants anything.
    pub(super) fn is_empty(&self) -> bool {
        self.mode == FilterMode::Include && self.sources.is_empty()
    }

    /// Which traffic is let through.
    pub(super) fn mode(&self) -> FilterMode {
        self.mode
    }

    /// When the group timer runs out; none in INCLUDE mode.
    pub(super) fn expires(&self) -> Option<Time> {
        (self.mode == FilterMode::Exclude).then_some(self.expires)
    }

    /// Each source with its timer; none = it is excluded.
    pub(super) fn sources(&self) -> impl Iterator<Item = (A, Option<Time>)> {
        self.sources.iter().map(|(source, timer)| (*source, *timer))
    }

    /// The sources that are let through in INCLUDE mode, those that are not in EXCLUDE mode.
    pub(super) fn filter(&self) -> BTreeSet<A> {
        let listed = |timer: &Option<Time>| timer.is_some() == (self.mode == FilterMode::Include);
        let sources = self.sources.iter().filter(|(_, timer)| listed(timer));
        sources.map(|(source, _)| *source).collect()
    }

    /// True where a source is known, whatever its timer.
    pub(super) fn knows(&self, source: &A) -> bool {
        self.sources.contains_key(source)
    }

    /// How many sources are known.
    pub(super) fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Since when there are members.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Who reported last.
    pub(super) fn reporter(&self) -> A {
        self.reporter
    }

    /// How many hosts are told apart; none = they are not.
    pub(super) fn host_count(&self) -> Option<usize> {
        self.hosts.as_ref().and_then(|hosts| hosts.count())
    }
}
