//! The datagrams of a batch, put together by flow: what leaves together costs one send.
//!
//! A run is a sequence of datagrams of one flow that can leave as one message: all of one size, but
//! for a shorter last one. Runs are kept in the order in which they began, and a datagram only ever
//! joins the newest run of its flow: so the order within a flow stays, whatever lies between.

use crate::dataplane::backend::{Piece, PortHandle};
use crate::dataplane::decode::{Checksum, Datagram};
use crate::fib::{EntryId, protocol};
use crate::types::DropReason;
use crate::wire::ipv4;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Datagrams of one message at most (`UDP_MAX_SEGMENTS`, linux/udp.h, before Linux 6.10).
pub(super) const MAX_TRAIN: u32 = 64;
/// Their payload bytes at most: with its headers, the message is no longer than an IP packet can be.
const MAX_BYTES: u32 = 65_000;
/// The end of a list of parts.
const NONE: u32 = u32::MAX;

/// What has an order of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    port: PortHandle,
    vlan: u16,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
}

/// Datagrams of a run that came in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Their payload.
    pub(super) piece: Piece,
    /// Where the IP header starts in the buffer.
    header_start: u32,
    identification: u16,
    checksum: Checksum,
    next: u32,
}

/// See the module. Offsets of `datagram` are in its buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Where the copies go.
    pub(super) entry: EntryId,
    /// The first part's: what the others have in common with it.
    pub(super) datagram: Datagram,
    /// How many datagrams.
    pub(super) count: u32,
    /// Payload bytes of all.
    pub(super) bytes: u32,
    /// Payload bytes of each but the last; never 0.
    pub(super) segment: u32,
    /// Each has a checksum, or is to get one.
    pub(super) has_checksums: bool,
    /// Their identifications follow each other.
    pub(super) numbered: bool,
    /// Another datagram may follow.
    open: bool,
    first: u32,
    last: u32,
}

impl Run {
    /// Payload bytes of the datagrams `from..from + count`.
    pub(super) fn bytes_of(&self, from: u32, count: u32) -> u32 {
        self.bytes.min((from + count) * self.segment) - self.bytes.min(from * self.segment)
    }

    /// The size of the datagram at this place.
    pub(super) fn size_of(&self, at: u32) -> u32 {
        self.bytes_of(at, 1)
    }

    /// The datagram that came as this part.
    pub(super) fn datagram_of(&self, part: &Part) -> Datagram {
        Datagram {
            identification: part.identification,
            checksum: part.checksum,
            header_start: part.header_start,
            payload_start: part.piece.start,
            payload_len: part.piece.len,
            segment: self.segment,
            ..self.datagram
        }
    }

    fn takes(&self, datagram: &Datagram, count: u32) -> bool {
        let first = &self.datagram;
        let fits = match count {
            1 => datagram.payload_len <= self.segment && datagram.payload_len > 0,
            _ => datagram.segment == self.segment,
        };
        self.open
            && fits
            && self.count + count <= MAX_TRAIN
            && self.bytes + datagram.payload_len <= MAX_BYTES
            && first.ttl == datagram.ttl
            && first.tos == datagram.tos
            && first.dont_fragment == datagram.dont_fragment
            && first.header_len == datagram.header_len
            // Options are each packet's own.
            && usize::from(datagram.header_len) <= ipv4::HEADER_LEN
    }
}

/// See the module. It allocates while it grows to the largest batch, and then no more.
#[derive(Default)]
pub(super) struct Batch {
    runs: Vec<Run>,
    parts: Vec<Part>,
    newest: HashMap<Flow, u32, foldhash::fast::RandomState>,
    /// The flow of the datagram before: most often that of the next one too.
    latest: Option<(Flow, u32)>,
}

impl Batch {
    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// One of them.
    pub(super) fn run(&self, at: usize) -> Option<Run> {
        self.runs.get(at).copied()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.parts.clear();
        self.newest.clear();
        self.latest = None;
    }

    /// Adds the datagrams of a frame, whose offsets are in `buffer`; `lookup` is asked for the entry
    /// of a flow that is new in the batch.
    pub(super) fn add(
        &mut self,
        port: PortHandle,
        buffer: u32,
        datagram: &Datagram,
        lookup: impl FnOnce() -> Result<EntryId, DropReason>,
    ) -> Result<(), DropReason> {
        let flow = Flow {
            port,
            vlan: datagram.vlan,
            source: datagram.source,
            destination: datagram.destination,
            protocol: datagram.protocol,
            source_port: datagram.source_port,
            destination_port: datagram.destination_port,
        };
        let known = match self.latest {
            Some((latest, at)) if latest == flow => Some(at),
            _ => self.newest.get(&flow).copied(),
        };
        // At most 65,535 payload bytes, so as many datagrams.
        let count = datagram.count() as u32;
        if let Some(run) = known.and_then(|at| self.runs.get_mut(at as usize))
            && run.takes(datagram, count)
        {
            let part = part_of(&mut self.parts, buffer, datagram);
            run.numbered &= datagram.identification
                == run.datagram.identification.wrapping_add(run.count as u16);
            run.has_checksums &= datagram.checksum != Checksum::Absent;
            run.count += count;
            run.bytes += datagram.payload_len;
            run.open = run.bytes.is_multiple_of(run.segment);
            self.parts[run.last as usize].next = part;
            run.last = part;
            self.latest = known.map(|at| (flow, at));
            return Ok(());
        }
        let entry = match known {
            Some(at) => self.runs[at as usize].entry,
            None => lookup()?,
        };
        let most = MAX_TRAIN.min(MAX_BYTES / datagram.segment).max(1) * datagram.segment;
        let mut rest = *datagram;
        loop {
            let len = rest.payload_len.min(most);
            let first = Datagram { payload_len: len, ..rest };
            let part = part_of(&mut self.parts, buffer, &first);
            // It grows by at most two runs a frame.
            let at = self.runs.len() as u32;
            self.runs.push(Run {
                entry,
                datagram: first,
                count: first.count() as u32,
                bytes: len,
                segment: first.segment,
                has_checksums: first.checksum != Checksum::Absent,
                numbered: true,
                open: first.protocol == protocol::UDP
                    && len > 0
                    && len.is_multiple_of(first.segment),
                first: part,
                last: part,
            });
            rest.payload_start += len;
            rest.payload_len -= len;
            rest.identification = rest.identification.wrapping_add(first.count() as u16);
            if rest.payload_len == 0 {
                self.newest.insert(flow, at);
                self.latest = Some((flow, at));
                return Ok(());
            }
        }
    }

    /// The parts of a run, in order.
    pub(super) fn parts(&self, run: &Run) -> impl Iterator<Item = &Part> {
        let mut next = run.first;
        std::iter::from_fn(move || {
            let part = self.parts.get(next as usize)?;
            next = part.next;
            Some(part)
        })
    }

    /// Adds the payload of the datagrams `from..from + count` of a run to `pieces`.
    pub(super) fn cut(&self, run: &Run, from: u32, count: u32, pieces: &mut Vec<Piece>) {
        let (mut skip, mut wanted) = (from * run.segment, run.bytes_of(from, count));
        for part in self.parts(run) {
            let piece = part.piece;
            if skip >= piece.len {
                skip -= piece.len;
                continue;
            }
            let len = (piece.len - skip).min(wanted);
            pieces.push(Piece { start: piece.start + skip, len, ..piece });
            skip = 0;
            wanted -= len;
            if wanted == 0 {
                return;
            }
        }
    }
}

/// Keeps a part; its place.
fn part_of(parts: &mut Vec<Part>, buffer: u32, datagram: &Datagram) -> u32 {
    let piece = Piece { buffer, start: datagram.payload_start, len: datagram.payload_len };
    parts.push(Part {
        piece,
        header_start: datagram.header_start,
        identification: datagram.identification,
        checksum: datagram.checksum,
        next: NONE,
    });
    // No batch has so many.
    (parts.len() - 1) as u32
}
