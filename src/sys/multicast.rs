//! Multicast membership by interface index (RFC 3678 section 5.1, protocol-independent). Unlike
//! `IP_ADD_MEMBERSHIP` with an address it works on interfaces that are down or have no address.
#![allow(unsafe_code)]

use crate::types::IfIndex;
use libc::{c_int, group_req, group_source_req, sockaddr_in, sockaddr_storage, socklen_t};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

/// Joins a group from every source (`MCAST_JOIN_GROUP`).
///
/// # Errors
/// ENOBUFS beyond `net.ipv4.igmp_max_memberships` on this socket, ENODEV without that interface,
/// EADDRINUSE where the socket has joined already, EINVAL where `group` is not multicast.
pub fn join_group(socket: &impl AsFd, index: IfIndex, group: Ipv4Addr) -> io::Result<()> {
    set_ip(socket, libc::MCAST_JOIN_GROUP, &group_request(index, group))
}

/// Leaves a group with all its sources (`MCAST_LEAVE_GROUP`), also after the interface is gone.
///
/// # Errors
/// EADDRNOTAVAIL where the socket has not joined.
pub fn leave_group(socket: &impl AsFd, index: IfIndex, group: Ipv4Addr) -> io::Result<()> {
    set_ip(socket, libc::MCAST_LEAVE_GROUP, &group_request(index, group))
}

/// Joins a group from one source, additional to other sources on the same socket
/// (`MCAST_JOIN_SOURCE_GROUP`).
///
/// # Errors
/// As [`join_group`]; ENOBUFS also beyond `net.ipv4.igmp_max_msf` sources, EINVAL where the
/// socket has joined the group from every source.
pub fn join_source(
    socket: &impl AsFd,
    index: IfIndex,
    group: Ipv4Addr,
    source: Ipv4Addr,
) -> io::Result<()> {
    set_ip(socket, libc::MCAST_JOIN_SOURCE_GROUP, &source_request(index, group, source))
}

/// Leaves one source (`MCAST_LEAVE_SOURCE_GROUP`); with its last source the group.
///
/// # Errors
/// EADDRNOTAVAIL where the socket has not joined, ENODEV after the interface is gone (then
/// [`leave_group`] works).
pub fn leave_source(
    socket: &impl AsFd,
    index: IfIndex,
    group: Ipv4Addr,
    source: Ipv4Addr,
) -> io::Result<()> {
    set_ip(socket, libc::MCAST_LEAVE_SOURCE_GROUP, &source_request(index, group, source))
}

/// Takes a source out of a group that was joined from every source (`MCAST_BLOCK_SOURCE`).
///
/// # Errors
/// EADDRNOTAVAIL where the source is out already, EINVAL where the socket has not joined the group, or
/// by sources; ENOBUFS beyond `net.ipv4.igmp_max_msf` sources.
pub fn block_source(
    socket: &impl AsFd,
    index: IfIndex,
    group: Ipv4Addr,
    source: Ipv4Addr,
) -> io::Result<()> {
    set_ip(socket, libc::MCAST_BLOCK_SOURCE, &source_request(index, group, source))
}

fn group_request(index: IfIndex, group: Ipv4Addr) -> group_req {
    group_req { gr_interface: index.0, gr_group: storage(group) }
}

fn source_request(index: IfIndex, group: Ipv4Addr, source: Ipv4Addr) -> group_source_req {
    group_source_req {
        gsr_interface: index.0,
        gsr_group: storage(group),
        gsr_source: storage(source),
    }
}

fn storage(address: Ipv4Addr) -> sockaddr_storage {
    const { assert!(size_of::<sockaddr_in>() <= size_of::<sockaddr_storage>()) };
    const { assert!(align_of::<sockaddr_in>() <= align_of::<sockaddr_storage>()) };
    // SAFETY: sockaddr_storage is integers and padding only; all zeros is a value of it.
    let mut storage: sockaddr_storage = unsafe { std::mem::zeroed() };
    let v4 = sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: `storage` is owned, large enough and aligned enough for a sockaddr_in (asserted
    // above), and every bit pattern of the written part is a valid sockaddr_storage.
    unsafe { std::ptr::from_mut(&mut storage).cast::<sockaddr_in>().write(v4) };
    storage
}

/// setsockopt at level IPPROTO_IP with a C structure as value.
fn set_ip<T>(socket: &impl AsFd, option: c_int, value: &T) -> io::Result<()> {
    let fd = socket.as_fd();
    // SAFETY: the descriptor is open while `fd` borrows it; the pointer and length describe
    // `value`, which the kernel only reads, and only during the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IP,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
