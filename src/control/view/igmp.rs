//! IGMP seen from outside. Members are named as FRR's `show ip igmp ... json` names them where both mean the same.

use crate::types::{IfIndex, QuerierMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Whether members of a group name the sources that they want, or those that they do not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FilterMode {
    /// What `sources` send is wanted.
    Include,
    /// All but what `sources` send is wanted.
    Exclude,
}

/// A group that has members on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpGroup {
    /// The interface's name.
    pub interface: String,
    /// The interface.
    pub index: IfIndex,
    /// The group.
    pub group: Ipv4Addr,
    /// The version of its oldest hosts (the compatibility mode).
    pub version: u8,
    /// What `sources` are.
    pub mode: FilterMode,
    /// Sources, in order: those that are wanted in mode INCLUDE, those that are not in mode EXCLUDE.
    pub sources: Vec<IgmpSource>,
    /// How many sources there are.
    pub sources_count: usize,
    /// Seconds until it is given up where nobody reports it; absent in mode INCLUDE, where sources have timers of
    /// their own, and where only the file wants it.
    pub timer_seconds: Option<u64>,
    /// Seconds since its first member was there.
    pub uptime_seconds: u64,
    /// Who reported it last.
    pub last_reporter: Option<Ipv4Addr>,
    /// How many hosts are told apart; absent: they are not.
    pub hosts: Option<usize>,
    /// True: the file wants it.
    #[serde(rename = "static")]
    pub is_static: bool,
}

/// A source of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpSource {
    /// Its address.
    pub source: Ipv4Addr,
    /// Seconds until it is given up where nobody reports it; absent: it is excluded, or the file wants it.
    pub timer_seconds: Option<u64>,
}

/// An interface on which members are tracked, or on which our own memberships are asked for by our own reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpInterface {
    /// Its name.
    pub interface: String,
    /// Its index.
    pub index: IfIndex,
    /// Why nothing is heard there; none = it is listened to.
    pub reason: Option<String>,
    /// How members are tracked; none = they are not.
    pub router: Option<IgmpRouterSide>,
    /// How our own memberships are asked for; none = by the kernel.
    pub host: Option<IgmpHostSide>,
}

/// How members of an interface are tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpRouterSide {
    /// The address that queries come from; none = 0.0.0.0.
    pub address: Option<Ipv4Addr>,
    /// The version of our queries, and the highest that is listened to.
    pub version: u8,
    /// Whether we send queries: `auto`, `on` or `off`.
    #[schemars(with = "String")]
    pub querier_mode: QuerierMode,
    /// Who asks: `local`, `other`, or `none` where we never do and nobody was heard.
    pub querier: QuerierState,
    /// The querier's address.
    pub querier_ip: Option<Ipv4Addr>,
    /// Seconds until our next general query.
    pub query_timer: Option<u64>,
    /// Seconds until the other querier is given up.
    pub query_other_timer: Option<u64>,
    /// Seconds between general queries, as the querier says.
    pub query_interval: u64,
    /// Seconds within which hosts answer.
    pub query_response_interval: u64,
    /// How many losses in a row do no harm, plus one, as the querier says.
    pub robustness: u8,
    /// Milliseconds that a group without further reports stays.
    pub group_membership_interval_msec: u64,
    /// Milliseconds that hosts of older versions count as present.
    pub older_host_present_interval_msec: u64,
    /// Milliseconds that another querier may be silent.
    pub other_querier_present_interval_msec: u64,
    /// Milliseconds until a group that a host has left is gone.
    pub last_member_query_msec: u64,
    /// How often is asked who is left.
    pub last_member_query_count: u8,
    /// Groups that have members.
    pub groups: usize,
    /// Groups that are kept at most.
    pub max_groups: u32,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuerierState {
    /// We.
    Local,
    /// Another router.
    Other,
    /// Nobody that we know of.
    None,
}

/// How our own memberships on an interface are asked for by our own reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpHostSide {
    /// The version of our reports.
    pub version: u8,
    /// The querier heard last.
    pub querier: Option<Ipv4Addr>,
    /// How often a change is reported.
    pub robustness: u8,
    /// Groups that are reported.
    pub groups: usize,
    /// Groups that are wanted and not reported, since there are too many.
    pub over_limit: usize,
}

/// What was counted on an interface since IGMP runs there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgmpStatistics {
    /// The interface's name.
    pub interface: String,
    /// The interface.
    pub index: IfIndex,
    /// Packets that the kernel dropped before we read them.
    pub kernel_dropped: u64,
    /// Groups with members.
    pub total_groups: usize,
    /// The most there were at a time.
    pub peak_groups: usize,
    /// Messages received, by kind; those that are zero are absent.
    pub received: BTreeMap<String, u64>,
    /// Messages sent, by kind: queries `general_query`, `group_query` and `group_source_query`, and our reports.
    pub sent: BTreeMap<String, u64>,
    /// Messages and records that were not heeded, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Queries of another version than ours.
    pub version_mismatches: u64,
}
