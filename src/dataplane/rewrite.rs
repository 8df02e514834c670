//! Packets with headers of our making: what stands before the payload of a copy that leaves as a
//! frame or as an IP packet. The payload itself stays where it was received.
//!
//! A [`Template`] is made once for a received packet and output, an [`Outgoing`] for each datagram
//! of it, a [`Header`] for each send.

use super::backend::Header;
use super::decode::{Checksum, Datagram, GSO_UDP_L4, NEEDS_CSUM, VNET_HEADER_LEN};
use crate::types::LinkLayer;
use crate::wire::{checksum, ethernet, ipv4, transport, udp};
use std::net::Ipv4Addr;

/// Bytes of a transport header that we keep at hand: up to the checksum of every protocol that has
/// one over the addresses.
pub const TRANSPORT_LEN: usize = 20;

/// What a copy has in place of what the packet came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
    /// TTL.
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
}

/// What stands before the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A virtio header (PACKET_VNET_HDR) and an Ethernet header.
    Ethernet {
        /// Destination MAC address.
        destination: [u8; 6],
        /// Source MAC address.
        source: [u8; 6],
    },
    /// A virtio header.
    Bare,
    /// Nothing.
    Raw,
}

impl Framing {
    /// Of a frame.
    pub fn of(link_layer: LinkLayer, destination: [u8; 6], source: [u8; 6]) -> Self {
        match link_layer {
            LinkLayer::Ethernet => Self::Ethernet { destination, source },
            LinkLayer::None => Self::Bare,
        }
    }
}

/// The rewritten headers of all datagrams of a received packet.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    ip: [u8; ipv4::MAX_HEADER_LEN],
    ip_len: usize,
    transport: [u8; TRANSPORT_LEN],
    transport_len: usize,
    to: Rewrite,
    protocol: u8,
    identification: u16,
    dont_fragment: bool,
    /// The checksum is still to be filled in.
    partial: bool,
}

impl Template {
    /// Takes the headers of `datagram`, whose offsets are in `frame`. None where they do not lie in it.
    pub fn new(frame: &[u8], datagram: &Datagram, to: &Rewrite) -> Option<Self> {
        let is_udp = datagram.protocol == udp::PROTOCOL;
        let mut template = Self {
            ip: [0; ipv4::MAX_HEADER_LEN],
            ip_len: ipv4::HEADER_LEN,
            transport: [0; TRANSPORT_LEN],
            transport_len: if is_udp {
                udp::HEADER_LEN
            } else {
                TRANSPORT_LEN.min(datagram.payload_len as usize)
            },
            to: *to,
            protocol: datagram.protocol,
            identification: datagram.identification,
            dont_fragment: datagram.dont_fragment,
            partial: datagram.checksum == Checksum::Partial,
        };
        if datagram.header_len == 0 {
            // The kernel has taken the headers off, and with them the checksum.
            template.ip[0] = 0x45;
            template.partial = true;
        } else {
            let start = datagram.header_start as usize;
            template.ip_len = usize::from(datagram.header_len);
            let ip = frame.get(start..start + template.ip_len)?;
            template.ip.get_mut(..template.ip_len)?.copy_from_slice(ip);
            let start = start + template.ip_len;
            let len = template.transport_len;
            template.transport[..len].copy_from_slice(frame.get(start..start + len)?);
        }
        if is_udp {
            template.transport[..2].copy_from_slice(&to.source_port.to_be_bytes());
            template.transport[2..4].copy_from_slice(&to.destination_port.to_be_bytes());
        }
        if datagram.checksum == Checksum::Complete {
            template.update_checksum(datagram);
        }
        template.ip[1] = to.tos;
        template.ip[8] = to.ttl;
        template.ip[9] = datagram.protocol;
        template.ip[12..16].copy_from_slice(&to.source.octets());
        template.ip[16..20].copy_from_slice(&to.destination.octets());
        Some(template)
    }

    /// Where the checksum over the addresses is in the transport header, where there is one.
    fn checksum_place(&self) -> Option<usize> {
        transport::checksum_offset(self.protocol).filter(|at| at + 2 <= self.transport_len)
    }

    /// Carries the sender's checksum over to the new addresses and ports: it still tells whether
    /// the payload is what was sent.
    fn update_checksum(&mut self, datagram: &Datagram) {
        let Some(at) = self.checksum_place() else { return };
        let fields = |source: Ipv4Addr, destination: Ipv4Addr, ports: (u16, u16)| {
            let mut bytes = [0; 12];
            bytes[..4].copy_from_slice(&source.octets());
            bytes[4..8].copy_from_slice(&destination.octets());
            // The ports of other protocols stay: zeros both times.
            bytes[8..10].copy_from_slice(&ports.0.to_be_bytes());
            bytes[10..].copy_from_slice(&ports.1.to_be_bytes());
            bytes
        };
        let is_udp = self.protocol == udp::PROTOCOL;
        let ports = (self.to.source_port, self.to.destination_port);
        let new_ports = if is_udp { ports } else { (0, 0) };
        let old_ports = (datagram.source_port, datagram.destination_port);
        let old = fields(datagram.source, datagram.destination, old_ports);
        let new = fields(self.to.source, self.to.destination, new_ports);
        let before = u16::from_be_bytes([self.transport[at], self.transport[at + 1]]);
        let after = self.as_field(checksum::update(before, &old, &new));
        self.transport[at..at + 2].copy_from_slice(&after.to_be_bytes());
    }

    /// 0 means "none" in UDP and is forbidden in UDP-Lite: a checksum that is 0 is written as 0xffff
    /// (RFC 768, RFC 3828 section 3.1).
    fn as_field(&self, check: u16) -> u16 {
        const UDP_LITE: u8 = 136;
        if check == 0 && matches!(self.protocol, udp::PROTOCOL | UDP_LITE) { 0xffff } else { check }
    }

    /// Bytes of the transport header that are not taken from the received packet.
    pub fn transport_len(&self) -> u32 {
        self.transport_len as u32
    }

    /// The headers of a whole run of UDP datagrams that the kernel or the device will cut apart: so
    /// many payload bytes in pieces of `segment`, or one datagram where they are no more; the first one
    /// with this number among those of the received packet. The kernel counts the identification up and
    /// makes the checksums: what came with the received packet is that of its own payload
    /// (VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2). None where it is longer than an IP packet can be.
    pub fn train(
        &self,
        number: u32,
        payload_len: u32,
        segment: u16,
        framing: Framing,
    ) -> Option<Header> {
        let partial = Self { partial: true, ..*self };
        let outgoing = partial.datagram(number, payload_len)?;
        let several = payload_len > u32::from(segment);
        Some(outgoing.headers(framing, several.then_some(segment)))
    }

    /// The datagram with this number among those of the received packet, with so many bytes after
    /// the transport header. None where it is longer than an IP packet can be.
    pub fn datagram(&self, number: u32, rest_len: u32) -> Option<Outgoing> {
        let transport_len = self.transport_len + rest_len as usize;
        let total = u16::try_from(self.ip_len + transport_len).ok()?;
        let transport_len = u16::try_from(transport_len).ok()?;
        let mut template = *self;
        // Datagrams that nobody may fragment need no number of their own (RFC 6864 section 4.1).
        if !self.dont_fragment {
            template.identification = self.identification.wrapping_add(number as u16);
        }
        if self.protocol == udp::PROTOCOL {
            template.transport[4..6].copy_from_slice(&transport_len.to_be_bytes());
        }
        let checksum_at = if self.partial { self.checksum_place() } else { None };
        if let Some(at) = checksum_at {
            let (source, destination) = (self.to.source, self.to.destination);
            let sum = checksum::pseudo(source, destination, self.protocol, transport_len).fold();
            template.transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        Some(Outgoing { template, total, checksum_at })
    }
}

/// One datagram that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    template: Template,
    total: u16,
    /// Where the pseudo header's sum waits to become a checksum.
    checksum_at: Option<usize>,
}

/// A part of a datagram: its headers, and which bytes after the transport header follow them.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The headers.
    pub header: Header,
    /// Where it starts among the bytes after the transport header.
    pub start: u32,
    /// How many of them follow.
    pub len: u32,
}

impl Outgoing {
    /// Bytes of the IP packet.
    pub fn size(&self) -> u32 {
        u32::from(self.total)
    }

    /// True where its sender forbids fragments.
    pub fn dont_fragment(&self) -> bool {
        self.template.dont_fragment
    }

    /// Fills in a checksum that is still missing; `rest` is what follows the transport header.
    pub fn complete(&mut self, rest: &[u8]) {
        let Some(at) = self.checksum_at.take() else { return };
        // The pseudo header's sum stands in the field and so is part of what is summed. What we
        // keep of the transport header is an even number of bytes, unless nothing follows it.
        let header = &self.template.transport[..self.template.transport_len];
        let check = !checksum::Sum::default().bytes(header).bytes(rest).fold();
        let check = self.template.as_field(check).to_be_bytes();
        self.template.transport[at..at + 2].copy_from_slice(&check);
    }

    /// All headers in one.
    pub fn whole(&self, framing: Framing) -> Header {
        self.headers(framing, None)
    }

    fn headers(&self, framing: Framing, segment: Option<u16>) -> Header {
        let template = &self.template;
        let mut header = Header::default();
        self.begin(&mut header, framing, self.checksum_at, segment);
        let flags = if template.dont_fragment { ipv4::DONT_FRAGMENT } else { 0 };
        let ip = ip_header(&template.ip[..template.ip_len], self.total, self.number(), flags);
        header.push(&ip[..template.ip_len]);
        header.push(&template.transport[..template.transport_len]);
        header
    }

    fn number(&self) -> u16 {
        self.template.identification
    }

    fn begin(
        &self,
        header: &mut Header,
        framing: Framing,
        checksum_at: Option<usize>,
        segment: Option<u16>,
    ) {
        let link_len = match framing {
            Framing::Ethernet { .. } => ethernet::HEADER_LEN,
            Framing::Bare => 0,
            Framing::Raw => return,
        };
        // struct virtio_net_hdr, fields in host order: flags, gso_type, hdr_len, gso_size,
        // csum_start, csum_offset.
        let mut vnet = [0; VNET_HEADER_LEN];
        if let Some(at) = checksum_at {
            // At most 14 and 60 bytes.
            let start = (link_len + self.template.ip_len) as u16;
            vnet[0] = NEEDS_CSUM;
            vnet[6..8].copy_from_slice(&start.to_ne_bytes());
            vnet[8..].copy_from_slice(&(at as u16).to_ne_bytes());
        }
        if let Some(segment) = segment {
            vnet[1] = GSO_UDP_L4;
            // Bytes of all headers: at most 14, 60 and 8.
            let len = (link_len + self.template.ip_len + self.template.transport_len) as u16;
            vnet[2..4].copy_from_slice(&len.to_ne_bytes());
            vnet[4..6].copy_from_slice(&segment.to_ne_bytes());
        }
        header.push(&vnet);
        if let Framing::Ethernet { destination, source } = framing {
            header.push(&ethernet::ipv4_header(destination, source));
        }
    }

    /// The datagram in parts of at most `mtu` bytes (RFC 791 section 3.2); [`Self::complete`] has
    /// been called. `number` identifies the parts where the packet has 0, which a raw socket would
    /// replace in each by another. None where the MTU has no room for the headers.
    pub fn fragments(
        &self,
        mtu: u32,
        number: u16,
        framing: Framing,
    ) -> Option<impl ExactSizeIterator<Item = Piece> + use<>> {
        let outgoing = *self;
        let template = outgoing.template;
        let number = if outgoing.number() == 0 { number.max(1) } else { outgoing.number() };
        let options = &template.ip[ipv4::HEADER_LEN..template.ip_len];
        let (copied, copied_len) = ipv4::copied_options(options);
        let room = |header_len: usize| match (mtu as usize).checked_sub(header_len)? & !7 {
            0 => None,
            room => Some(room),
        };
        let later_len = ipv4::HEADER_LEN + copied_len;
        let (first_room, room) = (room(template.ip_len)?, room(later_len)?);
        let mut later = template.ip;
        later[ipv4::HEADER_LEN..].copy_from_slice(&copied);
        // Words of four bytes: at most 15.
        later[0] = 0x40 | (later_len / 4) as u8;
        let payload = usize::from(outgoing.total) - template.ip_len;
        let count = 1 + payload.saturating_sub(first_room).div_ceil(room);
        Some((0..count).map(move |n| {
            let (ip, offset) = match n {
                0 => (&template.ip[..template.ip_len], 0),
                _ => (&later[..later_len], first_room + (n - 1) * room),
            };
            let len = (payload - offset).min(if n == 0 { first_room } else { room });
            let more = if n + 1 < count { ipv4::MORE_FRAGMENTS } else { 0 };
            // Both fit: the whole is no longer than an IP packet can be.
            let total = (ip.len() + len) as u16;
            let ip_bytes = ip_header(ip, total, number, more | (offset / 8) as u16);
            let mut header = Header::default();
            outgoing.begin(&mut header, framing, None, None);
            header.push(&ip_bytes[..ip.len()]);
            let transport = &template.transport[..template.transport_len];
            let end = offset + len;
            header.push(&transport[offset.min(transport.len())..end.min(transport.len())]);
            let start = offset.max(transport.len());
            let rest = end.saturating_sub(start);
            Piece { header, start: (start - transport.len()) as u32, len: rest as u32 }
        }))
    }
}

/// The IP header `ip` with its length, number, fragment word and checksum.
fn ip_header(ip: &[u8], total: u16, number: u16, fragment: u16) -> [u8; ipv4::MAX_HEADER_LEN] {
    let mut bytes = [0; ipv4::MAX_HEADER_LEN];
    let header = &mut bytes[..ip.len()];
    header.copy_from_slice(ip);
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[4..6].copy_from_slice(&number.to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[10..12].fill(0);
    let check = !checksum::Sum::default().bytes(header).fold();
    header[10..12].copy_from_slice(&check.to_be_bytes());
    bytes
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
