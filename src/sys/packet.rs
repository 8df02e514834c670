//! AF_PACKET and UDP socket options (packet(7), udp(7), ip(7)) that no crate wraps.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// PACKET_IGNORE_OUTGOING (if_packet.h): own transmissions are not looped back. Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// PACKET_FANOUT_DATA (if_packet.h).
const PACKET_FANOUT_DATA: libc::c_int = 22;
/// `SK_MEMINFO_DROPS` (sock_diag.h): packets dropped because the socket's buffer was full.
const SK_MEMINFO_DROPS: usize = 8;
/// `SK_MEMINFO_VARS`.
const SK_MEMINFO_VARS: usize = 9;

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets a socket option whose value is a plain C value.
pub fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes at `value`, which is borrowed for the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
}

/// Reads a socket option that consists of `N` unsigned ints; those the kernel does not write stay 0.
pub(super) fn get_uints<const N: usize>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<[u32; N]> {
    let mut value = [0u32; N];
    let mut len = size_of::<[u32; N]>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes at `value`, which has that size.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len)
    })?;
    Ok(value)
}

/// An AF_PACKET socket that receives nothing until [`bind`].
pub fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    check(fd)?;
    // SAFETY: the descriptor is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for a `virtio_net_hdr` before each frame, for auxiliary data, and not to see what is sent.
pub fn set_receive_options(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1i32)?;
    set_option(socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32)?;
    set_option(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1i32)
}

/// An AF_PACKET socket that receives nothing and sends frames behind a `virtio_net_hdr`
/// (PACKET_VNET_HDR, packet(7)). Needs CAP_NET_RAW.
pub fn frame_sender() -> io::Result<OwnedFd> {
    let socket = socket()?;
    set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1i32)?;
    Ok(socket)
}

/// A raw socket that receives nothing and sends IP packets with their header (IP_HDRINCL,
/// raw(7)), to broadcast addresses too, and no copy of multicast ones to this host. Needs
/// CAP_NET_RAW.
///
/// The kernel writes the total length and the header checksum, and an identification or source
/// where those are 0.
pub fn ip_sender() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(libc::AF_INET, kind, libc::IPPROTO_RAW) };
    check(fd)?;
    // SAFETY: the descriptor is new and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BROADCAST, &1i32)?;
    set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, &0i32)?;
    // Without it the kernel says "sent" of a packet that the transmit queue refused. ICMP errors
    // do not come: the kernel gives them to sockets of the packet's protocol.
    set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, &1i32)?;
    Ok(socket)
}

/// Makes an interface receive groups that nobody has joined, or ends that (`PACKET_MR_ALLMULTI`,
/// packet(7)); it ends with the socket too.
pub fn set_all_multicast(socket: BorrowedFd<'_>, ifindex: u32, on: bool) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
        mr_type: libc::PACKET_MR_ALLMULTI as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let name = if on { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
    set_option(socket, libc::SOL_PACKET, name, &request)
}

/// Binds to every protocol of one interface: frames come from now on.
pub fn bind(socket: BorrowedFd<'_>, ifindex: u32) -> io::Result<()> {
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    // SAFETY: the address is a sockaddr_ll of the stated length, borrowed for the call.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    })
}

/// PACKET_FANOUT_FLAG_IGNORE_OUTGOING (if_packet.h): own transmissions are not given to the group. Linux
/// 6.2; older kernels take no notice of it.
const FANOUT_IGNORE_OUTGOING: u32 = 0x4000;

/// Makes a bound socket a member of a fanout group, in which one member gets each frame, by the program that
/// [`set_fanout_program`] gives to the group (PACKET_FANOUT_CBPF, packet(7)). None = of a new group. Returns
/// the group's number, unique in the network namespace.
///
/// # Errors
/// EINVAL where the group does not exist with the same interface, ENOSPC where it is full.
pub fn join_fanout(socket: BorrowedFd<'_>, group: Option<u16>) -> io::Result<u16> {
    let mode = libc::PACKET_FANOUT_CBPF | FANOUT_IGNORE_OUTGOING;
    let request = match group {
        Some(group) => u32::from(group) | mode << 16,
        None => (mode | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16,
    };
    set_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &request)?;
    let [joined] = get_uints(socket, libc::SOL_PACKET, libc::PACKET_FANOUT)?;
    // The number is the low half.
    Ok((joined & 0xffff) as u16)
}

/// Gives the socket's fanout group the program whose result, modulo the number of members, is the member
/// that gets a frame (PACKET_FANOUT_DATA, Linux 4.3).
pub fn set_fanout_program(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let program = program_of(program)?;
    set_option(socket, libc::SOL_PACKET, PACKET_FANOUT_DATA, &program)
}

fn program_of(program: &[libc::sock_filter]) -> io::Result<libc::sock_fprog> {
    Ok(libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    })
}

/// The interface that an AF_PACKET socket is bound to; -1 after it has gone (packet_notifier,
/// af_packet.c).
pub fn bound_interface(socket: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes at `address`, which has that size.
    check(unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
    })?;
    Ok(address.sll_ifindex)
}

/// Throws away what is queued at a socket, without waiting; how many frames or datagrams it was.
pub fn discard_queued(socket: BorrowedFd<'_>) -> u64 {
    let mut byte = 0u8;
    let mut count = 0;
    loop {
        // SAFETY: the kernel writes at most one byte at `byte`.
        let got = unsafe {
            libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT)
        };
        let errno = io::Error::last_os_error().raw_os_error();
        match got {
            0.. => count += 1,
            // One frame that could not be described, and is gone.
            _ if errno == Some(libc::EINVAL) => count += 1,
            // The pending error of an interface that went down hides what is queued behind it.
            _ if errno == Some(libc::ENETDOWN) => {}
            _ => return count,
        }
    }
}

/// Attaches a classic BPF program (SO_ATTACH_FILTER); it replaces an older one at once.
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let program = program_of(program)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// The number of the group of sockets (PACKET_FANOUT) that one belongs to; none = to none.
pub fn fanout_group(socket: BorrowedFd<'_>) -> io::Result<Option<u16>> {
    let [joined] = get_uints(socket, libc::SOL_PACKET, libc::PACKET_FANOUT)?;
    // The number is the low half, the mode the high one. Mode 0 is one that we do not use.
    Ok((joined >> 16 != 0).then_some((joined & 0xffff) as u16))
}

/// Frames that the kernel queued or dropped, and those it dropped, since the last call
/// (PACKET_STATISTICS reads and clears; the first number contains the second).
pub fn take_statistics(socket: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let [packets, drops] = get_uints(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok((packets.into(), drops.into()))
}

/// Datagrams that the kernel dropped at a UDP socket whose buffer was full, since it was opened
/// (SO_MEMINFO, Linux 4.12); a 32-bit counter.
pub fn udp_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let vars: [u32; SK_MEMINFO_VARS] = get_uints(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(vars[SK_MEMINFO_DROPS])
}

/// Enlarges a buffer: past the sysctl's limit where we may (CAP_NET_ADMIN), else up to it.
pub fn set_receive_buffer(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes))
}

/// As [`set_receive_buffer`], for sending.
pub fn set_send_buffer(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes))
}

/// Takes one frame that is queued at a socket, without waiting; its length, which is more than that of `into`
/// where it did not fit.
///
/// # Errors
/// EAGAIN where none is queued, EINVAL for a frame that a `virtio_net_hdr` cannot describe, and which is gone.
pub fn receive_one(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    loop {
        // SAFETY: the kernel writes at most as many bytes as there are.
        let got =
            unsafe { libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), flags) };
        let Ok(len) = usize::try_from(got) else {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // The pending error of an interface that went down hides what is queued behind it; it is
                // told once.
                Some(libc::ENETDOWN | libc::EINTR) => continue,
                _ => return Err(error),
            }
        };
        return Ok(len);
    }
}

/// Reads and clears the pending error of a socket (SO_ERROR, socket(7)); 0 = there is none.
pub fn take_error(socket: BorrowedFd<'_>) -> i32 {
    let error = get_uints(socket, libc::SOL_SOCKET, libc::SO_ERROR);
    error.map_or(libc::EBADF, |[error]| i32::try_from(error).unwrap_or(libc::EIO))
}

/// Takes all messages out of a socket's error queue (IP_RECVERR) and clears its pending error.
pub fn drain_errors(socket: BorrowedFd<'_>) {
    let mut byte = 0u8;
    // Bounded: the queue is limited by the receive buffer, and new errors may come all the time.
    for _ in 0..1024 {
        // SAFETY: the kernel writes at most one byte at `byte`.
        let got = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                (&raw mut byte).cast(),
                1,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if got < 0 {
            break;
        }
    }
    // That it cannot be read says that the socket is gone.
    take_error(socket);
}
