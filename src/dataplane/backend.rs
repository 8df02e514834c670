//! What a worker needs of the kernel, whichever way it is had.

use super::ancillary::SendOptions;
use super::decode::FrameMeta;
use super::link::Ingress;
use crate::wire::ethernet::vlan_id;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// Receive buffers hold the largest frame there is (64 KiB of IP packet and a link header) after
/// what the kernel writes before it.
pub const BUFFER_LEN: usize = 65_536 + 512;
/// Sends on their way at once.
pub const SENDS: usize = 1024;
/// Pieces of all of them together.
pub const PIECES: usize = 16_384;
/// Buffers of [`BUFFER_LEN`] bytes that nothing is received into; memory that is not touched before
/// it is used.
pub const SPARES: usize = 64;
/// Bytes of a send before its payload at most: virtio header, Ethernet header, the longest IP
/// header, and the start of a transport header.
pub const HEADER_LEN: usize = 10 + 14 + 60 + 20;

/// One received frame. Its bytes stay valid until [`Backend::recycle`].
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The backend's handle of the port.
    pub port: PortHandle,
    /// Which buffer.
    pub buffer: u32,
    /// Where the frame (or the UDP payload) starts in it.
    pub start: u32,
    /// Its length in bytes.
    pub len: u32,
    /// What is known beside the bytes.
    pub about: About,
}

impl Frame {
    /// Its VLAN, 1 to 4094; 0 = untagged, or a priority tag (IEEE 802.1Q section 6.9).
    #[inline]
    pub fn vlan(&self) -> u16 {
        match self.about {
            About::Packet(meta) => meta.vlan.unwrap_or(0),
            About::Udp { .. } => 0,
        }
    }
}

/// What the kernel says about a received frame.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// A frame from AF_PACKET.
    Packet(FrameMeta),
    /// A payload from a UDP socket, whose headers the kernel has checked and taken off.
    Udp {
        /// Where it comes from.
        source: SocketAddrV4,
        /// TTL as it arrived.
        ttl: u8,
        /// TOS as it arrived.
        tos: u8,
        /// Bytes of each datagram but the last where GRO joined several; 0 = one datagram.
        segment: u16,
        /// It was longer than the buffer.
        truncated: bool,
    },
}

/// A port's place in the worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortHandle(pub u32);

/// What happened to a port beside frames.
#[derive(Debug)]
pub enum PortEvent {
    /// A `close` has come to its end: nothing of the port is in the kernel's hands. The socket comes
    /// back, with what is still queued in it.
    Closed(PortHandle, OwnedFd),
    /// Receiving failed for good; the port is as good as closed.
    Failed(PortHandle, std::io::Error),
    /// The kernel could not hand over one frame for this reason; receiving goes on.
    Refused(PortHandle, i32),
    /// The kernel had room for the beginning of one frame only, and dropped it; receiving goes on.
    NoRoom(PortHandle),
}

/// Where a send goes, by the kind of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTo {
    /// From a UDP socket.
    Udp {
        /// Address and port.
        to: SocketAddrV4,
        /// Interface, source, TTL and TOS.
        options: SendOptions,
    },
    /// A frame with a virtio header, from an AF_PACKET socket.
    Link {
        /// The interface.
        oif: u32,
    },
    /// An IP packet, from a raw socket with IP_HDRINCL.
    Raw {
        /// What the kernel routes by.
        to: Ipv4Addr,
        /// The interface; 0 = routing decides.
        oif: u32,
    },
}

/// Bytes that stand before the payload of a send.
#[derive(Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_LEN],
    len: u8,
}

impl Header {
    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; HEADER_LEN], len: 0 };

    /// Adds bytes; those beyond [`HEADER_LEN`] would be lost, and no caller has so many.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        let end = start + bytes.len();
        debug_assert!(end <= HEADER_LEN);
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(bytes);
            // At most HEADER_LEN.
            self.len = end as u8;
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Default for Header {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().fmt(f)
    }
}

/// Bytes in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The buffer.
    pub buffer: u32,
    /// Where they start in it.
    pub start: u32,
    /// How many they are.
    pub len: u32,
}

/// One message to send.
#[derive(Clone, Copy, Debug)]
pub struct SendRequest {
    /// The socket; must stay open until the next `flush` has returned.
    pub socket: RawFd,
    /// Where to.
    pub to: SendTo,
    /// From a UDP socket: payload bytes of each datagram but the last, where the message is cut into
    /// several (UDP_SEGMENT, udp(7)); 0 = it is one datagram.
    pub segment: u16,
    /// Given back with the result.
    pub tag: u32,
}

/// What became of a send: the tag, and the bytes that the kernel took or the error number.
pub type SendResult = (u32, Result<u32, i32>);

/// Takes frames from ports and hands datagrams to sockets.
pub trait Backend {
    /// Begins to read a port.
    fn open(&mut self, socket: OwnedFd, ingress: Ingress) -> std::io::Result<PortHandle>;

    /// Stops reading a port; [`PortEvent::Closed`] follows, and only then is the handle free for
    /// another port.
    fn close(&mut self, port: PortHandle);

    /// The socket of an open port.
    fn socket(&self, port: PortHandle) -> Option<BorrowedFd<'_>>;

    /// Waits for frames, port events or the wake-up, and adds what is there to `frames` and
    /// `events`. Returns whether the wake-up was given.
    fn receive(
        &mut self,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) -> std::io::Result<bool>;

    /// From now on, `receive` asks for so long again and again before it sleeps. It takes a whole core.
    fn set_busy_poll(&mut self, how_long: Duration);

    /// The bytes of a buffer.
    fn buffer(&self, buffer: u32) -> &[u8];

    /// The number of the first of [`SPARES`] buffers that nothing is received into.
    fn first_spare(&self) -> u32;

    /// The bytes of a spare buffer, to be written; empty where the number is not one. Sends that
    /// are queued from it would send what is written.
    fn spare(&mut self, spare: u32) -> &mut [u8];

    /// Fills in the internet checksum that was left to the device: the sum over `len` bytes at
    /// `start` of a buffer goes to `at` among them, where the pseudo header's sum stands. False where
    /// they do not lie there.
    fn complete_checksum(&mut self, buffer: u32, start: u32, len: u32, at: u32) -> bool;

    /// Copies `len` bytes at `start` of a buffer to `at` of a spare one. False where either does
    /// not have so many.
    fn copy_to_spare(&mut self, from: (u32, u32, u32), spare: u32, at: u32) -> bool;

    /// True where one more send of so many pieces can be queued before the next flush.
    fn has_room(&self, pieces: usize) -> bool;

    /// Queues a send of the header and, after it, the pieces one after the other; the header is
    /// copied, the pieces are not. False where it was not queued and no result will come: there is no
    /// room, or a piece does not lie in a buffer of ours.
    fn send(&mut self, request: &SendRequest, header: &Header, pieces: &[Piece]) -> bool;

    /// Hands all queued sends to the kernel, in order, without blocking, and adds their results.
    fn flush(&mut self, results: &mut Vec<SendResult>) -> std::io::Result<()>;

    /// Gives the buffers of frames back; their bytes are gone.
    fn recycle(&mut self, frames: &[Frame]);

    /// Times that all buffers were in use, and completions that belonged to nothing.
    fn trouble(&self) -> (u64, u64);
}

/// Reads the control data and name that came with a UDP payload.
pub fn about_udp(name: &[u8], control: &[u8], truncated: bool) -> Option<About> {
    // struct sockaddr_in (in.h): family, port and address in network order.
    let port = u16::from_be_bytes(name.get(2..4)?.try_into().ok()?);
    let address: [u8; 4] = name.get(4..8)?.try_into().ok()?;
    let (mut ttl, mut tos, mut segment) = (0u8, 0u8, 0u16);
    for (level, kind, data) in super::ancillary::messages(control) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_TTL) => {
                ttl = super::ancillary::int(data).and_then(|n| n.try_into().ok()).unwrap_or(0);
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => tos = data.first().copied().unwrap_or(0),
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = super::ancillary::int(data);
                segment = size.and_then(|n| n.try_into().ok()).unwrap_or(0);
            }
            _ => {}
        }
    }
    let source = SocketAddrV4::new(Ipv4Addr::from(address), port);
    Some(About::Udp { source, ttl, tos, segment, truncated })
}

/// Reads the auxiliary data of an AF_PACKET frame (`struct tpacket_auxdata`, if_packet.h): the
/// VLAN tag that the kernel took out of the frame.
pub fn vlan_of(control: &[u8]) -> Option<u16> {
    const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
    super::ancillary::messages(control)
        .find(|&(level, kind, _)| level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA)
        .and_then(|(_, _, data)| {
            let status = u32::from_ne_bytes(data.get(..4)?.try_into().ok()?);
            let tci = u16::from_ne_bytes(data.get(16..18)?.try_into().ok()?);
            (status & TP_STATUS_VLAN_VALID != 0).then_some(vlan_id(tci))
        })
}

#[cfg(test)]
#[path = "backend_network_tests.rs"]
mod network_tests;
#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
