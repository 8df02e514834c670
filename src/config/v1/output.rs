//! Where a rule's copies go.

use super::InterfaceSelector;
use super::rate::BitRate;
use super::union::{Dscp, OutputSource, Ttl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One output: a copy of each datagram to a group on an interface, or to a unicast address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutputSpec {
    /// The operator's name for the output, unique in its rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// The interface to send on; short for interfaces: [{ name }]. A unicast output can leave it to the
    /// kernel's routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub interface: Option<String>,
    /// The interfaces to send on: each that one of the entries selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<InterfaceSelector>>,
    /// The group that the copy goes to, or a prefix as long as the input's, which keeps the other bits;
    /// absent: unchanged. A unicast address means the same as address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The unicast address that the copy goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The UDP destination port of the copy; absent: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The TTL of the copy: 1 to 255, "decrement" or "keep". Default 16, since most senders use 1;
    /// "decrement" where the source is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// When the copy is sent. Default always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How long a copy that waits for members goes on after the last one left, such as "3s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<String>,
    /// True: to applications on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
    /// The DSCP of the copy: 0 to 63 or "keep". Default keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<Dscp>,
    /// The source of the copy: "interface", "keep" or { address, port }. Default interface: receivers see
    /// an address that they can route to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<OutputSource>,
    /// The most that is sent, over all interfaces of the output; what is above is dropped and counted
    /// (`rate_limited`). A super-frame is sent or dropped as a whole.
    #[serde(skip_serializing_if = "Option::is_none", alias = "rate_limit")]
    pub rate_limit: Option<RateLimit>,
    /// How many datagrams at most leave as one train: 1 to 64. Absent: datagrams that came as one
    /// super-frame leave as one, which costs least; receivers with little room between their network
    /// card and their program may lose some of a long train. 1 sends each by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub burst: Option<u32>,
    /// What happens to datagrams that are larger than the interface's MTU. Default fragment.
    #[serde(skip_serializing_if = "Option::is_none", alias = "mtu_policy")]
    pub mtu_policy: Option<MtuPolicy>,
}

/// When a copy is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Always.
    Always,
    /// While receivers on the output interface want it.
    Joined,
}

/// The most that an output sends: at least one rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RateLimit {
    /// Bits of UDP payload per second, such as 3000000 or "3M".
    #[serde(skip_serializing_if = "Option::is_none", alias = "bits_per_second")]
    pub bits_per_second: Option<BitRate>,
    /// Datagrams per second. After a pause 100 ms of it may be sent at once, at least 128.
    #[serde(skip_serializing_if = "Option::is_none", alias = "packets_per_second")]
    #[schemars(range(min = 1))]
    pub packets_per_second: Option<u64>,
    /// Bytes of payload that may be sent at once after a pause, with bitsPerSecond: 65536 to
    /// 1073741824. Default: 100 ms of the rate, at least 65536, so that a whole super-frame fits.
    #[serde(skip_serializing_if = "Option::is_none", alias = "burst_bytes")]
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub burst_bytes: Option<u64>,
}

/// What happens to datagrams that are larger than the MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MtuPolicy {
    /// They are sent in fragments.
    Fragment,
    /// They are dropped and counted.
    Drop,
}
