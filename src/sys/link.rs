//! Sockets for the packets of one link, whatever its link header is (AF_PACKET with SOCK_DGRAM, packet(7)), and a
//! raw socket for IGMP with an IP header of ours (raw(7)).

use super::address::Address;
use super::packet::{self, set_option};
use crate::types::IfIndex;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// PACKET_IGNORE_OUTGOING (if_packet.h): own transmissions are not looped back. Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// TC_PRIO_CONTROL (linux/pkt_sched.h): what keeps the network together goes first.
const PRIORITY_OF_CONTROL: libc::c_int = 7;

fn open(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket that receives nothing until [`packet::bind`], then packets without their link header, and none that
/// this host sends; it sends by [`send_link`]. Needs CAP_NET_RAW.
pub fn socket() -> io::Result<OwnedFd> {
    let socket = open(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?;
    set_option(socket.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1i32)?;
    prefer(&socket);
    Ok(socket)
}

/// A raw socket that receives nothing and sends IP packets with their header, and a copy of each to this host where
/// it is a member of the group. Needs CAP_NET_RAW.
///
/// The kernel writes the total length and the header checksum, and an identification where that is 0 and the
/// packet may be fragmented.
pub fn ip_sender() -> io::Result<OwnedFd> {
    let socket = open(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, &1i32)?;
    // Without it the kernel says "sent" of a packet that the transmit queue refused.
    set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, &1i32)?;
    prefer(&socket);
    Ok(socket)
}

fn prefer(socket: &OwnedFd) {
    // Needs CAP_NET_ADMIN, and matters to queueing disciplines with bands only.
    let _ = set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, &PRIORITY_OF_CONTROL);
}

/// Sends an IPv4 packet to a MAC address; where the link has no such header, without one.
///
/// # Errors
/// ENXIO without that interface, ENETDOWN where it is down, EMSGSIZE where the packet is longer than its MTU.
pub fn send_link(
    socket: BorrowedFd<'_>,
    index: IfIndex,
    mac: [u8; 6],
    bytes: &[u8],
) -> io::Result<()> {
    send(socket, Address::link_to(index.0, mac), bytes, &mut ())
}

/// Sends an IGMP packet with its IPv4 header by the socket of [`ip_sender`] on an interface.
///
/// # Errors
/// ENODEV without that interface, ENETUNREACH where it is down, EMSGSIZE where the packet is longer than its MTU,
/// ENOBUFS where its queue is full.
pub fn send_igmp(
    socket: BorrowedFd<'_>,
    index: IfIndex,
    group: Ipv4Addr,
    bytes: &[u8],
) -> io::Result<()> {
    let info = libc::in_pktinfo {
        ipi_ifindex: i32::try_from(index.0).map_err(io::Error::other)?,
        ipi_spec_dst: libc::in_addr { s_addr: 0 },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let to = || Address::v4(SocketAddrV4::new(group, 0));
    let mut control = Control {
        info: ControlMessage::new(libc::IP_PKTINFO, info),
        protocol: ControlMessage::new(IP_PROTOCOL, libc::IPPROTO_IGMP),
    };
    let sent =
        send(socket, to(), bytes, &mut control).or_else(|error| match error.raw_os_error() {
            // A kernel that does not know the second message.
            Some(libc::EINVAL) => send(socket, to(), bytes, &mut control.info),
            _ => Err(error),
        });
    sent.inspect_err(|_| packet::drain_errors(socket))
}

/// IP_PROTOCOL (linux/in.h): the protocol of a packet that brings its own header, Linux 6.4. Without it the kernel
/// gives itself no query for a group that it wants of certain sources only, unless ours is one of them.
const IP_PROTOCOL: libc::c_int = 52;

/// Control messages as cmsg(3) lays them out.
#[repr(C)]
struct Control {
    info: ControlMessage<libc::in_pktinfo>,
    protocol: ControlMessage<libc::c_int>,
}

#[repr(C, align(8))]
struct ControlMessage<T> {
    header: libc::cmsghdr,
    data: T,
}

impl<T> ControlMessage<T> {
    fn new(kind: libc::c_int, data: T) -> Self {
        let header = libc::cmsghdr {
            // Without the padding behind it.
            cmsg_len: std::mem::offset_of!(Self, data) + size_of::<T>(),
            cmsg_level: libc::IPPROTO_IP,
            cmsg_type: kind,
        };
        Self { header, data }
    }
}

/// `control` is control messages as cmsg(3) lays them out, or nothing.
fn send<C>(
    socket: BorrowedFd<'_>,
    (mut to, to_len): (Address, libc::socklen_t),
    bytes: &[u8],
    control: &mut C,
) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut to).cast();
    message.msg_namelen = to_len.min(size_of::<Address>() as libc::socklen_t);
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut *control).cast();
    message.msg_controllen = size_of_val(control);
    // SAFETY: every pointer in `message` is to memory of the stated length that lives until the end of this
    // function; the kernel only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes an interface's hardware let in frames to a MAC address, or ends that (PACKET_MR_MULTICAST, packet(7)); it
/// ends with the socket and with the interface too.
///
/// # Errors
/// ENODEV without that interface, EINVAL where it has no MAC addresses.
pub fn set_multicast_address(
    socket: BorrowedFd<'_>,
    index: IfIndex,
    mac: [u8; 6],
    on: bool,
) -> io::Result<()> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac);
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(index.0).map_err(io::Error::other)?,
        mr_type: libc::PACKET_MR_MULTICAST as libc::c_ushort,
        mr_alen: 6,
        mr_address: address,
    };
    let name = if on { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
    set_option(socket, libc::SOL_PACKET, name, &request)
}
