//! What is asked for upstream.

use super::IfIndex;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A wish to receive a group on an interface: from every source, or from one (RFC 3376 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The interface.
    pub index: IfIndex,
    /// The group.
    pub group: IpAddr,
    /// The source; none = every source.
    pub source: Option<IpAddr>,
}
