//! IGMP on interfaces.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::{self, HostVersion, IgmpHost, IgmpInterface, Reports};
use super::address::{self, Use};
use super::duration;
use super::interface;
use crate::types::{
    HostMode, IgmpConfig, IgmpSettings, IgmpVersion, InterfaceSelector, MembershipInterval,
    QuerierMode, SourceGroup,
};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Entries of each list.
const MOST_ENTRIES: usize = 256;
/// The longest that QQIC can say, seconds (RFC 9776 section 4.1.7).
const LONGEST_INTERVAL: u32 = 31_744;
/// What Max Resp Code can say (section 4.1.1).
const SHORTEST_RESPONSE: Duration = Duration::from_millis(100);
const LONGEST_RESPONSE: Duration = Duration::from_millis(3_174_400);
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Checks the section. What is wrong was reported, and is left out.
pub(super) fn igmp(spec: &v1::Igmp, findings: &mut Findings) -> IgmpConfig {
    let at = Path::root().key("igmp");
    let mut config = IgmpConfig::default();
    let earlier = earlier_settings(spec, &at, findings);
    for (key, count) in [
        ("interfaces", spec.interfaces.len()),
        ("host", spec.host.len()),
        ("querierInterfaces", spec.querier_interfaces.len()),
    ] {
        if count > MOST_ENTRIES {
            let message = format!("has {count} entries; {MOST_ENTRIES} is the most");
            findings.report(&at.key(key), message);
        }
    }
    for (index, entry) in spec.interfaces.iter().enumerate() {
        let at = at.key("interfaces").index(index);
        let settings = settings(entry, &earlier, &at, findings);
        let selector = selector(entry.name.as_deref(), entry.name_glob.as_deref(), &at, findings);
        let Some(selector) = selector else { continue };
        let first = config.interfaces.iter().position(|(other, _)| *other == selector);
        if let Some(first) = first {
            let message = format!("selects the same as interfaces[{first}]; remove one");
            findings.report(&at, message);
        }
        config.interfaces.push((selector, settings));
    }
    for (index, name) in spec.querier_interfaces.iter().enumerate() {
        let at = at.key("querierInterfaces").index(index);
        if let Some(name) = interface::name_at(name, &at, findings) {
            config.interfaces.push((InterfaceSelector::named(name), earlier.clone()));
        }
    }
    for (index, entry) in spec.host.iter().enumerate() {
        let at = at.key("host").index(index);
        let mode = host_mode(entry, &at, findings);
        let selector = selector(entry.name.as_deref(), entry.name_glob.as_deref(), &at, findings);
        config.hosts.extend(selector.zip(mode));
    }
    config
}

/// What the earlier form says of all interfaces.
fn earlier_settings(spec: &v1::Igmp, at: &Path, findings: &mut Findings) -> IgmpSettings {
    let interval = within(spec.query_interval, 1..=LONGEST_INTERVAL, "queryInterval", at, findings);
    let all = IgmpInterface {
        query_interval_seconds: interval,
        robustness: spec.robustness,
        ..IgmpInterface::default()
    };
    let before = findings.len();
    let settings = settings(&all, &IgmpSettings::default(), at, findings);
    if findings.len() > before { IgmpSettings::default() } else { settings }
}

/// One of name and pattern.
fn selector(
    name: Option<&str>,
    glob: Option<&str>,
    at: &Path,
    findings: &mut Findings,
) -> Option<InterfaceSelector> {
    match (name, glob) {
        (None, None) => {
            findings.report(at, "names no interface; give name or nameGlob: { name: \"eth1\" }");
            None
        }
        (Some(_), Some(_)) => {
            findings.report(at, "give name or nameGlob, not both");
            None
        }
        _ => {
            let spec = v1::InterfaceSelector {
                name: name.map(str::to_owned),
                name_glob: glob.map(str::to_owned),
                ..v1::InterfaceSelector::default()
            };
            interface::selector(&spec, at, findings)
        }
    }
}

fn settings(
    entry: &IgmpInterface,
    base: &IgmpSettings,
    at: &Path,
    findings: &mut Findings,
) -> IgmpSettings {
    let mut settings = base.clone();
    if let Some(querier) = entry.querier {
        settings.querier = match querier {
            v1::Querier::Auto => QuerierMode::Auto,
            v1::Querier::On => QuerierMode::On,
            v1::Querier::Off => QuerierMode::Off,
        };
    }
    if let Some(version) = entry.version {
        settings.version = match version {
            1 => IgmpVersion::V1,
            2 => IgmpVersion::V2,
            3 => IgmpVersion::V3,
            other => {
                findings.report(&at.key("version"), format!("must be 1, 2 or 3, not {other}"));
                IgmpVersion::V3
            }
        };
    }
    intervals(entry, &mut settings, at, findings);
    if let Some(interval) = entry.membership_interval {
        settings.membership_interval = match interval {
            v1::MembershipInterval::ByVersion => MembershipInterval::ByVersion,
            v1::MembershipInterval::Rfc3376 => MembershipInterval::Rfc3376,
        };
    }
    let limits = [
        ("maxGroups", entry.max_groups, 1_000_000, &mut settings.max_groups),
        ("maxSources", entry.max_sources, 65_535, &mut settings.max_sources),
    ];
    for (key, given, most, setting) in limits {
        if let Some(value) = within(given, 1..=most, key, at, findings) {
            *setting = value;
        }
    }
    if !entry.allow_groups.is_empty() {
        settings.allowed_groups = prefixes(&entry.allow_groups, &at.key("allowGroups"), findings);
    }
    if let Some(ranges) = &entry.ssm_ranges {
        settings.ssm_ranges = prefixes(ranges, &at.key("ssmRanges"), findings);
    }
    settings.static_joins = static_joins(&entry.static_joins, at, findings);
    settings.require_router_alert = entry.require_router_alert == Some(true);
    settings.any_reporter = entry.any_reporter == Some(true);
    settings.immediate_leave = entry.immediate_leave == Some(true);
    settings
}

fn intervals(
    entry: &IgmpInterface,
    settings: &mut IgmpSettings,
    at: &Path,
    findings: &mut Findings,
) {
    let before = findings.len();
    let seconds = entry.query_interval_seconds;
    if let Some(seconds) =
        within(seconds, 1..=LONGEST_INTERVAL, "queryIntervalSeconds", at, findings)
    {
        settings.query_interval = Duration::from_secs(seconds.into());
    }
    let robustness = entry.robustness.map(u32::from);
    if let Some(value) = within(robustness, 1..=7, "robustness", at, findings) {
        settings.robustness = u8::try_from(value).unwrap_or(settings.robustness);
    }
    let count = entry.last_member_query_count.map(u32::from);
    if let Some(value) = within(count, 1..=7, "lastMemberQueryCount", at, findings) {
        settings.last_member_query_count = u8::try_from(value).ok();
    }
    let responses = [
        (
            "queryResponseInterval",
            &entry.query_response_interval,
            &mut settings.query_response_interval,
        ),
        (
            "lastMemberQueryInterval",
            &entry.last_member_query_interval,
            &mut settings.last_member_query_interval,
        ),
    ];
    for (key, given, setting) in responses {
        let Some(text) = given else { continue };
        let range = SHORTEST_RESPONSE..=LONGEST_RESPONSE;
        let parsed = duration::parse(text).and_then(|parsed| match range.contains(&parsed) {
            true => Ok(parsed),
            false => Err(format!("{} is not between \"100ms\" and \"3174s\"", quoted(text))),
        });
        match parsed {
            Ok(parsed) => *setting = parsed,
            Err(message) => findings.report(&at.key(key), message),
        }
    }
    // A default that does not fit a short interval follows it (RFC 9776 section 8.3).
    let interval = settings.query_interval;
    if entry.query_response_interval.is_none() && settings.query_response_interval >= interval {
        settings.query_response_interval = interval / 2;
    }
    if findings.len() == before && settings.query_response_interval >= interval {
        let message = format!(
            "must be less than the query interval, {} s: hosts are to answer before they are asked again",
            interval.as_secs()
        );
        findings.report(&at.key("queryResponseInterval"), message);
    }
}

/// A number in its range; none where none was given, or where it is wrong, which was reported.
fn within(
    given: Option<u32>,
    range: std::ops::RangeInclusive<u32>,
    key: &'static str,
    at: &Path,
    findings: &mut Findings,
) -> Option<u32> {
    let value = given?;
    if !range.contains(&value) {
        let (first, last) = (range.start(), range.end());
        findings.report(&at.key(key), format!("must be from {first} to {last}, not {value}"));
        return None;
    }
    Some(value)
}

fn prefixes(texts: &[String], at: &Path, findings: &mut Findings) -> Vec<Ipv4Net> {
    if texts.len() > MOST_ENTRIES {
        findings.report(at, format!("has {} entries; {MOST_ENTRIES} is the most", texts.len()));
    }
    let each = texts.iter().enumerate().filter_map(|(index, text)| {
        let parsed = address::parse_net(text, Use::Prefix).and_then(|net| match net {
            IpNet::V4(net) if net.network().is_multicast() && net.prefix_len() >= 4 => Ok(net),
            IpNet::V4(_) => {
                Err(format!("{} is no prefix of groups, such as \"239.0.0.0/8\"", quoted(text)))
            }
            IpNet::V6(_) => Err(format!("{}: IPv6 is not forwarded yet", quoted(text))),
        });
        parsed.map_err(|message| findings.report(&at.index(index), message)).ok()
    });
    each.collect()
}

fn static_joins(joins: &[v1::StaticJoin], at: &Path, findings: &mut Findings) -> Vec<SourceGroup> {
    let at = at.key("staticJoins");
    if joins.len() > MOST_ENTRIES {
        findings.report(&at, format!("has {} entries; {MOST_ENTRIES} is the most", joins.len()));
    }
    let each = joins.iter().enumerate().filter_map(|(index, join)| {
        let at = at.index(index);
        let Some(text) = &join.group else {
            findings.report(&at.key("group"), "is missing: a group, such as \"239.1.1.1\"");
            return None;
        };
        let group = text.parse::<Ipv4Addr>().ok().filter(|group| {
            group.is_multicast() && !LINK_LOCAL.contains(group)
        });
        if group.is_none() {
            let message = format!(
                "{} is no group that is joined, such as \"239.1.1.1\"; those of 224.0.0.0/24 stay on \
                 their link",
                quoted(text)
            );
            findings.report(&at.key("group"), message);
        }
        let source = match &join.source {
            None => Some(None),
            Some(text) => {
                let host = |source: &Ipv4Addr| !source.is_multicast() && !source.is_unspecified();
                let source = text.parse::<Ipv4Addr>().ok().filter(host);
                if source.is_none() {
                    let message =
                        format!("{} is no host's address, such as \"10.0.0.1\"", quoted(text));
                    findings.report(&at.key("source"), message);
                }
                source.map(Some)
            }
        };
        Some(SourceGroup { group: group?, source: source? })
    });
    each.collect()
}

fn host_mode(entry: &IgmpHost, at: &Path, findings: &mut Findings) -> Option<HostMode> {
    let forced = match entry.version {
        None | Some(HostVersion::Auto) => None,
        Some(HostVersion::V1) => Some(IgmpVersion::V1),
        Some(HostVersion::V2) => Some(IgmpVersion::V2),
        Some(HostVersion::V3) => Some(IgmpVersion::V3),
    };
    match (forced, entry.reports) {
        (None, None | Some(Reports::Kernel)) => Some(HostMode::Kernel),
        (None, Some(Reports::Own)) => Some(HostMode::Own),
        (Some(version), None | Some(Reports::Own)) => Some(HostMode::Forced(version)),
        (Some(_), Some(Reports::Kernel)) => {
            let message = "\"kernel\" goes with version: \"auto\" only: the kernel's version is that of \
                           the querier or of net.ipv4.conf.*.force_igmp_version; write \"own\"";
            findings.report(&at.key("reports"), message);
            None
        }
    }
}
