//! What is said once more, and what is not said any more.

use super::*;
use crate::igmp::packet::Invalid;

fn general(robustness: u8) -> QueryToSend<'static> {
    QueryToSend { robustness, max_response: seconds(1), ..query() }
}

#[test]
fn plain_reports_are_repeated_as_often_as_the_robustness_says() {
    let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V2));
    bench.query(general(4));
    bench.hear(seconds(20));
    let at_once = bench.want(G, exclude(&[]));
    let later = bench.hear(seconds(60));
    assert_eq!((at_once.len(), later), (1, vec![Said::ReportV2(G); 3]));
}

/// Who missed the change of the mode knows the group in the other mode.
#[test]
fn a_change_of_the_mode_that_is_being_told_stays_one_when_all_is_told_again() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.hear(seconds(30));
    let first = bench.want(G, include(&[1]));
    assert_eq!(first, [Said::V3(vec![(RecordKind::ToIn, G, vec![1])])]);
    bench.host.rejoin(bench.now, LINK);
    let mut again = bench.said();
    again.extend(bench.hear(seconds(30)));
    assert_eq!(again, vec![Said::V3(vec![(RecordKind::ToIn, G, vec![1])]); 2]);
    // Told to the end it is the sources that are told.
    bench.host.rejoin(bench.now, LINK);
    let mut again = bench.said();
    again.extend(bench.hear(seconds(30)));
    assert_eq!(again, vec![Said::V3(vec![(RecordKind::Allow, G, vec![1])]); 2]);
}

#[test]
fn a_group_that_is_being_left_is_not_reported_to_who_asks() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, include(&[1]));
    bench.want(H, exclude(&[]));
    bench.hear(seconds(30));
    bench.query(general(2));
    bench.leave(G);
    let said = bench.hear(seconds(30));
    let answers: Vec<_> = said
        .iter()
        .filter_map(|said| match said {
            Said::V3(records) => Some(records),
            _ => None,
        })
        .flatten()
        .filter(|(kind, ..)| matches!(kind, RecordKind::IsIn | RecordKind::IsEx))
        .collect();
    assert_eq!(answers, [&(RecordKind::IsEx, H, vec![])]);
}

#[test]
fn what_was_not_valid_is_counted_and_what_was_valid_is_not() {
    let mut bench = Bench::new(HostMode::Own);
    bench.query(general(2));
    let invalid = |bench: &Bench| {
        let counters = bench.host.counters(LINK).expect("it runs");
        [Invalid::IpHeader, Invalid::Checksum].map(|reason| counters.invalid(reason))
    };
    assert_eq!(invalid(&bench), [0, 0]);
    let mut damaged = encode_query(QUERIER, &general(2));
    *damaged.last_mut().expect("a packet") ^= 1;
    for packet in [&[0; 20][..], &[0; 20], &damaged] {
        bench.packet(packet);
    }
    assert_eq!(invalid(&bench), [2, 1]);
}

#[test]
fn the_same_interface_again_changes_nothing() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.hear(seconds(30));
    bench.configure(HostMode::Own);
    assert_eq!(bench.hear(seconds(30)), []);
}

/// Another version ends what was still to be answered: later on nobody is told of it.
#[test]
fn what_was_asked_before_another_version_is_not_answered_after_it() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, include(&[1, 2]));
    bench.settle();
    let of = |source: Ipv4Addr| {
        encode_query(QUERIER, &QueryToSend { group: Some(G), sources: &[source], ..query() })
    };
    bench.packet(&of(source(1)));
    bench.general_query(IgmpVersion::V2);
    bench.pass(seconds(400));
    assert_eq!(bench.version(), IgmpVersion::V3);
    bench.packet(&of(source(2)));
    assert_eq!(bench.hear(seconds(20)), [Said::V3(vec![(RecordKind::IsIn, G, vec![2])])]);
}

/// RFC 9776 section 9.1: who is asked of more than can be kept answers for the whole group.
#[test]
fn of_a_group_so_many_sources_may_be_asked_and_no_more() {
    use crate::igmp::host::group::{Group, MAX_ASKED};
    let asked = |count: usize| {
        let others =
            (1..count).map(|n| Ipv4Addr::from(0x0a0a_0000 + u32::try_from(n).expect("small")));
        let mut group = Group::new();
        group.replace(include(&[1, 2]));
        group.ask(std::iter::once(source(1)).chain(others), false);
        group.answer()
    };
    assert_eq!(asked(MAX_ASKED), Some((RecordKind::IsIn, vec![source(1)])));
    assert_eq!(asked(MAX_ASKED + 1), Some((RecordKind::IsIn, vec![source(1), source(2)])));
}

/// Versions 1 and 2: of a flood of queries few are answered, each that comes a while after the last one is.
#[test]
fn a_query_after_the_least_time_to_answer_is_answered_anew() {
    let least = Duration::from_millis(100);
    for (pause, expected) in [(least - Duration::from_nanos(1), 1), (least, 2)] {
        let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V2));
        bench.want(G, exclude(&[]));
        bench.settle();
        let ask = |bench: &mut Bench| bench.query(QueryToSend { max_response: least, ..query() });
        ask(&mut bench);
        let mut answers = bench.hear(pause);
        ask(&mut bench);
        answers.extend(bench.hear(seconds(1)));
        assert_eq!(answers, vec![Said::ReportV2(G); expected], "after {pause:?}");
    }
}

/// RFC 2236 section 3: a delay is drawn anew where less than what remains is allowed.
#[test]
fn a_report_that_is_due_when_the_time_to_answer_ends_keeps_its_time() {
    let least = Duration::from_millis(100);
    let answers = |asked_again_after: Option<Duration>| {
        let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V2));
        bench.want(G, exclude(&[]));
        bench.settle();
        bench.query(QueryToSend { max_response: seconds(10), ..query() });
        if let Some(pause) = asked_again_after {
            assert_eq!(bench.hear(pause), []);
            bench.query(QueryToSend { max_response: least, ..query() });
        }
        bench.pass(seconds(20))
    };
    // The seed is the same, and so is the delay.
    let once = answers(None);
    let again = answers(Some(once[0].0 - least));
    assert_eq!(again, [(least, Said::ReportV2(G))]);
    // A nanosecond more is too much.
    let sooner = answers(Some(once[0].0 - least - Duration::from_nanos(1)));
    assert!(sooner.len() == 1 && sooner[0].0 <= least, "{sooner:?}");
}
