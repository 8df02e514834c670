//! Facts of this host that the file sets, with their defaults filled in.

use super::v1::{Io, LogFormat, LogLevel};
use std::path::PathBuf;

/// The bytes of one receive buffer: the largest super-frame, without its headers.
pub(super) const BUFFER_BYTES: u32 = 65_536;
/// 512 buffers.
pub(super) const DEFAULT_RECEIVE_BUFFER_BYTES: u32 = 33_554_432;

/// How packets are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataplane {
    /// How workers do I/O.
    pub io: Io,
    /// Worker threads, 1 to 64.
    pub workers: u32,
    /// Bytes of receive buffers of each worker, and bytes that may wait in the kernel for each input
    /// socket; 64 KiB to 1 GiB.
    pub receive_buffer_bytes: u32,
    /// The same as a number of 64 KiB buffers, at least 1.
    pub buffers: u32,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self {
            io: Io::Auto,
            workers: 1,
            receive_buffer_bytes: DEFAULT_RECEIVE_BUFFER_BYTES,
            buffers: DEFAULT_RECEIVE_BUFFER_BYTES / BUFFER_BYTES,
        }
    }
}

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlSettings {
    /// An absolute path; none = the default.
    pub socket: Option<PathBuf>,
    /// The group whose members may use it; none = the default.
    pub group: Option<String>,
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important messages that are logged.
    pub level: LogLevel,
    /// The form of log lines.
    pub format: LogFormat,
}
