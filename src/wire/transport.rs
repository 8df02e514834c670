//! Where transport protocols keep a checksum over the IP addresses.

use super::udp;

/// TCP (RFC 9293).
pub const TCP: u8 = 6;
/// DCCP (RFC 4340).
pub const DCCP: u8 = 33;
/// UDP-Lite (RFC 3828).
pub const UDP_LITE: u8 = 136;

/// The offset of the checksum in the transport header of protocols whose checksum covers a pseudo
/// header with the IP addresses; none for others.
#[inline]
pub const fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        udp::PROTOCOL | UDP_LITE | DCCP => Some(6),
        _ => None,
    }
}
