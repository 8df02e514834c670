//! Sends what IGMP of ours has to say.

use crate::sys::link;
use crate::types::Transmit;
use crate::wire::ethernet;
use crate::wire::ipv4::Ipv4;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Two sockets for all interfaces. What has a source goes by the kernel's IP, which gives its own IGMP a copy: it
/// answers our queries with the memberships of this host, and switches that listen to reports learn of them. What
/// has none goes to the link, since the kernel's IP would fill in an address.
#[derive(Debug)]
pub struct Sender {
    ip: OwnedFd,
    link: OwnedFd,
}

impl Sender {
    /// Opens them. Needs CAP_NET_RAW.
    pub fn new() -> io::Result<Self> {
        let explain = |error: io::Error| {
            let text = format!("opening a socket to send IGMP: {error}; mcrd needs CAP_NET_RAW");
            io::Error::new(error.kind(), text)
        };
        let ip = link::ip_sender().map_err(explain)?;
        Ok(Self { ip, link: link::socket().map_err(explain)? })
    }

    /// Sends one packet as it is; only total length, header checksum and, where it is 0 and the packet may be
    /// fragmented, the identification are the kernel's.
    ///
    /// # Errors
    /// InvalidInput for what is no IPv4 packet of its own length to a group; else what the kernel says, such as
    /// ENXIO or ENODEV where the interface is gone, and ENETDOWN or ENETUNREACH where it is down.
    pub fn send(&self, transmit: &Transmit) -> io::Result<()> {
        let Transmit { index, packet } = transmit;
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let Ok(parsed) = Ipv4::parse(packet) else { return refuse("not an IPv4 packet") };
        if parsed.header().len() + parsed.payload().len() != packet.len() {
            return refuse("the packet's total length is not its own");
        }
        let group = parsed.destination();
        if !group.is_multicast() {
            return refuse("IGMP is sent to groups only");
        }
        if parsed.source().is_unspecified() {
            link::send_link(self.link.as_fd(), *index, ethernet::of_group(group), packet)
        } else {
            link::send_igmp(self.ip.as_fd(), *index, group, packet)
        }
    }
}
