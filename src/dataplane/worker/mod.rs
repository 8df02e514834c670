//! One worker: takes a batch of frames, forwards it by the `Fib`, counts, repeats.

mod batch;
mod copies;
mod forward;
mod sends;

use super::backend::{Backend, PIECES, Piece, PortEvent, PortHandle, SENDS, SendResult};
use super::egress::{EgressSockets, Supplies};
use super::kernel_counters;
use super::link::{FromWorker, Ingress, Port, PortId, Report, ToWorker};
use super::meter::Meters;
use super::reassembly::Reassembly;
use crate::fib::counters::{PortCounters, SlotCounters, WorkerCounters};
use crate::fib::{Fib, OutputSlot};
use crate::types::{DropReason, IfIndex, Time};
use batch::{Batch, Part};
use sends::{Pending, Split};
use slab::Slab;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

struct PortEntry {
    id: PortId,
    iif: IfIndex,
    ingress: Ingress,
    counters: PortCounters,
    /// Why it is about to be closed without having been asked for.
    failure: Option<String>,
    /// It is about to be given back: what is queued stays.
    released: bool,
}

/// What a worker may use, and how it waits.
#[derive(Debug, Default)]
pub struct Means {
    /// UDP sockets to send from that it may hold.
    pub max_sockets: usize,
    /// Sockets of other kinds.
    pub supplies: Supplies,
    /// How long it leaves frames in their sockets after each batch, so that the next is larger.
    pub coalesce: Duration,
    /// How long it asks for frames again and again before it sleeps.
    pub busy_poll: Duration,
}

/// See the module.
pub struct Worker<B, R> {
    backend: B,
    commands: Receiver<ToWorker>,
    report: R,
    fib: Arc<Fib>,
    meters: Arc<Meters>,
    ports: Vec<Option<PortEntry>>,
    slots: SlotCounters,
    counters: WorkerCounters,
    egress: EgressSockets,
    coalesce: Duration,
    batch: Batch,
    /// The time of this batch, once somebody has asked.
    batch_time: Option<Time>,
    pending: Vec<Pending>,
    results: Vec<SendResult>,
    /// Refused sends that may go in another way, with the error numbers.
    retries: Vec<(Pending, i32)>,
    /// Outputs whose interface takes no trains, by this table.
    one_by_one: Vec<OutputSlot>,
    /// The payload of the send that is made.
    pieces: Vec<Piece>,
    /// The parts of the run that is sent one by one.
    parts: Vec<Part>,
    /// Copies that leave in several fragments, until the kernel has answered for all of them.
    split: Slab<Split>,
    reassembly: Reassembly,
    now: fn() -> Time,
    /// The next identification of packets that have none of their own; never 0.
    number: u16,
}

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    /// A worker with an empty table. It asks `now` for the time only when a fragment comes in or
    /// waits, and where an output has a limit.
    pub fn new(
        mut backend: B,
        commands: Receiver<ToWorker>,
        report: R,
        means: Means,
        now: fn() -> Time,
    ) -> Self {
        backend.set_busy_poll(means.busy_poll);
        Self {
            reassembly: Reassembly::new(backend.first_spare()),
            backend,
            commands,
            report,
            fib: Arc::default(),
            meters: Arc::default(),
            ports: Vec::new(),
            slots: SlotCounters::default(),
            counters: WorkerCounters::default(),
            egress: EgressSockets::new(means.max_sockets, means.supplies),
            coalesce: means.coalesce,
            batch: Batch::default(),
            batch_time: None,
            pending: Vec::with_capacity(SENDS),
            results: Vec::with_capacity(SENDS),
            retries: Vec::with_capacity(SENDS),
            one_by_one: Vec::new(),
            pieces: Vec::with_capacity(PIECES),
            parts: Vec::with_capacity(SENDS),
            split: Slab::new(),
            now,
            number: 1,
        }
    }

    /// Works until `Stop` comes or control is gone. An error is one of the backend as a whole.
    pub fn run(mut self) -> io::Result<()> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work()));
        if !matches!(outcome, Ok(Ok(()))) {
            // The last words: what it has counted is known.
            self.send_report(0);
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn work(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        let mut events = Vec::new();
        loop {
            let woken = self.backend.receive(&mut frames, &mut events)?;
            self.counters.turns += 1;
            let fib = Arc::clone(&self.fib);
            for frame in &frames {
                self.forward(&fib, frame)?;
            }
            self.send_batch(&fib)?;
            self.backend.recycle(&frames);
            if !frames.is_empty() && !self.coalesce.is_zero() {
                std::thread::sleep(self.coalesce);
            }
            frames.clear();
            for event in events.drain(..) {
                self.port_event(event);
            }
            if woken && !self.obey() {
                return Ok(());
            }
        }
    }

    /// Does what control asks for; false where it asks to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(ToWorker::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
                Ok(ToWorker::Open(port)) => self.open(port),
                Ok(ToWorker::Close(id)) => self.close(id, false),
                Ok(ToWorker::Release(id)) => self.close(id, true),
                Ok(ToWorker::Publish { fib, meters, reset_rules, reset_outputs }) => {
                    self.slots.grow(fib.rule_slots(), fib.output_slots());
                    self.slots.reset(&reset_rules, &reset_outputs);
                    let generation = fib.generation();
                    self.fib = fib;
                    self.meters = meters;
                    self.one_by_one.clear();
                    (self.report)(FromWorker::Programmed(generation));
                }
                Ok(ToWorker::Collect(request)) => {
                    self.give_up_old_fragments();
                    self.send_report(request);
                }
                Ok(ToWorker::Age) => {
                    self.give_up_old_fragments();
                    self.egress.age();
                }
            }
        }
    }

    fn open(&mut self, port: Port) {
        let Port { id, iif, ingress, socket, counters } = port;
        match self.backend.open(socket, ingress) {
            Ok(handle) => {
                let at = handle.0 as usize;
                if self.ports.len() <= at {
                    self.ports.resize_with(at + 1, || None);
                }
                let (failure, released) = (None, false);
                let entry = PortEntry { id, iif, ingress, counters, failure, released };
                self.ports[at] = Some(entry);
            }
            Err(error) => (self.report)(FromWorker::Closed {
                port: id,
                counters: Box::new(counters),
                failure: Some(error.to_string()),
            }),
        }
    }

    fn close(&mut self, id: PortId, release: bool) {
        let at = self.ports.iter().position(|port| port.as_ref().is_some_and(|port| port.id == id));
        let Some(handle) = at.and_then(|at| u32::try_from(at).ok()) else { return };
        if let Some(port) = entry(&mut self.ports, PortHandle(handle)) {
            port.released = release;
        }
        self.backend.close(PortHandle(handle));
    }

    fn port_event(&mut self, event: PortEvent) {
        match event {
            PortEvent::Refused(handle, _) => {
                if let Some(port) = entry(&mut self.ports, handle) {
                    port.counters.frames += 1;
                    port.counters.drops.add(DropReason::GsoType, 1);
                }
            }
            // The kernel's own counter has it among what was received.
            PortEvent::NoRoom(handle) => {
                if let Some(port) = entry(&mut self.ports, handle) {
                    port.counters.kernel_dropped += 1;
                }
            }
            PortEvent::Failed(handle, error) => {
                if let Some(port) = entry(&mut self.ports, handle) {
                    port.failure = Some(error.to_string());
                }
            }
            PortEvent::Closed(handle, socket) => self.closed(handle, socket),
        }
    }

    /// Nothing of a port is in the kernel's hands any more: it is given back, or it ends here.
    fn closed(&mut self, handle: PortHandle, socket: OwnedFd) {
        let port = self.ports.get_mut(handle.0 as usize).and_then(Option::take);
        let Some(PortEntry { id, iif, ingress, mut counters, failure, released }) = port else {
            return;
        };
        let held = u64::from(self.reassembly.close(handle));
        counters.held -= held;
        counters.drops.add(DropReason::PortClosed, held);
        if released && failure.is_none() {
            kernel_counters::read(socket.as_fd(), ingress, &mut counters);
            let port = Port { id, iif, ingress, socket, counters };
            (self.report)(FromWorker::Released(Box::new(port)));
            return;
        }
        kernel_counters::finish(socket.as_fd(), ingress, &mut counters);
        let counters = Box::new(counters);
        (self.report)(FromWorker::Closed { port: id, counters, failure });
    }

    fn send_report(&mut self, request: u64) {
        for (at, port) in (0u32..).zip(&mut self.ports) {
            if let (Some(port), Some(socket)) = (port, self.backend.socket(PortHandle(at))) {
                kernel_counters::read(socket, port.ingress, &mut port.counters);
            }
        }
        let generation = self.fib.generation();
        let (exhausted, stale) = self.backend.trouble();
        let (sockets, evictions) = self.egress.counts();
        self.counters.buffers_exhausted = exhausted;
        self.counters.stale_completions = stale;
        self.counters.egress_sockets = u32::try_from(sockets).unwrap_or(u32::MAX);
        self.counters.egress_evictions = evictions;
        let ports = self.ports.iter().flatten();
        (self.report)(FromWorker::Report(Box::new(Report {
            request,
            generation,
            ports: ports.map(|port| (port.id, port.counters.clone())).collect(),
            slots: self.slots.clone(),
            worker: self.counters,
        })));
    }
}

fn entry(ports: &mut [Option<PortEntry>], handle: PortHandle) -> Option<&mut PortEntry> {
    ports.get_mut(handle.0 as usize).and_then(Option::as_mut)
}

#[cfg(test)]
mod tests;
