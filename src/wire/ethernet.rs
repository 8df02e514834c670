//! The Ethernet II header (IEEE 802.3).

/// Bytes of an untagged header.
pub const HEADER_LEN: usize = 14;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of an IEEE 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of an IEEE 802.1ad service tag.
pub const SERVICE_VLAN: u16 = 0x88a8;

/// EtherType and the bytes after the header; none where the frame is shorter.
#[inline]
pub fn split(frame: &[u8]) -> Option<(u16, &[u8])> {
    let (header, rest) = frame.split_at_checked(HEADER_LEN)?;
    Some((u16::from_be_bytes([header[12], header[13]]), rest))
}
