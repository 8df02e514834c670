//! The sections of the routing protocols.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Membership by IGMP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Igmp {
    /// Interfaces on which members are tracked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<IgmpInterface>,
    /// Interfaces on which we are a member ourselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<IgmpHost>,
    /// The earlier form: interfaces on which we are the querier.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "querier_interfaces")]
    pub querier_interfaces: Vec<String>,
    /// The earlier form: seconds between general queries, on all interfaces.
    #[serde(skip_serializing_if = "Option::is_none", alias = "query_interval")]
    pub query_interval: Option<u32>,
    /// The earlier form: the robustness variable, on all interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robustness: Option<u8>,
}

/// IGMP on one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IgmpInterface {
    /// The interface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern for the name: '*' stands for any characters, '?' for one.
    #[serde(skip_serializing_if = "Option::is_none", alias = "name_glob")]
    pub name_glob: Option<String>,
    /// Whether we send queries: auto, on or off. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub querier: Option<Querier>,
    /// The IGMP version of our queries, and the highest that is listened to, 1 to 3. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3))]
    pub version: Option<u8>,
    /// Seconds between general queries, 1 to 31744. Default 125.
    #[serde(skip_serializing_if = "Option::is_none", alias = "query_interval_seconds")]
    #[schemars(range(min = 1, max = 31_744))]
    pub query_interval_seconds: Option<u32>,
    /// The robustness variable, 1 to 7: how many lost messages in a row do no harm, plus one. Default 2.
    /// With 1, a single lost report cuts a member off; RFC 9776 section 8.1 advises against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub robustness: Option<u8>,
    /// Within which hosts answer a general query, such as "10s", the default; shorter than the query interval.
    #[serde(skip_serializing_if = "Option::is_none", alias = "query_response_interval")]
    pub query_response_interval: Option<String>,
    /// Within which hosts answer whether they want a group that another has left, and the time between two such
    /// queries. Default "1s".
    #[serde(skip_serializing_if = "Option::is_none", alias = "last_member_query_interval")]
    pub last_member_query_interval: Option<String>,
    /// How many of those are sent, 1 to 7. Default: the robustness variable.
    #[serde(skip_serializing_if = "Option::is_none", alias = "last_member_query_count")]
    #[schemars(range(min = 1, max = 7))]
    pub last_member_query_count: Option<u8>,
    /// How long a group without further reports stays. Default byVersion.
    #[serde(skip_serializing_if = "Option::is_none", alias = "membership_interval")]
    pub membership_interval: Option<MembershipInterval>,
    /// Groups that are kept at most; further ones are refused and counted. Default 16384.
    #[serde(skip_serializing_if = "Option::is_none", alias = "max_groups")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_groups: Option<u32>,
    /// Sources that are kept at most for each group. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none", alias = "max_sources")]
    #[schemars(range(min = 1, max = 65_535))]
    pub max_sources: Option<u32>,
    /// Prefixes of groups that reports may name. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "allow_groups")]
    pub allow_groups: Vec<String>,
    /// Prefixes of groups that are source-specific: only memberships with sources count there. Default
    /// 232.0.0.0/8.
    #[serde(skip_serializing_if = "Option::is_none", alias = "ssm_ranges")]
    pub ssm_ranges: Option<Vec<String>>,
    /// Members that are there whatever hosts say.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "static_joins")]
    pub static_joins: Vec<StaticJoin>,
    /// True: messages without the Router Alert option are dropped. Default false.
    #[serde(skip_serializing_if = "Option::is_none", alias = "require_router_alert")]
    pub require_router_alert: Option<bool>,
    /// True: reports from outside of the interface's subnets count too. Default false.
    #[serde(skip_serializing_if = "Option::is_none", alias = "any_reporter")]
    pub any_reporter: Option<bool>,
    /// True: hosts are told apart, and a group goes with the leave of the last one, unasked. Only where all its
    /// members speak IGMPv3. Default false.
    #[serde(skip_serializing_if = "Option::is_none", alias = "immediate_leave")]
    pub immediate_leave: Option<bool>,
}

/// A member that is there whatever hosts say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StaticJoin {
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The source; absent: every source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// How long a group without further reports stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MembershipInterval {
    /// As RFC 9776 says for version 3 (270 s by default), as RFC 2236 says for version 2 (260 s).
    ByVersion,
    /// As RFC 3376 says (260 s by default).
    Rfc3376,
}

/// Whether we send queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Querier {
    /// Where no other querier is elected.
    Auto,
    /// Always, whoever else does.
    #[serde(alias = "always")]
    On,
    /// Never; reports are listened to.
    #[serde(alias = "never")]
    Off,
}

/// Our own memberships on one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IgmpHost {
    /// The interface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern for the name: '*' stands for any characters, '?' for one.
    #[serde(skip_serializing_if = "Option::is_none", alias = "name_glob")]
    pub name_glob: Option<String>,
    /// The IGMP version that we report with: auto, v1, v2 or v3. With auto, the default, it is the querier's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<HostVersion>,
    /// Who sends the reports: kernel or own. Default kernel with version auto, own with another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<Reports>,
}

/// Who sends the reports of our own memberships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reports {
    /// The kernel, for its sockets.
    Kernel,
    /// We: the kernel's limits and its version do not matter.
    Own,
}

/// The IGMP version of our own reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostVersion {
    /// The version that the querier speaks.
    Auto,
    /// IGMPv1.
    V1,
    /// IGMPv2.
    V2,
    /// IGMPv3.
    V3,
}

/// Routing by PIM sparse mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pim {
    /// True: PIM runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Interfaces on which PIM runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<PimInterface>,
    /// Rendezvous points for prefixes of groups.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "static_rp")]
    pub static_rp: Vec<StaticRp>,
    /// When a last-hop router moves to the shortest path.
    #[serde(skip_serializing_if = "Option::is_none", alias = "spt_switchover")]
    pub spt_switchover: Option<SptSwitchover>,
    /// Prefixes of groups that are source-specific; default 232.0.0.0/8.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "ssm_ranges")]
    pub ssm_ranges: Vec<String>,
    /// Prefixes whose sources count as directly connected.
    #[serde(skip_serializing_if = "Vec::is_empty", alias = "local_sources")]
    pub local_sources: Vec<String>,
}

/// PIM on one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PimInterface {
    /// The interface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern for the name: '*' stands for any characters, '?' for one.
    #[serde(skip_serializing_if = "Option::is_none", alias = "name_glob")]
    pub name_glob: Option<String>,
    /// Our priority in the election of the designated router; the highest wins.
    #[serde(skip_serializing_if = "Option::is_none", alias = "dr_priority")]
    pub dr_priority: Option<u32>,
}

/// A rendezvous point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StaticRp {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp: Option<String>,
    /// The prefix of groups that it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// When a last-hop router moves to the shortest path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SptSwitchover {
    /// With the first packet.
    Immediate,
    /// Never.
    Never,
}

/// Exchange of active sources by MSDP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Msdp {
    /// The earlier form: true: MSDP runs. MSDP runs where there are peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Our address towards the peers.
    #[serde(skip_serializing_if = "Option::is_none", alias = "local_address")]
    pub local_address: Option<String>,
    /// The peers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<MsdpPeer>,
}

/// One MSDP peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MsdpPeer {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The mesh group that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", alias = "mesh_group")]
    pub mesh_group: Option<String>,
    /// The operator's words about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
