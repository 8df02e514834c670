//! A rule: what an operator asked for, checked and ready to be resolved against real interfaces.

use super::{Few, InterfaceSelector, Limit, RuleId};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

/// A UDP port; 0 is not one.
pub type Port = NonZeroU16;

/// The TTL of republished datagrams where the rule says none: most senders use 1, so theirs
/// cannot be decremented.
pub const UNSET_TTL: u8 = 16;

/// Who asked for a rule. The order is the precedence between rules of equal priority.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The configuration file; wins over the others.
    File,
    /// A `MulticastRoute` object.
    Crd,
    /// The control socket (`mcrctl add`).
    Runtime,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Crd => "crd",
            Self::Runtime => "runtime",
        })
    }
}

/// The TTL of a relayed datagram. Whatever it says, 0 is never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ttl {
    /// [`UNSET_TTL`], and one less for each relay that the datagram has passed already, down to
    /// [`LAST_RELAYED_TTL`]: see [`relayed_ttl`].
    #[default]
    Relayed,
    /// This value, 1 to 255.
    Set(u8),
    /// The arriving value less one; a packet that arrives with 1 is dropped.
    Decrement,
    /// The arriving value.
    Keep,
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relayed => UNSET_TTL.fmt(f),
            Self::Set(value) => value.fmt(f),
            Self::Decrement => f.write_str("decrement"),
            Self::Keep => f.write_str("keep"),
        }
    }
}

/// The smallest TTL that [`Ttl::Relayed`] sends: seven relays after the first.
pub const LAST_RELAYED_TTL: u8 = 9;

/// What [`Ttl::Relayed`] makes of an arriving TTL; none = the datagram has been relayed too often
/// and goes round. Two relays that bridge the same networks in both directions would otherwise
/// pass each datagram to and fro for ever, each with a fresh TTL.
#[inline]
pub const fn relayed_ttl(arriving: u8) -> Option<u8> {
    match arriving {
        LAST_RELAYED_TTL => None,
        _ if arriving > LAST_RELAYED_TTL && arriving <= UNSET_TTL => Some(arriving - 1),
        _ => Some(UNSET_TTL),
    }
}

/// UDP ports from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub start: Port,
    /// The last; not below `start`.
    pub end: Port,
}

impl PortRange {
    /// One port.
    pub const fn one(port: Port) -> Self {
        Self { start: port, end: port }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start == self.end {
            true => self.start.fmt(f),
            false => write!(f, "{}-{}", self.start, self.end),
        }
    }
}

/// Which sources are taken: those of `include` (all where it is empty) that are not in `exclude`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceFilter {
    /// Taken; empty = all.
    pub include: Vec<IpNet>,
    /// Not taken, even where included.
    pub exclude: Vec<IpNet>,
}

impl SourceFilter {
    /// True where it takes every source.
    pub fn takes_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// True where every address of `net` is taken.
    pub fn takes(&self, net: &IpNet) -> bool {
        (self.include.is_empty() || self.include.iter().any(|include| include.contains(net)))
            && !self.exclude.iter().any(|exclude| exclude.contains(net))
    }
}

/// What a rule takes besides UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// UDP only.
    #[default]
    Udp,
    /// Every IP protocol but IGMP and PIM, which belong to their link.
    Any,
}

/// What we ask for upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// The rule's groups, as long as the rule is there.
    #[default]
    Always,
    /// What receivers at an output want, while they do.
    #[serde(rename = "on-demand")]
    OnDemand,
    /// Nothing: something else asks, or the group is flooded.
    Never,
}

/// Which frames a rule takes by their VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VlanFilter {
    /// Untagged and priority-tagged ones (IEEE 802.1Q section 6.9).
    #[default]
    Untagged,
    /// Those of this VLAN, 1 to 4094.
    Id(u16),
    /// All, untagged ones too.
    Any,
}

/// What a rule takes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The interfaces that the packets arrive on: all that one of these selects; never empty.
    pub interfaces: Few<InterfaceSelector>,
    /// Multicast groups and prefixes of groups, 255.255.255.255, the broadcast address of a
    /// subnet, or a unicast address of ours (a tunnel's exit); never empty.
    pub groups: Few<IpNet>,
    /// The UDP destination ports; empty = every port.
    pub ports: Few<PortRange>,
    /// The sources.
    pub sources: SourceFilter,
    /// The protocols.
    pub protocol: Protocol,
    /// What we ask for upstream.
    pub join: Join,
    /// True: packets to 224.0.0.0/24 are relayed, which belong to their link otherwise (RFC 5771
    /// section 4).
    pub link_local: bool,
    /// The VLAN.
    pub vlan: VlanFilter,
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// To the group that it came with.
    Unchanged,
    /// To this group or unicast address.
    Address(IpAddr),
    /// To the group of this prefix that has the same bits after it; the prefix is as long as those
    /// of the input.
    Prefix(IpNet),
}

/// The source that receivers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputSource {
    /// Our address on the output interface, and a port of ours for each original source.
    #[default]
    Interface,
    /// The one that the packet came with; multicast and broadcast outputs only.
    Keep,
    /// This one.
    Address {
        /// Ours or any other.
        address: IpAddr,
        /// The UDP source port; none = as with [`Self::Interface`] where the address is ours, else
        /// the one that the packet came with.
        port: Option<Port>,
    },
}

/// The DSCP of a copy (RFC 2474).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dscp {
    /// The arriving value.
    #[default]
    Keep,
    /// This value, 0 to 63.
    Set(u8),
}

/// What happens to a copy that is larger than the output interface's MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MtuPolicy {
    /// It is sent in fragments.
    #[default]
    Fragment,
    /// It is dropped.
    Drop,
}

/// When an output sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Always.
    #[default]
    Always,
    /// On each of its interfaces, what members of the group want there.
    Joined {
        /// How long it goes on after the last member has left.
        linger: Duration,
    },
}

/// One output of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The operator's name for it.
    pub name: Option<String>,
    /// The interfaces to send on: all that one of these selects. Empty: the kernel's routing
    /// decides (unicast), or `local`.
    pub interfaces: Few<InterfaceSelector>,
    /// True: to applications on this host, over the loopback interface.
    pub local: bool,
    /// Group or unicast address.
    pub destination: Destination,
    /// UDP destination port; none = unchanged.
    pub port: Option<Port>,
    /// The TTL.
    pub ttl: Ttl,
    /// The DSCP.
    pub dscp: Dscp,
    /// The source.
    pub source: OutputSource,
    /// What happens to what is too large.
    pub mtu_policy: MtuPolicy,
    /// The most that is sent; none = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Box<Limit>>,
    /// How many datagrams may leave as one train (UDP_SEGMENT), 1 to [`MAX_BURST`]; none = as many
    /// as came as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU8>,
    /// When it sends.
    #[serde(default)]
    pub when: When,
}

/// The largest [`Output::burst`]: the kernel cuts no longer train (UDP_MAX_SEGMENTS, linux/udp.h).
pub const MAX_BURST: u8 = 64;

impl Output {
    /// An output with everything at its default, to wherever the packet was going.
    pub fn unchanged(interfaces: impl Into<Few<InterfaceSelector>>) -> Self {
        Self {
            name: None,
            interfaces: interfaces.into(),
            local: false,
            destination: Destination::Unchanged,
            port: None,
            ttl: Ttl::default(),
            dscp: Dscp::default(),
            source: OutputSource::default(),
            mtu_policy: MtuPolicy::default(),
            rate_limit: None,
            burst: None,
            when: When::default(),
        }
    }
}

/// One rule, valid in itself. Whether it can take effect depends on the interfaces there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Unique among all rules.
    pub id: RuleId,
    /// Unique within its origin.
    pub name: Option<String>,
    /// Who asked for it.
    pub origin: Origin,
    /// False: known, listed, without effect.
    pub enabled: bool,
    /// 0 to 1000; the higher wins a contradiction.
    pub priority: u16,
    /// What it takes.
    pub input: Input,
    /// Where it goes; never empty.
    pub outputs: Few<Output>,
}

impl Rule {
    /// The name for people: `origin/name`, or `origin/id` where no name was given.
    pub fn display_name(&self) -> String {
        format!("{}/{}", self.origin, self.name.as_deref().unwrap_or(self.id.as_str()))
    }
}
