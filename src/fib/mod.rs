//! L1, the forwarding table that workers read: immutable, compiled by control.
//!
//! [`Fib::lookup`] is the only classifier there is: workers forward by it, and whatever explains
//! a packet's way asks it too. It narrows down in four steps: interface and VLAN, destination by
//! longest prefix, source by longest prefix, destination port. What stands at the end is already
//! the union of all rules that match, so that the first hit is the whole answer.

mod build;
mod check;
pub mod counters;
mod packed;
mod prefixes;
mod union;

pub use build::{Builder, Compiled, Conflict, Resolved};
pub use check::FibError;
#[cfg(test)]
pub(crate) use check::spoil;
pub use packed::Packed;
pub use prefixes::PrefixLengths;

pub use crate::types::Limit;
use crate::types::{
    DropReason, Dscp, Few, IfIndex, LinkLayer, MtuPolicy, Protocol, Ttl, VlanFilter,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;

/// A rule's place in the counter arrays of every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleSlot(pub u32);

/// An output's place in the counter arrays of every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputSlot(pub u32);

/// An entry's place in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(u32);

/// IP protocol numbers (IANA) that the table treats in their own way.
pub mod protocol {
    /// IGMP: belongs to its link.
    pub const IGMP: u8 = 2;
    /// UDP.
    pub const UDP: u8 = 17;
    /// PIM: belongs to its link.
    pub const PIM: u8 = 103;
}

/// What a packet is classified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The interface that it arrived on.
    pub iif: IfIndex,
    /// Its VLAN, 1 to 4094; 0 = untagged.
    pub vlan: u16,
    /// Its destination: a group, a broadcast address, or a unicast address of ours.
    pub destination: IpAddr,
    /// Its source.
    pub source: IpAddr,
    /// Its IP protocol.
    pub protocol: u8,
    /// Its UDP destination port; without meaning for other protocols.
    pub port: u16,
}

/// Where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// To this address.
    Set(IpAddr),
    /// To the address that has the packet's last `host_bits` bits after those of `base`.
    Map {
        /// Network bits; its last `host_bits` bits are 0.
        base: IpAddr,
        /// How many bits stay; all of them = the packet's own destination.
        host_bits: u8,
    },
}

impl Target {
    /// The packet's own destination.
    pub const UNCHANGED: Self =
        Self::Map { base: IpAddr::V4(Ipv4Addr::UNSPECIFIED), host_bits: 32 };

    /// The address for a packet that came to `destination`. Families are never mixed: control sees
    /// to it; were they, the packet's own destination would stay.
    #[inline]
    pub fn of(&self, destination: IpAddr) -> IpAddr {
        match *self {
            Self::Set(address) => address,
            Self::Map { base: IpAddr::V4(base), host_bits } => match destination {
                IpAddr::V4(v4) => {
                    let mask = prefixes::host_mask(host_bits);
                    Ipv4Addr::from(u32::from(base) & !mask | u32::from(v4) & mask).into()
                }
                IpAddr::V6(_) => destination,
            },
            Self::Map { base: IpAddr::V6(_), .. } => destination,
        }
    }
}

/// The source address and port that receivers see where they are not a socket's of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceRewrite {
    /// None = the one that the packet came with.
    pub address: Option<IpAddr>,
    /// None = the one that the packet came with; UDP only.
    pub port: Option<u16>,
}

/// How copies leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Egress {
    /// As new UDP datagrams of ours, from a UDP socket: the kernel routes, resolves, fragments.
    Socket {
        /// Our address; none = the kernel chooses.
        source: Option<IpAddr>,
        /// The source port; none = one for each original source.
        port: Option<u16>,
    },
    /// As frames that we build (AF_PACKET), for multicast and broadcast.
    Link {
        /// The source.
        source: SourceRewrite,
        /// What stands before the IP header there.
        link_layer: LinkLayer,
        /// Our MAC address there; zeros where there is none.
        mac: [u8; 6],
    },
    /// As IP packets that we build, routed by the kernel (raw socket, IP_HDRINCL of ip(7)), for
    /// unicast.
    Raw {
        /// The source.
        source: SourceRewrite,
    },
}

/// How one copy is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Send {
    /// The interface; none = the kernel's routing decides (unicast only).
    pub oif: Option<IfIndex>,
    /// Where to.
    pub target: Target,
    /// The UDP destination port; none = the one that it came with.
    pub port: Option<u16>,
    /// The TTL.
    pub ttl: Ttl,
    /// The DSCP.
    pub dscp: Dscp,
    /// How it leaves, and from whom.
    pub egress: Egress,
    /// True: the target is a broadcast address of the interface's subnet, or 255.255.255.255.
    pub broadcast: bool,
    /// The interface's MTU, bytes of layer 3; none = not known.
    pub mtu: Option<u32>,
    /// What happens to what is larger.
    pub mtu_policy: MtuPolicy,
    /// The most that its output sends, over all interfaces and workers.
    pub limit: Option<Limit>,
    /// Datagrams of one train at most; none = as many as came as one.
    pub burst: Option<NonZeroU8>,
}

/// What happens to one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// It is sent.
    Send(Send),
    /// It cannot be sent now; every copy is counted under this reason.
    Drop(DropReason),
}

/// One output of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CopyOut {
    /// Where it is counted.
    pub slot: OutputSlot,
    /// What to do.
    pub action: Action,
}

/// What is done with the packets of one flow set: the union of all rules that match it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The rules behind it: each counts a match.
    pub rules: Few<RuleSlot>,
    /// The copies to make, each target once.
    pub copies: Few<CopyOut>,
}

/// The packets that an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowSet {
    /// The interface.
    pub iif: IfIndex,
    /// The VLAN; [`VlanClass::Other`] = every one that has no entries of its own.
    pub vlan: VlanClass,
    /// Destinations, less those with a longer prefix in the table.
    pub destinations: IpNet,
    /// Sources, less those with a longer prefix there; none = all others.
    pub sources: Option<IpNet>,
    /// UDP ports, both ends included; none = every other protocol.
    pub ports: Option<(u16, u16)>,
}

/// Which frames of an interface: untagged ones, those of a VLAN, those of VLANs that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VlanClass {
    /// Without a tag.
    Untagged,
    /// Of this VLAN.
    Id(u16),
    /// Of another.
    Other,
}

impl VlanClass {
    fn of(vlan: u16) -> Self {
        if vlan == 0 { Self::Untagged } else { Self::Id(vlan) }
    }
}

/// Packets of one destination prefix on one interface and VLAN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Prefix {
    /// Lengths of source prefixes that rules name here.
    source_lengths: PrefixLengths,
    /// For sources that none of them contains.
    others: u32,
    /// UDP ports that some rule takes from some source, for the name of a miss.
    ports: Few<(u16, u16)>,
    /// The same for other protocols.
    any_protocol: bool,
    /// Why nothing matches where no rule takes the destination.
    miss: DropReason,
}

/// Packets of one destination prefix from one source prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SourceClass {
    /// Entries of UDP ports, sorted, without overlaps: first port, last port, entry.
    ports: Few<(u16, u16, u32)>,
    /// The entry of other protocols.
    other: Option<u32>,
}

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;
type Set<K> = HashSet<K, foldhash::fast::FixedState>;

/// Everything that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tables {
    #[serde(serialize_with = "packed::sorted_set")]
    vlans: Set<(IfIndex, VlanClass)>,
    /// Lengths of destination prefixes.
    lengths: PrefixLengths,
    /// By interface, VLAN and destination: its place in `prefixes`.
    #[serde(serialize_with = "packed::sorted_map")]
    destinations: Map<(IfIndex, VlanClass, IpNet), u32>,
    prefixes: Vec<Prefix>,
    /// By place in `prefixes` and source: its place in `classes`.
    #[serde(serialize_with = "packed::sorted_map")]
    sources: Map<(u32, IpNet), u32>,
    classes: Vec<SourceClass>,
    entries: Vec<Entry>,
    #[serde(serialize_with = "packed::sorted_set")]
    own: Set<(IfIndex, IpAddr)>,
}

/// The whole world of a worker. Never changes; a new one replaces it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fib {
    generation: u64,
    tables: Tables,
    rule_slots: u32,
    output_slots: u32,
    /// By slot; part of what entries say, kept apart so that it is found without a search.
    limits: Vec<(OutputSlot, Limit)>,
}

impl Fib {
    /// Which table this is; a later one has a larger number.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many rule counters its slots need.
    pub fn rule_slots(&self) -> u32 {
        self.rule_slots
    }

    /// How many output counters its slots need.
    pub fn output_slots(&self) -> u32 {
        self.output_slots
    }

    /// The outputs that have a limit, by slot.
    pub fn limits(&self) -> &[(OutputSlot, Limit)] {
        &self.limits
    }

    /// The entry of a packet, or why there is none.
    #[inline]
    pub fn lookup(&self, packet: &FlowKey) -> Result<&Entry, DropReason> {
        self.find(packet).map(|id| &self.tables.entries[id.0 as usize])
    }

    /// The entry that [`Self::find`] found in this table; none where it was found in another.
    #[inline]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.tables.entries.get(id.0 as usize)
    }

    /// Where the entry of a packet is, or why there is none.
    #[inline]
    pub fn find(&self, packet: &FlowKey) -> Result<EntryId, DropReason> {
        let tables = &self.tables;
        let vlan = self.vlan_class(packet.iif, packet.vlan);
        let at = tables
            .lengths
            .find(packet.destination, |net| {
                tables.destinations.get(&(packet.iif, vlan, net)).copied()
            })
            .ok_or(DropReason::NoRule)?;
        let prefix = &tables.prefixes[at as usize];
        let class = prefix
            .source_lengths
            .find(packet.source, |net| tables.sources.get(&(at, net)).copied())
            .unwrap_or(prefix.others);
        let class = &tables.classes[class as usize];
        let entry = match packet.protocol {
            protocol::UDP => class.of_port(packet.port),
            protocol::IGMP | protocol::PIM => None,
            _ => class.other,
        };
        match entry {
            Some(entry) => Ok(EntryId(entry)),
            None => Err(prefix.miss(packet)),
        }
    }

    #[inline]
    fn vlan_class(&self, iif: IfIndex, vlan: u16) -> VlanClass {
        match VlanClass::of(vlan) {
            class @ VlanClass::Id(_) if !self.tables.vlans.contains(&(iif, class)) => {
                VlanClass::Other
            }
            class => class,
        }
    }

    /// True where some rule takes frames with this VLAN tag on that interface.
    #[inline]
    pub fn takes_vlan(&self, iif: IfIndex, vlan: u16) -> bool {
        vlan == 0 || self.tables.vlans.contains(&(iif, self.vlan_class(iif, vlan)))
    }

    /// True where both tables treat every packet the same and count it in the same places.
    pub fn forwards_like(&self, other: &Self) -> bool {
        self.tables == other.tables
    }

    /// True where `address` is ours on that interface: a packet that arrives there with it as its
    /// source is our own come back.
    #[inline]
    pub fn is_own(&self, iif: IfIndex, address: IpAddr) -> bool {
        self.tables.own.contains(&(iif, address))
    }

    /// All entries, ordered by interface, VLAN, destination, source and port.
    pub fn entries(&self) -> Vec<(FlowSet, &Entry)> {
        let tables = &self.tables;
        let mut classes: Vec<(FlowSet, u32)> = Vec::new();
        let mut of_prefix: HashMap<u32, FlowSet> = HashMap::new();
        for (&(iif, vlan, destinations), &at) in &tables.destinations {
            let set = FlowSet { iif, vlan, destinations, sources: None, ports: None };
            of_prefix.insert(at, set);
            classes.push((set, tables.prefixes[at as usize].others));
        }
        for (&(at, net), &class) in &tables.sources {
            if let Some(set) = of_prefix.get(&at) {
                classes.push((FlowSet { sources: Some(net), ..*set }, class));
            }
        }
        let mut all: Vec<(FlowSet, &Entry)> = Vec::new();
        for (set, class) in classes {
            let class = &tables.classes[class as usize];
            let udp = class.ports.iter().map(|&(start, end, entry)| (Some((start, end)), entry));
            let other = class.other.map(|entry| (None, entry));
            all.extend(
                udp.chain(other).map(|(ports, entry)| {
                    (FlowSet { ports, ..set }, &tables.entries[entry as usize])
                }),
            );
        }
        all.sort_by_key(|(set, _)| *set);
        all
    }
}

impl SourceClass {
    #[inline]
    fn of_port(&self, port: u16) -> Option<u32> {
        let after = self.ports.partition_point(|&(start, _, _)| start <= port);
        let (_, end, entry) = *self.ports.get(after.checked_sub(1)?)?;
        (port <= end).then_some(entry)
    }
}

impl Prefix {
    /// The name of a miss.
    fn miss(&self, packet: &FlowKey) -> DropReason {
        let wanted = match packet.protocol {
            protocol::IGMP | protocol::PIM if self.any_protocol => return DropReason::LinkProtocol,
            protocol::UDP => {
                self.ports.iter().any(|&(start, end)| (start..=end).contains(&packet.port))
            }
            _ if !self.any_protocol => return DropReason::NotUdp,
            _ => true,
        };
        if wanted { DropReason::SourceFiltered } else { self.miss }
    }
}

#[cfg(test)]
mod tests;
