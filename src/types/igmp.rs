//! What is said about IGMP on an interface, and what members of it want.

use super::{IfIndex, InterfaceSelector};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Whether we send queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuerierMode {
    /// Unless another querier is elected (RFC 9776 section 6.6.2).
    #[default]
    Auto,
    /// Always: no other querier is deferred to.
    On,
    /// Never: nothing is sent, what others ask and report is listened to.
    Off,
}

/// A version of IGMP.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum IgmpVersion {
    /// RFC 1112 appendix I.
    V1,
    /// RFC 2236.
    V2,
    /// RFC 9776.
    #[default]
    V3,
}

impl IgmpVersion {
    /// 1, 2 or 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// How long a group without further reports stays (the group membership interval).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembershipInterval {
    /// Version 3: robustness x query interval + 2 x query response interval (RFC 9776 section 8.4), 270 s;
    /// versions 1 and 2: one query response interval less (RFC 2236 section 8.4), 260 s.
    #[default]
    ByVersion,
    /// Robustness x query interval + query response interval (RFC 3376 section 8.4), 260 s.
    Rfc3376,
}

/// A group from every source, or from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceGroup {
    /// The group.
    pub group: Ipv4Addr,
    /// The source; none = every source.
    pub source: Option<Ipv4Addr>,
}

/// IGMP on one interface, router side; all values are checked before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IgmpSettings {
    /// Whether we send queries.
    pub querier: QuerierMode,
    /// The version of our queries, and the highest that is listened to.
    pub version: IgmpVersion,
    /// Time between general queries, 1 to 31,744 s (RFC 9776 section 8.2).
    pub query_interval: Duration,
    /// Within which hosts answer a general query; less than the query interval (section 8.3).
    pub query_response_interval: Duration,
    /// The robustness variable, 1 to 7 (section 8.1): how many losses in a row do no harm, plus one.
    pub robustness: u8,
    /// Within which hosts answer a group-specific query, and the time between two (section 8.8).
    pub last_member_query_interval: Duration,
    /// How many group-specific queries are sent (section 8.9); none = the robustness variable.
    pub last_member_query_count: Option<u8>,
    /// How long a group without further reports stays.
    pub membership_interval: MembershipInterval,
    /// Groups that are source-specific: memberships of all sources there are ignored (RFC 4604 section 2.2).
    pub ssm_ranges: Vec<Ipv4Net>,
    /// Groups that reports may name; empty = all.
    pub allowed_groups: Vec<Ipv4Net>,
    /// Groups that are kept at most.
    pub max_groups: u32,
    /// Sources that are kept at most for each group.
    pub max_sources: u32,
    /// Members that are there whatever hosts say.
    pub static_joins: Vec<SourceGroup>,
    /// Messages without the Router Alert option are dropped (RFC 2236 section 2, RFC 9776 section 9.1).
    pub require_router_alert: bool,
    /// Reports from sources outside of the interface's subnets are taken too.
    pub any_reporter: bool,
    /// A group goes with the leave of its last tracked host, without a query (only where every member of it
    /// is an IGMPv3 host that we know by its reports).
    pub immediate_leave: bool,
}

impl Default for IgmpSettings {
    fn default() -> Self {
        Self {
            querier: QuerierMode::default(),
            version: IgmpVersion::default(),
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_secs(10),
            robustness: 2,
            last_member_query_interval: Duration::from_secs(1),
            last_member_query_count: None,
            membership_interval: MembershipInterval::default(),
            ssm_ranges: vec![Ipv4Net::new_assert(Ipv4Addr::new(232, 0, 0, 0), 8)],
            allowed_groups: Vec::new(),
            max_groups: 16_384,
            max_sources: 1024,
            static_joins: Vec::new(),
            require_router_alert: false,
            any_reporter: false,
            immediate_leave: false,
        }
    }
}

/// How our own memberships on an interface are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostMode {
    /// By sockets of the kernel, which speaks the version of the querier.
    #[default]
    Kernel,
    /// By our own reports, of the querier's version.
    Own,
    /// By our own reports of this version.
    Forced(IgmpVersion),
}

/// What the file says about IGMP; of several entries that select an interface the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IgmpConfig {
    /// Interfaces on which members are tracked, besides those that outputs wait for members on.
    pub interfaces: Vec<(InterfaceSelector, IgmpSettings)>,
    /// How our own memberships are asked for where it is not by the kernel.
    pub hosts: Vec<(InterfaceSelector, HostMode)>,
}

/// From which sources members of a group want to receive (RFC 9776 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reception {
    /// From these; none = nobody wants anything.
    Include(BTreeSet<Ipv4Addr>),
    /// From all but these.
    Exclude(BTreeSet<Ipv4Addr>),
}

impl Reception {
    /// True where somebody wants what this source sends.
    pub fn wants(&self, source: Ipv4Addr) -> bool {
        match self {
            Self::Include(sources) => sources.contains(&source),
            Self::Exclude(sources) => !sources.contains(&source),
        }
    }
}

/// A packet of ours to be sent on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transmit {
    /// The interface.
    pub index: IfIndex,
    /// The IPv4 packet, its header included, with checksums.
    pub packet: Vec<u8>,
}

/// Packets of an interface's link that were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDrops {
    /// The kernel dropped them: too many waited.
    pub by_kernel: u64,
    /// They were longer than any packet of a link may be.
    pub too_long: u64,
}
