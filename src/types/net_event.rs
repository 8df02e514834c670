//! What the kernel tells about the network: the netlink monitor's output, the core's input.

use super::{IfIndex, IfName, LinkLayer};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One interface as it is now (RTM_NEWLINK).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The kernel's number of the interface; a re-created interface usually gets another one.
    pub index: IfIndex,
    /// `IFLA_IFNAME`.
    pub name: IfName,
    /// `IFLA_PROP_LIST` / `IFLA_ALT_IFNAME`.
    pub alt_names: Vec<String>,
    /// `IFF_UP`: set up by the administrator.
    pub up: bool,
    /// `IFF_LOWER_UP`: the driver sees a carrier.
    pub carrier: bool,
    /// `IFLA_CARRIER_DOWN_COUNT`: how often it has lost its carrier.
    #[serde(default)]
    pub carrier_losses: u32,
    /// `IFF_LOOPBACK`.
    pub loopback: bool,
    /// `IFLA_MTU`, bytes of layer 3.
    pub mtu: u32,
    /// `IFLA_INFO_KIND` ("veth", "bridge", "tun"); empty for hardware.
    pub kind: String,
    /// What stands before the IP header, from the ARPHRD type.
    pub link_layer: LinkLayer,
    /// `IFLA_ADDRESS`, where it is 6 bytes long.
    pub mac: Option<[u8; 6]>,
    /// The other end of a veth pair (`IFLA_LINK`) where it is in the same network namespace.
    pub peer: Option<IfIndex>,
}

/// One address of an interface (RTM_NEWADDR).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The interface that has it.
    pub index: IfIndex,
    /// `IFA_LOCAL` (`IFA_ADDRESS` where there is no local one) with its prefix length.
    pub net: IpNet,
}

/// One unicast route of the main or local table (RTM_NEWROUTE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// `RTA_DST` with its length; `0.0.0.0/0` is the default route.
    pub net: IpNet,
    /// `RTA_OIF`; none for multipath routes and for blackholes.
    pub oif: Option<IfIndex>,
    /// `RTA_GATEWAY`.
    pub gateway: Option<IpAddr>,
    /// `RTA_PRIORITY`: the smaller wins.
    pub metric: u32,
    /// `RTA_TABLE`.
    pub table: u32,
}

/// A complete picture: what is not in it does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetSnapshot {
    /// Every interface.
    pub links: Vec<Link>,
    /// Every address.
    pub addresses: Vec<Address>,
    /// Every unicast route.
    pub routes: Vec<Route>,
}

/// One change of the network, or (after a start or a lost event) the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetEvent {
    /// The result of a dump; replaces everything known.
    Snapshot(NetSnapshot),
    /// An interface is new or changed.
    Link(Link),
    /// An interface is gone, and its addresses and routes with it.
    LinkGone(IfIndex),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is there.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
}
