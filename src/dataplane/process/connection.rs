//! One end of the conversation between control and the data plane.

use super::frame::{FrameError, Inbox, Outbox};
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A connection at which messages of type `T` come in. It never blocks.
pub struct Connection<T> {
    socket: UnixStream,
    inbox: Inbox<T>,
    outbox: Outbox,
}

impl<T: DeserializeOwned> Connection<T> {
    /// Of a connected socket.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, inbox: Inbox::default(), outbox: Outbox::default() })
    }

    /// The socket, to be polled.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What it is to be polled for.
    pub fn interest(&self) -> PollFlags {
        match self.outbox.is_empty() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }

    /// True where something waits to be sent.
    pub fn is_waiting(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next message; none where no whole one is there.
    pub fn hear(&mut self) -> Result<Option<(T, Option<OwnedFd>)>, FrameError> {
        loop {
            if let Some(message) = self.inbox.take_message()? {
                return Ok(Some(message));
            }
            if !self.inbox.fill(self.socket.as_fd())? {
                return Ok(None);
            }
        }
    }

    /// Adds a message to those that wait.
    pub fn queue<M: Serialize>(
        &mut self,
        message: &M,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), FrameError> {
        self.outbox.push(message, descriptor)
    }

    /// Sends what the other side takes now.
    pub fn flush(&mut self) -> Result<(), FrameError> {
        self.outbox.flush(self.socket.as_fd())
    }

    /// Both: [`Self::queue`] and [`Self::flush`].
    pub fn say<M: Serialize>(
        &mut self,
        message: &M,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), FrameError> {
        self.queue(message, descriptor)?;
        self.flush()
    }
}

/// True where the other end belongs to our user.
pub fn is_one_of_us(socket: BorrowedFd<'_>) -> bool {
    getsockopt(&socket, PeerCredentials)
        .is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw())
}

/// The process at the other end; of a listening socket's, the one that listens.
pub fn peer_pid(socket: BorrowedFd<'_>) -> Option<i32> {
    getsockopt(&socket, PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
}
