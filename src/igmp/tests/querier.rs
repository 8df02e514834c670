//! Who asks, when, and by which intervals.

use super::*;
use crate::types::{MembershipInterval, QuerierMode};

const LOWER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HIGHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

#[test]
fn v2_1_v3_1_our_query_says_what_is_in_force() {
    let wire = Wire::new(IgmpSettings { robustness: 3, ..IgmpSettings::default() });
    let received = decode(&wire.packets[0]).expect("valid");
    assert_eq!((received.source, received.ttl, received.router_alert), (OURS, 1, true));
    assert_eq!(received.destination, Ipv4Addr::new(224, 0, 0, 1));
    let Message::Query(query) = received.message else { panic!("{received:?}") };
    assert_eq!((query.version, query.robustness), (IgmpVersion::V3, 3));
    assert_eq!((query.interval, query.max_response), (secs(125.0), secs(10.0)));
    let v2 = Wire::new(IgmpSettings { version: IgmpVersion::V2, ..IgmpSettings::default() });
    let received = decode(&v2.packets[0]).expect("valid");
    let Message::Query(query) = received.message else { panic!("{received:?}") };
    assert_eq!((query.version, query.max_response), (IgmpVersion::V2, secs(10.0)));
}

#[test]
fn v2_2_v2_3_a_burst_at_the_start_then_one_each_interval() {
    let mut wire = Wire::new(IgmpSettings::default());
    wire.pass(secs(300.0));
    assert_eq!(wire.general(), [0.0, 31.25, 156.25, 281.25]);
    let mut wire = Wire::new(IgmpSettings { robustness: 4, ..IgmpSettings::default() });
    wire.pass(secs(100.0));
    assert_eq!(wire.general(), [0.0, 31.25, 62.5, 93.75]);
}

#[test]
fn v2_4_the_lowest_address_asks_and_is_missed_after_its_time() {
    let mut wire = Wire::settled(IgmpSettings { robustness: 2, ..IgmpSettings::default() });
    wire.query(HIGHER, None, false, &[]);
    assert!(wire.is_querier(), "a higher address does not win");
    wire.query(LOWER, None, false, &[]);
    assert!(!wire.is_querier());
    assert_eq!(wire.notices, [IgmpNotice::Querier { index: LINK, querier: Some(LOWER) }]);
    // Its robustness 3 x its interval 60 s + half of its 8 s (RFC 9776 section 8.5).
    wire.pass(secs(183.9));
    assert_eq!((wire.is_querier(), wire.general()), (false, vec![]), "who is not asks nothing");
    wire.pass(secs(0.2));
    assert!(wire.is_querier());
    assert_eq!(wire.general(), [184.0], "at once");
    assert_eq!(wire.notices.last(), Some(&IgmpNotice::Querier { index: LINK, querier: None }));
    wire.pass(secs(125.0));
    assert_eq!(wire.general(), [184.0, 309.0]);
}

#[test]
fn v2_4_a_query_of_the_querier_keeps_it() {
    let mut wire = Wire::settled(IgmpSettings::default());
    for _ in 0..5 {
        wire.query(LOWER, None, false, &[]);
        wire.pass(secs(180.0));
    }
    assert!(!wire.is_querier() && wire.general().is_empty());
    let until = wire.igmp.view(LINK).expect("it runs").other.expect("another");
    assert_eq!((until.0, until.2.since(wire.now)), (LOWER, secs(4.0)));
}

#[test]
fn v2_4_no_address_a_foreign_one_and_a_unicast_query_elect_nobody() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.query(Ipv4Addr::UNSPECIFIED, None, false, &[]);
    assert!(wire.is_querier(), "a snooping switch is no router");
    wire.query(Ipv4Addr::new(9, 0, 0, 1), None, false, &[]);
    assert!(wire.is_querier() && wire.drops("off_subnet") == 1);
    let mut unicast = encode_query(LOWER, &other(None, false));
    unicast[16..20].copy_from_slice(&OURS.octets());
    unicast[10..12].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&unicast[..24]).fold();
    unicast[10..12].copy_from_slice(&sum.to_be_bytes());
    wire.hear(&unicast);
    assert!(wire.is_querier() && wire.drops("unicast_query") == 1);
    wire.query(OURS, None, false, &[]);
    assert!(wire.is_querier() && wire.drops("own_address") == 1, "our own query came back");
}

#[test]
fn always_and_never() {
    let mut wire =
        Wire::settled(IgmpSettings { querier: QuerierMode::On, ..IgmpSettings::default() });
    wire.query(LOWER, None, false, &[]);
    wire.pass(secs(125.0));
    assert!(wire.is_querier() && wire.general().len() == 1);
    let mut wire = Wire::new(IgmpSettings { querier: QuerierMode::Off, ..IgmpSettings::default() });
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.pass(secs(1000.0));
    assert!(wire.asked.is_empty() && !wire.is_querier(), "it only listens");
    wire.query(HIGHER, None, false, &[]);
    assert_eq!(wire.igmp.view(LINK).expect("it runs").other.map(|other| other.0), Some(HIGHER));
}

#[test]
fn v2_8_what_we_began_to_ask_we_ask_to_the_end() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.query(LOWER, None, false, &[]);
    assert!(!wire.is_querier());
    wire.pass(secs(1.5));
    assert_eq!(wire.about_groups().len(), 2);
    assert_eq!(wire.about_groups()[1].0, 1.0);
}

#[test]
fn v2_9_v3_8_the_queriers_questions_lower_our_timers() {
    let lowered = |suppress: bool| {
        let mut wire = Wire::settled(IgmpSettings::default());
        wire.query(LOWER, None, false, &[]);
        wire.report_v2(GROUP);
        wire.leave(GROUP);
        assert!(wire.about_groups().is_empty(), "it is not us who ask");
        wire.query(LOWER, Some(GROUP), suppress, &[]);
        // Maximum response time 1 s x the querier's robustness variable 3.
        wire.pass(secs(2.9));
        assert!(wire.wanted().is_some());
        wire.pass(secs(0.2));
        wire.wanted().is_none()
    };
    assert!(lowered(false), "the S flag is clear");
    assert!(!lowered(true), "the S flag is set");
    // A source alone.
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.query(LOWER, None, false, &[]);
    wire.report(HOST, RecordKind::IsIn, GROUP, &[s(1), s(2)]);
    wire.query(LOWER, Some(GROUP), false, &[s(2)]);
    wire.pass(secs(3.1));
    assert_eq!(wire.wanted(), including(&[s(1)]));
}

#[test]
fn v3_9_the_queriers_robustness_and_interval_are_ours() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let view = |wire: &Wire| {
        let view = wire.igmp.view(LINK).expect("it runs");
        (view.robustness, view.query_interval, view.membership_interval)
    };
    assert_eq!(view(&wire), (2, secs(125.0), secs(270.0)));
    wire.query(LOWER, None, false, &[]);
    // 3 x 60 + 2 x 8.
    assert_eq!(view(&wire), (3, secs(60.0), secs(196.0)));
    // Zero says nothing.
    let silent = QueryToSend { robustness: 0, interval: Duration::ZERO, ..other(None, false) };
    wire.hear(&encode_query(LOWER, &silent));
    assert_eq!(view(&wire), (2, secs(125.0), secs(266.0)));
}

#[test]
fn v3_12_another_version_is_told_once_a_minute() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let v2 = encode_query(HIGHER, &QueryToSend { version: IgmpVersion::V2, ..other(None, false) });
    for _ in 0..50 {
        wire.hear(&v2);
        wire.pass(secs(1.0));
    }
    let version = IgmpVersion::V2;
    let told = IgmpNotice::VersionMismatch { index: LINK, querier: HIGHER, version };
    assert_eq!(wire.notices, [told]);
    wire.pass(secs(20.0));
    wire.hear(&v2);
    assert_eq!(wire.notices, [told, told]);
    assert_eq!(wire.igmp.counters(LINK).expect("it runs").version_mismatches, 51);
    assert_eq!(wire.igmp.view(LINK).expect("it runs").version, IgmpVersion::V3, "ours stays");
}

#[test]
fn v3_14_no_robustness_and_no_interval_do_no_harm() {
    let settings = IgmpSettings {
        robustness: 0,
        query_interval: Duration::ZERO,
        query_response_interval: Duration::ZERO,
        last_member_query_interval: Duration::ZERO,
        last_member_query_count: Some(0),
        ..IgmpSettings::default()
    };
    let mut wire = Wire::new(settings);
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    wire.report(HOST, RecordKind::ToIn, GROUP, &[]);
    wire.pass(secs(10.0));
    assert!(wire.asked.len() < 200, "it does not go round: {}", wire.asked.len());
    let one = Wire::settled(IgmpSettings { robustness: 1, ..IgmpSettings::default() });
    assert_eq!(one.igmp.view(LINK).expect("it runs").last_member_query_count, 1);
}

#[test]
fn intervals_of_the_versions() {
    let membership = |version, rule| {
        let settings =
            IgmpSettings { version, membership_interval: rule, ..IgmpSettings::default() };
        Wire::new(settings).igmp.view(LINK).expect("it runs").membership_interval
    };
    let by_version = MembershipInterval::ByVersion;
    assert_eq!(membership(IgmpVersion::V3, by_version), secs(270.0));
    assert_eq!(membership(IgmpVersion::V2, by_version), secs(260.0));
    assert_eq!(membership(IgmpVersion::V3, MembershipInterval::Rfc3376), secs(260.0));
}

#[test]
fn another_address_asks_from_there_and_none_from_none() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report_v2(GROUP);
    let mut moved = interface(IgmpSettings::default());
    moved.addresses = vec!["10.0.0.3/24".parse().expect("a prefix")];
    wire.igmp.configure(wire.now, LINK, Some(moved.clone()));
    wire.collect();
    let source = |wire: &Wire| decode(wire.packets.last().expect("one")).expect("valid").source;
    assert_eq!((source(&wire), wire.packets.len()), (Ipv4Addr::new(10, 0, 0, 3), 1));
    assert_eq!(wire.wanted(), excluding(&[]), "members stay");
    wire.igmp.configure(wire.now, LINK, Some(moved.clone()));
    wire.collect();
    assert_eq!(wire.packets.len(), 1, "nothing new");
    moved.addresses.clear();
    wire.igmp.configure(wire.now, LINK, Some(moved));
    wire.collect();
    assert_eq!(source(&wire), Ipv4Addr::UNSPECIFIED);
    // Who has no address gives way to everybody who has one.
    wire.query(HIGHER, None, false, &[]);
    assert!(!wire.is_querier());
}

#[test]
fn an_interface_that_ends_leaves_nothing() {
    let mut wire = Wire::new(IgmpSettings::default());
    wire.report_v2(GROUP);
    while wire.igmp.poll_change().is_some() {}
    wire.igmp.configure(wire.now, LINK, None);
    assert_eq!(wire.igmp.poll_change(), Some((LINK, GROUP)));
    assert_eq!((wire.wanted(), wire.igmp.next_timeout()), (None, None));
    wire.hear(&encode_report_v2(HOST, GROUP));
    assert_eq!((wire.wanted(), wire.igmp.poll_change()), (None, None));
}
