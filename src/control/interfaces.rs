//! The interfaces that there are, their addresses and routes: what names are resolved against.

use crate::rib::Rib;
use crate::types::{Address, IfIndex, IfName, Link, NetEvent, NetSnapshot};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// Interfaces known at once; a host with more has another problem.
const MAX_INTERFACES: usize = 65_536;
/// Addresses of one interface.
const MAX_ADDRESSES: usize = 4096;

/// What changed, for those who keep something per interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Something that rules may depend on.
    pub(super) any: bool,
    /// Indexes that no longer exist.
    pub(super) gone: Vec<IfIndex>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Interfaces {
    links: BTreeMap<IfIndex, Link>,
    /// Names and alternative names; the kernel keeps them unique among both (netdev_name_node).
    names: HashMap<String, IfIndex>,
    /// In the order in which the kernel lists them: the primary address first.
    addresses: BTreeMap<IfIndex, Vec<IpNet>>,
    pub(super) rib: Rib,
}

impl Interfaces {
    /// Applies one event.
    pub(super) fn apply(&mut self, event: NetEvent) -> Changes {
        let mut changes = Changes { any: true, gone: Vec::new() };
        match event {
            NetEvent::Snapshot(snapshot) => self.replace(snapshot, &mut changes),
            NetEvent::Link(link) => {
                changes.any = self.links.get(&link.index) != Some(&link);
                self.forget_names(link.index);
                self.insert(link);
            }
            NetEvent::LinkGone(index) => {
                self.forget_names(index);
                changes.any = self.links.remove(&index).is_some();
                self.addresses.remove(&index);
                self.rib.remove_interface(index);
                changes.gone.push(index);
            }
            NetEvent::Address(address) => changes.any = self.add_address(address),
            NetEvent::AddressGone(address) => match self.addresses.get_mut(&address.index) {
                Some(nets) => nets.retain(|net| *net != address.net),
                None => changes.any = false,
            },
            NetEvent::Route(route) => self.rib.insert(route),
            NetEvent::RouteGone(route) => self.rib.remove(&route),
        }
        changes
    }

    fn replace(&mut self, snapshot: NetSnapshot, changes: &mut Changes) {
        let before = std::mem::take(&mut self.links);
        self.names.clear();
        self.addresses.clear();
        self.rib.clear();
        for link in snapshot.links {
            self.insert(link);
        }
        for address in snapshot.addresses {
            self.add_address(address);
        }
        for route in snapshot.routes {
            self.rib.insert(route);
        }
        changes.gone.extend(before.into_keys().filter(|index| !self.links.contains_key(index)));
    }

    fn add_address(&mut self, address: Address) -> bool {
        let nets = self.addresses.entry(address.index).or_default();
        // The kernel announces an address again when only its lifetime changes.
        if nets.contains(&address.net) || nets.len() >= MAX_ADDRESSES {
            return false;
        }
        nets.push(address.net);
        true
    }

    fn insert(&mut self, link: Link) {
        if !self.links.contains_key(&link.index) && self.links.len() >= MAX_INTERFACES {
            return;
        }
        for name in names_of(&link) {
            self.names.insert(name.to_owned(), link.index);
        }
        self.links.insert(link.index, link);
    }

    /// A name may have moved to another interface already: that entry stays.
    fn forget_names(&mut self, index: IfIndex) {
        if let Some(link) = self.links.get(&index) {
            for name in names_of(link) {
                if self.names.get(name) == Some(&index) {
                    self.names.remove(name);
                }
            }
        }
    }

    /// The interface of a name or alternative name.
    pub(super) fn named(&self, name: &IfName) -> Option<&Link> {
        self.names.get(name.as_str()).and_then(|index| self.links.get(index))
    }

    /// The interface of an index.
    pub(super) fn get(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Its name, or one made of its index where it is not there any more.
    pub(super) fn name_of(&self, index: IfIndex) -> String {
        self.get(index).map_or_else(|| format!("if{index}"), |link| link.name.to_string())
    }

    /// All interfaces by index.
    pub(super) fn all(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The addresses of an interface.
    pub(super) fn addresses(&self, index: IfIndex) -> &[IpNet] {
        self.addresses.get(&index).map_or(&[], Vec::as_slice)
    }

    /// True where the address is one of the interface's.
    pub(super) fn has_address(&self, index: IfIndex, address: IpAddr) -> bool {
        self.addresses(index).iter().any(|net| net.addr() == address)
    }

    /// True where the address is one of ours, on whatever interface.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        self.addresses.values().flatten().any(|net| net.addr() == address)
    }

    /// True for 255.255.255.255, and for the broadcast address of a subnet of the interface; a
    /// prefix longer than /30 has none (RFC 3021).
    pub(super) fn is_broadcast(&self, index: IfIndex, address: IpAddr) -> bool {
        address == IpAddr::V4(Ipv4Addr::BROADCAST)
            || self.addresses(index).iter().any(|net| match net {
                IpNet::V4(net) => net.prefix_len() <= 30 && IpAddr::V4(net.broadcast()) == address,
                IpNet::V6(_) => false,
            })
    }

    /// The loopback interface.
    pub(super) fn loopback(&self) -> Option<&Link> {
        self.links.values().find(|link| link.loopback)
    }

    /// The IPv4 address to send from: the first that is not link-local, else the first.
    pub(super) fn source_address(&self, index: IfIndex) -> Option<Ipv4Addr> {
        let mut all = self.addresses(index).iter().filter_map(|net| match net.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        let first = all.clone().next();
        all.find(|address| !address.is_link_local()).or(first)
    }
}

fn names_of(link: &Link) -> impl Iterator<Item = &str> {
    std::iter::once(link.name.as_str()).chain(link.alt_names.iter().map(String::as_str))
}
