//! The configuration file: rules, and facts of this host.

use super::{Igmp, Msdp, Pim, RuleSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The configuration file of mcrd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct File {
    /// The version of this format: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<u32>,
    /// The rules: at most 100,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100_000))]
    pub rules: Vec<RuleSpec>,
    /// For each input interface, by its name, the processor cores that serve it: 1 to 16. Each core gets a
    /// worker of its own, bound to it, and the interface as many shards as it has cores here. One core may
    /// serve several interfaces. These workers come on top of dataplane.workers, and with those they are at
    /// most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinning: Option<BTreeMap<String, Vec<u32>>>,
    /// How packets are moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataplane: Option<DataplaneSpec>,
    /// Membership by IGMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub igmp: Option<Igmp>,
    /// Routing by PIM sparse mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pim: Option<Pim>,
    /// Exchange of active sources by MSDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msdp: Option<Msdp>,
    /// The control socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlSpec>,
    /// The metrics endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSpec>,
    /// Logging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSpec>,
}

/// How packets are moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DataplaneSpec {
    /// How workers do I/O. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<Io>,
    /// Worker threads that serve the interfaces that pinning does not name: 1 to 64, default 1. An interface
    /// is served by as many at once as it has shards. A reload changes their number without loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub workers: Option<u32>,
    /// Bytes of receive buffers that each worker has, and bytes that may wait in the kernel for each
    /// input socket: 65536 to 1073741824, default 33554432.
    #[serde(skip_serializing_if = "Option::is_none", alias = "receive_buffer_bytes")]
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub receive_buffer_bytes: Option<u32>,
    /// Input interfaces that get a ring each, half of receiveBufferBytes of memory that the kernel writes frames into
    /// and workers read without system calls, which halves what a small frame costs: 0 to 64, default 2. The first
    /// ones that are opened get them, an interface with shards one for each shard or none. Frames longer than
    /// 1,900 bytes, super-frames above all, are queued beside as without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 64))]
    pub rings: Option<u32>,
    /// Input sockets of each interface, 1 to 16, between which the kernel divides the flows, so that several
    /// workers can serve it: a flow is in one shard only and keeps its order. Default: as many as there are
    /// workers when the interface is first used, at most 16. Give as many as the most workers that you may
    /// want. Each shard has receiveBufferBytes of room. Where pinning names an interface, it has as many
    /// shards as cores instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub shards: Option<u32>,
    /// The scheduling class of the workers. Default normal. fifo: a worker that has something to do runs
    /// before every program of the normal class, which takes away the delays that those cause on a busy
    /// host; it needs CAP_SYS_NICE or RLIMIT_RTPRIO, and goes with pinning to cores that nothing else needs.
    /// Not with busyPollUsecs: the kernel stops a real-time thread that never sleeps for 50 ms of each second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sched: Option<Sched>,
    /// Microseconds that a worker waits after a batch before it takes the next, 0 to 10000, default 0. Packets
    /// come in larger batches then, which costs less processor time for each, and each is delayed by up to as
    /// much. Not with busyPollUsecs, which is the contrary.
    #[serde(skip_serializing_if = "Option::is_none", alias = "coalesce_usecs")]
    #[schemars(range(max = 10_000))]
    pub coalesce_usecs: Option<u32>,
    /// Microseconds that a worker goes on looking for packets before it sleeps, 0 to 10000, default 0: what
    /// comes meanwhile is not delayed by an interrupt and a wake-up. A worker that is spinning takes a whole
    /// core, whatever the traffic.
    #[serde(skip_serializing_if = "Option::is_none", alias = "busy_poll_usecs")]
    #[schemars(range(max = 10_000))]
    pub busy_poll_usecs: Option<u32>,
    /// How long rules that the control process does not know any more go on being forwarded after it was
    /// started again, such as "30s" (ms, s, m, h): "0s" to "24h", default "30s". Until then those who add
    /// rules at run time have the time to come back.
    #[serde(skip_serializing_if = "Option::is_none", alias = "hold_time")]
    pub hold_time: Option<String>,
}

/// How workers do I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Io {
    /// io_uring where it works, system calls elsewhere; the reason is logged and shown by
    /// `mcrctl list-workers`.
    #[default]
    Auto,
    /// io_uring, or not at all.
    #[serde(alias = "io_uring")]
    IoUring,
    /// recvmmsg and sendmmsg.
    Syscalls,
}

/// A scheduling class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sched {
    /// The system's default.
    #[default]
    Normal,
    /// SCHED_FIFO, priority 10.
    Fifo,
}

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlSpec {
    /// Where the socket is; default /run/mcr/control.sock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The group whose members may use it; default mcr, if there is such a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The metrics endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSpec {
    /// The address and TCP port to serve metrics on, such as 127.0.0.1:9464.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogSpec {
    /// The least important messages that are logged. Default info.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The form of log lines. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something works less well than it should.
    Warn,
    /// Something changed.
    #[default]
    Info,
    /// Why something changed.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The level as the file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text, with colours on a terminal.
    #[default]
    Auto,
    /// Text for people, the same as auto.
    Text,
    /// One JSON object a line.
    Json,
}
