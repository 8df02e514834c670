//! Input sockets. Control opens them and keeps a duplicate for the filter; the worker reads them
//! and what the kernel counts at them.

use super::filter;
use crate::sys::{packet, packet_ring};
use crate::types::{IfIndex, InputFilter, LinkLayer};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What may wait in the kernel for the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes at the socket: a limit, not an allocation.
    pub bytes: u32,
    /// Half as many are a ring of shared memory that a packet socket's frames come in. They are allocated. A
    /// socket that cannot have it does without.
    pub ring: bool,
}

/// An input socket in control's hands.
#[derive(Debug)]
pub struct InputSocket {
    socket: OwnedFd,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Packet {
        iif: IfIndex,
        link_layer: LinkLayer,
        /// One of several that divide the interface's frames.
        shard: bool,
        /// Frames come in a ring of shared memory.
        ring: bool,
        /// True while the interface receives groups that nobody joined, for us.
        all_multicast: bool,
    },
    Udp,
}

/// Keeps interfaces as they are while ports are taken over from another control process. One serves all
/// of them: to close a packet socket takes the kernel 10 ms, in which it waits for all CPUs.
#[derive(Debug, Default)]
pub struct Bridge(Option<OwnedFd>);

impl Bridge {
    fn socket(&mut self) -> io::Result<BorrowedFd<'_>> {
        let socket = match self.0.take() {
            Some(socket) => socket,
            None => packet::socket()?,
        };
        let socket: &OwnedFd = self.0.insert(socket);
        Ok(socket.as_fd())
    }
}

impl InputSocket {
    /// An AF_PACKET socket that receives on one interface what the filter lets in. Needs CAP_NET_RAW.
    pub fn packet(
        iif: IfIndex,
        link_layer: LinkLayer,
        filter: &InputFilter,
        room: Room,
    ) -> io::Result<Self> {
        let mut input = Self::unbound(iif, link_layer, room, false)?;
        // Before the socket is bound, so that nothing else ever gets in.
        input.set_filter(filter)?;
        packet::bind(input.socket.as_fd(), iif.0)?;
        Ok(input)
    }

    /// A socket of the fanout group, of a new one where there is none, that lets nothing in; and the group.
    pub(super) fn shard(
        iif: IfIndex,
        link_layer: LinkLayer,
        room: Room,
        group: Option<u16>,
    ) -> io::Result<(Self, u16)> {
        let input = Self::unbound(iif, link_layer, room, true)?;
        packet::attach_filter(input.socket.as_fd(), &filter::nothing())?;
        // Only a bound socket can become a member: nothing must get in before.
        packet::bind(input.socket.as_fd(), iif.0)?;
        let joined = packet::join_fanout(input.socket.as_fd(), group)?;
        if group.is_none() {
            packet::set_fanout_program(input.socket.as_fd(), &filter::by_addresses())?;
        }
        Ok((input, joined))
    }

    fn unbound(iif: IfIndex, link_layer: LinkLayer, room: Room, shard: bool) -> io::Result<Self> {
        let socket = packet::socket().map_err(|error| {
            let cause = match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => "mcrd needs CAP_NET_RAW: run it as root",
                _ => "cannot open an AF_PACKET socket",
            };
            io::Error::new(error.kind(), format!("{cause} ({error})"))
        })?;
        packet::set_receive_options(socket.as_fd())?;
        packet::set_receive_buffer(socket.as_fd(), room.bytes)?;
        if room.ring && packet_ring::give_ring(socket.as_fd(), room.bytes / 2).is_err() {
            // A new socket: this one is half made.
            return Self::unbound(iif, link_layer, Room { ring: false, ..room }, shard);
        }
        Ok(Self {
            socket,
            kind: Kind::Packet { iif, link_layer, shard, ring: room.ring, all_multicast: false },
        })
    }

    /// True where its frames come in a ring of shared memory.
    pub fn has_ring(&self) -> bool {
        matches!(self.kind, Kind::Packet { ring: true, .. })
    }

    /// True for one of several sockets that divide an interface's frames.
    pub fn is_shard(&self) -> bool {
        matches!(self.kind, Kind::Packet { shard: true, .. })
    }

    /// A UDP socket on a unicast address and port of ours, for packets from one interface, at which so
    /// many bytes may wait.
    pub fn udp(iif: IfIndex, address: Ipv4Addr, port: u16, bytes: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.bind_device_by_index_v4(NonZeroU32::new(iif.0))?;
        // An output may send from the same address and port.
        socket.set_reuse_address(true)?;
        packet::set_receive_buffer(socket.as_fd(), bytes)?;
        for (level, option) in [
            (libc::SOL_UDP, libc::UDP_GRO),
            (libc::IPPROTO_IP, libc::IP_RECVTTL),
            (libc::IPPROTO_IP, libc::IP_RECVTOS),
        ] {
            packet::set_option(socket.as_fd(), level, option, &1i32)?;
        }
        socket.bind(&SockAddr::from(SocketAddrV4::new(address, port))).map_err(|error| {
            let cause = match error.kind() {
                io::ErrorKind::AddrInUse => "another socket has this address and port",
                _ => "cannot bind",
            };
            io::Error::new(error.kind(), format!("{address}:{port}: {cause} ({error})"))
        })?;
        Ok(Self { socket: socket.into(), kind: Kind::Udp })
    }

    /// A packet socket that was opened before, by another control process. It lets in what it let in
    /// then, until [`Self::set_filter`] is called.
    ///
    /// # Errors
    /// Where the interface's all-multicast setting cannot be made sure of.
    pub fn adopt_packet(
        socket: OwnedFd,
        iif: IfIndex,
        link_layer: LinkLayer,
        bridge: &mut Bridge,
    ) -> io::Result<Self> {
        // Whether it asks for all groups is not known, and asking twice would be one too many: another
        // socket asks meanwhile.
        let bound = packet::bound_interface(socket.as_fd()).is_ok_and(|index| index > 0);
        if bound {
            let bridge = bridge.socket()?;
            packet::set_all_multicast(bridge, iif.0, true)?;
            packet::set_all_multicast(socket.as_fd(), iif.0, false)?;
            packet::set_all_multicast(socket.as_fd(), iif.0, true)?;
            packet::set_all_multicast(bridge, iif.0, false)?;
        }
        let shard = packet::fanout_group(socket.as_fd()).is_ok_and(|group| group.is_some());
        let ring = packet_ring::has_ring(socket.as_fd());
        Ok(Self {
            socket,
            kind: Kind::Packet { iif, link_layer, shard, ring, all_multicast: bound },
        })
    }

    /// The number of the group of sockets that divide the interface's frames; none = it is not divided.
    pub fn fanout(&self) -> Option<u16> {
        packet::fanout_group(self.socket.as_fd()).ok().flatten()
    }

    /// A UDP socket that was opened before.
    pub fn adopt_udp(socket: OwnedFd) -> Self {
        Self { socket, kind: Kind::Udp }
    }

    /// A duplicate for the worker: the same socket under another descriptor.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// False where the interface has gone from under a packet socket: it will not receive again,
    /// even if an interface of the same index appears.
    pub fn is_bound(&self) -> bool {
        matches!(self.kind, Kind::Udp)
            || packet::bound_interface(self.socket.as_fd()).is_ok_and(|index| index > 0)
    }

    /// Lets nothing in from now on.
    pub fn shut(&mut self) -> io::Result<()> {
        match self.kind {
            Kind::Packet { .. } => self.set_filter(&InputFilter::default()),
            Kind::Udp => packet::attach_filter(self.socket.as_fd(), &filter::nothing()),
        }
    }

    /// Lets in what `filter` says; on kernels with little room for filters, all groups. Without
    /// effect on UDP: such a socket has one address and port.
    ///
    /// # Errors
    /// ENODEV where the interface has gone and the filter asks for other groups than are joined.
    pub fn set_filter(&mut self, filter: &InputFilter) -> io::Result<()> {
        let Kind::Packet { iif, link_layer, shard, all_multicast, .. } = &mut self.kind else {
            return Ok(());
        };
        // Before Linux 6.2 a group gets what we send as well, whatever its members asked for.
        let own = |program: Vec<_>| if *shard { filter::incoming(&program) } else { Some(program) };
        let coarse = || filter::compile_coarse(*link_layer, filter);
        let exact = own(filter::compile(*link_layer, filter)).or_else(|| own(coarse()));
        let exact = exact.unwrap_or_else(filter::nothing);
        packet::attach_filter(self.socket.as_fd(), &exact).or_else(|error| {
            match error.raw_os_error() {
                // The program is charged to net.core.optmem_max, the old one as well while it is
                // replaced: 20 KiB before Linux 6.8. The table sorts the rest out.
                Some(libc::ENOMEM | libc::ENOBUFS) => {
                    let coarse = own(coarse()).unwrap_or_else(filter::nothing);
                    packet::attach_filter(self.socket.as_fd(), &coarse)
                }
                _ => Err(error),
            }
        })?;
        if filter.all_multicast != *all_multicast {
            packet::set_all_multicast(self.socket.as_fd(), iif.0, filter.all_multicast)?;
            *all_multicast = filter.all_multicast;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
