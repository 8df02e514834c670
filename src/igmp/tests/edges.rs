//! What happens at the very moment, at the very limit, and what is left alone.

use super::*;
use crate::igmp::packet::MessageKind as Kind;
use crate::igmp::{GroupView, IgmpNotice, MAX_NOTICES, MAX_WAITING, Outbox};
use crate::types::SourceGroup;

const LOWER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 51);

impl Wire {
    fn only_group(&self) -> GroupView {
        let mut views = self.igmp.group_views(self.now, LINK);
        let only = views.next().expect("a group");
        assert!(views.next().is_none());
        only
    }
}

#[test]
fn v3_10_an_older_host_counts_to_the_very_end_of_its_interval() {
    for (version, report) in [
        (IgmpVersion::V1, Wire::report_v1 as fn(&mut Wire, Ipv4Addr)),
        (IgmpVersion::V2, Wire::report_v2),
    ] {
        let mut wire = Wire::settled(IgmpSettings::default());
        report(&mut wire, GROUP);
        // 2 x 125 s + 10 s (RFC 9776 section 8.13); the group stays for ten more.
        wire.pass(secs(260.0) - Duration::from_nanos(1));
        assert_eq!(wire.only_group().version, version);
        wire.pass(Duration::from_nanos(1));
        assert_eq!(wire.only_group().version, IgmpVersion::V3);
    }
}

#[test]
fn a_group_is_shown_as_it_is() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let since = wire.now;
    wire.report(HOST, RecordKind::Allow, GROUP, &[s(1), s(2)]);
    let ends = Some(since.plus(secs(270.0)));
    let view = wire.only_group();
    assert_eq!((view.excludes, view.expires, view.since), (false, None, Some(since)));
    assert_eq!(view.sources, [(s(1), ends), (s(2), ends)]);
    assert_eq!((view.hosts, view.is_static, view.last_reporter), (None, false, Some(HOST)));
    wire.pass(secs(1.0));
    wire.report(OTHER_HOST, RecordKind::IsEx, GROUP, &[s(2), s(3)]);
    let view = wire.only_group();
    assert_eq!((view.excludes, view.expires), (true, Some(wire.now.plus(secs(270.0)))));
    assert_eq!((view.since, view.last_reporter), (Some(since), Some(OTHER_HOST)));
    assert_eq!(view.sources, [(s(2), ends), (s(3), None)]);
    assert_eq!(wire.igmp.interfaces().collect::<Vec<_>>(), [LINK]);
}

#[test]
fn what_came_and_what_was_sent_is_counted() {
    let mut wire = Wire::settled(IgmpSettings::default());
    assert_eq!(wire.counters().general_queries_sent, 3);
    wire.report_v2(GROUP);
    wire.leave(GROUP);
    wire.pass(secs(5.0));
    wire.report(HOST, RecordKind::Allow, GROUP, &[s(1)]);
    wire.report(HOST, RecordKind::Block, GROUP, &[s(1)]);
    wire.pass(secs(5.0));
    let counters = wire.counters();
    assert_eq!((counters.group_queries_sent, counters.group_source_queries_sent), (2, 2));
    let received = |kind: Kind| counters.received[kind as usize];
    let seen = [Kind::ReportV2, Kind::Leave, Kind::ReportV3, Kind::ReportV1].map(received);
    assert_eq!(seen, [1, 1, 2, 0]);
    assert!(counters.drops.is_empty(), "{:?}", counters.drops);
    assert!(wire.notices.is_empty(), "{:?}", wire.notices);
}

#[test]
fn what_waits_for_one_link_goes_with_it_and_another_link_keeps_its_own() {
    let mut igmp = Igmp::default();
    let other = IfIndex(8);
    for index in [LINK, other] {
        igmp.configure(Time(0), index, Some(interface(IgmpSettings::default())));
    }
    igmp.configure(Time(0), LINK, None);
    let packets: Vec<IfIndex> =
        std::iter::from_fn(|| igmp.poll_transmit()).map(|packet| packet.index).collect();
    assert_eq!(packets, [other]);
}

#[test]
fn another_mtu_is_no_new_beginning_and_another_address_is() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.query(LOWER, None, false, &[]);
    wire.report_v2(GROUP);
    let before = interface(IgmpSettings::default());
    let jumbo = Interface { mtu: 9000, ..before.clone() };
    wire.igmp.configure(wire.now, LINK, Some(jumbo));
    wire.collect();
    assert_eq!((wire.is_querier(), wire.general()), (false, vec![]));
    let addresses = vec!["10.0.0.7/24".parse().expect("a prefix")];
    wire.igmp.configure(wire.now, LINK, Some(Interface { addresses, ..before }));
    wire.collect();
    assert_eq!((wire.is_querier(), wire.general()), (true, vec![0.0]), "found anew");
    // What was known goes on, and ends in its time.
    assert_eq!(wire.wanted(), excluding(&[]));
    wire.pass(secs(400.0));
    assert_eq!(wire.wanted(), None);
}

/// RFC 9776 section 8.5: half of the response interval that its general queries say, whatever others say.
#[test]
fn v2_4_how_long_another_querier_may_be_silent() {
    let given_up = |queries: &dyn Fn(&mut Wire)| {
        let mut wire = Wire::settled(IgmpSettings::default());
        queries(&mut wire);
        assert_eq!(wire.notices.len(), 1, "elected once: {:?}", wire.notices);
        let shown = wire.igmp.view(LINK).expect("it runs");
        shown.other_querier_present_interval.as_secs_f64()
    };
    let general = |wire: &mut Wire, response: f64| {
        let query = QueryToSend { max_response: secs(response), ..other(None, false) };
        wire.hear(&encode_query(LOWER, &query));
    };
    let of_group = |wire: &mut Wire| wire.query(LOWER, Some(GROUP), false, &[]);
    assert_eq!(given_up(&|wire| general(wire, 8.0)), 184.0);
    let faster = |wire: &mut Wire| {
        general(wire, 8.0);
        general(wire, 6.0);
    };
    assert_eq!(given_up(&faster), 183.0);
    let of_both = |wire: &mut Wire| {
        general(wire, 8.0);
        of_group(wire);
    };
    assert_eq!(given_up(&of_both), 184.0);
    // It has not said: ours.
    assert_eq!(given_up(&of_group), 185.0);
}

#[test]
fn v2_6_one_question_is_one_question_and_three_are_three() {
    for (count, times) in [(1, vec![0.0]), (3, vec![0.0, 1.0, 2.0])] {
        let settings =
            IgmpSettings { last_member_query_count: Some(count), ..IgmpSettings::default() };
        let mut wire = Wire::settled(settings);
        wire.report(HOST, RecordKind::Allow, GROUP, &[s(1), s(2)]);
        wire.report(HOST, RecordKind::Block, GROUP, &[s(1)]);
        wire.pass(secs(f64::from(count)));
        let expected: Vec<_> = times.into_iter().map(|at| (at, false, vec![s(1)])).collect();
        assert_eq!(wire.about_groups(), expected);
        assert_eq!(wire.wanted(), including(&[s(2)]));
        // Nothing is left to be done soon.
        let next = wire.igmp.next_timeout().expect("the next query");
        assert!(next.since(wire.now) > secs(5.0), "{:?}", next.since(wire.now));
    }
}

/// RFC 9776 section 6.6.3.2: the S flag is for timers that are larger than the last member query time.
#[test]
fn v3_8_a_timer_of_the_last_member_query_time_is_not_larger() {
    // A membership interval of 2 x 0.5 s + 2 x 0.75 s: half a second later as much as is left.
    let settings = IgmpSettings {
        query_interval: secs(0.5),
        query_response_interval: secs(0.75),
        ..IgmpSettings::default()
    };
    for (half, suppress) in [(0.5, false), (0.6, true)] {
        let mut wire = Wire::settled(settings.clone());
        wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
        wire.report(HOST, RecordKind::ToIn, GROUP, &[]);
        wire.pass(secs(half));
        wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
        wire.pass(secs(1.1 - half));
        assert_eq!(wire.about_groups()[1..], [(1.0, suppress, vec![])], "after {half} s");
        let mut wire = Wire::settled(settings.clone());
        wire.report(HOST, RecordKind::Allow, GROUP, &[s(1), s(2)]);
        wire.report(HOST, RecordKind::Block, GROUP, &[s(1), s(2)]);
        wire.pass(secs(half));
        wire.report(HOST, RecordKind::IsIn, GROUP, &[s(1)]);
        wire.pass(secs(1.1 - half));
        let expected = match suppress {
            false => vec![(1.0, false, vec![s(1), s(2)])],
            true => vec![(1.0, true, vec![s(1)]), (1.0, false, vec![s(2)])],
        };
        assert_eq!(wire.about_groups()[1..], expected, "after {half} s");
    }
}

/// Hosts told apart: one that adds sources wants all of them, one that was silent too long wants none.
#[test]
fn the_last_host_that_is_told_apart_ends_a_group() {
    let settings = IgmpSettings { immediate_leave: true, ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings.clone());
    for source in [s(1), s(1), s(2)] {
        wire.report(HOST, RecordKind::Allow, GROUP, &[source]);
        assert!(wire.wanted().is_some());
        assert_eq!(wire.only_group().hosts, Some(1));
    }
    wire.report(HOST, RecordKind::Block, GROUP, &[s(1)]);
    assert_eq!(wire.only_group().hosts, Some(1), "it wants the other one");
    wire.report(HOST, RecordKind::Block, GROUP, &[s(2)]);
    assert_eq!(wire.wanted(), None, "at once");

    // Silent for the membership interval, to the nanosecond.
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    wire.pass(secs(10.0));
    wire.report(OTHER_HOST, RecordKind::IsEx, GROUP, &[]);
    assert_eq!(wire.only_group().hosts, Some(2));
    wire.pass(secs(260.0));
    wire.report(OTHER_HOST, RecordKind::ToIn, GROUP, &[]);
    assert_eq!(wire.wanted(), None, "the other one has been silent for 270 s");

    // Hosts of older versions are not told apart, nor are more than 256.
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    wire.report_v2(GROUP);
    assert_eq!(wire.only_group().hosts, None);
    wire.report(HOST, RecordKind::ToIn, GROUP, &[]);
    assert!(wire.wanted().is_some(), "somebody else may want it");
    let addresses = vec!["10.0.0.5/16".parse().expect("a prefix")];
    let mut wire = Wire::on(Interface { addresses, ..interface(settings) });
    for n in 0..=255 {
        wire.report(Ipv4Addr::new(10, 0, 1, n), RecordKind::IsEx, GROUP, &[]);
    }
    assert_eq!(wire.only_group().hosts, Some(256));
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    assert_eq!(wire.only_group().hosts, None);
}

#[test]
fn sources_that_are_no_hosts_are_left_out() {
    let mut wire = Wire::settled(IgmpSettings::default());
    let none = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(224, 1, 1, 1), s(1)];
    wire.report(HOST, RecordKind::IsIn, GROUP, &none);
    assert_eq!(wire.wanted(), including(&[s(1)]));
}

#[test]
fn who_leaves_what_nobody_has_takes_no_room_and_a_limit_is_reached_beyond_it() {
    let settings = IgmpSettings { max_groups: 1, max_sources: 2, ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings);
    wire.report(HOST, RecordKind::ToEx, GROUP, &[s(1), s(2)]);
    assert_eq!((wire.wanted(), wire.drops("source_limit")), (excluding(&[s(1), s(2)]), 0));
    let unknown = Ipv4Addr::new(239, 1, 1, 2);
    for kind in [RecordKind::ToIn, RecordKind::IsIn, RecordKind::Allow, RecordKind::Block] {
        wire.report(HOST, kind, unknown, &[]);
    }
    wire.report(HOST, RecordKind::Block, unknown, &[s(1)]);
    assert_eq!((wire.drops("group_limit"), wire.notices.len()), (0, 0));
    wire.report(HOST, RecordKind::Allow, unknown, &[s(1)]);
    assert_eq!((wire.drops("group_limit"), wire.notices.len()), (1, 1));
}

#[test]
fn members_of_the_file_and_of_hosts_want_the_same_once() {
    let with = |source| {
        let static_joins = vec![SourceGroup { group: GROUP, source }];
        let mut wire = Wire::settled(IgmpSettings { static_joins, ..IgmpSettings::default() });
        assert!(wire.only_group().is_static);
        wire.report_v2(Ipv4Addr::new(239, 9, 9, 9));
        let shown: Vec<bool> =
            wire.igmp.group_views(wire.now, LINK).map(|group| group.is_static).collect();
        assert_eq!(shown, [true, false]);
        wire
    };
    let mut wire = with(Some(s(1)));
    wire.report(HOST, RecordKind::IsIn, GROUP, &[s(1), s(2)]);
    assert_eq!(wire.wanted(), including(&[s(1), s(2)]));
    let mut wire = with(None);
    wire.report(HOST, RecordKind::IsEx, GROUP, &[s(1)]);
    assert_eq!(wire.wanted(), excluding(&[]));
}

#[test]
fn a_group_ends_with_its_timer() {
    let mut wire = Wire::settled(IgmpSettings::default());
    wire.report(HOST, RecordKind::IsEx, GROUP, &[]);
    wire.pass(secs(270.0) - Duration::from_nanos(1));
    assert_eq!(wire.wanted(), excluding(&[]));
    wire.pass(Duration::from_nanos(1));
    assert_eq!(wire.wanted(), None);
}

#[test]
fn v3_8_what_is_asked_once_is_not_asked_again_though_it_was_answered() {
    let settings = IgmpSettings { last_member_query_count: Some(1), ..IgmpSettings::default() };
    let mut wire = Wire::settled(settings);
    wire.report(HOST, RecordKind::Allow, GROUP, &[s(1), s(2)]);
    wire.report(HOST, RecordKind::Block, GROUP, &[s(1)]);
    wire.pass(secs(0.5));
    wire.report(OTHER_HOST, RecordKind::IsIn, GROUP, &[s(1)]);
    wire.pass(secs(5.0));
    assert_eq!(wire.about_groups(), [(0.0, false, vec![s(1)])]);
    assert_eq!(wire.wanted(), including(&[s(1), s(2)]));
}

#[test]
fn so_much_waits_to_be_fetched_and_no_more() {
    let mut out = Outbox::default();
    assert!((0..MAX_WAITING).all(|_| out.send(LINK, Vec::new())));
    assert!(!out.send(LINK, Vec::new()));
    let notice = || IgmpNotice::Querier { index: LINK, querier: None };
    (0..=MAX_NOTICES).for_each(|_| out.tell(notice()));
    assert_eq!((out.packets.len(), out.notices.len()), (MAX_WAITING, MAX_NOTICES));
}
