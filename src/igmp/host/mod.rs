//! Our own memberships by reports of ours, where the kernel is not to do it (RFC 9776 section 5, RFC 2236
//! section 3, RFC 1112 appendix I): what is wanted and packets go in, reports come out.

mod answer;
mod group;
mod link;
mod querier;
mod random;
#[cfg(test)]
mod tests;
mod view;

pub use querier::HeardQuerier;
pub use view::{HostCounters, HostGroup, HostView};

use super::packet::decode;
use crate::timers::Timers;
use crate::types::{HostMode, IfIndex, Reception, Time, Transmit};
use ipnet::Ipv4Net;
use link::HostLink;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

/// Groups that are reported on an interface.
const MAX_GROUPS: usize = 65_536;

/// Packets that wait to be sent. Two reports of each group of one interface fit.
const MAX_WAITING: usize = 131_072;

/// One interface as a host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// Which version is spoken; with [`HostMode::Kernel`] none, by us.
    pub mode: HostMode,
    /// Its addresses with their subnets, the primary one first; we report from that one, from 0.0.0.0 where there
    /// is none (RFC 9776 section 4.2.14).
    pub addresses: Vec<Ipv4Net>,
    /// Its MTU, bytes: longer reports are split.
    pub mtu: u32,
}

/// Our own memberships on all interfaces.
#[derive(Clone, Debug)]
pub struct Host {
    seed: u64,
    links: BTreeMap<IfIndex, HostLink>,
    due: Timers<IfIndex>,
    out: Outbox,
}

impl Host {
    /// No interface yet. All delays by chance follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, links: BTreeMap::new(), due: Timers::default(), out: Outbox::default() }
    }

    /// Speaks on an interface as said from now on; none (or [`HostMode::Kernel`]) = no longer: all that was wanted
    /// there is forgotten, and nobody is told. To leave for good, [`Self::set`] nothing before. Where the version
    /// or the primary address of an interface changes, all that is wanted there is reported again.
    pub fn configure(&mut self, now: Time, index: IfIndex, interface: Option<HostInterface>) {
        match interface.filter(|interface| interface.mode != HostMode::Kernel) {
            None => {
                self.links.remove(&index);
            }
            Some(interface) => match self.links.get_mut(&index) {
                Some(link) => link.reconfigure(now, interface, &mut self.out),
                None => {
                    self.links.insert(index, HostLink::new(now, index, interface, self.seed));
                }
            },
        }
        self.follow(index);
    }

    /// What is wanted on an interface from now on, from all who want anything there: what has changed is reported
    /// at once, and again as often as the robustness variable says. Ignored where nothing is configured.
    ///
    /// Groups in 224.0.0.0/24 are listened to and never reported. Beyond 65,536 groups further ones are left out;
    /// of a group with more than 4096 sources everything is asked for.
    pub fn set(&mut self, now: Time, index: IfIndex, wanted: &BTreeMap<Ipv4Addr, Reception>) {
        if let Some(link) = self.links.get_mut(&index) {
            link.set(now, wanted, &mut self.out);
            self.follow(index);
        }
    }

    /// Reports all that is wanted on an interface again, as if it were new: its link was lost and came back.
    pub fn rejoin(&mut self, now: Time, index: IfIndex) {
        if let Some(link) = self.links.get_mut(&index) {
            link.rejoin(now, &mut self.out);
            self.follow(index);
        }
    }

    /// Takes an IPv4 packet that came from an interface's link, its header included.
    pub fn handle_packet(&mut self, now: Time, index: IfIndex, packet: &[u8]) {
        let Some(link) = self.links.get_mut(&index) else { return };
        match decode(packet) {
            Ok(received) => link.handle(now, &received),
            Err(reason) => link.counters.count_invalid(reason),
        }
        self.follow(index);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(index) = self.due.pop_due(now) {
            if let Some(link) = self.links.get_mut(&index) {
                link.timeout(now, &mut self.out);
            }
            self.follow(index);
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        self.due.next()
    }

    /// The next packet to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.waiting.pop_front()
    }

    /// The interfaces on which we speak, which are those whose IGMP packets are to be received.
    pub fn interfaces(&self) -> impl Iterator<Item = IfIndex> {
        self.links.keys().copied()
    }

    /// The groups that each interface must let in, since no socket of the kernel joins them.
    pub fn listened_groups(&self) -> BTreeSet<(IfIndex, Ipv4Addr)> {
        let all = self.links.iter();
        all.flat_map(|(index, link)| link.listened().map(|group| (*index, group))).collect()
    }

    /// What there is to see of an interface.
    pub fn view(&self, index: IfIndex) -> Option<HostView> {
        self.links.get(&index).map(HostLink::view)
    }

    /// The groups on an interface that are reported, in order.
    pub fn groups(&self, index: IfIndex) -> impl Iterator<Item = HostGroup<'_>> {
        self.links.get(&index).into_iter().flat_map(HostLink::groups)
    }

    /// What came and went on an interface.
    pub fn counters(&self, index: IfIndex) -> Option<&HostCounters> {
        self.links.get(&index).map(|link| &link.counters)
    }

    fn follow(&mut self, index: IfIndex) {
        match self.links.get(&index).and_then(|link| link.timers.next()) {
            Some(at) => self.due.set(index, at),
            None => {
                self.due.cancel(index);
            }
        }
    }
}

/// Packets that wait to be sent.
#[derive(Clone, Debug, Default)]
struct Outbox {
    waiting: VecDeque<Transmit>,
}

impl Outbox {
    /// False where there is no room.
    fn push(&mut self, index: IfIndex, packet: Vec<u8>) -> bool {
        let room = self.waiting.len() < MAX_WAITING;
        if room {
            self.waiting.push_back(Transmit { index, packet });
        }
        room
    }
}
