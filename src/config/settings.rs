//! Facts of this host that the file sets, with their defaults filled in.

use super::v1::{Io, LogFormat, LogLevel, Sched};
use crate::types::IfName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The bytes of one receive buffer: the largest super-frame, without its headers.
pub(super) const BUFFER_BYTES: u32 = 65_536;
/// 512 buffers.
pub(super) const DEFAULT_RECEIVE_BUFFER_BYTES: u32 = 33_554_432;

/// Input sockets with rings: a red and a blue network of media.
pub(super) const DEFAULT_RINGS: u32 = 2;

/// How long a new control lets live what it does not know.
pub(super) const DEFAULT_HOLD_TIME: Duration = Duration::from_secs(30);

/// How packets are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataplane {
    /// How workers do I/O.
    pub io: Io,
    /// Worker threads that are bound to no core, 1 to 64.
    pub workers: u32,
    /// Input sockets of each interface that `pinning` does not name, 1 to 16; none = as many as there
    /// are workers.
    pub shards: Option<u32>,
    /// The scheduling class of the workers.
    pub sched: Sched,
    /// Microseconds that a worker waits between batches, 0 to 10,000.
    pub coalesce_usecs: u32,
    /// Microseconds that a worker looks for packets before it sleeps, 0 to 10,000.
    pub busy_poll_usecs: u32,
    /// How long a new control lets live what it does not know.
    pub hold_time: Duration,
    /// The cores that serve an interface, each once.
    pub pinning: BTreeMap<IfName, Vec<u32>>,
    /// Bytes of receive buffers of each worker, and bytes that may wait in the kernel for each input
    /// socket; 64 KiB to 1 GiB.
    pub receive_buffer_bytes: u32,
    /// Packet sockets that have rings of half of that, 0 to 64.
    pub rings: u32,
    /// The same as a number of 64 KiB buffers, at least 1.
    pub buffers: u32,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self {
            io: Io::Auto,
            workers: 1,
            shards: None,
            sched: Sched::Normal,
            coalesce_usecs: 0,
            busy_poll_usecs: 0,
            hold_time: DEFAULT_HOLD_TIME,
            pinning: BTreeMap::new(),
            receive_buffer_bytes: DEFAULT_RECEIVE_BUFFER_BYTES,
            rings: DEFAULT_RINGS,
            buffers: DEFAULT_RECEIVE_BUFFER_BYTES / BUFFER_BYTES,
        }
    }
}

/// What the path of the data plane's socket has after that of the control socket.
pub const DATA_PLANE_SUFFIX: &str = ".dataplane";

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
