//! L2, IGMP (RFC 2236, RFC 9776), sans-I/O: who wants which group on which link, and our own memberships by
//! reports of ours. Packets and the time go in, packets to be sent and changes come out.

pub mod host;
pub mod packet;

use crate::types::{IfIndex, IgmpSettings, Reception, Time, Transmit};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

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
pub struct Igmp {}

impl Igmp {
    /// Runs on an interface as said from now on, at once; none = no longer, and all that was known of it is
    /// forgotten. What stays true of the state of an interface that runs already is kept.
    pub fn configure(&mut self, _now: Time, _index: IfIndex, _interface: Option<Interface>) {}

    /// Takes an IPv4 packet that came from an interface's link, its header included.
    pub fn handle_packet(&mut self, _now: Time, _index: IfIndex, _packet: &[u8]) {}

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Time) {}

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// The next packet to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next group whose reception has changed, each once until it changes again.
    pub fn poll_change(&mut self) -> Option<(IfIndex, Ipv4Addr)> {
        None
    }

    /// What members of a group want on an interface; none = there is no member.
    pub fn reception(&self, _index: IfIndex, _group: Ipv4Addr) -> Option<Reception> {
        None
    }

    /// The groups with members on an interface that lie in a prefix, in order.
    pub fn groups_in(
        &self,
        _index: IfIndex,
        _within: Ipv4Net,
    ) -> impl Iterator<Item = (Ipv4Addr, Reception)> {
        std::iter::empty()
    }
}
