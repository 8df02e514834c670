//! IGMP as people see it: groups with members, interfaces, counters.

use super::router::Router;
use super::view::{
    FilterMode, IgmpGroup, IgmpHostSide, IgmpInterface, IgmpRouterSide, IgmpSource, IgmpStatistics,
    QuerierState,
};
use crate::igmp::GroupView;
use crate::igmp::packet::{Invalid, MessageKind};
use crate::types::{IfIndex, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Router {
    /// Groups that have members, on one interface or on all.
    pub(super) fn igmp_groups(&self, now: Time, interface: Option<&str>) -> Vec<IgmpGroup> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        let groups = shown.flat_map(|(index, name)| {
            let of = self.members.igmp.group_views(now, index);
            of.map(move |group| igmp_group(now, (index, name.clone()), group))
        });
        groups.collect()
    }

    /// Interfaces on which IGMP runs.
    pub(super) fn igmp_interfaces(&self, now: Time, interface: Option<&str>) -> Vec<IgmpInterface> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        shown
            .map(|(index, interface)| IgmpInterface {
                interface,
                index,
                reason: self.members.trouble(index).map(str::to_owned),
                router: self.router_side(now, index),
                host: self.upstream.view(index).map(|host| IgmpHostSide {
                    version: host.version.number(),
                    querier: host.querier.map(|querier| querier.address),
                    robustness: host.robustness,
                    groups: host.groups,
                    over_limit: host.over_limit,
                }),
            })
            .collect()
    }

    fn router_side(&self, now: Time, index: IfIndex) -> Option<IgmpRouterSide> {
        let settings = &self.members.runs(index)?.settings;
        let view = self.members.igmp.view(index)?;
        let (querier, querier_ip) = match (view.is_querier, view.other) {
            (true, _) => (QuerierState::Local, view.address),
            (false, Some((other, ..))) => (QuerierState::Other, Some(other)),
            (false, None) => (QuerierState::None, None),
        };
        let until = |at: Time| at.since(now).as_secs();
        Some(IgmpRouterSide {
            address: view.address,
            version: view.version.number(),
            querier_mode: settings.querier,
            querier,
            querier_ip,
            query_timer: view.next_query.map(until),
            query_other_timer: view.other.map(|(.., at)| until(at)),
            query_interval: view.query_interval.as_secs(),
            query_response_interval: view.query_response_interval.as_secs(),
            robustness: view.robustness,
            group_membership_interval_msec: milliseconds(view.membership_interval),
            older_host_present_interval_msec: milliseconds(view.older_host_present_interval),
            other_querier_present_interval_msec: milliseconds(view.other_querier_present_interval),
            last_member_query_msec: milliseconds(view.last_member_query_time),
            last_member_query_count: view.last_member_query_count,
            groups: view.groups,
            max_groups: settings.max_groups,
        })
    }

    /// What was counted.
    pub(super) fn igmp_statistics(&self, interface: Option<&str>) -> Vec<IgmpStatistics> {
        let shown = self.igmp_interfaces_named(interface).into_iter();
        shown.map(|(index, interface)| self.igmp_counts(index, interface)).collect()
    }

    fn igmp_counts(&self, index: IfIndex, interface: String) -> IgmpStatistics {
        let host = self.upstream.counters(index);
        let router = self.members.igmp.counters(index);
        let count = |kind: MessageKind| {
            // Both sides hear the same packets.
            let of_host = host.map_or(0, |host| host.received(kind));
            router.map_or(of_host, |router| router.received[kind as usize])
        };
        let received = MessageKind::ALL.iter().map(|kind| (kind.name(), count(*kind)));
        let reports = MessageKind::ALL
            .iter()
            .map(|kind| (kind.name(), host.map_or(0, |host| host.sent(*kind))));
        let queries = router.map_or([("", 0); 3], |router| {
            [
                ("general_query", router.general_queries_sent),
                ("group_query", router.group_queries_sent),
                ("group_source_query", router.group_source_queries_sent),
            ]
        });
        let invalid =
            |reason: &Invalid| (reason.name(), host.map_or(0, |host| host.invalid(*reason)));
        let lost = self.members.drops(index);
        let too_long = [("too_long", lost.too_long)];
        let dropped = match router {
            Some(router) => {
                named(router.drops.iter().map(|(name, count)| (*name, *count)).chain(too_long))
            }
            None => named(Invalid::ALL.iter().map(invalid).chain(too_long)),
        };
        IgmpStatistics {
            interface,
            index,
            kernel_dropped: lost.by_kernel,
            total_groups: self.members.igmp.view(index).map_or(0, |view| view.groups),
            peak_groups: router.map_or(0, |router| router.peak_groups),
            received: named(received),
            sent: named(reports.chain(queries)),
            dropped,
            version_mismatches: router.map_or(0, |router| router.version_mismatches),
        }
    }

    fn igmp_interfaces_named(&self, only: Option<&str>) -> Vec<(IfIndex, String)> {
        let all: BTreeSet<IfIndex> =
            self.members.interfaces().chain(self.upstream.interfaces()).collect();
        let named = all.into_iter().map(|index| (index, self.name_of(index)));
        named.filter(|(_, name)| only.is_none_or(|only| only == name)).collect()
    }
}

fn igmp_group(now: Time, (index, interface): (IfIndex, String), group: GroupView) -> IgmpGroup {
    let left = |at: Option<Time>| at.map(|at| at.since(now).as_secs());
    let listed = group.sources.iter().filter(|(_, timer)| !group.excludes || timer.is_none());
    let source =
        |(source, timer): &(_, _)| IgmpSource { source: *source, timer_seconds: left(*timer) };
    let sources: Vec<IgmpSource> = listed.map(source).collect();
    IgmpGroup {
        interface,
        index,
        group: group.group,
        version: group.version.number(),
        mode: if group.excludes { FilterMode::Exclude } else { FilterMode::Include },
        sources_count: sources.len(),
        sources,
        timer_seconds: left(group.expires),
        uptime_seconds: group.since.map_or(0, |since| now.since(since).as_secs()),
        last_reporter: group.last_reporter,
        hosts: group.hosts,
        is_static: group.is_static,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn named<'n>(counts: impl Iterator<Item = (&'n str, u64)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}
