//! Sends on their way to the kernel, and what it answers.

use super::Worker;
use crate::dataplane::backend::{Backend, Header, SENDS, SendRequest};
use crate::dataplane::egress::FlowId;
use crate::dataplane::link::FromWorker;
use crate::dataplane::refusal::{may_be_of_a_train, may_be_of_an_earlier_send, reason_of};
use crate::fib::{Fib, OutputSlot};
use crate::types::DropReason;
use std::io;

/// A send that the kernel has not answered yet.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) slot: OutputSlot,
    /// What of the batch it carries.
    pub(super) cut: Cut,
    /// Payload bytes.
    pub(super) bytes: u32,
    pub(super) part: Part,
    pub(super) request: SendRequest,
}

/// Copies of some datagrams of a run.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// The run's place in the batch.
    pub(super) run: u32,
    /// The copy's place in the entry.
    pub(super) copy: u32,
    /// The first datagram.
    pub(super) from: u32,
    /// How many.
    pub(super) count: u32,
}

/// What of its copies a send is.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// All of them, from a UDP socket.
    Datagrams { flow: FlowId, repeated: bool },
    /// All of them, with headers of ours.
    Packets,
    /// One of several fragments of one: the place of the others in `split`.
    Fragment(usize),
}

/// A copy in several fragments.
#[derive(Clone, Copy)]
pub(super) struct Split {
    /// How many are not answered.
    pub(super) left: usize,
    /// The first refusal.
    pub(super) refusal: Option<DropReason>,
}

impl<B: Backend, R: FnMut(FromWorker)> Worker<B, R> {
    /// Queues a send of `self.pieces`; hands all over first where there is no room.
    pub(super) fn queue(&mut self, header: &Header, pending: Pending) -> io::Result<()> {
        if self.pending.len() >= SENDS || !self.backend.has_room(self.pieces.len()) {
            self.hand_over()?;
        }
        let tag = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let request = SendRequest { tag, ..pending.request };
        if self.backend.send(&request, header, &self.pieces) {
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
        let count = u64::from(pending.cut.count);
        let output = &mut self.slots.outputs[pending.slot.0 as usize];
        match outcome {
            Ok(()) => {
                output.sent += count;
                output.bytes += u64::from(pending.bytes);
            }
            Err(reason) => output.drops.add(reason, count),
        }
    }

    /// Hands all queued sends to the kernel and counts what became of each. What is to be tried
    /// in another way waits in `retries`.
    fn hand_over(&mut self) -> io::Result<()> {
        self.results.clear();
        self.backend.flush(&mut self.results)?;
        let results = std::mem::take(&mut self.results);
        let mut answered = std::mem::take(&mut self.pending);
        let before = self.retries.len();
        for (tag, result) in &results {
            let Some(pending) = answered.get(*tag as usize) else { continue };
            self.counters.sends += 1;
            match result {
                Ok(_) => self.settle(pending, Ok(())),
                Err(errno) if is_final(pending, *errno) => {
                    self.settle(pending, Err(reason_of(*errno)));
                }
                Err(errno) => self.retries.push((*pending, *errno)),
            }
        }
        // Answers come in any order; what is sent again keeps its own.
        self.retries[before..].sort_by_key(|(pending, _)| pending.request.tag);
        answered.clear();
        self.pending = answered;
        self.results = results;
        Ok(())
    }

    /// Hands all queued copies to the kernel, tries again what may go another way, and counts what
    /// became of each.
    pub(super) fn flush(&mut self, fib: &Fib) -> io::Result<()> {
        loop {
            if !self.pending.is_empty() {
                self.hand_over()?;
            }
            if self.retries.is_empty() {
                break;
            }
            let mut retries = std::mem::take(&mut self.retries);
            for (pending, errno) in retries.drain(..) {
                self.again(fib, &pending, errno)?;
            }
            // What was refused again while these were queued.
            retries.append(&mut self.retries);
            self.retries = retries;
        }
        self.egress.close_retired();
        Ok(())
    }

    /// A send from a UDP socket may be refused by the ICMP answer to an earlier one: it is repeated
    /// once. Where an interface takes no trains, the datagrams go one by one, from now on.
    fn again(&mut self, fib: &Fib, pending: &Pending, errno: i32) -> io::Result<()> {
        let Some(run) = self.batch.run(pending.cut.run as usize) else { return Ok(()) };
        match pending.part {
            Part::Datagrams { flow, repeated: false } if may_be_of_an_earlier_send(errno) => {
                self.egress.clear_error(&flow);
                self.pieces.clear();
                self.batch.cut(&run, pending.cut.from, pending.cut.count, &mut self.pieces);
                let part = Part::Datagrams { flow, repeated: true };
                self.queue(&Header::EMPTY, Pending { part, ..*pending })
            }
            _ => {
                if !self.one_by_one.contains(&pending.slot) {
                    self.one_by_one.push(pending.slot);
                }
                let copies = fib.entry(run.entry).map_or(&[][..], |entry| &entry.copies);
                let Some(out) = copies.get(pending.cut.copy as usize) else { return Ok(()) };
                self.copy_out(&run, out, pending.cut)
            }
        }
    }
}

/// True where nothing else can be tried.
fn is_final(pending: &Pending, errno: i32) -> bool {
    let repeatable = matches!(pending.part, Part::Datagrams { repeated: false, .. })
        && may_be_of_an_earlier_send(errno);
    !(repeatable || pending.cut.count > 1 && may_be_of_a_train(errno))
}
