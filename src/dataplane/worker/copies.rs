//! A copy's way: which header, which socket, and what the kernel says to it.

use super::Worker;
use crate::dataplane::ancillary::SendOptions;
use crate::dataplane::backend::{Backend, Frame, Header, SENDS, SendRequest, SendTo};
use crate::dataplane::decode::Datagram;
use crate::dataplane::egress::FlowId;
use crate::dataplane::link::FromWorker;
use crate::dataplane::refusal::{may_be_of_an_earlier_send, reason_of};
use crate::dataplane::rewrite::{Framing, Outgoing, Rewrite, Template};
use crate::fib::{Egress, OutputSlot, Send, SourceRewrite, protocol};
use crate::types::{DropReason, Dscp, LinkLayer, MtuPolicy, Ttl, relayed_ttl};
use crate::wire::{ethernet, ipv4, transport, udp};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;

/// ECN bits of the TOS byte (RFC 3168): hop by hop, so not carried over to a new datagram.
const ECN_MASK: u8 = 0x03;
/// Bytes of the headers of a datagram from a UDP socket.
const SOCKET_HEADERS: u32 = (ipv4::HEADER_LEN + udp::HEADER_LEN) as u32;

/// A send that the kernel has not answered yet.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    slot: OutputSlot,
    /// Payload bytes of the copy.
    bytes: u32,
    part: Part,
    request: SendRequest,
}

/// What of a copy a send is.
#[derive(Clone, Copy)]
enum Part {
    /// All of it, from a UDP socket.
    Datagram { flow: FlowId, repeated: bool },
    /// All of it, with headers of ours.
    Packet,
    /// One of several fragments: the place of the others in `split`.
    Fragment(usize),
}

/// A copy in several fragments.
#[derive(Clone, Copy)]
pub(super) struct Split {
    /// How many are not answered.
    left: usize,
    /// The first refusal.
    refusal: Option<DropReason>,
}

/// Where packets with headers of ours leave.
#[derive(Clone, Copy)]
struct Exit {
    socket: RawFd,
    to: SendTo,
    framing: Framing,
}

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    pub(super) fn drop_copies(&mut self, slot: OutputSlot, reason: DropReason, count: u64) {
        self.slots.outputs[slot.0 as usize].drops.add(reason, count);
    }

    /// Queues one copy of each datagram in the frame.
    pub(super) fn copy_out(
        &mut self,
        frame: &Frame,
        datagram: &Datagram,
        slot: OutputSlot,
        send: &Send,
    ) -> io::Result<()> {
        let refused = match rewrite(datagram, send) {
            Err(reason) => reason,
            Ok(to) => match send.egress {
                Egress::Socket { source, port } if datagram.protocol == protocol::UDP => {
                    match self.udp_socket(datagram, &to, v4(source), port) {
                        Ok((socket, flow)) => {
                            let exit = (socket, flow, udp_options(send, &to, v4(source)));
                            return self.send_datagrams(frame, datagram, (slot, send), &to, exit);
                        }
                        Err(reason) => reason,
                    }
                }
                _ => match self.exit(datagram, send, &to) {
                    Ok(exit) => {
                        return self.send_packets(frame, datagram, (slot, send), &to, exit);
                    }
                    Err(reason) => reason,
                },
            },
        };
        self.drop_copies(slot, refused, datagram.count());
        Ok(())
    }

    /// The UDP socket that a datagram leaves by.
    fn udp_socket(
        &mut self,
        datagram: &Datagram,
        to: &Rewrite,
        source: Option<Ipv4Addr>,
        port: Option<u16>,
    ) -> Result<(RawFd, FlowId), DropReason> {
        let flow = match port {
            Some(port) => FlowId::Fixed { address: source.unwrap_or(Ipv4Addr::UNSPECIFIED), port },
            None => FlowId::Source {
                source: datagram.source,
                source_port: datagram.source_port,
                unicast: (!to.destination.is_multicast()).then_some(to.destination),
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
        frame: &Frame,
        datagram: &Datagram,
        (slot, send): (OutputSlot, &Send),
        to: &Rewrite,
        (socket, flow, options): (RawFd, FlowId, SendOptions),
    ) -> io::Result<()> {
        let address = SocketAddrV4::new(to.destination, to.destination_port);
        let largest = match (send.mtu_policy, send.mtu) {
            (MtuPolicy::Drop, Some(mtu)) => mtu.saturating_sub(SOCKET_HEADERS),
            // The kernel makes fragments.
            _ => u32::MAX,
        };
        for (start, len) in datagram.segments() {
            if len > largest {
                self.drop_copies(slot, DropReason::MtuExceeded, 1);
                continue;
            }
            let request = SendRequest {
                socket,
                to: SendTo::Udp { to: address, options },
                buffer: frame.buffer,
                start: frame.start + start,
                len,
                tag: 0,
            };
            let part = Part::Datagram { flow, repeated: false };
            self.queue(&Header::EMPTY, Pending { slot, bytes: len, part, request })?;
        }
        Ok(())
    }

    /// Where a packet with headers of ours leaves.
    fn exit(&mut self, datagram: &Datagram, send: &Send, to: &Rewrite) -> Result<Exit, DropReason> {
        let no_socket = |_| DropReason::NoSocket;
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
            let socket = self.egress.frames().map_err(no_socket)?;
            return Ok(Exit { socket, to: SendTo::Link { oif }, framing });
        }
        // The kernel fills in a source that is not set, but not in the checksums over it.
        if to.source.is_unspecified() && transport::checksum_offset(datagram.protocol).is_some() {
            return Err(DropReason::NoAddress);
        }
        let socket = self.egress.packets().map_err(no_socket)?;
        let to = SendTo::Raw { to: to.destination, oif: oif.unwrap_or(0) };
        Ok(Exit { socket, to, framing: Framing::Raw })
    }

    fn send_packets(
        &mut self,
        frame: &Frame,
        datagram: &Datagram,
        (slot, send): (OutputSlot, &Send),
        to: &Rewrite,
        exit: Exit,
    ) -> io::Result<()> {
        let (start, end) = (frame.start as usize, (frame.start + frame.len) as usize);
        let bytes = self.backend.buffer(frame.buffer).get(start..end).unwrap_or(&[]);
        let Some(template) = Template::new(bytes, datagram, to) else {
            self.drop_copies(slot, DropReason::SendError, datagram.count());
            return Ok(());
        };
        // Of UDP the payload is what follows the header; of others, we keep some of it at hand.
        let is_udp = datagram.protocol == protocol::UDP;
        let kept = if is_udp { 0 } else { template.transport_len() };
        for (number, (start, len)) in (0..).zip(datagram.segments()) {
            let payload = (frame.start + start + kept, len - kept);
            let Some(mut outgoing) = template.datagram(number, payload.1) else {
                self.drop_copies(slot, DropReason::MessageSize, 1);
                continue;
            };
            let too_large = send.mtu.filter(|&mtu| outgoing.size() > mtu);
            if too_large.is_some() || exit.framing == Framing::Raw {
                let (from, to) = (payload.0 as usize, (payload.0 + payload.1) as usize);
                let rest = self.backend.buffer(frame.buffer).get(from..to);
                outgoing.complete(rest.unwrap_or(&[]));
            }
            let request = SendRequest {
                socket: exit.socket,
                to: exit.to,
                buffer: frame.buffer,
                start: payload.0,
                len: payload.1,
                tag: 0,
            };
            let pending = Pending { slot, bytes: len, part: Part::Packet, request };
            match too_large {
                None => self.queue(&outgoing.whole(exit.framing), pending)?,
                Some(_) if outgoing.dont_fragment() => {
                    self.drop_copies(slot, DropReason::DontFragment, 1);
                }
                Some(_) if send.mtu_policy == MtuPolicy::Drop => {
                    self.drop_copies(slot, DropReason::MtuExceeded, 1);
                }
                Some(mtu) => self.send_fragments(&outgoing, mtu, exit.framing, pending)?,
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
        whole: Pending,
    ) -> io::Result<()> {
        let number = self.numbers(1);
        let Some(pieces) = outgoing.fragments(mtu, number, framing) else {
            self.drop_copies(whole.slot, DropReason::MessageSize, 1);
            return Ok(());
        };
        let split = self.split.insert(Split { left: pieces.len(), refusal: None });
        for piece in pieces {
            let start = whole.request.start + piece.start;
            let request = SendRequest { start, len: piece.len, ..whole.request };
            let part = Part::Fragment(split);
            self.queue(&piece.header, Pending { part, request, ..whole })?;
        }
        Ok(())
    }

    /// Queues a send, after a flush where too many are queued.
    fn queue(&mut self, header: &Header, pending: Pending) -> io::Result<()> {
        if self.pending.len() >= SENDS {
            self.flush()?;
        }
        let tag = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let request = SendRequest { tag, ..pending.request };
        if self.backend.send(&request, header) {
            self.pending.push(Pending { request, ..pending });
        } else {
            self.settle(&pending, Err(DropReason::SendError));
        }
        Ok(())
    }

    /// Counts what became of a send; a copy in fragments is counted with the last of them.
    fn settle(&mut self, pending: &Pending, mut outcome: Result<(), DropReason>) {
        if let Part::Fragment(split) = pending.part {
            let Some(copy) = self.split.get_mut(split) else { return };
            copy.refusal = copy.refusal.or(outcome.err());
            copy.left -= 1;
            if copy.left > 0 {
                return;
            }
            outcome = copy.refusal.map_or(Ok(()), Err);
            self.split.remove(split);
        }
        let output = &mut self.slots.outputs[pending.slot.0 as usize];
        match outcome {
            Ok(()) => {
                output.sent += 1;
                output.bytes += u64::from(pending.bytes);
            }
            Err(reason) => output.drops.add(reason, 1),
        }
    }

    /// Hands all queued copies to the kernel and counts what became of each.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            self.results.clear();
            self.backend.flush(&mut self.results)?;
            let answered = std::mem::take(&mut self.pending);
            let results = std::mem::take(&mut self.results);
            for (tag, result) in &results {
                let Some(pending) = answered.get(*tag as usize) else { continue };
                self.counters.sends += 1;
                match result {
                    Ok(_) => self.settle(pending, Ok(())),
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

    /// A send from a UDP socket may be refused by the ICMP answer to an earlier one: it is repeated
    /// once.
    fn refused(&mut self, pending: &Pending, errno: i32) {
        if let Part::Datagram { flow, repeated: false } = pending.part
            && may_be_of_an_earlier_send(errno)
        {
            self.egress.clear_error(&flow);
            let tag = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
            let request = SendRequest { tag, ..pending.request };
            if self.backend.send(&request, &Header::EMPTY) {
                let part = Part::Datagram { flow, repeated: true };
                self.pending.push(Pending { request, part, ..*pending });
                return;
            }
        }
        self.settle(pending, Err(reason_of(errno)));
    }
}

fn v4(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    match address {
        Some(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}

fn udp_options(send: &Send, to: &Rewrite, source: Option<Ipv4Addr>) -> SendOptions {
    SendOptions {
        oif: send.oif.map_or(0, |oif| oif.0),
        source: source.unwrap_or(Ipv4Addr::UNSPECIFIED),
        ttl: to.ttl,
        tos: to.tos & !ECN_MASK,
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
