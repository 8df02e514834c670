//! Which version is spoken (RFC 9776 section 7.2.1).

use super::*;
use IgmpVersion::{V1, V2, V3};

/// Robustness 2 x 125 s + 10 x the 10 s of the query (section 8.13).
const PRESENT: Duration = Duration::from_secs(350);

fn nearly(time: Duration) -> Duration {
    time - Duration::from_nanos(1)
}

#[test]
fn v3_3_an_older_querier_is_followed_until_it_was_silent_for_its_time() {
    for older in [V1, V2] {
        let mut bench = Bench::new(HostMode::Own);
        assert_eq!(bench.version(), V3);
        bench.general_query(older);
        assert_eq!(bench.version(), older);
        bench.pass(seconds(300));
        bench.general_query(older);
        let until = bench.host.view(LINK).expect("configured").older_querier_until;
        assert_eq!(until, Some(bench.now.plus(PRESENT)));
        bench.pass(nearly(PRESENT));
        assert_eq!(bench.version(), older);
        bench.pass(Duration::from_nanos(1));
        assert_eq!(bench.version(), V3);
        assert_eq!(bench.host.next_timeout(), None);
    }
}

#[test]
fn the_time_follows_from_the_querys_own_max_response() {
    let mut bench = Bench::new(HostMode::Own);
    bench.query(QueryToSend { version: V2, max_response: seconds(2), ..query() });
    bench.pass(nearly(seconds(270)));
    assert_eq!(bench.version(), V2);
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.version(), V3);
}

#[test]
fn version_1_goes_before_version_2_and_back_to_it() {
    let mut bench = Bench::new(HostMode::Own);
    bench.general_query(V1);
    bench.pass(seconds(100));
    bench.general_query(V2);
    assert_eq!(bench.version(), V1);
    bench.pass(seconds(250));
    assert_eq!(bench.version(), V2);
    bench.pass(nearly(seconds(100)));
    assert_eq!(bench.version(), V2);
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.version(), V3);
}

#[test]
fn only_general_queries_of_version_2_count_and_newer_ones_end_nothing() {
    let mut bench = Bench::new(HostMode::Own);
    bench.query(QueryToSend { version: V2, group: Some(G), ..query() });
    assert_eq!(bench.version(), V3);
    bench.general_query(V2);
    bench.general_query(V3);
    assert_eq!(bench.version(), V2);
    let querier = bench.host.view(LINK).expect("configured").querier.expect("heard");
    let heard = HeardQuerier { address: QUERIER, version: V3, at: bench.now };
    assert_eq!(querier, heard);
}

#[test]
fn a_change_of_the_version_ends_all_that_is_pending_and_the_query_is_answered_in_it() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.want(H, exclude(&[]));
    bench.settle();
    bench.query(QueryToSend { max_response: seconds(3000), ..query() });
    bench.query(QueryToSend { group: Some(G), max_response: seconds(3000), ..query() });
    bench.leave(H);
    bench.general_query(V2);
    assert_eq!(bench.host.groups(LINK).count(), 1, "what was left is forgotten");
    assert_eq!(bench.hear(seconds(345)), [Said::ReportV2(G)]);
    // A leave for what was reported by version 3 only is sent as well: others must not miss it.
    bench.general_query(V2);
    assert_eq!(bench.leave(G), [Said::Leave(G)]);
    // Back: what version 2 had pending ends too.
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.general_query(V2);
    bench.pass(nearly(PRESENT));
    bench.query(QueryToSend { version: V2, group: Some(G), max_response: seconds(20), ..query() });
    assert_eq!(bench.hear(seconds(100)), []);
    assert_eq!(bench.version(), V3);
    bench.general_query(V3);
    let everything = Said::V3(vec![(RecordKind::IsEx, G, Vec::new())]);
    assert_eq!(bench.hear(seconds(10)), [everything]);
}

#[test]
fn a_forced_version_stays_whatever_is_heard_and_answers_queries_of_all() {
    for forced in [V1, V2, V3] {
        let mut bench = Bench::new(HostMode::Forced(forced));
        bench.want(G, exclude(&[]));
        bench.settle();
        for heard in [V1, V2, V3] {
            bench.general_query(heard);
            assert_eq!(bench.version(), forced);
            let expected = match forced {
                V1 => Said::ReportV1(G),
                V2 => Said::ReportV2(G),
                V3 => Said::V3(vec![(RecordKind::IsEx, G, Vec::new())]),
            };
            assert_eq!(bench.hear(seconds(10)), [expected], "{forced:?} asked by {heard:?}");
        }
    }
}

#[test]
fn another_version_by_the_file_tells_all_in_it() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, include(&[1]));
    bench.settle();
    bench.configure(HostMode::Forced(V2));
    assert_eq!(bench.said(), [Said::ReportV2(G)]);
    assert_eq!(bench.hear(seconds(20)), [Said::ReportV2(G)]);
    // What was heard meanwhile counts where the version is no longer forced.
    bench.general_query(V1);
    bench.pass(seconds(20));
    bench.configure(HostMode::Own);
    assert_eq!((bench.version(), bench.said()), (V1, vec![Said::ReportV1(G)]));
    bench.configure(HostMode::Forced(V3));
    assert_eq!(bench.said(), [Said::V3(vec![(RecordKind::Allow, G, vec![1])])]);
}
