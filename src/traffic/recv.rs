//! `mcrgen recv`: joins, receives in batches, verifies each datagram.

use crate::sys::udp::{ReceiveBatch, join_source_group, socket_drops};
use crate::traffic::args::RecvArgs;
use crate::traffic::error::TrafficError;
use crate::traffic::interface::{self, Interface};
use crate::traffic::plan::RecvPlan;
use crate::traffic::report::{ReceiveBuffer, RecvReport};
use crate::traffic::send::realtime_ns;
use crate::traffic::stop::StopSignal;
use crate::traffic::tally::{Filter, Tally};
use crate::types::IfIndex;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a stopped receiver goes on emptying its socket.
const DRAIN_FOR: Duration = Duration::from_secs(1);

/// Batches between two looks for a signal while datagrams keep coming.
const SIGNAL_CHECK_EVERY: u64 = 64;

/// A receiver that is bound and has joined.
pub struct Receiver {
    args: RecvArgs,
    socket: Socket,
    /// Sockets that only hold memberships: one socket can have 20 (net.ipv4.igmp_max_memberships).
    memberships: Vec<Socket>,
    buffer: ReceiveBuffer,
    tally: Tally,
    batch: ReceiveBatch,
}

impl Receiver {
    /// Checks the arguments, binds, joins, and creates the ready file.
    ///
    /// # Errors
    /// Arguments that make no sense, or a refusal by the kernel.
    pub fn open(args: &RecvArgs) -> Result<Self, TrafficError> {
        let plan = RecvPlan::new(args)?;
        if let Some(path) = &args.ready_file {
            remove_stale(path)?;
        }
        let interface = args.interface.as_ref().map(interface::find).transpose()?;
        let at = SocketAddrV4::new(plan.bind, args.port);
        let (socket, buffer) = open_socket(args, &plan, at).map_err(|error| {
            TrafficError::system(format!("cannot open a UDP socket at {at}"), error)
        })?;
        let index = interface.as_ref().map(|interface| interface.index);
        let filter = Filter::new(plan.addresses.iter().copied(), args.source, index);
        let tally = Tally::new(filter).map_err(|error| {
            TrafficError::system("cannot count latencies", io::Error::other(error.to_string()))
        })?;
        let memberships = join_all(&plan, interface.as_ref())?;
        let receiver = Self {
            args: args.clone(),
            socket,
            memberships,
            buffer,
            tally,
            batch: ReceiveBatch::new(),
        };
        if let Some(path) = &args.ready_file {
            receiver.announce(path)?;
        }
        Ok(receiver)
    }

    /// The address that it receives at.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn local_address(&self) -> io::Result<Option<SocketAddrV4>> {
        Ok(self.socket.local_addr()?.as_socket_ipv4())
    }

    /// Receives until the count, a time or a signal says stop.
    ///
    /// # Errors
    /// Where receiving or waiting fails.
    pub fn run(mut self, stop: &StopSignal) -> Result<RecvReport, TrafficError> {
        let started = Instant::now();
        let mut last_datagram = None;
        let mut batches: u64 = 0;
        while !self.has_enough() {
            let before = self.tally.total();
            let emptied = !self.take_batch()?;
            let now = Instant::now();
            if self.tally.total() > before {
                last_datagram = Some(now);
            }
            let ends = [
                self.args.duration.map(|duration| started + duration),
                self.args.idle.and_then(|idle| last_datagram.map(|last| last + idle)),
            ];
            let left =
                ends.into_iter().flatten().min().map(|end| end.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            batches += 1;
            let ended_by_signal = if emptied {
                let watched = (self.socket.as_fd(), PollFlags::POLLIN);
                stop.wait(Some(watched), left)
                    .map_err(|error| TrafficError::system("cannot wait for datagrams", error))?
            } else {
                batches.is_multiple_of(SIGNAL_CHECK_EVERY) && stop.is_raised()
            };
            if ended_by_signal {
                break;
            }
        }
        // What had arrived when the end came is part of what was received.
        let drained_by = Instant::now() + DRAIN_FOR;
        while !self.has_enough() && Instant::now() < drained_by && self.take_batch()? {}
        let dropped = socket_drops(self.socket.as_fd())
            .map_err(|error| TrafficError::system("cannot ask what the kernel dropped", error))?;
        Ok(RecvReport {
            socket_dropped: u64::from(dropped),
            receive_buffer: self.buffer,
            ..self.tally.report(self.args.expect)
        })
    }

    fn has_enough(&self) -> bool {
        self.args.count.is_some_and(|count| self.tally.total() >= count)
    }

    /// Counts what waits at the socket, up to one batch. False where nothing waited.
    fn take_batch(&mut self) -> Result<bool, TrafficError> {
        match self.batch.receive(self.socket.as_fd()) {
            Ok(_) => {
                let now = realtime_ns();
                for message in self.batch.received() {
                    self.tally.take(&message, now);
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(TrafficError::system("cannot receive", error)),
        }
    }

    /// Creates the ready file with the address in it, complete from the moment it can be seen.
    fn announce(&self, path: &Path) -> Result<(), TrafficError> {
        let address = self.local_address().ok().flatten();
        let address = address.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.args.port));
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        std::fs::write(&partial, format!("{address} sockets={}\n", 1 + self.memberships.len()))
            .and_then(|()| std::fs::rename(&partial, path))
            .map_err(|error| {
                TrafficError::system(format!("cannot create {}", path.display()), error)
            })
    }
}

/// A ready file of an earlier run would tell the one who waits for it a lie.
fn remove_stale(path: &Path) -> Result<(), TrafficError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TrafficError::system(format!("cannot replace {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn open_socket(
    args: &RecvArgs,
    plan: &RecvPlan,
    at: SocketAddrV4,
) -> io::Result<(Socket, ReceiveBuffer)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Of a group each socket gets a copy; of unicast only one does, so a second receiver must fail.
    socket.set_reuse_address(plan.addresses.iter().any(Ipv4Addr::is_multicast))?;
    let forced = setsockopt(&socket, sockopt::RcvBufForce, &args.receive_buffer).is_ok();
    if !forced {
        setsockopt(&socket, sockopt::RcvBuf, &args.receive_buffer)?;
    }
    let granted = getsockopt(&socket, sockopt::RcvBuf)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    if args.gro {
        setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
    }
    socket.bind(&at.into())?;
    Ok((socket, ReceiveBuffer { requested: args.receive_buffer, granted, forced }))
}

/// Joins everything; a socket whose memberships are used up is followed by another.
fn join_all(plan: &RecvPlan, interface: Option<&Interface>) -> Result<Vec<Socket>, TrafficError> {
    let index = interface.map_or(IfIndex(0), |interface| interface.index);
    let mut sockets: Vec<Socket> = Vec::new();
    for group in &plan.joins {
        let joined = match sockets.last() {
            Some(socket) => join(socket, index, *group, plan.join_source),
            None => Err(io::Error::from_raw_os_error(nix::libc::ENOBUFS)),
        };
        let joined = match joined {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP));
                socket.and_then(|socket| {
                    join(&socket, index, *group, plan.join_source)?;
                    sockets.push(socket);
                    Ok(())
                })
            }
            other => other,
        };
        joined.map_err(|error| refused_join(*group, interface, error))?;
    }
    Ok(sockets)
}

fn join(
    socket: &Socket,
    index: IfIndex,
    group: Ipv4Addr,
    source: Option<Ipv4Addr>,
) -> io::Result<()> {
    match source {
        Some(source) => join_source_group(socket.as_fd(), index, group, source),
        None => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index.0)),
    }
}

fn refused_join(group: Ipv4Addr, interface: Option<&Interface>, error: io::Error) -> TrafficError {
    let on = interface.map_or(String::new(), |interface| format!(" on \"{}\"", interface.name));
    let hint = match error.raw_os_error() {
        Some(nix::libc::ENODEV) if interface.is_none() => {
            " (no route tells where: give --interface)"
        }
        Some(nix::libc::EMFILE) => " (too many open files: raise ulimit -n)",
        Some(nix::libc::ENOBUFS) => " (net.ipv4.igmp_max_memberships or net.core.optmem_max)",
        _ => "",
    };
    TrafficError::system(format!("cannot join {group}{on}{hint}"), error)
}
