//! Copies with headers of ours that are larger than the MTU.

use super::packets::{
    AS_IT_CAME, ETHERNET, OPTIONS, ORIGINAL, by_link, by_raw, drops, fix_ip, is_root, relay,
    relay_one, sample, with_options,
};
use super::*;
use crate::dataplane::decode::VNET_HEADER_LEN;
use etherparse::{NetSlice, SlicedPacket};

/// The datagram that fragments make up: its IP payload. They are those of one datagram, each no
/// larger than `mtu`.
fn joined(outcome: &Outcome, mtu: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let packets = &outcome.log.packets;
    for (n, (to, bytes)) in packets.iter().enumerate() {
        let start = if matches!(to, SendTo::Link { .. }) { VNET_HEADER_LEN + 14 } else { 0 };
        let ip = &bytes[start..];
        assert!(ip.len() <= mtu, "{} bytes", ip.len());
        let sliced = SlicedPacket::from_ip(ip).expect("another crate reads it");
        let Some(NetSlice::Ipv4(slice)) = sliced.net else { panic!("IPv4") };
        let header = slice.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(header.fragment_offset.byte_offset() as usize, all.len());
        assert_eq!(header.more_fragments, n + 1 < packets.len());
        assert_eq!(header.identification, 0x1234);
        let options = if n == 0 { &OPTIONS[..] } else { &OPTIONS[..4] };
        assert_eq!(&header.options[..], options);
        all.extend_from_slice(slice.payload().payload);
    }
    all
}

#[test]
fn what_is_too_large_is_cut_dropped_or_forbidden() {
    if !is_root() {
        return;
    }
    let payload: Vec<u8> = (0..1000u32).map(|n| (n * 7) as u8).collect();
    let bytes = with_options(sample(&payload));
    let size = bytes.len() as u32 - 14;
    for send in [by_link(AS_IT_CAME), by_raw(AS_IT_CAME)] {
        let fits = Send { mtu: Some(size), mtu_policy: MtuPolicy::Drop, ..send };
        assert_eq!(relay_one(fits, ETHERNET, bytes.clone()).1.payload, payload);
        for meta in [ETHERNET, partial(&bytes)] {
            for mtu in [size - 1, 576, 100, 68, 40] {
                let outcome = relay(Send { mtu: Some(mtu), ..send }, meta, bytes.clone());
                let udp = joined(&outcome, mtu as usize);
                assert_eq!(udp[8..], payload, "mtu {mtu}");
                let destination = match send.egress {
                    Egress::Raw { .. } => [192, 0, 2, 1],
                    _ => group(1).octets(),
                };
                let header = etherparse::UdpHeader::from_slice(&udp).expect("a header").0;
                let right =
                    header.calc_checksum_ipv4_raw(ORIGINAL, destination, &payload).expect("fits");
                assert_eq!(header.checksum, right);
                let output = outcome.output(0);
                assert_eq!((output.wanted, output.sent, output.bytes), (1, 1, 1000));
            }
        }
        let small = Send { mtu: Some(size - 1), ..send };
        let policy = Send { mtu_policy: MtuPolicy::Drop, ..small };
        assert_eq!(drops(policy, bytes.clone()), [(DropReason::MtuExceeded, 1)]);
        let mut forbidden = bytes.clone();
        forbidden[20] = 0x40;
        fix_ip(&mut forbidden);
        for send in [small, policy] {
            assert_eq!(drops(send, forbidden.clone()), [(DropReason::DontFragment, 1)]);
        }
        let none = Send { mtu: Some(39), ..send };
        assert_eq!(drops(none, bytes.clone()), [(DropReason::MessageSize, 1)]);
    }
}

#[test]
fn a_copy_in_fragments_is_sent_or_dropped_once() {
    if !is_root() {
        return;
    }
    let send = Send { mtu: Some(36), ..by_link(AS_IT_CAME) };
    // 32 bytes of header and options: 8 bytes in the first, 8 in each of the others.
    let bytes = with_options(sample(&[5; 24_000]));
    let run_with = |answer: &dyn Fn(usize) -> Answer| {
        let mut n = 0;
        let send = Send { mtu: Some(40), ..send };
        let turns = vec![
            start(vec![Action::Send(send), Action::Send(Send { port: Some(6000), ..send })]),
            frames(vec![(0, PLAIN, bytes.clone()), (0, PLAIN, sample(b"small"))]),
        ];
        run(turns, |_| {
            n += 1;
            answer(n)
        })
    };
    let all = run_with(&|_| Answer::Sent);
    assert_eq!(all.log.flushes[..2], [SENDS; 2], "{:?}", all.output(0));
    for refused in [1, 700, SENDS] {
        let refusal =
            move |n| if n == refused { Answer::Errno(libc::ENOBUFS) } else { Answer::Sent };
        let outcome = run_with(&refusal);
        let (first, second) = (outcome.output(0), outcome.output(1));
        assert_eq!((first.wanted, first.sent, first.bytes), (2, 1, 5));
        assert_eq!(first.drops.iter().collect::<Vec<_>>(), [(DropReason::TransmitQueueFull, 1)]);
        assert_eq!((second.wanted, second.sent, second.bytes), (2, 2, 24_005));
    }
    let unqueued = run_with(&|n| if n == 3 { Answer::Unqueued } else { Answer::Sent });
    assert_eq!(unqueued.output(0).drops.get(DropReason::SendError), 1);
    assert_eq!(unqueued.output(0).sent, 1);
}
