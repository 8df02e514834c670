//! From a received frame to a datagram, or to the name of what is wrong with it.

use crate::types::{DropReason, LinkLayer};
use crate::wire::{checksum, ethernet, ipv4, udp};
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
    /// The VLAN identifier of a tagged frame (from PACKET_AUXDATA; the kernel takes the tag out).
    pub vlan: Option<u16>,
    /// The frame was longer than the receive buffer.
    pub truncated: bool,
}

impl FrameMeta {
    /// Of a frame about which nothing is known but its link layer.
    pub const fn plain(link_layer: LinkLayer) -> Self {
        Self { link_layer, flags: 0, gso_type: GSO_NONE, gso_size: 0, vlan: None, truncated: false }
    }

    /// Takes the virtio header off the front of `bytes` and notes what it says; the fields are in
    /// host order (`PACKET_VNET_HDR`, packet(7)). None where the bytes are too short.
    pub fn take_vnet_header<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (header, frame) = bytes.split_at_checked(VNET_HEADER_LEN)?;
        self.flags = header[0];
        self.gso_type = header[1];
        self.gso_size = u16::from_ne_bytes([header[4], header[5]]);
        Some(frame)
    }
}

/// One datagram, or a run of datagrams of one flow that arrived as one super-frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
    /// TTL as it arrived.
    pub ttl: u8,
    /// DSCP and ECN as they arrived.
    pub tos: u8,
    /// Where the payload starts in the frame.
    pub payload_start: u32,
    /// Payload bytes of all datagrams together.
    pub payload_len: u32,
    /// Payload bytes of each datagram but the last, which may be shorter; never 0.
    pub segment: u32,
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

/// Decodes the UDP datagram in `frame`, which starts with its link header.
///
/// Checksums are verified unless the kernel says that they are still to be filled in
/// (NEEDS_CSUM) or verified already (DATA_VALID): a corrupted datagram must not leave us with a
/// fresh, correct checksum.
#[inline]
pub fn decode(frame: &[u8], meta: &FrameMeta) -> Result<Datagram, DropReason> {
    if meta.truncated {
        return Err(DropReason::Truncated);
    }
    // VLAN 0 is a priority tag: the frame belongs to no VLAN (IEEE 802.1Q section 6.9).
    if meta.vlan.is_some_and(|vlan| vlan != 0) {
        return Err(DropReason::VlanTag);
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
    if ip.is_fragment() {
        return Err(DropReason::Fragment);
    }
    if ip.protocol() != udp::PROTOCOL {
        return Err(DropReason::NotUdp);
    }
    let datagram = udp::Udp::parse(ip.payload()).ok_or(DropReason::UdpLength)?;
    let payload = datagram.payload();
    let segment = segment_size(payload.len(), meta)?;
    let is_super_frame = segment < payload.len();
    if meta.flags & (NEEDS_CSUM | DATA_VALID) == 0
        && !is_super_frame
        && !checksum::udp_is_valid(ip.source(), ip.destination(), datagram.segment())
    {
        return Err(DropReason::UdpChecksum);
    }
    // Link header, IP header and UDP header lie before the payload in the same slice.
    let payload_start = frame.len() - packet.len() + ip.header().len() + udp::HEADER_LEN;
    let narrow = |n: usize| u32::try_from(n).map_err(|_| DropReason::IpHeader);
    Ok(Datagram {
        source: ip.source(),
        destination: ip.destination(),
        source_port: datagram.source_port(),
        destination_port: datagram.destination_port(),
        ttl: ip.ttl(),
        tos: ip.tos(),
        payload_start: narrow(payload_start)?,
        payload_len: narrow(payload.len())?,
        segment: narrow(segment)?.max(1),
    })
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
