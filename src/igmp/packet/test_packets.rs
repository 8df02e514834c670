//! Whole packets as they stand on the wire, and packets of any content, built without the encoder.

use std::net::Ipv4Addr;

pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 7);

/// A version 1 query from [`ROUTER`].
pub(super) const QUERY_V1: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xfa, 0x15, 10, 0, 0, 1, 224, 0, 0,
    1, 0x94, 0x04, 0x00, 0x00, // message
    0x11, 0x00, 0xee, 0xff, 0, 0, 0, 0,
];
/// A version 2 general query, 10 s.
pub(super) const QUERY_V2: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xfa, 0x15, 10, 0, 0, 1, 224, 0, 0,
    1, 0x94, 0x04, 0x00, 0x00, // message
    0x11, 0x64, 0xee, 0x9b, 0, 0, 0, 0,
];
/// A version 2 query for 239.1.2.3, 1 s.
pub(super) const GROUP_QUERY_V2: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xe9, 0x12, 10, 0, 0, 1, 239, 1, 2,
    3, 0x94, 0x04, 0x00, 0x00, // message
    0x11, 0x0a, 0xfd, 0xf0, 239, 1, 2, 3,
];
/// A version 3 general query: 10 s, robustness 2, interval 125 s.
pub(super) const QUERY_V3: [u8; 36] = [
    0x46, 0xc0, 0x00, 0x24, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xfa, 0x11, 10, 0, 0, 1, 224, 0, 0,
    1, 0x94, 0x04, 0x00, 0x00, // message
    0x11, 0x64, 0xec, 0x1e, 0, 0, 0, 0, 0x02, 0x7d, 0x00, 0x00,
];
/// A version 3 query for 10.0.0.5 and 10.0.0.6 to 232.1.1.1 with the S flag, 1 s.
pub(super) const SOURCE_QUERY_V3: [u8; 44] = [
    0x46, 0xc0, 0x00, 0x2c, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xf1, 0x08, 10, 0, 0, 1, 232, 1, 1,
    1, 0x94, 0x04, 0x00, 0x00, // message
    0x11, 0x0a, 0xe7, 0x68, 232, 1, 1, 1, 0x0a, 0x7d, 0x00, 0x02, 10, 0, 0, 5, 10, 0, 0, 6,
];
/// What Linux (6.x) sends when a socket joins 239.1.1.1, as captured: CHANGE_TO_EXCLUDE_MODE of nothing.
pub(super) const JOIN_V3: [u8; 40] = [
    0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x42, 0x4a, 192, 168, 1, 7, 224, 0,
    0, 22, 0x94, 0x04, 0x00, 0x00, // message
    0x22, 0x00, 0xe9, 0xfb, 0x00, 0x00, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 239, 1, 1, 1,
];
/// An answer to a general query: all of 239.1.1.1, and 232.1.1.1 from 10.0.0.5 and 10.0.0.6.
pub(super) const STATE_V3: [u8; 56] = [
    0x46, 0xc0, 0x00, 0x38, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x42, 0x3a, 192, 168, 1, 7, 224, 0,
    0, 22, 0x94, 0x04, 0x00, 0x00, // message
    0x22, 0x00, 0xed, 0xea, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 239, 1, 1, 1, 0x01,
    0x00, 0x00, 0x02, 232, 1, 1, 1, 10, 0, 0, 5, 10, 0, 0, 6,
];
/// A version 1 report of 239.1.1.1.
pub(super) const REPORT_V1: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x32, 0x66, 192, 168, 1, 7, 239, 1,
    1, 1, 0x94, 0x04, 0x00, 0x00, // message
    0x12, 0x00, 0xfd, 0xfc, 239, 1, 1, 1,
];
/// A version 2 report of 239.1.1.1.
pub(super) const REPORT_V2: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x32, 0x66, 192, 168, 1, 7, 239, 1,
    1, 1, 0x94, 0x04, 0x00, 0x00, // message
    0x16, 0x00, 0xf9, 0xfc, 239, 1, 1, 1,
];
/// A leave of 239.1.1.1.
pub(super) const LEAVE: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x42, 0x66, 192, 168, 1, 7, 224, 0,
    0, 2, 0x94, 0x04, 0x00, 0x00, // message
    0x17, 0x00, 0xf8, 0xfc, 239, 1, 1, 1,
];
/// All of the above.
pub(super) const EVERY: [&[u8]; 10] = [
    &QUERY_V1,
    &QUERY_V2,
    &GROUP_QUERY_V2,
    &QUERY_V3,
    &SOURCE_QUERY_V3,
    &JOIN_V3,
    &STATE_V3,
    &REPORT_V1,
    &REPORT_V2,
    &LEAVE,
];

/// The internet checksum of bytes whose checksum field is 0, two bytes at a time.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Makes both checksums right. The header is as long as it says; a message too short for one gets none.
pub(super) fn with_checksums(mut packet: Vec<u8>) -> Vec<u8> {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let check = checksum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&check);
    let message = &mut packet[header_len..];
    if message.len() >= 4 {
        message[2..4].fill(0);
        let check = checksum(message);
        message[2..4].copy_from_slice(&check);
    }
    packet
}

/// A packet with these header options (whole words), TTL 1 and right checksums.
pub(super) fn with_options(to: [u8; 4], options: &[u8], message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + options.len() + message.len()).expect("fits");
    let mut packet = vec![0x45 + (options.len() / 4) as u8, 0xc0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 1, 2, 0, 0]);
    packet.extend(HOST.octets());
    packet.extend(to);
    packet.extend(options);
    packet.extend(message);
    with_checksums(packet)
}

/// A packet without options.
pub(super) fn packet(to: [u8; 4], message: &[u8]) -> Vec<u8> {
    with_options(to, &[], message)
}
