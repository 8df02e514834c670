//! What an input port lets in before a frame is copied to us.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the in-kernel filter of a packet port passes. It may pass more than rules take: the table
/// decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputFilter {
    /// Destinations that rules take: groups, prefixes of groups, broadcast addresses.
    pub destinations: BTreeSet<Ipv4Net>,
    /// True: every IP protocol passes, false: UDP only.
    pub any_protocol: bool,
    /// True: the interface must receive groups that nobody on this host has joined
    /// (`PACKET_MR_ALLMULTI`, packet(7)).
    pub all_multicast: bool,
}
