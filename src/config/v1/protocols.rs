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
    /// Whether we send queries: auto, on or off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub querier: Option<Querier>,
    /// The IGMP version, 1 to 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3))]
    pub version: Option<u8>,
    /// Seconds between general queries.
    #[serde(skip_serializing_if = "Option::is_none", alias = "query_interval_seconds")]
    pub query_interval_seconds: Option<u32>,
    /// The robustness variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robustness: Option<u8>,
}

/// Whether we send queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Querier {
    /// Where no other querier is elected.
    Auto,
    /// Always.
    On,
    /// Never.
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
    /// The IGMP version that we report with: auto, v1, v2 or v3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<HostVersion>,
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
