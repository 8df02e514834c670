//! From a received frame to a datagram, or to the name of what is wrong with it.

use crate::types::{DropReason, LinkLayer};
use crate::wire::{checksum, ethernet, ipv4, transport, udp};
use std::net::Ipv4Addr;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM` (linux/virtio_net.h): the checksum field holds the pseudo header's sum only.
pub const NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_F_DATA_VALID`: the kernel or the device has verified the checksum.
pub const DATA_VALID: u8 = 2;
/// `VIRTIO_NET_HDR_GSO_NONE`.
pub const GSO_NONE: u8 = 0;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`: several datagrams of one flow behind one header.
pub const GSO_UDP_L4: u8 = 5;
/// Bytes of `struct virtio_net_hdr`, which PACKET_VNET_HDR puts before each frame.
pub const VNET_HEADER_LEN: usize = 10;

/// What the kernel says about a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    /// What stands before the IP header.
    pub link_layer: LinkLayer,
    /// `virtio_net_hdr.flags`.
    pub flags: u8,
    /// `virtio_net_hdr.gso_type`.
    pub gso_type: u8,
    /// `virtio_net_hdr.gso_size`: UDP payload bytes of each datagram but the last.
    pub gso_size: u16,
    /// `virtio_net_hdr.csum_start`: with NEEDS_CSUM, where the sum begins in the frame.
    pub checksum_start: u16,
    /// `virtio_net_hdr.csum_offset`: where, from there on, it belongs.
    pub checksum_offset: u16,
    /// The VLAN identifier of a tagged frame (from PACKET_AUXDATA; the kernel takes the tag out).
    pub vlan: Option<u16>,
    /// The frame was longer than the receive buffer.
    pub truncated: bool,
}

impl FrameMeta {
    /// Of a frame about which nothing is known but its link layer.
    pub const fn plain(link_layer: LinkLayer) -> Self {
        Self {
            link_layer,
            flags: 0,
            gso_type: GSO_NONE,
            gso_size: 0,
            checksum_start: 0,
            checksum_offset: 0,
            vlan: None,
            truncated: false,
        }
    }

    /// Takes the virtio header off the front of `bytes` and notes what it says; the fields are in
    /// host order (`PACKET_VNET_HDR`, packet(7)). None where the bytes are too short.
    pub fn take_vnet_header<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (header, frame) = bytes.split_at_checked(VNET_HEADER_LEN)?;
        self.flags = header[0];
        self.gso_type = header[1];
        self.gso_size = u16::from_ne_bytes([header[4], header[5]]);
        self.checksum_start = u16::from_ne_bytes([header[6], header[7]]);
        self.checksum_offset = u16::from_ne_bytes([header[8], header[9]]);
        Some(frame)
    }
}

/// What stands in the checksum field of the transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The checksum, or what the protocol has there.
    Complete,
    /// The sum of the pseudo header at most: the checksum is still to be filled in.
    Partial,
    /// 0: the sender computed none (RFC 768).
    Absent,
}

/// One packet of UDP or another protocol, or a run of UDP datagrams of one flow that arrived as
/// one super-frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The VLAN of its frame, 1 to 4094; 0 = untagged.
    pub vlan: u16,
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// IP protocol.
    pub protocol: u8,
    /// UDP source port; 0 for other protocols.
    pub source_port: u16,
    /// UDP destination port; 0 for other protocols.
    pub destination_port: u16,
    /// TTL as it arrived.
    pub ttl: u8,
    /// DSCP and ECN as they arrived.
    pub tos: u8,
    /// The IP identification field; of a super-frame, the first datagram's.
    pub identification: u16,
    /// True where the sender forbids fragments.
    pub dont_fragment: bool,
    /// What is in the transport header's checksum field.
    pub checksum: Checksum,
    /// Where the IP header starts in the frame.
    pub header_start: u32,
    /// Bytes of the IP header, options included; 0 = it was taken off before.
    pub header_len: u8,
    /// Where the UDP payload starts in the frame; of other protocols, the IP payload.
    pub payload_start: u32,
    /// Payload bytes of all datagrams together.
    pub payload_len: u32,
    /// Payload bytes of each datagram but the last, which may be shorter; never 0.
    pub segment: u32,
}

/// A part of a datagram (RFC 791 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// IP protocol.
    pub protocol: u8,
    /// What it has in common with the other parts.
    pub identification: u16,
    /// Where its payload belongs in the payload of the whole, in bytes.
    pub offset: u32,
    /// True for all parts but the last.
    pub more: bool,
    /// Where the IP header starts in the frame.
    pub header_start: u32,
    /// Bytes of the IP header, options included.
    pub header_len: u8,
    /// Where the IP payload starts in the frame.
    pub payload_start: u32,
    /// Its length in bytes.
    pub payload_len: u32,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// All of one or more datagrams.
    Whole(Datagram),
    /// A part of one.
    Fragment(Fragment),
}

impl Datagram {
    /// How many datagrams this is; an empty payload is one.
    #[inline]
    pub fn count(&self) -> u64 {
        u64::from(self.payload_len.div_ceil(self.segment).max(1))
    }

    /// The payloads one by one, as (start, length) in the frame.
    #[inline]
    pub fn segments(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let Self { payload_start, payload_len, segment, .. } = *self;
        (0..payload_len.div_ceil(segment).max(1)).map(move |n| {
            let offset = n * segment;
            (payload_start + offset, segment.min(payload_len - offset))
        })
    }
}

/// Decodes the IPv4 packet in `frame`, which starts with its link header. Whether its VLAN is
/// wanted has been asked before.
///
/// UDP checksums are verified unless the kernel says that they are still to be filled in
/// (NEEDS_CSUM) or verified already (DATA_VALID): a corrupted datagram must not leave us with a
/// fresh, correct checksum. Those of other protocols are never made afresh, so they are left to
/// the receiver.
#[inline]
pub fn decode(frame: &[u8], meta: &FrameMeta) -> Result<Packet, DropReason> {
    if meta.truncated {
        return Err(DropReason::Truncated);
    }
    let packet = ip_packet(frame, meta.link_layer)?;
    let ip = ipv4::Ipv4::parse(packet).map_err(|error| match error {
        ipv4::Ipv4Error::Short => DropReason::Runt,
        ipv4::Ipv4Error::Version if meta.link_layer == LinkLayer::None => DropReason::NotIpv4,
        ipv4::Ipv4Error::Version | ipv4::Ipv4Error::Length => DropReason::IpHeader,
    })?;
    if !checksum::header_is_valid(ip.header()) {
        return Err(DropReason::IpChecksum);
    }
    let header_start = frame.len() - packet.len();
    let payload_start = narrow(header_start + ip.header().len())?;
    let header_start = narrow(header_start)?;
    // A header is at most 60 bytes long.
    let header_len = u8::try_from(ip.header().len()).map_err(|_| DropReason::IpHeader)?;
    if ip.is_fragment() {
        if meta.gso_type != GSO_NONE {
            return Err(DropReason::GsoType);
        }
        return Ok(Packet::Fragment(Fragment {
            source: ip.source(),
            destination: ip.destination(),
            protocol: ip.protocol(),
            identification: ip.identification(),
            offset: ip.fragment_offset(),
            more: ip.more_fragments(),
            header_start,
            header_len,
            payload_start,
            payload_len: narrow(ip.payload().len())?,
        }));
    }
    let payload_len = narrow(ip.payload().len())?;
    let datagram = Datagram {
        // VLAN 0 is a priority tag: the frame belongs to no VLAN (IEEE 802.1Q section 6.9).
        vlan: meta.vlan.unwrap_or(0),
        source: ip.source(),
        destination: ip.destination(),
        protocol: ip.protocol(),
        source_port: 0,
        destination_port: 0,
        ttl: ip.ttl(),
        tos: ip.tos(),
        identification: ip.identification(),
        dont_fragment: ip.dont_fragment(),
        checksum: Checksum::Complete,
        header_start,
        header_len,
        payload_start,
        payload_len,
        segment: payload_len.max(1),
    };
    let datagram = match ip.protocol() {
        udp::PROTOCOL => decode_udp(datagram, ip.payload(), meta)?,
        _ => decode_other(datagram, meta)?,
    };
    Ok(Packet::Whole(datagram))
}

/// A checksum that the kernel left to the device, of a packet inside the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerChecksum {
    /// Where the sum begins in the frame.
    pub start: u32,
    /// Over how many bytes it goes.
    pub len: u32,
    /// Where among them it belongs; the pseudo header's sum stands there.
    pub at: u32,
}

/// Whether the checksum that is still to be filled in (NEEDS_CSUM) is not the packet's own but that
/// of one inside it, as with a tunnel that begins on this host: whoever forwards the packet must
/// fill it in, for no device will.
///
/// # Errors
/// It lies outside the packet, or several datagrams lie inside the packet.
#[inline]
pub fn inner_checksum(frame: &[u8], meta: &FrameMeta) -> Result<Option<InnerChecksum>, DropReason> {
    if meta.flags & NEEDS_CSUM == 0 || meta.truncated {
        return Ok(None);
    }
    // What is wrong with the packet itself is named by `decode`.
    let Ok(packet) = ip_packet(frame, meta.link_layer) else { return Ok(None) };
    let Ok(ip) = ipv4::Ipv4::parse(packet) else { return Ok(None) };
    let (start, at) = (usize::from(meta.checksum_start), usize::from(meta.checksum_offset));
    let header_start = frame.len() - packet.len();
    let payload_start = header_start + ip.header().len();
    if start == payload_start && transport::checksum_offset(ip.protocol()) == Some(at) {
        return Ok(None);
    }
    if meta.gso_type != GSO_NONE {
        return Err(DropReason::GsoType);
    }
    let end = payload_start + ip.payload().len();
    if start < payload_start || start + at + 2 > end || at % 2 != 0 {
        return Err(DropReason::ChecksumStart);
    }
    let len = narrow(end - start)?;
    Ok(Some(InnerChecksum { start: narrow(start)?, len, at: narrow(at)? }))
}

/// Adds what the UDP header in the IP payload says.
#[inline]
fn decode_udp(
    datagram: Datagram,
    payload: &[u8],
    meta: &FrameMeta,
) -> Result<Datagram, DropReason> {
    let udp = udp::Udp::parse(payload).ok_or(DropReason::UdpLength)?;
    let len = udp.payload().len();
    let segment = segment_size(len, meta)?;
    let is_super_frame = segment < len;
    let checksum = match udp.checksum() {
        // One checksum cannot be that of each datagram in a super-frame.
        _ if is_super_frame || meta.flags & NEEDS_CSUM != 0 => Checksum::Partial,
        0 => Checksum::Absent,
        _ => Checksum::Complete,
    };
    if checksum == Checksum::Complete
        && meta.flags & DATA_VALID == 0
        && !checksum::udp_is_valid(datagram.source, datagram.destination, udp.segment())
    {
        return Err(DropReason::UdpChecksum);
    }
    Ok(Datagram {
        source_port: udp.source_port(),
        destination_port: udp.destination_port(),
        checksum,
        payload_start: datagram.payload_start + udp::HEADER_LEN as u32,
        payload_len: narrow(len)?,
        segment: narrow(segment)?.max(1),
        ..datagram
    })
}

/// A packet of another protocol: its payload stays as it is, and so does its checksum, unless it
/// is one over the addresses. The kernel leaves others to the device only where it will not hand
/// the packet to anybody else first.
#[inline]
fn decode_other(datagram: Datagram, meta: &FrameMeta) -> Result<Datagram, DropReason> {
    if meta.gso_type != GSO_NONE {
        return Err(DropReason::GsoType);
    }
    let is_partial =
        meta.flags & NEEDS_CSUM != 0 && transport::checksum_offset(datagram.protocol).is_some();
    let checksum = if is_partial { Checksum::Partial } else { Checksum::Complete };
    Ok(Datagram { checksum, ..datagram })
}

/// Offsets and lengths in a frame fit: no frame is longer than 64 KiB and a link header.
fn narrow(n: usize) -> Result<u32, DropReason> {
    u32::try_from(n).map_err(|_| DropReason::IpHeader)
}

fn ip_packet(frame: &[u8], link_layer: LinkLayer) -> Result<&[u8], DropReason> {
    match link_layer {
        LinkLayer::None => Ok(frame),
        LinkLayer::Ethernet => match ethernet::split(frame) {
            None => Err(DropReason::Runt),
            Some((ethernet::IPV4, packet)) => Ok(packet),
            Some((ethernet::VLAN | ethernet::SERVICE_VLAN, _)) => Err(DropReason::VlanTag),
            Some(_) => Err(DropReason::NotIpv4),
        },
    }
}

/// Payload bytes of each datagram in the frame.
fn segment_size(payload_len: usize, meta: &FrameMeta) -> Result<usize, DropReason> {
    match meta.gso_type {
        GSO_NONE => Ok(payload_len),
        GSO_UDP_L4 if meta.gso_size == 0 => Err(DropReason::GsoSize),
        // A segment size beyond the payload would claim more than is there.
        GSO_UDP_L4 if usize::from(meta.gso_size) > payload_len => Err(DropReason::GsoSize),
        GSO_UDP_L4 => Ok(usize::from(meta.gso_size)),
        _ => Err(DropReason::GsoType),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
