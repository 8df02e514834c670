//! From a batch to its copies: rewrite, choose the socket and the headers.

use super::Worker;
use super::batch::{MAX_TRAIN, Run};
use super::sends::{Cut, Part, Pending, Split};
use crate::dataplane::ancillary::SendOptions;
use crate::dataplane::backend::{Backend, Header, Piece, SendRequest, SendTo};
use crate::dataplane::decode::Datagram;
use crate::dataplane::egress::FlowId;
use crate::dataplane::link::FromWorker;
use crate::dataplane::rewrite::{Framing, Outgoing, Rewrite, Template};
use crate::fib::{Action, CopyOut, Egress, Fib, OutputSlot, Send, SourceRewrite, protocol};
use crate::types::{DropReason, Dscp, LinkLayer, MtuPolicy, Ttl, relayed_ttl};
use crate::wire::{ethernet, ipv4, transport, udp};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;

/// ECN bits of the TOS byte (RFC 3168): hop by hop, so not carried over to a new datagram.
const ECN_MASK: u8 = 0x03;
/// Bytes of the headers of a datagram from a UDP socket.
const SOCKET_HEADERS: u32 = (ipv4::HEADER_LEN + udp::HEADER_LEN) as u32;

/// Where packets with headers of ours leave.
#[derive(Clone, Copy)]
struct Exit {
    socket: RawFd,
    to: SendTo,
    framing: Framing,
}

/// A cut of a run, on its way to one output.
struct Copy<'a> {
    cut: Cut,
    run: &'a Run,
    slot: OutputSlot,
    send: &'a Send,
    to: Rewrite,
}

impl Copy<'_> {
    /// True where its datagrams may leave as one message, as far as their size and their output go.
    fn may_be_a_train(&self) -> bool {
        self.cut.count > 1
            && self.run.segment <= u32::from(u16::MAX)
            && self.send.mtu.is_none_or(|mtu| self.run.segment + SOCKET_HEADERS <= mtu)
    }

    /// The cut in parts of at most so many datagrams as may leave together.
    fn trains(&self) -> impl Iterator<Item = Cut> + use<> {
        let Cut { from, count, .. } = self.cut;
        let burst = self.send.burst.map_or(MAX_TRAIN, |burst| u32::from(burst.get()));
        let (cut, most) = (self.cut, burst.min(MAX_TRAIN));
        (0..count.div_ceil(most)).map(move |n| {
            let skip = n * most;
            Cut { from: from + skip, count: most.min(count - skip), ..cut }
        })
    }

    fn pending(&self, cut: Cut, part: Part, request: SendRequest) -> Pending {
        let bytes = self.run.bytes_of(cut.from, cut.count);
        Pending { slot: self.slot, cut, bytes, part, request }
    }
}

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    /// Sends what the batch holds, and empties it.
    pub(super) fn send_batch(&mut self, fib: &Fib) -> io::Result<()> {
        for at in 0..self.batch.len() {
            let Some(run) = self.batch.run(at) else { continue };
            let Some(entry) = fib.entry(run.entry) else { continue };
            for rule in &entry.rules {
                let rule = &mut self.slots.rules[rule.0 as usize];
                rule.datagrams += u64::from(run.count);
                rule.bytes += u64::from(run.bytes);
            }
            for (copy, out) in (0u32..).zip(&entry.copies) {
                self.slots.outputs[out.slot.0 as usize].wanted += u64::from(run.count);
                let count = match &out.action {
                    Action::Send(Send { limit: Some(_), .. }) => self.admitted(out.slot, &run),
                    _ => run.count,
                };
                // A batch has fewer runs than fit.
                self.copy_out(&run, out, Cut { run: at as u32, copy, from: 0, count })?;
            }
        }
        self.flush(fib)?;
        self.batch.clear();
        self.batch_time = None;
        self.reassembly.release();
        Ok(())
    }

    /// How many of a run's datagrams, the first ones, the output's limit lets through now; the others
    /// are dropped.
    fn admitted(&mut self, slot: OutputSlot, run: &Run) -> u32 {
        let Some(meter) = self.meters.of(slot) else { return run.count };
        let now = *self.batch_time.get_or_insert_with(self.now);
        let refused = (0..run.count).find(|&at| !meter.admit(now, u64::from(run.size_of(at)), 1));
        let count = refused.unwrap_or(run.count);
        self.drop_copies(slot, DropReason::RateLimited, run.count - count);
        count
    }

    fn drop_copies(&mut self, slot: OutputSlot, reason: DropReason, count: u32) {
        self.slots.outputs[slot.0 as usize].drops.add(reason, u64::from(count));
    }

    /// Queues one copy of each datagram of the cut.
    pub(super) fn copy_out(&mut self, run: &Run, out: &CopyOut, cut: Cut) -> io::Result<()> {
        if cut.count == 0 {
            return Ok(());
        }
        let slot = out.slot;
        let refused = match &out.action {
            Action::Drop(reason) => *reason,
            Action::Send(send) => match rewrite(&run.datagram, send) {
                Err(reason) => reason,
                Ok(to) => {
                    let copy = Copy { cut, run, slot, send, to };
                    match self.send_copy(&copy) {
                        Ok(outcome) => return outcome,
                        Err(reason) => reason,
                    }
                }
            },
        };
        self.drop_copies(slot, refused, cut.count);
        Ok(())
    }

    /// Sends the copy, or says why no datagram of it can be sent.
    fn send_copy(&mut self, copy: &Copy<'_>) -> Result<io::Result<()>, DropReason> {
        match copy.send.egress {
            Egress::Socket { source, port } if copy.run.datagram.protocol == protocol::UDP => {
                let source = v4(source);
                let (socket, flow) = self.udp_socket(copy, source, port)?;
                Ok(self.send_datagrams(copy, socket, flow, udp_options(copy, source)))
            }
            _ => {
                let exit = self.exit(copy)?;
                Ok(self.send_packets(copy, &exit))
            }
        }
    }

    /// The UDP socket that a copy leaves by.
    fn udp_socket(
        &mut self,
        copy: &Copy<'_>,
        source: Option<Ipv4Addr>,
        port: Option<u16>,
    ) -> Result<(RawFd, FlowId), DropReason> {
        let oif = copy.send.oif.map_or(0, |oif| oif.0);
        let destination = copy.to.destination;
        let flow = match port {
            Some(port) => {
                FlowId::Fixed { address: source.unwrap_or(Ipv4Addr::UNSPECIFIED), port, oif }
            }
            None => FlowId::Source {
                source: copy.run.datagram.source,
                source_port: copy.run.datagram.source_port,
                unicast: (!destination.is_multicast()).then_some(destination),
                oif,
            },
        };
        match self.egress.of(flow, self.counters.turns) {
            Ok(socket) => Ok((socket, flow)),
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {
                Err(DropReason::NoAddress)
            }
            Err(_) => Err(DropReason::NoSocket),
        }
    }

    fn send_datagrams(
        &mut self,
        copy: &Copy<'_>,
        socket: RawFd,
        flow: FlowId,
        options: SendOptions,
    ) -> io::Result<()> {
        let to = SocketAddrV4::new(copy.to.destination, copy.to.destination_port);
        let to = SendTo::Udp { to, options };
        let part = Part::Datagrams { flow, repeated: false };
        if copy.may_be_a_train() && !self.one_by_one.contains(&copy.slot) {
            for cut in copy.trains() {
                let segment = if cut.count > 1 { copy.run.segment as u16 } else { 0 };
                let request = SendRequest { socket, to, segment, tag: 0 };
                self.pieces.clear();
                self.batch.cut(copy.run, cut.from, cut.count, &mut self.pieces);
                self.queue(&Header::EMPTY, copy.pending(cut, part, request))?;
            }
            return Ok(());
        }
        let largest = match (copy.send.mtu_policy, copy.send.mtu) {
            (MtuPolicy::Drop, Some(mtu)) => mtu.saturating_sub(SOCKET_HEADERS),
            // The kernel makes fragments.
            _ => u32::MAX,
        };
        for from in copy.cut.from..copy.cut.from + copy.cut.count {
            if copy.run.size_of(from) > largest {
                self.drop_copies(copy.slot, DropReason::MtuExceeded, 1);
                continue;
            }
            let request = SendRequest { socket, to, segment: 0, tag: 0 };
            self.pieces.clear();
            self.batch.cut(copy.run, from, 1, &mut self.pieces);
            let cut = Cut { from, count: 1, ..copy.cut };
            self.queue(&Header::EMPTY, copy.pending(cut, part, request))?;
        }
        Ok(())
    }

    /// Where packets with headers of ours leave.
    fn exit(&mut self, copy: &Copy<'_>) -> Result<Exit, DropReason> {
        let no_socket = |_| DropReason::NoSocket;
        let (send, to) = (copy.send, &copy.to);
        let oif = send.oif.map(|oif| oif.0);
        if let Egress::Link { link_layer, mac, .. } = send.egress {
            let oif = oif.ok_or(DropReason::NoInterface)?;
            let destination = match to.destination {
                address if address.is_multicast() => ethernet::of_group(address),
                address if send.broadcast || address.is_broadcast() => ethernet::BROADCAST,
                // One station's address would have to be resolved.
                _ if link_layer == LinkLayer::Ethernet => return Err(DropReason::SendError),
                _ => ethernet::BROADCAST,
            };
            let framing = Framing::of(link_layer, destination, mac);
            let socket = self.egress.frames(oif).map_err(no_socket)?;
            return Ok(Exit { socket, to: SendTo::Link { oif }, framing });
        }
        // The kernel fills in a source that is not set, but not in the checksums over it.
        let protocol = copy.run.datagram.protocol;
        if to.source.is_unspecified() && transport::checksum_offset(protocol).is_some() {
            return Err(DropReason::NoAddress);
        }
        let socket = self.egress.packets(oif.unwrap_or(0)).map_err(no_socket)?;
        let to = SendTo::Raw { to: to.destination, oif: oif.unwrap_or(0) };
        Ok(Exit { socket, to, framing: Framing::Raw })
    }

    fn send_packets(&mut self, copy: &Copy<'_>, exit: &Exit) -> io::Result<()> {
        let run = copy.run;
        // One header for all has to say of each what its own said: the checksum is made afresh, and
        // identifications count up.
        let alike = run.has_checksums
            && (run.numbered || run.datagram.dont_fragment)
            && usize::from(run.datagram.header_len) <= ipv4::HEADER_LEN;
        let link = matches!(exit.to, SendTo::Link { .. }) && copy.send.mtu.is_some();
        if link && alike && copy.may_be_a_train() && !self.one_by_one.contains(&copy.slot) {
            return self.send_frames(copy, exit);
        }
        let mut at = 0;
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        parts.extend(self.batch.parts(run));
        let wanted = copy.cut.from..copy.cut.from + copy.cut.count;
        for part in &parts {
            let datagram = run.datagram_of(part);
            // No part has more than the run.
            let count = datagram.count() as u32;
            if at + count > wanted.start && at < wanted.end {
                self.send_one_by_one(copy, exit, (part.piece.buffer, &datagram), at, &wanted)?;
            }
            at += count;
        }
        self.parts = parts;
        Ok(())
    }

    /// Sends frames that are cut apart after us.
    fn send_frames(&mut self, copy: &Copy<'_>, exit: &Exit) -> io::Result<()> {
        let Some(part) = self.batch.parts(copy.run).next() else { return Ok(()) };
        let template = Template::new(
            self.backend.buffer(part.piece.buffer),
            &copy.run.datagram_of(part),
            &copy.to,
        );
        for cut in copy.trains() {
            let bytes = copy.run.bytes_of(cut.from, cut.count);
            let segment = copy.run.segment as u16;
            let header = template
                .as_ref()
                .and_then(|template| template.train(cut.from, bytes, segment, exit.framing));
            let Some(header) = header else {
                self.drop_copies(copy.slot, DropReason::SendError, cut.count);
                continue;
            };
            self.pieces.clear();
            self.batch.cut(copy.run, cut.from, cut.count, &mut self.pieces);
            let request = SendRequest { socket: exit.socket, to: exit.to, segment: 0, tag: 0 };
            self.queue(&header, copy.pending(cut, Part::Packets, request))?;
        }
        Ok(())
    }

    /// Sends those datagrams of one part that are wanted, each with headers of its own; its first
    /// one is at place `first` of the run.
    fn send_one_by_one(
        &mut self,
        copy: &Copy<'_>,
        exit: &Exit,
        (buffer, datagram): (u32, &Datagram),
        first: u32,
        wanted: &std::ops::Range<u32>,
    ) -> io::Result<()> {
        let (slot, send) = (copy.slot, copy.send);
        let Some(template) = Template::new(self.backend.buffer(buffer), datagram, &copy.to) else {
            let places = first..first + datagram.count() as u32;
            let lost = places.filter(|place| wanted.contains(place)).count();
            self.drop_copies(slot, DropReason::SendError, lost as u32);
            return Ok(());
        };
        // Of UDP the payload is what follows the header; of others, we keep some of it at hand.
        let is_udp = datagram.protocol == protocol::UDP;
        let kept = if is_udp { 0 } else { template.transport_len() };
        for (number, (start, len)) in (0..).zip(datagram.segments()) {
            if !wanted.contains(&(first + number)) {
                continue;
            }
            let payload = Piece { buffer, start: start + kept, len: len - kept };
            let Some(mut outgoing) = template.datagram(number, payload.len) else {
                self.drop_copies(slot, DropReason::MessageSize, 1);
                continue;
            };
            let too_large = send.mtu.filter(|&mtu| outgoing.size() > mtu);
            if too_large.is_some() || exit.framing == Framing::Raw {
                let (from, to) = (payload.start as usize, (payload.start + payload.len) as usize);
                outgoing.complete(self.backend.buffer(buffer).get(from..to).unwrap_or(&[]));
            }
            let request = SendRequest { socket: exit.socket, to: exit.to, segment: 0, tag: 0 };
            let cut = Cut { from: first + number, count: 1, ..copy.cut };
            let pending = Pending { bytes: len, ..copy.pending(cut, Part::Packets, request) };
            match too_large {
                None => {
                    self.pieces.clear();
                    self.pieces.push(payload);
                    self.queue(&outgoing.whole(exit.framing), pending)?;
                }
                Some(_) if outgoing.dont_fragment() => {
                    self.drop_copies(slot, DropReason::DontFragment, 1);
                }
                Some(_) if send.mtu_policy == MtuPolicy::Drop => {
                    self.drop_copies(slot, DropReason::MtuExceeded, 1);
                }
                Some(mtu) => self.send_fragments(&outgoing, mtu, exit.framing, payload, pending)?,
            }
        }
        Ok(())
    }

    /// Queues the datagram of `whole` in fragments.
    fn send_fragments(
        &mut self,
        outgoing: &Outgoing,
        mtu: u32,
        framing: Framing,
        payload: Piece,
        whole: Pending,
    ) -> io::Result<()> {
        let number = self.numbers(1);
        let Some(pieces) = outgoing.fragments(mtu, number, framing) else {
            self.drop_copies(whole.slot, DropReason::MessageSize, 1);
            return Ok(());
        };
        let split = self.split.insert(Split { left: pieces.len(), refusal: None });
        for piece in pieces {
            let start = payload.start + piece.start;
            self.pieces.clear();
            self.pieces.push(Piece { start, len: piece.len, ..payload });
            self.queue(&piece.header, Pending { part: Part::Fragment(split), ..whole })?;
        }
        Ok(())
    }
}

fn v4(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    match address {
        Some(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}

fn udp_options(copy: &Copy<'_>, source: Option<Ipv4Addr>) -> SendOptions {
    SendOptions {
        oif: copy.send.oif.map_or(0, |oif| oif.0),
        source: source.unwrap_or(Ipv4Addr::UNSPECIFIED),
        ttl: copy.to.ttl,
        tos: copy.to.tos & !ECN_MASK,
    }
}

/// What a copy has in place of what the datagram came with. Where a UDP socket sends it, the source
/// is the socket's.
fn rewrite(datagram: &Datagram, send: &Send) -> Result<Rewrite, DropReason> {
    let IpAddr::V4(destination) = send.target.of(IpAddr::V4(datagram.destination)) else {
        // Control never mixes families.
        return Err(DropReason::SendError);
    };
    let ttl = match send.ttl {
        Ttl::Set(ttl) => ttl,
        Ttl::Keep => datagram.ttl,
        Ttl::Decrement => datagram.ttl.saturating_sub(1),
        Ttl::Relayed => relayed_ttl(datagram.ttl).ok_or(DropReason::RelayLoop)?,
    };
    if ttl == 0 {
        return Err(DropReason::TtlExpired);
    }
    let tos = match send.dscp {
        Dscp::Keep => datagram.tos,
        Dscp::Set(dscp) => dscp << 2 | datagram.tos & ECN_MASK,
    };
    let (source, source_port) = match send.egress {
        Egress::Socket { source, port } => {
            let source = v4(source).unwrap_or(Ipv4Addr::UNSPECIFIED);
            (source, port.unwrap_or(datagram.source_port))
        }
        Egress::Link { source: SourceRewrite { address, port }, .. }
        | Egress::Raw { source: SourceRewrite { address, port } } => {
            let source = v4(address).unwrap_or(datagram.source);
            (source, port.unwrap_or(datagram.source_port))
        }
    };
    let destination_port = send.port.unwrap_or(datagram.destination_port);
    Ok(Rewrite { source, destination, source_port, destination_port, ttl, tos })
}
