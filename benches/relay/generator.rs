//! The sender: bursts at a steady rate from a thread of its own on a CPU of its own.

use super::clock;
use super::frames::{self, Flows, Frames};
use super::network::{Ingress, Network};
use super::payload::{self, STAMP_LEN, Stamp};
use super::xdp::LiveFrames;
use super::xdp::program::Schedule;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn,
    bind, sendmmsg, sendto, setsockopt, socket, sockopt,
};
use std::io::IoSlice;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Datagrams of one burst at most.
const BURST: u64 = 32;
/// From this rate on bursts are that long; below it, they have [`SMALL_BURST`].
const BURST_FROM: f64 = 50_000.0;
const SMALL_BURST: u64 = 8;
/// Datagrams of a UDP_SEGMENT send (UDP_MAX_SEGMENTS before Linux 6.9), and its bytes at most.
const TRAIN: u64 = 64;
const TRAIN_BYTES: usize = 65_000;
/// How far behind its schedule it may fall, nanoseconds: what it missed beyond that is not sent, so
/// that a pause does not become one great burst.
const CATCH_UP: u64 = 10_000_000;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// How it comes in at the relay.
    pub(crate) ingress: Ingress,
    /// The flows, in turn.
    pub(crate) flows: Flows,
    /// Bytes of each payload.
    pub(crate) size: usize,
    /// Datagrams a second.
    pub(crate) rate: f64,
    /// For how long.
    pub(crate) duration: Duration,
    /// Datagrams of a burst; none = by the rate.
    pub(crate) burst: Option<u64>,
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Datagrams of each flow.
    pub(crate) flows: Vec<u64>,
    /// Datagrams that the kernel did not take; they have no number.
    pub(crate) refused: u64,
    /// Datagrams that have a number and that the input's ring had no room for.
    pub(crate) overrun: u64,
    /// Nanoseconds from the first to the last.
    pub(crate) elapsed: u64,
    /// The thread's run time in that time, less `idle`, nanoseconds.
    pub(crate) cpu: u64,
    /// The thread's run time in which it only looked at the clock, nanoseconds.
    pub(crate) idle: u64,
}

impl Sent {
    /// Datagrams of all flows that got on their way.
    pub(crate) fn total(&self) -> u64 {
        self.flows.iter().sum::<u64>().saturating_sub(self.overrun)
    }
}

impl Traffic {
    /// Sends everything, from a new thread in the source's namespace. `stopped` ends it early.
    pub(crate) fn send(&self, network: &Network, stopped: impl Fn() -> bool + Send) -> Sent {
        network.source.within(|| {
            clock::settle_on(clock::GENERATOR_CPU);
            match self.ingress {
                Ingress::Gso => self.pace(&mut Trains::open(self), stopped),
                Ingress::Nic | Ingress::NicGro if network.live_frames.is_ok() => self.live(stopped),
                Ingress::Nic | Ingress::NicGro => self.pace(&mut Single::open(self), stopped),
            }
        })
    }

    fn burst(&self) -> u64 {
        let by_rate = if self.rate >= BURST_FROM { BURST } else { SMALL_BURST };
        let wanted = self.burst.unwrap_or(by_rate);
        match self.ingress {
            // Twice a burst: as much as one send may be.
            Ingress::Gso if self.burst.is_none() => {
                TRAIN.min((TRAIN_BYTES / self.size) as u64).max(1)
            }
            _ => wanted,
        }
    }

    fn wanted(&self) -> u64 {
        (self.rate * self.duration.as_secs_f64()) as u64
    }

    /// Sends frames as a network card would deliver them.
    fn live(&self, stopped: impl Fn() -> bool) -> Sent {
        let schedule = Schedule {
            burst: u32::try_from(self.burst()).expect("small"),
            flows: self.flows.count,
            count: self.wanted(),
            rate: self.rate,
            limit: self.duration.as_nanos() as u64 + CATCH_UP,
            catch_up: CATCH_UP as u32,
        };
        let mac = outgoing().addr().expect("an Ethernet address");
        let heads = frames::heads(&self.flows, mac, self.size);
        let index = nix::net::if_::if_nametoindex("s0").expect("s0");
        let sender = LiveFrames::open(index, &heads, self.size, schedule);
        let sender = sender.expect("the kernel took such a program before");
        let (cpu, overruns) = (clock::own_cpu(), overruns());
        let sending = sender.run(stopped).expect("the kernel ran such a program before");
        let cpu = clock::own_cpu() - cpu;
        let flows = u64::from(self.flows.count);
        let of_flow = |flow| sending.count / flows + u64::from(flow < sending.count % flows);
        let overrun = self::overruns() - overruns;
        Sent {
            flows: (0..flows).map(of_flow).collect(),
            refused: overrun,
            overrun,
            elapsed: sending.elapsed,
            cpu: cpu.saturating_sub(sending.idle),
            idle: sending.idle,
        }
    }

    fn pace(&self, sender: &mut impl Sender, stopped: impl Fn() -> bool) -> Sent {
        let flows = self.flows.count as usize;
        let mut sent = Sent { flows: vec![0; flows], ..Sent::default() };
        let burst = self.burst();
        let wanted = self.wanted();
        let (start, cpu) = (clock::now(), clock::own_cpu());
        let end = start + self.duration.as_nanos() as u64 + CATCH_UP;
        // `late` is what the schedule has been moved by.
        let (mut count, mut flow, mut late) = (0, 0, 0);
        while count < wanted && !stopped() {
            let due = start + late + (count as f64 * 1e9 / self.rate) as u64;
            let mut now = clock::now();
            if now < due {
                clock::sleep_until(due);
                now = clock::now();
            }
            late += now.saturating_sub(due + CATCH_UP);
            if now > end {
                break;
            }
            let size = burst.min(wanted - count);
            sent.refused += sender.send(size, now, &mut flow, &mut sent.flows);
            count += size;
        }
        sent.elapsed = clock::now() - start;
        sent.cpu = clock::own_cpu() - cpu;
        sent
    }
}

/// The interface by which frames leave.
fn outgoing() -> LinkAddr {
    nix::ifaddrs::getifaddrs()
        .expect("the list of interfaces")
        .filter(|entry| entry.interface_name == "s0")
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .expect("s0")
}

/// Frames that the ring at the other end of `s0` had no room for: what its driver counts as
/// dropped on the way out.
fn overruns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").expect("proc(5)");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("s0:"));
    let count = line.and_then(|line| line.split_whitespace().nth(8 + 3)?.parse().ok());
    count.expect("16 numbers of s0")
}

/// How bursts leave.
trait Sender {
    /// Sends `count` datagrams, beginning with those of `flow`; counts up the numbers of what was
    /// taken. How many were refused.
    fn send(&mut self, count: u64, now: u64, flow: &mut u32, numbers: &mut [u64]) -> u64;
}

/// Frames of one datagram each, by AF_PACKET.
struct Single {
    socket: OwnedFd,
    frames: Frames,
    flows: u32,
    headers: MultiHeaders<LinkAddr>,
}

impl Single {
    fn open(traffic: &Traffic) -> Self {
        let link = outgoing();
        // Without a protocol it receives nothing.
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None::<SockProtocol>)
            .expect("a packet socket as root");
        bind(socket.as_raw_fd(), &link).expect("bound to s0");
        setsockopt(&socket, sockopt::SndBufForce, &(16 << 20)).expect("a large buffer as root");
        let bypass = nix::libc::PACKET_QDISC_BYPASS;
        mcr::sys::packet::set_option(socket.as_fd(), nix::libc::SOL_PACKET, bypass, &1i32)
            .expect("PACKET_QDISC_BYPASS");
        let burst = usize::try_from(traffic.burst()).expect("small");
        let mac = link.addr().expect("an Ethernet address");
        let frames = Frames::new(&traffic.flows, mac, traffic.size, burst);
        let headers = MultiHeaders::preallocate(burst, None);
        Self { socket, frames, flows: traffic.flows.count, headers }
    }
}

impl Sender for Single {
    fn send(&mut self, count: u64, now: u64, flow: &mut u32, numbers: &mut [u64]) -> u64 {
        let count = usize::try_from(count).expect("small");
        let first = *flow;
        for slot in 0..count {
            let number = &mut numbers[*flow as usize];
            self.frames.stamp(slot, &Stamp { flow: *flow, sequence: *number, sent_at: now });
            *number += 1;
            *flow = if *flow + 1 == self.flows { 0 } else { *flow + 1 };
        }
        let mut taken = 0;
        while taken < count {
            let slots = self.frames.slots()[taken..count].iter();
            let slices: Vec<[IoSlice<'_>; 1]> = slots.map(|slot| [IoSlice::new(slot)]).collect();
            let addresses = vec![None; slices.len()];
            let fd = self.socket.as_raw_fd();
            let sent = sendmmsg(fd, &mut self.headers, &slices, &addresses, [], MsgFlags::empty());
            match sent {
                Ok(results) => taken += results.count().max(1),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        // What was refused has no number: the next burst uses it again.
        for refused in taken..count {
            numbers[(first as usize + refused) % self.flows as usize] -= 1;
        }
        (count - taken) as u64
    }
}

/// Several datagrams in a send, by UDP_SEGMENT; all of one flow.
struct Trains {
    socket: UdpSocket,
    train: Vec<u8>,
    targets: Vec<SockaddrIn>,
    size: usize,
}

impl Trains {
    fn open(traffic: &Traffic) -> Self {
        let local = SocketAddrV4::new(traffic.flows.source, 0);
        let socket = UdpSocket::bind(local).expect("the address of s0");
        let options = socket2::SockRef::from(&socket);
        options.set_multicast_if_v4(&traffic.flows.source).expect("s0");
        options.set_multicast_ttl_v4(16).expect("a TTL");
        options.set_multicast_loop_v4(false).expect("no copies to ourselves");
        setsockopt(&socket, sockopt::SndBufForce, &(16 << 20)).expect("a large buffer as root");
        let segment = i32::try_from(traffic.size).expect("a datagram");
        setsockopt(&socket, sockopt::UdpGsoSegment, &segment).expect("UDP_SEGMENT, Linux 4.18");
        let target = |flow| SocketAddrV4::new(traffic.flows.group(flow), traffic.flows.port);
        let targets = (0..traffic.flows.count).map(|flow| target(flow).into()).collect();
        let burst = usize::try_from(traffic.burst()).expect("small");
        let train = payload::blank(traffic.size).repeat(burst);
        Self { socket, train, targets, size: traffic.size }
    }
}

impl Sender for Trains {
    fn send(&mut self, count: u64, now: u64, flow: &mut u32, numbers: &mut [u64]) -> u64 {
        let train = &mut self.train[..count as usize * self.size];
        let number = &mut numbers[*flow as usize];
        for (sequence, payload) in (*number..).zip(train.chunks_exact_mut(self.size)) {
            let stamp = Stamp { flow: *flow, sequence, sent_at: now };
            payload[..STAMP_LEN].copy_from_slice(&stamp.bytes());
        }
        let target = &self.targets[*flow as usize];
        *flow = (*flow + 1) % self.targets.len() as u32;
        match sendto(self.socket.as_raw_fd(), train, target, MsgFlags::empty()) {
            Ok(_) => {
                *number += count;
                0
            }
            Err(_) => count,
        }
    }
}
