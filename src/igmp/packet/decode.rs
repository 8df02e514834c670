//! Received packets.

use super::{
    ALL_ROUTERS, ALL_SYSTEMS, ALL_V3_ROUTERS, Invalid, LEAVE, MESSAGE_LEN, Message, PROTOCOL,
    QUERY, QUERY_V3_LEN, Query, REPORT_V1, REPORT_V2, REPORT_V3, Received, Records, Sources, TTL,
    code,
};
use crate::types::IgmpVersion;
use crate::wire::checksum::{Sum, header_is_valid};
use crate::wire::ipv4::{self, Ipv4};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Within which hosts answer a query of version 1 (RFC 2236 section 4).
const V1_MAX_RESPONSE: Duration = Duration::from_secs(10);
/// The unit of the Max Resp Code, milliseconds.
const RESPONSE_UNIT: u64 = 100;

/// Reads the message in an IPv4 packet, whose bytes behind its total length are ignored. Nothing is copied.
pub fn decode(ip_packet: &[u8]) -> Result<Received<'_>, Invalid> {
    let ip = Ipv4::parse(ip_packet).map_err(|_| Invalid::IpHeader)?;
    if !header_is_valid(ip.header()) {
        return Err(Invalid::IpChecksum);
    }
    if ip.protocol() != PROTOCOL {
        return Err(Invalid::NotIgmp);
    }
    if ip.is_fragment() {
        return Err(Invalid::Fragment);
    }
    let source = ip.source();
    if source.is_multicast() || source.is_broadcast() {
        return Err(Invalid::Source);
    }
    if ip.ttl() != TTL {
        return Err(Invalid::Ttl);
    }
    let destination = ip.destination();
    let message = message(ip.payload(), destination)?;
    let router_alert = ipv4::options(ip.options()).any(|option| option == ipv4::ROUTER_ALERT);
    Ok(Received { source, destination, ttl: ip.ttl(), router_alert, message })
}

fn message(bytes: &[u8], destination: Ipv4Addr) -> Result<Message<'_>, Invalid> {
    let (header, rest) = bytes.split_first_chunk::<MESSAGE_LEN>().ok_or(Invalid::Short)?;
    // The sum is over all that there is, what is ignored included (RFC 2236 section 2.3).
    if Sum::default().bytes(bytes).fold() != 0xffff {
        return Err(Invalid::Checksum);
    }
    let [kind, max_response_code, _, _, group @ ..] = *header;
    let group = Ipv4Addr::from(group);
    let (message, fits) = match kind {
        QUERY => {
            let query = query(max_response_code, group, rest)?;
            (Message::Query(query), takes_query(query.group, destination))
        }
        REPORT_V1 => (Message::ReportV1(multicast(group)?), takes_report(group, destination)),
        REPORT_V2 => (Message::ReportV2(multicast(group)?), takes_report(group, destination)),
        LEAVE => (Message::Leave(multicast(group)?), destination == ALL_ROUTERS),
        REPORT_V3 => {
            let [.., count_high, count_low] = *header;
            let count = u16::from_be_bytes([count_high, count_low]);
            let records = Records::new(rest, count).ok_or(Invalid::Length)?;
            (Message::ReportV3(records), destination == ALL_V3_ROUTERS)
        }
        _ => return Err(Invalid::UnknownType),
    };
    if fits { Ok(message) } else { Err(Invalid::Destination) }
}

fn query(max_response_code: u8, group: Ipv4Addr, rest: &[u8]) -> Result<Query<'_>, Invalid> {
    let mut query = Query {
        version: IgmpVersion::V1,
        max_response: V1_MAX_RESPONSE,
        group: None,
        suppress: false,
        robustness: 0,
        interval: Duration::ZERO,
        sources: Sources::default(),
    };
    if rest.is_empty() && max_response_code == 0 {
        // Version 1 ignores the group (RFC 1112 appendix I).
        return Ok(query);
    }
    if !group.is_unspecified() {
        query.group = Some(multicast(group)?);
    }
    if rest.is_empty() {
        query.version = IgmpVersion::V2;
        query.max_response = Duration::from_millis(u64::from(max_response_code) * RESPONSE_UNIT);
        return Ok(query);
    }
    let (fields, rest) =
        rest.split_first_chunk::<{ QUERY_V3_LEN - MESSAGE_LEN }>().ok_or(Invalid::Length)?;
    let [flags, interval_code, count_high, count_low] = *fields;
    let count = u16::from_be_bytes([count_high, count_low]);
    let (sources, _additional) = Sources::split(rest, count).ok_or(Invalid::Length)?;
    if query.group.is_none() && !sources.is_empty() {
        return Err(Invalid::Group);
    }
    query.version = IgmpVersion::V3;
    let max_response = u64::from(code::value(max_response_code)) * RESPONSE_UNIT;
    query.max_response = Duration::from_millis(max_response);
    query.suppress = flags & 0x08 != 0;
    query.robustness = flags & 0x07;
    query.interval = Duration::from_secs(code::value(interval_code).into());
    query.sources = sources;
    Ok(query)
}

fn multicast(group: Ipv4Addr) -> Result<Ipv4Addr, Invalid> {
    if group.is_multicast() { Ok(group) } else { Err(Invalid::Group) }
}

/// Queries go to all systems or to the group, and a system takes those to any address of its own
/// (RFC 9776 section 4.1).
fn takes_query(group: Option<Ipv4Addr>, destination: Ipv4Addr) -> bool {
    destination == ALL_SYSTEMS || Some(destination) == group || is_unicast(destination)
}

/// Reports of versions 1 and 2 go to the group, and a system takes those to any address of its own, groups of
/// routers included (RFC 9776 section 4.2).
fn takes_report(group: Ipv4Addr, destination: Ipv4Addr) -> bool {
    destination == group
        || [ALL_SYSTEMS, ALL_ROUTERS, ALL_V3_ROUTERS].contains(&destination)
        || is_unicast(destination)
}

fn is_unicast(address: Ipv4Addr) -> bool {
    !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified()
}
