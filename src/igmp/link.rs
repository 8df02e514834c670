//! IGMP on one link: messages in, groups and the querier's state, queries out.

mod receive;
mod statics;

use super::group::{Ask, FilterMode, Group, Intervals};
use super::packet::{QueryToSend, encode_query, most_sources};
use super::querier::Querier;
use super::view::{Counters, GroupView, IgmpNotice, Ignored, LinkView};
use super::{Interface, Outbox};
use crate::timers::Timers;
use crate::types::{IfIndex, IgmpVersion, QuerierMode, Reception, Time};
use statics::Statics;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The same is told once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Our next general query.
    General,
    /// The other querier present timer.
    OtherQuerier,
    /// Something of a group.
    Group(Ipv4Addr),
}

/// What is told once in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Version,
    Limit(Ignored),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Link {
    index: IfIndex,
    interface: Interface,
    querier: Querier,
    groups: BTreeMap<Ipv4Addr, Group<Ipv4Addr>>,
    statics: Statics,
    timers: Timers<Timer>,
    counters: Counters,
    told: BTreeMap<Told, Time>,
}

impl Link {
    /// Begins at once: members that were there before us are to be found.
    pub(super) fn new(now: Time, index: IfIndex, interface: Interface, out: &mut Outbox) -> Self {
        let mut link = Self {
            index,
            querier: Querier::new(&interface.settings),
            statics: Statics::of(&interface.settings),
            interface,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            counters: Counters::default(),
            told: BTreeMap::new(),
        };
        out.changes.extend(link.statics.groups().map(|group| (index, group)));
        link.ask_all(now, out);
        link
    }

    /// Goes on as another interface or with other settings. Groups stay that are still allowed.
    pub(super) fn reconfigure(&mut self, now: Time, interface: Interface, out: &mut Outbox) {
        if interface == self.interface {
            return;
        }
        let before: Vec<_> = self.all_groups();
        let receptions: Vec<_> = before.iter().map(|group| self.reception(*group)).collect();
        let other_address = interface.addresses.first() != self.interface.addresses.first();
        let other_settings = interface.settings != self.interface.settings;
        self.interface = interface;
        let settings = &self.interface.settings;
        self.statics = Statics::of(settings);
        self.groups.retain(|group, _| receive::allowed(settings, *group).is_ok());
        let groups = &self.groups;
        let gone = before.iter().filter(|group| !groups.contains_key(group));
        for group in gone {
            self.timers.cancel(Timer::Group(*group));
        }
        for (group, reception) in before.iter().zip(receptions) {
            if self.reception(*group) != reception {
                out.changes.insert((self.index, *group));
            }
        }
        out.changes.extend(self.statics.groups().map(|group| (self.index, group)));
        if other_address || other_settings {
            // Who is it with these addresses is found anew, by our queries.
            self.querier = Querier::new(&self.interface.settings);
            self.timers.cancel(Timer::OtherQuerier);
            self.ask_all(now, out);
        }
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Time, out: &mut Outbox) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::General => self.ask_all(now, out),
                Timer::OtherQuerier => {
                    self.querier.forget_other();
                    if self.querier.is_us(&self.interface.settings) {
                        out.tell(IgmpNotice::Querier { index: self.index, querier: None });
                    }
                    self.ask_all(now, out);
                }
                Timer::Group(address) => self.group_due(now, address, out),
            }
        }
    }

    fn group_due(&mut self, now: Time, address: Ipv4Addr, out: &mut Outbox) {
        let intervals = self.intervals();
        let before = self.reception(address);
        let Some(group) = self.groups.get_mut(&address) else { return };
        group.expire(now);
        let asks = group.due(now, &intervals);
        self.after(now, address, before, out);
        self.send(address, &asks, out);
    }

    /// What follows when a group may have changed.
    fn after(&mut self, now: Time, address: Ipv4Addr, before: Option<Reception>, out: &mut Outbox) {
        if self.groups.get(&address).is_some_and(Group::is_empty) {
            self.groups.remove(&address);
        }
        match self.groups.get(&address).and_then(Group::next_timeout) {
            // Never the moment that was just looked at.
            Some(at) => {
                self.timers.set(Timer::Group(address), at.max(now.plus(Duration::from_nanos(1))))
            }
            None => _ = self.timers.cancel(Timer::Group(address)),
        }
        if self.reception(address) != before {
            out.changes.insert((self.index, address));
        }
    }

    /// Sends a general query where it is us who ask, and says when the next one is due.
    fn ask_all(&mut self, now: Time, out: &mut Outbox) {
        let settings = &self.interface.settings;
        if !self.querier.is_us(settings) {
            self.timers.cancel(Timer::General);
            return;
        }
        let packet =
            encode_query(self.source(), &self.query(None, settings.query_response_interval));
        if out.send(self.index, packet) {
            self.counters.general_queries_sent += 1;
        }
        let next = self.querier.asked(settings);
        // Settings are checked elsewhere; whatever they say, this does not go round without a pause.
        self.timers.set(Timer::General, now.plus(next.max(Duration::from_millis(100))));
    }

    /// Sends queries about a group.
    fn send(&mut self, group: Ipv4Addr, asks: &[Ask<Ipv4Addr>], out: &mut Outbox) {
        let settings = &self.interface.settings;
        // Version 1 has no such queries.
        if settings.version == IgmpVersion::V1 {
            return;
        }
        let base = self.query(Some(group), settings.last_member_query_interval);
        let most = most_sources(self.interface.mtu).max(1);
        let (mut of_groups, mut of_sources) = (0, 0);
        for ask in asks {
            match ask {
                Ask::Group { suppress } => {
                    let query = QueryToSend { suppress: *suppress, ..base };
                    of_groups +=
                        u64::from(out.send(self.index, encode_query(self.source(), &query)));
                }
                Ask::Sources { suppress, sources } => {
                    for sources in sources.chunks(most) {
                        let query = QueryToSend { suppress: *suppress, sources, ..base };
                        let packet = encode_query(self.source(), &query);
                        of_sources += u64::from(out.send(self.index, packet));
                    }
                }
            }
        }
        self.counters.group_queries_sent += of_groups;
        self.counters.group_source_queries_sent += of_sources;
    }

    fn query(&self, group: Option<Ipv4Addr>, max_response: Duration) -> QueryToSend<'static> {
        let settings = &self.interface.settings;
        QueryToSend {
            version: settings.version,
            group,
            max_response,
            suppress: false,
            robustness: settings.robustness,
            interval: settings.query_interval,
            sources: &[],
        }
    }

    /// The address that we ask from.
    fn source(&self) -> Ipv4Addr {
        self.address().unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.interface.addresses.first().map(ipnet::Ipv4Net::addr)
    }

    fn intervals(&self) -> Intervals {
        self.querier.intervals(&self.interface.settings)
    }

    fn tell(&mut self, now: Time, what: Told, notice: IgmpNotice, out: &mut Outbox) {
        let last = self.told.get(&what);
        if last.is_none_or(|last| now.since(*last) >= TOLD_EVERY) {
            self.told.insert(what, now);
            out.tell(notice);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// What members of a group want; none = there is no member.
    pub(super) fn reception(&self, group: Ipv4Addr) -> Option<Reception> {
        let reported = self.groups.get(&group).map(|group| match group.mode() {
            FilterMode::Include => Reception::Include(group.filter()),
            FilterMode::Exclude => Reception::Exclude(group.filter()),
        });
        self.statics.with(group, reported)
    }

    /// The groups with members, in order.
    pub(super) fn all_groups(&self) -> Vec<Ipv4Addr> {
        let mut groups: Vec<_> = self.groups.keys().copied().chain(self.statics.groups()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn view(&self) -> LinkView {
        let settings = &self.interface.settings;
        let intervals = self.intervals();
        let until = self.timers.get(Timer::OtherQuerier).unwrap_or_default();
        let on = settings.querier != QuerierMode::On;
        let other = self.querier.other().filter(|_| on);
        LinkView {
            address: self.address(),
            version: settings.version,
            is_querier: self.querier.is_us(settings),
            other: other.map(|other| (other.address, other.version, until)),
            next_query: self.timers.get(Timer::General),
            robustness: self.querier.robustness(settings),
            query_interval: self.querier.interval(settings),
            query_response_interval: settings.query_response_interval,
            membership_interval: intervals.membership,
            older_host_present_interval: intervals.older_host,
            other_querier_present_interval: self.querier.other_present(settings),
            last_member_query_time: intervals.last_member_time(),
            last_member_query_count: intervals.count,
            groups: self.all_groups().len(),
        }
    }

    pub(super) fn group_view(&self, now: Time, address: Ipv4Addr) -> Option<GroupView> {
        let reception = self.reception(address)?;
        let group = self.groups.get(&address);
        let listed = match &reception {
            Reception::Include(sources) | Reception::Exclude(sources) => sources.clone(),
        };
        let of_static =
            listed.iter().filter(|source| group.is_none_or(|group| !group.knows(source)));
        let of_static = of_static.map(|source| (*source, None));
        let sources = group.into_iter().flat_map(Group::sources).chain(of_static);
        Some(GroupView {
            group: address,
            excludes: matches!(reception, Reception::Exclude(_)),
            version: group.map_or(IgmpVersion::V3, |group| group.version(now)),
            expires: group.and_then(Group::expires),
            since: group.map(Group::since),
            last_reporter: group.map(Group::reporter),
            sources: sources.collect(),
            hosts: group.and_then(Group::host_count),
            is_static: self.statics.has(address),
        })
    }
}
