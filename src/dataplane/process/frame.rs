//! Messages on a Unix stream socket: a length, a mark, the message in postcard's encoding, and at
//! most one descriptor that goes with the frame's first byte.

use crate::sys::rights;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of a message at most: a table of 100,000 rules has a tenth of that.
pub const MAX_LEN: usize = 256 << 20;
/// Bytes that wait to be sent at most: a peer that takes none is given up.
const MAX_WAITING: usize = 2 * MAX_LEN;
/// The length, and 1 where a descriptor goes with the frame.
const HEADER_LEN: usize = 5;
/// Bytes taken from the socket at once.
const CHUNK: usize = 64 << 10;
/// Bytes that an inbox without a message keeps room for.
const KEPT: usize = 16 << 10;
/// Descriptors that came before the frames that name them at most.
const MAX_EARLY: usize = 4 * rights::MAX_DESCRIPTORS;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed it between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed it within a frame.
    #[error("the connection was closed in the middle of a message")]
    Half,
    /// What came is no message.
    #[error("not a message: {0}")]
    Garbage(String),
    /// The peer takes nothing.
    #[error("the other side does not take its messages")]
    Stuck,
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
    descriptor: Option<OwnedFd>,
}

/// Frames on their way out.
#[derive(Default)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    len: usize,
}

impl Outbox {
    /// Adds a message.
    pub fn push<T: Serialize>(
        &mut self,
        message: &T,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), FrameError> {
        let header = vec![0; HEADER_LEN];
        let mut bytes = postcard::to_extend(message, header)
            .map_err(|error| FrameError::Garbage(error.to_string()))?;
        let len = bytes.len() - HEADER_LEN;
        if len > MAX_LEN {
            return Err(FrameError::Garbage(format!("{len} bytes, at most {MAX_LEN} are sent")));
        }
        // At most MAX_LEN, which 32 bits hold.
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        bytes[4] = u8::from(descriptor.is_some());
        self.len += bytes.len();
        self.waiting.push_back(Waiting { bytes, sent: 0, descriptor });
        if self.len > MAX_WAITING { Err(FrameError::Stuck) } else { Ok(()) }
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what the socket takes now.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<(), FrameError> {
        while let Some(frame) = self.waiting.front_mut() {
            let descriptor: Vec<BorrowedFd<'_>> =
                frame.descriptor.iter().map(AsFd::as_fd).collect();
            match rights::send(socket, &frame.bytes[frame.sent..], &descriptor) {
                Ok(sent) => {
                    // The kernel holds it by now.
                    frame.descriptor = None;
                    frame.sent += sent;
                    self.len -= sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if frame.sent == frame.bytes.len() {
                self.waiting.pop_front();
            }
        }
        Ok(())
    }
}

/// Frames on their way in.
pub struct Inbox<T> {
    bytes: Vec<u8>,
    /// Where the first frame begins in `bytes`.
    start: usize,
    descriptors: VecDeque<OwnedFd>,
    chunk: Vec<u8>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            descriptors: VecDeque::new(),
            chunk: vec![0; CHUNK],
            kind: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Inbox<T> {
    /// Takes from the socket what is there, a few chunks at most. False where nothing was.
    pub fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool, FrameError> {
        let got = match rights::receive(socket, &mut self.chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(got) => got,
        };
        if got.len == 0 {
            let within = self.start < self.bytes.len();
            return Err(if within { FrameError::Half } else { FrameError::Closed });
        }
        let len = got.len;
        self.take(got.descriptors, len, got.cut)?;
        Ok(true)
    }

    fn take(&mut self, fds: Vec<OwnedFd>, len: usize, cut: bool) -> Result<(), FrameError> {
        self.descriptors.extend(fds);
        if cut {
            return Err(FrameError::Garbage("descriptors were lost on the way".into()));
        }
        if self.descriptors.len() > MAX_EARLY {
            return Err(FrameError::Garbage("descriptors that no message names".into()));
        }
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(&self.chunk[..len]);
        // A frame that is not announced properly must not be collected first.
        self.announced().map(drop)
    }

    /// Length and mark of the first frame, where its header is there.
    fn announced(&self) -> Result<Option<(usize, bool)>, FrameError> {
        let Some(header) = self.bytes.get(self.start..self.start + HEADER_LEN) else {
            return Ok(None);
        };
        let mut len = [0; 4];
        len.copy_from_slice(&header[..4]);
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_LEN || header[4] > 1 {
            let what = format!("a message of {len} bytes with mark {}", header[4]);
            return Err(FrameError::Garbage(what));
        }
        Ok(Some((len, header[4] == 1)))
    }

    /// The next whole message.
    pub fn take_message(&mut self) -> Result<Option<(T, Option<OwnedFd>)>, FrameError> {
        let Some((len, with_descriptor)) = self.announced()? else { return Ok(None) };
        let body = self.start + HEADER_LEN;
        let Some(bytes) = self.bytes.get(body..body + len) else { return Ok(None) };
        let (message, rest) = postcard::take_from_bytes(bytes)
            .map_err(|error| FrameError::Garbage(error.to_string()))?;
        if !rest.is_empty() {
            return Err(FrameError::Garbage(format!("{} bytes too many", rest.len())));
        }
        let descriptor = match with_descriptor {
            true => Some(self.descriptors.pop_front().ok_or_else(|| {
                FrameError::Garbage("a message without the descriptor that it names".into())
            })?),
            false => None,
        };
        self.start = body + len;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            // One large table must not be remembered by the memory that it took.
            self.bytes.shrink_to(KEPT);
        }
        Ok(Some((message, descriptor)))
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
