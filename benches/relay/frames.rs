//! Frames that are built once; for each send only the stamp and the checksum change.

use super::payload::{self, STAMP_LEN, Stamp};
use mcr::wire::checksum::{self, Sum};
use std::net::Ipv4Addr;

/// Bytes before the payload: Ethernet, IPv4, UDP.
pub(crate) const HEADERS: usize = 14 + 20 + 8;
const UDP_CHECKSUM: usize = 40;
const SOURCE_PORT: u16 = 40_000;
/// More than the relay needs, so that no system ends a packet's way.
const TTL: u8 = 16;

/// The flows of a trial: consecutive groups, one port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flows {
    /// Whose packets they are.
    pub(crate) source: Ipv4Addr,
    /// The first group.
    pub(crate) group: Ipv4Addr,
    /// The UDP port of all.
    pub(crate) port: u16,
    /// How many.
    pub(crate) count: u32,
}

impl Flows {
    /// The group of a flow.
    pub(crate) fn group(&self, flow: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.group) + flow)
    }
}

/// The headers of one flow and the sum of everything in its datagrams but the stamp.
pub(crate) struct Head {
    /// As they are sent, without the UDP checksum.
    pub(crate) bytes: [u8; HEADERS],
    /// For the checksum, with the pseudo-header.
    pub(crate) sum: Sum,
}

/// Those of all flows, for payloads of `len` bytes from this address.
pub(crate) fn heads(flows: &Flows, mac: [u8; 6], len: usize) -> Vec<Head> {
    let payload = payload::blank(len);
    (0..flows.count).map(|flow| head(flows, flow, mac, &payload)).collect()
}

/// Slots for the frames of one burst.
pub(crate) struct Frames {
    heads: Vec<Head>,
    slots: Vec<Vec<u8>>,
}

impl Frames {
    /// `slots` frames with payloads of `len` bytes.
    pub(crate) fn new(flows: &Flows, mac: [u8; 6], len: usize, slots: usize) -> Self {
        let frame = [&[0; HEADERS][..], &payload::blank(len)].concat();
        Self { heads: heads(flows, mac, len), slots: vec![frame; slots] }
    }

    /// Writes a slot: the frame that carries this stamp.
    pub(crate) fn stamp(&mut self, slot: usize, stamp: &Stamp) {
        let head = &self.heads[stamp.flow as usize];
        let frame = &mut self.slots[slot];
        let stamp = stamp.bytes();
        frame[..HEADERS].copy_from_slice(&head.bytes);
        frame[HEADERS..HEADERS + STAMP_LEN].copy_from_slice(&stamp);
        let check = !head.sum.bytes(&stamp).fold();
        // 0 would mean "no checksum" (RFC 768).
        let check = if check == 0 { 0xffff } else { check };
        frame[UDP_CHECKSUM..HEADERS].copy_from_slice(&check.to_be_bytes());
    }

    /// The slots.
    pub(crate) fn slots(&self) -> &[Vec<u8>] {
        &self.slots
    }
}

fn head(flows: &Flows, flow: u32, mac: [u8; 6], payload: &[u8]) -> Head {
    let group = flows.group(flow);
    let udp_len = u16::try_from(8 + payload.len()).expect("a datagram");
    let mut bytes = [0; HEADERS];
    let [_, high, middle, low] = group.octets();
    // RFC 1112 section 6.4.
    bytes[..6].copy_from_slice(&[0x01, 0x00, 0x5e, high & 0x7f, middle, low]);
    bytes[6..12].copy_from_slice(&mac);
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    let ip = &mut bytes[14..34];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
    // Don't fragment.
    ip[6] = 0x40;
    ip[8] = TTL;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&flows.source.octets());
    ip[16..20].copy_from_slice(&group.octets());
    let check = !Sum::default().bytes(ip).fold();
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    bytes[34..36].copy_from_slice(&SOURCE_PORT.to_be_bytes());
    bytes[36..38].copy_from_slice(&flows.port.to_be_bytes());
    bytes[38..40].copy_from_slice(&udp_len.to_be_bytes());
    let sum = checksum::udp_pseudo(flows.source, group, udp_len);
    let sum = sum.bytes(&bytes[34..HEADERS]).bytes(&payload[STAMP_LEN..]);
    Head { bytes, sum }
}
