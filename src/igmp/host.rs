//! Our own memberships by reports of ours.

use crate::types::{HostMode, IfIndex, Reception, Time, Transmit};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One interface on which we report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// In which version.
    pub mode: HostMode,
    /// Its addresses with their subnets, the primary one first.
    pub addresses: Vec<Ipv4Net>,
    /// Its MTU, bytes.
    pub mtu: u32,
}

/// The host side on all interfaces.
#[derive(Clone, Debug, Default)]
pub struct Host {}

impl Host {
    /// One that reports nothing.
    pub fn new(_seed: u64) -> Self {
        Self {}
    }

    /// Reports on an interface from now on; none = no longer, and what was joined there is left.
    pub fn configure(&mut self, _now: Time, _index: IfIndex, _interface: Option<HostInterface>) {}

    /// Be a member of exactly these there.
    pub fn set(&mut self, _now: Time, _index: IfIndex, _groups: &BTreeMap<Ipv4Addr, Reception>) {}

    /// The link was lost and is there again: everything is reported again.
    pub fn rejoin(&mut self, _now: Time, _index: IfIndex) {}

    /// Takes an IPv4 packet that came from an interface's link.
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
}
