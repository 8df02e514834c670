//! The data plane that a relay has started, and that goes on without it.

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Ends a data plane that control has left behind.
pub(crate) struct PlaneGuard(PathBuf);

impl PlaneGuard {
    /// That of the control process with this socket.
    pub(crate) fn beside(control: &Path) -> Self {
        Self(PathBuf::from(format!("{}.dataplane", control.display())))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.0
    }

    /// Its process; none = nobody listens.
    pub(crate) fn pid(&self) -> Option<i32> {
        let socket = UnixStream::connect(&self.0).ok()?;
        let peer = getsockopt(&socket, PeerCredentials).ok()?;
        (peer.pid() > 0).then_some(peer.pid())
    }
}

impl Drop for PlaneGuard {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
