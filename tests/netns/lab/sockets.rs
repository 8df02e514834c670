//! Sockets of the test itself, where starting a program would blur what is measured.

use super::{Namespace, SOON, wait_for};
use netlink_sys::{Socket as NetlinkSocket, SocketAddr as NetlinkAddr, protocols::NETLINK_ROUTE};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A socket that is a member of `group` on `interface` and hears only what is sent to it.
pub(crate) fn listen(
    namespace: &Namespace,
    interface: &str,
    group: Ipv4Addr,
    port: u16,
) -> UdpSocket {
    let index = namespace.index(interface);
    namespace.within(|| {
        let socket =
            Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a UDP socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.set_recv_buffer_size(4 << 20).expect("SO_RCVBUF");
        socket.bind(&SocketAddrV4::new(group, port).into()).expect("binding to a group");
        socket
            .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
            .unwrap_or_else(|error| panic!("joining {group} on {interface}: {error}"));
        // Not what other sockets have joined on other interfaces.
        socket.set_multicast_all_v4(false).expect("IP_MULTICAST_ALL");
        socket.into()
    })
}

/// A socket that sends multicast from the interface with this address. It sets no TTL.
pub(crate) fn sender(namespace: &Namespace, address: Ipv4Addr, port: u16) -> UdpSocket {
    namespace.within(|| {
        let socket =
            Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a UDP socket");
        socket.bind(&SocketAddrV4::new(address, port).into()).expect("binding to our address");
        socket.set_multicast_if_v4(&address).expect("IP_MULTICAST_IF");
        socket.into()
    })
}

/// When the next datagram arrives, who sent it, and what it holds.
pub(crate) fn first_datagram(
    socket: &UdpSocket,
    deadline: Duration,
) -> Option<(Instant, SocketAddr, Vec<u8>)> {
    socket.set_read_timeout(Some(deadline)).expect("a time-out");
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    let now = Instant::now();
    buffer.truncate(length);
    Some((now, from, buffer))
}

/// A thread that sends one small datagram every half millisecond until dropped.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Steady {
    /// The time between two datagrams: the resolution of what is measured with them.
    pub(crate) const INTERVAL: Duration = Duration::from_micros(500);

    /// Starts sending.
    pub(crate) fn start(socket: UdpSocket, to: SocketAddrV4) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The interface may be going away: that is what the scenario is about.
                let _ = socket.send_to(b"steady", to);
                std::thread::sleep(Self::INTERVAL);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Notes when the kernel announces a new IPv4 address: the moment from which the relay can know.
pub(crate) struct AddressWatch(NetlinkSocket);

impl AddressWatch {
    const RTMGRP_IPV4_IFADDR: u32 = 0x10;
    const RTM_NEWADDR: u16 = 20;

    /// Subscribes in a namespace.
    pub(crate) fn new(namespace: &Namespace) -> Self {
        namespace.within(|| {
            let mut socket = NetlinkSocket::new(NETLINK_ROUTE).expect("a netlink socket");
            socket.bind(&NetlinkAddr::new(0, Self::RTMGRP_IPV4_IFADDR)).expect("subscribing");
            Self(socket)
        })
    }

    /// Waits for RTM_NEWADDR on the interface with this index.
    pub(crate) fn wait(&self, index: u32) -> Instant {
        loop {
            let mut buffer = Vec::with_capacity(8192);
            self.0.recv(&mut buffer, 0).expect("a netlink message");
            let now = Instant::now();
            // struct nlmsghdr is 16 bytes with the type at 4; struct ifaddrmsg has the index at 4.
            let kind = buffer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
            let of = buffer.get(20..24).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            if kind == Some(Self::RTM_NEWADDR) && of == Some(index) {
                return now;
            }
        }
    }
}

/// Sends to a group from one namespace until a datagram comes out in another: before that, the
/// relay may not have caught up with what a scenario has just changed.
pub(crate) fn gets_through(
    (source, address, group, port): (&Namespace, Ipv4Addr, Ipv4Addr, u16),
    (receiver, interface, out, out_port): (&Namespace, &str, Ipv4Addr, u16),
) {
    let member = listen(receiver, interface, out, out_port);
    let socket = sender(source, address, 4000);
    wait_for(&format!("{group} comes out as {out}"), SOON, || {
        let sent = socket.send_to(b"hello", SocketAddrV4::new(group, port));
        sent.map_err(|error| error.to_string())?;
        let first = first_datagram(&member, Duration::from_millis(50));
        first.map(|_| ()).ok_or_else(|| "nothing".to_owned())
    });
}
