//! Packets of ours: TTL 1, internetwork control, Router Alert (RFC 9776 section 4).

use super::{
    ALL_ROUTERS, ALL_SYSTEMS, ALL_V3_ROUTERS, LEAVE, MESSAGE_LEN, PROTOCOL, QUERY, QUERY_V3_LEN,
    RECORD_LEN, REPORT_V1, REPORT_V2, REPORT_V3, RecordKind, TTL, code,
};
use crate::types::IgmpVersion;
use crate::wire::checksum::Sum;
use crate::wire::ipv4;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Type of service: IP precedence "internetwork control".
const TOS: u8 = 0xc0;
/// Bytes of our IPv4 header.
const IP_LEN: usize = ipv4::HEADER_LEN + ipv4::ROUTER_ALERT.len();
/// The smallest MTU of an IPv4 link (RFC 791 section 3.2); less is taken for it.
const MIN_MTU: usize = 68;

/// A query of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryToSend<'a> {
    /// Its version. What a version has no room for is left out.
    pub version: IgmpVersion,
    /// The group that is asked for; none = a general query, as always in version 1.
    pub group: Option<Ipv4Addr>,
    /// Within which hosts answer. What cannot be said exactly is rounded down, to 100 ms at least; the most is
    /// 25.5 s in version 2 and 3174.4 s in version 3.
    pub max_response: Duration,
    /// The S flag.
    pub suppress: bool,
    /// The robustness variable; above 7 none is said (RFC 9776 section 4.1.6).
    pub robustness: u8,
    /// The query interval. What cannot be said exactly is rounded up, so that nobody gives us up too early; the
    /// most is 31,744 s.
    pub interval: Duration,
    /// The sources that are asked for, at most [`most_sources`] of the link's MTU; what does not fit any packet
    /// is left out.
    pub sources: &'a [Ipv4Addr],
}

/// A record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordToSend<'a> {
    /// What it says.
    pub kind: RecordKind,
    /// The group.
    pub group: Ipv4Addr,
    /// The sources it is about.
    pub sources: &'a [Ipv4Addr],
}

/// How many sources a query takes on a link with this MTU (bytes).
pub fn most_sources(mtu: u32) -> usize {
    (message_room(mtu) - QUERY_V3_LEN) / 4
}

/// A query from `source`, to all systems or to the group.
pub fn encode_query(source: Ipv4Addr, query: &QueryToSend<'_>) -> Vec<u8> {
    let group = query.group.filter(|_| query.version != IgmpVersion::V1);
    let tenths = u32::try_from(query.max_response.as_millis() / 100).unwrap_or(u32::MAX).max(1);
    let max_response_code = match query.version {
        IgmpVersion::V1 => 0,
        IgmpVersion::V2 => u8::try_from(tenths).unwrap_or(u8::MAX),
        IgmpVersion::V3 => code::at_most(tenths),
    };
    let mut packet = begin(QUERY, max_response_code);
    packet.extend(group.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    if query.version == IgmpVersion::V3 {
        let robustness = if query.robustness > 7 { 0 } else { query.robustness };
        packet.push(u8::from(query.suppress) << 3 | robustness);
        let part = u64::from(query.interval.subsec_nanos() != 0);
        let seconds = query.interval.as_secs().saturating_add(part);
        packet.push(code::at_least(u32::try_from(seconds).unwrap_or(u32::MAX)));
        let sources = &query.sources[..query.sources.len().min(most_sources(u32::MAX))];
        push_count(&mut packet, sources.len());
        packet.extend(sources.iter().flat_map(Ipv4Addr::octets));
    }
    finish(packet, source, group.unwrap_or(ALL_SYSTEMS))
}

/// A version 1 report of a member of `group`.
pub fn encode_report_v1(source: Ipv4Addr, group: Ipv4Addr) -> Vec<u8> {
    of_group(REPORT_V1, source, group, group)
}

/// A version 2 report of a member of `group`.
pub fn encode_report_v2(source: Ipv4Addr, group: Ipv4Addr) -> Vec<u8> {
    of_group(REPORT_V2, source, group, group)
}

/// A version 2 leave of `group`.
pub fn encode_leave(source: Ipv4Addr, group: Ipv4Addr) -> Vec<u8> {
    of_group(LEAVE, source, ALL_ROUTERS, group)
}

/// Version 3 reports that say these records on a link with this MTU (bytes), in as many packets as it takes. A
/// record that does not fit one is split, or cut where it says which sources are not wanted (RFC 9776 section
/// 4.2, "Membership Report Size"): the first ones stay, so that each report says the same.
pub fn encode_reports_v3(source: Ipv4Addr, records: &[RecordToSend<'_>], mtu: u32) -> Vec<Vec<u8>> {
    let room = message_room(mtu) - MESSAGE_LEN;
    let most = (room - RECORD_LEN) / 4;
    let mut reports = Vec::new();
    let mut report = Report::default();
    for record in records {
        let sources = match record.kind {
            RecordKind::IsEx | RecordKind::ToEx => {
                &record.sources[..record.sources.len().min(most)]
            }
            RecordKind::IsIn | RecordKind::ToIn | RecordKind::Allow | RecordKind::Block => {
                record.sources
            }
        };
        let (first, mut rest) = sources.split_at(sources.len().min(most));
        report.push_or_begin(RecordToSend { sources: first, ..*record }, room, &mut reports);
        while !rest.is_empty() {
            let (next, after) = rest.split_at(rest.len().min(most));
            rest = after;
            report.push_or_begin(RecordToSend { sources: next, ..*record }, room, &mut reports);
        }
    }
    reports.extend((report.count > 0).then_some(report));
    reports.into_iter().map(|report| report.encode(source)).collect()
}

/// The records of a report that is being filled.
#[derive(Debug, Default)]
struct Report {
    records: Vec<u8>,
    count: usize,
}

impl Report {
    /// Adds a record; where it does not fit into `room` bytes, the report joins the `full` ones and the record
    /// begins the next.
    fn push_or_begin(&mut self, record: RecordToSend<'_>, room: usize, full: &mut Vec<Self>) {
        if self.records.len() + RECORD_LEN + record.sources.len() * 4 > room {
            full.push(std::mem::take(self));
        }
        self.records.extend([record.kind as u8, 0]);
        push_count(&mut self.records, record.sources.len());
        self.records.extend(record.group.octets());
        self.records.extend(record.sources.iter().flat_map(Ipv4Addr::octets));
        self.count += 1;
    }

    fn encode(self, source: Ipv4Addr) -> Vec<u8> {
        let mut packet = begin(REPORT_V3, 0);
        packet.extend([0, 0]);
        push_count(&mut packet, self.count);
        packet.extend(self.records);
        finish(packet, source, ALL_V3_ROUTERS)
    }
}

/// Bytes that a message may have on a link.
fn message_room(mtu: u32) -> usize {
    let mtu = usize::try_from(mtu).unwrap_or(ipv4::MAX_LEN);
    mtu.clamp(MIN_MTU, ipv4::MAX_LEN) - IP_LEN
}

/// A 16-bit count; no packet holds more than that.
fn push_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

fn of_group(kind: u8, source: Ipv4Addr, destination: Ipv4Addr, group: Ipv4Addr) -> Vec<u8> {
    let mut packet = begin(kind, 0);
    packet.extend(group.octets());
    finish(packet, source, destination)
}

/// Room for the IPv4 header, and the first four bytes of a message, its checksum left 0.
fn begin(kind: u8, max_response_code: u8) -> Vec<u8> {
    let mut packet = vec![0; IP_LEN];
    packet.extend([kind, max_response_code, 0, 0]);
    packet
}

/// Fills in the IPv4 header and both checksums.
fn finish(mut packet: Vec<u8>, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let (header, message) = packet.split_at_mut(IP_LEN);
    header[0] = 0x40 | (IP_LEN / 4) as u8;
    header[1] = TOS;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    // Never fragmented, so it needs no identification (RFC 6864 section 4.1).
    header[6..8].copy_from_slice(&ipv4::DONT_FRAGMENT.to_be_bytes());
    header[8] = TTL;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    header[20..].copy_from_slice(&ipv4::ROUTER_ALERT);
    let check = !Sum::default().bytes(header).fold();
    header[10..12].copy_from_slice(&check.to_be_bytes());
    let check = !Sum::default().bytes(message).fold();
    message[2..4].copy_from_slice(&check.to_be_bytes());
    packet
}
