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
use crate::sockets::shards::Family;
use crate::types::{IfIndex, InputFilter, LinkLayer, Membership};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use tracing::debug;

/// Why a port cannot be opened.
const GONE: &str = "its worker is not running";

/// Where a port goes when its worker has given it back.
struct Move {
    to: u32,
    /// It is not wanted any more.
    close: bool,
}

/// Everything of the kernel's that control holds.
pub(super) struct Sockets {
    /// By port number: the worker, the interface, the socket.
    inputs: BTreeMap<u32, (u32, IfIndex, InputSocket)>,
    /// Of interfaces that are divided: what their next sockets join.
    families: BTreeMap<IfIndex, Family>,
    /// Ports that a worker has been asked to give back.
    moving: BTreeMap<u32, Move>,
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
            families: BTreeMap::new(),
            moving: BTreeMap::new(),
            failing: BTreeMap::new(),
            memberships: Memberships::new(),
            dead: BTreeSet::new(),
            workers: (0..workers).collect(),
        }
    }

    /// Does one thing; the events are what became of it.
    pub(super) fn dispatch(&mut self, pool: &Pool, output: Output) -> Vec<Event> {
        match output {
            Output::OpenPort { port, worker, key, shards, link_layer, filter } => {
                let opened = self.open(pool, (port, worker), (key, shards), link_layer, &filter);
                self.forget_families();
                match opened {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        vec![Event::PortFailed { port, reason: error.to_string() }]
                    }
                }
            }
            Output::SetFilter { port, filter } => self.set_filter(pool, port, &filter),
            Output::ClosePort { port } => self.close(pool, port),
            Output::MovePort { port, worker } => {
                self.release(pool, port, worker);
                Vec::new()
            }
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
                self.families.remove(&index);
                Vec::new()
            }
            // Nothing of the kernel's.
            Output::Notice(_) | Output::Workers(_) => Vec::new(),
        }
    }

    fn open(
        &mut self,
        pool: &Pool,
        (port, worker): (u32, u32),
        (key, shards): (PortKey, u32),
        link_layer: LinkLayer,
        filter: &InputFilter,
    ) -> io::Result<()> {
        let (input, ingress) = match key {
            PortKey::Packet(iif, shard) if shards > 1 => {
                let family = match self.families.entry(iif) {
                    Entry::Occupied(family) => family.into_mut(),
                    Entry::Vacant(place) => {
                        place.insert(Family::open(iif, link_layer, self.receive_buffer, shards)?)
                    }
                };
                (family.take(shard, filter)?, Ingress::Packet(link_layer))
            }
            PortKey::Packet(iif, _) => (
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
            return Err(io::Error::other(GONE));
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
        if let Some(on_its_way) = self.moving.get_mut(&port) {
            on_its_way.close = true;
            return Vec::new();
        }
        // A worker that is gone has closed it.
        pool.send(*worker, ToWorker::Close(PortId(port)));
        Vec::new()
    }

    /// Asks the worker that has a port to give it back; see [`Self::released`].
    fn release(&mut self, pool: &Pool, port: u32, to: u32) {
        let Some((worker, _, _)) = self.inputs.get(&port) else { return };
        let on_its_way = self.moving.insert(port, Move { to, close: false }).is_some();
        if !on_its_way {
            // A worker that is gone says so, and the port has failed then.
            pool.send(*worker, ToWorker::Release(PortId(port)));
        }
    }

    /// A worker has given a port back, with what waits in it: another one reads on.
    pub(super) fn released(&mut self, pool: &Pool, released: Port) -> Option<Event> {
        let port = released.id.0;
        let Move { to, close } = self.moving.remove(&port)?;
        let (worker, _, _) = self.inputs.get_mut(&port)?;
        *worker = to;
        if !pool.send(to, ToWorker::Open(released)) {
            self.closed(port);
            return Some(Event::PortFailed { port, reason: GONE.to_owned() });
        }
        if close {
            // It counts what waited in it.
            pool.send(to, ToWorker::Close(PortId(port)));
        }
        None
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
        self.forget_families();
    }

    /// A family without a socket begins anew.
    fn forget_families(&mut self) {
        let inputs = &self.inputs;
        self.families
            .retain(|iif, _| inputs.values().any(|(_, of, input)| of == iif && input.is_shard()));
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

    /// A worker's ports are closed on its side; ours go with it. Those that were on their way to another
    /// are lost: the core believes them there.
    pub(super) fn worker_died(&mut self, worker: u32) -> Vec<Event> {
        self.inputs.retain(|_, (owner, _, _)| *owner != worker);
        self.forget_families();
        self.failing.retain(|port, _| self.inputs.contains_key(port));
        self.dead.insert(worker);
        let lost = self.moving.extract_if(.., |port, _| !self.inputs.contains_key(port));
        let reason = || "the worker that had it died".to_owned();
        lost.map(|(port, _)| Event::PortFailed { port, reason: reason() }).collect()
    }

    /// A worker runs, or runs again.
    pub(super) fn worker_started(&mut self, worker: u32) {
        self.workers.insert(worker);
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
