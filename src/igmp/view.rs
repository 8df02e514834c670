//! What there is to see of IGMP on a link, and what people are told.

use super::packet::{Invalid, MessageKind};
use crate::types::{IfIndex, IgmpVersion, Time};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Why a valid message, or a part of it, was not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It came from an address of ours.
    OwnAddress,
    /// Its source lies outside of the interface's subnets.
    OffSubnet,
    /// A query to a unicast address.
    UnicastQuery,
    /// It has no Router Alert option, and that is required.
    NoRouterAlert,
    /// It is of a higher version than the interface is set to.
    Version,
    /// A group of 224.0.0.0/24, which nobody asks for.
    LinkLocalGroup,
    /// A group outside of those that are allowed.
    GroupNotAllowed,
    /// A membership of all sources in a source-specific range.
    SsmRange,
    /// There are as many groups as are kept.
    GroupLimit,
    /// There are as many sources of the group as are kept.
    SourceLimit,
    /// A record of a kind that is not known, or of what is no group.
    UnknownRecord,
}

impl Ignored {
    /// The counter's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnAddress => "own_address",
            Self::OffSubnet => "off_subnet",
            Self::UnicastQuery => "unicast_query",
            Self::NoRouterAlert => "no_router_alert",
            Self::Version => "version",
            Self::LinkLocalGroup => "link_local_group",
            Self::GroupNotAllowed => "group_not_allowed",
            Self::SsmRange => "ssm_range",
            Self::GroupLimit => "group_limit",
            Self::SourceLimit => "source_limit",
            Self::UnknownRecord => "unknown_record",
        }
    }
}

/// What came and went on a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages received, by [`MessageKind::ALL`].
    pub received: [u64; MessageKind::ALL.len()],
    /// What was not heeded, by reason: names of [`Invalid`] and [`Ignored`].
    pub drops: BTreeMap<&'static str, u64>,
    /// General queries sent.
    pub general_queries_sent: u64,
    /// Group-specific queries sent.
    pub group_queries_sent: u64,
    /// Group-and-source-specific queries sent.
    pub group_source_queries_sent: u64,
    /// Queries of another version than ours.
    pub version_mismatches: u64,
    /// The most groups there were at a time.
    pub peak_groups: usize,
}

impl Counters {
    pub(super) fn count_received(&mut self, kind: MessageKind) {
        self.received[kind as usize] += 1;
    }

    pub(super) fn count_invalid(&mut self, reason: Invalid) {
        *self.drops.entry(reason.name()).or_default() += 1;
    }

    pub(super) fn count_ignored(&mut self, reason: Ignored, times: u64) {
        if times > 0 {
            *self.drops.entry(reason.name()).or_default() += times;
        }
    }
}

/// The querier side of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The address that we ask from; none = 0.0.0.0.
    pub address: Option<Ipv4Addr>,
    /// The version that we speak.
    pub version: IgmpVersion,
    /// True where it is us who ask.
    pub is_querier: bool,
    /// Who asks in our place, its version, and when it is given up.
    pub other: Option<(Ipv4Addr, IgmpVersion, Time)>,
    /// When our next general query goes out.
    pub next_query: Option<Time>,
    /// The robustness variable in force.
    pub robustness: u8,
    /// The query interval in force.
    pub query_interval: Duration,
    /// Our query response interval.
    pub query_response_interval: Duration,
    /// The group membership interval in force.
    pub membership_interval: Duration,
    /// The older host present interval in force.
    pub older_host_present_interval: Duration,
    /// The other querier present interval in force.
    pub other_querier_present_interval: Duration,
    /// The last member query time in force.
    pub last_member_query_time: Duration,
    /// The last member query count in force.
    pub last_member_query_count: u8,
    /// How many groups have members.
    pub groups: usize,
}

/// A group with members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: Ipv4Addr,
    /// True in EXCLUDE mode.
    pub excludes: bool,
    /// The compatibility mode.
    pub version: IgmpVersion,
    /// When the group timer runs out; none in INCLUDE mode, and where only the file wants the group.
    pub expires: Option<Time>,
    /// Since when there are members; none where only the file wants the group.
    pub since: Option<Time>,
    /// Who reported last.
    pub last_reporter: Option<Ipv4Addr>,
    /// The sources, each with its timer; none = it has run out, or the file says so.
    pub sources: Vec<(Ipv4Addr, Option<Time>)>,
    /// How many hosts are told apart; none = they are not.
    pub hosts: Option<usize>,
    /// The file wants it.
    pub is_static: bool,
}

/// What people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgmpNotice {
    /// Another router asks from now on; none = we do.
    Querier {
        /// The link.
        index: IfIndex,
        /// Who.
        querier: Option<Ipv4Addr>,
    },
    /// A router asks by another version than we are set to. Told once a minute at most.
    VersionMismatch {
        /// The link.
        index: IfIndex,
        /// Who.
        querier: Ipv4Addr,
        /// Its version.
        version: IgmpVersion,
    },
    /// A table is full: what is new is refused. Told once a minute at most.
    Limit {
        /// The link.
        index: IfIndex,
        /// Which.
        reason: Ignored,
        /// The group that was refused, or of which a source was.
        group: Ipv4Addr,
    },
}
