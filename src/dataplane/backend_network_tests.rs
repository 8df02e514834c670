//! Both backends on interfaces of a namespace of their own: what the kernel makes of frames and
//! packets with headers of ours.

use super::*;
use crate::dataplane::decode::{Checksum, Datagram, FrameMeta, NEEDS_CSUM, Packet, decode};
use crate::dataplane::egress::{EgressSockets, FlowId, Supplies};
use crate::dataplane::rewrite::{Framing, Rewrite, Template};
use crate::dataplane::syscalls::SyscallBackend;
use crate::dataplane::uring::UringBackend;
use crate::sockets::membership::Memberships;
use crate::sys::test_frames;
use crate::sys::test_namespace::{ip, run};
use crate::sys::{packet, packet_ring};
use crate::types::{IfIndex, LinkLayer, Membership};
use etherparse::PacketBuilder;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
/// A source that is nobody's here.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const LO: u32 = 1;
/// The longest wait.
const WAIT: Duration = Duration::from_secs(30);

/// Wakes the backend once, at the end of the longest wait.
fn deadline() -> OwnedFd {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).expect("timerfd");
    let wait = Expiration::OneShot(WAIT.into());
    timer.set(wait, TimerSetTimeFlags::empty()).expect("is set");
    nix::unistd::dup(&timer).expect("dup")
}

fn uring() -> UringBackend {
    UringBackend::new(deadline(), 16).expect("io_uring works here")
}

fn syscalls() -> SyscallBackend {
    SyscallBackend::new(deadline(), 16)
}

/// `here` and `there`, the ends of one cable: their indices.
fn veth() -> (u32, u32) {
    ip("link add here type veth peer name there");
    ip("link set here up");
    ip("link set there up");
    carries("here");
    let index = |name| nix::net::if_::if_nametoindex(name).expect("is there");
    (index("here"), index("there"))
}

/// Waits until an interface has its carrier: the kernel drops what is sent before, and says nothing.
fn carries(name: &str) {
    let deadline = Instant::now() + WAIT;
    loop {
        let output = std::process::Command::new("ip").args(["-br", "link", "show", name]).output();
        let text = String::from_utf8(output.expect("ip runs").stdout).expect("text");
        if text.contains(" UP ") {
            break;
        }
        assert!(Instant::now() < deadline, "no carrier: {text}");
    }
    // The queue is made after the state is told, both under one lock that this call takes too.
    ip(&format!("link set {name} txqueuelen 1000"));
}

/// Begins to read what arrives on an interface, in a ring or not.
fn listen_with(backend: &mut impl Backend, ifindex: u32, ring: bool) -> PortHandle {
    let socket = packet::socket().expect("a packet socket");
    packet::set_receive_options(socket.as_fd()).expect("options");
    if ring {
        packet_ring::give_ring(socket.as_fd(), 65_536).expect("a ring");
    }
    packet::bind(socket.as_fd(), ifindex).expect("binds");
    backend.open(socket, Ingress::Packet(LinkLayer::Ethernet)).expect("opens")
}

fn listen(backend: &mut impl Backend, ifindex: u32) {
    listen_with(backend, ifindex, false);
}

/// The next datagram to the group, with what the kernel says beside it and its payload.
fn next(backend: &mut impl Backend) -> (Datagram, FrameMeta, Vec<u8>) {
    loop {
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        let is_late = backend.receive(&mut frames, &mut events).expect("receives");
        assert!(!is_late, "nothing comes");
        let found = frames.iter().find_map(|frame| {
            let bytes = &backend.buffer(frame.buffer)[frame.start as usize..][..frame.len as usize];
            let About::Packet(meta) = frame.about else { panic!("a packet port") };
            match decode(bytes, &meta) {
                Ok(Packet::Whole(datagram)) if datagram.destination == GROUP => {
                    let start = datagram.payload_start as usize;
                    let payload = bytes[start..][..datagram.payload_len as usize].to_vec();
                    Some((datagram, meta, payload))
                }
                // The interface's own: router solicitations and the like.
                _ => None,
            }
        });
        backend.recycle(&frames);
        if let Some(found) = found {
            return found;
        }
    }
}

/// A datagram to the group from a foreign source in the first spare buffer, and how its headers
/// leave.
fn outgoing(backend: &mut impl Backend, payload: &[u8]) -> crate::dataplane::rewrite::Outgoing {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [3; 6])
        .ipv4([10, 1, 1, 1], [239, 9, 9, 9], 7)
        .udp(4000, 5000)
        .write(&mut frame, payload)
        .expect("fits");
    let meta = FrameMeta {
        flags: NEEDS_CSUM,
        checksum_start: 34,
        checksum_offset: 6,
        ..FrameMeta::plain(LinkLayer::Ethernet)
    };
    let Ok(Packet::Whole(datagram)) = decode(&frame, &meta) else { panic!("decodes") };
    let to = Rewrite {
        source: FOREIGN,
        destination: GROUP,
        source_port: 4001,
        destination_port: 5001,
        ttl: 33,
        tos: 46 << 2,
    };
    let template = Template::new(&frame, &Datagram { identification: 77, ..datagram }, &to);
    let spare = backend.first_spare();
    backend.spare(spare)[..payload.len()].copy_from_slice(payload);
    template.expect("in the frame").datagram(0, payload.len() as u32).expect("fits")
}

fn send(
    backend: &mut impl Backend,
    socket: RawFd,
    to: SendTo,
    header: &Header,
    len: usize,
) -> Result<u32, i32> {
    let buffer = backend.first_spare();
    let len = u32::try_from(len).expect("short");
    let request = SendRequest { socket, to, segment: 0, tag: 3 };
    assert!(backend.send(&request, header, &[Piece { buffer, start: 0, len }]));
    let mut results = Vec::new();
    backend.flush(&mut results).expect("flushes");
    let [(3, result)] = results[..] else { panic!("{results:?}") };
    result
}

fn assert_is_ours(datagram: &Datagram) {
    let seen = (datagram.source, datagram.ttl, datagram.tos, datagram.identification);
    assert_eq!(seen, (FOREIGN, 33, 46 << 2, 77));
    assert_eq!((datagram.source_port, datagram.destination_port), (4001, 5001));
}

/// A frame leaves by AF_PACKET with a virtio header, from an interface without an address.
fn frames_leave<B: Backend>(mut backend: B) {
    let (here, there) = veth();
    listen(&mut backend, there);
    let mut sockets = EgressSockets::new(4, Supplies::default());
    let socket = sockets.frames(here).expect("a packet socket");
    let framing = Framing::of(LinkLayer::Ethernet, [1, 0, 0x5e, 1, 2, 3], [2; 6]);
    let header = outgoing(&mut backend, b"payload").whole(framing);
    let to = |oif| SendTo::Link { oif };
    let taken = send(&mut backend, socket, to(here), &header, 7);
    assert!(taken.is_ok(), "{taken:?}");
    let (datagram, meta, payload) = next(&mut backend);
    assert_is_ours(&datagram);
    assert_eq!(payload, b"payload");
    // A veth carries the unfinished checksum along: the kernel has understood what is missing.
    let (flags, checksum) = (meta.flags & NEEDS_CSUM, datagram.checksum);
    assert_eq!((flags, checksum), (NEEDS_CSUM, Checksum::Partial));
    // Larger than the MTU, no such interface, and one that is down.
    let large = vec![7; 1500];
    let header = outgoing(&mut backend, &large).whole(framing);
    assert_eq!(send(&mut backend, socket, to(here), &header, 1500), Err(libc::EMSGSIZE));
    let gone = send(&mut backend, socket, to(9999), &header, 7);
    assert!(matches!(gone, Err(libc::ENXIO | libc::ENODEV)), "{gone:?}");
    ip("link set here down");
    assert_eq!(send(&mut backend, socket, to(here), &header, 7), Err(libc::ENETDOWN));
}

/// A raw packet leaves by the interface that its control message names, with a source that is not
/// ours, and this host does not hear it.
fn raw_packets_leave_by_the_interface_that_is_named<B: Backend>(mut backend: B) {
    ip("link set lo up");
    let (here, there) = veth();
    ip("address add 10.0.1.1/24 dev here");
    ip("link add other type veth peer name elsewhere");
    ip("link set other up");
    ip("link set elsewhere up");
    carries("other");
    ip("address add 10.0.2.1/24 dev other");
    ip("route add 224.0.0.0/4 dev other");
    let app = UdpSocket::bind((GROUP, 5001)).expect("binds");
    app.join_multicast_v4(&GROUP, &Ipv4Addr::new(10, 0, 1, 1)).expect("joins");
    app.set_nonblocking(true).expect("does not wait");
    listen(&mut backend, there);
    let mut sockets = EgressSockets::new(4, Supplies::default());
    let socket = sockets.packets(here).expect("a raw socket");
    let mut packet = outgoing(&mut backend, b"payload");
    packet.complete(b"payload");
    let header = packet.whole(Framing::Raw);
    let to = SendTo::Raw { to: GROUP, oif: here };
    assert_eq!(send(&mut backend, socket, to, &header, 7), Ok(35));
    let (datagram, meta, payload) = next(&mut backend);
    assert_is_ours(&datagram);
    assert_eq!((meta.flags & NEEDS_CSUM, datagram.checksum), (0, Checksum::Complete));
    assert_eq!(payload, b"payload");
    let heard = app.recv(&mut [0; 64]).expect_err("multicast is not looped");
    assert_eq!(heard.kind(), std::io::ErrorKind::WouldBlock);
    let broadcast = SendTo::Raw { to: Ipv4Addr::new(10, 0, 1, 255), oif: here };
    assert!(send(&mut backend, socket, broadcast, &header, 7).is_ok(), "broadcast is allowed");
    let large = vec![7; 1500];
    let mut packet = outgoing(&mut backend, &large);
    packet.complete(&large);
    let header = packet.whole(Framing::Raw);
    assert_eq!(send(&mut backend, socket, to, &header, 1500), Err(libc::EMSGSIZE));
}

/// Applications on this host get copies that leave by the loopback interface, once, where somebody
/// has joined there; from a UDP socket, a raw socket and as frames.
fn applications_on_this_host_are_reached_over_lo<B: Backend>(mut backend: B) {
    ip("link set lo up");
    let wanted = Membership { index: IfIndex(LO), group: GROUP.into(), source: None };
    let mut memberships = Memberships::new();
    let failed = memberships.set(&[wanted].into());
    assert!(failed.is_empty(), "{failed:?}");
    let app = UdpSocket::bind((GROUP, 5001)).expect("binds");
    app.set_read_timeout(Some(Duration::from_secs(5))).expect("waits for so long");
    // Bound to the group, it hears what any socket of this host has joined (IP_MULTICAST_ALL).
    let mut sockets = EgressSockets::new(4, Supplies::default());
    let flow = FlowId::Source { source: FOREIGN, source_port: 9, unicast: None, oif: LO };
    let udp = sockets.of(flow, 1).expect("a socket");
    let raw = sockets.packets(LO).expect("a raw socket");
    let link = sockets.frames(LO).expect("a packet socket");
    let mut packet = outgoing(&mut backend, b"payload");
    let framing = Framing::of(LinkLayer::Ethernet, [1, 0, 0x5e, 1, 2, 3], [0; 6]);
    let frame = packet.whole(framing);
    packet.complete(b"payload");
    let options = SendOptions { oif: LO, source: Ipv4Addr::LOCALHOST, ttl: 16, tos: 0 };
    let datagram = SendTo::Udp { to: SocketAddrV4::new(GROUP, 5001), options };
    let ours = SocketAddrV4::new(FOREIGN, 4001).into();
    for (n, (socket, to, header, source)) in [
        (udp, datagram, Header::EMPTY, None),
        (raw, SendTo::Raw { to: GROUP, oif: LO }, packet.whole(Framing::Raw), Some(ours)),
        (link, SendTo::Link { oif: LO }, frame, Some(ours)),
    ]
    .into_iter()
    .enumerate()
    {
        let taken = send(&mut backend, socket, to, &header, 7);
        assert!(taken.is_ok(), "{to:?} {taken:?}");
        let mut buffer = [0; 64];
        // A source that is nobody's is refused by the host itself where it checks routes back.
        match (app.recv_from(&mut buffer), source) {
            (Ok((7, from)), Some(source)) => assert_eq!(from, source, "row {n}"),
            (Ok((7, from)), None) => assert_eq!(from.ip(), Ipv4Addr::LOCALHOST, "row {n}"),
            (other, _) => panic!("row {n}: {other:?}"),
        }
    }
    app.set_nonblocking(true).expect("does not wait");
    let again = app.recv(&mut [0; 64]).expect_err("each came once");
    assert_eq!(again.kind(), std::io::ErrorKind::WouldBlock);
}

/// Waits for so many frames of the unknown protocol 0x88b5: number and length of each, and whether it was in
/// the ring. The last batch is not given back.
fn numbered(
    backend: &mut UringBackend,
    count: usize,
    events: &mut Vec<PortEvent>,
) -> (Vec<(u32, u32, bool)>, Vec<Frame>) {
    let (mut seen, mut frames) = (Vec::new(), Vec::new());
    while seen.len() < count {
        backend.recycle(&frames);
        frames.clear();
        let is_late = backend.receive(&mut frames, events).expect("receives");
        assert!(!is_late, "nothing comes: {seen:?}");
        for frame in &frames {
            let bytes = &backend.buffer(frame.buffer)[frame.start as usize..][..frame.len as usize];
            if let Some(number) = test_frames::number(bytes) {
                seen.push((number, frame.len, frame.buffer > u32::from(u16::MAX)));
            }
        }
    }
    (seen, frames)
}

/// Sends frames of these lengths, numbered from `first` on.
fn send_numbered(oif: u32, first: u32, lengths: &[usize]) {
    let sender = test_frames::sender();
    for (len, number) in lengths.iter().zip(first..) {
        test_frames::send(&sender, oif, number, *len);
    }
}

#[test]
fn a_ring_s_frames_and_those_beside_it_come_in_order() {
    run(|| {
        let (here, there) = veth();
        ip("link set here mtu 9000");
        ip("link set there mtu 9000");
        let (mut backend, mut events) = (uring(), Vec::new());
        let handle = listen_with(&mut backend, there, true);
        // More than the ring has slots, and than buffers are lent, in several goes.
        let lengths = [60, 1500, 1900, 3000, 61, 9000, 64, 8000];
        for go in 0..30 {
            send_numbered(here, go * 8, &lengths);
            let (seen, frames) = numbered(&mut backend, 8, &mut events);
            let expected = lengths.iter().zip(go * 8..);
            let expected: Vec<_> = expected.map(|(len, n)| (n, *len as u32, *len < 2000)).collect();
            assert_eq!(seen, expected);
            backend.recycle(&frames);
        }
        assert!(events.is_empty(), "{events:?}");
        // Without room beside the ring: named, and what comes after it is there.
        let socket = backend.socket(handle).expect("is open");
        packet::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &1i32).expect("is set");
        send_numbered(here, 1000, &[9000, 9000, 9000, 60]);
        let mut numbers = Vec::new();
        while numbers.last() != Some(&1003) {
            let (seen, frames) = numbered(&mut backend, 1, &mut events);
            numbers.extend(seen.into_iter().map(|(number, ..)| number));
            backend.recycle(&frames);
        }
        let no_room = events.iter().filter(|event| matches!(event, PortEvent::NoRoom(_))).count();
        assert_eq!((no_room + numbers.len(), no_room >= 2), (4, true), "{numbers:?} {events:?}");
    });
}

#[test]
fn a_ring_goes_from_one_backend_to_another_and_loses_nothing() {
    run(|| {
        let (here, there) = veth();
        let (mut backend, mut events) = (uring(), Vec::new());
        let mut handle = listen_with(&mut backend, there, true);
        for go in 0..5 {
            send_numbered(here, go * 10, &[60; 10]);
            let (seen, frames) = numbered(&mut backend, 10, &mut events);
            assert_eq!(seen.first().map(|seen| seen.0), Some(go * 10));
            backend.recycle(&frames);
            backend.close(handle);
            // What comes meanwhile waits.
            send_numbered(here, 1000 + go, &[60]);
            let socket = loop {
                let mut frames = Vec::new();
                let is_late = backend.receive(&mut frames, &mut events).expect("receives");
                assert!(!is_late && frames.is_empty(), "{frames:?}");
                if let Some(PortEvent::Closed(closed, socket)) = events.pop() {
                    assert_eq!(closed, handle);
                    break socket;
                }
            };
            backend = uring();
            handle = backend.open(socket, Ingress::Packet(LinkLayer::Ethernet)).expect("opens");
            let (seen, frames) = numbered(&mut backend, 1, &mut events);
            assert_eq!(seen, [(1000 + go, 60, true)]);
            backend.recycle(&frames);
        }
        // A worker without io_uring says that it cannot read it.
        let mut other = syscalls();
        let socket = packet::socket().expect("a packet socket");
        packet_ring::give_ring(socket.as_fd(), 65_536).expect("a ring");
        let refused =
            other.open(socket, Ingress::Packet(LinkLayer::Ethernet)).expect_err("refused");
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
    });
}

macro_rules! for_both {
    ($($name:ident)+) => {
        mod on_uring {
            $(#[test] fn $name() { super::run(|| super::$name(super::uring())); })+
        }
        mod on_syscalls {
            $(#[test] fn $name() { super::run(|| super::$name(super::syscalls())); })+
        }
    };
}

for_both! {
    frames_leave
    raw_packets_leave_by_the_interface_that_is_named
    applications_on_this_host_are_reached_over_lo
}
