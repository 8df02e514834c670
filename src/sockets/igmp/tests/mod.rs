//! Against a real kernel, in namespaces of their own: `here` is the interface in question, `there` its other end.

use super::*;
use crate::sockets::membership::Memberships;
use crate::sockets::test_wire::Wire;
use crate::sys::address::Address;
use crate::sys::mmsg::{self, Message};
use crate::sys::packet;
use crate::sys::test_namespace::{ip, ip_batch, run, run_async};
use crate::types::{IfIndex, LinkDrops, Membership, Transmit};
use crate::wire::checksum::Sum;
use crate::wire::ethernet;
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

mod listening;
mod sending;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 7, 7, 7);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const V2_REPORT: u8 = 0x16;
const QUERY: u8 = 0x11;
const IGMP: u8 = 2;

/// Both ends; the other end says nothing by itself.
fn veth() -> (IfIndex, IfIndex) {
    ip_batch(
        "link add here type veth peer name there\nlink set here addrgenmode none\n\
         link set there addrgenmode none\nlink set here up\nlink set there up\n",
    );
    (index_of("here"), index_of("there"))
}

fn index_of(name: &str) -> IfIndex {
    IfIndex(nix::net::if_::if_nametoindex(name).expect("it exists"))
}

/// An IPv4 packet with Router Alert, TTL 1 and an identification.
fn packet_of(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(24 + payload.len()).expect("short");
    let mut packet = vec![0x46, 0xc0];
    packet.extend(len.to_be_bytes());
    packet.extend([0x12, 0x34, 0, 0, 1, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend([0x94, 4, 0, 0]);
    let sum = !Sum::default().bytes(&packet).fold();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IGMPv2 message (RFC 2236 section 2).
fn message(kind: u8, tenths: u8, group: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![kind, tenths, 0, 0];
    message.extend(group.octets());
    let sum = !Sum::default().bytes(&message).fold();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn report(group: Ipv4Addr) -> Vec<u8> {
    packet_of(IGMP, PEER, group, &message(V2_REPORT, 0, group))
}

/// Sends frames as they are.
struct Frames(OwnedFd);

impl Frames {
    fn new() -> Self {
        Self(packet::frame_sender().expect("opens"))
    }

    /// `between` stands before the EtherType of IPv4: a tag.
    fn send(&self, out: IfIndex, to: [u8; 6], between: &[u8], packet: &[u8]) {
        let mut frame = to.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(between);
        frame.extend(ethernet::IPV4.to_be_bytes());
        frame.extend(packet);
        let parts = vec![IoSlice::new(&[0; 10]), IoSlice::new(&frame)];
        let message = Message { to: Address::link(out.0), control: [0; 8], control_len: 0, parts };
        assert_eq!(mmsg::send(self.0.as_raw_fd(), &[message]).expect("sends"), 1);
    }

    fn send_to_group(&self, out: IfIndex, group: Ipv4Addr, packet: &[u8]) {
        self.send(out, ethernet::of_group(group), &[], packet);
    }
}

impl Wire {
    fn igmp(&self, what: &str, kind: u8, to: Ipv4Addr) -> Vec<u8> {
        self.wait_for(what, |frame| {
            frame.get(14 + 9) == Some(&IGMP)
                && frame.get(14 + 24) == Some(&kind)
                && frame.get(14 + 16..14 + 20) == Some(&to.octets())
        })
    }
}

fn listening(on: &[IfIndex]) -> Listeners {
    let mut listeners = Listeners::new().expect("opens");
    let failed = listeners.set(&on.iter().copied().collect());
    assert!(failed.is_empty(), "{failed:?}");
    listeners
}

async fn next(listeners: &mut Listeners) -> (IfIndex, Vec<u8>) {
    let wait = tokio::time::timeout(Duration::from_secs(5), listeners.next());
    wait.await.expect("a packet comes")
}
