//! A worker on a backend of memory: what it sends, and that every frame and copy is counted once.

mod checksums;
mod cuts;
mod fields;
mod forwarding;
mod fragments;
mod packets;
mod refusals;
mod sums;
mod trains;

use super::*;
use crate::dataplane::ancillary::SendOptions;
use crate::dataplane::backend::{About, Frame, Header, PIECES, Piece, SPARES, SendRequest, SendTo};
use crate::dataplane::decode::{
    self, DATA_VALID, Datagram, FrameMeta, GSO_UDP_L4, NEEDS_CSUM, Packet,
};
use crate::fib::counters::OutputCounters;
use crate::fib::{Action, Builder, CopyOut, Egress, OutputSlot, Resolved, RuleSlot, Send, Target};
use crate::types::{
    DropStage, Dscp, LinkLayer, MtuPolicy, Protocol, SourceFilter, Ttl, VlanFilter,
};
use etherparse::PacketBuilder;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};

/// What one round of the loop brings.
#[derive(Default)]
struct Turn {
    frames: Vec<(u32, About, Vec<u8>)>,
    events: Vec<PortEvent>,
    /// Found when the batch is done.
    commands: Vec<ToWorker>,
    /// What the clock shows from now on, in seconds.
    at: Option<u64>,
}

thread_local! {
    /// What the clock shows, and how often it was asked.
    static CLOCK: Cell<(Time, u64)> = const { Cell::new((Time(0), 0)) };
}

fn now() -> Time {
    let (time, reads) = CLOCK.get();
    CLOCK.set((time, reads + 1));
    time
}

/// What the kernel answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Sent,
    Errno(i32),
    /// The backend does not queue it.
    Unqueued,
}

/// A send as the kernel would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    to: SocketAddrV4,
    oif: u32,
    source: Ipv4Addr,
    ttl: u8,
    tos: u8,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Log {
    sent: Vec<Seen>,
    /// How many datagrams each send from a UDP socket had.
    trains: Vec<usize>,
    /// What was sent with headers of ours.
    packets: Vec<(SendTo, Vec<u8>)>,
    flushes: Vec<usize>,
    recycled: usize,
    closed: Vec<PortHandle>,
}

struct Fake<A> {
    turns: VecDeque<Turn>,
    commands: Sender<ToWorker>,
    buffers: Vec<Vec<u8>>,
    spares: Vec<Vec<u8>>,
    queued: Vec<(SendRequest, Header, Vec<Piece>, Answer)>,
    answer: A,
    ports: u32,
    log: Rc<RefCell<Log>>,
}

impl<A: FnMut(&SendRequest) -> Answer> Backend for Fake<A> {
    fn open(&mut self, _: OwnedFd, ingress: Ingress) -> io::Result<PortHandle> {
        if ingress == UNOPENABLE {
            return Err(io::Error::other("no such thing"));
        }
        self.ports += 1;
        Ok(PortHandle(self.ports - 1))
    }

    fn close(&mut self, port: PortHandle) {
        self.log.borrow_mut().closed.push(port);
    }

    fn receive(
        &mut self,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) -> io::Result<bool> {
        assert!(frames.is_empty() && events.is_empty() && self.queued.is_empty());
        self.buffers.clear();
        let turn = self.turns.pop_front().unwrap_or_else(|| Turn {
            commands: vec![ToWorker::Collect(77), ToWorker::Stop],
            ..Turn::default()
        });
        if let Some(seconds) = turn.at {
            CLOCK.set((Time(seconds * 1_000_000_000), CLOCK.get().1));
        }
        for (port, about, bytes) in turn.frames {
            let buffer = u32::try_from(self.buffers.len()).expect("few");
            let len = u32::try_from(bytes.len()).expect("short");
            // Something stands before the frame in its buffer.
            self.buffers.push([&[0xee; 3][..], &bytes].concat());
            frames.push(Frame { port: PortHandle(port), buffer, start: 3, len, about });
        }
        events.extend(turn.events);
        let woken = !turn.commands.is_empty();
        for command in turn.commands {
            self.commands.send(command).expect("the worker listens");
        }
        Ok(woken)
    }

    fn socket(&self, _: PortHandle) -> Option<BorrowedFd<'_>> {
        None
    }

    fn set_busy_poll(&mut self, how_long: Duration) {
        assert!(how_long.is_zero(), "no test asks for it");
    }

    fn buffer(&self, buffer: u32) -> &[u8] {
        match buffer.checked_sub(FIRST_SPARE) {
            Some(spare) => &self.spares[spare as usize],
            None => &self.buffers[buffer as usize],
        }
    }

    fn first_spare(&self) -> u32 {
        FIRST_SPARE
    }

    fn spare(&mut self, spare: u32) -> &mut [u8] {
        let pieces = || self.queued.iter().flat_map(|(_, _, pieces, _)| pieces);
        assert!(!pieces().any(|piece| piece.buffer == spare), "in use");
        &mut self.spares[(spare - FIRST_SPARE) as usize]
    }

    fn copy_to_spare(&mut self, from: (u32, u32, u32), spare: u32, at: u32) -> bool {
        let (buffer, start, len) = (from.0 as usize, from.1 as usize, from.2 as usize);
        let bytes = self.buffers[buffer][start..start + len].to_vec();
        self.spare(spare)[at as usize..at as usize + len].copy_from_slice(&bytes);
        true
    }

    fn complete_checksum(&mut self, buffer: u32, start: u32, len: u32, at: u32) -> bool {
        let (start, len) = (start as usize, len as usize);
        let part = self.buffers[buffer as usize].get_mut(start..start + len);
        part.is_some_and(|part| crate::wire::checksum::complete(part, at as usize))
    }

    fn has_room(&self, pieces: usize) -> bool {
        let queued: usize = self.queued.iter().map(|(_, _, pieces, _)| pieces.len()).sum();
        self.queued.len() < SENDS && queued + pieces <= PIECES
    }

    fn send(&mut self, request: &SendRequest, header: &Header, pieces: &[Piece]) -> bool {
        assert!(self.has_room(pieces.len()), "more than the backend takes");
        let answer = (self.answer)(request);
        if matches!(answer, Answer::Unqueued) {
            return false;
        }
        self.queued.push((*request, *header, pieces.to_vec(), answer));
        true
    }

    fn flush(&mut self, results: &mut Vec<SendResult>) -> io::Result<()> {
        let mut log = self.log.borrow_mut();
        log.flushes.push(self.queued.len());
        for (request, header, pieces, answer) in &self.queued {
            let mut payload = Vec::new();
            for piece in pieces {
                let (start, len) = (piece.start as usize, piece.len as usize);
                payload.extend_from_slice(&self.buffer(piece.buffer)[start..start + len]);
            }
            let result = match answer {
                Answer::Errno(errno) => Err(*errno),
                _ => Ok(u32::try_from(payload.len()).expect("short")),
            };
            if result.is_ok() {
                match request.to {
                    SendTo::Udp { to, options } => {
                        assert!(header.bytes().is_empty());
                        let SendOptions { oif, source, ttl, tos } = options;
                        let whole = [&payload[..]];
                        let segments: Vec<&[u8]> = match usize::from(request.segment) {
                            0 => whole.to_vec(),
                            segment => payload.chunks(segment).collect(),
                        };
                        assert!(segments.len() <= 64, "the kernel takes no more");
                        log.trains.push(segments.len());
                        log.sent.extend(segments.iter().map(|payload| Seen {
                            to,
                            oif,
                            source,
                            ttl,
                            tos,
                            payload: payload.to_vec(),
                        }));
                    }
                    to => log.packets.push((to, [header.bytes(), &payload].concat())),
                }
            }
            results.push((request.tag, result));
        }
        // Results come in any order: the tag says whose they are.
        results.reverse();
        self.queued.clear();
        Ok(())
    }

    fn recycle(&mut self, frames: &[Frame]) {
        self.log.borrow_mut().recycled += frames.len();
    }

    fn trouble(&self) -> (u64, u64) {
        (5, 6)
    }
}

/// What a worker has done in the end.
struct Outcome {
    log: Log,
    messages: Vec<FromWorker>,
    report: Report,
}

impl Outcome {
    fn output(&self, slot: u32) -> OutputCounters {
        self.report.slots.outputs[slot as usize].clone()
    }

    fn port(&self, id: u32) -> &PortCounters {
        let found = self.report.ports.iter().find(|(port, _)| port.0 == id);
        &found.expect("is open").1
    }
}

fn run(turns: Vec<Turn>, answer: impl FnMut(&SendRequest) -> Answer) -> Outcome {
    let (commands, inbox) = channel();
    let log = Rc::new(RefCell::new(Log::default()));
    CLOCK.set((Time(0), 0));
    let backend = Fake {
        spares: vec![vec![0; crate::dataplane::backend::BUFFER_LEN]; SPARES],
        turns: turns.into(),
        commands,
        buffers: Vec::new(),
        queued: Vec::new(),
        answer,
        ports: 0,
        log: Rc::clone(&log),
    };
    let mut messages = Vec::new();
    let means = Means { max_sockets: 1024, ..Means::default() };
    let worker = Worker::new(backend, inbox, |message| messages.push(message), means, now);
    worker.run().expect("runs");
    let Some(FromWorker::Report(report)) = messages.pop() else { panic!("no report") };
    assert_eq!(report.request, 77);
    assert_eq!((report.worker.buffers_exhausted, report.worker.stale_completions), (5, 6));
    let log = log.take();
    Outcome { log, messages, report: *report }
}

fn sent(_: &SendRequest) -> Answer {
    Answer::Sent
}

fn open(id: u32, ingress: Ingress) -> ToWorker {
    let socket = std::fs::File::open("/dev/null").expect("opens").into();
    let counters = PortCounters::default();
    ToWorker::Open(Port { id: PortId(id), iif: IfIndex(id + 1), ingress, socket, counters })
}

/// A socket with so many datagrams queued.
fn queue(count: usize) -> OwnedFd {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
    for _ in 0..count {
        theirs.send(b"queued").expect("sends");
    }
    ours.into()
}

/// The number of the first spare buffer.
const FIRST_SPARE: u32 = 1_000_000;
/// What the backend of memory refuses to open.
const UNOPENABLE: Ingress = Ingress::Udp(SocketAddrV4::new(Ipv4Addr::BROADCAST, 1));
const PACKET: Ingress = Ingress::Packet(LinkLayer::Ethernet);
const LOCAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 1), 5000);

fn group(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 1, 1, n)
}

/// Republished on an interface.
fn sent_on(oif: u32, ttl: Ttl) -> Send {
    Send {
        oif: Some(IfIndex(oif)),
        target: Target::UNCHANGED,
        port: None,
        ttl,
        dscp: Dscp::Keep,
        egress: Egress::Socket { source: Some(Ipv4Addr::new(10, 0, 9, 1).into()), port: None },
        broadcast: false,
        mtu: None,
        mtu_policy: MtuPolicy::Fragment,
        limit: None,
        burst: None,
    }
}

fn to(oif: u32, ttl: Ttl) -> Action {
    Action::Send(sent_on(oif, ttl))
}

fn unicast() -> Action {
    Action::Send(Send {
        oif: None,
        target: Target::Set(Ipv4Addr::new(192, 0, 2, 1).into()),
        port: Some(6000),
        egress: Egress::Socket { source: None, port: None },
        ..sent_on(0, Ttl::Set(16))
    })
}

fn resolved(
    slot: u32,
    iif: u32,
    destination: Ipv4Addr,
    vlan: VlanFilter,
    actions: &[Action],
    first: u32,
) -> Resolved {
    let copies = (first..).zip(actions);
    let copies = copies.map(|(slot, &action)| CopyOut { slot: OutputSlot(slot), action });
    Resolved {
        slot: RuleSlot(slot),
        iif: IfIndex(iif),
        vlan,
        groups: vec![IpAddr::V4(destination).into()],
        ports: Vec::new(),
        sources: SourceFilter::default(),
        protocol: Protocol::Any,
        link_local: false,
        copies: copies.collect(),
    }
}

/// Rules one after the other: interface, destination and actions; slots in the order of mention.
fn table(generation: u64, rules: &[(u32, Ipv4Addr, Vec<Action>)]) -> Fib {
    let mut builder = Builder::default();
    let mut slots = 0;
    for (n, (iif, destination, actions)) in (0..).zip(rules) {
        let first = slots;
        slots += u32::try_from(actions.len()).expect("few");
        builder.rule(resolved(n, *iif, *destination, VlanFilter::Untagged, actions, first));
    }
    builder.own_address(IfIndex(1), IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)));
    builder.build(generation).fib
}

fn publish(fib: Fib) -> ToWorker {
    ToWorker::Publish {
        meters: Meters::default().follow(&fib),
        fib: Arc::new(fib),
        reset_rules: Vec::new(),
        reset_outputs: Vec::new(),
    }
}

/// The first turn: port 0 on interface 1 and a table.
fn start(actions: Vec<Action>) -> Turn {
    let commands = vec![open(0, PACKET), publish(table(1, &[(1, group(1), actions)]))];
    Turn { commands, ..Turn::default() }
}

fn packet(source: u8, group: Ipv4Addr, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [1, 0, 0x5e, 1, 1, 1])
        .ipv4([10, 0, 1, source], group.octets(), ttl)
        .udp(40_000, 5000);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).expect("fits");
    bytes
}

const PLAIN: About = About::Packet(FrameMeta::plain(LinkLayer::Ethernet));

/// What the kernel says of an IPv4 frame whose checksum it left to the device.
fn partial(bytes: &[u8]) -> FrameMeta {
    let start = 14 + u16::from(bytes[14] & 0x0f) * 4;
    FrameMeta {
        flags: NEEDS_CSUM,
        checksum_start: start,
        checksum_offset: if bytes[23] == 6 { 16 } else { 6 },
        ..FrameMeta::plain(LinkLayer::Ethernet)
    }
}

fn super_frame(segment: u16) -> About {
    About::Packet(FrameMeta {
        gso_type: GSO_UDP_L4,
        gso_size: segment,
        flags: NEEDS_CSUM,
        checksum_start: 34,
        checksum_offset: 6,
        ..FrameMeta::plain(LinkLayer::Ethernet)
    })
}

fn frames(frames: Vec<(u32, About, Vec<u8>)>) -> Turn {
    Turn { frames, ..Turn::default() }
}

/// One datagram of 9 bytes that arrives with this TTL.
fn one(ttl: u8) -> Turn {
    frames(vec![(0, PLAIN, packet(9, group(1), ttl, b"nine byte"))])
}
