use super::test_packets as wire;
use super::test_packets::{EVERY, HOST, ROUTER, packet, with_checksums, with_options};
use super::*;
use proptest::prelude::*;

const TO_ALL: [u8; 4] = [224, 0, 0, 1];
const TO_V3: [u8; 4] = [224, 0, 0, 22];
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);

fn message(packet: &[u8]) -> Message<'_> {
    decode(packet).expect("valid").message
}

fn query(packet: &[u8]) -> Query<'_> {
    match message(packet) {
        Message::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

fn records(packet: &[u8]) -> Records<'_> {
    match message(packet) {
        Message::ReportV3(records) => records,
        other => panic!("{other:?}"),
    }
}

/// What a report says, with owned sources.
fn said(packet: &[u8]) -> Vec<(RecordKind, Ipv4Addr, Vec<Ipv4Addr>)> {
    let records = records(packet).iter();
    records.map(|record| (record.kind, record.group, record.sources.iter().collect())).collect()
}

fn invalid(packet: &[u8]) -> Invalid {
    decode(packet).expect_err("invalid")
}

/// A version 3 report with these bytes behind the count of records.
fn report(count: u16, records: &[u8]) -> Vec<u8> {
    let [high, low] = count.to_be_bytes();
    packet(TO_V3, &[&[0x22, 0, 0, 0, 0, 0, high, low], records].concat())
}

#[test]
fn queries_of_every_version_are_read() {
    let received = decode(&wire::QUERY_V2).expect("valid");
    assert_eq!(received.source, ROUTER);
    assert_eq!(received.destination, ALL_SYSTEMS);
    assert_eq!(received.ttl, 1);
    assert!(received.router_alert);
    let general = Query {
        version: IgmpVersion::V2,
        max_response: Duration::from_secs(10),
        group: None,
        suppress: false,
        robustness: 0,
        interval: Duration::ZERO,
        sources: Sources::default(),
    };
    assert_eq!(received.message, Message::Query(general));
    // 10 s is the rule of version 1, not what the code says.
    assert_eq!(query(&wire::QUERY_V1), Query { version: IgmpVersion::V1, ..general });
    let group = Some(Ipv4Addr::new(239, 1, 2, 3));
    let second = Duration::from_secs(1);
    assert_eq!(query(&wire::GROUP_QUERY_V2), Query { group, max_response: second, ..general });
    let v3 = Query {
        version: IgmpVersion::V3,
        robustness: 2,
        interval: Duration::from_secs(125),
        ..general
    };
    assert_eq!(query(&wire::QUERY_V3), v3);
    let by_source = query(&wire::SOURCE_QUERY_V3);
    let sources: Vec<_> = by_source.sources.iter().collect();
    assert_eq!(sources, [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6)]);
    assert_eq!(by_source.sources.len(), 2);
    let group = Some(SSM_GROUP);
    let expected = Query { group, suppress: true, max_response: second, ..v3 };
    assert_eq!(Query { sources: Sources::default(), ..by_source }, expected);
}

#[test]
fn reports_and_leaves_are_read() {
    assert_eq!(message(&wire::REPORT_V1), Message::ReportV1(GROUP));
    assert_eq!(message(&wire::REPORT_V2), Message::ReportV2(GROUP));
    assert_eq!(message(&wire::LEAVE), Message::Leave(GROUP));
    assert_eq!(decode(&wire::LEAVE).expect("valid").source, HOST);
    assert_eq!(said(&wire::JOIN_V3), [(RecordKind::ToEx, GROUP, vec![])]);
    let wanted = vec![Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6)];
    let state = [(RecordKind::IsEx, GROUP, vec![]), (RecordKind::IsIn, SSM_GROUP, wanted)];
    assert_eq!(said(&wire::STATE_V3), state);
}

#[test]
fn kinds_name_what_was_received() {
    let names: Vec<_> = EVERY.iter().map(|packet| message(packet).kind().name()).collect();
    let expected = [
        "query_v1",
        "query_v2",
        "query_v2",
        "query_v3",
        "query_v3",
        "report_v3",
        "report_v3",
        "report_v1",
        "report_v2",
        "leave",
    ];
    assert_eq!(names, expected);
    for (at, kind) in MessageKind::ALL.iter().enumerate() {
        assert_eq!(*kind as usize, at);
    }
    assert_eq!(MessageKind::ALL.len(), 7);
}

#[test]
fn v3_1_max_response_and_interval_are_floats_from_128_in_version_3_only() {
    let v3 = |max_response: u8, interval: u8| {
        let bytes = packet(TO_ALL, &[0x11, max_response, 0, 0, 0, 0, 0, 0, 2, interval, 0, 0]);
        let query = query(&bytes);
        (query.max_response.as_millis(), query.interval.as_secs())
    };
    assert_eq!(v3(0, 0), (0, 0));
    assert_eq!(v3(127, 127), (12_700, 127));
    assert_eq!(v3(128, 129), (12_800, 136));
    assert_eq!(v3(129, 128), (13_600, 128));
    assert_eq!(v3(255, 255), (3_174_400, 31_744));
    let v2 = packet(TO_ALL, &[0x11, 255, 0, 0, 0, 0, 0, 0]);
    assert_eq!(query(&v2).max_response, Duration::from_millis(25_500));
}

#[test]
fn v3_1_flags_are_read_and_reserved_bits_ignored() {
    for (flags, suppress, robustness) in
        [(0x00, false, 0), (0x08, true, 0), (0x07, false, 7), (0xff, true, 7), (0xf2, false, 2)]
    {
        let bytes = packet(TO_ALL, &[0x11, 100, 0, 0, 0, 0, 0, 0, flags, 125, 0, 0]);
        let query = query(&bytes);
        assert_eq!((query.suppress, query.robustness), (suppress, robustness), "{flags:#x}");
    }
}

#[test]
fn v3_2_every_record_counts_and_auxiliary_data_is_skipped() {
    let bytes = report(
        6,
        &[
            // Two words of auxiliary data behind one source.
            &[1, 2, 0, 1, 239, 0, 0, 1, 10, 0, 0, 1][..],
            &[0xee; 8],
            &[2, 0, 0, 0, 239, 0, 0, 2],
            &[3, 1, 0, 0, 239, 0, 0, 3, 1, 2, 3, 4],
            &[4, 0, 0, 0, 239, 0, 0, 4],
            &[5, 0, 0, 1, 239, 0, 0, 5, 10, 0, 0, 5],
            &[6, 255, 0, 1, 239, 0, 0, 6, 10, 0, 0, 6],
            &[0; 255 * 4],
        ]
        .concat(),
    );
    let group = |last| Ipv4Addr::new(239, 0, 0, last);
    let source = |last| vec![Ipv4Addr::new(10, 0, 0, last)];
    let expected = [
        (RecordKind::IsIn, group(1), source(1)),
        (RecordKind::IsEx, group(2), vec![]),
        (RecordKind::ToIn, group(3), vec![]),
        (RecordKind::ToEx, group(4), vec![]),
        (RecordKind::Allow, group(5), source(5)),
        (RecordKind::Block, group(6), source(6)),
    ];
    assert_eq!(said(&bytes), expected);
    assert_eq!(records(&bytes).len(), 6);
    assert_eq!(records(&bytes).skipped(), 0);
}

#[test]
fn v3_2_unknown_kinds_and_groups_that_are_none_are_skipped_with_their_data() {
    let bytes = report(
        5,
        &[
            &[7, 1, 0, 1, 239, 0, 0, 1, 10, 0, 0, 1, 4, 0, 0, 0][..],
            &[4, 0, 0, 0, 239, 0, 0, 2],
            &[0, 0, 0, 0, 239, 0, 0, 3],
            &[4, 0, 0, 0, 10, 0, 0, 4],
            &[3, 0, 0, 0, 239, 0, 0, 5],
        ]
        .concat(),
    );
    let group = |last| Ipv4Addr::new(239, 0, 0, last);
    let expected = [(RecordKind::ToEx, group(2), vec![]), (RecordKind::ToIn, group(5), vec![])];
    assert_eq!(said(&bytes), expected);
    assert_eq!((records(&bytes).len(), records(&bytes).skipped()), (2, 3));
}

#[test]
fn v3_2_a_report_without_records_is_valid_and_says_nothing() {
    assert!(records(&report(0, &[])).is_empty());
    assert_eq!(said(&report(0, &[4, 0, 0, 0, 239, 1, 1, 1])), [], "additional data");
}

#[test]
fn v3_2_what_is_claimed_must_be_there() {
    let record = [4, 0, 0, 1, 239, 1, 1, 1, 10, 0, 0, 1];
    let one = report(1, &record);
    assert_eq!((records(&one).len(), records(&one).is_empty()), (1, false));
    let two = report(1, &[4, 0, 0, 2, 239, 1, 1, 1, 10, 0, 0, 1, 10, 0, 0, 2]);
    let [one, two] = [&one, &two].map(|of| records(of).iter().next().expect("a record").sources);
    assert_eq!((one.iter().len(), two.iter().len()), (1, 2));
    for cut in 0..record.len() {
        assert_eq!(invalid(&report(1, &record[..cut])), Invalid::Length, "{cut}");
    }
    assert_eq!(invalid(&report(2, &record)), Invalid::Length);
    assert_eq!(invalid(&report(u16::MAX, &record)), Invalid::Length);
    assert_eq!(
        invalid(&report(1, &[4, 0, 0xff, 0xff, 239, 1, 1, 1, 10, 0, 0, 1])),
        Invalid::Length
    );
    assert_eq!(invalid(&report(1, &[4, 1, 0, 1, 239, 1, 1, 1, 10, 0, 0, 1])), Invalid::Length);
    let auxiliary = report(1, &[4, 1, 0, 1, 239, 1, 1, 1, 10, 0, 0, 1, 0, 0, 0]);
    assert_eq!(invalid(&auxiliary), Invalid::Length);
    // A record that is skipped is measured too.
    assert_eq!(invalid(&report(1, &[9, 0, 0, 9, 239, 1, 1, 1])), Invalid::Length);
}

#[test]
fn v3_3_the_version_of_a_query_follows_from_length_and_code() {
    let of = |len: usize, code: u8| {
        let mut message = vec![0; len];
        (message[0], message[1]) = (0x11, code);
        decode(&packet(TO_ALL, &message)).map(|received| received.message.kind())
    };
    assert_eq!(of(8, 0), Ok(MessageKind::QueryV1));
    assert_eq!(of(8, 1), Ok(MessageKind::QueryV2));
    assert_eq!(of(8, 255), Ok(MessageKind::QueryV2));
    for code in [0, 100] {
        for len in 2..8 {
            assert_eq!(of(len, code), Err(Invalid::Short), "{len}");
        }
        for len in 9..12 {
            assert_eq!(of(len, code), Err(Invalid::Length), "{len}");
        }
        for len in [12, 13, 20, 1400] {
            assert_eq!(of(len, code), Ok(MessageKind::QueryV3), "{len}");
        }
    }
}

#[test]
fn v3_3_a_version_1_query_is_general_whatever_its_group_says() {
    let bytes = packet(TO_ALL, &[0x11, 0, 0, 0, 239, 1, 1, 1]);
    assert_eq!((query(&bytes).version, query(&bytes).group), (IgmpVersion::V1, None));
    let bytes = packet([239, 1, 1, 1], &[0x11, 0, 0, 0, 239, 1, 1, 1]);
    assert_eq!(invalid(&bytes), Invalid::Destination);
}

#[test]
fn a_query_has_the_sources_that_it_claims() {
    let claims = |count: u16, bytes: usize| {
        let [high, low] = count.to_be_bytes();
        let mut message = vec![0x11, 10, 0, 0, 232, 1, 1, 1, 2, 125, high, low];
        message.resize(12 + bytes, 10);
        let bytes = packet([232, 1, 1, 1], &message);
        decode(&bytes).map(|received| match received.message {
            Message::Query(query) => query.sources.iter().count(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(claims(3, 12), Ok(3));
    assert_eq!(claims(3, 11), Err(Invalid::Length));
    assert_eq!(claims(3, 17), Ok(3), "additional data");
    assert_eq!(claims(u16::MAX, 1400), Err(Invalid::Length));
}

#[test]
fn v2_11_no_changed_bit_is_taken() {
    for good in EVERY {
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let reason = invalid(&bad);
            let expected: &[Invalid] = match bit / 8 {
                // The header's length and the total length are looked at before the sum.
                0 | 2 | 3 => &[Invalid::IpHeader, Invalid::IpChecksum],
                1 | 4..24 => &[Invalid::IpChecksum],
                _ => &[Invalid::Checksum],
            };
            assert!(expected.contains(&reason), "bit {bit} of {good:x?}: {reason:?}");
        }
    }
}

#[test]
fn v2_11_messages_that_are_too_short_are_ignored_and_longer_ones_read() {
    for kind in [0x11, 0x12, 0x16, 0x17, 0x22] {
        for len in 0..8 {
            let mut message = vec![kind; len];
            message.extend([0; 8]);
            assert_eq!(
                invalid(&packet(TO_ALL, &message[..len])),
                Invalid::Short,
                "{kind:#x} {len}"
            );
        }
    }
    let longer = [0x16, 0, 0, 0, 239, 1, 1, 1, 0xab, 0xcd, 0xef];
    let bytes = packet([239, 1, 1, 1], &longer);
    assert_eq!(message(&bytes), Message::ReportV2(GROUP));
    let mut wrong = bytes.clone();
    *wrong.last_mut().expect("bytes") ^= 1;
    assert_eq!(invalid(&wrong), Invalid::Checksum, "the sum covers what is ignored");
}

#[test]
fn v2_11_unknown_types_are_ignored() {
    for kind in 0..=255 {
        let known = [0x11, 0x12, 0x16, 0x17, 0x22].contains(&kind);
        let result = decode(&packet(TO_ALL, &[kind, 0, 0, 0, 0, 0, 0, 0])).map(|_| ());
        assert_eq!(result == Err(Invalid::UnknownType), !known, "{kind:#x}: {result:?}");
    }
}

#[test]
fn what_is_wrong_with_the_packet_is_named() {
    let changed = |at: usize, value: u8| {
        let mut bytes = wire::QUERY_V2.to_vec();
        bytes[at] = value;
        with_checksums(bytes)
    };
    assert_eq!(invalid(&[]), Invalid::IpHeader);
    assert_eq!(invalid(&wire::QUERY_V2[..19]), Invalid::IpHeader);
    assert_eq!(invalid(&wire::QUERY_V2[..31]), Invalid::IpHeader, "cut");
    assert_eq!(invalid(&changed(0, 0x66)), Invalid::IpHeader, "version");
    assert_eq!(invalid(&changed(3, 23)), Invalid::IpHeader, "shorter than its header");
    for ttl in [0, 2, 64, 255] {
        assert_eq!(invalid(&changed(8, ttl)), Invalid::Ttl, "{ttl}");
    }
    assert_eq!(invalid(&changed(9, 17)), Invalid::NotIgmp);
    assert_eq!(invalid(&changed(6, 0x20)), Invalid::Fragment, "more fragments");
    assert_eq!(invalid(&changed(7, 1)), Invalid::Fragment, "offset");
    assert!(decode(&changed(6, 0)).is_ok(), "may be fragmented, is not");
    assert_eq!(invalid(&changed(12, 224)), Invalid::Source);
    let mut broadcast = wire::QUERY_V2.to_vec();
    broadcast[12..16].fill(255);
    assert_eq!(invalid(&with_checksums(broadcast)), Invalid::Source);
    let mut unnumbered = wire::QUERY_V2.to_vec();
    unnumbered[12..16].fill(0);
    let unnumbered = with_checksums(unnumbered);
    assert_eq!(decode(&unnumbered).expect("valid").source, Ipv4Addr::UNSPECIFIED);
    let padded = [&wire::QUERY_V2[..], &[0xff; 14]].concat();
    assert_eq!(decode(&padded), decode(&wire::QUERY_V2), "padding of the frame");
}

#[test]
fn a_group_is_a_multicast_address() {
    for kind in [0x12, 0x16, 0x17] {
        for group in [[0, 0, 0, 0], [10, 0, 0, 1], [223, 255, 255, 255], [240, 0, 0, 0], [255; 4]] {
            let message = [[kind, 0, 0, 0], group].concat();
            assert_eq!(invalid(&packet(group, &message)), Invalid::Group, "{kind:#x} {group:?}");
        }
    }
    assert_eq!(invalid(&packet(TO_ALL, &[0x11, 10, 0, 0, 10, 0, 0, 1])), Invalid::Group);
    let v3 = [0x11, 10, 0, 0, 10, 0, 0, 1, 2, 125, 0, 0];
    assert_eq!(invalid(&packet(TO_ALL, &v3)), Invalid::Group);
    let no_group = [0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 1, 10, 0, 0, 1];
    assert_eq!(invalid(&packet(TO_ALL, &no_group)), Invalid::Group, "sources of no group");
}

#[test]
fn messages_are_taken_only_where_they_belong() {
    let general = [0x11, 10, 0, 0, 0, 0, 0, 0];
    let specific = [0x11, 10, 0, 0, 239, 1, 1, 1];
    let report_v1 = [0x12, 0, 0, 0, 239, 1, 1, 1];
    let report_v2 = [0x16, 0, 0, 0, 239, 1, 1, 1];
    let leave = [0x17, 0, 0, 0, 239, 1, 1, 1];
    let report_v3 = [0x22, 0, 0, 0, 0, 0, 0, 0];
    let taken = |message: &[u8]| {
        let destinations = [
            [224, 0, 0, 1],
            [224, 0, 0, 2],
            [224, 0, 0, 22],
            [239, 1, 1, 1],
            [239, 1, 1, 2],
            [192, 168, 1, 1],
            [255, 255, 255, 255],
            [0, 0, 0, 0],
        ];
        destinations.map(|to| match decode(&packet(to, message)) {
            Ok(received) => {
                assert_eq!(received.destination, Ipv4Addr::from(to));
                true
            }
            Err(reason) => {
                assert_eq!(reason, Invalid::Destination);
                false
            }
        })
    };
    let [yes, no] = [true, false];
    // Queries and reports of versions 1 and 2 to an address of ours are for the engine to judge.
    assert_eq!(taken(&general), [yes, no, no, no, no, yes, no, no]);
    assert_eq!(taken(&specific), [yes, no, no, yes, no, yes, no, no]);
    assert_eq!(taken(&report_v1), [yes, yes, yes, yes, no, yes, no, no]);
    assert_eq!(taken(&report_v2), [yes, yes, yes, yes, no, yes, no, no]);
    assert_eq!(taken(&report_v3), [no, no, yes, no, no, no, no, no]);
    assert_eq!(taken(&leave), [no, yes, no, no, no, no, no, no], "V2-10");
}

#[test]
fn router_alert_is_found_among_the_options() {
    let alert = |options: &[u8]| {
        let bytes = with_options([239, 1, 1, 1], options, &[0x16, 0, 0, 0, 239, 1, 1, 1]);
        decode(&bytes).expect("valid").router_alert
    };
    assert!(alert(&[0x94, 4, 0, 0]));
    assert!(alert(&[1, 1, 7, 3, 4, 0x94, 4, 0, 0, 0, 0, 0]));
    assert!(!alert(&[]));
    assert!(!alert(&[0x94, 4, 0, 1]), "a value that is reserved");
    assert!(!alert(&[0, 0, 0, 0, 0x94, 4, 0, 0]), "behind the end");
    assert!(!alert(&[7, 9, 0, 0, 0x94, 4, 0, 0]), "behind a broken one");
    assert!(!alert(&[7, 8, 0, 0, 0x94, 4, 0, 0]), "in the data of another");
    assert!(!alert(&[7, 1, 0x94, 4]), "a length below 2");
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> =
        Invalid::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), 12);
    for (at, reason) in Invalid::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, at);
        assert!(reason.meaning().ends_with('.'));
    }
    assert_eq!(Invalid::UnknownType.name(), "unknown_type");
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(
        kind in prop_oneof![Just(0x11u8), Just(0x12), Just(0x16), Just(0x17), Just(0x22), any::<u8>()],
        rest in proptest::collection::vec(prop_oneof![3 => 0u8..8, 1 => any::<u8>()], 7..120),
        to in prop_oneof![Just(TO_ALL), Just(TO_V3), Just([224, 0, 0, 2]), Just([10, 0, 0, 1])],
    ) {
        let bytes = packet(to, &[&[kind], &rest[..]].concat());
        if let Ok(received) = decode(&bytes)
            && let Message::ReportV3(records) = received.message
        {
            prop_assert_eq!(records.iter().count(), records.len());
            let sources: usize = records.iter().map(|record| record.sources.len()).sum();
            prop_assert!(8 + records.len() * 8 + sources * 4 <= bytes.len() - 20);
        }
    }
}
