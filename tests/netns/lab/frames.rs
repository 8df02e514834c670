//! Ethernet frames by hand, right or wrong in one place, and a socket that sends them as they are.

use super::Namespace;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;
/// Of every UDP frame that says no other.
const SOURCE_PORT: u16 = 40_000;
/// RFC 791 section 3.1.
pub(crate) const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// Header lengths without tags and options.
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;

/// An IPv4 packet in an Ethernet frame. Every mistake is made on purpose, by a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    ip: usize,
    ip_header: usize,
}

impl Frame {
    /// A correct frame to a multicast group, a broadcast or unicast address, TTL 1, with both
    /// checksums.
    pub(crate) fn udp(source: Ipv4Addr, group: Ipv4Addr, port: u16, payload: &[u8]) -> Self {
        let mut udp = Vec::with_capacity(UDP + payload.len());
        udp.extend(SOURCE_PORT.to_be_bytes());
        udp.extend(port.to_be_bytes());
        udp.extend(length(UDP + payload.len()));
        udp.extend([0, 0]);
        udp.extend(payload);
        let mut frame = Self::packet(source, group, PROTOCOL_UDP, &udp);
        frame.seal_udp();
        frame
    }

    /// The same with IP options, which make the IP header longer (a multiple of 4 bytes).
    pub(crate) fn with_options(
        source: Ipv4Addr,
        group: Ipv4Addr,
        port: u16,
        options: &[u8],
    ) -> Self {
        Self::udp(source, group, port, b"options").options(options)
    }

    /// A packet of any protocol; `payload` is everything behind the IP header.
    pub(crate) fn packet(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        payload: &[u8],
    ) -> Self {
        let mut bytes = link_address(destination).to_vec();
        bytes.extend([0x02, 0, 0, 0, 0, 0x99]);
        bytes.extend(ETHERTYPE_IPV4);
        bytes.extend([0x45, 0]);
        bytes.extend(length(IPV4 + payload.len()));
        bytes.extend([0, 1, 0, 0, 1, protocol, 0, 0]);
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        bytes.extend(payload);
        let mut frame = Self { bytes, ip: ETHERNET, ip_header: IPV4 };
        frame.seal();
        frame
    }

    /// A captured frame as it was on the wire; none where it is not IPv4.
    pub(crate) fn captured(bytes: &[u8]) -> Option<Self> {
        let ip = match bytes.get(12..14)? {
            [0x81, 0x00] => ETHERNET + 4,
            _ => ETHERNET,
        };
        if bytes.get(ip - 2..ip)? != ETHERTYPE_IPV4 {
            return None;
        }
        let ip_header = usize::from(bytes.get(ip)? & 15) * 4;
        let total = usize::from(u16::from_be_bytes([*bytes.get(ip + 2)?, *bytes.get(ip + 3)?]));
        // Short frames are padded to 60 bytes on a real wire.
        let end = bytes.len().min(ip + total);
        Some(Self { bytes: bytes[..end].to_vec(), ip, ip_header })
    }

    /// With IP options behind the header.
    pub(crate) fn options(mut self, options: &[u8]) -> Self {
        let at = self.ip + self.ip_header;
        self.bytes.splice(at..at, options.iter().copied());
        self.ip_header += options.len();
        let words = u8::try_from(self.ip_header / 4).expect("at most 60 bytes");
        let total = length(self.bytes.len() - self.ip);
        self.ip(0, &[0x40 | words]).ip(2, &total)
    }

    /// With this TTL.
    pub(crate) fn ttl(self, ttl: u8) -> Self {
        self.ip(8, &[ttl])
    }

    /// With this DSCP and ECN.
    pub(crate) fn tos(self, tos: u8) -> Self {
        self.ip(1, &[tos])
    }

    /// With this identification.
    pub(crate) fn id(self, id: u16) -> Self {
        self.ip(4, &id.to_be_bytes())
    }

    /// With these flags and this fragment offset (RFC 791 section 3.1).
    pub(crate) fn fragment_field(self, field: u16) -> Self {
        self.ip(6, &field.to_be_bytes())
    }

    /// From this address.
    pub(crate) fn source(mut self, source: Ipv4Addr) -> Self {
        self.put(self.ip + 12, &source.octets());
        self.sealed()
    }

    /// To this address, and to the MAC address that belongs to it where it is one of many.
    pub(crate) fn destination(mut self, destination: Ipv4Addr) -> Self {
        self.put(self.ip + 16, &destination.octets());
        self.put(0, &link_address(destination));
        self.sealed()
    }

    /// From this UDP port.
    pub(crate) fn source_port(mut self, port: u16) -> Self {
        self.put(self.ip + self.ip_header, &port.to_be_bytes());
        self.sealed()
    }

    /// To this UDP port.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.put(self.ip + self.ip_header + 2, &port.to_be_bytes());
        self.sealed()
    }

    /// From this MAC address.
    pub(crate) fn source_mac(mut self, mac: [u8; 6]) -> Self {
        self.put(6, &mac);
        self
    }

    /// To this MAC address.
    pub(crate) fn target_mac(mut self, mac: [u8; 6]) -> Self {
        self.put(0, &mac);
        self
    }

    /// Without UDP checksum (RFC 768: 0).
    pub(crate) fn no_checksum(self) -> Self {
        self.udp_bytes(6, &[0, 0])
    }

    /// In fragments that fit an MTU; one where the whole fits.
    pub(crate) fn fragments(&self, mtu: usize) -> Vec<Self> {
        let payload = self.ip_payload();
        let room = (mtu - self.ip_header) / 8 * 8;
        let count = payload.len().div_ceil(room).max(1);
        let header = &self.bytes[..self.ip + self.ip_header];
        (0..count)
            .map(|n| {
                let part = &payload[n * room..payload.len().min((n + 1) * room)];
                let bytes = [header, part].concat();
                let total = length(self.ip_header + part.len());
                let more = if n + 1 < count { MORE_FRAGMENTS } else { 0 };
                let offset = u16::try_from(n * room / 8).expect("at most 64 KiB");
                Self { bytes, ..*self }.ip(2, &total).fragment_field(more | offset)
            })
            .collect()
    }

    /// The whole that these fragments are parts of, as if it had never been fragmented.
    ///
    /// # Panics
    /// Where they do not fit together.
    pub(crate) fn whole(mut parts: Vec<Self>) -> Self {
        parts.sort_by_key(|part| part.fragment() & OFFSET);
        let mut bytes = parts[0].bytes[..parts[0].ip + parts[0].ip_header].to_vec();
        let mut payload = Vec::new();
        let count = parts.len();
        for (number, part) in parts.iter().enumerate() {
            let at = usize::from(part.fragment() & OFFSET) * 8;
            assert_eq!(at, payload.len(), "a gap or an overlap before part {number}: {parts:?}");
            let more = part.fragment() & MORE_FRAGMENTS != 0;
            assert_eq!(more, number + 1 < count, "\"more fragments\" in part {number} of {count}");
            payload.extend(part.ip_payload());
        }
        bytes.extend(&payload);
        let first = &parts[0];
        let total = length(first.ip_header + payload.len());
        let field = first.fragment() & DONT_FRAGMENT;
        Self { bytes, ip: first.ip, ip_header: first.ip_header }.ip(2, &total).fragment_field(field)
    }

    /// The whole frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The IP header with its options.
    pub(crate) fn ip_header(&self) -> &[u8] {
        &self.bytes[self.ip..self.ip + self.ip_header]
    }

    /// Everything behind the IP header.
    pub(crate) fn ip_payload(&self) -> &[u8] {
        &self.bytes[self.ip + self.ip_header..]
    }

    /// Who sent it.
    pub(crate) fn from(&self) -> Ipv4Addr {
        let header = self.ip_header();
        Ipv4Addr::new(header[12], header[13], header[14], header[15])
    }

    /// The IP destination.
    pub(crate) fn to(&self) -> Ipv4Addr {
        let octets: [u8; 4] = self.ip_header()[16..20].try_into().expect("4 bytes");
        octets.into()
    }

    /// The IP protocol.
    pub(crate) fn protocol(&self) -> u8 {
        self.ip_header()[9]
    }

    /// UDP source and destination port; none of other protocols, nor of fragments after the first.
    pub(crate) fn udp_ports(&self) -> Option<(u16, u16)> {
        let is_udp = self.protocol() == PROTOCOL_UDP && self.fragment() & OFFSET == 0;
        match self.ip_payload() {
            [a, b, c, d, ..] if is_udp => {
                Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
            }
            _ => None,
        }
    }

    /// The identification.
    pub(crate) fn identification(&self) -> u16 {
        u16::from_be_bytes([self.ip_header()[4], self.ip_header()[5]])
    }

    /// Flags and fragment offset.
    pub(crate) fn fragment(&self) -> u16 {
        u16::from_be_bytes([self.ip_header()[6], self.ip_header()[7]])
    }

    /// True for the first, a middle or the last part of a datagram.
    pub(crate) fn is_fragment(&self) -> bool {
        self.fragment() & !DONT_FRAGMENT != 0
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
    pub(crate) fn tagged(mut self, tag: u16) -> Self {
        let [high, low] = tag.to_be_bytes();
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

    /// Both checksums made right again; a UDP checksum of 0 stays.
    fn sealed(mut self) -> Self {
        self.seal();
        let at = self.ip + self.ip_header + 6;
        if self.protocol() == PROTOCOL_UDP && self.bytes[at..at + 2] != [0, 0] {
            self.seal_udp();
        }
        self
    }

    fn seal_udp(&mut self) {
        let udp = self.ip + self.ip_header;
        self.put(udp + 6, &[0, 0]);
        let mut pseudo = self.bytes[self.ip + 12..self.ip + 20].to_vec();
        pseudo.extend([0, PROTOCOL_UDP]);
        pseudo.extend(length(self.bytes.len() - udp));
        pseudo.extend(&self.bytes[udp..]);
        // RFC 768: a checksum of 0 is sent as all ones, because 0 means none.
        let sum = match checksum(&pseudo) {
            0 => 0xffff,
            sum => sum,
        };
        self.put(udp + 6, &sum.to_be_bytes());
    }

    fn seal(&mut self) {
        let header = self.ip..self.ip + self.ip_header;
        self.put(self.ip + 10, &[0, 0]);
        let sum = checksum(&self.bytes[header]).to_be_bytes();
        self.put(self.ip + 10, &sum);
    }
}

/// The MAC address that belongs to a destination of many (RFC 1112 section 6.4: the group's low 23
/// bits behind 01:00:5e); for one host it has to be given.
fn link_address(destination: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = destination.octets();
    match a {
        224..=239 => [0x01, 0x00, 0x5e, b & 0x7f, c, d],
        _ => [0xff; 6],
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a packet of at most 64 KiB").to_be_bytes()
}

/// RFC 1071, written apart from the product's own so that both cannot share a mistake.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
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
        let interface = link_of(namespace, interface);
        let socket = namespace.within(|| {
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
                .expect("a packet socket as root")
        });
        Self { socket, interface }
    }

    /// Sends one frame.
    pub(crate) fn send(&self, frame: &Frame) {
        let fd = self.socket.as_raw_fd();
        let sent = sendto(fd, &frame.bytes, &self.interface, MsgFlags::empty());
        assert_eq!(sent, Ok(frame.bytes.len()), "a frame of {} bytes", frame.bytes.len());
    }
}

/// The link address of an interface, which names it for packet sockets.
pub(super) fn link_of(namespace: &Namespace, interface: &str) -> LinkAddr {
    let link = namespace.within(|| {
        nix::ifaddrs::getifaddrs()
            .expect("the list of interfaces")
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .unwrap_or_else(|| panic!("no interface {interface}"))
    });
    assert_eq!(link.family(), Some(AddressFamily::Packet));
    link
}
