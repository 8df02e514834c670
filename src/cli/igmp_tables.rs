//! IGMP as tables for people.

use super::columns::{Column, Columns};
use super::text::shown;
use crate::api::v1::{FilterMode, IgmpGroup, IgmpInterface, IgmpStatistics, QuerierState};
use std::collections::BTreeMap;

pub(super) fn groups(groups: &[IgmpGroup]) -> String {
    if groups.is_empty() {
        return "no group has members\n".to_owned();
    }
    let mut table = Columns::new(&[
        Column::text("INTERFACE", 16),
        Column::text("GROUP", 15),
        Column::number("VERSION"),
        Column::text("MODE", 7),
        Column::text("SOURCES", 32),
        Column::text("LAST REPORTER", 15),
        Column::number("TIMER"),
        Column::number("UPTIME"),
    ]);
    for group in groups {
        let sources: Vec<String> = group.sources.iter().map(|of| of.source.to_string()).collect();
        table.row([
            shown(&group.interface),
            group.group.to_string(),
            group.version.to_string(),
            match group.mode {
                FilterMode::Include => "include",
                FilterMode::Exclude => "exclude",
            }
            .to_owned(),
            or_dash(sources.join(" ")),
            or_dash(match (group.last_reporter, group.is_static) {
                (Some(reporter), _) => reporter.to_string(),
                (None, true) => "static".to_owned(),
                (None, false) => String::new(),
            }),
            or_dash(group.timer_seconds.map(|left| format!("{left} s")).unwrap_or_default()),
            format!("{} s", group.uptime_seconds),
        ]);
    }
    table.render()
}

pub(super) fn interfaces(interfaces: &[IgmpInterface]) -> String {
    if interfaces.is_empty() {
        return "IGMP runs on no interface\n".to_owned();
    }
    let mut table = Columns::new(&[
        Column::text("INTERFACE", 16),
        Column::text("SIDE", 6),
        Column::number("VERSION"),
        Column::text("QUERIER", 15),
        Column::text("INTERVAL", 8),
        Column::number("ROBUSTNESS"),
        Column::number("GROUPS"),
    ]);
    for interface in interfaces {
        if let Some(router) = &interface.router {
            let querier = match (router.querier, router.querier_ip) {
                (QuerierState::Local, _) => "we".to_owned(),
                (QuerierState::Other, other) => {
                    other.map(|other| other.to_string()).unwrap_or_default()
                }
                (QuerierState::None, _) => String::new(),
            };
            table.row([
                shown(&interface.interface),
                "router".to_owned(),
                router.version.to_string(),
                or_dash(querier),
                format!("{} s", router.query_interval),
                router.robustness.to_string(),
                router.groups.to_string(),
            ]);
        }
        if let Some(host) = &interface.host {
            table.row([
                shown(&interface.interface),
                "host".to_owned(),
                host.version.to_string(),
                or_dash(host.querier.map(|querier| querier.to_string()).unwrap_or_default()),
                "-".to_owned(),
                host.robustness.to_string(),
                host.groups.to_string(),
            ]);
            if host.over_limit > 0 {
                table.note(format!("{} groups are too many and not reported", host.over_limit));
            }
        }
        if let Some(reason) = &interface.reason {
            table.note(format!("nothing is heard: {}", shown(reason)));
        }
    }
    table.render()
}

pub(super) fn statistics(statistics: &[IgmpStatistics]) -> String {
    if statistics.is_empty() {
        return "IGMP runs on no interface\n".to_owned();
    }
    let mut table = Columns::new(&[
        Column::text("INTERFACE", 16),
        Column::text("RECEIVED", 24),
        Column::text("SENT", 24),
        Column::text("DROPPED", 24),
        Column::number("KERNEL DROPS"),
    ]);
    for of in statistics {
        let list = |counts: &BTreeMap<String, u64>| {
            let lines = counts.iter().map(|(name, count)| format!("{} {count}", shown(name)));
            or_dash(lines.collect::<Vec<_>>().join("\n"))
        };
        table.row([
            shown(&of.interface),
            list(&of.received),
            list(&of.sent),
            list(&of.dropped),
            of.kernel_dropped.to_string(),
        ]);
    }
    table.render()
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
