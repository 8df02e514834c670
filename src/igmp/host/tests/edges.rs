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
