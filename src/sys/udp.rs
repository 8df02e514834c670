//! UDP sockets: batched receiving with control messages, source-specific joins by interface index,
//! and what the kernel dropped at a socket.
//!
//! `nix::sys::socket::recvmmsg` keeps its headers between calls without giving the control buffers
//! their full length back: after a datagram with few control messages, the next one in that slot
//! loses the rest of its own. Hence a wrapper of our own. `socket2` joins a source by interface
//! address only, which an interface without an address does not have.
#![allow(unsafe_code)]

use crate::types::IfIndex;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams (or GRO trains) that one system call brings at most.
pub const BATCH: usize = 64;

/// Room for the largest datagram and the largest GRO train.
const SLOT_LEN: usize = 65_536;

/// Slots do not start at multiples of a page, or all headers would compete for one cache set.
const SLOT_STRIDE: usize = SLOT_LEN + 192;

/// Room for IP_PKTINFO (28 bytes), SCM_TIMESTAMPNS (32) and UDP_GRO (20), each aligned.
const CONTROL_LEN: usize = 128;

/// Control messages must be aligned as `cmsghdr`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

/// What the kernel said about one slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    length: usize,
    segment: Option<usize>,
    source: Option<SocketAddrV4>,
    destination: Option<Ipv4Addr>,
    interface: IfIndex,
    timestamp: Option<u64>,
    truncated: bool,
}

/// One received datagram, or with UDP_GRO a train of datagrams of one flow.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The UDP payload; of a train, all payloads one after the other.
    pub payload: &'a [u8],
    /// Length of each datagram of a train (the last one may be shorter); `None` where the payload
    /// is one datagram.
    pub segment: Option<usize>,
    /// Who sent it; 0.0.0.0:0 where the kernel did not say.
    pub source: SocketAddrV4,
    /// The destination address of the IP header, with `IP_PKTINFO` set on the socket.
    pub destination: Option<Ipv4Addr>,
    /// Where it came in, with `IP_PKTINFO` set on the socket, else 0.
    pub interface: IfIndex,
    /// When the kernel took it from the interface, `CLOCK_REALTIME` ns, with `SO_TIMESTAMPNS` set
    /// on the socket.
    pub timestamp: Option<u64>,
    /// The payload was longer than the buffer (64 KiB).
    pub truncated: bool,
}

impl<'a> Received<'a> {
    /// The datagrams of the train; of a single datagram, that one. An empty datagram is one too.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let segment = self.segment.filter(|segment| *segment > 0).unwrap_or(usize::MAX);
        let (first, rest) = self.payload.split_at(segment.min(self.payload.len()));
        std::iter::once(first).chain(rest.chunks(segment))
    }
}

/// Buffers for [`BATCH`] datagrams, used again and again.
pub struct ReceiveBatch {
    data: Box<[u8]>,
    control: Box<[Control]>,
    slots: Box<[Slot]>,
    filled: usize,
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiveBatch {
    /// Takes about 4 MiB of address space; pages that no datagram needs stay untouched.
    pub fn new() -> Self {
        Self {
            data: vec![0; SLOT_STRIDE * BATCH].into_boxed_slice(),
            control: vec![Control([0; CONTROL_LEN]); BATCH].into_boxed_slice(),
            slots: vec![Slot::default(); BATCH].into_boxed_slice(),
            filled: 0,
        }
    }

    /// Takes what waits at an IPv4 UDP socket, without blocking. Returns how many messages that
    /// were; [`received`](Self::received) shows them.
    ///
    /// # Errors
    /// `WouldBlock` where nothing waits; else what recvmmsg(2) says.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.filled = 0;
        // SAFETY: all-zero is a valid value of each of these C structs: null pointers with zero
        // lengths, numbers, byte arrays.
        let mut names: [libc::sockaddr_in; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let buffers = self.data.chunks_exact_mut(SLOT_STRIDE).zip(self.control.iter_mut());
        let targets = names.iter_mut().zip(vectors.iter_mut());
        for ((header, (data, control)), (name, vector)) in
            headers.iter_mut().zip(buffers).zip(targets)
        {
            vector.iov_base = data.as_mut_ptr().cast();
            vector.iov_len = SLOT_LEN;
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
        // SAFETY: each of the BATCH headers points to a name, a vector with its data slot of at
        // least SLOT_LEN bytes and a control buffer of CONTROL_LEN bytes, all of which live to the
        // end of this function and are borrowed by nobody else; the call does not keep them.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for ((slot, header), name) in self.slots.iter_mut().zip(&headers).zip(&names).take(count) {
            *slot = Slot {
                length: (header.msg_len as usize).min(SLOT_LEN),
                source: source_of(name, header.msg_hdr.msg_namelen),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                ..Slot::default()
            };
            // SAFETY: the kernel filled this header, its control pointer and length describe the
            // part of our live control buffer that it wrote.
            unsafe { read_control(&header.msg_hdr, slot) };
        }
        self.filled = count;
        Ok(count)
    }

    /// The messages of the last [`receive`](Self::receive).
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.slots.iter().zip(self.data.chunks_exact(SLOT_STRIDE));
        slots.take(self.filled).map(|(slot, data)| Received {
            payload: &data[..slot.length],
            segment: slot.segment,
            source: slot.source.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            destination: slot.destination,
            interface: slot.interface,
            timestamp: slot.timestamp,
            truncated: slot.truncated,
        })
    }
}

fn source_of(name: &libc::sockaddr_in, length: libc::socklen_t) -> Option<SocketAddrV4> {
    let complete = length as usize >= mem::size_of::<libc::sockaddr_in>();
    (complete && i32::from(name.sin_family) == libc::AF_INET).then(|| {
        let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
        SocketAddrV4::new(address, u16::from_be(name.sin_port))
    })
}

/// Reads the control messages of a received header into `slot`.
///
/// # Safety
/// `msg_control` and `msg_controllen` of `header` describe live memory, aligned as `cmsghdr`, that
/// holds control messages as the kernel writes them.
unsafe fn read_control(header: &libc::msghdr, slot: &mut Slot) {
    // SAFETY: the caller promises a valid control buffer; FIRSTHDR checks its length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: FIRSTHDR and NXTHDR return headers that lie inside the control buffer.
        let (level, kind, length) =
            unsafe { ((*message).cmsg_level, (*message).cmsg_type, (*message).cmsg_len as usize) };
        // SAFETY: CMSG_LEN only computes; CMSG_DATA only adds to a valid pointer.
        let (data, room) = unsafe {
            (libc::CMSG_DATA(message), length.saturating_sub(libc::CMSG_LEN(0) as usize))
        };
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if room >= mem::size_of::<libc::in_pktinfo>() => {
                // SAFETY: `room` bytes of this message follow, enough for the struct, of which
                // every bit pattern is valid; read_unaligned asks for no alignment.
                let info: libc::in_pktinfo =
                    unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                slot.destination = Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)));
                slot.interface = IfIndex(u32::try_from(info.ipi_ifindex).unwrap_or(0));
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
                if room >= mem::size_of::<libc::timespec>() =>
            {
                // SAFETY: as above.
                let time: libc::timespec =
                    unsafe { data.cast::<libc::timespec>().read_unaligned() };
                let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
                slot.timestamp = Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos));
            }
            (libc::SOL_UDP, libc::UDP_GRO) if room >= mem::size_of::<libc::c_int>() => {
                // SAFETY: as above.
                let segment: libc::c_int = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                slot.segment = usize::try_from(segment).ok();
            }
            _ => {}
        }
        // SAFETY: `message` is a header of this buffer; NXTHDR checks that the next one fits in.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
}

/// Joins `group` for datagrams of `source` only, on `interface` (0: the kernel chooses by its
/// routes). The membership ends with the socket.
///
/// # Errors
/// `ENOBUFS` at the limit of memberships of one socket (net.ipv4.igmp_max_memberships), `ENODEV`
/// for an interface that does not exist or where the routes name none, `EADDRINUSE` where this
/// socket has joined already.
pub fn join_source_group(
    socket: BorrowedFd<'_>,
    interface: IfIndex,
    group: Ipv4Addr,
    source: Ipv4Addr,
) -> io::Result<()> {
    // SAFETY: all-zero is a valid group_source_req: numbers and byte arrays only.
    let mut request: libc::group_source_req = unsafe { mem::zeroed() };
    request.gsr_interface = interface.0;
    request.gsr_group = storage(group);
    request.gsr_source = storage(source);
    // SAFETY: the pointer and the length describe `request`, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::MCAST_JOIN_SOURCE_GROUP,
            std::ptr::from_ref(&request).cast(),
            mem::size_of_val(&request) as libc::socklen_t,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn storage(address: Ipv4Addr) -> libc::sockaddr_storage {
    // SAFETY: all-zero is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: sockaddr_storage is at least as large as and aligned for every socket address.
    unsafe { std::ptr::from_mut(&mut storage).cast::<libc::sockaddr_in>().write(name) };
    storage
}

/// Datagrams that the kernel dropped at this socket since it exists: the receive buffer was full,
/// or the UDP checksum was wrong (`SK_MEMINFO_DROPS`). Wraps at 2^32.
///
/// # Errors
/// What getsockopt(2) says for `SO_MEMINFO` (Linux 4.12).
pub fn socket_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// Index into the answer (linux/sock_diag.h).
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0u32; 16];
    let mut length = mem::size_of_val(&values) as libc::socklen_t;
    // SAFETY: the pointer and the length describe `values`, the kernel writes at most that many
    // bytes; both outlive the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if answer == 0 { Ok(values[SK_MEMINFO_DROPS]) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn received(payload: &[u8], segment: Option<usize>) -> Received<'_> {
        Received {
            payload,
            segment,
            source: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1),
            destination: None,
            interface: IfIndex(0),
            timestamp: None,
            truncated: false,
        }
    }

    #[test]
    fn a_train_is_taken_apart_at_its_segment_size() {
        let parts = |payload, segment| received(payload, segment).datagrams().collect::<Vec<_>>();
        assert_eq!(parts(b"aabbc", Some(2)), [&b"aa"[..], b"bb", b"c"]);
        assert_eq!(parts(b"aabb", Some(2)), [&b"aa"[..], b"bb"]);
        assert_eq!(parts(b"aabb", None), [b"aabb"]);
        assert_eq!(parts(b"aabb", Some(0)), [b"aabb"]);
        assert_eq!(parts(b"", None), [b""]);
    }

    #[test]
    fn every_slot_has_its_whole_control_buffer_in_every_call() {
        use nix::sys::socket::{setsockopt, sockopt};
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind on loopback");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind on loopback");
        let to = receiver.local_addr().expect("address");
        let mut batch = ReceiveBatch::new();
        let empty = batch.receive(receiver.as_fd()).expect_err("nothing was sent");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        // First a call without any control message, then ones with two.
        sender.send_to(b"bare", to).expect("send");
        assert_eq!(batch.receive(receiver.as_fd()).expect("one waits"), 1);
        let bare = batch.received().next().expect("one came");
        assert_eq!((bare.payload, bare.destination, bare.timestamp), (&b"bare"[..], None, None));
        setsockopt(&receiver, sockopt::Ipv4PacketInfo, &true).expect("IP_PKTINFO");
        setsockopt(&receiver, sockopt::ReceiveTimestampns, &true).expect("SO_TIMESTAMPNS");
        for _ in 0..3 {
            sender.send_to(b"full", to).expect("send");
            assert_eq!(batch.receive(receiver.as_fd()).expect("one waits"), 1);
            let full = batch.received().next().expect("one came");
            assert_eq!(full.destination, Some(Ipv4Addr::LOCALHOST));
            assert_eq!(
                std::net::SocketAddr::V4(full.source),
                sender.local_addr().expect("address")
            );
            assert!(full.timestamp > Some(1_500_000_000_000_000_000), "{:?}", full.timestamp);
            assert!(full.interface.0 > 0 && !full.truncated);
        }
    }

    #[test]
    fn a_full_socket_buffer_is_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind on loopback");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind on loopback");
        assert_eq!(socket_drops(receiver.as_fd()).expect("SO_MEMINFO"), 0);
        let socket = socket2::SockRef::from(&receiver);
        socket.set_recv_buffer_size(4096).expect("SO_RCVBUF");
        let to = receiver.local_addr().expect("address");
        for _ in 0..50 {
            sender.send_to(&[0; 1000], to).expect("send");
        }
        let dropped = socket_drops(receiver.as_fd()).expect("SO_MEMINFO");
        let kept = ReceiveBatch::new().receive(receiver.as_fd()).expect("some wait");
        assert_eq!(kept + dropped as usize, 50);
    }

    #[test]
    fn a_source_is_joined_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind on loopback");
        let group = Ipv4Addr::new(232, 99, 0, 1);
        let join = |source: [u8; 4]| {
            join_source_group(socket.as_fd(), IfIndex(1), group, Ipv4Addr::from(source))
        };
        join([10, 0, 0, 1]).expect("the first join");
        join([10, 0, 0, 2]).expect("another source");
        assert_eq!(
            join([10, 0, 0, 1]).expect_err("again").raw_os_error(),
            Some(libc::EADDRNOTAVAIL)
        );
        let gone = join_source_group(socket.as_fd(), IfIndex(0x7fff_ffff), group, group);
        assert!(gone.is_err());
    }
}
