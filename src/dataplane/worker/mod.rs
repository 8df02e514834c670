//! One worker: takes a batch of frames, forwards it by the `Fib`, counts, repeats.

use super::ancillary::SendOptions;
use super::backend::{
    About, Backend, Frame, PortEvent, PortHandle, SENDS, SendRequest, SendResult,
};
use super::decode::{self, Datagram, GSO_NONE, NEEDS_CSUM};
use super::egress::{EgressSockets, FlowId};
use super::link::{FromWorker, Ingress, Port, PortId, Report, ToWorker};
use super::refusal::{may_be_of_an_earlier_send, reason_of};
use crate::fib::counters::{PortCounters, SlotCounters, WorkerCounters};
use crate::fib::{Action, Fib, FlowKey, OutputSlot, Send};
use crate::types::{DropReason, IfIndex, Ttl};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

/// ECN bits of the TOS byte (RFC 3168): hop by hop, so not carried over to a new datagram.
const ECN_MASK: u8 = 0x03;

struct PortEntry {
    id: PortId,
    iif: IfIndex,
    ingress: Ingress,
    counters: PortCounters,
    /// Why it is about to be closed without having been asked for.
    failure: Option<String>,
}

/// A send that the kernel has not answered yet.
#[derive(Clone, Copy)]
struct Pending {
    slot: OutputSlot,
    flow: FlowId,
    request: SendRequest,
    repeated: bool,
}

/// See the module.
pub struct Worker<B, R> {
    backend: B,
    commands: Receiver<ToWorker>,
    report: R,
    fib: Arc<Fib>,
    ports: Vec<Option<PortEntry>>,
    slots: SlotCounters,
    counters: WorkerCounters,
    egress: EgressSockets,
    pending: Vec<Pending>,
    results: Vec<SendResult>,
}

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    /// A worker with an empty table, which holds at most so many sockets to send from.
    pub fn new(backend: B, commands: Receiver<ToWorker>, report: R, max_sockets: usize) -> Self {
        Self {
            backend,
            commands,
            report,
            fib: Arc::default(),
            ports: Vec::new(),
            slots: SlotCounters::default(),
            counters: WorkerCounters::default(),
            egress: EgressSockets::new(max_sockets),
            pending: Vec::with_capacity(SENDS),
            results: Vec::with_capacity(SENDS),
        }
    }

    /// Works until `Stop` comes or control is gone. An error is one of the backend as a whole.
    pub fn run(mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        let mut events = Vec::new();
        loop {
            let woken = self.backend.receive(&mut frames, &mut events)?;
            self.counters.turns += 1;
            let fib = Arc::clone(&self.fib);
            for frame in &frames {
                self.forward(&fib, frame)?;
            }
            self.flush()?;
            self.backend.recycle(&frames);
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
                Ok(ToWorker::Close(id)) => self.close(id),
                Ok(ToWorker::Publish { fib, reset_rules, reset_outputs }) => {
                    self.slots.grow(fib.rule_slots(), fib.output_slots());
                    self.slots.reset(&reset_rules, &reset_outputs);
                    let generation = fib.generation();
                    self.fib = fib;
                    (self.report)(FromWorker::Programmed(generation));
                }
                Ok(ToWorker::Collect(request)) => self.send_report(request),
                Ok(ToWorker::Age) => self.egress.age(),
            }
        }
    }

    fn open(&mut self, port: Port) {
        let Port { id, iif, ingress, socket } = port;
        match self.backend.open(socket, ingress) {
            Ok(handle) => {
                let at = handle.0 as usize;
                if self.ports.len() <= at {
                    self.ports.resize_with(at + 1, || None);
                }
                let counters = PortCounters::default();
                self.ports[at] = Some(PortEntry { id, iif, ingress, counters, failure: None });
            }
            Err(error) => (self.report)(FromWorker::Closed {
                port: id,
                counters: Box::default(),
                failure: Some(error.to_string()),
            }),
        }
    }

    fn close(&mut self, id: PortId) {
        let at = self.ports.iter().position(|port| port.as_ref().is_some_and(|port| port.id == id));
        if let Some(handle) = at.and_then(|at| u32::try_from(at).ok()) {
            self.backend.close(PortHandle(handle));
        }
    }

    fn port_event(&mut self, event: PortEvent) {
        match event {
            PortEvent::Refused(handle, _) => {
                if let Some(port) = entry(&mut self.ports, handle) {
                    port.counters.frames += 1;
                    port.counters.drops.add(DropReason::GsoType, 1);
                }
            }
            PortEvent::Failed(handle, error) => {
                if let Some(port) = entry(&mut self.ports, handle) {
                    port.failure = Some(error.to_string());
                }
            }
            PortEvent::Closed(handle, queued) => {
                let port = self.ports.get_mut(handle.0 as usize).and_then(Option::take);
                if let Some(mut port) = port {
                    port.counters.frames += queued;
                    port.counters.drops.add(DropReason::PortClosed, queued);
                    (self.report)(FromWorker::Closed {
                        port: port.id,
                        counters: Box::new(port.counters),
                        failure: port.failure,
                    });
                }
            }
        }
    }

    fn send_report(&mut self, request: u64) {
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

    /// One frame's way: decode, look up, queue its copies.
    fn forward(&mut self, fib: &Fib, frame: &Frame) -> io::Result<()> {
        let Some(port) = entry(&mut self.ports, frame.port) else { return Ok(()) };
        let counters = &mut port.counters;
        counters.frames += 1;
        self.counters.frames += 1;
        let datagram = match read(&self.backend, frame, port.ingress, counters) {
            Ok(datagram) => datagram,
            Err(reason) => {
                counters.drops.add(reason, 1);
                return Ok(());
            }
        };
        let count = datagram.count();
        counters.datagrams += count;
        let source = IpAddr::V4(datagram.source);
        if fib.is_own(port.iif, source) {
            counters.drops.add(DropReason::OwnSource, count);
            return Ok(());
        }
        let key = FlowKey {
            iif: port.iif,
            destination: IpAddr::V4(datagram.destination),
            port: datagram.destination_port,
            source,
        };
        let Some(entry) = fib.lookup(&key) else {
            counters.drops.add(DropReason::NoRule, count);
            return Ok(());
        };
        counters.matched += count;
        for rule in &entry.rules {
            let rule = &mut self.slots.rules[rule.0 as usize];
            rule.datagrams += count;
            rule.bytes += u64::from(datagram.payload_len);
        }
        for copy in &entry.copies {
            self.slots.outputs[copy.slot.0 as usize].wanted += count;
            match copy.action {
                Action::Send(send) => self.copy_out(frame, &datagram, copy.slot, &send)?,
                Action::Drop(reason) => self.drop_copies(copy.slot, reason, count),
            }
        }
        Ok(())
    }

    fn drop_copies(&mut self, slot: OutputSlot, reason: DropReason, count: u64) {
        self.slots.outputs[slot.0 as usize].drops.add(reason, count);
    }

    /// Queues one copy of each datagram in the frame.
    fn copy_out(
        &mut self,
        frame: &Frame,
        datagram: &Datagram,
        slot: OutputSlot,
        send: &Send,
    ) -> io::Result<()> {
        let destination = match send.destination {
            Some(IpAddr::V4(address)) => address,
            None => datagram.destination,
            Some(IpAddr::V6(_)) => {
                self.drop_copies(slot, DropReason::SendError, datagram.count());
                return Ok(());
            }
        };
        let ttl = match send.ttl {
            Ttl::Set(ttl) => ttl,
            Ttl::Keep => datagram.ttl,
            Ttl::Decrement => datagram.ttl.saturating_sub(1),
        };
        if ttl == 0 {
            self.drop_copies(slot, DropReason::TtlExpired, datagram.count());
            return Ok(());
        }
        let flow = FlowId {
            source: datagram.source,
            source_port: datagram.source_port,
            unicast: (!destination.is_multicast()).then_some(destination),
        };
        let Ok(socket) = self.egress.of(flow, self.counters.turns) else {
            self.drop_copies(slot, DropReason::NoSocket, datagram.count());
            return Ok(());
        };
        let source = match send.source {
            Some(IpAddr::V4(address)) => address,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let options = SendOptions {
            oif: send.oif.map_or(0, |oif| oif.0),
            source,
            ttl,
            tos: datagram.tos & !ECN_MASK,
        };
        let to = SocketAddrV4::new(destination, send.port.unwrap_or(datagram.destination_port));
        for (start, len) in datagram.segments() {
            if self.pending.len() >= SENDS {
                self.flush()?;
            }
            let request = SendRequest {
                socket,
                to,
                options,
                buffer: frame.buffer,
                start: frame.start + start,
                len,
                tag: u32::try_from(self.pending.len()).unwrap_or(u32::MAX),
            };
            if self.backend.send(&request) {
                self.pending.push(Pending { slot, flow, request, repeated: false });
            } else {
                self.drop_copies(slot, DropReason::SendError, 1);
            }
        }
        Ok(())
    }

    /// Hands all queued copies to the kernel and counts what became of each.
    fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            self.results.clear();
            self.backend.flush(&mut self.results)?;
            let answered = std::mem::take(&mut self.pending);
            let results = std::mem::take(&mut self.results);
            for (tag, result) in &results {
                let Some(pending) = answered.get(*tag as usize) else { continue };
                self.counters.sends += 1;
                match result {
                    Ok(_) => {
                        let output = &mut self.slots.outputs[pending.slot.0 as usize];
                        output.sent += 1;
                        output.bytes += u64::from(pending.request.len);
                    }
                    Err(errno) => self.refused(pending, *errno),
                }
            }
            self.results = results;
            // What `refused` has queued again goes in the next round, in the list that is kept.
            let mut kept = answered;
            kept.clear();
            kept.append(&mut self.pending);
            self.pending = kept;
        }
        self.egress.close_retired();
        Ok(())
    }

    /// A send may be refused by the ICMP answer to an earlier one: it is repeated once.
    fn refused(&mut self, pending: &Pending, errno: i32) {
        if may_be_of_an_earlier_send(errno) && !pending.repeated {
            self.egress.clear_error(&pending.flow);
            let tag = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
            let request = SendRequest { tag, ..pending.request };
            if self.backend.send(&request) {
                self.pending.push(Pending { request, repeated: true, ..*pending });
                return;
            }
        }
        self.drop_copies(pending.slot, reason_of(errno), 1);
    }
}

fn entry(ports: &mut [Option<PortEntry>], handle: PortHandle) -> Option<&mut PortEntry> {
    ports.get_mut(handle.0 as usize).and_then(Option::as_mut)
}

/// The datagram in a frame, wherever it came from.
fn read<B: Backend>(
    backend: &B,
    frame: &Frame,
    ingress: Ingress,
    counters: &mut PortCounters,
) -> Result<Datagram, DropReason> {
    match (frame.about, ingress) {
        (About::Packet(meta), _) => {
            if meta.gso_type != GSO_NONE {
                counters.super_frames += 1;
            }
            if meta.flags & NEEDS_CSUM != 0 {
                counters.partial_checksums += 1;
            }
            let (start, len) = (frame.start as usize, frame.len as usize);
            let bytes = backend.buffer(frame.buffer).get(start..start + len);
            decode::decode(bytes.unwrap_or(&[]), &meta)
        }
        (About::Udp { truncated: true, .. }, _) => Err(DropReason::Truncated),
        (About::Udp { source, ttl, tos, segment, .. }, Ingress::Udp(local)) => {
            if segment != 0 {
                counters.super_frames += 1;
            }
            let segment = if segment == 0 { frame.len } else { u32::from(segment) };
            Ok(Datagram {
                source: *source.ip(),
                destination: *local.ip(),
                source_port: source.port(),
                destination_port: local.port(),
                ttl,
                tos,
                payload_start: 0,
                payload_len: frame.len,
                segment: segment.max(1),
            })
        }
        (About::Udp { .. }, Ingress::Packet(_)) => Err(DropReason::NotUdp),
    }
}

#[cfg(test)]
#[path = "worker_tests/mod.rs"]
mod tests;
