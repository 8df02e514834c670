//! L2, IGMP (RFC 2236, RFC 9776), sans-I/O: who wants which group on which link, and our own memberships by
//! reports of ours. Packets and the time go in, packets to be sent and changes come out.

mod group;
pub mod host;
mod link;
pub mod packet;
mod querier;
#[cfg(test)]
mod tests;
mod view;

pub use view::{Counters, GroupView, IgmpNotice, Ignored, LinkView};

use crate::timers::Timers;
use crate::types::{IfIndex, IgmpSettings, Reception, Time, Transmit};
use ipnet::Ipv4Net;
use link::Link;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

/// Packets that wait to be sent, over all links; further ones are left out.
const MAX_WAITING: usize = 65_536;
/// Notices that wait to be told.
const MAX_NOTICES: usize = 1024;

/// One interface as IGMP sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// How we behave there.
    pub settings: IgmpSettings,
    /// Its addresses with their subnets, the primary one first; we query from that one, from 0.0.0.0 where there
    /// is none.
    pub addresses: Vec<Ipv4Net>,
    /// Its MTU, bytes.
    pub mtu: u32,
}

/// The router side on all interfaces.
#[derive(Clone, Debug, Default)]
pub struct Igmp {
    links: BTreeMap<IfIndex, Link>,
    due: Timers<IfIndex>,
    out: Outbox,
}

/// What is to be done and told.
#[derive(Clone, Debug, Default)]
struct Outbox {
    packets: VecDeque<Transmit>,
    changes: BTreeSet<(IfIndex, Ipv4Addr)>,
    notices: VecDeque<IgmpNotice>,
}

impl Outbox {
    /// False where there is no room.
    fn send(&mut self, index: IfIndex, packet: Vec<u8>) -> bool {
        let room = self.packets.len() < MAX_WAITING;
        if room {
            self.packets.push_back(Transmit { index, packet });
        }
        room
    }

    fn tell(&mut self, notice: IgmpNotice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        }
    }
}

impl Igmp {
    /// Runs on an interface as said from now on, at once; none = no longer, and all that was known of it is
    /// forgotten. What stays true of the state of an interface that runs already is kept.
    pub fn configure(&mut self, now: Time, index: IfIndex, interface: Option<Interface>) {
        match (interface, self.links.get_mut(&index)) {
            (None, _) => {
                if let Some(link) = self.links.remove(&index) {
                    self.out
                        .changes
                        .extend(link.all_groups().into_iter().map(|group| (index, group)));
                }
                self.out.packets.retain(|packet| packet.index != index);
            }
            (Some(interface), Some(link)) => link.reconfigure(now, interface, &mut self.out),
            (Some(interface), None) => {
                let link = Link::new(now, index, interface, &mut self.out);
                self.links.insert(index, link);
            }
        }
        self.follow(index);
    }

    /// Takes an IPv4 packet that came from an interface's link, its header included.
    pub fn handle_packet(&mut self, now: Time, index: IfIndex, packet: &[u8]) {
        if let Some(link) = self.links.get_mut(&index) {
            link.handle(now, packet, &mut self.out);
            self.follow(index);
        }
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
        self.out.packets.pop_front()
    }

    /// The next group whose reception has changed, each once until it changes again.
    pub fn poll_change(&mut self) -> Option<(IfIndex, Ipv4Addr)> {
        self.out.changes.pop_first()
    }

    /// The next thing that people want to know.
    pub fn poll_notice(&mut self) -> Option<IgmpNotice> {
        self.out.notices.pop_front()
    }

    /// What members of a group want on an interface; none = there is no member.
    pub fn reception(&self, index: IfIndex, group: Ipv4Addr) -> Option<Reception> {
        self.links.get(&index)?.reception(group)
    }

    /// The groups with members on an interface that lie in a prefix, in order.
    pub fn groups_in(
        &self,
        index: IfIndex,
        within: Ipv4Net,
    ) -> impl Iterator<Item = (Ipv4Addr, Reception)> {
        let link = self.links.get(&index).into_iter();
        link.flat_map(move |link| {
            let groups = link.all_groups().into_iter().filter(move |group| within.contains(group));
            groups.filter_map(|group| Some((group, link.reception(group)?)))
        })
    }

    /// The interfaces on which IGMP runs.
    pub fn interfaces(&self) -> impl Iterator<Item = IfIndex> {
        self.links.keys().copied()
    }

    /// The querier side of an interface.
    pub fn view(&self, index: IfIndex) -> Option<LinkView> {
        self.links.get(&index).map(Link::view)
    }

    /// The groups with members on an interface, in order.
    pub fn group_views(&self, now: Time, index: IfIndex) -> impl Iterator<Item = GroupView> {
        let link = self.links.get(&index).into_iter();
        link.flat_map(move |link| {
            link.all_groups().into_iter().filter_map(move |group| link.group_view(now, group))
        })
    }

    /// What came and went on an interface.
    pub fn counters(&self, index: IfIndex) -> Option<&Counters> {
        self.links.get(&index).map(Link::counters)
    }

    fn follow(&mut self, index: IfIndex) {
        match self.links.get(&index).and_then(Link::next_timeout) {
            Some(at) => self.due.set(index, at),
            None => {
                self.due.cancel(index);
            }
        }
    }
}
