//! Both backends on real sockets over loopback: the same tests for each.

use super::*;
use crate::dataplane::syscalls::SyscallBackend;
use crate::dataplane::uring::UringBackend;
use crate::sys::packet;
use crate::wire::checksum;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Few, so that all of them are used many times.
const BUFFERS: usize = 64;

struct Bench<B> {
    backend: B,
    wake: EventFd,
    frames: Vec<Frame>,
    events: Vec<PortEvent>,
}

impl<B: Backend> Bench<B> {
    fn new(make: impl FnOnce(OwnedFd) -> B) -> Self {
        let wake =
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).expect("eventfd");
        let theirs = nix::unistd::dup(&wake).expect("dup");
        Self { backend: make(theirs), wake, frames: Vec::new(), events: Vec::new() }
    }

    fn turn(&mut self) -> bool {
        self.backend.receive(&mut self.frames, &mut self.events).expect("receives")
    }

    fn bytes(&self, frame: &Frame) -> &[u8] {
        &self.backend.buffer(frame.buffer)[frame.start as usize..][..frame.len as usize]
    }

    fn recycle(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        self.backend.recycle(&frames);
    }
}

fn input() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    packet::set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, &1i32).expect("ttl");
    packet::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, &1i32).expect("gro");
    let std::net::SocketAddr::V4(local) = socket.local_addr().expect("bound") else {
        panic!("IPv4")
    };
    (socket, local)
}

fn open<B: Backend>(bench: &mut Bench<B>) -> (PortHandle, SocketAddrV4) {
    let (socket, local) = input();
    let handle = bench.backend.open(socket.into(), Ingress::Udp(local)).expect("opens");
    (handle, local)
}

/// Many more datagrams than there are buffers come in, unchanged and in order, and go out so.
fn relays<B: Backend>(mut bench: Bench<B>) {
    const COUNT: usize = 40 * BUFFERS;
    let (port, local) = open(&mut bench);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    sender.set_ttl(33).expect("ttl");
    let sink = UdpSocket::bind("127.0.0.1:0").expect("binds");
    sink.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let out = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let std::net::SocketAddr::V4(to) = sink.local_addr().expect("bound") else { panic!("IPv4") };
    let options = SendOptions { oif: 0, source: Ipv4Addr::LOCALHOST, ttl: 16, tos: 0 };
    let (mut next_in, mut next_out) = (0usize, 0usize);
    for n in 0..COUNT {
        let payload = vec![n as u8; 4 + n % 700];
        let mut payload = payload;
        payload[..4].copy_from_slice(&(n as u32).to_be_bytes());
        sender.send_to(&payload, local).expect("sends");
        if n % 50 != 49 && n + 1 != COUNT {
            continue;
        }
        while next_in <= n {
            bench.turn();
            let mut results = Vec::new();
            let frames = bench.frames.clone();
            for (tag, frame) in frames.iter().enumerate() {
                let bytes = bench.bytes(frame);
                assert_eq!(bytes[..4], (next_in as u32).to_be_bytes());
                assert_eq!(bytes.len(), 4 + next_in % 700);
                let About::Udp { source, ttl, truncated, .. } = frame.about else { panic!("UDP") };
                assert_eq!(source.port(), sender.local_addr().expect("bound").port());
                assert_eq!((ttl, truncated, frame.port), (33, false, port));
                next_in += 1;
                let request = SendRequest {
                    socket: out.as_raw_fd(),
                    to: SendTo::Udp { to, options },
                    segment: 0,
                    tag: tag as u32,
                };
                let piece = Piece { buffer: frame.buffer, start: frame.start, len: frame.len };
                assert!(bench.backend.send(&request, &Header::EMPTY, &[piece]));
            }
            bench.backend.flush(&mut results).expect("flushes");
            assert_eq!(results.len(), frames.len());
            for (tag, result) in results {
                assert_eq!(result, Ok(frames[tag as usize].len));
            }
            bench.recycle();
        }
        let mut buffer = [0u8; 2048];
        while next_out <= n {
            let len = sink.recv(&mut buffer).expect("arrives");
            assert_eq!(buffer[..4], (next_out as u32).to_be_bytes());
            assert_eq!(len, 4 + next_out % 700);
            next_out += 1;
        }
    }
    assert_eq!(bench.backend.trouble().1, 0, "no stale completion");
}

/// Waits until an address can be bound. A process that another test starts has our descriptors for
/// a moment, between fork and exec.
fn becomes_free(local: SocketAddrV4) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = UdpSocket::bind(local) {
        assert!(Instant::now() < deadline, "the socket is closed: {error}");
        std::thread::yield_now();
    }
}

/// Ports come and go; each close ends with one event, and the port's number is free again.
fn closes<B: Backend>(mut bench: Bench<B>) {
    for _ in 0..50 {
        let (port, local) = open(&mut bench);
        let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
        sender.send_to(b"before", local).expect("sends");
        while bench.frames.is_empty() {
            bench.turn();
        }
        bench.recycle();
        bench.backend.close(port);
        while bench.events.is_empty() {
            bench.turn();
        }
        bench.recycle();
        assert!(
            matches!(bench.events[..], [PortEvent::Closed(handle, _)] if handle == port),
            "{:?}",
            bench.events
        );
        bench.events.clear();
        // Nobody has the address any more.
        becomes_free(local);
    }
    assert_eq!(bench.backend.trouble().1, 0, "no stale completion");
}

/// A handle is not given out again before its close has come to its end, and what is queued by
/// then is counted.
fn reuses_no_handle_too_early<B: Backend>(mut bench: Bench<B>) {
    let (first, local) = open(&mut bench);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    for _ in 0..3 {
        sender.send_to(b"queued", local).expect("sends");
    }
    bench.backend.close(first);
    let (second, _) = open(&mut bench);
    assert_ne!(first, second);
    while bench.events.is_empty() {
        bench.turn();
    }
    let Some(PortEvent::Closed(closed, socket)) = bench.events.pop() else {
        panic!("{:?}", bench.events)
    };
    assert_eq!((closed, bench.events.len()), (first, 0));
    let queued = crate::sys::packet::discard_queued(socket.as_fd());
    assert_eq!(bench.frames.len() as u64 + queued, 3, "each was taken or counted");
    bench.recycle();
}

fn wakes<B: Backend>(mut bench: Bench<B>) {
    for _ in 0..3 {
        bench.wake.write(1).expect("wakes");
        while !bench.turn() {}
    }
}

/// What cannot be sent says why; what is sent after it is not touched by it.
fn refuses<B: Backend>(mut bench: Bench<B>) {
    let (_, local) = open(&mut bench);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    sender.send_to(&[7; 1000], local).expect("sends");
    while bench.frames.is_empty() {
        bench.turn();
    }
    let frame = bench.frames[0];
    let out = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let request = |oif, tag| SendRequest {
        socket: out.as_raw_fd(),
        to: SendTo::Udp {
            to: local,
            options: SendOptions { oif, source: Ipv4Addr::UNSPECIFIED, ttl: 16, tos: 0 },
        },
        segment: 0,
        tag,
    };
    let piece = |len| Piece { buffer: frame.buffer, start: frame.start, len };
    let none = Header::EMPTY;
    assert!(bench.backend.send(&request(0, 0), &none, &[piece(1000)]));
    assert!(bench.backend.send(&request(999_999, 1), &none, &[piece(1000)]));
    assert!(bench.backend.send(&request(0, 2), &none, &[piece(10)]));
    let too_long = u32::try_from(BUFFER_LEN).expect("small") + 1;
    assert!(!bench.backend.send(&request(0, 3), &none, &[piece(10), piece(too_long)]));
    let elsewhere = Piece { buffer: u32::MAX, ..piece(1) };
    assert!(!bench.backend.send(&request(0, 3), &none, &[elsewhere]));
    assert!(bench.backend.has_room(PIECES - 10) && !bench.backend.has_room(PIECES + SENDS));
    let mut results = Vec::new();
    bench.backend.flush(&mut results).expect("flushes");
    results.sort_unstable();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0], (0, Ok(1000)));
    assert!(
        matches!(results[1], (1, Err(libc::ENODEV | libc::ENXIO | libc::ENETUNREACH))),
        "{results:?}"
    );
    assert_eq!(results[2], (2, Ok(10)));
    bench.recycle();
}

/// Dropped while receives are armed and data is queued: nothing hangs, the sockets are closed.
fn drops_while_armed<B: Backend>(mut bench: Bench<B>) {
    let locals: Vec<SocketAddrV4> = (0..8).map(|_| open(&mut bench).1).collect();
    bench.wake.write(1).expect("wakes");
    while !bench.turn() {}
    drop(bench);
    for local in locals {
        becomes_free(local);
    }
}

/// A spare buffer takes what is copied and written, nothing is received into it, and what is sent
/// from it stands behind the header.
fn sends_from_spare_buffers_behind_a_header<B: Backend>(mut bench: Bench<B>) {
    let (_, local) = open(&mut bench);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let sink = UdpSocket::bind("127.0.0.1:0").expect("binds");
    sink.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let std::net::SocketAddr::V4(to) = sink.local_addr().expect("bound") else { panic!("IPv4") };
    let first = bench.backend.first_spare();
    let last = first + u32::try_from(SPARES).expect("few") - 1;
    assert!(bench.backend.spare(last + 1).is_empty());
    assert!(bench.backend.spare(first - 1).is_empty());
    assert_eq!(bench.backend.spare(first).len(), BUFFER_LEN);
    let out = UdpSocket::bind("127.0.0.1:0").expect("binds");
    for n in 0..3 * BUFFERS as u32 {
        let spare = if n % 2 == 0 { first } else { last };
        sender.send_to(&[n as u8; 100], local).expect("sends");
        while bench.frames.is_empty() {
            bench.turn();
        }
        let frame = bench.frames[0];
        assert!(frame.buffer < first);
        let from = (frame.buffer, frame.start, frame.len);
        assert!(bench.backend.copy_to_spare(from, spare, 65_000));
        assert!(!bench.backend.copy_to_spare(from, spare, BUFFER_LEN as u32 - 99));
        bench.recycle();
        bench.backend.spare(spare)[65_000] = 0xaa;
        assert_eq!(bench.backend.buffer(spare)[65_000..65_003], [0xaa, n as u8, n as u8]);
        let mut header = Header::EMPTY;
        header.push(b"before ");
        let options = SendOptions { oif: 0, source: Ipv4Addr::LOCALHOST, ttl: 16, tos: 0 };
        let request = SendRequest {
            socket: out.as_raw_fd(),
            to: SendTo::Udp { to, options },
            segment: 0,
            tag: 5,
        };
        let piece = Piece { buffer: spare, start: 65_000, len: 100 };
        assert!(bench.backend.send(&request, &header, &[piece]));
        let mut results = Vec::new();
        bench.backend.flush(&mut results).expect("flushes");
        assert!(matches!(results[..], [(5, Ok(_))]), "{results:?}");
        let mut got = [0; 200];
        let len = sink.recv(&mut got).expect("arrives");
        assert_eq!((&got[..9], len), (&[b"before \xaa".as_slice(), &[n as u8]].concat()[..], 107));
    }
}

/// One send of many pieces leaves as several datagrams, cut where the segment size says.
fn cuts_trains<B: Backend>(mut bench: Bench<B>) {
    let sink = UdpSocket::bind("127.0.0.1:0").expect("binds");
    sink.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let std::net::SocketAddr::V4(to) = sink.local_addr().expect("bound") else { panic!("IPv4") };
    let out = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let spare = bench.backend.first_spare();
    for (n, byte) in bench.backend.spare(spare).iter_mut().enumerate() {
        *byte = (n * 31 % 251) as u8;
    }
    let expected: Vec<u8> = bench.backend.buffer(spare).to_vec();
    let options = SendOptions { oif: 0, source: Ipv4Addr::LOCALHOST, ttl: 16, tos: 0 };
    let request = SendRequest {
        socket: out.as_raw_fd(),
        to: SendTo::Udp { to, options },
        segment: 700,
        tag: 9,
    };
    // 64 datagrams of 700 bytes, but for the last of 13, in pieces of other lengths.
    let (mut pieces, mut start) = (Vec::new(), 0u32);
    let total = 63 * 700 + 13;
    for len in [1, 699, 700, 2100, 333].into_iter().cycle() {
        let len = len.min(total - start);
        pieces.push(Piece { buffer: spare, start: 5 + start, len });
        start += len;
        if start == total {
            break;
        }
    }
    assert!(bench.backend.send(&request, &Header::EMPTY, &pieces));
    let mut results = Vec::new();
    bench.backend.flush(&mut results).expect("flushes");
    assert_eq!(results, [(9, Ok(total))]);
    let mut got = [0; 2000];
    for n in 0..64 {
        let len = sink.recv(&mut got).expect("arrives");
        assert_eq!(len, if n == 63 { 13 } else { 700 });
        assert_eq!(got[..len], expected[5 + n * 700..][..len]);
    }
}

/// Frames and the wake-up are seen while the backend asks without sleeping, and after that too.
fn polls_busily<B: Backend>(mut bench: Bench<B>) {
    let (_, local) = open(&mut bench);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    for (how_long, late) in [(60_000, 0), (1, 20)] {
        bench.backend.set_busy_poll(Duration::from_millis(how_long));
        let (sender, wake) =
            (sender.try_clone().expect("dup"), bench.wake.as_fd().try_clone_to_owned());
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(late));
            sender.send_to(b"here", local).expect("sends");
            nix::unistd::write(wake.expect("dup"), &1u64.to_ne_bytes()).expect("wakes");
        });
        let mut woken = false;
        while !woken || bench.frames.is_empty() {
            woken |= bench.turn();
        }
        other.join().expect("ends");
        assert_eq!(bench.bytes(&bench.frames[0].clone()), b"here");
        bench.recycle();
    }
}

/// A checksum that was left to the device is filled in where it is.
fn completes_checksums<B: Backend>(mut bench: Bench<B>) {
    let spare = bench.backend.first_spare();
    let data: Vec<u8> = (0..101u8).collect();
    bench.backend.spare(spare)[7..108].copy_from_slice(&data);
    assert!(bench.backend.complete_checksum(spare, 7, 101, 6));
    let mut whole = bench.backend.buffer(spare)[7..108].to_vec();
    // What was in the field was part of the sum.
    let check = u16::from_be_bytes([whole[6], whole[7]]);
    whole[6..8].copy_from_slice(&data[6..8]);
    assert_eq!(check, !checksum::Sum::default().bytes(&whole).fold());
    for (start, len, at) in [(7, 101, 100), (7, 101, 7), (BUFFER_LEN as u32 - 10, 11, 0)] {
        assert!(!bench.backend.complete_checksum(spare, start, len, at));
    }
}

macro_rules! for_both {
    ($($name:ident)+) => {
        mod uring {
            use super::*;
            fn bench() -> Bench<UringBackend> {
                Bench::new(|wake| UringBackend::new(wake, BUFFERS).expect("io_uring works here"))
            }
            $(#[test] fn $name() { super::$name(bench()); })+
        }
        mod syscalls {
            use super::*;
            $(#[test] fn $name() { super::$name(Bench::new(|wake| SyscallBackend::new(wake, BUFFERS))); })+
        }
    };
}

for_both!(relays sends_from_spare_buffers_behind_a_header cuts_trains completes_checksums polls_busily closes reuses_no_handle_too_early wakes refuses drops_while_armed);
