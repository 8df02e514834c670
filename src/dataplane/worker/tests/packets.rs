//! Copies with headers of ours: every field of an output, in bytes that another crate reads.

use super::*;
use crate::dataplane::decode::VNET_HEADER_LEN;
use crate::fib::SourceRewrite;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
/// The source of [`sample`].
pub(super) const ORIGINAL: [u8; 4] = [10, 0, 1, 9];
pub(super) const AS_IT_CAME: SourceRewrite = SourceRewrite { address: None, port: None };
pub(super) const ETHERNET: FrameMeta = FrameMeta::plain(LinkLayer::Ethernet);

pub(super) fn by_link(source: SourceRewrite) -> Send {
    let egress = Egress::Link { source, link_layer: LinkLayer::Ethernet, mac: MAC };
    Send { egress, ..sent_on(4, Ttl::Keep) }
}

pub(super) fn by_raw(source: SourceRewrite) -> Send {
    let target = Target::Set(Ipv4Addr::new(192, 0, 2, 1).into());
    Send { egress: Egress::Raw { source }, target, ..sent_on(4, Ttl::Keep) }
}

pub(super) fn link() -> Action {
    Action::Send(by_link(AS_IT_CAME))
}

pub(super) fn raw() -> Action {
    Action::Send(by_raw(AS_IT_CAME))
}

pub(super) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: needs root, to open the sockets that packets leave by");
    }
    root
}

/// What another crate reads in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) macs: Option<([u8; 6], [u8; 6])>,
    pub(super) source: [u8; 4],
    pub(super) destination: [u8; 4],
    pub(super) ttl: u8,
    pub(super) tos: u8,
    pub(super) identification: u16,
    pub(super) dont_fragment: bool,
    pub(super) options: Vec<u8>,
    pub(super) protocol: u8,
    pub(super) ports: (u16, u16),
    /// True where the checksum is right, or will be once the kernel has filled it in.
    pub(super) checksum: bool,
    /// 0 in the checksum field.
    pub(super) absent: bool,
    pub(super) payload: Vec<u8>,
}

/// The bytes after the virtio header, once the checksum that it asks for is filled in as the
/// kernel does (skb_checksum_help).
fn filled(bytes: &[u8]) -> (Vec<u8>, bool) {
    let (vnet, frame) = bytes.split_at(VNET_HEADER_LEN);
    let word = |at: usize| u16::from_ne_bytes([vnet[at], vnet[at + 1]]);
    assert_eq!((vnet[1], word(4)), (0, 0), "no segmentation");
    let mut frame = frame.to_vec();
    if vnet[0] == 0 {
        return (frame, false);
    }
    assert_eq!(vnet[0], NEEDS_CSUM);
    let (start, at) = (usize::from(word(6)), usize::from(word(6) + word(8)));
    let mut sum = 0u32;
    for pair in frame[start..].chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let check = match !(sum as u16) {
        0 => 0xffff,
        check => check,
    };
    frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
    (frame, true)
}

pub(super) fn read(to: &SendTo, bytes: &[u8]) -> Read {
    let frame = match to {
        SendTo::Link { .. } => filled(bytes).0,
        _ => bytes.to_vec(),
    };
    let is_bare = matches!(to, SendTo::Raw { .. }) || frame[0] >> 4 == 4;
    let sliced =
        if is_bare { SlicedPacket::from_ip(&frame) } else { SlicedPacket::from_ethernet(&frame) };
    let sliced = sliced.expect("another crate reads it");
    let macs = sliced.link.as_ref().map(|link| {
        let header = link.to_header().expect("a header").ethernet2().expect("Ethernet II");
        (header.destination, header.source)
    });
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("IPv4") };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "IP checksum");
    assert_eq!(usize::from(header.total_len), frame.len() - if is_bare { 0 } else { 14 });
    let (ports, expected, field, payload) = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
            assert_eq!(usize::from(udp.length()), 8 + udp.payload().len());
            let ports = (udp.source_port(), udp.destination_port());
            (ports, right.expect("fits"), udp.checksum(), udp.payload())
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let right = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload());
            let ports = (tcp.source_port(), tcp.destination_port());
            (ports, right.expect("fits"), tcp.checksum(), tcp.payload())
        }
        _ => ((0, 0), 0, 0, ip.payload().payload),
    };
    Read {
        macs,
        source: header.source,
        destination: header.destination,
        ttl: header.time_to_live,
        tos: header.dscp.value() << 2 | header.ecn.value(),
        identification: header.identification,
        dont_fragment: header.dont_fragment,
        options: header.options.to_vec(),
        protocol: header.protocol.0,
        ports,
        checksum: expected == field,
        absent: field == 0,
        payload: payload.to_vec(),
    }
}

/// Bytes of the UDP payload.
pub(super) fn payload(to: &SendTo, bytes: &[u8]) -> usize {
    read(to, bytes).payload.len()
}

/// What the packet of [`sample`] reads like where nothing but the link header is new.
fn unchanged(payload: &[u8]) -> Read {
    Read {
        macs: Some(([1, 0, 0x5e, 1, 1, 1], MAC)),
        source: ORIGINAL,
        destination: group(1).octets(),
        ttl: 9,
        tos: 46 << 2 | 1,
        identification: 0x1234,
        dont_fragment: false,
        options: Vec::new(),
        protocol: 17,
        ports: (40_000, 5000),
        checksum: true,
        absent: false,
        payload: payload.to_vec(),
    }
}

/// Puts a right header checksum in.
pub(super) fn fix_ip(frame: &mut [u8]) {
    let len = usize::from(frame[14] & 0x0f) * 4;
    frame[24..26].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&frame[14..14 + len]).fold();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// DSCP 46, ECN 1, TTL 9, number 0x1234.
pub(super) fn sample(payload: &[u8]) -> Vec<u8> {
    let mut bytes = packet(9, group(1), 9, payload);
    bytes[15] = 46 << 2 | 1;
    bytes[18..20].copy_from_slice(&[0x12, 0x34]);
    bytes[20..22].fill(0);
    fix_ip(&mut bytes);
    bytes
}

/// Adds IP options: router alert (copied into fragments) and record route (not copied).
pub(super) fn with_options(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.splice(34..34, OPTIONS);
    bytes[14] = 0x40 | (5 + OPTIONS.len() / 4) as u8;
    let total = (bytes.len() - 14) as u16;
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    fix_ip(&mut bytes);
    bytes
}

pub(super) const OPTIONS: [u8; 12] = [0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];

pub(super) fn relay(send: Send, meta: FrameMeta, bytes: Vec<u8>) -> Outcome {
    let turns =
        vec![start(vec![Action::Send(send)]), frames(vec![(0, About::Packet(meta), bytes)])];
    run(turns, sent)
}

pub(super) fn relay_one(send: Send, meta: FrameMeta, bytes: Vec<u8>) -> (SendTo, Read) {
    let outcome = relay(send, meta, bytes);
    let [(to, bytes)] = &outcome.log.packets[..] else {
        panic!("{:?} {:?}", outcome.log.packets, outcome.output(0))
    };
    assert_eq!((outcome.output(0).wanted, outcome.output(0).sent), (1, 1));
    (*to, read(to, bytes))
}

pub(super) fn drops(send: Send, bytes: Vec<u8>) -> Vec<(DropReason, u64)> {
    let outcome = relay(send, ETHERNET, bytes);
    assert!(outcome.log.packets.is_empty() && outcome.log.sent.is_empty());
    outcome.output(0).drops.iter().collect()
}

#[test]
fn a_frame_has_every_field_that_the_output_names() {
    if !is_root() {
        return;
    }
    let other = Ipv4Addr::new(239, 200, 3, 4);
    let source = SourceRewrite { address: Some(Ipv4Addr::new(10, 7, 7, 7).into()), port: Some(77) };
    let port = SourceRewrite { address: None, port: Some(78) };
    let plain = by_link(AS_IT_CAME);
    let same = unchanged(b"hello");
    let mac_of = |group: [u8; 3]| Some(([1, 0, 0x5e, group[0], group[1], group[2]], MAC));
    let mapped = Target::Map { base: Ipv4Addr::new(232, 255, 0, 0).into(), host_bits: 16 };
    let rows = [
        (plain, same.clone()),
        (Send { ttl: Ttl::Decrement, ..plain }, Read { ttl: 8, ..same.clone() }),
        (Send { ttl: Ttl::Set(255), ..plain }, Read { ttl: 255, ..same.clone() }),
        (Send { dscp: Dscp::Set(8), ..plain }, Read { tos: 8 << 2 | 1, ..same.clone() }),
        (Send { dscp: Dscp::Set(0), ..plain }, Read { tos: 1, ..same.clone() }),
        (Send { port: Some(6001), ..plain }, Read { ports: (40_000, 6001), ..same.clone() }),
        (
            Send { target: Target::Set(other.into()), ..plain },
            Read { macs: mac_of([72, 3, 4]), destination: other.octets(), ..same.clone() },
        ),
        (
            Send { target: mapped, ..plain },
            Read { macs: mac_of([127, 1, 1]), destination: [232, 255, 1, 1], ..same.clone() },
        ),
        (by_link(source), Read { source: [10, 7, 7, 7], ports: (77, 5000), ..same.clone() }),
        (by_link(port), Read { ports: (78, 5000), ..same.clone() }),
        (
            Send { target: Target::Set(Ipv4Addr::BROADCAST.into()), ..plain },
            Read { macs: Some(([0xff; 6], MAC)), destination: [255; 4], ..same.clone() },
        ),
        (
            Send {
                target: Target::Set(Ipv4Addr::new(10, 0, 9, 255).into()),
                broadcast: true,
                ..plain
            },
            Read { macs: Some(([0xff; 6], MAC)), destination: [10, 0, 9, 255], ..same.clone() },
        ),
    ];
    for (send, expected) in rows {
        let (to, read) = relay_one(send, ETHERNET, sample(b"hello"));
        assert_eq!((to, &read), (SendTo::Link { oif: 4 }, &expected), "{send:?}");
        // Behind an L3 tunnel there is no Ethernet header.
        let Egress::Link { source, .. } = send.egress else { panic!("a link") };
        let bare = Egress::Link { source, link_layer: LinkLayer::None, mac: [0; 6] };
        let (_, read) = relay_one(Send { egress: bare, ..send }, ETHERNET, sample(b"hello"));
        assert_eq!(read, Read { macs: None, ..expected }, "{send:?}");
    }
    // One station's hardware address is not known.
    let station = Target::Set(Ipv4Addr::new(10, 0, 9, 7).into());
    let send = Send { target: station, ..plain };
    assert_eq!(drops(send, sample(b"hello")), [(DropReason::SendError, 1)]);
}

#[test]
fn a_raw_packet_has_every_field_that_the_output_names() {
    if !is_root() {
        return;
    }
    let there = Ipv4Addr::new(192, 0, 2, 1);
    let source = SourceRewrite { address: Some(Ipv4Addr::new(10, 7, 7, 7).into()), port: Some(77) };
    let plain = by_raw(AS_IT_CAME);
    let same = Read { macs: None, destination: there.octets(), ..unchanged(b"hello") };
    let rows = [
        (plain, 4, same.clone()),
        (Send { oif: None, ..plain }, 0, same.clone()),
        (Send { ttl: Ttl::Set(64), ..plain }, 4, Read { ttl: 64, ..same.clone() }),
        (Send { dscp: Dscp::Set(8), ..plain }, 4, Read { tos: 8 << 2 | 1, ..same.clone() }),
        (Send { port: Some(1), ..plain }, 4, Read { ports: (40_000, 1), ..same.clone() }),
        (by_raw(source), 4, Read { source: [10, 7, 7, 7], ports: (77, 5000), ..same.clone() }),
    ];
    for (send, oif, expected) in rows {
        // The checksum is complete, whatever it was: no device is asked for it.
        for meta in [ETHERNET, partial(&sample(b"hello"))] {
            let (to, read) = relay_one(send, meta, sample(b"hello"));
            assert_eq!((to, &read), (SendTo::Raw { to: there, oif }, &expected), "{send:?}");
        }
    }
}

#[test]
fn options_number_and_df_stay() {
    if !is_root() {
        return;
    }
    let mut bytes = with_options(sample(b"hello"));
    bytes[20] = 0x40;
    fix_ip(&mut bytes);
    let expected = Read { options: OPTIONS.to_vec(), dont_fragment: true, ..unchanged(b"hello") };
    assert_eq!(relay_one(by_link(AS_IT_CAME), ETHERNET, bytes.clone()).1, expected);
    let (_, read) = relay_one(by_raw(AS_IT_CAME), ETHERNET, bytes);
    assert_eq!(read, Read { macs: None, destination: [192, 0, 2, 1], ..expected });
}

#[test]
fn a_super_frame_leaves_datagram_by_datagram_with_checksums_to_be_filled_in() {
    if !is_root() {
        return;
    }
    let payload: Vec<u8> = (0..250).collect();
    for dont_fragment in [false, true] {
        let mut bytes = sample(&payload);
        bytes[20] = if dont_fragment { 0x40 } else { 0 };
        fix_ip(&mut bytes);
        for send in [by_link(AS_IT_CAME), by_raw(AS_IT_CAME)] {
            let turns = vec![
                start(vec![Action::Send(send)]),
                frames(vec![(0, super_frame(100), bytes.clone())]),
            ];
            let outcome = run(turns, sent);
            assert_eq!(outcome.log.packets.len(), 3);
            for (n, (to, packet)) in outcome.log.packets.iter().enumerate() {
                let read = read(to, packet);
                assert_eq!(read.payload, payload[n * 100..].chunks(100).next().expect("some"));
                let number = if dont_fragment { 0 } else { n as u16 };
                assert_eq!(read.identification, 0x1234 + number);
                assert!(read.checksum && !read.absent && read.dont_fragment == dont_fragment);
                if let SendTo::Link { .. } = to {
                    assert!(filled(packet).1, "the kernel fills it in");
                }
            }
            let output = outcome.output(0);
            assert_eq!((output.wanted, output.sent, output.bytes), (3, 3, 250));
        }
    }
}

#[test]
fn payloads_of_a_bound_socket_get_headers() {
    if !is_root() {
        return;
    }
    let source = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 9), 40_000);
    let about = About::Udp { source, ttl: 7, tos: 3, segment: 4, truncated: false };
    let target = Target::Set(IpAddr::V4(group(1)));
    let send = Send { target, ..by_link(AS_IT_CAME) };
    let fib = table(1, &[(1, *LOCAL.ip(), vec![Action::Send(send)])]);
    let commands = vec![open(0, Ingress::Udp(LOCAL)), publish(fib)];
    let batch = vec![(0, about, b"joined".to_vec()), (0, about, b"more".to_vec())];
    let turns = vec![Turn { commands, ..Turn::default() }, frames(batch)];
    let outcome = run(turns, sent);
    let read: Vec<Read> = outcome.log.packets.iter().map(|(to, bytes)| read(to, bytes)).collect();
    let payloads: Vec<_> = read.iter().map(|read| read.payload.as_slice()).collect();
    assert_eq!(payloads, [&b"join"[..], b"ed", b"more"]);
    for (n, read) in read.into_iter().enumerate() {
        let expected =
            Read { ttl: 7, tos: 3, identification: n as u16 + 1, ..unchanged(&read.payload) };
        assert_eq!(read, expected);
    }
}

/// A TCP segment to the group.
fn tcp(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 1, 1, 1])
        .ipv4(ORIGINAL, group(1).octets(), 9)
        .tcp(1000, 2000, 7, 512)
        .options_raw(&[1, 1, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .expect("options");
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).expect("fits");
    bytes
}

#[test]
fn other_protocols_leave_by_every_way_with_their_checksum_updated() {
    if !is_root() {
        return;
    }
    let there = Some(Ipv4Addr::new(10, 7, 7, 7).into());
    let source = SourceRewrite { address: there, port: Some(77) };
    let by_socket =
        Send { egress: Egress::Socket { source: there, port: None }, ..by_link(AS_IT_CAME) };
    for send in [by_link(source), by_raw(source), by_socket] {
        let target = Target::Set(IpAddr::V4(group(9)));
        let send = Send { ttl: Ttl::Set(3), port: Some(6000), target, ..send };
        for meta in [ETHERNET, partial(&tcp(b"segment"))] {
            let (to, read) = relay_one(send, meta, tcp(b"segment"));
            assert_eq!(matches!(to, SendTo::Link { .. }), send.egress == by_link(source).egress);
            assert_eq!((read.source, read.destination), ([10, 7, 7, 7], group(9).octets()));
            assert_eq!((read.ttl, read.protocol, read.ports), (3, 6, (1000, 2000)));
            assert!(read.checksum, "{to:?} {meta:?}");
            assert_eq!(read.payload, b"segment");
        }
        for len in [0, 5, 19, 20, 21, 400] {
            let body: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut bytes = sample(&[0; 400]);
            bytes.truncate(34);
            bytes.extend_from_slice(&body);
            bytes[23] = 253;
            bytes[16..18].copy_from_slice(&(20 + len as u16).to_be_bytes());
            fix_ip(&mut bytes);
            let (_, read) = relay_one(send, ETHERNET, bytes);
            assert_eq!((read.protocol, read.payload), (253, body));
        }
    }
    // The kernel would choose the source, but nobody would put it into the checksum.
    let unknown = Send { egress: Egress::Socket { source: None, port: None }, ..by_socket };
    assert_eq!(drops(unknown, tcp(b"segment")), [(DropReason::NoAddress, 1)]);
}

#[test]
fn refusals_of_packets_are_not_repeated() {
    if !is_root() {
        return;
    }
    for (errno, reason) in [
        (libc::ENOBUFS, DropReason::TransmitQueueFull),
        (libc::ENETDOWN, DropReason::InterfaceDown),
        (libc::ENXIO, DropReason::NoInterface),
        (libc::EMSGSIZE, DropReason::MessageSize),
        (libc::EAGAIN, DropReason::SendBufferFull),
        (libc::ENETUNREACH, DropReason::NoRoute),
    ] {
        let outcome = run(vec![start(vec![link(), raw()]), one(9)], |_| Answer::Errno(errno));
        for slot in 0..2 {
            let drops: Vec<_> = outcome.output(slot).drops.iter().collect();
            assert_eq!(drops, [(reason, 1)], "errno {errno}");
        }
        assert_eq!(outcome.report.worker.sends, 2);
    }
}
