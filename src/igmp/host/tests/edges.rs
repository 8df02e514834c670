//! What is said once more, and what is not said any more.

use super::*;
use crate::igmp::packet::Invalid;

fn general_v3(robustness: u8) -> Vec<u8> {
    let query = QueryToSend {
        version: IgmpVersion::V3,
        group: None,
        max_response: Duration::from_secs(1),
        suppress: false,
        robustness,
        interval: Duration::from_secs(125),
        sources: &[],
    };
    encode_query(QUERIER, &query)
}

#[test]
fn plain_reports_are_repeated_as_often_as_the_robustness_says() {
    let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V2));
    bench.packet(&general_v3(4));
    bench.hear(Duration::from_secs(20));
    let at_once = bench.want(G, exclude(&[]));
    let later = bench.hear(Duration::from_secs(60));
    assert_eq!((at_once.len(), later), (1, vec![Said::ReportV2(G); 3]));
}

/// Who missed the change of the mode knows the group in the other mode.
#[test]
fn a_change_of_the_mode_that_is_being_told_stays_one_when_all_is_told_again() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.hear(Duration::from_secs(30));
    let first = bench.want(G, include(&[1]));
    assert_eq!(first, [Said::V3(vec![(RecordKind::ToIn, G, vec![1])])]);
    bench.host.rejoin(bench.now, LINK);
    let mut again = bench.said();
    again.extend(bench.hear(Duration::from_secs(30)));
    assert_eq!(again, vec![Said::V3(vec![(RecordKind::ToIn, G, vec![1])]); 2]);
    // Told to the end it is the sources that are told.
    bench.host.rejoin(bench.now, LINK);
    let mut again = bench.said();
    again.extend(bench.hear(Duration::from_secs(30)));
    assert_eq!(again, vec![Said::V3(vec![(RecordKind::Allow, G, vec![1])]); 2]);
}

#[test]
fn a_group_that_is_being_left_is_not_reported_to_who_asks() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, include(&[1]));
    bench.want(H, exclude(&[]));
    bench.hear(Duration::from_secs(30));
    bench.packet(&general_v3(2));
    bench.leave(G);
    let said = bench.hear(Duration::from_secs(30));
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
    bench.packet(&general_v3(2));
    let invalid = |bench: &Bench| {
        let counters = bench.host.counters(LINK).expect("it runs");
        [Invalid::IpHeader, Invalid::Checksum].map(|reason| counters.invalid(reason))
    };
    assert_eq!(invalid(&bench), [0, 0]);
    let mut damaged = general_v3(2);
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
    bench.hear(Duration::from_secs(30));
    bench.configure(HostMode::Own);
    assert_eq!(bench.hear(Duration::from_secs(30)), []);
}
