//! A rule: what comes in, where it goes.

use super::union::Vlan;
use super::{InterfaceSelector, OutputSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rule: datagrams of one input go to all of its outputs. Rules are additive: a datagram goes to
/// the outputs of every rule that matches it, and the same copy is sent once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["input", "outputs"]))]
pub struct RuleSpec {
    /// The rule's identity over its life: 1 to 64 letters, digits, '-', '_' or '.'. Absent: derived from
    /// the name, or from input and outputs where there is no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub id: Option<String>,
    /// The operator's name for the rule, unique in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// False: the rule is known and listed, but has no effect. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where two rules want the same copy rewritten differently, the higher priority wins: 0 to 1000,
    /// default 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub priority: Option<u16>,
    /// What the rule takes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputSpec>,
    /// Where the copies go: at least one, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub outputs: Vec<OutputSpec>,
    /// How the health of the stream is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What a rule takes in. All that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InputSpec {
    /// The interface that the datagrams arrive on; short for interfaces: [{ name }]. It need not exist
    /// yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub interface: Option<String>,
    /// The interfaces that the datagrams arrive on: each that one of the entries selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<InterfaceSelector>>,
    /// The multicast group, or a prefix of groups; a unicast address of this host makes the rule the exit
    /// of a tunnel. Short for `groups` with one entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Groups and prefixes of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// The UDP destination port; absent: every port. Short for ports: [{ start, end }].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Ranges of UDP destination ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortRange>>,
    /// The only source that is taken, or a prefix of sources; absent: every source. Short for `sources` with one entry in `include`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The sources that are taken and those that are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<SourceFilter>,
    /// The protocol that is taken. Default udp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// When we ask for the group upstream. Default always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// What happens to link-local groups (224.0.0.0/24 and ff02::/16). Default drop.
    #[serde(skip_serializing_if = "Option::is_none", alias = "link_local")]
    pub link_local: Option<LinkLocal>,
    /// Takes frames tagged with this VLAN, 1 to 4094 or "any"; absent: untagged frames only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
}

/// A range of UDP ports, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["start", "end"]))]
pub struct PortRange {
    /// The first port, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub start: Option<u16>,
    /// The last port, to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub end: Option<u16>,
}

/// Which sources are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SourceFilter {
    /// Addresses and prefixes that are taken; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Addresses and prefixes that are not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// The protocol that a rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// UDP.
    Udp,
    /// Every IP protocol to the group.
    Any,
}

/// When a rule asks for its group upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// As long as the rule is there.
    Always,
    /// While an output has members.
    #[serde(alias = "on_demand")]
    OnDemand,
    /// Never: something else asks for it.
    Never,
}

/// What happens to link-local groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkLocal {
    /// They stay on their link.
    Drop,
    /// They are relayed.
    Relay,
}

/// How the health of a stream is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// By what the stream looks like.
    Auto,
    /// Not at all.
    Off,
    /// By RTP sequence numbers.
    Rtp,
    /// By the continuity counters of MPEG transport streams.
    Ts,
    /// By the sequence numbers of mcrgen.
    Seq,
}
