//! A rule: what an operator asked for, checked and ready to be resolved against real interfaces.

use super::IfName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A UDP port; 0 is not one.
pub type Port = NonZeroU16;

/// The TTL of republished datagrams where the rule says none: most senders use 1, so theirs
/// cannot be decremented.
pub const UNSET_TTL: u8 = 16;

/// A rule's identity over its life: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(String);

/// Why a string cannot be a rule id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a rule id: 1 to 64 letters, digits, '-', '_' or '.'")]
pub struct RuleIdError(String);

impl RuleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A stable id for a rule that was given none: 16 hex digits that depend on `seed` only
    /// (64-bit FNV-1a, so that it stays the same over restarts, machines and versions).
    pub fn derived(seed: &str) -> Self {
        let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(format!("{hash:016x}"))
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleIdError;
    fn try_from(id: String) -> Result<Self, RuleIdError> {
        let fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits { Ok(Self(id)) } else { Err(RuleIdError(id)) }
    }
}

impl FromStr for RuleId {
    type Err = RuleIdError;
    fn from_str(id: &str) -> Result<Self, RuleIdError> {
        Self::try_from(id.to_owned())
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asked for a rule. The order is the precedence between rules of equal priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The TTL that an output's datagrams start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ttl {
    /// This value, 1 to 255.
    Set(u8),
    /// The arriving value less one; a packet that arrives with 1 is dropped.
    Decrement,
    /// The arriving value.
    Keep,
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Set(UNSET_TTL)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => value.fmt(f),
            Self::Decrement => f.write_str("decrement"),
            Self::Keep => f.write_str("keep"),
        }
    }
}

/// What a rule takes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The interface that the packets arrive on.
    pub interface: IfName,
    /// The multicast group, or a unicast address of ours on that interface (a tunnel's exit).
    pub destination: IpAddr,
    /// The UDP destination port; none = every port.
    pub port: Option<Port>,
    /// The only source taken (source-specific multicast, RFC 4607); none = every source.
    pub source: Option<IpAddr>,
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// To the group that it came with.
    Unchanged,
    /// To this group or unicast address.
    Address(IpAddr),
}

/// One output of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The operator's name for it.
    pub name: Option<String>,
    /// The interface to send on. None only for unicast: the kernel's routing decides.
    pub interface: Option<IfName>,
    /// Group or unicast address.
    pub destination: Destination,
    /// UDP destination port; none = unchanged.
    pub port: Option<Port>,
    /// The TTL.
    pub ttl: Ttl,
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
    pub outputs: Vec<Output>,
}

impl Rule {
    /// The name for people: `origin/name`, or `origin/id` where no name was given.
    pub fn display_name(&self) -> String {
        format!("{}/{}", self.origin, self.name.as_deref().unwrap_or(self.id.as_str()))
    }
}
