//! Every drop reason of the decoder is hit, a second opinion agrees, and nothing panics.

use super::*;
use crate::types::DropStage;
use etherparse::{Ipv4HeaderSlice, PacketBuilder, SlicedPacket};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn frame(payload: &[u8], ttl: u8) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 1, 1, 1])
        .ipv4([10, 1, 2, 3], [239, 1, 1, 1], ttl)
        .udp(40_000, 5000);
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut bytes, payload).expect("fits");
    bytes
}

/// Recomputes the IP header checksum, so that a test breaks one thing at a time.
fn fix_ip(frame: &mut [u8]) {
    // It may say more than there is.
    let end = (14 + usize::from(frame[14] & 0x0f) * 4).min(frame.len());
    frame[24..26].fill(0);
    let sum = !checksum::Sum::default().bytes(&frame[14..end]).fold();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// Of a packet that is no fragment.
fn decode(bytes: &[u8], meta: &FrameMeta) -> Result<Datagram, DropReason> {
    match super::decode(bytes, meta)? {
        Packet::Whole(datagram) => Ok(datagram),
        Packet::Fragment(fragment) => panic!("{fragment:?}"),
    }
}

/// What the decoder does not say: what it is asked after, or what takes several frames to know.
const ELSEWHERE: [DropReason; 4] = [
    DropReason::FragmentTimeout,
    DropReason::FragmentBudget,
    DropReason::FragmentInvalid,
    DropReason::ChecksumStart,
];

const ETHERNET: FrameMeta = FrameMeta::plain(LinkLayer::Ethernet);

fn gso(kind: u8, size: u16) -> FrameMeta {
    FrameMeta { gso_type: kind, gso_size: size, flags: NEEDS_CSUM, ..ETHERNET }
}

#[test]
fn a_plain_datagram() {
    let bytes = frame(b"hello", 1);
    let datagram = decode(&bytes, &ETHERNET).expect("valid");
    assert_eq!(datagram.source, Ipv4Addr::new(10, 1, 2, 3));
    assert_eq!(datagram.destination, Ipv4Addr::new(239, 1, 1, 1));
    assert_eq!((datagram.source_port, datagram.destination_port), (40_000, 5000));
    assert_eq!((datagram.ttl, datagram.count()), (1, 1));
    assert_eq!(datagram.segments().collect::<Vec<_>>(), vec![(42, 5)]);
}

#[test]
fn an_empty_payload_is_one_datagram() {
    let datagram = decode(&frame(b"", 1), &ETHERNET).expect("valid");
    assert_eq!(datagram.count(), 1);
    assert_eq!(datagram.segments().collect::<Vec<_>>(), vec![(42, 0)]);
}

#[test]
fn ethernet_padding_is_not_payload() {
    let mut bytes = frame(b"x", 1);
    bytes.resize(60, 0xee);
    let datagram = decode(&bytes, &ETHERNET).expect("valid");
    assert_eq!((datagram.payload_start, datagram.payload_len), (42, 1));
}

#[test]
fn ip_options_are_skipped() {
    let mut bytes = frame(b"hello", 1);
    // Router alert (RFC 2113), four bytes.
    bytes.splice(34..34, [0x94, 4, 0, 0]);
    bytes[14] = 0x46;
    let total = u16::from_be_bytes([bytes[16], bytes[17]]) + 4;
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    fix_ip(&mut bytes);
    let datagram = decode(&bytes, &ETHERNET).expect("valid");
    assert_eq!(&bytes[datagram.payload_start as usize..], b"hello");
}

#[test]
fn a_tunnel_frame_starts_with_ip() {
    let bytes = frame(b"hello", 1);
    let meta = FrameMeta::plain(LinkLayer::None);
    let datagram = decode(&bytes[14..], &meta).expect("valid");
    assert_eq!(datagram.payload_start, 28);
    assert_eq!(decode(&[0x60; 60], &meta), Err(DropReason::NotIpv4));
}

#[test]
fn a_super_frame_is_split_with_a_shorter_tail() {
    let bytes = frame(&[7; 250], 1);
    let datagram = decode(&bytes, &gso(GSO_UDP_L4, 100)).expect("valid");
    assert_eq!(datagram.count(), 3);
    let segments: Vec<_> = datagram.segments().collect();
    assert_eq!(segments, vec![(42, 100), (142, 100), (242, 50)]);
    let exact = decode(&bytes, &gso(GSO_UDP_L4, 125)).expect("valid");
    assert_eq!(exact.segments().collect::<Vec<_>>(), vec![(42, 125), (167, 125)]);
}

#[test]
fn a_partial_or_verified_checksum_is_not_verified_again() {
    let mut bytes = frame(b"hello", 1);
    bytes[40] ^= 0xff;
    assert_eq!(decode(&bytes, &ETHERNET), Err(DropReason::UdpChecksum));
    for flags in [NEEDS_CSUM, DATA_VALID] {
        assert!(decode(&bytes, &FrameMeta { flags, ..ETHERNET }).is_ok());
    }
    bytes[40..42].fill(0);
    assert!(decode(&bytes, &ETHERNET).is_ok(), "zero means that the sender computed none");
}

#[test]
fn the_checksum_field_has_its_state() {
    let state = |bytes: &[u8], meta| decode(bytes, &meta).expect("valid").checksum;
    let mut bytes = frame(&[3; 30], 1);
    assert_eq!(state(&bytes, ETHERNET), Checksum::Complete);
    assert_eq!(state(&bytes, FrameMeta { flags: DATA_VALID, ..ETHERNET }), Checksum::Complete);
    assert_eq!(state(&bytes, FrameMeta { flags: NEEDS_CSUM, ..ETHERNET }), Checksum::Partial);
    assert_eq!(state(&bytes, FrameMeta { flags: 0, ..gso(GSO_UDP_L4, 10) }), Checksum::Partial);
    bytes[40..42].fill(0);
    assert_eq!(state(&bytes, ETHERNET), Checksum::Absent);
}

#[test]
fn the_vlan_is_the_frames() {
    let bytes = frame(b"hello", 1);
    for (tag, vlan) in [(None, 0), (Some(0), 0), (Some(310), 310)] {
        let meta = FrameMeta { vlan: tag, ..ETHERNET };
        assert_eq!(decode(&bytes, &meta).expect("valid").vlan, vlan);
    }
}

#[test]
fn other_protocols_have_a_payload_and_no_ports() {
    let mut bytes = frame(&[9; 30], 7);
    bytes[23] = 132;
    bytes[18..22].copy_from_slice(&[0x12, 0x34, 0x40, 0]);
    fix_ip(&mut bytes);
    let datagram = decode(&bytes, &ETHERNET).expect("valid");
    assert_eq!((datagram.protocol, datagram.source_port, datagram.destination_port), (132, 0, 0));
    assert_eq!((datagram.header_start, datagram.header_len), (14, 20));
    assert_eq!((datagram.payload_start, datagram.payload_len, datagram.count()), (34, 38, 1));
    assert_eq!((datagram.identification, datagram.dont_fragment), (0x1234, true));
    assert_eq!(decode(&bytes, &gso(GSO_UDP_L4, 10)), Err(DropReason::GsoType));
    // A checksum that is left to the device: known where it is for TCP, not for SCTP.
    let unfilled = FrameMeta { flags: NEEDS_CSUM, ..ETHERNET };
    assert_eq!(decode(&bytes, &unfilled).expect("valid").checksum, Checksum::Complete);
    bytes[23] = 6;
    fix_ip(&mut bytes);
    assert_eq!(decode(&bytes, &unfilled).expect("valid").checksum, Checksum::Partial);
}

#[test]
fn a_fragment_says_where_it_belongs() {
    let mut bytes = frame(&[9; 40], 7);
    for (word, offset, more) in [(0x2000u16, 0, true), (0x2003, 24, true), (0x0003, 24, false)] {
        bytes[18..20].copy_from_slice(&[0xab, 0xcd]);
        bytes[20..22].copy_from_slice(&word.to_be_bytes());
        fix_ip(&mut bytes);
        let expected = Fragment {
            source: Ipv4Addr::new(10, 1, 2, 3),
            destination: Ipv4Addr::new(239, 1, 1, 1),
            protocol: 17,
            identification: 0xabcd,
            offset,
            more,
            header_start: 14,
            header_len: 20,
            payload_start: 34,
            payload_len: 48,
        };
        assert_eq!(super::decode(&bytes, &ETHERNET), Ok(Packet::Fragment(expected)));
        let joined = gso(GSO_UDP_L4, 10);
        assert_eq!(super::decode(&bytes, &joined), Err(DropReason::GsoType));
    }
}

/// One broken frame for each reason that the decoder gives.
fn broken() -> Vec<(DropReason, Vec<u8>, FrameMeta)> {
    let good = frame(&[9; 64], 1);
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let fixed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = edit(change);
        fix_ip(&mut bytes);
        bytes
    };
    let truncated = FrameMeta { truncated: true, ..ETHERNET };
    vec![
        (DropReason::Runt, good[..13].to_vec(), ETHERNET),
        (DropReason::Runt, good[..33].to_vec(), ETHERNET),
        (DropReason::Runt, Vec::new(), FrameMeta::plain(LinkLayer::None)),
        (DropReason::Truncated, good.clone(), truncated),
        (DropReason::VlanTag, edit(&|b| b[12] = 0x81), ETHERNET),
        (DropReason::NotIpv4, edit(&|b| b[12] = 0x86), ETHERNET),
        (DropReason::IpHeader, edit(&|b| b[14] = 0x55), ETHERNET),
        (DropReason::IpHeader, edit(&|b| b[14] = 0x44), ETHERNET),
        (DropReason::IpHeader, edit(&|b| b[16] = 0xff), ETHERNET),
        (DropReason::IpHeader, edit(&|b| b[16..18].fill(0)), ETHERNET),
        (DropReason::IpChecksum, edit(&|b| b[24] ^= 1), ETHERNET),
        (DropReason::UdpLength, edit(&|b| b[38] = 1), ETHERNET),
        (DropReason::UdpLength, edit(&|b| b[38..40].copy_from_slice(&[0, 7])), ETHERNET),
        (DropReason::UdpLength, fixed(&|b| b[17] = 25), ETHERNET),
        (DropReason::UdpChecksum, edit(&|b| b[60] ^= 1), ETHERNET),
        (DropReason::GsoType, good.clone(), gso(1, 100)),
        (DropReason::GsoType, good.clone(), gso(3, 32)),
        (DropReason::GsoSize, good.clone(), gso(GSO_UDP_L4, 0)),
        (DropReason::GsoSize, good.clone(), gso(GSO_UDP_L4, 65)),
    ]
}

#[test]
fn each_broken_frame_has_its_name_and_no_reason_is_missing() {
    let mut hit = BTreeSet::new();
    for (expected, bytes, meta) in broken() {
        assert_eq!(decode(&bytes, &meta), Err(expected));
        hit.insert(expected);
    }
    let all = DropReason::ALL.iter().copied().filter(|reason| reason.stage() == DropStage::Frame);
    assert_eq!(hit, all.filter(|reason| !ELSEWHERE.contains(reason)).collect());
}

fn any_meta() -> impl Strategy<Value = FrameMeta> {
    let checksum = (any::<u16>(), 0u16..40);
    let flags = (0u8..4, 0u8..7, any::<u16>(), checksum);
    (any::<bool>(), flags, proptest::option::of(0u16..4096), any::<bool>()).prop_map(
        |(raw, (flags, gso_type, gso_size, (start, offset)), vlan, truncated)| FrameMeta {
            link_layer: if raw { LinkLayer::None } else { LinkLayer::Ethernet },
            flags,
            gso_type,
            gso_size: gso_size % 200,
            checksum_start: if start % 3 == 0 { start } else { start % 80 },
            checksum_offset: if offset < 20 { 6 } else { offset },
            vlan: vlan.filter(|vlan| vlan % 7 == 0),
            truncated: truncated && gso_size % 11 == 0,
        },
    )
}

/// Where a checksum is to be filled in, there are bytes of the packet.
fn check_inner(bytes: &[u8], meta: &FrameMeta) {
    if let Ok(Some(inner)) = inner_checksum(bytes, meta) {
        assert!(inner.at + 2 <= inner.len && inner.at % 2 == 0);
        assert!((inner.start + inner.len) as usize <= bytes.len());
    }
}

#[test]
fn a_checksum_left_to_the_device_is_the_packets_own_or_that_of_one_inside() {
    let own = FrameMeta { flags: NEEDS_CSUM, checksum_start: 34, checksum_offset: 6, ..ETHERNET };
    let bytes = frame(&[9; 60], 3);
    assert_eq!(inner_checksum(&bytes, &ETHERNET), Ok(None));
    assert_eq!(inner_checksum(&bytes, &own), Ok(None));
    let start = |checksum_start| FrameMeta { checksum_start, ..own };
    // 14 + 20 + 8 + 60 bytes.
    let inside = InnerChecksum { start: 62, len: 40, at: 6 };
    assert_eq!(inner_checksum(&bytes, &start(62)), Ok(Some(inside)));
    let last = FrameMeta { checksum_offset: 38, ..start(62) };
    assert_eq!(inner_checksum(&bytes, &last), Ok(Some(InnerChecksum { at: 38, ..inside })));
    // Bytes after the packet do not belong to it.
    let padded = [&bytes[..], &[0; 10]].concat();
    assert_eq!(inner_checksum(&padded, &start(62)), Ok(Some(inside)));
    for meta in [
        start(0),
        start(33),
        start(95),
        start(u16::MAX),
        FrameMeta { checksum_offset: 39, ..start(62) },
        FrameMeta { checksum_offset: 40, ..start(62) },
        FrameMeta { checksum_offset: u16::MAX, ..start(62) },
    ] {
        assert_eq!(inner_checksum(&bytes, &meta), Err(DropReason::ChecksumStart), "{meta:?}");
    }
    let train = FrameMeta { gso_type: GSO_UDP_L4, gso_size: 10, ..start(62) };
    assert_eq!(inner_checksum(&bytes, &train), Err(DropReason::GsoType));
}

fn check_packet(bytes: &[u8], packet: &Packet) {
    match packet {
        Packet::Whole(datagram) => check_bounds(bytes, datagram),
        Packet::Fragment(fragment) => {
            let end = fragment.payload_start as usize + fragment.payload_len as usize;
            assert!(end <= bytes.len());
            let header = fragment.header_start + u32::from(fragment.header_len);
            assert_eq!(header, fragment.payload_start);
            assert!(fragment.more || fragment.offset > 0);
        }
    }
}

/// Whatever was decoded lies within the frame, and its segments are the payload.
fn check_bounds(bytes: &[u8], datagram: &Datagram) {
    let end = datagram.payload_start as usize + datagram.payload_len as usize;
    assert!(end <= bytes.len());
    assert!(datagram.segment > 0);
    let ip = datagram.header_start + u32::from(datagram.header_len);
    let udp = if datagram.protocol == udp::PROTOCOL { 8 } else { 0 };
    assert_eq!(ip + udp, datagram.payload_start);
    let mut at = datagram.payload_start;
    let mut count = 0;
    for (start, len) in datagram.segments() {
        assert_eq!(start, at);
        assert!(len <= datagram.segment);
        at += len;
        count += 1;
    }
    assert_eq!(at as usize, end);
    assert_eq!(count, datagram.count());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        meta in any_meta(),
    ) {
        check_inner(&bytes, &meta);
        if let Ok(packet) = super::decode(&bytes, &meta) {
            check_packet(&bytes, &packet);
        }
    }

    /// Another decoder reads the same out of what we accept.
    #[test]
    fn etherparse_agrees(
        payload in proptest::collection::vec(any::<u8>(), 0..1500),
        edits in proptest::collection::vec((0usize..50, any::<u8>()), 0..3),
    ) {
        let mut bytes = frame(&payload, 3);
        for (at, value) in edits {
            bytes[at.min(41)] = value;
        }
        fix_ip(&mut bytes[..]);
        let ours = super::decode(&bytes, &FrameMeta { flags: DATA_VALID, ..ETHERNET });
        if let Ok(Packet::Whole(datagram)) = ours {
            let theirs = Ipv4HeaderSlice::from_slice(&bytes[14..]).expect("we accepted it");
            prop_assert_eq!(theirs.source_addr(), datagram.source);
            prop_assert_eq!(theirs.destination_addr(), datagram.destination);
            prop_assert_eq!(theirs.ttl(), datagram.ttl);
            prop_assert_eq!(theirs.protocol().0, datagram.protocol);
            prop_assert_eq!(theirs.identification(), datagram.identification);
            prop_assert_eq!(theirs.dont_fragment(), datagram.dont_fragment);
            prop_assert_eq!(theirs.slice().len(), usize::from(datagram.header_len));
            if datagram.protocol != udp::PROTOCOL {
                let end = 14 + usize::from(theirs.total_len());
                let start = datagram.payload_start as usize;
                prop_assert_eq!(start, 14 + theirs.slice().len());
                prop_assert_eq!(start + datagram.payload_len as usize, end);
                return Ok(());
            }
            let theirs = SlicedPacket::from_ethernet(&bytes).expect("we accepted it");
            let Some(etherparse::TransportSlice::Udp(udp)) = theirs.transport else {
                panic!("not UDP")
            };
            prop_assert_eq!(udp.source_port(), datagram.source_port);
            prop_assert_eq!(udp.destination_port(), datagram.destination_port);
            let end = (datagram.payload_start + datagram.payload_len) as usize;
            prop_assert_eq!(udp.payload(), &bytes[datagram.payload_start as usize..end]);
        }
    }
}

/// Mutated valid frames: no panic, and every reason occurs. `MCR_DECODE_FRAMES` sets how many
/// (`make verify`: ten million).
#[test]
fn mutated_frames_hit_every_reason() {
    let frames: u64 =
        std::env::var("MCR_DECODE_FRAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(300_000);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        // xorshift64*: any fixed sequence will do.
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let good = frame(&[5; 300], 1);
    let mut hit = BTreeSet::new();
    let mut accepted = 0u64;
    for _ in 0..frames {
        let mut bytes = good.clone();
        for _ in 0..next() % 4 {
            // Most mutations in the headers: that is where decisions are made.
            let at =
                if next() % 4 == 0 { next() as usize % bytes.len() } else { next() as usize % 42 };
            bytes[at] = next() as u8;
        }
        if next() % 3 > 0 {
            fix_ip_if_possible(&mut bytes);
        }
        if next() % 8 == 0 {
            bytes.truncate(next() as usize % (bytes.len() + 1));
        }
        let roll = next();
        let meta = FrameMeta {
            link_layer: if roll % 16 == 0 { LinkLayer::None } else { LinkLayer::Ethernet },
            flags: (roll >> 8) as u8 & 3,
            gso_type: if roll & 0x300_0000 == 0 { (roll >> 16) as u8 % 7 } else { GSO_NONE },
            gso_size: (roll >> 32) as u16 % 400,
            checksum_start: (roll >> 40) as u16 % 200,
            checksum_offset: (roll >> 50) as u16 % 8,
            vlan: (roll >> 48 & 0x1f == 0).then_some((roll >> 53) as u16 & 0xfff),
            truncated: roll >> 56 == 0,
        };
        check_inner(&bytes, &meta);
        match super::decode(&bytes, &meta) {
            Ok(packet) => {
                check_packet(&bytes, &packet);
                accepted += 1;
            }
            Err(reason) => {
                hit.insert(reason);
            }
        }
    }
    assert!(accepted > frames / 100, "{accepted} of {frames} accepted");
    let all = DropReason::ALL.iter().copied().filter(|reason| reason.stage() == DropStage::Frame);
    assert_eq!(hit, all.filter(|reason| !ELSEWHERE.contains(reason)).collect());
}

fn fix_ip_if_possible(frame: &mut [u8]) {
    if usize::from(frame[14] & 0x0f) >= 5 {
        fix_ip(frame);
    }
}
