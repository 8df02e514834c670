//! The Ethernet II header (IEEE 802.3).

use std::net::Ipv4Addr;

/// Bytes of an untagged header.
pub const HEADER_LEN: usize = 14;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of an IEEE 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of an IEEE 802.1ad service tag.
pub const SERVICE_VLAN: u16 = 0x88a8;
/// Where frames to everyone go.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// EtherType and the bytes after the header; none where the frame is shorter.
#[inline]
pub fn split(frame: &[u8]) -> Option<(u16, &[u8])> {
    let (header, rest) = frame.split_at_checked(HEADER_LEN)?;
    Some((u16::from_be_bytes([header[12], header[13]]), rest))
}

/// The VLAN, 0 to 4095, of a tag's control information (IEEE 802.1Q section 9.6): without priority and DEI.
#[inline]
pub const fn vlan_id(tci: u16) -> u16 {
    tci & 0x0fff
}

/// The MAC address of an IPv4 group: the last 23 bits of the group (RFC 1112 section 6.4).
#[inline]
pub fn of_group(group: Ipv4Addr) -> [u8; 6] {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// The header of an IPv4 packet.
#[inline]
pub fn ipv4_header(destination: [u8; 6], source: [u8; 6]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&IPV4.to_be_bytes());
    header
}
