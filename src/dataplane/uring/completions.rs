//! What the kernel answers: completions of receives, polls, sends and the wake-up.

use super::UringBackend;
use super::message::parse;
use super::token::{Kind, Token};
use crate::dataplane::backend::{Frame, PortEvent, PortHandle, SendResult};
use io_uring::cqueue;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Receive errors in a row, without a frame between, after which a port has failed.
const MAX_ERRORS: u32 = 16;

/// One completion, taken out of the ring.
#[derive(Clone, Copy)]
pub(super) struct Completion {
    pub(super) token: u64,
    result: i32,
    pub(super) flags: u32,
}

impl UringBackend {
    /// Moves completions out of the ring: results of sends to `results`, all others to `parked`.
    pub(super) fn reap(&mut self, results: &mut Vec<SendResult>) {
        let Self { ring, slots, parked, stale, .. } = self;
        for entry in ring.completion() {
            let completion = Completion {
                token: entry.user_data(),
                result: entry.result(),
                flags: entry.flags(),
            };
            match Token::decode(completion.token) {
                Some(Token { kind: Kind::Send, generation, index }) => {
                    match slots.complete(index, generation) {
                        Some(tag) => results.push((
                            tag,
                            u32::try_from(completion.result).map_err(|_| -completion.result),
                        )),
                        None => *stale += 1,
                    }
                }
                Some(_) => parked.push(completion),
                None => *stale += 1,
            }
        }
    }

    pub(super) fn dispatch(
        &mut self,
        completion: Completion,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) -> bool {
        match Token::decode(completion.token) {
            Some(Token { kind: Kind::Wake, .. }) => {
                drain_eventfd(self.wake.as_raw_fd());
                if !cqueue::more(completion.flags) {
                    self.wake_armed = false;
                    self.arm_wake();
                }
                return true;
            }
            Some(Token { kind: Kind::Receive, generation, index }) => {
                if self.generations.get(index as usize) == Some(&generation)
                    && self.ports.contains(index as usize)
                {
                    self.received(PortHandle(index), completion, frames, events);
                } else {
                    self.stale += 1;
                    self.give_back(&completion);
                }
            }
            // A cancel's own completion says nothing that the cancelled receive does not say.
            Some(Token { kind: Kind::Cancel, .. }) => {}
            Some(Token { kind: Kind::Send, .. }) | None => self.stale += 1,
        }
        false
    }

    fn give_back(&mut self, completion: &Completion) {
        if let Some(buffer) = cqueue::buffer_select(completion.flags) {
            self.pool.take(buffer);
            self.pool.give(buffer);
            self.pool.publish();
        }
    }

    fn received(
        &mut self,
        handle: PortHandle,
        completion: Completion,
        frames: &mut Vec<Frame>,
        events: &mut Vec<PortEvent>,
    ) {
        if self.ports[handle.0 as usize].ring.is_some() {
            self.ports[handle.0 as usize].armed = false;
            if let Some(errno) = self.polled(handle, completion.result) {
                self.receive_error(handle, errno, events);
            }
            if self.ports[handle.0 as usize].closing {
                let socket = self.forget(handle);
                events.push(PortEvent::Closed(handle, socket));
            }
            return;
        }
        let more = cqueue::more(completion.flags);
        let buffer = cqueue::buffer_select(completion.flags);
        let port = &mut self.ports[handle.0 as usize];
        port.armed = more;
        if let (Ok(len), Some(buffer)) = (usize::try_from(completion.result), buffer) {
            port.errors = 0;
            self.pool.take(buffer);
            let frame = parse(self.pool.bytes(buffer), len, port).map(|(start, len, about)| {
                Frame { port: handle, buffer: u32::from(buffer), start, len, about }
            });
            match frame {
                Some(frame) => frames.push(frame),
                None => {
                    self.pool.give(buffer);
                    self.pool.publish();
                }
            }
        } else if completion.result < 0 {
            self.give_back(&completion);
            self.receive_error(handle, -completion.result, events);
        }
        if !more {
            self.ended(handle, events);
        }
    }

    fn receive_error(&mut self, handle: PortHandle, errno: i32, events: &mut Vec<PortEvent>) {
        match errno {
            // All that go round are in our hands.
            libc::ENOBUFS => {
                self.exhausted += u64::from(self.pool.is_all());
                self.pool.grow();
            }
            // A link that went down says so once; frames come again when it is up.
            libc::ECANCELED | libc::ENETDOWN | libc::EAGAIN | libc::EINTR => {}
            // Before Linux 6.2 the kernel cannot describe a UDP super-frame in a vnet header.
            // Each such answer takes one frame out of the queue, so receiving goes on.
            libc::EINVAL => events.push(PortEvent::Refused(handle, errno)),
            _ => self.ports[handle.0 as usize].errors += 1,
        }
        let port = &mut self.ports[handle.0 as usize];
        if port.errors > MAX_ERRORS && !port.closing {
            port.closing = true;
            events.push(PortEvent::Failed(handle, io::Error::from_raw_os_error(errno)));
        }
    }

    /// A multishot receive has come to its end.
    fn ended(&mut self, handle: PortHandle, events: &mut Vec<PortEvent>) {
        if self.ports[handle.0 as usize].closing {
            let socket = self.forget(handle);
            events.push(PortEvent::Closed(handle, socket));
        } else {
            self.rearm.push(handle);
        }
    }

    /// Frees the place and gives the socket back (invariant 4: nothing is armed any more).
    fn forget(&mut self, handle: PortHandle) -> OwnedFd {
        let port = self.ports.remove(handle.0 as usize);
        self.ring_ports.retain(|other| *other != handle);
        let generation = &mut self.generations[handle.0 as usize];
        *generation = Token::next_generation(*generation);
        port.socket
    }
}

fn drain_eventfd(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: the pointer is to eight writable bytes. The result does not matter: a counter of
    // zero means that somebody read it before.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}
