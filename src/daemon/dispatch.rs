//! Does what the core asks for: sockets, memberships, messages to the data plane.

use super::plane::Plane;
use crate::control::PortKey;
use crate::control::event::{Event, WorkerReport};
use crate::control::router::Output;
use crate::dataplane::link::{Ingress, PortId, Report};
use crate::dataplane::process::message::{Note, PortSpec, ToPlane, WorkerState};
use crate::fib::counters::PortCounters;
use crate::sockets::membership::Memberships;
use crate::sockets::ports::{Bridge, InputSocket, Room};
use crate::sockets::shards::Family;
use crate::types::{IfIndex, InputFilter, LinkLayer, Membership};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use tracing::{debug, warn};

/// Everything of the kernel's that control holds, and the data plane.
pub(super) struct Sockets {
    /// None = it has died, and another is not there yet.
    pub(super) plane: Option<Plane>,
    /// By port number.
    inputs: BTreeMap<u32, Input>,
    /// Of interfaces that are divided: what their next sockets join.
    families: BTreeMap<IfIndex, Family>,
    memberships: Memberships,
    /// Sockets of memberships that the data plane holds for us, by their names there.
    kept: BTreeSet<u64>,
    /// What is added to the numbers of our sockets to make names that no earlier control gave.
    first_token: u64,
    /// Held since an earlier control, as long as ours are not all there.
    old_kept: Vec<u64>,
    /// Ports that are closed because of a failure of ours.
    failing: BTreeMap<u32, String>,
    /// Workers that answer, and whether they read rings.
    running: BTreeMap<u32, bool>,
    /// Bytes that may wait in the kernel for each input port.
    receive_buffer: u32,
    /// Packet sockets that may have a ring at a time.
    rings: usize,
}

/// An input port that the data plane has.
struct Input {
    /// As it was opened, without what was counted since.
    spec: PortSpec,
    /// Who reads it.
    worker: u32,
    socket: InputSocket,
    /// It is to be closed.
    closing: bool,
}

impl Sockets {
    pub(super) fn new(
        plane: Plane,
        workers: u32,
        kept: Vec<u64>,
        receive_buffer: u32,
        rings: usize,
    ) -> Self {
        Self {
            plane: Some(plane),
            receive_buffer,
            rings,
            inputs: BTreeMap::new(),
            families: BTreeMap::new(),
            failing: BTreeMap::new(),
            memberships: Memberships::new(),
            kept: BTreeSet::new(),
            first_token: kept.iter().max().map_or(0, |last| last + 1),
            old_kept: kept,
            running: unknown(workers),
        }
    }

    /// Sends the data plane a message, where there is one.
    pub(super) fn send(&mut self, message: &ToPlane, descriptor: Option<OwnedFd>) {
        if let Some(plane) = &mut self.plane {
            plane.send(message, descriptor);
        }
    }

    /// Does one thing; the events are what became of it. `notes` go with a table.
    pub(super) fn dispatch(&mut self, output: Output, notes: &mut Vec<Note>) -> Vec<Event> {
        match output {
            Output::OpenPort { port, worker, key, shards, link_layer, filter } => {
                let opened = self.open((port, worker), (key, shards), link_layer, &filter);
                self.forget_families();
                match opened {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        vec![Event::PortFailed { port, reason: error.to_string() }]
                    }
                }
            }
            Output::SetFilter { port, filter } => {
                self.set_filter(port, &filter);
                Vec::new()
            }
            Output::MovePort { port, worker } => {
                if let Some(input) = self.inputs.get_mut(&port) {
                    input.worker = worker;
                }
                self.send(&ToPlane::Move { port: PortId(port), worker }, None);
                Vec::new()
            }
            Output::ClosePort { port } => {
                self.close(port);
                Vec::new()
            }
            Output::Publish { fib, reset_rules, reset_outputs } => {
                debug!(generation = fib.generation(), "publishing a table");
                let notes = std::mem::take(notes);
                self.send(&ToPlane::Publish { fib, reset_rules, reset_outputs, notes }, None);
                Vec::new()
            }
            Output::Memberships(wanted) => vec![self.join(&wanted)],
            Output::InterfaceGone(index) => {
                self.memberships.interface_gone(index);
                self.keep_memberships();
                self.families.remove(&index);
                Vec::new()
            }
            Output::RejoinInterface(index) => {
                self.memberships.rejoin(index);
                self.keep_memberships();
                Vec::new()
            }
            // Not ours.
            Output::Notice(_)
            | Output::Workers(_)
            | Output::Transmit(_)
            | Output::LinkListeners(_)
            | Output::HardwareGroups(_) => Vec::new(),
        }
    }

    fn open(
        &mut self,
        (port, worker): (u32, u32),
        (key, shards): (PortKey, u32),
        link_layer: LinkLayer,
        filter: &InputFilter,
    ) -> io::Result<()> {
        let room = self.room(worker, shards);
        let (input, ingress) = match key {
            PortKey::Packet(iif, shard) if shards > 1 => {
                let family = match self.families.entry(iif) {
                    Entry::Occupied(family) => family.into_mut(),
                    Entry::Vacant(place) => {
                        place.insert(Family::open(iif, link_layer, room, shards)?)
                    }
                };
                (family.take(shard, filter)?, Ingress::Packet(link_layer))
            }
            PortKey::Packet(iif, _) => {
                (InputSocket::packet(iif, link_layer, filter, room)?, Ingress::Packet(link_layer))
            }
            PortKey::Udp(iif, address, udp_port) => (
                InputSocket::udp(iif, address, udp_port, self.receive_buffer)?,
                Ingress::Udp(SocketAddrV4::new(address, udp_port)),
            ),
        };
        let shared = input.share()?;
        let spec = PortSpec {
            id: PortId(port),
            iif: key.iif(),
            ingress,
            counters: PortCounters::default(),
            label: serde_json::to_vec(&key)?,
        };
        self.send(&ToPlane::Open { worker, port: spec.clone() }, Some(shared));
        self.inputs.insert(port, Input { spec, worker, socket: input, closing: false });
        Ok(())
    }

    /// What a new input port of a worker gets, or so many that divide an interface: the first ones have rings.
    fn room(&self, worker: u32, shards: u32) -> Room {
        let used = self.inputs.values().filter(|input| input.socket.has_ring()).count();
        let ring = self.running.get(&worker) == Some(&true) && used + shards as usize <= self.rings;
        Room { bytes: self.receive_buffer, ring }
    }

    /// Takes over a port that an earlier control has opened: what it is to the core.
    pub(super) fn adopt(
        &mut self,
        worker: u32,
        spec: PortSpec,
        socket: OwnedFd,
        bridge: &mut Bridge,
    ) -> io::Result<PortKey> {
        let key: PortKey = serde_json::from_slice(&spec.label)?;
        let socket = match spec.ingress {
            Ingress::Packet(link_layer) => {
                InputSocket::adopt_packet(socket, spec.iif, link_layer, bridge)?
            }
            Ingress::Udp(_) => InputSocket::adopt_udp(socket),
        };
        self.inputs.insert(spec.id.0, Input { spec, worker, socket, closing: false });
        Ok(key)
    }

    fn set_filter(&mut self, port: u32, filter: &InputFilter) {
        let outcome = self.inputs.get_mut(&port).map(|input| input.socket.set_filter(filter));
        if let Some(Err(error)) = outcome {
            // The old filter stays: new groups would be missing, so the port counts as failed.
            // Its last counters come with the worker's answer, and the reason with them.
            self.failing.insert(port, format!("cannot set the filter: {error}"));
            self.close(port);
        }
    }

    pub(super) fn close(&mut self, port: u32) {
        // Nothing more comes in: what the kernel has counted by now is final.
        if let Some(input) = self.inputs.get_mut(&port) {
            input.closing = true;
            if let Err(error) = input.socket.shut() {
                debug!(port, %error, "cannot shut an input port's filter");
            }
        }
        self.send(&ToPlane::Close(PortId(port)), None);
    }

    fn join(&mut self, wanted: &BTreeSet<Membership>) -> Event {
        let failed = self.memberships.set(wanted);
        self.keep_memberships();
        if failed.is_empty() {
            self.forget_old();
        }
        Event::Memberships {
            failed: failed.into_iter().map(|(m, error)| (m, error.to_string())).collect(),
        }
    }

    /// Has the data plane hold our memberships' sockets, so that they outlive us.
    fn keep_memberships(&mut self) {
        let Some(plane) = &mut self.plane else { return };
        let mut now = BTreeSet::new();
        for (number, socket) in self.memberships.sockets() {
            let token = self.first_token + number;
            if !self.kept.contains(&token) {
                match socket.try_clone_to_owned() {
                    Ok(socket) => plane.send(&ToPlane::Keep { token }, Some(socket)),
                    Err(error) => {
                        warn!(%error, "a membership would not outlive this process");
                        continue;
                    }
                }
            }
            now.insert(token);
        }
        for &token in self.kept.difference(&now) {
            plane.send(&ToPlane::Forget { token }, None);
        }
        self.kept = now;
    }

    /// The memberships of an earlier control are of no more use.
    pub(super) fn forget_old(&mut self) {
        for token in std::mem::take(&mut self.old_kept) {
            self.send(&ToPlane::Forget { token }, None);
        }
    }

    /// The data plane has let go of a port: our descriptor goes too.
    pub(super) fn closed(&mut self, port: u32) {
        self.inputs.remove(&port);
        self.forget_families();
    }

    /// A family without a socket begins anew.
    fn forget_families(&mut self) {
        let inputs = &self.inputs;
        self.families
            .retain(|iif, _| inputs.values().any(|of| of.spec.iif == *iif && of.socket.is_shard()));
    }

    /// Why we had a port closed that is wanted.
    pub(super) fn failure(&mut self, port: u32) -> Option<String> {
        self.failing.remove(&port)
    }

    /// Interfaces whose packet sockets are dead, though nobody has said that they are gone.
    pub(super) fn unbound(&self) -> BTreeSet<IfIndex> {
        let unbound = self.inputs.values().filter(|input| !input.socket.is_bound());
        unbound.map(|input| input.spec.iif).collect()
    }

    /// Its ports are read again when it is started again.
    pub(super) fn worker_died(&mut self, worker: u32) {
        self.running.remove(&worker);
    }

    /// A worker runs, or runs again; whether it reads rings.
    pub(super) fn worker_started(&mut self, worker: u32, rings: bool) {
        self.running.insert(worker, rings);
    }

    /// The data plane is gone with all that it had. What it was, to be buried.
    pub(super) fn plane_died(&mut self) -> Option<Plane> {
        self.inputs.clear();
        self.families.clear();
        self.failing.clear();
        self.running.clear();
        self.kept.clear();
        self.old_kept.clear();
        self.plane.take()
    }

    /// Another one is there.
    pub(super) fn plane_started(&mut self, plane: Plane, workers: u32) {
        self.plane = Some(plane);
        self.running = unknown(workers);
        self.keep_memberships();
    }

    /// The ports that are open, and those that are to be closed.
    pub(super) fn ports(&self) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let all = |closing| {
            self.inputs.iter().filter(move |(_, input)| input.closing == closing).map(|(id, _)| *id)
        };
        (all(false).collect(), all(true).collect())
    }

    /// The message that opens a port of ours at another data plane, which counts on from there.
    pub(super) fn open_again(
        &self,
        port: u32,
        counters: PortCounters,
    ) -> io::Result<(ToPlane, OwnedFd)> {
        let input = self.inputs.get(&port).ok_or(io::ErrorKind::NotFound)?;
        let open = PortSpec { counters, ..input.spec.clone() };
        Ok((ToPlane::Open { worker: input.worker, port: open }, input.socket.share()?))
    }

    /// True where memberships of an earlier control are still held by the data plane alone.
    pub(super) fn holds_old(&self) -> bool {
        !self.old_kept.is_empty()
    }

    /// Another data plane has taken over all that the one here had: that one, to be ended.
    pub(super) fn plane_replaced(&mut self, plane: Plane) -> Option<Plane> {
        let old = self.plane.replace(plane);
        self.running.clear();
        self.kept.clear();
        self.keep_memberships();
        old
    }

    /// Workers that answer.
    pub(super) fn running(&self) -> BTreeSet<u32> {
        self.running.keys().copied().collect()
    }
}

/// So many workers, of which is not known yet what they can do.
fn unknown(workers: u32) -> BTreeMap<u32, bool> {
    (0..workers).map(|worker| (worker, false)).collect()
}

/// What the core is told of a worker that runs already when its data plane is met; it has said so to
/// nobody. None where it does not run.
pub(super) fn ready_event(worker: u32, state: &WorkerState) -> Option<Event> {
    let (reason, notes) = (state.reason.clone(), state.notes.clone());
    let tier = state.tier?.name().to_owned();
    Some(Event::WorkerReady { worker, tier, reason, notes })
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
