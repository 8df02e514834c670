//! Many sockets, and which of them have something to be read (epoll(7)), within a tokio runtime.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets that one answer names at most; the kernel goes round among them.
const AT_ONCE: usize = 64;

/// Sockets by keys of the caller's.
#[derive(Debug)]
pub struct Readiness(AsyncFd<Sockets>);

#[derive(Debug)]
struct Sockets(Epoll);

impl AsRawFd for Sockets {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Readiness {
    /// Of no socket yet. Panics outside of a runtime.
    pub fn new() -> io::Result<Self> {
        let sockets = Sockets(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        // SAFETY: the descriptor is owned by `sockets`, which lives as long as the AsyncFd, never gives it away, and
        // always names the same.
        let ready = unsafe { AsyncFd::register_with_interest(sockets, Interest::READABLE) };
        Ok(Self(ready?))
    }

    /// Watches one more socket.
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.0.get_ref().0.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, key))?)
    }

    /// Watches it no longer; a socket that lives on elsewhere would be named still.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(self.0.get_ref().0.delete(socket)?)
    }

    /// Those that have something now, or an error to tell.
    pub fn now(&self) -> impl Iterator<Item = u64> + use<> {
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = self.0.get_ref().0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events.into_iter().take(count).map(|event| event.data())
    }

    /// Waits until one has something.
    pub async fn wait(&mut self) {
        // Fails only with the runtime, which ends all tasks.
        let Ok(mut guard) = self.0.readable().await else { return std::future::pending().await };
        let mut events = [EpollEvent::empty()];
        // What comes after this answer makes it ready anew.
        if guard.get_inner().0.wait(&mut events, EpollTimeout::ZERO) == Ok(0) {
            guard.clear_ready();
        }
    }
}
