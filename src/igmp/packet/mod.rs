//! IGMP messages as bytes (RFC 1112 appendix I, RFC 2236, RFC 9776 section 4): received ones are looked at in
//! place, ours are whole IPv4 packets.

mod code;
mod decode;
#[cfg(test)]
mod decode_tests;
mod encode;
#[cfg(test)]
mod encode_tests;
mod invalid;
mod records;
#[cfg(test)]
mod test_packets;

pub use decode::decode;
pub use encode::{
    QueryToSend, RecordToSend, encode_leave, encode_query, encode_report_v1, encode_report_v2,
    encode_reports_v3, most_sources,
};
pub use invalid::Invalid;
pub use records::{Record, RecordIter, RecordKind, Records, SourceIter, Sources};

use crate::types::IgmpVersion;
use std::net::Ipv4Addr;
use std::time::Duration;

/// IGMP's protocol number in the IPv4 header (IANA protocol numbers).
pub const PROTOCOL: u8 = 2;
/// Where general queries go (RFC 9776 section 4.1).
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Where leaves go (RFC 2236 section 9).
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Where version 3 reports go (RFC 9776 section 4.2).
pub const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// The type of a query of any version, the first byte of a message.
const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;
/// The TTL of every message (RFC 9776 section 4).
const TTL: u8 = 1;
/// Bytes of a message of versions 1 and 2, and of a version 3 report before its records.
const MESSAGE_LEN: usize = 8;
/// Bytes of a version 3 query before its sources.
const QUERY_V3_LEN: usize = 12;
/// Bytes of a group record before its sources.
const RECORD_LEN: usize = 8;

/// A message, valid as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router asks who is there.
    Query(Query<'a>),
    /// A version 1 host is a member of this group.
    ReportV1(Ipv4Addr),
    /// A version 2 host is a member of this group.
    ReportV2(Ipv4Addr),
    /// A version 2 host has left this group.
    Leave(Ipv4Addr),
    /// What a version 3 host wants, or has changed, group by group.
    ReportV3(Records<'a>),
}

impl Message<'_> {
    /// Which message it is, for counters.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Query(query) => match query.version {
                IgmpVersion::V1 => MessageKind::QueryV1,
                IgmpVersion::V2 => MessageKind::QueryV2,
                IgmpVersion::V3 => MessageKind::QueryV3,
            },
            Self::ReportV1(_) => MessageKind::ReportV1,
            Self::ReportV2(_) => MessageKind::ReportV2,
            Self::Leave(_) => MessageKind::Leave,
            Self::ReportV3(_) => MessageKind::ReportV3,
        }
    }
}

/// The messages that are told apart in counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// A query of version 1.
    QueryV1,
    /// A query of version 2.
    QueryV2,
    /// A query of version 3.
    QueryV3,
    /// A report of version 1.
    ReportV1,
    /// A report of version 2.
    ReportV2,
    /// A leave of version 2.
    Leave,
    /// A report of version 3.
    ReportV3,
}

impl MessageKind {
    /// Every kind, in the order of declaration, so `ALL[kind as usize] == kind`.
    pub const ALL: &'static [Self] = &[
        Self::QueryV1,
        Self::QueryV2,
        Self::QueryV3,
        Self::ReportV1,
        Self::ReportV2,
        Self::Leave,
        Self::ReportV3,
    ];

    /// The counter's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueryV1 => "query_v1",
            Self::QueryV2 => "query_v2",
            Self::QueryV3 => "query_v3",
            Self::ReportV1 => "report_v1",
            Self::ReportV2 => "report_v2",
            Self::Leave => "leave",
            Self::ReportV3 => "report_v3",
        }
    }
}

/// A query (RFC 9776 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// By its length and its Max Resp Code (RFC 9776 section 7.1).
    pub version: IgmpVersion,
    /// Within which hosts answer, in steps of 100 ms; 10 s by rule in version 1 (RFC 2236 section 4).
    pub max_response: Duration,
    /// The group that is asked for; none = a general query. Version 1 knows no others.
    pub group: Option<Ipv4Addr>,
    /// The S flag: routers do not lower their timers. False before version 3.
    pub suppress: bool,
    /// The querier's robustness variable (QRV); 0 = not said, as always before version 3.
    pub robustness: u8,
    /// The querier's query interval (QQI); zero = not said, as always before version 3.
    pub interval: Duration,
    /// The sources that are asked for; empty = the whole group.
    pub sources: Sources<'a>,
}

/// A message with what its IPv4 header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Source address; 0.0.0.0 where the sender has none yet.
    pub source: Ipv4Addr,
    /// Destination address, one that the message may have: the address of the rules for it, or, for queries
    /// and reports of versions 1 and 2, a unicast address, of which the receiver knows whether it is its own.
    pub destination: Ipv4Addr,
    /// Time to live, always 1.
    pub ttl: u8,
    /// The header carries the Router Alert option (RFC 2113).
    pub router_alert: bool,
    /// The message.
    pub message: Message<'a>,
}
