//! What leaves together, what must not, and what happens where nothing may.

use super::packets::{AS_IT_CAME, by_link, is_root};
use super::*;
use crate::dataplane::decode::{GSO_NONE, VNET_HEADER_LEN};
use crate::dataplane::worker::batch::MAX_TRAIN;
use crate::types::Limit;
use std::collections::BTreeMap;
use std::num::NonZeroU8;

/// A datagram of flow `source` that says which it is.
fn numbered(source: u8, number: u16, len: usize) -> (u32, About, Vec<u8>) {
    let mut payload = vec![source; len.max(2)];
    payload[..2].copy_from_slice(&number.to_be_bytes());
    (0, PLAIN, packet(source, group(1), 9, &payload))
}

fn on(send: Send) -> Action {
    Action::Send(send)
}

fn numbers(outcome: &Outcome) -> Vec<u16> {
    let number = |seen: &Seen| u16::from_be_bytes([seen.payload[0], seen.payload[1]]);
    outcome.log.sent.iter().map(number).collect()
}

#[test]
fn flows_that_alternate_leave_in_a_train_each() {
    let batch = (0..40).map(|n| numbered(2 + (n % 4) as u8, n / 4, 100)).collect();
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), frames(batch)], sent);
    assert_eq!(outcome.log.trains, [10; 4]);
    assert_eq!(numbers(&outcome), (0..40).map(|n| n % 10).collect::<Vec<_>>());
}

#[test]
fn a_train_ends_with_a_shorter_datagram_and_before_a_longer_one() {
    let lens = [100, 100, 60, 100, 100, 120, 120, 2, 2, 3];
    let batch = (0..).zip(lens).map(|(n, len)| numbered(9, n, len)).collect();
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), frames(batch)], sent);
    assert_eq!(outcome.log.trains, [3, 2, 3, 1, 1]);
    assert_eq!(numbers(&outcome), (0..10).collect::<Vec<_>>());
    let sizes: Vec<usize> = outcome.log.sent.iter().map(|seen| seen.payload.len()).collect();
    assert_eq!(sizes, lens);
}

#[test]
fn what_differs_in_ttl_or_tos_does_not_leave_together() {
    let mut batch: Vec<_> = (0..6).map(|n| numbered(9, n, 50)).collect();
    for n in [1, 2] {
        batch[n].2[22] = 8;
    }
    batch[4].2[15] = 46 << 2;
    for (_, _, bytes) in &mut batch {
        super::packets::fix_ip(bytes);
    }
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), frames(batch)], sent);
    assert_eq!(outcome.log.trains, [1, 2, 1, 1, 1]);
    let seen: Vec<_> = outcome.log.sent.iter().map(|seen| (seen.ttl, seen.tos)).collect();
    assert_eq!(seen, [(9, 0), (8, 0), (8, 0), (9, 0), (9, 46 << 2), (9, 0)]);
    assert_eq!(numbers(&outcome), (0..6).collect::<Vec<_>>());
}

#[test]
fn no_train_is_longer_than_the_kernel_or_the_output_takes() {
    let batch = || (0..200).map(|n| numbered(9, n, 40)).collect();
    let whole = run(vec![start(vec![to(4, Ttl::Keep)]), frames(batch())], sent);
    assert_eq!(whole.log.trains, [64, 64, 64, 8]);
    let burst = Send { burst: NonZeroU8::new(24), ..sent_on(4, Ttl::Keep) };
    let capped = run(vec![start(vec![on(burst)]), frames(batch())], sent);
    assert_eq!(capped.log.trains, [24, 24, 16, 24, 24, 16, 24, 24, 16, 8]);
    let single = Send { burst: NonZeroU8::new(1), ..sent_on(4, Ttl::Keep) };
    let singles = run(vec![start(vec![on(single)]), frames(batch())], sent);
    assert_eq!(singles.log.trains, [1; 200]);
    // 65,000 bytes: 46 of 1400.
    let large = (0..60).map(|n| numbered(9, n, 1400)).collect();
    let large = run(vec![start(vec![to(4, Ttl::Keep)]), frames(large)], sent);
    assert_eq!(large.log.trains, [46, 14]);
    // 128 datagrams in one frame (UDP_MAX_SEGMENTS since Linux 6.10).
    let payload: Vec<u8> = (0..128u16).flat_map(|n| n.to_be_bytes()).collect();
    let frame = (0, super_frame(2), packet(9, group(1), 9, &payload));
    let split = run(vec![start(vec![to(4, Ttl::Keep)]), frames(vec![frame])], sent);
    assert_eq!(split.log.trains, [64, 64]);
    for outcome in [whole, capped, singles, large, split] {
        let count = outcome.log.sent.len() as u16;
        assert_eq!(numbers(&outcome), (0..count).collect::<Vec<_>>());
        assert_eq!(outcome.output(0).sent, u64::from(count));
    }
}

#[test]
fn what_fits_the_mtu_only_one_by_one_goes_one_by_one() {
    let batch = || (0..5).map(|n| numbered(9, n, 100)).collect();
    // 100 bytes and 28 of headers.
    for (mtu, trains) in [(Some(128), vec![5]), (Some(127), vec![1; 5]), (None, vec![5])] {
        let send = Send { mtu, ..sent_on(4, Ttl::Keep) };
        let outcome = run(vec![start(vec![on(send)]), frames(batch())], sent);
        assert_eq!(outcome.log.trains, trains);
        assert_eq!(numbers(&outcome), (0..5).collect::<Vec<_>>());
    }
    let send = Send { mtu: Some(127), mtu_policy: MtuPolicy::Drop, ..sent_on(4, Ttl::Keep) };
    let outcome = run(vec![start(vec![on(send)]), frames(batch())], |_| panic!("none fits"));
    assert_eq!(outcome.output(0).drops.get(DropReason::MtuExceeded), 5);
}

#[test]
fn a_device_that_takes_no_trains_gets_datagrams_from_then_on() {
    let refusing = |errno| {
        move |request: &SendRequest| match request.segment {
            0 => Answer::Sent,
            _ => Answer::Errno(errno),
        }
    };
    for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP] {
        let batch = |first| (first..first + 6).map(|n| numbered(9, n, 50)).collect();
        let send = Send { burst: NonZeroU8::new(4), ..sent_on(4, Ttl::Keep) };
        let turns = vec![start(vec![on(send)]), frames(batch(0)), frames(batch(6))];
        let outcome = run(turns, refusing(errno));
        assert_eq!(outcome.log.trains, [1; 12], "errno {errno}");
        assert_eq!(numbers(&outcome), (0..12).collect::<Vec<_>>());
        let output = outcome.output(0);
        assert_eq!((output.wanted, output.sent, output.bytes), (12, 12, 600));
        // Two trains are refused (some errors may be those of an earlier send: twice), then none is
        // tried again.
        let tries = if matches!(errno, libc::EMSGSIZE | libc::EOPNOTSUPP) { 4 } else { 2 };
        assert_eq!(outcome.report.worker.sends, tries + 12);
    }
    // Other errors are the end of all.
    let batch = (0..6).map(|n| numbered(9, n, 50)).collect();
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), frames(batch)], refusing(libc::EPERM));
    assert_eq!(outcome.output(0).drops.iter().collect::<Vec<_>>(), [(DropReason::Filtered, 6)]);
}

#[test]
fn a_limit_lets_the_first_ones_through_and_names_the_rest() {
    let limit =
        Limit { bits_per_second: Some(8_000), packets_per_second: None, burst_bytes: 1_000 };
    let send = Send { limit: Some(limit), ..sent_on(4, Ttl::Keep) };
    let batch = |first| (first..first + 12).map(|n| numbered(9, n, 100)).collect();
    let later = Turn { at: Some(1), ..frames(batch(12)) };
    let turns = vec![start(vec![on(send), to(5, Ttl::Keep)]), frames(batch(0)), later];
    let outcome = run(turns, sent);
    let limited = outcome.output(0);
    assert_eq!((limited.wanted, limited.sent), (24, 20));
    assert_eq!(limited.drops.iter().collect::<Vec<_>>(), [(DropReason::RateLimited, 4)]);
    assert_eq!((outcome.output(1).wanted, outcome.output(1).sent), (24, 24));
    let seen = outcome.log.sent.iter().filter(|seen| seen.oif == 4);
    let seen: Vec<u16> = seen.map(|s| u16::from_be_bytes([s.payload[0], s.payload[1]])).collect();
    assert_eq!(seen, (0..10).chain(12..22).collect::<Vec<_>>());
}

/// The segments of a frame with a virtio header of type UDP_L4, cut as the kernel cuts them.
fn segments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (vnet, frame) = bytes.split_at(VNET_HEADER_LEN);
    let word = |at: usize| usize::from(u16::from_ne_bytes([vnet[at], vnet[at + 1]]));
    let payload = &frame[42..];
    if (vnet[0], vnet[1]) == (0, GSO_NONE) {
        let address =
            |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
        let (source, destination) = (address(26), address(30));
        let valid = crate::wire::checksum::udp_is_valid(source, destination, &frame[34..]);
        assert!(valid, "the checksum is that of another datagram");
        return vec![payload.to_vec()];
    }
    assert_eq!(vnet[0], NEEDS_CSUM);
    assert_eq!((word(6), word(8)), (34, 6));
    let be = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    assert_eq!(usize::from(be(16)), 28 + payload.len());
    assert_eq!(usize::from(be(38)), 8 + payload.len());
    let (source, destination) = (&frame[26..30], &frame[30..34]);
    let address = |bytes: &[u8]| Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    let sum = crate::wire::checksum::pseudo(address(source), address(destination), 17, be(38));
    assert_eq!(be(40), sum.fold(), "the pseudo header's sum, over the whole length");
    assert!(crate::wire::checksum::header_is_valid(&frame[14..34]));
    if vnet[1] == GSO_NONE {
        return vec![payload.to_vec()];
    }
    assert_eq!((vnet[1], word(2)), (GSO_UDP_L4, 42));
    payload.chunks(word(4)).map(<[u8]>::to_vec).collect()
}

#[test]
fn frames_leave_in_trains_where_one_header_can_speak_for_all() {
    if !is_root() {
        return;
    }
    let send = Send { mtu: Some(1500), ..by_link(AS_IT_CAME) };
    // What is done to the frames, and in how many messages they leave.
    type Edit = fn(u16, &mut Vec<u8>);
    let rows: [(&str, Edit, usize); 5] = [
        ("numbers that count up", |n, b| b[18..20].copy_from_slice(&(700 + n).to_be_bytes()), 1),
        ("no numbers, DF", |_, b| b[20] = 0x40, 1),
        ("numbers of their own", |n, b| b[18..20].copy_from_slice(&(n * n).to_be_bytes()), 6),
        (
            "DF and numbers of their own",
            |n, b| {
                b[18..20].copy_from_slice(&(n * n).to_be_bytes());
                b[20] = 0x40;
            },
            1,
        ),
        (
            "no checksum",
            |n, b| {
                b[18..20].copy_from_slice(&n.to_be_bytes());
                b[40..42].fill(0);
            },
            6,
        ),
    ];
    for (what, edit, messages) in rows {
        let batch = (0..6).map(|n| {
            let (port, about, mut bytes) = numbered(9, n, 300);
            bytes[20] = 0;
            edit(n, &mut bytes);
            super::packets::fix_ip(&mut bytes);
            (port, about, bytes)
        });
        let outcome = run(vec![start(vec![on(send)]), frames(batch.collect())], sent);
        assert_eq!(outcome.log.packets.len(), messages, "{what}");
        let all = outcome.log.packets.iter().flat_map(|(_, bytes)| segments(bytes));
        let seen: Vec<u16> = all.map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
        assert_eq!(seen, (0..6).collect::<Vec<_>>(), "{what}");
        assert_eq!((outcome.output(0).sent, outcome.output(0).bytes), (6, 1800));
        let first = &outcome.log.packets[0].1[VNET_HEADER_LEN..];
        let number = u16::from_be_bytes([first[18], first[19]]);
        assert_eq!(number, if what.starts_with("numbers that") { 700 } else { 0 }, "{what}");
    }
}

/// What is left over of a run leaves by itself: its checksum is its own, not that of the first one.
#[test]
fn a_frame_that_is_left_over_has_its_own_checksum() {
    if !is_root() {
        return;
    }
    for burst in [1, 2, 5, 6] {
        let burst = NonZeroU8::new(burst);
        let send = Send { mtu: Some(1500), burst, ..by_link(AS_IT_CAME) };
        // The payloads differ, so the checksums do; they came filled in.
        let batch = (0..6).map(|n| numbered(9, n, 300)).collect();
        let outcome = run(vec![start(vec![on(send)]), frames(batch)], sent);
        let all = outcome.log.packets.iter().flat_map(|(_, bytes)| segments(bytes));
        let seen: Vec<u16> = all.map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
        assert_eq!(seen, (0..6).collect::<Vec<_>>(), "{burst:?}");
    }
}

#[test]
fn frames_go_one_by_one_where_the_kernel_knows_no_trains() {
    if !is_root() {
        return;
    }
    let send = Send { mtu: Some(1500), ..by_link(AS_IT_CAME) };
    let payload: Vec<u8> = (0..70u16).flat_map(|n| n.to_be_bytes()).collect();
    let frame = || (0, super_frame(2), packet(9, group(1), 9, &payload));
    let turns = vec![start(vec![on(send)]), frames(vec![frame()]), frames(vec![frame()])];
    let mut n = 0;
    let outcome = run(turns, |_| {
        n += 1;
        // The first two are the trains of 64 and 6.
        if n <= 2 { Answer::Errno(libc::EINVAL) } else { Answer::Sent }
    });
    let seen: Vec<Vec<u8>> = outcome
        .log
        .packets
        .iter()
        .map(|(_, bytes)| bytes[VNET_HEADER_LEN + 42..].to_vec())
        .collect();
    let expected: Vec<Vec<u8>> =
        payload.chunks(2).chain(payload.chunks(2)).map(<[u8]>::to_vec).collect();
    assert_eq!(seen, expected);
    assert_eq!((outcome.output(0).wanted, outcome.output(0).sent), (140, 140));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever comes in: each datagram leaves once, unchanged, in the order of its flow, and no
    /// train is longer than it may be.
    #[test]
    fn each_datagram_leaves_once_in_order(
        batches in proptest::collection::vec(
            proptest::collection::vec((2u8..6, 1usize..4, 1u16..70, 0u16..3), 1..60), 1..4),
        burst in proptest::option::of(1u8..=64),
    ) {
        let mut next: BTreeMap<u8, u16> = BTreeMap::new();
        let mut turns = vec![start(vec![
            on(Send { burst: burst.and_then(NonZeroU8::new), ..sent_on(4, Ttl::Keep) }),
        ])];
        let mut expected: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
        for batch in batches {
            let mut all = Vec::new();
            for (source, size, count, tail) in batch {
                // A frame of `count` datagrams of `size` times 10 bytes, the last one shorter.
                let size = size * 10;
                let mut payload = Vec::new();
                for n in 0..count {
                    let number = next.entry(source).or_default();
                    let len = if n + 1 == count { size - usize::from(tail) } else { size };
                    let mut datagram = vec![source; len];
                    datagram[..2].copy_from_slice(&number.to_be_bytes());
                    *number += 1;
                    payload.extend_from_slice(&datagram);
                    expected.entry(source).or_default().push(datagram);
                }
                let about = if count > 1 { super_frame(size as u16) } else { PLAIN };
                all.push((0, about, packet(source, group(1), 9, &payload)));
            }
            turns.push(frames(all));
        }
        let outcome = run(turns, sent);
        let mut seen: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
        for datagram in &outcome.log.sent {
            // Which source it was is in the bytes after the number.
            let source = datagram.payload[2];
            seen.entry(source).or_default().push(datagram.payload.clone());
        }
        prop_assert_eq!(seen, expected);
        let most = burst.map_or(MAX_TRAIN, u32::from) as usize;
        prop_assert!(outcome.log.trains.iter().all(|&train| train <= most));
    }
}
