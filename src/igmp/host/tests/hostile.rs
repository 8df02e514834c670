//! What comes from the link is bounded and counted.

use super::*;
use crate::igmp::host::group::{MAX_ASKED, MAX_SOURCES};
use crate::igmp::packet::{
    Invalid, MessageKind, encode_leave, encode_report_v2, encode_reports_v3,
};
use proptest::prelude::*;

fn counters(bench: &Bench) -> &HostCounters {
    bench.host.counters(LINK).expect("configured")
}

#[test]
fn what_came_and_went_is_counted() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.settle();
    bench.general_query(IgmpVersion::V3);
    bench.packet(&encode_report_v2(OTHER_HOST, G));
    bench.packet(&encode_leave(OTHER_HOST, G));
    encode_reports_v3(OTHER_HOST, &[], 1500).iter().for_each(|packet| bench.packet(packet));
    bench.general_query(IgmpVersion::V2);
    bench.hear(seconds(10));
    bench.leave(G);
    bench.packet(&[0x46; 10]);
    let counters = counters(&bench);
    let sent = [MessageKind::ReportV3, MessageKind::ReportV2, MessageKind::Leave]
        .map(|kind| counters.sent(kind));
    assert_eq!(sent, [2, 1, 1]);
    let received = MessageKind::ALL.iter().map(|kind| counters.received(*kind));
    assert_eq!(received.collect::<Vec<_>>()[..6], [0, 1, 1, 0, 1, 1]);
    assert_eq!((counters.invalid(Invalid::IpHeader), counters.given_up), (1, 0));
}

#[test]
fn v2_11_what_is_not_valid_or_not_for_us_moves_nothing() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.settle();
    let mut broken = encode_query(QUERIER, &query());
    *broken.last_mut().expect("a byte") ^= 1;
    bench.packet(&broken);
    // From ourselves, as a loop gives it back.
    bench.packet(&encode_query(US, &query()));
    // To somebody else.
    let mut elsewhere = encode_query(QUERIER, &query());
    elsewhere[16..20].copy_from_slice(&OTHER_HOST.octets());
    fix_header(&mut elsewhere);
    bench.packet(&elsewhere);
    assert_eq!(bench.host.next_timeout(), None);
    assert_eq!(counters(&bench).invalid(Invalid::Checksum), 1);
    assert_eq!(counters(&bench).not_for_us, 2);
    // To our own address it is for us.
    elsewhere[16..20].copy_from_slice(&US.octets());
    fix_header(&mut elsewhere);
    bench.packet(&elsewhere);
    assert_eq!(bench.hear(seconds(10)).len(), 1);
    bench.host.handle_packet(bench.now, IfIndex(99), &elsewhere);
    assert_eq!(bench.host.next_timeout(), None);
}

fn fix_header(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = crate::wire::checksum::Sum::default().bytes(&packet[..24]).fold();
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
}

#[test]
fn a_flood_of_queries_is_answered_at_a_bounded_rate() {
    for version in [IgmpVersion::V2, IgmpVersion::V3] {
        let mut bench = Bench::new(HostMode::Forced(version));
        bench.want(G, exclude(&[]));
        bench.settle();
        let mut answers = 0;
        for _ in 0..10_000 {
            let max_response = Duration::from_millis(100);
            bench.query(QueryToSend { version, max_response, ..query() });
            answers += bench.hear(Duration::from_micros(100)).len();
        }
        assert!((5..=11).contains(&answers), "{answers} in a second by {version:?}");
    }
}

#[test]
fn queries_for_very_many_sources_are_answered_for_the_group() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    bench.settle();
    let address = |n: usize| Ipv4Addr::from(0x0a09_0000 + u32::try_from(n).expect("small"));
    let sources: Vec<_> = (0..=MAX_ASKED).map(address).collect();
    let ask = |bench: &mut Bench, sources: &[Ipv4Addr]| {
        for sources in sources.chunks(300) {
            bench.query(QueryToSend {
                group: Some(G),
                max_response: seconds(3000),
                sources,
                ..query()
            });
        }
        bench.hear(seconds(4000))
    };
    let kinds = |said: &[Said]| match said {
        [Said::V3(records), ..] => records[0].0,
        other => panic!("{other:?}"),
    };
    assert_eq!(kinds(&ask(&mut bench, &sources[1..])), RecordKind::IsIn);
    assert_eq!(kinds(&ask(&mut bench, &sources)), RecordKind::IsEx);
}

#[test]
fn beyond_the_limits_too_much_is_asked_for_rather_than_too_little() {
    let address = |n: usize| Ipv4Addr::from(0x0a09_0000 + u32::try_from(n).expect("small"));
    for all_but in [false, true] {
        let mut bench = Bench::new(HostMode::Own);
        for (count, whole) in [(MAX_SOURCES, false), (MAX_SOURCES + 1, true)] {
            let sources: BTreeSet<_> = (0..count).map(address).collect();
            bench.want(
                G,
                match all_but {
                    true => Reception::Exclude(sources),
                    false => Reception::Include(sources),
                },
            );
            let wanted = bench.host.groups(LINK).next().expect("it").wanted.clone();
            assert_eq!(wanted == exclude(&[]), whole);
            assert_eq!(bench.set(), [], "and stays so");
        }
    }
    let mut bench = Bench::new(HostMode::Own);
    let group = |n: usize| Ipv4Addr::from(0xef00_0000 + u32::try_from(n).expect("small"));
    bench.wanted = (0..MAX_GROUPS + 3).map(|n| (group(n), exclude(&[]))).collect();
    bench.set();
    let view = bench.host.view(LINK).expect("configured");
    assert_eq!((view.groups, view.over_limit), (MAX_GROUPS, 3));
    bench.wanted = bench.wanted.split_off(&group(3));
    bench.set();
    bench.settle();
    bench.set();
    let view = bench.host.view(LINK).expect("configured");
    assert_eq!((view.groups, view.over_limit), (MAX_GROUPS, 0));
}

#[test]
fn what_nobody_fetches_is_given_up_at_last() {
    let mut bench = Bench::new(HostMode::Forced(IgmpVersion::V2));
    let group = |n: u32| Ipv4Addr::from(0xef00_0000 + n);
    bench.wanted = (0..65_536).map(|n| (group(n), exclude(&[]))).collect();
    for _ in 0..3 {
        bench.host.set(bench.now, LINK, &bench.wanted);
        bench.host.rejoin(bench.now, LINK);
    }
    assert_eq!(counters(&bench).given_up, 2 * 65_536);
    assert_eq!(bench.said().len(), MAX_WAITING);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_packet_does_harm(
        start in 0_usize..40,
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        version in 0_u8..3,
    ) {
        let version = [IgmpVersion::V1, IgmpVersion::V2, IgmpVersion::V3][usize::from(version)];
        let mut bench = Bench::new(HostMode::Own);
        bench.want(G, include(&[1, 2]));
        let sources = [source(1), source(2)];
        let group = (version != IgmpVersion::V1).then_some(G);
        let asked = QueryToSend { version, group, sources: &sources, ..query() };
        let mut packet = encode_query(QUERIER, &asked);
        for (at, byte) in noise.iter().enumerate() {
            if let Some(place) = packet.get_mut(start + at) {
                *place = *byte;
            }
        }
        bench.packet(&packet);
        bench.packet(&noise);
        bench.settle();
        prop_assert_eq!(bench.host.groups(LINK).count(), 1);
    }
}
