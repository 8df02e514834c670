//! L1, the forwarding table that workers read: immutable, compiled by control.
//!
//! [`Fib::lookup`] is the only classifier there is: workers forward by it, and whatever explains
//! a packet's way asks it too.

mod build;
pub mod counters;

pub use build::{Builder, Conflict, Resolved};

use crate::types::{DropReason, IfIndex, Ttl};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// A rule's place in the counter arrays of every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSlot(pub u32);

/// An output's place in the counter arrays of every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputSlot(pub u32);

/// What a packet is classified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The interface that it arrived on.
    pub iif: IfIndex,
    /// Its destination: a group, or a unicast address of ours.
    pub destination: IpAddr,
    /// Its UDP destination port; in a table key, 0 = every port.
    pub port: u16,
    /// Its source; in a table key, the unspecified address = every source.
    pub source: IpAddr,
}

/// "Every source" in a table key.
pub const ANY_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// "Every port" in a table key.
pub const ANY_PORT: u16 = 0;

/// How one copy is sent: as a new datagram of ours (the receiver sees our address).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Send {
    /// The interface; none = the kernel's routing decides (unicast only).
    pub oif: Option<IfIndex>,
    /// Our address on that interface; none = the kernel chooses.
    pub source: Option<IpAddr>,
    /// None = the address that it came with.
    pub destination: Option<IpAddr>,
    /// None = the port that it came with.
    pub port: Option<u16>,
    /// The TTL that it starts with.
    pub ttl: Ttl,
}

/// What happens to one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is sent.
    Send(Send),
    /// It cannot be sent now; every copy is counted under this reason.
    Drop(DropReason),
}

/// One output of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CopyOut {
    /// Where it is counted.
    pub slot: OutputSlot,
    /// What to do.
    pub action: Action,
}

/// What is done with the packets of one key: the union of all rules that match it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The rules behind it: each counts a match.
    pub rules: Vec<RuleSlot>,
    /// The copies to make, each target once.
    pub copies: Vec<CopyOut>,
}

/// Which kinds of key are in the table, so that a lookup does not probe for kinds that are not.
#[derive(Clone, Copy, Debug, Default)]
struct Shapes {
    source_port: bool,
    source: bool,
    port: bool,
    any: bool,
}

/// The whole world of a worker. Never changes; a new one replaces it.
#[derive(Debug, Default)]
pub struct Fib {
    generation: u64,
    index: HashMap<FlowKey, u32, foldhash::fast::FixedState>,
    entries: Vec<Entry>,
    shapes: Shapes,
    own: HashSet<(IfIndex, IpAddr), foldhash::fast::FixedState>,
    rule_slots: u32,
    output_slots: u32,
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

    /// The entry of a packet's key, most specific first: source and port, source, port, neither.
    /// Entries are unions already, so the first hit is the whole answer.
    #[inline]
    pub fn lookup(&self, packet: &FlowKey) -> Option<&Entry> {
        let probe = |key: &FlowKey| self.index.get(key).map(|&at| &self.entries[at as usize]);
        if self.shapes.source_port
            && let Some(entry) = probe(packet)
        {
            return Some(entry);
        }
        if self.shapes.source
            && let Some(entry) = probe(&FlowKey { port: ANY_PORT, ..*packet })
        {
            return Some(entry);
        }
        if self.shapes.port
            && let Some(entry) = probe(&FlowKey { source: ANY_SOURCE, ..*packet })
        {
            return Some(entry);
        }
        if self.shapes.any {
            return probe(&FlowKey { port: ANY_PORT, source: ANY_SOURCE, ..*packet });
        }
        None
    }

    /// True where both tables treat every packet the same and count it in the same places.
    pub fn forwards_like(&self, other: &Self) -> bool {
        self.own == other.own
            && self.index.len() == other.index.len()
            && self.index.iter().all(|(key, &at)| {
                let theirs = other.index.get(key).map(|&at| &other.entries[at as usize]);
                theirs == Some(&self.entries[at as usize])
            })
    }

    /// True where `address` is ours on that interface: a packet that arrives there with it as its
    /// source is our own come back.
    #[inline]
    pub fn is_own(&self, iif: IfIndex, address: IpAddr) -> bool {
        self.own.contains(&(iif, address))
    }

    /// All entries, ordered by interface, group, then most specific first.
    pub fn entries(&self) -> Vec<(FlowKey, &Entry)> {
        let mut all: Vec<_> =
            self.index.iter().map(|(key, &at)| (*key, &self.entries[at as usize])).collect();
        all.sort_by_key(|(key, _)| {
            let general = u8::from(key.source == ANY_SOURCE) * 2 + u8::from(key.port == ANY_PORT);
            (key.iif, key.destination, general, key.source, key.port)
        });
        all
    }
}
