//! IGMP as people see it: groups with members, interfaces, counters.

use super::router::Router;
use super::view::{
    FilterMode, IgmpGroup, IgmpHostSide, IgmpInterface, IgmpRouterSide, IgmpStatistics,
};
use crate::igmp::packet::{Invalid, MessageKind};
use crate::types::{IfIndex, IgmpVersion, Reception, Time};
use std::collections::{BTreeMap, BTreeSet};

impl Router {
    /// Groups that have members, on one interface or on all.
    pub(super) fn igmp_groups(&self, now: Time, interface: Option<&str>) -> Vec<IgmpGroup> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        let groups = shown.flat_map(|(index, name)| {
            let of = self.members.wanted.of_interface(index);
            of.map(move |(group, reception, since)| (index, name.clone(), group, reception, since))
        });
        let view = groups.map(|(index, interface, group, reception, since)| {
            let (mode, sources) = match reception {
                Reception::Include(sources) => (FilterMode::Include, sources),
                Reception::Exclude(sources) => (FilterMode::Exclude, sources),
            };
            IgmpGroup {
                interface,
                index,
                group,
                mode,
                sources: sources.iter().copied().collect(),
                sources_count: sources.len(),
                uptime_seconds: now.since(since).as_secs(),
            }
        });
        view.collect()
    }

    /// Interfaces on which IGMP runs.
    pub(super) fn igmp_interfaces(&self, interface: Option<&str>) -> Vec<IgmpInterface> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        shown
            .map(|(index, interface)| IgmpInterface {
                interface,
                index,
                reason: self.members.trouble(index).map(str::to_owned),
                router: self.router_side(index),
                host: self.upstream.view(index).map(|host| IgmpHostSide {
                    version: number(host.version),
                    querier: host.querier.map(|querier| querier.address),
                    robustness: host.robustness,
                    groups: host.groups,
                    over_limit: host.over_limit,
                }),
            })
            .collect()
    }

    fn router_side(&self, index: IfIndex) -> Option<IgmpRouterSide> {
        let runs = self.members.runs(index)?;
        let settings = &runs.settings;
        Some(IgmpRouterSide {
            address: runs.addresses.first().map(ipnet::Ipv4Net::addr),
            version: number(settings.version),
            querier_mode: settings.querier,
            query_interval: settings.query_interval.as_secs(),
            query_response_interval: settings.query_response_interval.as_secs(),
            robustness: settings.robustness,
            groups: self.members.wanted.joined(index),
            max_groups: settings.max_groups,
        })
    }

    /// What was counted.
    pub(super) fn igmp_statistics(&self, interface: Option<&str>) -> Vec<IgmpStatistics> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        shown
            .map(|(index, interface)| {
                let host = self.upstream.counters(index);
                let kinds = || MessageKind::ALL.iter().copied();
                let count = |of: &dyn Fn(MessageKind) -> u64| {
                    named(kinds().map(|kind| (kind.name(), of(kind))))
                };
                IgmpStatistics {
                    interface,
                    index,
                    kernel_dropped: self.members.drops(index),
                    received: count(&|kind| host.map_or(0, |host| host.received(kind))),
                    sent: count(&|kind| host.map_or(0, |host| host.sent(kind))),
                    dropped: named(Invalid::ALL.iter().map(|reason| {
                        (reason.name(), host.map_or(0, |host| host.invalid(*reason)))
                    })),
                }
            })
            .collect()
    }

    fn igmp_interfaces_named(&self, only: Option<&str>) -> Vec<(IfIndex, String)> {
        let all: BTreeSet<IfIndex> =
            self.members.interfaces().chain(self.upstream.interfaces()).collect();
        let named = all.into_iter().map(|index| (index, self.name_of(index)));
        named.filter(|(_, name)| only.is_none_or(|only| only == name)).collect()
    }
}

const fn number(version: IgmpVersion) -> u8 {
    match version {
        IgmpVersion::V1 => 1,
        IgmpVersion::V2 => 2,
        IgmpVersion::V3 => 3,
    }
}

fn named<'n>(counts: impl Iterator<Item = (&'n str, u64)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}
