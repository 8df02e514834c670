//! Does what the core asks for: sockets, memberships, messages to workers.

use crate::control::PortKey;
use crate::control::event::{Event, WorkerReport};
use crate::control::router::Output;
use crate::dataplane::link::{Ingress, Port, PortId, Report, ToWorker};
use crate::dataplane::meter::Meters;
use crate::dataplane::pool::Pool;
use crate::fib::counters::PortCounters;
use crate::sockets::membership::Memberships;
use crate::sockets::ports::InputSocket;
use crate::types::{IfIndex, InputFilter, LinkLayer, Membership};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use tracing::debug;

/// Everything of the kernel's that control holds.
pub(super) struct Sockets {
    /// By port number: the worker, the interface, the socket.
    inputs: BTreeMap<u32, (u32, IfIndex, InputSocket)>,
    memberships: Memberships,
    /// Ports that are closed because of a failure of ours.
    failing: BTreeMap<u32, String>,
    /// Workers that are not running.
    dead: BTreeSet<u32>,
    workers: BTreeSet<u32>,
    /// Of the table that was published last.
    meters: Arc<Meters>,
    /// Bytes that may wait in the kernel for each input port.
    receive_buffer: u32,
}

impl Sockets {
    pub(super) fn new(workers: u32, receive_buffer: u32) -> Self {
        Self {
            receive_buffer,
            meters: Arc::default(),
            inputs: BTreeMap::new(),
            failing: BTreeMap::new(),
            memberships: Memberships::new(),
            dead: BTreeSet::new(),
            workers: (0..workers).collect(),
        }
    }

    /// Does one thing; the events are what became of it.
    pub(super) fn dispatch(&mut self, pool: &Pool, output: Output) -> Vec<Event> {
        match output {
            Output::OpenPort { port, worker, key, link_layer, filter } => {
                match self.open(pool, (port, worker), key, link_layer, &filter) {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        vec![Event::PortFailed { port, reason: error.to_string() }]
                    }
                }
            }
            Output::SetFilter { port, filter } => self.set_filter(pool, port, &filter),
            Output::ClosePort { port } => self.close(pool, port),
            Output::Publish { fib, reset_rules, reset_outputs } => {
                debug!(generation = fib.generation(), "publishing a table");
                self.meters = self.meters.follow(&fib);
                self.to_all(pool, || ToWorker::Publish {
                    fib: fib.clone(),
                    meters: self.meters.clone(),
                    reset_rules: reset_rules.clone(),
                    reset_outputs: reset_outputs.clone(),
                });
                Vec::new()
            }
            Output::Memberships(wanted) => vec![self.join(&wanted)],
            Output::InterfaceGone(index) => {
                self.memberships.interface_gone(index);
                Vec::new()
            }
            // Nothing of the kernel's.
            Output::Notice(_) => Vec::new(),
        }
    }

    fn open(
        &mut self,
        pool: &Pool,
        (port, worker): (u32, u32),
        key: PortKey,
        link_layer: LinkLayer,
        filter: &InputFilter,
    ) -> io::Result<()> {
        let (input, ingress) = match key {
            PortKey::Packet(iif) => (
                InputSocket::packet(iif, link_layer, filter, self.receive_buffer)?,
                Ingress::Packet(link_layer),
            ),
            PortKey::Udp(iif, address, udp_port) => (
                InputSocket::udp(iif, address, udp_port, self.receive_buffer)?,
                Ingress::Udp(SocketAddrV4::new(address, udp_port)),
            ),
        };
        let socket = input.share()?;
        let open = ToWorker::Open(Port {
            id: PortId(port),
            iif: key.iif(),
            ingress,
            socket,
            counters: PortCounters::default(),
        });
        if !pool.send(worker, open) {
            return Err(io::Error::other("its worker is not running"));
        }
        self.inputs.insert(port, (worker, key.iif(), input));
        Ok(())
    }

    fn set_filter(&mut self, pool: &Pool, port: u32, filter: &InputFilter) -> Vec<Event> {
        let outcome = self.inputs.get_mut(&port).map(|(_, _, input)| input.set_filter(filter));
        if let Some(Err(error)) = outcome {
            // The old filter stays: new groups would be missing, so the port counts as failed.
            // Its last counters come with the worker's answer, and the reason with them.
            self.failing.insert(port, format!("cannot set the filter: {error}"));
            return self.close(pool, port);
        }
        Vec::new()
    }

    fn close(&mut self, pool: &Pool, port: u32) -> Vec<Event> {
        let Some((worker, _, input)) = self.inputs.get_mut(&port) else { return Vec::new() };
        // Nothing more comes in: what the kernel has counted by now is final.
        if let Err(error) = input.set_filter(&InputFilter::default()) {
            debug!(port, %error, "cannot shut an input port's filter");
        }
        // A worker that is gone has closed it.
        pool.send(*worker, ToWorker::Close(PortId(port)));
        Vec::new()
    }

    fn join(&mut self, wanted: &BTreeSet<Membership>) -> Event {
        let failed = self.memberships.set(wanted);
        Event::Memberships {
            failed: failed.into_iter().map(|(m, error)| (m, error.to_string())).collect(),
        }
    }

    /// A worker has let go of a port: our descriptor goes too.
    pub(super) fn closed(&mut self, port: u32) {
        self.inputs.remove(&port);
    }

    /// Why we had a port closed that is wanted.
    pub(super) fn failure(&mut self, port: u32) -> Option<String> {
        self.failing.remove(&port)
    }

    /// Interfaces whose packet sockets are dead, though nobody has said that they are gone.
    pub(super) fn unbound(&self) -> BTreeSet<IfIndex> {
        self.inputs
            .values()
            .filter(|(_, _, input)| !input.is_bound())
            .map(|(_, iif, _)| *iif)
            .collect()
    }

    /// A worker's ports are closed on its side; ours go with it.
    pub(super) fn worker_died(&mut self, worker: u32) {
        self.inputs.retain(|_, (owner, _, _)| *owner != worker);
        self.failing.retain(|port, _| self.inputs.contains_key(port));
        self.dead.insert(worker);
    }

    /// A worker runs again.
    pub(super) fn worker_started(&mut self, worker: u32) {
        self.dead.remove(&worker);
    }

    /// Workers that answer.
    pub(super) fn running(&self) -> BTreeSet<u32> {
        self.workers.difference(&self.dead).copied().collect()
    }

    /// Sends a message to every worker that runs.
    pub(super) fn to_all(&self, pool: &Pool, message: impl Fn() -> ToWorker) {
        for worker in self.running() {
            // One that has died meanwhile says so itself.
            pool.send(worker, message());
        }
    }
}

/// A worker's report as the core takes it.
pub(super) fn report_event(worker: u32, report: Report) -> Event {
    Event::Report(Box::new(WorkerReport {
        worker,
        generation: report.generation,
        ports: report.ports.into_iter().map(|(port, counters)| (port.0, counters)).collect(),
        slots: report.slots,
        counters: report.worker,
    }))
}
