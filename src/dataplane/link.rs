//! The boundary between control and the packet path: ports with their descriptors, the `Fib` and
//! requests one way; acknowledgements, reports and failures the other. Nothing else crosses it.

use super::meter::Meters;
use crate::fib::counters::{PortCounters, SlotCounters, WorkerCounters};
use crate::fib::{Fib, OutputSlot, RuleSlot};
pub use crate::types::WorkerPlan;
use crate::types::{IfIndex, LinkLayer};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Which tier workers may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoChoice {
    /// The best that works, with the reason where it is not the best there is.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// Never io_uring.
    Syscalls,
}

/// How the kernel schedules workers (sched(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sched {
    /// As other threads.
    #[default]
    Normal,
    /// SCHED_FIFO: before all threads that are not real-time ones.
    Fifo,
}

/// How workers are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Their tier.
    pub io: IoChoice,
    /// Sockets to send from that each may hold.
    pub egress_sockets: usize,
    /// Receive buffers of 64 KiB of each, rounded up to a power of two, at most 32,768.
    pub buffers: u32,
    /// How they are scheduled.
    pub sched: Sched,
    /// Microseconds that a worker waits after a batch before it takes the next.
    pub coalesce_usecs: u32,
    /// Microseconds that a socket is polled by its reader before it sleeps (SO_BUSY_POLL, socket(7)).
    pub busy_poll_usecs: u32,
    /// The workers, by number.
    pub workers: Vec<WorkerPlan>,
}

/// A port's number, given by control, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortId(pub u32);

/// How frames of a port look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ingress {
    /// AF_PACKET with PACKET_VNET_HDR and PACKET_AUXDATA, with a ring or without.
    Packet(LinkLayer),
    /// A bound UDP socket with UDP_GRO, IP_RECVTTL and IP_RECVTOS: the local address and port.
    Udp(std::net::SocketAddrV4),
}

/// A bound socket that a worker shall read.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub id: PortId,
    /// The interface that its frames arrive on.
    pub iif: IfIndex,
    /// How its frames look.
    pub ingress: Ingress,
    /// The socket.
    pub socket: OwnedFd,
    /// What it has counted before: it counts on from there.
    pub counters: PortCounters,
}

/// From control to one worker.
#[derive(Debug)]
pub enum ToWorker {
    /// Read this port.
    Open(Port),
    /// Stop reading it and close the socket.
    Close(PortId),
    /// Stop reading it and give it back. What the kernel has handed out is forwarded first, what is
    /// queued stays in the socket.
    Release(PortId),
    /// Work by this table from the next batch on. Counters of the named slots start at zero: they
    /// have new owners.
    Publish {
        /// The table.
        fib: Arc<Fib>,
        /// The meters of outputs with a limit, which all workers share.
        meters: Arc<Meters>,
        /// Rule slots with new owners.
        reset_rules: Vec<RuleSlot>,
        /// Output slots with new owners.
        reset_outputs: Vec<OutputSlot>,
    },
    /// Send a report.
    Collect(u64),
    /// Close egress sockets that sent nothing since the `Age` before.
    Age,
    /// Drain nothing, close everything, end.
    Stop,
}

/// From one worker to control.
#[derive(Debug)]
pub enum FromWorker {
    /// The worker runs.
    Ready {
        /// How it does I/O.
        tier: Tier,
        /// Why not by a better tier.
        reason: Option<String>,
        /// What was asked for beside and could not be had.
        notes: Vec<String>,
    },
    /// It works by the table of this generation.
    Programmed(u64),
    /// A port is closed, by request or because it failed; the counters are final.
    Closed {
        /// Which.
        port: PortId,
        /// What it counted.
        counters: Box<PortCounters>,
        /// Why, where nobody asked for it.
        failure: Option<String>,
    },
    /// The answer to `Release`: the port as it is now.
    Released(Box<Port>),
    /// The answer to `Collect`.
    Report(Box<Report>),
    /// The worker ended by a panic or could not start; its ports are closed.
    Died(String),
}

/// How a worker does I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// io_uring with multishot recvmsg and a provided buffer ring (Linux 6.0).
    UringMultishot,
    /// poll, recvmmsg and sendmmsg.
    Syscalls,
    /// As [`Self::UringMultishot`], and packet sockets may have rings of shared memory.
    UringRings,
}

impl Tier {
    /// The name in `mcrctl list-workers`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UringMultishot | Self::UringRings => "io_uring-multishot",
            Self::Syscalls => "syscalls",
        }
    }
}

/// What a worker has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The request's number.
    pub request: u64,
    /// The generation of the table by which the worker works.
    pub generation: u64,
    /// Open ports.
    pub ports: Vec<(PortId, PortCounters)>,
    /// Rules and outputs by slot.
    pub slots: SlotCounters,
    /// Its own doings.
    pub worker: WorkerCounters,
}
