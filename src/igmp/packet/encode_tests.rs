use super::test_packets as wire;
use super::test_packets::{HOST, ROUTER};
use super::*;
use proptest::prelude::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const GENERAL: QueryToSend<'_> = QueryToSend {
    version: IgmpVersion::V3,
    group: None,
    max_response: Duration::from_secs(10),
    suppress: false,
    robustness: 2,
    interval: Duration::from_secs(125),
    sources: &[],
};

/// As many sources.
fn sources(count: u32) -> Vec<Ipv4Addr> {
    (0..count).map(|at| Ipv4Addr::from_bits(0x0a00_0001 + at)).collect()
}

fn query(query: &QueryToSend<'_>) -> (Duration, u8, Duration, usize) {
    let packet = encode_query(ROUTER, query);
    match decode(&packet).expect("valid").message {
        Message::Query(q) => (q.max_response, q.robustness, q.interval, q.sources.len()),
        other => panic!("{other:?}"),
    }
}

type Said = (RecordKind, Ipv4Addr, Vec<Ipv4Addr>);

fn said(packet: &[u8]) -> Vec<Said> {
    let Message::ReportV3(records) = decode(packet).expect("valid").message else {
        panic!("no report: {packet:x?}");
    };
    assert_eq!(records.skipped(), 0);
    let records = records.iter();
    records.map(|record| (record.kind, record.group, record.sources.iter().collect())).collect()
}

#[test]
fn v2_1_queries_are_these_bytes() {
    let v2 = QueryToSend { version: IgmpVersion::V2, ..GENERAL };
    assert_eq!(encode_query(ROUTER, &v2), wire::QUERY_V2);
    let group = Some(Ipv4Addr::new(239, 1, 2, 3));
    let specific = QueryToSend { group, max_response: Duration::from_secs(1), ..v2 };
    assert_eq!(encode_query(ROUTER, &specific), wire::GROUP_QUERY_V2);
    let v1 = QueryToSend { version: IgmpVersion::V1, group, ..GENERAL };
    assert_eq!(encode_query(ROUTER, &v1), wire::QUERY_V1, "version 1 asks for no group");
}

#[test]
fn v3_1_queries_are_these_bytes() {
    assert_eq!(encode_query(ROUTER, &GENERAL), wire::QUERY_V3);
    let by_source = QueryToSend {
        group: Some(SSM_GROUP),
        max_response: Duration::from_secs(1),
        suppress: true,
        sources: &[Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6)],
        ..GENERAL
    };
    assert_eq!(encode_query(ROUTER, &by_source), wire::SOURCE_QUERY_V3);
    // Older versions have no room for what is new.
    let old = QueryToSend { version: IgmpVersion::V2, ..by_source };
    assert_eq!(encode_query(ROUTER, &old).len(), 32);
}

#[test]
fn v2_1_reports_and_leaves_are_these_bytes() {
    assert_eq!(encode_report_v1(HOST, GROUP), wire::REPORT_V1);
    assert_eq!(encode_report_v2(HOST, GROUP), wire::REPORT_V2);
    assert_eq!(encode_leave(HOST, GROUP), wire::LEAVE);
}

#[test]
fn v3_2_reports_are_these_bytes() {
    let join = RecordToSend { kind: RecordKind::ToEx, group: GROUP, sources: &[] };
    assert_eq!(encode_reports_v3(HOST, &[join], 1500), [wire::JOIN_V3]);
    let wanted = [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6)];
    let state = [
        RecordToSend { kind: RecordKind::IsEx, group: GROUP, sources: &[] },
        RecordToSend { kind: RecordKind::IsIn, group: SSM_GROUP, sources: &wanted },
    ];
    assert_eq!(encode_reports_v3(HOST, &state, 1500), [wire::STATE_V3]);
    assert!(encode_reports_v3(HOST, &[], 1500).is_empty());
}

#[test]
fn v2_1_every_packet_has_ttl_1_precedence_and_router_alert() {
    let join = RecordToSend { kind: RecordKind::Allow, group: GROUP, sources: &sources(700) };
    let mut packets = encode_reports_v3(HOST, &[join], 1500);
    assert_eq!(packets.len(), 2);
    packets.push(encode_query(HOST, &GENERAL));
    packets.push(encode_report_v1(HOST, GROUP));
    packets.push(encode_report_v2(HOST, GROUP));
    packets.push(encode_leave(HOST, GROUP));
    for packet in packets {
        // Another decoder than ours.
        let (header, payload) = etherparse::Ipv4Header::from_slice(&packet).expect("IPv4");
        assert_eq!(usize::from(header.total_len), packet.len());
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!((header.time_to_live, header.protocol.0), (1, 2));
        assert_eq!((header.dscp.value(), header.ecn.value()), (0xc0 >> 2, 0));
        assert_eq!(header.options.as_ref(), [0x94, 4, 0, 0]);
        assert!(header.dont_fragment && !header.more_fragments);
        assert_eq!(header.source, HOST.octets());
        assert_eq!(payload.len(), packet.len() - 24);
        assert!(decode(&packet).expect("valid").router_alert);
    }
}

#[test]
fn v3_1_what_has_no_code_is_said_shorter_for_answers_and_longer_for_intervals() {
    let said = |version, max_response, interval| {
        let max_response = Duration::from_millis(max_response);
        let interval = Duration::from_millis(interval);
        let (max_response, _, interval, _) =
            query(&QueryToSend { version, max_response, interval, ..GENERAL });
        (max_response.as_millis(), interval.as_secs())
    };
    let v3 = IgmpVersion::V3;
    assert_eq!(said(v3, 12_700, 127_000), (12_700, 127));
    assert_eq!(said(v3, 12_800, 128_000), (12_800, 128));
    assert_eq!(said(v3, 13_500, 129_000), (12_800, 136));
    assert_eq!(said(v3, 1_099, 1_001), (1_000, 2));
    assert_eq!(said(v3, 0, 0), (100, 0));
    assert_eq!(said(v3, 3_174_400, 31_744_000), (3_174_400, 31_744));
    assert_eq!(said(v3, u64::MAX, u64::MAX), (3_174_400, 31_744));
    let v2 = IgmpVersion::V2;
    assert_eq!(said(v2, 0, 0), (100, 0), "0 would be version 1");
    assert_eq!(said(v2, 12_950, 0), (12_900, 0), "no float");
    assert_eq!(said(v2, 25_500, 0), (25_500, 0));
    assert_eq!(said(v2, 25_600, 0), (25_500, 0));
    assert_eq!(said(IgmpVersion::V1, 3_000, 0), (10_000, 0));
}

#[test]
fn v3_1_a_robustness_above_7_is_not_said() {
    for (ours, said) in [(0, 0), (1, 1), (7, 7), (8, 0), (255, 0)] {
        let packet = encode_query(ROUTER, &QueryToSend { robustness: ours, ..GENERAL });
        assert_eq!(packet[24 + 8], said);
        let packet =
            encode_query(ROUTER, &QueryToSend { robustness: ours, suppress: true, ..GENERAL });
        assert_eq!(packet[24 + 8], 0x08 | said);
    }
}

#[test]
fn v3_7_a_query_takes_366_sources_on_an_ethernet() {
    for (mtu, most) in [(1500, 366), (1503, 366), (1504, 367), (576, 135), (68, 8), (0, 8)] {
        assert_eq!(most_sources(mtu), most, "{mtu}");
    }
    let many = sources(366);
    let full = QueryToSend { group: Some(SSM_GROUP), sources: &many, ..GENERAL };
    assert_eq!(encode_query(ROUTER, &full).len(), 1500);
    let too_many = sources(20_000);
    let full = QueryToSend { sources: &too_many, ..full };
    assert_eq!(query(&full).3, (65_535 - 36) / 4);
    assert_eq!(most_sources(u32::MAX), (65_535 - 36) / 4);
}

#[test]
fn many_records_go_into_as_many_reports_as_it_takes() {
    let groups: Vec<_> = (0..1000).map(|at| Ipv4Addr::from_bits(0xef00_0001 + at)).collect();
    let records: Vec<_> = groups
        .iter()
        .map(|&group| RecordToSend { kind: RecordKind::ToEx, group, sources: &[] })
        .collect();
    let reports = encode_reports_v3(HOST, &records, 1500);
    // (1500 - 24 - 8) / 8 records each.
    let counts: Vec<_> = reports.iter().map(|report| said(report).len()).collect();
    assert_eq!(counts, [183, 183, 183, 183, 183, 85]);
    let all: Vec<_> = reports.iter().flat_map(|report| said(report)).map(|said| said.1).collect();
    assert_eq!(all, groups);
    // A message of 65,535 bytes at most, however large the MTU.
    let lens: Vec<_> =
        encode_reports_v3(HOST, &records.repeat(10), u32::MAX).iter().map(Vec::len).collect();
    assert_eq!(lens, [32 + 8187 * 8, 32 + (10_000 - 8187) * 8]);
}

#[test]
fn a_record_that_does_not_fit_is_split_or_cut() {
    let many = sources(800);
    let small = RecordToSend { kind: RecordKind::ToEx, group: GROUP, sources: &[] };
    for kind in [RecordKind::IsIn, RecordKind::ToIn, RecordKind::Allow, RecordKind::Block] {
        let large = RecordToSend { kind, group: SSM_GROUP, sources: &many };
        let reports = encode_reports_v3(HOST, &[small, large, small], 1500);
        let lens: Vec<_> = reports.iter().map(Vec::len).collect();
        // (1500 - 24 - 8 - 8) / 4 = 365 sources each; the next record joins the last part.
        assert_eq!(lens, [40, 1500, 1500, 40 + 70 * 4 + 8]);
        let parts: Vec<_> = reports[1..].iter().map(|report| said(report)[0].clone()).collect();
        assert!(parts.iter().all(|part| (part.0, part.1) == (kind, SSM_GROUP)));
        let all: Vec<_> = parts.into_iter().flat_map(|part| part.2).collect();
        assert_eq!(all, many);
    }
    for kind in [RecordKind::IsEx, RecordKind::ToEx] {
        let large = RecordToSend { kind, group: GROUP, sources: &many };
        let reports = encode_reports_v3(HOST, &[large], 1500);
        assert_eq!(reports.len(), 1);
        assert_eq!(said(&reports[0]), [(kind, GROUP, many[..365].to_vec())]);
    }
}

fn a_kind() -> impl Strategy<Value = RecordKind> {
    prop_oneof![
        Just(RecordKind::IsIn),
        Just(RecordKind::IsEx),
        Just(RecordKind::ToIn),
        Just(RecordKind::ToEx),
        Just(RecordKind::Allow),
        Just(RecordKind::Block),
    ]
}

proptest! {
    #[test]
    fn queries_come_back(
        group in 0xe000_0000u32..=0xefff_ffff,
        max_response in any::<u8>(),
        interval in any::<u8>(),
        suppress in any::<bool>(),
        robustness in 0u8..8,
        count in 0u32..400,
    ) {
        let sources = sources(count);
        let tenths = u64::from(super::code::value(max_response)).max(1);
        let sent = QueryToSend {
            version: IgmpVersion::V3,
            group: Some(Ipv4Addr::from_bits(group)),
            max_response: Duration::from_millis(tenths * 100),
            suppress,
            robustness,
            interval: Duration::from_secs(super::code::value(interval).into()),
            sources: &sources,
        };
        let packet = encode_query(ROUTER, &sent);
        let received = decode(&packet).expect("valid");
        prop_assert_eq!(received.destination, Ipv4Addr::from_bits(group));
        let Message::Query(query) = received.message else { panic!("{received:?}") };
        let back: Vec<_> = query.sources.iter().collect();
        let back = QueryToSend {
            version: query.version,
            group: query.group,
            max_response: query.max_response,
            suppress: query.suppress,
            robustness: query.robustness,
            interval: query.interval,
            sources: &back,
        };
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn reports_come_back_in_packets_of_the_mtu(
        what in proptest::collection::vec((a_kind(), 0xe000_0000u32..=0xefff_ffff, 0u32..60), 1..40),
        mtu in 60u32..700,
    ) {
        let all = sources(60);
        let records: Vec<_> = what
            .iter()
            .map(|&(kind, group, count)| RecordToSend {
                kind,
                group: Ipv4Addr::from_bits(group),
                sources: &all[..count as usize],
            })
            .collect();
        let reports = encode_reports_v3(HOST, &records, mtu);
        let mtu = mtu.max(68) as usize;
        prop_assert!(reports.iter().all(|report| report.len() <= mtu));
        let most = (mtu - 40) / 4;
        // None is sent before it is full: the next record would not have fitted.
        for pair in reports.windows(2) {
            let next = 8 + said(&pair[1])[0].2.len() * 4;
            prop_assert!(pair[0].len() + next > mtu);
        }
        let mut back: Vec<Said> = Vec::new();
        for (kind, group, sources) in reports.iter().flat_map(|report| said(report)) {
            match back.last_mut() {
                // The next part of a record that was split: it goes on where the last part ended.
                Some(last)
                    if (last.0, last.1) == (kind, group)
                        && last.2.len() % most == 0
                        && sources.first() == all.get(last.2.len())
                        && !sources.is_empty()
                        && !last.2.is_empty() =>
                {
                    last.2.extend(sources);
                }
                _ => back.push((kind, group, sources)),
            }
        }
        let expected: Vec<Said> = records
            .iter()
            .map(|record| {
                let cut = matches!(record.kind, RecordKind::IsEx | RecordKind::ToEx);
                let count = if cut { record.sources.len().min(most) } else { record.sources.len() };
                (record.kind, record.group, record.sources[..count].to_vec())
            })
            .collect();
        prop_assert_eq!(back, expected);
    }
}
