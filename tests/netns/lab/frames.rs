//! Ethernet frames by hand, right or wrong in one place, and a socket that sends them as they are.

use super::Namespace;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;
/// Ethernet and IPv4 header lengths without tags and options.
const ETHERNET: usize = 14;
const IPV4: usize = 20;

/// A UDP datagram in an Ethernet frame. Every mistake is made on purpose, by a method.
#[derive(Clone)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    ip: usize,
    ip_header: usize,
}

impl Frame {
    /// A correct frame to a multicast group, TTL 1, with both checksums.
    pub(crate) fn udp(source: Ipv4Addr, group: Ipv4Addr, port: u16, payload: &[u8]) -> Self {
        Self::build(source, group, port, payload, &[])
    }

    /// The same with IP options, which make the IP header longer (a multiple of 4 bytes).
    pub(crate) fn with_options(
        source: Ipv4Addr,
        group: Ipv4Addr,
        port: u16,
        options: &[u8],
    ) -> Self {
        Self::build(source, group, port, b"options", options)
    }

    fn build(source: Ipv4Addr, group: Ipv4Addr, port: u16, payload: &[u8], options: &[u8]) -> Self {
        let ip_header = IPV4 + options.len();
        let udp_length = 8 + payload.len();
        let [_, b, c, d] = group.octets();
        // RFC 1112 section 6.4: the group's low 23 bits behind 01:00:5e.
        let mut bytes = vec![0x01, 0x00, 0x5e, b & 0x7f, c, d, 0x02, 0, 0, 0, 0, 0x99];
        bytes.extend(ETHERTYPE_IPV4);
        bytes.push(0x40 | u8::try_from(ip_header / 4).expect("at most 60 bytes"));
        bytes.push(0);
        bytes.extend(length(ip_header + udp_length));
        bytes.extend([0, 1, 0, 0, 1, PROTOCOL_UDP, 0, 0]);
        bytes.extend(source.octets());
        bytes.extend(group.octets());
        bytes.extend(options);
        bytes.extend(40_000_u16.to_be_bytes());
        bytes.extend(port.to_be_bytes());
        bytes.extend(length(udp_length));
        bytes.extend([0, 0]);
        bytes.extend(payload);
        let mut frame = Self { bytes, ip: ETHERNET, ip_header };
        let udp = frame.ip + ip_header;
        let mut pseudo = frame.bytes[frame.ip + 12..frame.ip + 20].to_vec();
        pseudo.extend([0, PROTOCOL_UDP]);
        pseudo.extend(length(udp_length));
        pseudo.extend(&frame.bytes[udp..]);
        let sum = checksum(&pseudo).to_be_bytes();
        frame.bytes[udp + 6..udp + 8].copy_from_slice(&sum);
        frame.seal();
        frame
    }

    /// Overwrites bytes of the IP header and makes its checksum right again.
    pub(crate) fn ip(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.put(self.ip + offset, bytes);
        self.seal();
        self
    }

    /// Overwrites bytes of the IP header and leaves its checksum wrong.
    pub(crate) fn ip_unsealed(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.put(self.ip + offset, bytes);
        self
    }

    /// Overwrites bytes from the UDP header on and leaves its checksum as it is.
    pub(crate) fn udp_bytes(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.put(self.ip + self.ip_header + offset, bytes);
        self
    }

    /// Inserts an 802.1Q tag.
    pub(crate) fn tagged(mut self, vlan: u16) -> Self {
        let [high, low] = vlan.to_be_bytes();
        self.bytes.splice(12..12, [0x81, 0x00, high, low]);
        self.ip += 4;
        self
    }

    /// Cuts the frame off.
    pub(crate) fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn seal(&mut self) {
        let header = self.ip..self.ip + self.ip_header;
        self.put(self.ip + 10, &[0, 0]);
        let sum = checksum(&self.bytes[header]).to_be_bytes();
        self.put(self.ip + 10, &sum);
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a packet of at most 64 KiB").to_be_bytes()
}

/// RFC 1071, written apart from the product's own so that both cannot share a mistake.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// A packet socket that sends frames as they are.
pub(crate) struct Injector {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Injector {
    /// Sends from this interface of this namespace.
    pub(crate) fn new(namespace: &Namespace, interface: &str) -> Self {
        namespace.within(|| {
            // The interface's own link address, as listed, names it for sendto.
            let interface = nix::ifaddrs::getifaddrs()
                .expect("the list of interfaces")
                .filter(|entry| entry.interface_name == interface)
                .find_map(|entry| entry.address?.as_link_addr().copied())
                .unwrap_or_else(|| panic!("no interface {interface}"));
            assert_eq!(interface.family(), Some(AddressFamily::Packet));
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
                .expect("a packet socket as root");
            Self { socket, interface }
        })
    }

    /// Sends one frame.
    pub(crate) fn send(&self, frame: &Frame) {
        let fd = self.socket.as_raw_fd();
        let sent = sendto(fd, &frame.bytes, &self.interface, MsgFlags::empty());
        assert_eq!(sent, Ok(frame.bytes.len()), "a frame of {} bytes", frame.bytes.len());
    }
}
