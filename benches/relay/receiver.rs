//! A real receiver: a UDP socket that compares every byte. Slower than the tap, and sees what the
//! tap does not: the inside of super-frames, and checksums.

use super::network::{Network, PORT};
use super::payload::{self, Stamp};
use super::tally::Tally;
use super::trial::flows;
use mcr::sys::{multicast, udp};
use mcr::types::IfIndex;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// What it got of one flow.
#[derive(Default)]
pub(crate) struct Received {
    /// By number.
    pub(crate) tally: Tally,
    /// Other bytes, or another length, than were sent.
    pub(crate) corrupted: u64,
    /// Datagrams that its own socket had no room for.
    pub(crate) socket_dropped: u64,
}

/// Receives the first group at the first output.
pub(crate) struct Receiver {
    socket: UdpSocket,
}

impl Receiver {
    /// Joined, and receiving from now on.
    pub(crate) fn open(network: &Network) -> Self {
        let index = IfIndex(network.receiver.index("d0"));
        let socket = network.receiver.within(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
            multicast::join_group(&socket, index, flows(1).group(0)).expect("joined");
            socket
        });
        setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("a large buffer as root");
        setsockopt(&socket, sockopt::UdpGroSegment, &true).expect("UDP_GRO, Linux 5.0");
        Self { socket }
    }

    /// Takes what comes until `over` and nothing is left.
    pub(crate) fn watch(&self, size: usize, over: &AtomicBool) -> Received {
        let mut batch = udp::ReceiveBatch::new();
        let mut received = Received::default();
        loop {
            let ended = over.load(Ordering::Acquire);
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, 50u8).expect("poll") == 0 && ended {
                break;
            }
            while batch.receive(self.socket.as_fd()).is_ok() {
                for message in batch.received() {
                    for datagram in message.datagrams() {
                        received.take(datagram, size, message.truncated);
                    }
                }
            }
        }
        let dropped = udp::socket_drops(self.socket.as_fd()).expect("SO_MEMINFO");
        received.socket_dropped = dropped.into();
        received
    }
}

impl Received {
    fn take(&mut self, datagram: &[u8], size: usize, truncated: bool) {
        match Stamp::read(datagram) {
            Some(stamp) if datagram.len() == size && payload::is_intact(datagram) && !truncated => {
                self.tally.came(stamp.sequence, 1);
            }
            _ => self.corrupted += 1,
        }
    }
}
