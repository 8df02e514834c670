//! How the kernel names and numbers network interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// An interface index as the kernel gives it (`ifindex`, if_link.h); never 0 for a real interface.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Default,
    JsonSchema,
)]
#[serde(transparent)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface name: 1 to 15 bytes, no `/`, no white space (`dev_valid_name`, net/core/dev.c).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct IfName {
    /// Zeros after the name: the order is that of the texts.
    bytes: [u8; IfName::MAX_LEN],
    len: NonZeroU8,
}

/// Why a string is not an interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an interface name: 1 to 15 characters, without '/', ':' or white space")]
pub struct IfNameError(String);

impl IfName {
    /// The longest, in bytes (`IFNAMSIZ`, linux/if.h, less the terminating zero).
    const MAX_LEN: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // They came out of a text of that length.
        str::from_utf8(&self.bytes[..usize::from(self.len.get())]).unwrap_or_default()
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IfName").field(&self.as_str()).finish()
    }
}

impl TryFrom<String> for IfName {
    type Error = IfNameError;
    fn try_from(name: String) -> Result<Self, IfNameError> {
        let bad = name == "."
            || name == ".."
            || name.chars().any(|c| c == '/' || c == ':' || c.is_whitespace());
        let mut bytes = [0; Self::MAX_LEN];
        let len = u8::try_from(name.len()).ok().and_then(NonZeroU8::new);
        match (len, bytes.get_mut(..name.len())) {
            (Some(len), Some(start)) if !bad => {
                start.copy_from_slice(name.as_bytes());
                Ok(Self { bytes, len })
            }
            _ => Err(IfNameError(name)),
        }
    }
}

impl FromStr for IfName {
    type Err = IfNameError;
    fn from_str(name: &str) -> Result<Self, IfNameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands before the IP header on an interface (`ARPHRD_*`, if_arp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkLayer {
    /// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`: a 14-byte Ethernet header.
    Ethernet,
    /// `ARPHRD_NONE` and friends: an L3 tunnel, the frame starts with the IP header.
    None,
}
