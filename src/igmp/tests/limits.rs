//! Tables are bounded, and whoever is in them stays.

use super::*;
use crate::igmp::Ignored;
use crate::types::SourceGroup;

#[test]
fn more_groups_than_are_kept_are_refused_and_told_once() {
    let mut wire = Wire::settled(IgmpSettings { max_groups: 3, ..IgmpSettings::default() });
    let group = |n: u8| Ipv4Addr::new(239, 3, 0, n);
    for n in 0..200 {
        wire.report_v2(group(n));
    }
    assert_eq!(wire.drops("group_limit"), 197);
    let notice = IgmpNotice::Limit { index: LINK, reason: Ignored::GroupLimit, group: group(3) };
    assert_eq!(wire.notices, [notice]);
    for n in 0..3 {
        wire.report_v2(group(n));
        assert_eq!(wire.igmp.reception(LINK, group(n)), excluding(&[]), "who is there stays");
    }
    assert_eq!((wire.counters().peak_groups, wire.drops("group_limit")), (3, 197));
    wire.leave(group(0));
    wire.pass(secs(3.0));
    wire.report_v2(group(9));
    assert!(wire.igmp.reception(LINK, group(9)).is_some(), "there is room again");
}

#[test]
fn more_sources_than_are_kept_are_refused() {
    let mut wire = Wire::settled(IgmpSettings { max_sources: 2, ..IgmpSettings::default() });
    wire.report(HOST, RecordKind::IsIn, GROUP, &[s(1), s(2), s(3)]);
    assert_eq!((wire.wanted(), wire.drops("source_limit")), (including(&[s(1), s(2)]), 1));
    wire.report(HOST, RecordKind::Allow, GROUP, &[s(2), s(4)]);
    assert_eq!((wire.wanted(), wire.drops("source_limit")), (including(&[s(1), s(2)]), 2));
    // Who excludes too many gets all: nothing that was asked for is missing.
    wire.report(HOST, RecordKind::ToEx, GROUP, &[s(1), s(2), s(3)]);
    assert_eq!((wire.wanted(), wire.drops("source_limit")), (excluding(&[]), 5));
}

#[test]
fn groups_that_are_not_allowed_and_those_that_become_so() {
    let allowed = |net: &str| vec![net.parse().expect("a prefix")];
    let settings =
        IgmpSettings { allowed_groups: allowed("239.1.0.0/16"), ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings.clone());
    let outside = Ipv4Addr::new(239, 2, 0, 1);
    wire.report_v2(outside);
    wire.report_v2(GROUP);
    assert_eq!((wire.igmp.reception(LINK, outside), wire.drops("group_not_allowed")), (None, 1));
    while wire.igmp.poll_change().is_some() {}
    let other = IgmpSettings { allowed_groups: allowed("239.2.0.0/16"), ..settings };
    wire.igmp.configure(wire.now, LINK, Some(interface(other)));
    assert_eq!((wire.wanted(), wire.igmp.poll_change()), (None, Some((LINK, GROUP))));
}

#[test]
fn members_of_the_file_stay_whatever_hosts_say() {
    let of = |source| SourceGroup { group: GROUP, source };
    let settings = IgmpSettings { static_joins: vec![of(Some(s(1)))], ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings.clone());
    assert_eq!(wire.wanted(), including(&[s(1)]));
    wire.report(HOST, RecordKind::IsIn, GROUP, &[s(2)]);
    assert_eq!(wire.wanted(), including(&[s(1), s(2)]));
    wire.report(HOST, RecordKind::ToEx, GROUP, &[s(1), s(3)]);
    assert_eq!(wire.wanted(), excluding(&[s(3)]), "all but 3, and 1 for the file");
    wire.report(HOST, RecordKind::ToIn, GROUP, &[]);
    wire.pass(secs(300.0));
    assert_eq!(wire.wanted(), including(&[s(1)]));
    let views: Vec<_> = wire.igmp.group_views(wire.now, LINK).collect();
    assert!(views.len() == 1 && views[0].is_static && views[0].sources == [(s(1), None)]);
    let more = IgmpSettings { static_joins: vec![of(None)], ..settings.clone() };
    wire.igmp.configure(wire.now, LINK, Some(interface(more)));
    assert_eq!(wire.wanted(), excluding(&[]));
    while wire.igmp.poll_change().is_some() {}
    wire.igmp.configure(wire.now, LINK, Some(interface(IgmpSettings::default())));
    assert_eq!((wire.wanted(), wire.igmp.poll_change()), (None, Some((LINK, GROUP))));
}

#[test]
fn router_alert_may_be_required() {
    let settings = IgmpSettings { require_router_alert: true, ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings);
    let with = encode_report_v2(HOST, GROUP);
    // The option becomes padding, and the sum follows.
    let mut without = with.clone();
    without[20..24].copy_from_slice(&[1, 1, 1, 1]);
    without[10..12].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&without[..24]).fold();
    without[10..12].copy_from_slice(&sum.to_be_bytes());
    wire.hear(&without);
    assert_eq!((wire.wanted(), wire.drops("no_router_alert")), (None, 1));
    wire.hear(&with);
    assert_eq!(wire.wanted(), excluding(&[]));
}

#[test]
fn a_version_of_2_does_not_hear_version_3_nor_one_of_1_leaves() {
    let of = |version| IgmpSettings { version, ..IgmpSettings::default() };
    let mut wire = Wire::settled(of(IgmpVersion::V2));
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    assert_eq!((wire.wanted(), wire.drops("version")), (None, 1));
    let mut wire = Wire::settled(of(IgmpVersion::V1));
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.pass(secs(5.0));
    assert_eq!((wire.wanted(), wire.drops("version")), (excluding(&[]), 1));
    assert!(wire.about_groups().is_empty());
}
