//! The sockets that datagrams are republished from.
//!
//! Each incoming source address and port has a socket, so a source port, of its own: receivers can
//! tell two sources of one group apart, and a flow's datagrams keep their order. Where a rule names
//! the source port, one socket serves all sources. Unicast copies
//! have a socket for each destination besides: the kernel reports a receiver's ICMP error on the
//! next send of the socket, which must not be another receiver's. That next send is repeated after
//! the rest of its batch: while a receiver's host answers with ICMP errors, and only then, its
//! datagrams may change order.
//!
//! Each interface has sockets of its own: what waits in a slow one's queue is charged to the socket
//! that sent it, and must not use up the room of the others.
//!
//! What leaves with headers of our making leaves by others: for frames, and for IP packets.

use crate::sys::packet;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

/// Sockets of a worker at most, where the limit of descriptors allows.
pub const MAX_SOCKETS: usize = 4096;
/// Sockets for frames, and for IP packets, of a worker that opens them as they are needed.
const MAX_EXITS: usize = 64;
/// Send buffer asked for, in bytes.
const SEND_BUFFER: u32 = 4 << 20;

/// Which socket sends a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowId {
    /// One with a port of its own for each original source.
    Source {
        /// The incoming source address.
        source: Ipv4Addr,
        /// The incoming source port.
        source_port: u16,
        /// The destination of unicast copies; none for all multicast copies.
        unicast: Option<Ipv4Addr>,
        /// The interface that copies leave by; 0 = routing decides.
        oif: u32,
    },
    /// One on a port that the rule names, for all sources.
    Fixed {
        /// Our address; unspecified = any.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// The interface that copies leave by; 0 = routing decides.
        oif: u32,
    },
}

/// Sockets that are opened while there are capabilities, for when there are none any more: one for
/// frames and one for IP packets for each interface, as far as they go round (CAP_NET_RAW); and UDP
/// sockets whose send buffers are larger than `net.core.wmem_max` (CAP_NET_ADMIN), as long as they
/// last.
#[derive(Debug, Default)]
pub struct Supplies {
    frames: Vec<OwnedFd>,
    packets: Vec<OwnedFd>,
    /// Shared by all workers, which take one when a flow begins.
    senders: Arc<Mutex<Vec<Socket>>>,
}

impl Supplies {
    /// Opens so many of each. Needs CAP_NET_RAW; without CAP_NET_ADMIN the UDP sockets are like any others.
    pub fn open(frames: usize, packets: usize, senders: usize) -> io::Result<Self> {
        let all = |count, open: fn() -> io::Result<OwnedFd>| {
            (0..count).map(|_| with_buffer(open)).collect::<io::Result<_>>()
        };
        Ok(Self {
            frames: all(frames, packet::frame_sender)?,
            packets: all(packets, packet::ip_sender)?,
            senders: Arc::new(Mutex::new(
                (0..senders).map(|_| sender()).collect::<Result<_, _>>()?,
            )),
        })
    }

    /// The same sockets under other descriptors; of UDP sockets, those that nobody has taken.
    pub fn share(&self) -> io::Result<Self> {
        let all = |sockets: &[OwnedFd]| -> io::Result<Vec<OwnedFd>> {
            sockets.iter().map(OwnedFd::try_clone).collect()
        };
        let senders = Arc::clone(&self.senders);
        Ok(Self { frames: all(&self.frames)?, packets: all(&self.packets)?, senders })
    }
}

/// Sockets of one kind, one for each interface while there are enough.
struct Exits {
    sockets: Vec<OwnedFd>,
    /// Opens one more; none where those that there are have to do.
    open: Option<fn() -> io::Result<OwnedFd>>,
    /// By interface: which socket, and whether it sent nothing since the last aging.
    by_oif: HashMap<u32, (usize, bool), foldhash::fast::RandomState>,
}

impl Exits {
    fn new(sockets: Vec<OwnedFd>, open: fn() -> io::Result<OwnedFd>) -> Self {
        let open = sockets.is_empty().then_some(open);
        Self { sockets, open, by_oif: HashMap::default() }
    }

    fn of(&mut self, oif: u32) -> io::Result<RawFd> {
        if let Some((at, idle)) = self.by_oif.get_mut(&oif) {
            *idle = false;
            return Ok(self.sockets[*at].as_raw_fd());
        }
        let used = |at: &usize| self.by_oif.values().any(|(used, _)| used == at);
        let at = match (0..self.sockets.len()).find(|at| !used(at)) {
            Some(at) => at,
            None => match self.open.filter(|_| self.sockets.len() < MAX_EXITS) {
                Some(open) => {
                    self.sockets.push(with_buffer(open)?);
                    self.sockets.len() - 1
                }
                // Some interfaces have to share.
                None => oif as usize % self.sockets.len(),
            },
        };
        self.by_oif.insert(oif, (at, false));
        Ok(self.sockets[at].as_raw_fd())
    }

    fn age(&mut self) {
        self.by_oif.retain(|_, (_, idle)| !std::mem::replace(idle, true));
    }
}

struct EgressSocket {
    socket: Socket,
    /// The turn of the worker in which it last sent.
    last_used: u64,
    /// Sent nothing since the last [`EgressSockets::age`].
    idle: bool,
}

/// The sockets of one worker; where there is no room, the least recently used goes first.
pub struct EgressSockets {
    limit: usize,
    by_flow: HashMap<FlowId, EgressSocket, foldhash::fast::RandomState>,
    /// Evicted, but perhaps named by a queued send.
    retired: Vec<Socket>,
    evictions: u64,
    frames: Exits,
    packets: Exits,
    senders: Arc<Mutex<Vec<Socket>>>,
}

impl EgressSockets {
    /// No UDP sockets yet, and at most `limit` of them (at least one); the others are the supplies, or
    /// where there are none, they are opened as they are needed.
    pub fn new(limit: usize, supplies: Supplies) -> Self {
        Self {
            limit: limit.max(1),
            by_flow: HashMap::default(),
            retired: Vec::new(),
            evictions: 0,
            frames: Exits::new(supplies.frames, packet::frame_sender),
            packets: Exits::new(supplies.packets, packet::ip_sender),
            senders: supplies.senders,
        }
    }

    /// The socket that frames leave an interface by.
    pub fn frames(&mut self, oif: u32) -> io::Result<RawFd> {
        self.frames.of(oif)
    }

    /// The socket that IP packets leave an interface by; 0 = routing decides.
    pub fn packets(&mut self, oif: u32) -> io::Result<RawFd> {
        self.packets.of(oif)
    }

    /// The socket of a flow, made where there is none. Valid until the next [`Self::close_retired`]
    /// at least.
    pub fn of(&mut self, flow: FlowId, turn: u64) -> io::Result<RawFd> {
        if let Some(entry) = self.by_flow.get_mut(&flow) {
            entry.last_used = turn;
            entry.idle = false;
            return Ok(entry.socket.as_raw_fd());
        }
        if self.by_flow.len() >= self.limit {
            self.evict();
        }
        let spare = self.senders.lock().ok().and_then(|mut senders| senders.pop());
        let socket = spare.map_or_else(sender, Ok)?;
        bind(&socket, &flow)?;
        let fd = socket.as_raw_fd();
        self.by_flow.insert(flow, EgressSocket { socket, last_used: turn, idle: false });
        Ok(fd)
    }

    fn evict(&mut self) {
        let oldest = self.by_flow.iter().min_by_key(|(_, entry)| entry.last_used);
        if let Some(flow) = oldest.map(|(flow, _)| *flow)
            && let Some(entry) = self.by_flow.remove(&flow)
        {
            self.retired.push(entry.socket);
            self.evictions += 1;
        }
    }

    /// Closes evicted sockets; no send may be queued on them.
    pub fn close_retired(&mut self) {
        self.retired.clear();
    }

    /// Closes sockets that sent nothing since the call before. No send may be queued.
    pub fn age(&mut self) {
        self.by_flow.retain(|_, entry| !std::mem::replace(&mut entry.idle, true));
        self.frames.age();
        self.packets.age();
    }

    /// Clears a flow's pending error, so that the next send is judged by itself.
    pub fn clear_error(&self, flow: &FlowId) {
        if let Some(entry) = self.by_flow.get(flow) {
            packet::drain_errors(entry.socket.as_fd());
        }
    }

    /// How many there are, and how many had to make room.
    pub fn counts(&self) -> (usize, u64) {
        (self.by_flow.len(), self.evictions)
    }
}

fn with_buffer(open: fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let socket = open()?;
    packet::set_send_buffer(socket.as_fd(), SEND_BUFFER)?;
    Ok(socket)
}

/// A UDP socket that never receives, not bound yet.
fn sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let refuse_all = [libc::sock_filter { code: BPF_RET, jt: 0, jf: 0, k: 0 }];
    packet::attach_filter(socket.as_fd(), &refuse_all)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_broadcast(true)?;
    // Without it the kernel says "sent" of a datagram that the transmit queue refused.
    packet::set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, &1i32)?;
    packet::set_send_buffer(socket.as_fd(), SEND_BUFFER)?;
    Ok(socket)
}

/// Binds it for a flow.
fn bind(socket: &Socket, flow: &FlowId) -> io::Result<()> {
    let local = match *flow {
        FlowId::Source { .. } => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        FlowId::Fixed { address, port, .. } => {
            // Each worker has one on the same port.
            socket.set_reuse_address(true)?;
            SocketAddrV4::new(address, port)
        }
    };
    socket.bind(&SockAddr::from(local))
}

/// `BPF_RET | BPF_K` (filter.h): accept as many bytes as `k` says; 0 = none, the packet goes.
const BPF_RET: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(n: u16, unicast: Option<Ipv4Addr>) -> FlowId {
        FlowId::Source { source: Ipv4Addr::new(10, 0, 0, 1), source_port: n, unicast, oif: 7 }
    }

    fn port(sockets: &EgressSockets, flow: &FlowId) -> u16 {
        let address = sockets.by_flow[flow].socket.local_addr().expect("bound");
        address.as_socket_ipv4().expect("IPv4").port()
    }

    #[test]
    fn each_source_has_a_port_of_its_own() {
        let mut sockets = EgressSockets::new(MAX_SOCKETS, Supplies::default());
        let there = Some(Ipv4Addr::new(10, 9, 9, 9));
        for id in [flow(1, None), flow(2, None), flow(1, there)] {
            let first = sockets.of(id, 1).expect("opens");
            assert_eq!(sockets.of(id, 2).expect("is there"), first);
        }
        let mut ports =
            [flow(1, None), flow(2, None), flow(1, there)].map(|id| port(&sockets, &id));
        ports.sort_unstable();
        assert!(ports[0] != 0 && ports[0] < ports[1] && ports[1] < ports[2]);
    }

    #[test]
    fn a_fixed_port_is_shared_by_workers() {
        let address = Ipv4Addr::LOCALHOST;
        let spare = std::net::UdpSocket::bind((address, 0)).expect("binds");
        let free = spare.local_addr().expect("bound").port();
        drop(spare);
        let id = FlowId::Fixed { address, port: free, oif: 0 };
        let (mut first, mut second) = (
            EgressSockets::new(4, Supplies::default()),
            EgressSockets::new(4, Supplies::default()),
        );
        for sockets in [&mut first, &mut second] {
            sockets.of(id, 1).expect("opens");
            assert_eq!(port(sockets, &id), free);
        }
        let foreign = FlowId::Fixed { address: Ipv4Addr::new(192, 0, 2, 1), port: free, oif: 0 };
        let error = first.of(foreign, 1).expect_err("not ours");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn the_table_is_bounded_and_the_least_recently_used_goes() {
        let mut sockets = EgressSockets::new(MAX_SOCKETS, Supplies::default());
        let max = u16::try_from(MAX_SOCKETS).expect("small");
        for n in 0..max {
            sockets.of(flow(n, None), u64::from(n)).expect("opens");
        }
        sockets.of(flow(0, None), 5000).expect("refreshed");
        sockets.of(flow(max, None), 5001).expect("opens");
        assert_eq!(sockets.counts(), (MAX_SOCKETS, 1));
        assert!(sockets.by_flow.contains_key(&flow(0, None)));
        assert!(!sockets.by_flow.contains_key(&flow(1, None)));
        assert_eq!(sockets.retired.len(), 1, "still open until the flush is over");
    }

    #[test]
    fn what_was_opened_before_is_used_first_and_by_one_worker_only() {
        let supplies = Supplies {
            senders: Arc::new(Mutex::new(vec![sender().expect("opens")])),
            ..Supplies::default()
        };
        let ready = supplies.senders.lock().expect("not poisoned")[0].as_raw_fd();
        let theirs = supplies.share().expect("shares");
        let (mut first, mut second) =
            (EgressSockets::new(4, supplies), EgressSockets::new(4, theirs));
        assert_eq!(first.of(flow(1, None), 1).expect("is there"), ready);
        assert_ne!(second.of(flow(1, None), 1).expect("opens"), ready);
        assert!(port(&first, &flow(1, None)) != port(&second, &flow(1, None)));
    }

    #[test]
    fn idle_sockets_go_after_two_agings() {
        let mut sockets = EgressSockets::new(MAX_SOCKETS, Supplies::default());
        sockets.of(flow(1, None), 1).expect("opens");
        sockets.age();
        assert_eq!(sockets.counts().0, 1);
        sockets.of(flow(1, None), 2).expect("is there");
        sockets.age();
        assert_eq!(sockets.counts().0, 1, "it sent in between");
        sockets.age();
        assert_eq!(sockets.counts().0, 0);
    }
}
