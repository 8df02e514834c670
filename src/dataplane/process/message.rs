//! What control and the data plane process say to each other.

use crate::dataplane::link::{FromWorker, Ingress, PortId, Report, Settings, Tier, WorkerPlan};
use crate::fib::counters::PortCounters;
use crate::fib::{Fib, OutputSlot, RuleSlot};
use crate::types::IfIndex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The number of this language. Where the two sides speak different ones, control has the data plane
/// replaced.
pub const PROTOCOL: u32 = 1;

/// Something that control leaves with the data plane to find again: a name, and what stands under
/// it; none = nothing any more.
pub type Note = (String, Option<Vec<u8>>);

/// An input socket as it is spoken of; the descriptor goes beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Its number.
    pub id: PortId,
    /// The interface that its frames arrive on.
    pub iif: IfIndex,
    /// How its frames look.
    pub ingress: Ingress,
    /// What it has counted.
    pub counters: PortCounters,
    /// What control knows it by, in control's own words.
    pub label: Vec<u8>,
}

/// From control to the data plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToPlane {
    /// The first message: who speaks. It stays as it is in every language.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// The second: how workers are built where there are none yet.
    Start(Settings),
    /// Have this port read by a worker; its descriptor goes with the message.
    Open {
        /// Which worker.
        worker: u32,
        /// The port.
        port: PortSpec,
    },
    /// Stop reading a port and close it.
    Close(PortId),
    /// Have a port read by another worker; nothing is lost.
    Move {
        /// Which.
        port: PortId,
        /// By whom.
        worker: u32,
    },
    /// Stop reading a port and forget it, with what is queued left in the socket.
    Release(PortId),
    /// Work by this table from now on, and remember these notes with it.
    Publish {
        /// The table.
        fib: Arc<Fib>,
        /// Rule slots with new owners.
        reset_rules: Vec<RuleSlot>,
        /// Output slots with new owners.
        reset_outputs: Vec<OutputSlot>,
        /// What control wants to find again together with the table.
        notes: Vec<Note>,
    },
    /// Remember these notes.
    Remember(Vec<Note>),
    /// Hold the descriptor that goes with the message.
    Keep {
        /// The name to forget it by.
        token: u64,
    },
    /// Close a held descriptor.
    Forget {
        /// Its name.
        token: u64,
    },
    /// Have all workers report.
    Collect(u64),
    /// Let the workers be these.
    Workers(Vec<WorkerPlan>),
    /// Close everything and end.
    Stop,
}

/// One worker, as a control process finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerState {
    /// How it does I/O; none = it does not run now.
    pub tier: Option<Tier>,
    /// Why not by a better tier, or why it died.
    pub reason: Option<String>,
    /// What was asked for beside and could not be had.
    pub notes: Vec<String>,
    /// How often it died.
    pub deaths: u64,
}

/// What a control process finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The data plane's process.
    pub pid: u32,
    /// Its program's version.
    pub version: String,
    /// How its workers are built.
    pub settings: Settings,
    /// The table that it works by.
    pub generation: u64,
    /// Its workers, by number.
    pub workers: Vec<WorkerState>,
    /// Names of the descriptors that it holds.
    pub kept: Vec<u64>,
    /// What control left with it.
    pub notes: Vec<(String, Vec<u8>)>,
    /// What it was to do for its safety and could not.
    pub trouble: Vec<String>,
    /// How many messages with ports follow.
    pub follow: u32,
}

/// From the data plane to control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromPlane {
    /// The answer to a `Hello` in another language; the connection ends.
    OtherProtocol {
        /// The language that this data plane speaks.
        protocol: u32,
        /// Its program's version.
        version: String,
        /// Its process.
        pid: u32,
    },
    /// The answer to `Start`.
    Inventory(Box<Inventory>),
    /// One port of the inventory, with its descriptor.
    Port {
        /// The worker that reads it.
        worker: u32,
        /// The port.
        port: PortSpec,
    },
    /// A worker runs.
    Ready {
        /// Which.
        worker: u32,
        /// How it does I/O.
        tier: Tier,
        /// Why not by a better tier.
        reason: Option<String>,
        /// What was asked for beside and could not be had.
        notes: Vec<String>,
    },
    /// A worker works by a table.
    Programmed {
        /// Which.
        worker: u32,
        /// The table.
        generation: u64,
    },
    /// A port is closed.
    Closed {
        /// Which.
        port: PortId,
        /// Final.
        counters: Box<PortCounters>,
        /// Why, where nobody asked for it.
        failure: Option<String>,
    },
    /// A port is read by nobody any more, and forgotten here.
    Released {
        /// Which.
        port: PortId,
        /// What it has counted.
        counters: Box<PortCounters>,
    },
    /// What a worker has counted.
    Report {
        /// Which.
        worker: u32,
        /// It.
        report: Box<Report>,
    },
    /// A worker died; it is started again, and its ports are opened again.
    Died {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// A worker that was too many has reported for the last time and ended.
    Stopped {
        /// Which.
        worker: u32,
    },
    /// A message that was not obeyed, and why.
    Refused(String),
}

impl FromPlane {
    /// What a worker said, as control hears it; none where it is for the engine.
    pub fn of_worker(worker: u32, message: FromWorker) -> Option<Self> {
        Some(match message {
            FromWorker::Ready { tier, reason, notes } => {
                Self::Ready { worker, tier, reason, notes }
            }
            FromWorker::Programmed(generation) => Self::Programmed { worker, generation },
            FromWorker::Closed { port, counters, failure } => {
                Self::Closed { port, counters, failure }
            }
            FromWorker::Report(report) => Self::Report { worker, report },
            FromWorker::Died(reason) => Self::Died { worker, reason },
            FromWorker::Released(_) => return None,
        })
    }
}
