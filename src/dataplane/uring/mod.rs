//! Unsafe fence B: the io_uring backend.
//!
//! The invariants that every unsafe block here rests on:
//!
//! 1. Every pointer in a submission points into memory that [`UringBackend`] owns: the buffer
//!    pool, the rings of ports, the send slots, or a port's boxed `msghdr`.
//! 2. A send slot, with the header bytes in it, belongs to the kernel from its submission to its
//!    completion; a receive buffer from `BufferPool::give` to the completion that names it. A spare
//!    buffer is never given, and the slot of a ring is ours from `PacketRing::take` to `PacketRing::give`, after the batch.
//! 3. Drop cancels and reaps until nothing is in flight; where that fails, the memory is leaked
//!    and never freed.
//! 4. Descriptors are closed only after the last completion of what uses them.
//! 5. A completion's token carries a generation; a stale one is counted and ignored.
//! 6. What is in flight fits the completion queue: sends are bounded by [`SENDS`], receive
//!    completions by the number of buffers, and each port and the wake-up add one.
#![allow(unsafe_code)]

mod completions;
mod message;
mod pool;
mod probe;
mod rings;
mod setup;
mod slots;
mod teardown;
mod token;

use super::backend::{
    BUFFER_LEN, Backend, Frame, Header, Piece, PortEvent, PortHandle, SENDS, SPARES, SendRequest,
    SendResult,
};
use super::link::Ingress;
use crate::clock;
use crate::sys::packet_ring::PacketRing;
use crate::wire::checksum;
use completions::Completion;
use io_uring::{IoUring, opcode, squeue, types};
use pool::BufferPool;
use rings::Place;
use setup::{build_ring, is_transient};
use slab::Slab;
use slots::SendSlots;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use token::{Kind, Token};

/// The buffer group's number; one group serves all ports.
const GROUP: u16 = 0;
/// Completion queue entries (invariant 6), beside one for each receive buffer.
const COMPLETIONS: u32 = 4096;
/// `IORING_ENTER_GETEVENTS` (io_uring_enter(2)): do what waits to be done for completions.
const GET_EVENTS: u32 = 1;
/// Room for the control data of a frame or payload.
const CONTROL_LEN: usize = 128;
/// Room for the source address of a payload (`struct sockaddr_in`).
const NAME_LEN: usize = 16;

struct PortState {
    socket: OwnedFd,
    ingress: Ingress,
    /// The kernel reads lengths from it when the receive is armed; it stays put while armed.
    header: Box<libc::msghdr>,
    /// Its frames come in this ring; what is armed is a poll then.
    ring: Option<PacketRing>,
    armed: bool,
    closing: bool,
    errors: u32,
}

/// io_uring with multishot recvmsg from a shared buffer ring, and one submission for all sends of
/// a batch.
pub struct UringBackend {
    /// Declared first, dropped by hand: see [`Drop`].
    ring: ManuallyDrop<IoUring>,
    pool: ManuallyDrop<BufferPool>,
    slots: ManuallyDrop<SendSlots>,
    ports: Slab<PortState>,
    /// By place in `ports`; survives the port (invariant 5).
    generations: Vec<u32>,
    wake: OwnedFd,
    wake_armed: bool,
    rearm: Vec<PortHandle>,
    /// Ports with rings, and which of them is asked first.
    ring_ports: Vec<PortHandle>,
    ring_turn: usize,
    /// The kernel was asked for completions since the last batch.
    entered: bool,
    /// Completions of receives that came in while sends were awaited.
    parked: Vec<Completion>,
    exhausted: u64,
    stale: u64,
    busy_poll: Duration,
}

impl UringBackend {
    /// Sets up a ring for the calling thread; `wake` is an eventfd that ends a `receive`, `buffers`
    /// a power of two up to 32,768. The error says what was tried and the likely cause.
    pub fn new(wake: OwnedFd, buffers: usize) -> io::Result<Self> {
        let completions = COMPLETIONS + u32::try_from(buffers).map_err(io::Error::other)?;
        let ring = build_ring(completions)?;
        probe::multishot_recvmsg()?;
        let mut pool = BufferPool::new(buffers, SPARES, BUFFER_LEN)?;
        // SAFETY: the pool's entries stay mapped until the ring is gone (invariant 3).
        unsafe { pool.register(&ring, GROUP)? };
        pool.grow();
        let mut backend = Self {
            ring: ManuallyDrop::new(ring),
            pool: ManuallyDrop::new(pool),
            slots: ManuallyDrop::new(SendSlots::new(SENDS)),
            ports: Slab::new(),
            generations: Vec::new(),
            wake,
            wake_armed: false,
            rearm: Vec::new(),
            ring_ports: Vec::new(),
            ring_turn: 0,
            entered: false,
            parked: Vec::with_capacity(completions as usize),
            exhausted: 0,
            stale: 0,
            busy_poll: Duration::ZERO,
        };
        backend.arm_wake();
        Ok(backend)
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: callers build entries that point into memory owned by `self` (invariant 1).
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // The queue is full: the kernel takes what is there, which makes room.
            if let Err(error) = self.ring.submit()
                && !is_transient(&error)
            {
                // The ring is broken; the next submit_and_wait reports it.
                return;
            }
        }
    }

    fn arm_wake(&mut self) {
        let token = Token::new(Kind::Wake, 0, 0).encode();
        let poll = opcode::PollAdd::new(types::Fd(self.wake.as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(token);
        self.push(&poll);
        self.wake_armed = true;
    }

    fn arm(&mut self, handle: PortHandle) {
        let Some(port) = self.ports.get_mut(handle.0 as usize) else { return };
        if port.armed || port.closing {
            return;
        }
        port.armed = true;
        let token = Token::new(Kind::Receive, self.generations[handle.0 as usize], handle.0);
        let socket = types::Fd(port.socket.as_raw_fd());
        let receive = match port.ring {
            // Once: as long as frames come nobody needs to be told.
            Some(_) => opcode::PollAdd::new(socket, libc::POLLIN as u32).build(),
            None => opcode::RecvMsgMulti::new(socket, &raw const *port.header, GROUP).build(),
        };
        self.push(&receive.user_data(token.encode()));
    }

    /// Hands over what was pushed and asks for completions, without waiting.
    fn enter(&mut self) -> io::Result<()> {
        let waiting = self.ring.submission().len();
        let submit = u32::try_from(waiting).map_err(io::Error::other)?;
        // SAFETY: no argument is passed, so there is none to be wrong; entries that are submitted
        // point to memory of ours (invariant 1).
        let entered =
            unsafe { self.ring.submitter().enter::<libc::sigset_t>(submit, 0, GET_EVENTS, None) };
        settled(entered)
    }

    /// Asks for frames and completions without sleeping, for as long as is wanted; true where there are some.
    fn spin(&mut self, frames: &mut Vec<Frame>, events: &mut Vec<PortEvent>) -> io::Result<bool> {
        if self.busy_poll.is_zero() {
            return Ok(false);
        }
        let start = clock::now();
        loop {
            self.enter()?;
            self.take_from_rings(frames, events);
            if !frames.is_empty() || !self.ring.completion().is_empty() {
                return Ok(true);
            }
            if clock::now().since(start) >= self.busy_poll {
                return Ok(false);
            }
        }
    }
}

impl Backend for UringBackend {
    fn open(&mut self, socket: OwnedFd, ingress: Ingress) -> io::Result<PortHandle> {
        // SAFETY: msghdr is a plain C struct; all zeros is its empty value.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        // Of a frame it would be the interface, which is the port's.
        header.msg_namelen = match ingress {
            Ingress::Packet(_) => 0,
            Ingress::Udp(_) => NAME_LEN as libc::socklen_t,
        };
        header.msg_controllen = CONTROL_LEN;
        let ring = match ingress {
            Ingress::Packet(_) => PacketRing::of(socket.as_fd())?,
            Ingress::Udp(_) => None,
        };
        let has_ring = ring.is_some();
        let handle = PortHandle(u32::try_from(self.ports.vacant_key()).map_err(io::Error::other)?);
        if has_ring && !rings::has_numbers(handle) {
            return Err(io::Error::other("too many ports for one more with a ring"));
        }
        let at = self.ports.insert(PortState {
            socket,
            ingress,
            header,
            ring,
            armed: false,
            closing: false,
            errors: 0,
        });
        if self.generations.len() <= at {
            self.generations.resize(at + 1, 0);
        }
        if has_ring {
            // Nothing is armed before it has been found empty.
            self.ring_ports.push(handle);
        } else {
            self.arm(handle);
        }
        Ok(handle)
    }

    fn close(&mut self, handle: PortHandle) {
        let Some(port) = self.ports.get_mut(handle.0 as usize) else { return };
        port.closing = true;
        let receive = Token::new(Kind::Receive, self.generations[handle.0 as usize], handle.0);
        if port.armed {
            let cancel = opcode::AsyncCancel::new(receive.encode())
                .build()
                .user_data(Token::new(Kind::Cancel, 0, handle.0).encode());
            self.push(&cancel);
        } else {
            // Nothing of it is in the kernel's hands. A completion of a no-op with the receive's
            // token brings the end in the ordinary way.
            port.armed = true;
            let end = opcode::Nop::new().build().user_data(receive.encode());
            self.push(&end);
        }
    }

    fn socket(&self, handle: PortHandle) -> Option<BorrowedFd<'_>> {
        self.ports.get(handle.0 as usize).map(|port| port.socket.as_fd())
    }

    fn receive(
        &mut self,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) -> io::Result<bool> {
        let mut rearm = std::mem::take(&mut self.rearm);
        for handle in rearm.drain(..) {
            self.arm(handle);
        }
        self.rearm = rearm;
        self.take_from_rings(frames, events);
        let is_idle = frames.is_empty() && events.is_empty() && self.parked.is_empty();
        if is_idle && !self.spin(frames, events)? {
            self.arm_rings();
            settled(self.ring.submit_and_wait(1))?;
        } else if !is_idle && !self.entered {
            // What else has come is only told to who asks.
            self.enter()?;
        }
        self.entered = false;
        let mut no_sends = Vec::new();
        self.reap(&mut no_sends);
        let mut parked = std::mem::take(&mut self.parked);
        let mut woken = false;
        for completion in parked.drain(..) {
            woken |= self.dispatch(completion, frames, events);
        }
        self.parked = parked;
        if is_idle && frames.is_empty() {
            self.take_from_rings(frames, events);
        }
        Ok(woken)
    }

    fn set_busy_poll(&mut self, how_long: Duration) {
        self.busy_poll = how_long;
    }

    fn buffer(&self, buffer: u32) -> &[u8] {
        rings::bytes(&self.pool, &self.ports, buffer)
    }

    fn first_spare(&self) -> u32 {
        self.pool.first_spare()
    }

    fn spare(&mut self, spare: u32) -> &mut [u8] {
        self.pool.spare(spare)
    }

    fn complete_checksum(&mut self, buffer: u32, start: u32, len: u32, at: u32) -> bool {
        let (start, len) = (start as usize, len as usize);
        let buffer = match rings::place(buffer) {
            Place::Pool(buffer) => self.pool.bytes_mut(buffer),
            Place::Slot(port, slot) => {
                let ring = self.ports.get_mut(port).and_then(|port| port.ring.as_mut());
                ring.map_or(&mut [][..], |ring| ring.slot_mut(slot))
            }
        };
        let part = buffer.get_mut(start..start + len);
        part.is_some_and(|part| checksum::complete(part, at as usize))
    }

    fn copy_to_spare(&mut self, from: (u32, u32, u32), spare: u32, at: u32) -> bool {
        let Place::Slot(port, slot) = rings::place(from.0) else {
            return self.pool.copy_to_spare(from, spare, at);
        };
        let (start, len, at) = (from.1 as usize, from.2 as usize, at as usize);
        let ring = self.ports.get(port).and_then(|port| port.ring.as_ref());
        let part = ring.and_then(|ring| ring.slot(slot).get(start..start + len));
        let to = self.pool.spare(spare).get_mut(at..at + len);
        let Some((part, to)) = part.zip(to) else { return false };
        to.copy_from_slice(part);
        true
    }

    fn has_room(&self, pieces: usize) -> bool {
        self.slots.has_room(pieces)
    }

    fn send(&mut self, request: &SendRequest, header: &Header, pieces: &[Piece]) -> bool {
        let Self { pool, ports, slots, .. } = self;
        let payload = pieces.iter().map(|piece| {
            let (start, len) = (piece.start as usize, piece.len as usize);
            rings::bytes(pool, ports, piece.buffer).get(start..start + len)
        });
        let Some((index, generation, message)) = slots.fill(request, header, payload) else {
            return false;
        };
        // MSG_DONTWAIT: the send is done or refused at submission, in submission order, and never
        // handed to another thread; so datagrams of a flow keep their order.
        let send = opcode::SendMsg::new(types::Fd(request.socket), message)
            .flags(libc::MSG_DONTWAIT as u32)
            .build()
            .user_data(Token::new(Kind::Send, generation, index).encode());
        self.push(&send);
        true
    }

    fn flush(&mut self, results: &mut Vec<SendResult>) -> io::Result<()> {
        while self.slots.in_flight() > 0 {
            // All are answered at submission: one call brings all answers.
            settled(self.ring.submit_and_wait(self.slots.in_flight()))?;
            self.entered = true;
            self.reap(results);
        }
        Ok(())
    }

    fn recycle(&mut self, frames: &[Frame]) {
        let Self { pool, ports, .. } = self;
        let mut bytes = 0;
        for frame in frames {
            match rings::place(frame.buffer) {
                Place::Pool(buffer) if pool.take_back(buffer) => {}
                Place::Pool(_) => bytes += frame.len as usize,
                Place::Slot(port, slot) => {
                    if let Some(ring) = ports.get_mut(port).and_then(|port| port.ring.as_mut()) {
                        ring.give(slot);
                    }
                }
            }
        }
        let first_spare = pool.first_spare();
        let given = frames.iter().filter(|frame| frame.buffer < first_spare);
        pool.give_batch(given.filter_map(|frame| frame.buffer.try_into().ok()), bytes);
    }

    fn trouble(&self) -> (u64, u64) {
        (self.exhausted, self.stale)
    }
}

/// The kernel was asked; what may simply be asked again is no failure.
fn settled(outcome: io::Result<usize>) -> io::Result<()> {
    match outcome {
        Err(error) if !is_transient(&error) => Err(error),
        _ => Ok(()),
    }
}
