//! A frame's way into the batch: decode, join fragments, look up.

use super::{Worker, entry};
use crate::dataplane::backend::{About, Backend, Frame};
use crate::dataplane::decode::{
    self, Checksum, Datagram, Fragment, FrameMeta, GSO_NONE, NEEDS_CSUM, Packet,
};
use crate::dataplane::link::{FromWorker, Ingress};
use crate::dataplane::reassembly::{Key, PAYLOAD_AT, Verdict, Whole};
use crate::fib::counters::PortCounters;
use crate::fib::{Fib, FlowKey, protocol};
use crate::types::{DropReason, LinkLayer, Time};
use crate::wire::checksum;
use std::io;
use std::net::IpAddr;

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    /// One frame's way.
    #[inline]
    pub(super) fn forward(&mut self, fib: &Fib, frame: &Frame) -> io::Result<()> {
        let Some(port) = entry(&mut self.ports, frame.port) else { return Ok(()) };
        let counters = &mut port.counters;
        counters.frames += 1;
        self.counters.frames += 1;
        let vlan = frame.vlan();
        if !fib.takes_vlan(port.iif, vlan) {
            counters.drops.add(DropReason::VlanTag, 1);
            return Ok(());
        }
        match read(&mut self.backend, frame, port.ingress, counters) {
            Ok(Packet::Whole(mut datagram)) => {
                counters.whole += 1;
                if datagram.header_len == 0 {
                    datagram.identification = self.numbers(datagram.count());
                }
                self.datagram(fib, frame, &datagram);
                Ok(())
            }
            Ok(Packet::Fragment(fragment)) => self.fragment(fib, frame, vlan, &fragment),
            Err(reason) => {
                counters.drops.add(reason, 1);
                Ok(())
            }
        }
    }

    /// The first of so many identifications that were not given out lately; never 0.
    pub(super) fn numbers(&mut self, count: u64) -> u16 {
        let first = self.number;
        // It goes round: only the last 16 bits matter.
        self.number = first.wrapping_add(count as u16).max(1);
        first
    }

    /// The way of what a frame, or several fragments, held.
    #[inline]
    fn datagram(&mut self, fib: &Fib, frame: &Frame, datagram: &Datagram) {
        let Some(port) = entry(&mut self.ports, frame.port) else { return };
        let (iif, counters) = (port.iif, &mut port.counters);
        let count = datagram.count();
        counters.datagrams += count;
        let in_buffer = Datagram {
            header_start: frame.start + datagram.header_start,
            payload_start: frame.start + datagram.payload_start,
            ..*datagram
        };
        let lookup = || {
            let source = IpAddr::V4(datagram.source);
            if fib.is_own(iif, source) {
                return Err(DropReason::OwnSource);
            }
            fib.find(&FlowKey {
                iif,
                vlan: datagram.vlan,
                destination: IpAddr::V4(datagram.destination),
                source,
                protocol: datagram.protocol,
                port: datagram.destination_port,
            })
        };
        match self.batch.add(frame.port, frame.buffer, &in_buffer, lookup) {
            Ok(()) => counters.matched += count,
            Err(reason) => counters.drops.add(reason, count),
        }
    }

    /// Puts a fragment to the others of its datagram, and forwards that when it is whole.
    fn fragment(
        &mut self,
        fib: &Fib,
        frame: &Frame,
        vlan: u16,
        fragment: &Fragment,
    ) -> io::Result<()> {
        let now = (self.now)();
        self.give_up_fragments(now);
        if self.reassembly.waits_for_release() {
            self.send_batch(fib)?;
        }
        let key = Key {
            port: frame.port,
            vlan,
            source: fragment.source,
            destination: fragment.destination,
            identification: fragment.identification,
            protocol: fragment.protocol,
        };
        let invalid = match self.reassembly.offer(key, fragment, now) {
            Verdict::Place { spare, at, whole } => {
                self.place(frame, fragment, spare, at);
                if let Some(port) = entry(&mut self.ports, frame.port) {
                    port.counters.held += 1;
                }
                if let Some(whole) = whole {
                    self.joined(fib, frame, vlan, &whole);
                }
                return Ok(());
            }
            Verdict::NoRoom => {
                self.drop_frames(frame, DropReason::FragmentBudget, 1);
                return Ok(());
            }
            Verdict::Compare { spare, at } if self.is_same(frame, fragment, spare, at) => 0,
            Verdict::Compare { .. } => self.reassembly.give_up(key),
            Verdict::Invalid { held } => held,
        };
        if let Some(port) = entry(&mut self.ports, frame.port) {
            port.counters.held -= u64::from(invalid);
        }
        self.drop_frames(frame, DropReason::FragmentInvalid, 1 + u64::from(invalid));
        Ok(())
    }

    fn drop_frames(&mut self, frame: &Frame, reason: DropReason, count: u64) {
        if let Some(port) = entry(&mut self.ports, frame.port) {
            port.counters.drops.add(reason, count);
        }
    }

    /// Copies a fragment, and the header of the first one, to where the whole is made.
    fn place(&mut self, frame: &Frame, fragment: &Fragment, spare: u32, at: u32) {
        let payload = (frame.buffer, frame.start + fragment.payload_start, fragment.payload_len);
        self.backend.copy_to_spare(payload, spare, at);
        if fragment.offset == 0 {
            let len = u32::from(fragment.header_len);
            let header = (frame.buffer, frame.start + fragment.header_start, len);
            self.backend.copy_to_spare(header, spare, PAYLOAD_AT - len);
        }
    }

    fn is_same(&self, frame: &Frame, fragment: &Fragment, spare: u32, at: u32) -> bool {
        let len = fragment.payload_len as usize;
        let start = (frame.start + fragment.payload_start) as usize;
        let new = self.backend.buffer(frame.buffer).get(start..start + len);
        let held = self.backend.buffer(spare).get(at as usize..at as usize + len);
        new.is_some() && new == held
    }

    /// A datagram has become whole: it goes on as if it had come in one frame.
    fn joined(&mut self, fib: &Fib, frame: &Frame, vlan: u16, whole: &Whole) {
        let header_len = u32::from(whole.header_len);
        let start = PAYLOAD_AT - header_len;
        let len = header_len + whole.payload_len;
        let header = self.backend.spare(whole.spare).get_mut(start as usize..PAYLOAD_AT as usize);
        if let Some(header) = header {
            // It fits: the reassembly takes nothing longer.
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            header[6..8].fill(0);
            header[10..12].fill(0);
            let check = !checksum::Sum::default().bytes(header).fold();
            header[10..12].copy_from_slice(&check.to_be_bytes());
        }
        let meta = FrameMeta { vlan: Some(vlan), ..FrameMeta::plain(LinkLayer::None) };
        let about = About::Packet(meta);
        let whole_frame = Frame { buffer: whole.spare, start, len, about, ..*frame };
        let Some(port) = entry(&mut self.ports, frame.port) else { return };
        let counters = &mut port.counters;
        let fragments = u64::from(whole.fragments);
        counters.held -= fragments;
        match read(&mut self.backend, &whole_frame, port.ingress, counters) {
            Ok(Packet::Whole(datagram)) => {
                counters.joined += fragments;
                self.datagram(fib, &whole_frame, &datagram);
            }
            // A whole datagram is no fragment: the header says so.
            Ok(Packet::Fragment(_)) => counters.drops.add(DropReason::FragmentInvalid, fragments),
            Err(reason) => counters.drops.add(reason, fragments),
        }
    }

    /// Ends the wait of fragments whose time is over.
    pub(super) fn give_up_old_fragments(&mut self) {
        if self.reassembly.is_waiting() {
            self.give_up_fragments((self.now)());
        }
    }

    fn give_up_fragments(&mut self, now: Time) {
        let ports = &mut self.ports;
        self.reassembly.expire(now, |handle, fragments| {
            if let Some(port) = entry(ports, handle) {
                port.counters.held -= u64::from(fragments);
                port.counters.drops.add(DropReason::FragmentTimeout, u64::from(fragments));
            }
        });
    }
}

/// What is in a frame, wherever it came from.
#[inline]
fn read<B: Backend>(
    backend: &mut B,
    frame: &Frame,
    ingress: Ingress,
    counters: &mut PortCounters,
) -> Result<Packet, DropReason> {
    match (frame.about, ingress) {
        (About::Packet(mut meta), _) => {
            if meta.gso_type != GSO_NONE {
                counters.super_frames += 1;
            }
            if meta.flags & NEEDS_CSUM != 0 {
                counters.partial_checksums += 1;
            }
            let (start, len) = (frame.start as usize, frame.len as usize);
            let bytes = backend.buffer(frame.buffer).get(start..start + len).unwrap_or(&[]);
            let Some(inner) = decode::inner_checksum(bytes, &meta)? else {
                return decode::decode(bytes, &meta);
            };
            if !backend.complete_checksum(
                frame.buffer,
                frame.start + inner.start,
                inner.len,
                inner.at,
            ) {
                return Err(DropReason::ChecksumStart);
            }
            meta.flags &= !NEEDS_CSUM;
            let bytes = backend.buffer(frame.buffer).get(start..start + len).unwrap_or(&[]);
            decode::decode(bytes, &meta)
        }
        (About::Udp { truncated: true, .. }, _) => Err(DropReason::Truncated),
        (About::Udp { source, ttl, tos, segment, .. }, Ingress::Udp(local)) => {
            if segment != 0 {
                counters.super_frames += 1;
            }
            let segment = if segment == 0 { frame.len } else { u32::from(segment) };
            Ok(Packet::Whole(Datagram {
                vlan: 0,
                source: *source.ip(),
                destination: *local.ip(),
                protocol: protocol::UDP,
                source_port: source.port(),
                destination_port: local.port(),
                ttl,
                tos,
                identification: 0,
                dont_fragment: false,
                checksum: Checksum::Partial,
                header_start: 0,
                header_len: 0,
                payload_start: 0,
                payload_len: frame.len,
                segment: segment.max(1),
            }))
        }
        // A payload without its headers came in at a port that has frames.
        (About::Udp { .. }, Ingress::Packet(_)) => Err(DropReason::Runt),
    }
}
