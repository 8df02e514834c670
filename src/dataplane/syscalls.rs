//! The backend without io_uring: poll, recvmmsg, sendmmsg. Correct everywhere, a system call for
//! each port and egress socket of a batch.

use super::ancillary::{self, RAW_LEN, SEND_LEN};
use super::backend::{
    About, BUFFER_LEN, Backend, Frame, Header, PIECES, Piece, PortEvent, PortHandle, SENDS, SPARES,
    SendRequest, SendResult, SendTo, about_udp, vlan_of,
};
use super::decode::{FrameMeta, VNET_HEADER_LEN};
use super::link::Ingress;
use crate::clock;
use crate::sys::address::Address;
use crate::sys::mmsg::{self, Arena, Message, Received};
use crate::sys::packet_ring;
use crate::wire::checksum;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use slab::Slab;
use std::io::{self, IoSlice};
use std::net::SocketAddrV4;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Receive errors in a row after which a port has failed.
const MAX_ERRORS: u32 = 16;

struct PortState {
    socket: OwnedFd,
    ingress: Ingress,
    errors: u32,
    closing: bool,
}

/// A send that waits for the flush.
struct Queued {
    request: SendRequest,
    header: Header,
    /// Its place in the list of pieces.
    pieces: Range<usize>,
    /// Bytes of all pieces.
    len: u32,
}

/// See the module.
pub struct SyscallBackend {
    arena: Arena,
    free: Vec<u32>,
    ports: Slab<PortState>,
    closed: Vec<PortHandle>,
    queue: Vec<Queued>,
    /// Of all queued sends.
    pieces: Vec<Piece>,
    first_spare: u32,
    wake: OwnedFd,
    exhausted: u64,
    turn: usize,
    busy_poll: Duration,
}

impl SyscallBackend {
    /// `wake` is an eventfd that ends a `receive`.
    pub fn new(wake: OwnedFd, buffers: usize) -> Self {
        let first_spare = u32::try_from(buffers).unwrap_or(0);
        Self {
            arena: Arena::new(buffers + SPARES, BUFFER_LEN),
            free: (0..first_spare).rev().collect(),
            first_spare,
            ports: Slab::new(),
            closed: Vec::new(),
            queue: Vec::with_capacity(SENDS),
            pieces: Vec::with_capacity(PIECES),
            wake,
            exhausted: 0,
            turn: 0,
            busy_poll: Duration::ZERO,
        }
    }

    /// Takes what is queued at one port.
    fn read(&mut self, handle: PortHandle, frames: &mut Vec<Frame>, events: &mut Vec<PortEvent>) {
        let Some(port) = self.ports.get_mut(handle.0 as usize) else { return };
        if self.free.is_empty() {
            self.exhausted += 1;
            return;
        }
        let wanted = self.free.split_off(self.free.len().saturating_sub(mmsg::BATCH));
        let mut used = 0;
        let ingress = port.ingress;
        let free = &mut self.free;
        let outcome = mmsg::receive(port.socket.as_raw_fd(), &mut self.arena, &wanted, |got| {
            used += 1;
            match frame(handle, ingress, &got) {
                Some(frame) => frames.push(frame),
                None => free.push(got.buffer),
            }
        });
        self.free.extend(&wanted[used..]);
        match outcome {
            Ok(_) => port.errors = 0,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN) => {}
                // One super-frame that the kernel cannot describe; it is gone from the queue.
                Some(libc::EINVAL) => events.push(PortEvent::Refused(handle, libc::EINVAL)),
                _ => {
                    port.errors += 1;
                    if port.errors > MAX_ERRORS {
                        events.push(PortEvent::Failed(handle, error));
                        self.close(handle);
                    }
                }
            },
        }
    }
}

/// Makes a frame of a received message, whose vnet header (if any) is in the buffer already.
fn frame(port: PortHandle, ingress: Ingress, got: &Received) -> Option<Frame> {
    let control = &got.control.0[..got.control_len];
    let len = u32::try_from(got.len).ok()?;
    match ingress {
        Ingress::Packet(link_layer) => {
            let start = u32::try_from(VNET_HEADER_LEN).ok()?;
            let mut meta = FrameMeta::plain(link_layer);
            meta.vlan = vlan_of(control);
            meta.truncated = got.truncated;
            let len = len.checked_sub(start)?;
            Some(Frame { port, buffer: got.buffer, start, len, about: About::Packet(meta) })
        }
        Ingress::Udp(_) => {
            let about = about_udp(&got.name, control, got.truncated)?;
            Some(Frame { port, buffer: got.buffer, start: 0, len, about })
        }
    }
}

/// Sleeps until one of them is ready, after having asked for so long without sleeping.
fn wait(polled: &mut [PollFd<'_>], busy_poll: Duration) -> nix::Result<()> {
    if !busy_poll.is_zero() {
        let start = clock::now();
        while clock::now().since(start) < busy_poll {
            if poll(polled, PollTimeout::ZERO)? > 0 {
                return Ok(());
            }
        }
    }
    poll(polled, PollTimeout::NONE).map(drop)
}

/// What the kernel is told of a send.
fn message<'a>(arena: &'a Arena, queued: &'a Queued, pieces: &[Piece]) -> Message<'a, SEND_LEN> {
    let mut parts = Vec::with_capacity(1 + queued.pieces.len());
    if !queued.header.bytes().is_empty() {
        parts.push(IoSlice::new(queued.header.bytes()));
    }
    parts.extend(pieces[queued.pieces.clone()].iter().map(|piece| {
        let (start, len) = (piece.start as usize, piece.len as usize);
        IoSlice::new(&arena.buffer(piece.buffer)[start..start + len])
    }));
    let mut control = [0; SEND_LEN];
    let (to, control_len) = match queued.request.to {
        SendTo::Udp { to, options } => {
            let len = ancillary::write(&options, queued.request.segment, &mut control);
            (Address::v4(to), len)
        }
        SendTo::Link { oif } => (Address::link(oif), 0),
        SendTo::Raw { to, oif } => {
            ancillary::write_interface(oif, &mut control);
            (Address::v4(SocketAddrV4::new(to, 0)), RAW_LEN)
        }
    };
    Message { to, control, control_len, parts }
}

impl Backend for SyscallBackend {
    fn open(&mut self, socket: OwnedFd, ingress: Ingress) -> io::Result<PortHandle> {
        if matches!(ingress, Ingress::Packet(_)) && packet_ring::has_ring(socket.as_fd()) {
            // Control opens another one, now that it knows what this worker can do.
            let text = "the socket has a ring, which only io_uring workers read";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let at = self.ports.insert(PortState { socket, ingress, errors: 0, closing: false });
        Ok(PortHandle(u32::try_from(at).map_err(io::Error::other)?))
    }

    fn close(&mut self, port: PortHandle) {
        if let Some(state) = self.ports.get_mut(port.0 as usize)
            && !std::mem::replace(&mut state.closing, true)
        {
            self.closed.push(port);
        }
    }

    fn socket(&self, port: PortHandle) -> Option<BorrowedFd<'_>> {
        self.ports.get(port.0 as usize).map(|port| port.socket.as_fd())
    }

    fn receive(
        &mut self,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) -> io::Result<bool> {
        if !self.closed.is_empty() {
            for handle in self.closed.drain(..) {
                let port = self.ports.remove(handle.0 as usize);
                events.push(PortEvent::Closed(handle, port.socket));
            }
            return Ok(false);
        }
        let mut handles = Vec::with_capacity(self.ports.len());
        let mut polled = Vec::with_capacity(self.ports.len() + 1);
        polled.push(PollFd::new(self.wake.as_fd(), PollFlags::POLLIN));
        for (at, port) in &self.ports {
            handles.push(PortHandle(u32::try_from(at).map_err(io::Error::other)?));
            polled.push(PollFd::new(port.socket.as_fd(), PollFlags::POLLIN));
        }
        match wait(&mut polled, self.busy_poll) {
            Ok(()) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let woken = polled[0].any().unwrap_or(false);
        let ready: Vec<PortHandle> = handles
            .into_iter()
            .zip(&polled[1..])
            .filter(|(_, poll)| poll.any().unwrap_or(false))
            .map(|(handle, _)| handle)
            .collect();
        if woken {
            // Emptied by whoever read it before: nothing to do about a failure.
            let _ = nix::unistd::read(&self.wake, &mut [0; 8]);
        }
        let first = frames.len();
        // Not always the same port first: where buffers are few, it would take all of them.
        self.turn = self.turn.wrapping_add(1);
        let start = self.turn.checked_rem(ready.len()).unwrap_or(0);
        for &handle in ready[start..].iter().chain(&ready[..start]) {
            self.read(handle, frames, events);
        }
        for frame in &mut frames[first..] {
            if let About::Packet(meta) = &mut frame.about {
                // The header stands at the start of the buffer; a frame too short for it was
                // refused above.
                meta.take_vnet_header(self.arena.buffer(frame.buffer));
            }
        }
        Ok(woken)
    }

    fn set_busy_poll(&mut self, how_long: Duration) {
        self.busy_poll = how_long;
    }

    fn buffer(&self, buffer: u32) -> &[u8] {
        self.arena.buffer(buffer)
    }

    fn first_spare(&self) -> u32 {
        self.first_spare
    }

    fn spare(&mut self, spare: u32) -> &mut [u8] {
        if spare < self.first_spare { &mut [] } else { self.arena.buffer_mut(spare) }
    }

    fn complete_checksum(&mut self, buffer: u32, start: u32, len: u32, at: u32) -> bool {
        let (start, len) = (start as usize, len as usize);
        let part = self.arena.buffer_mut(buffer).get_mut(start..start + len);
        part.is_some_and(|part| checksum::complete(part, at as usize))
    }

    fn copy_to_spare(&mut self, from: (u32, u32, u32), spare: u32, at: u32) -> bool {
        spare >= self.first_spare && self.arena.copy(from, spare, at)
    }

    fn has_room(&self, pieces: usize) -> bool {
        self.queue.len() < SENDS && self.pieces.len() + pieces <= PIECES
    }

    fn send(&mut self, request: &SendRequest, header: &Header, pieces: &[Piece]) -> bool {
        let lies_here = |piece: &Piece| {
            let end = piece.start as usize + piece.len as usize;
            self.arena.buffer(piece.buffer).len() >= end
        };
        if !self.has_room(pieces.len()) || !pieces.iter().all(lies_here) {
            return false;
        }
        let first = self.pieces.len();
        self.pieces.extend_from_slice(pieces);
        self.queue.push(Queued {
            request: *request,
            header: *header,
            pieces: first..self.pieces.len(),
            len: pieces.iter().map(|piece| piece.len).sum(),
        });
        true
    }

    fn flush(&mut self, results: &mut Vec<SendResult>) -> io::Result<()> {
        let mut rest = &self.queue[..];
        while let Some(first) = rest.first() {
            let socket = first.request.socket;
            let same = rest.iter().take(mmsg::BATCH);
            let messages: Vec<Message<'_, SEND_LEN>> = same
                .take_while(|queued| queued.request.socket == socket)
                .map(|queued| message(&self.arena, queued, &self.pieces))
                .collect();
            match mmsg::send(socket, &messages) {
                Ok(0) => results.push((first.request.tag, Err(libc::EAGAIN))),
                Ok(count) => {
                    results.extend(rest[..count].iter().map(|queued| {
                        // A header is at most 104 bytes long.
                        let len = queued.len + queued.header.bytes().len() as u32;
                        (queued.request.tag, Ok(len))
                    }));
                    rest = &rest[count..];
                    continue;
                }
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    if errno == libc::EINTR {
                        continue;
                    }
                    results.push((first.request.tag, Err(errno)));
                }
            }
            rest = &rest[1..];
        }
        self.queue.clear();
        self.pieces.clear();
        Ok(())
    }

    fn recycle(&mut self, frames: &[Frame]) {
        self.free.extend(frames.iter().map(|frame| frame.buffer));
    }

    fn trouble(&self) -> (u64, u64) {
        (self.exhausted, 0)
    }
}
