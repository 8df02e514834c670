//! What the benchmarks of single steps work on: tables, frames, and the steps of a packet's way.

use mcr::dataplane::decode::{Datagram, FrameMeta, GSO_UDP_L4, NEEDS_CSUM, Packet, decode};
use mcr::dataplane::rewrite::{Framing, Rewrite, Template};
use mcr::fib::{
    Action, Builder, CopyOut, Egress, Entry, Fib, FlowKey, OutputSlot, Resolved, RuleSlot, Send,
    Target,
};
use mcr::types::{Dscp, IfIndex, LinkLayer, MtuPolicy, Protocol, SourceFilter, Ttl, VlanFilter};
use mcr::wire::checksum;
use std::net::{IpAddr, Ipv4Addr};

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const PORT: u16 = 5000;
const IN: IfIndex = IfIndex(2);
const OUT: IfIndex = IfIndex(3);
const HEADERS: usize = 14 + 20 + 8;

fn group(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 1, 0, 0)) + number)
}

fn send() -> Send {
    Send {
        oif: Some(OUT),
        target: Target::Set(Ipv4Addr::new(239, 2, 2, 2).into()),
        port: Some(6000),
        ttl: Ttl::Relayed,
        dscp: Dscp::Keep,
        egress: Egress::Socket { source: Some(OURS.into()), port: None },
        broadcast: false,
        mtu: Some(1500),
        limit: None,
        burst: None,
        mtu_policy: MtuPolicy::Fragment,
    }
}

/// Rules that are ready to be compiled: one group, one output each.
pub(crate) fn builder(rules: u32) -> Builder {
    let mut builder = Builder::default();
    builder.own_address(IN, IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)));
    for number in 0..rules {
        builder.rule(Resolved {
            slot: RuleSlot(number),
            iif: IN,
            vlan: VlanFilter::Untagged,
            groups: vec![IpAddr::V4(group(number)).into()],
            ports: vec![(PORT, PORT)],
            sources: SourceFilter::default(),
            protocol: Protocol::Udp,
            link_local: false,
            copies: vec![CopyOut { slot: OutputSlot(number), action: Action::Send(send()) }],
        });
    }
    builder
}

/// The table of so many rules.
pub(crate) fn table(rules: u32) -> Fib {
    builder(rules).build(1).fib
}

/// A packet that the rule in the middle of so many matches.
pub(crate) fn key(rules: u32) -> FlowKey {
    FlowKey {
        iif: IN,
        vlan: 0,
        destination: group(rules / 2).into(),
        source: SOURCE.into(),
        protocol: 17,
        port: PORT,
    }
}

/// A frame as a packet socket gives it: the bytes, and what is said about them.
pub(crate) struct Frame {
    /// From the link header.
    pub(crate) bytes: Vec<u8>,
    /// The rest.
    pub(crate) meta: FrameMeta,
}

/// A frame of so many datagrams of 1,400 bytes; more than one make a super-frame.
pub(crate) fn frame(datagrams: u16) -> Frame {
    let payload = vec![0x5a; 1400 * usize::from(datagrams)];
    let udp_len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0; HEADERS];
    bytes[..6].copy_from_slice(&[1, 0, 0x5e, 1, 0, 0]);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&(20 + udp_len).to_be_bytes());
    bytes[20] = 0x40;
    bytes[22] = 16;
    bytes[23] = 17;
    bytes[26..30].copy_from_slice(&SOURCE.octets());
    bytes[30..34].copy_from_slice(&group(0).octets());
    let sum = checksum::Sum::default().bytes(&bytes[14..34]).fold();
    bytes[24..26].copy_from_slice(&(!sum).to_be_bytes());
    bytes[34..36].copy_from_slice(&40_000u16.to_be_bytes());
    bytes[36..38].copy_from_slice(&PORT.to_be_bytes());
    bytes[38..40].copy_from_slice(&udp_len.to_be_bytes());
    let pseudo = checksum::udp_pseudo(SOURCE, group(0), udp_len);
    let (check, meta) = if datagrams == 1 {
        let check = !pseudo.bytes(&bytes[34..]).bytes(&payload).fold();
        (check, FrameMeta::plain(LinkLayer::Ethernet))
    } else {
        let plain = FrameMeta::plain(LinkLayer::Ethernet);
        (
            pseudo.fold(),
            FrameMeta { flags: NEEDS_CSUM, gso_type: GSO_UDP_L4, gso_size: 1400, ..plain },
        )
    };
    bytes[40..42].copy_from_slice(&check.to_be_bytes());
    bytes.extend(payload);
    Frame { bytes, meta }
}

/// What the frame holds; the frames of this file hold one whole packet.
pub(crate) fn decoded(frame: &Frame) -> Option<Datagram> {
    match decode(&frame.bytes, &frame.meta) {
        Ok(Packet::Whole(datagram)) => Some(datagram),
        _ => None,
    }
}

/// The entry that a packet is forwarded by.
pub(crate) fn looked_up<'a>(table: &'a Fib, key: &FlowKey) -> Option<&'a Entry> {
    table.lookup(key).ok()
}

/// The headers of every datagram of a frame that goes out with other addresses: how many bytes they
/// are.
pub(crate) fn rewritten(frame: &Frame, datagram: &Datagram) -> usize {
    let to = Rewrite {
        source: SOURCE,
        destination: Ipv4Addr::new(239, 2, 2, 2),
        source_port: 40_000,
        destination_port: 6000,
        ttl: 15,
        tos: 0,
    };
    let framing =
        Framing::Ethernet { destination: [1, 0, 0x5e, 2, 2, 2], source: [2, 0, 0, 0, 0, 2] };
    let Some(template) = Template::new(&frame.bytes, datagram, &to) else { return 0 };
    let headers = (0..)
        .zip(datagram.segments())
        .filter_map(|(number, (_, len))| Some(template.datagram(number, len)?.whole(framing)));
    headers.map(|header| header.bytes().len()).sum()
}
