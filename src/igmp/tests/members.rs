//! What members say and what becomes of it.

use super::*;
use RecordKind::{Allow, Block, IsEx, IsIn, ToEx, ToIn};

/// A host that is not [`HOST`].
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 51);

#[test]
fn v2_5_a_report_keeps_the_group_for_its_interval() {
    for (version, interval) in [(IgmpVersion::V2, 260.0), (IgmpVersion::V3, 270.0)] {
        let mut wire = Wire::settled(IgmpSettings { version, ..IgmpSettings::default() });
        wire.report_v2(GROUP);
        assert_eq!(wire.igmp.poll_change(), Some((LINK, GROUP)));
        wire.pass(secs(100.0));
        wire.report_v2(GROUP);
        assert_eq!(wire.igmp.poll_change(), None, "the same again is no change");
        wire.pass(secs(interval - 0.1));
        assert_eq!(wire.wanted(), excluding(&[]));
        wire.pass(secs(0.2));
        assert_eq!((wire.wanted(), wire.igmp.poll_change()), (None, Some((LINK, GROUP))));
    }
}

#[test]
fn v2_6_a_leave_is_asked_about_at_once_and_again_and_is_over_in_two_seconds() {
    for version in [IgmpVersion::V2, IgmpVersion::V3] {
        let mut wire = Wire::settled(IgmpSettings { version, ..IgmpSettings::default() });
        wire.report_v2(GROUP);
        wire.leave(GROUP);
        wire.pass(secs(1.99));
        assert_eq!(wire.about_groups(), [(0.0, false, vec![]), (1.0, false, vec![])]);
        assert!(wire.wanted().is_some());
        wire.pass(secs(0.02));
        assert!(wire.wanted().is_none());
        wire.pass(secs(10.0));
        assert_eq!(wire.about_groups().len(), 2);
        let query = decode(wire.packets.last().expect("a query")).expect("valid");
        assert_eq!(query.destination, GROUP);
        let Message::Query(query) = query.message else { panic!("{query:?}") };
        assert_eq!((query.version, query.max_response), (version, secs(1.0)));
    }
}

#[test]
fn v2_6_count_and_interval_are_settings() {
    let settings = IgmpSettings {
        last_member_query_count: Some(3),
        last_member_query_interval: secs(0.5),
        ..IgmpSettings::default()
    };
    let mut wire = Wire::settled(settings);
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.pass(secs(1.4));
    assert!(wire.wanted().is_some());
    wire.pass(secs(0.2));
    assert!(wire.wanted().is_none());
    let times: Vec<f64> = wire.about_groups().iter().map(|asked| asked.0).collect();
    assert_eq!(times, [0.0, 0.5, 1.0]);
}

#[test]
fn v2_7_a_report_ends_the_questions() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.pass(secs(0.4));
    wire.report_v2(GROUP);
    wire.pass(secs(60.0));
    assert_eq!(wire.about_groups().len(), 1);
    assert_eq!(wire.wanted(), excluding(&[]));
}

#[test]
fn v2_10_a_leave_goes_to_all_routers_and_groups_of_the_link_are_nobodys() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report_v2(GROUP);
    let mut elsewhere = encode_leave(HOST, GROUP);
    elsewhere[16..20].copy_from_slice(&[239, 9, 9, 9]);
    elsewhere[10..12].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&elsewhere[..24]).fold();
    elsewhere[10..12].copy_from_slice(&sum.to_be_bytes());
    wire.hear(&elsewhere);
    assert!(wire.about_groups().is_empty() && wire.drops("destination") == 1);
    for group in [Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::new(224, 0, 0, 5)] {
        wire.report_v2(group);
        wire.report(HOST, IsEx, group, &[]);
        assert_eq!(wire.igmp.reception(LINK, group), None);
    }
    assert_eq!(wire.drops("link_local_group"), 4);
}

#[test]
fn v2_11_what_is_wrong_is_counted_and_changes_nothing() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let right = encode_report_v2(HOST, GROUP);
    let mut wrong = right.clone();
    *wrong.last_mut().expect("bytes") ^= 1;
    wire.hear(&wrong);
    wire.hear(&right[..right.len() - 1]);
    wire.hear(&[]);
    assert_eq!(wire.wanted(), None);
    assert_eq!(wire.drops("checksum"), 1);
    let all: u64 = wire.igmp.counters(LINK).expect("it runs").drops.values().sum();
    assert_eq!(all, 3);
}

#[test]
fn v2_12_v3_10_a_host_of_version_1_hides_leaves_for_its_time() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let version = |wire: &Wire| wire.igmp.group_views(wire.now, LINK).next().map(|v| v.version);
    wire.report_v1(GROUP);
    assert_eq!(version(&wire), Some(IgmpVersion::V1));
    wire.leave(GROUP);
    wire.report(HOST, ToIn, GROUP, &[]);
    wire.report(HOST, Block, GROUP, &[s(1)]);
    assert!(wire.about_groups().is_empty(), "others of version 1 would not answer");
    assert_eq!(wire.wanted(), excluding(&[]));
    wire.report(HOST, ToEx, GROUP, &[s(1)]);
    assert_eq!(wire.wanted(), excluding(&[]), "its sources are ignored");
    // Robustness 2 x 125 s + 10 s.
    wire.pass(secs(259.9));
    assert_eq!(version(&wire), Some(IgmpVersion::V1));
    wire.report_v2(GROUP);
    wire.pass(secs(0.2));
    assert_eq!(version(&wire), Some(IgmpVersion::V2));
    wire.leave(GROUP);
    assert_eq!(wire.about_groups().len(), 1);
}

#[test]
fn v3_10_a_host_of_version_2_hides_sources() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsEx, GROUP, &[]);
    wire.report_v2(GROUP);
    wire.report(SECOND, Block, GROUP, &[s(1)]);
    wire.report(SECOND, ToEx, GROUP, &[s(2)]);
    assert_eq!(wire.wanted(), excluding(&[]));
    assert!(wire.about_groups().is_empty());
    wire.report(SECOND, ToIn, GROUP, &[]);
    assert_eq!(wire.about_groups(), [(0.0, false, vec![])], "a leave it is");
    wire.pass(secs(2.1));
    assert_eq!(wire.wanted(), None);
}

#[test]
fn v2_13_whose_reports_are_heard() {
    let foreign = Ipv4Addr::new(172, 16, 0, 1);
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(foreign, IsEx, GROUP, &[]);
    assert_eq!((wire.wanted(), wire.drops("off_subnet")), (None, 1));
    wire.report(Ipv4Addr::UNSPECIFIED, IsEx, GROUP, &[]);
    assert_eq!(wire.wanted(), excluding(&[]), "a host without an address yet");
    let mut wire = Wire::settled(IgmpSettings { any_reporter: true, ..IgmpSettings::default() });
    wire.report(foreign, IsEx, GROUP, &[]);
    assert_eq!(wire.wanted(), excluding(&[]));
    wire.query(Ipv4Addr::new(9, 9, 9, 9), None, false, &[]);
    assert!(wire.is_querier(), "that is for reports only");
    // Where we have no subnet there is no outside.
    for addresses in [vec![], vec!["10.0.0.5/32".parse().expect("an address")]] {
        let settings = IgmpSettings::default();
        let mut wire = Wire::on(crate::igmp::Interface { settings, addresses, mtu: 1500 });
        wire.report(foreign, IsEx, GROUP, &[]);
        assert_eq!(wire.wanted(), excluding(&[]));
    }
}

#[test]
fn v3_2_every_record_of_a_report_counts() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let groups: Vec<Ipv4Addr> = (0..30).map(|n| Ipv4Addr::new(239, 2, 0, n)).collect();
    let records: Vec<RecordToSend> = groups
        .iter()
        .map(|group| RecordToSend { kind: IsEx, group: *group, sources: &[] })
        .collect();
    let packets = encode_reports_v3(HOST, &records, 1500);
    assert_eq!(packets.len(), 1);
    wire.hear(&packets[0]);
    let within = "239.2.0.0/16".parse().expect("a prefix");
    let known: Vec<Ipv4Addr> = wire.igmp.groups_in(LINK, within).map(|(group, _)| group).collect();
    assert_eq!(known, groups);
}

/// A state, a record, and what follows: RFC 9776 sections 6.4.1 and 6.4.2.
type Row = (
    (RecordKind, &'static [u8]),
    (RecordKind, &'static [u8]),
    Option<Reception>,
    &'static [&'static [u8]],
);

fn rows() -> Vec<Row> {
    let inc = |of: &[u8]| Some(Reception::Include(of.iter().map(|n| s(*n)).collect()));
    let exc = |of: &[u8]| Some(Reception::Exclude(of.iter().map(|n| s(*n)).collect()));
    // The sets overlap in part: A or Y = {1, 2}, B = {2, 3}. In questions, {} is the whole group.
    vec![
        ((IsIn, &[1, 2]), (IsIn, &[2, 3]), inc(&[1, 2, 3]), &[]),
        ((IsIn, &[1, 2]), (IsEx, &[2, 3]), exc(&[3]), &[]),
        ((IsIn, &[1, 2]), (Allow, &[2, 3]), inc(&[1, 2, 3]), &[]),
        ((IsIn, &[1, 2]), (Block, &[2, 3]), inc(&[1, 2]), &[&[2]]),
        ((IsIn, &[1, 2]), (ToEx, &[2, 3]), exc(&[3]), &[&[2]]),
        ((IsIn, &[1, 2]), (ToIn, &[2, 3]), inc(&[1, 2, 3]), &[&[1]]),
        ((IsIn, &[1, 2]), (ToIn, &[]), inc(&[1, 2]), &[&[1, 2]]),
        ((IsEx, &[1, 2]), (IsIn, &[2, 3]), exc(&[1, 2]), &[]),
        ((ToEx, &[]), (Allow, &[1]), exc(&[]), &[]),
        ((IsEx, &[]), (IsEx, &[2, 3]), exc(&[]), &[]),
        ((IsEx, &[]), (Block, &[2, 3]), exc(&[]), &[&[2, 3]]),
        ((IsEx, &[]), (ToEx, &[2, 3]), exc(&[]), &[&[2, 3]]),
        ((IsEx, &[]), (ToIn, &[2]), exc(&[]), &[&[]]),
    ]
}

#[test]
fn v3_4_v3_5_the_tables_row_by_row() {
    for ((kind, sources), (then, listed), wanted, asked) in rows() {
        let of = |sources: &[u8]| -> Vec<Ipv4Addr> { sources.iter().map(|n| s(*n)).collect() };
        let mut wire = Wire::settled(IgmpSettings::default());
        wire.report(HOST, kind, GROUP, &of(sources));
        assert!(wire.about_groups().is_empty(), "the first is asked by nobody");
        // In EXCLUDE mode a source is excluded when its timer has run out: GMI after the first report.
        if kind == IsEx && !sources.is_empty() {
            assert_eq!(wire.wanted(), excluding(&of(sources)), "new: B - A is excluded at once");
        }
        wire.report(SECOND, then, GROUP, &of(listed));
        let what = format!("{kind:?} {sources:?}, then {then:?} {listed:?}");
        match (kind, then) {
            (IsEx, IsIn) => assert_eq!(wire.wanted(), excluding(&[s(1)]), "{what}: 2 is wanted"),
            _ => assert_eq!(wire.wanted(), wanted, "{what}"),
        }
        let questions: Vec<Vec<Ipv4Addr>> =
            wire.about_groups().into_iter().map(|(_, _, sources)| sources).collect();
        let expected: Vec<Vec<Ipv4Addr>> = asked.iter().map(|sources| of(sources)).collect();
        assert_eq!(questions, expected, "{what}");
    }
}

#[test]
fn v3_5_a_source_given_up_goes_alone_after_two_questions() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsIn, GROUP, &[s(1), s(2)]);
    wire.report(HOST, Block, GROUP, &[s(2)]);
    wire.pass(secs(1.99));
    assert_eq!(wire.about_groups(), [(0.0, false, vec![s(2)]), (1.0, false, vec![s(2)])]);
    assert_eq!(wire.wanted(), including(&[s(1), s(2)]));
    wire.pass(secs(0.02));
    assert_eq!(wire.wanted(), including(&[s(1)]));
}

#[test]
fn v3_5_to_in_asks_for_the_sources_and_for_the_group() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsEx, GROUP, &[]);
    wire.report(SECOND, Allow, GROUP, &[s(1), s(2)]);
    wire.report(HOST, ToIn, GROUP, &[s(1)]);
    assert_eq!(wire.about_groups(), [(0.0, false, vec![]), (0.0, false, vec![s(2)])]);
    wire.pass(secs(2.01));
    assert_eq!(wire.wanted(), including(&[s(1)]), "who excludes did not answer, and 2 is nobody's");
}

#[test]
fn v3_6_the_end_of_the_group_timer_leaves_the_running_sources() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsEx, GROUP, &[s(9)]);
    wire.pass(secs(100.0));
    wire.report(SECOND, Allow, GROUP, &[s(1)]);
    wire.pass(secs(169.9));
    assert_eq!(wire.wanted(), excluding(&[s(9)]));
    wire.pass(secs(0.2));
    assert_eq!(wire.wanted(), including(&[s(1)]), "9 is forgotten, 1 goes on");
    wire.pass(secs(99.8));
    assert_eq!(wire.wanted(), including(&[s(1)]));
    wire.pass(secs(0.2));
    assert_eq!(wire.wanted(), None);
    assert!(wire.igmp.group_views(wire.now, LINK).next().is_none());
}

#[test]
fn v3_6_in_exclude_mode_a_source_whose_timer_ends_is_excluded() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsEx, GROUP, &[]);
    wire.pass(secs(5.0));
    wire.report(HOST, IsEx, GROUP, &[s(1)]);
    assert_eq!(wire.wanted(), excluding(&[]), "others may want it");
    wire.pass(secs(100.0));
    wire.report(HOST, IsEx, GROUP, &[s(1)]);
    wire.pass(secs(169.9));
    assert_eq!(wire.wanted(), excluding(&[]));
    wire.pass(secs(0.2));
    assert_eq!(wire.wanted(), excluding(&[s(1)]));
}

#[test]
fn v3_7_what_was_confirmed_is_asked_with_the_s_flag_and_apart() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsIn, GROUP, &[s(1), s(2), s(3)]);
    wire.report(HOST, ToIn, GROUP, &[s(3)]);
    assert_eq!(wire.about_groups(), [(0.0, false, vec![s(1), s(2)])], "no empty one");
    wire.pass(secs(0.5));
    wire.report(SECOND, IsIn, GROUP, &[s(1)]);
    wire.pass(secs(0.6));
    assert_eq!(wire.about_groups()[1..], [(1.0, true, vec![s(1)]), (1.0, false, vec![s(2)])]);
    wire.pass(secs(10.0));
    assert_eq!(wire.wanted(), including(&[s(1), s(3)]));
    assert_eq!(wire.about_groups().len(), 3);
}

#[test]
fn v3_7_many_sources_are_asked_for_in_several_packets() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let sources: Vec<Ipv4Addr> = (0..400u32).map(|n| Ipv4Addr::from(0xc633_0000 + n)).collect();
    wire.report(HOST, IsIn, GROUP, &sources);
    wire.report(HOST, Block, GROUP, &sources);
    let asked = wire.about_groups();
    let sizes: Vec<usize> = asked.iter().map(|(_, _, sources)| sources.len()).collect();
    // RFC 9776 section 4.1.8, with the Router Alert option.
    assert_eq!(sizes, [366, 34]);
    assert!(wire.packets.iter().all(|packet| packet.len() <= 1500));
    let all: Vec<Ipv4Addr> = asked.into_iter().flat_map(|(_, _, sources)| sources).collect();
    assert_eq!(all, sources);
}

#[test]
fn v3_8_a_report_during_the_questions_sets_the_s_flag() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, IsEx, GROUP, &[]);
    wire.report(HOST, ToIn, GROUP, &[]);
    wire.pass(secs(0.3));
    wire.report(SECOND, IsEx, GROUP, &[]);
    wire.pass(secs(2.0));
    assert_eq!(wire.about_groups(), [(0.0, false, vec![]), (1.0, true, vec![])]);
    assert_eq!(wire.wanted(), excluding(&[]));
}

#[test]
fn v3_11_source_specific_groups_know_sources_only() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let group = Ipv4Addr::new(232, 1, 1, 1);
    wire.report_v1(group);
    wire.report_v2(group);
    wire.report(HOST, IsEx, group, &[]);
    wire.report(HOST, ToEx, group, &[s(1)]);
    assert_eq!((wire.igmp.reception(LINK, group), wire.drops("ssm_range")), (None, 4));
    wire.report(HOST, Allow, group, &[s(1)]);
    assert_eq!(wire.igmp.reception(LINK, group), including(&[s(1)]));
    // Another range.
    let ranges = vec!["239.1.0.0/16".parse().expect("a prefix")];
    let mut wire = Wire::settled(IgmpSettings { ssm_ranges: ranges, ..IgmpSettings::default() });
    wire.report_v2(GROUP);
    wire.report_v2(group);
    assert_eq!((wire.wanted(), wire.igmp.reception(LINK, group)), (None, excluding(&[])));
}

#[test]
fn immediate_leave_never_cuts_a_second_receiver() {
    let settings = IgmpSettings { immediate_leave: true, ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings.clone());
    wire.report(HOST, ToEx, GROUP, &[]);
    wire.report(SECOND, ToEx, GROUP, &[]);
    wire.report(HOST, ToIn, GROUP, &[]);
    assert_eq!(wire.wanted(), excluding(&[]), "the second one is there");
    wire.report(SECOND, IsEx, GROUP, &[]);
    wire.pass(secs(5.0));
    assert_eq!(wire.wanted(), excluding(&[]));
    let asked = wire.about_groups().len();
    wire.report(SECOND, ToIn, GROUP, &[]);
    assert_eq!((wire.wanted(), wire.about_groups().len()), (None, asked), "at once, unasked");
    // Sources: the last one given up by the last host.
    wire.report(HOST, Allow, GROUP, &[s(1), s(2)]);
    wire.report(HOST, Block, GROUP, &[s(1)]);
    assert!(wire.wanted().is_some());
    wire.report(HOST, Block, GROUP, &[s(2)]);
    assert_eq!(wire.wanted(), None);
    // A host of version 2 hides others.
    let mut wire = Wire::settled(settings);
    wire.report(HOST, ToEx, GROUP, &[]);
    wire.report_v2(GROUP);
    wire.report(HOST, ToIn, GROUP, &[]);
    assert_eq!(wire.wanted(), excluding(&[]), "it is asked");
    assert_eq!(wire.about_groups().len(), 1);
}
