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
    /// What `sources` are.
    pub mode: FilterMode,
    /// Sources, in order.
    pub sources: Vec<Ipv4Addr>,
    /// How many sources there are.
    pub sources_count: usize,
    /// Seconds since its first member was there.
    pub uptime_seconds: u64,
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
    /// Seconds between general queries.
    pub query_interval: u64,
    /// Seconds within which hosts answer.
    pub query_response_interval: u64,
    /// How many losses in a row do no harm, plus one.
    pub robustness: u8,
    /// Groups that have members.
    pub groups: usize,
    /// Groups that are kept at most.
    pub max_groups: u32,
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
    /// Messages that the host side took, by kind; those that are zero are absent.
    pub received: BTreeMap<String, u64>,
    /// Messages that the host side sent.
    pub sent: BTreeMap<String, u64>,
    /// Packets that the host side dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
}
