//! How version 3 queries are answered (RFC 9776 section 5.2).

use super::*;
use RecordKind::{IsEx, IsIn};

fn group_query(sources: &[Ipv4Addr]) -> QueryToSend<'_> {
    QueryToSend { group: Some(G), max_response: seconds(1), sources, ..query() }
}

fn ready() -> Bench {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, include(&[1, 2, 3]));
    bench.want(H, exclude(&[7]));
    bench.settle();
    bench
}

fn is_in(sources: &[u8]) -> Said {
    Said::V3(vec![(IsIn, G, sources.to_vec())])
}

fn everything() -> Said {
    Said::V3(vec![(IsIn, G, vec![1, 2, 3]), (IsEx, H, vec![7])])
}

#[test]
fn a_general_query_is_answered_once_within_its_time_with_all_there_is() {
    let mut latest = Duration::ZERO;
    for seed in 0..40 {
        let mut bench = Bench::seeded(HostMode::Own, seed);
        bench.want(G, include(&[1, 2, 3]));
        bench.want(H, exclude(&[7]));
        bench.settle();
        bench.general_query(IgmpVersion::V3);
        assert!(bench.said().is_empty(), "not at once");
        let answers = bench.pass(seconds(100));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1, everything());
        assert!(answers[0].0 <= seconds(10));
        latest = latest.max(answers[0].0);
    }
    assert!(latest > seconds(8), "delays fill the time to answer");
}

#[test]
fn rule_1_an_earlier_general_answer_answers_a_later_query_too() {
    let mut bench = ready();
    bench.query(QueryToSend { max_response: Duration::from_millis(100), ..query() });
    bench.query(QueryToSend { group: Some(G), max_response: seconds(3000), ..query() });
    bench.query(QueryToSend { max_response: seconds(3000), ..query() });
    let answers = bench.pass(seconds(4000));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= Duration::from_millis(100) && answers[0].1 == everything());
}

#[test]
fn rule_2_an_earlier_new_delay_replaces_the_pending_general_answer() {
    let mut bench = ready();
    bench.query(QueryToSend { max_response: seconds(3000), ..query() });
    bench.query(QueryToSend { max_response: Duration::from_millis(100), ..query() });
    let answers = bench.pass(seconds(4000));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= Duration::from_millis(100));
}

#[test]
fn rule_3_a_specific_query_is_answered_for_its_group_and_sources() {
    let mut bench = ready();
    bench.query(group_query(&[]));
    let answers = bench.pass(seconds(100));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= seconds(1) && answers[0].1 == is_in(&[1, 2, 3]));
    bench.query(group_query(&[source(2), source(9)]));
    assert_eq!(bench.hear(seconds(9)), [is_in(&[2])], "INCLUDE (A): A*B");
    bench.query(QueryToSend { group: Some(H), ..group_query(&[source(7), source(9)]) });
    let of_h = Said::V3(vec![(IsIn, H, vec![9])]);
    assert_eq!(bench.hear(seconds(9)), [of_h], "EXCLUDE (A): B-A");
    bench.query(group_query(&[source(9)]));
    bench.query(QueryToSend { group: Some(H), ..group_query(&[source(7)]) });
    let unknown = Some(Ipv4Addr::new(239, 9, 9, 9));
    bench.query(QueryToSend { group: unknown, ..group_query(&[]) });
    assert_eq!(bench.hear(seconds(9)), [], "nothing to be said");
}

#[test]
fn rule_4_the_whole_group_once_asked_stays_asked() {
    let one = [source(1)];
    for queries in [[group_query(&one), group_query(&[])], [group_query(&[]), group_query(&one)]] {
        let mut bench = ready();
        queries.into_iter().for_each(|query| bench.query(query));
        assert_eq!(bench.hear(seconds(9)), [is_in(&[1, 2, 3])]);
        // And what was asked is forgotten then.
        bench.query(group_query(&one));
        assert_eq!(bench.hear(seconds(9)), [is_in(&[1])]);
    }
}

#[test]
fn rule_5_sources_asked_for_add_up_and_are_answered_at_the_earlier_time() {
    let mut bench = ready();
    let (one, three) = ([source(1)], [source(3)]);
    bench.query(QueryToSend { max_response: Duration::from_millis(100), ..group_query(&one) });
    bench.query(QueryToSend { max_response: seconds(3000), ..group_query(&three) });
    let answers = bench.pass(seconds(4000));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].1, is_in(&[1, 3]));
    assert!(answers[0].0 <= Duration::from_millis(100));
    bench.query(QueryToSend { max_response: seconds(3000), ..group_query(&one) });
    bench.query(QueryToSend { max_response: Duration::from_millis(100), ..group_query(&three) });
    let answers = bench.pass(seconds(4000));
    assert_eq!(answers.len(), 1);
    assert!(answers[0].0 <= Duration::from_millis(100));
}

#[test]
fn a_general_answer_covers_what_was_asked_of_a_group() {
    let mut bench = ready();
    bench.query(QueryToSend { max_response: seconds(3000), ..group_query(&[source(1)]) });
    bench.query(QueryToSend { max_response: Duration::from_millis(100), ..query() });
    assert_eq!(bench.hear(seconds(4000)), [everything()]);
    bench.query(group_query(&[source(2)]));
    assert_eq!(bench.hear(seconds(9)), [is_in(&[2])], "nothing is left of it");
}

#[test]
fn a_group_that_was_left_is_not_answered_for() {
    let mut bench = ready();
    bench.general_query(IgmpVersion::V3);
    bench.query(group_query(&[]));
    bench.leave(G);
    let kinds: BTreeSet<_> = bench
        .hear(seconds(20))
        .into_iter()
        .flat_map(|said| match said {
            Said::V3(records) => records,
            other => panic!("{other:?}"),
        })
        .map(|(kind, group, _)| (kind, group))
        .collect();
    assert_eq!(kinds, BTreeSet::from([(IsEx, H), (RecordKind::Block, G)]));
    bench.leave(H);
    bench.settle();
    bench.general_query(IgmpVersion::V3);
    assert_eq!(bench.host.next_timeout(), None, "nothing to report");
}

#[test]
fn a_querier_without_address_and_one_without_router_alert_are_answered() {
    let mut bench = ready();
    bench.packet(&encode_query(Ipv4Addr::UNSPECIFIED, &query()));
    assert_eq!(bench.hear(seconds(20)), [everything()]);
    let view = bench.host.view(LINK).expect("configured");
    assert_eq!(view.querier.map(|querier| querier.address), Some(Ipv4Addr::UNSPECIFIED));
    let mut packet = encode_query(QUERIER, &query());
    // The option becomes four bytes of padding; the header's checksum follows.
    packet[20..24].fill(1);
    packet[10..12].fill(0);
    let sum = crate::wire::checksum::Sum::default().bytes(&packet[..24]).fold();
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    assert!(!decode(&packet).expect("valid").router_alert);
    bench.packet(&packet);
    assert_eq!(bench.hear(seconds(20)), [everything()]);
}

#[test]
fn others_reports_do_not_keep_version_3_from_answering() {
    let mut bench = ready();
    bench.query(group_query(&[]));
    bench.packet(&crate::igmp::packet::encode_report_v2(OTHER_HOST, G));
    assert_eq!(bench.hear(seconds(9)), [is_in(&[1, 2, 3])]);
}
