//! IGMP messages by hand, written apart from the product's own so that both cannot share a mistake.

use super::Frame;
use super::frames::checksum;
use std::net::Ipv4Addr;

pub(crate) const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
pub(crate) const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const IGMP: u8 = 2;
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];

/// Record types of RFC 9776 section 4.2.12.
pub(crate) mod record {
    pub(crate) const IS_IN: u8 = 1;
    pub(crate) const IS_EX: u8 = 2;
    pub(crate) const TO_IN: u8 = 3;
    pub(crate) const ALLOW: u8 = 5;
    pub(crate) const BLOCK: u8 = 6;
}

/// A message with its checksum, in a packet as RFC 9776 section 4 wants it.
pub(crate) fn igmp(source: Ipv4Addr, destination: Ipv4Addr, mut message: Vec<u8>) -> Frame {
    message[2..4].copy_from_slice(&[0, 0]);
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    Frame::packet(source, destination, IGMP, &message).options(&ROUTER_ALERT).tos(0xc0)
}

fn message(kind: u8, code: u8, group: Ipv4Addr) -> Vec<u8> {
    [&[kind, code, 0, 0][..], &group.octets()].concat()
}

/// RFC 2236 section 2; a report of version 1 is type 0x12 (RFC 1112 appendix I).
pub(crate) fn report(version: u8, source: Ipv4Addr, group: Ipv4Addr) -> Frame {
    let kind = if version == 1 { 0x12 } else { 0x16 };
    igmp(source, group, message(kind, 0, group))
}

/// RFC 2236 section 2.
pub(crate) fn leave(source: Ipv4Addr, group: Ipv4Addr) -> Frame {
    igmp(source, ALL_ROUTERS, message(0x17, 0, group))
}

/// A group record (RFC 9776 section 4.2): its type, words of auxiliary data, group, sources.
pub(crate) fn group_record(
    kind: u8,
    auxiliary: u8,
    group: Ipv4Addr,
    sources: &[Ipv4Addr],
) -> Vec<u8> {
    let count = u16::try_from(sources.len()).expect("a packet").to_be_bytes();
    let mut record = vec![kind, auxiliary, count[0], count[1]];
    record.extend(group.octets());
    record.extend(sources.iter().flat_map(|source| source.octets()));
    record.extend(vec![0xa5; usize::from(auxiliary) * 4]);
    record
}

/// A report of version 3 with these records.
pub(crate) fn report_v3(source: Ipv4Addr, records: &[Vec<u8>]) -> Frame {
    let count = u16::try_from(records.len()).expect("a packet").to_be_bytes();
    let mut message = vec![0x22, 0, 0, 0, 0, 0, count[0], count[1]];
    message.extend(records.concat());
    igmp(source, ALL_V3_ROUTERS, message)
}

/// A query of version 3, general where the group is 0.0.0.0: a response within a second, this robustness
/// variable and these seconds between queries.
pub(crate) fn query_v3(
    source: Ipv4Addr,
    group: Ipv4Addr,
    robustness: u8,
    interval: u8,
    suppress: bool,
) -> Frame {
    let to = if group.is_unspecified() { ALL_SYSTEMS } else { group };
    let mut message = message(0x11, 10, group);
    message.extend([u8::from(suppress) << 3 | robustness, interval, 0, 0]);
    igmp(source, to, message)
}

/// True where the message's checksum is right.
pub(crate) fn is_sealed(message: &[u8]) -> bool {
    checksum(message) == 0
}
