//! What is on a link, for tests.

use crate::sys::packet;
use crate::types::IfIndex;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// What comes out of an interface's other end, with link headers.
pub(super) struct Wire(OwnedFd);

impl Wire {
    /// From now on, at that end.
    pub(super) fn at(index: IfIndex) -> Self {
        let socket = packet::socket().expect("opens");
        packet::bind(socket.as_fd(), index.0).expect("binds");
        packet::discard_queued(socket.as_fd());
        Self(socket)
    }

    /// The next frame of which `wanted` is true, within five seconds.
    pub(super) fn wait_for(&self, what: &str, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let until = Instant::now() + Duration::from_secs(5);
        let mut buffer = vec![0; 2048];
        while Instant::now() < until {
            match packet::receive_one(self.0.as_fd(), &mut buffer) {
                Ok(len) if wanted(&buffer[..len]) => return buffer[..len].to_vec(),
                Ok(_) => {}
                Err(_) => std::thread::yield_now(),
            }
        }
        panic!("{what} did not come");
    }
}
