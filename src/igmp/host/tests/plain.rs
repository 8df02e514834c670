//! Versions 1 and 2, which know members and not sources (RFC 2236 section 3, RFC 1112 appendix I).

use super::*;
use crate::igmp::packet::{encode_report_v1, encode_report_v2};

fn v2() -> Bench {
    Bench::new(HostMode::Forced(IgmpVersion::V2))
}

#[test]
fn a_join_is_reported_twice_and_a_leave_once() {
    let mut bench = v2();
    assert_eq!(bench.want(G, exclude(&[])), [Said::ReportV2(G)]);
    let later = bench.pass(seconds(100));
    assert_eq!(later.len(), 1);
    // Within the unsolicited report interval of version 2, 10 s (RFC 2236 section 8.10).
    assert!(later[0].0 <= seconds(10) && later[0].1 == Said::ReportV2(G));
    assert_eq!(bench.leave(G), [Said::Leave(G)]);
    assert_eq!(bench.hear(seconds(100)), []);
    assert_eq!((bench.host.groups(LINK).count(), bench.host.next_timeout()), (0, None));
}

#[test]
fn the_repetition_uses_its_whole_time() {
    let latest = (0..50).map(|seed| {
        let mut bench = Bench::seeded(HostMode::Forced(IgmpVersion::V2), seed);
        bench.want(G, exclude(&[]));
        bench.pass(seconds(100))[0].0
    });
    assert!(latest.max() > Some(seconds(8)));
}

#[test]
fn version_1_has_no_leave() {
    let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V1));
    assert_eq!(bench.want(G, exclude(&[])), [Said::ReportV1(G)]);
    assert_eq!(bench.hear(seconds(100)), [Said::ReportV1(G)]);
    bench.general_query(IgmpVersion::V1);
    assert_eq!(bench.hear(seconds(10)), [Said::ReportV1(G)]);
    assert_eq!(bench.leave(G), []);
    assert_eq!(bench.hear(seconds(100)), []);
}

#[test]
fn sources_cannot_be_said() {
    let mut bench = v2();
    assert_eq!(bench.want(G, include(&[1])), [Said::ReportV2(G)]);
    bench.settle();
    for reception in [include(&[2, 3]), exclude(&[1]), exclude(&[]), include(&[9])] {
        assert_eq!(bench.want(G, reception.clone()), [], "still a member");
        assert_eq!(bench.host.groups(LINK).next().expect("it").wanted, &reception);
    }
    assert_eq!(bench.hear(seconds(100)), []);
    assert_eq!(bench.want(G, include(&[])), [Said::Leave(G)]);
}

#[test]
fn a_general_query_is_answered_by_one_report_of_each_group() {
    let mut bench = v2();
    bench.want(G, exclude(&[]));
    bench.want(H, exclude(&[]));
    bench.settle();
    bench.general_query(IgmpVersion::V2);
    let answers = bench.pass(seconds(10));
    let groups: BTreeSet<_> = answers.iter().map(|(_, said)| format!("{said:?}")).collect();
    assert_eq!((answers.len(), groups.len()), (2, 2));
    assert_ne!(answers[0].0, answers[1].0, "each at its own time");
    assert_eq!(bench.hear(seconds(100)), []);
}

#[test]
fn a_group_query_is_answered_within_its_time_for_its_group() {
    let mut bench = v2();
    bench.want(G, exclude(&[]));
    bench.want(H, exclude(&[]));
    bench.settle();
    let to_g = QueryToSend {
        version: IgmpVersion::V2,
        group: Some(G),
        max_response: seconds(1),
        ..query()
    };
    bench.query(to_g);
    assert_eq!(bench.hear(seconds(1)), [Said::ReportV2(G)]);
    // A timer that ends in time is kept, one that ends too late is not (RFC 2236 section 3).
    bench.query(QueryToSend { max_response: seconds(25), ..to_g });
    bench.query(QueryToSend { max_response: Duration::from_millis(200), ..to_g });
    let answers = bench.pass(seconds(30));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= Duration::from_millis(200));
    bench.query(QueryToSend { max_response: Duration::from_millis(200), ..to_g });
    bench.query(QueryToSend { max_response: seconds(25), ..to_g });
    let answers = bench.pass(seconds(30));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= Duration::from_millis(200));
}

#[test]
fn a_host_that_others_spoke_for_keeps_silent_and_leaves_silently() {
    for by_version_1 in [false, true] {
        let report = |group| match by_version_1 {
            true => encode_report_v1(OTHER_HOST, group),
            false => encode_report_v2(OTHER_HOST, group),
        };
        let mut bench = v2();
        bench.want(G, exclude(&[]));
        bench.packet(&report(G));
        assert_eq!(bench.hear(seconds(100)), [], "the repetition is not needed");
        bench.general_query(IgmpVersion::V2);
        bench.packet(&report(H));
        assert_eq!(bench.hear(seconds(10)), [Said::ReportV2(G)], "it was for another group");
        // Without a timer a report says nothing of who was last (RFC 2236 section 6, "idle member").
        bench.packet(&report(G));
        assert!(bench.host.groups(LINK).next().expect("it").last_reporter);
        bench.general_query(IgmpVersion::V2);
        bench.packet(&report(G));
        assert_eq!(bench.hear(seconds(10)), []);
        assert_eq!(bench.leave(G), [], "another one is there");
        // After a report of our own it is us again.
        bench.want(G, exclude(&[]));
        assert_eq!(bench.leave(G), [Said::Leave(G)]);
    }
}

#[test]
fn after_a_link_flap_all_is_reported_again() {
    let mut bench = v2();
    bench.want(G, exclude(&[]));
    bench.settle();
    bench.host.rejoin(bench.now, LINK);
    assert_eq!(bench.said(), [Said::ReportV2(G)]);
    assert_eq!(bench.hear(seconds(10)), [Said::ReportV2(G)]);
}
