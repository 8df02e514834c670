//! The program that makes a burst's frames, and the memory that it shares with us.
//!
//! The kernel calls it once for each frame, a burst's frames in one softirq's turn. At the first of
//! them it looks at the clock. Where the burst is not due yet, it drops all of them: that is how it
//! waits. Else it writes each frame and sends it on its way.

use super::assembler::Operation::{Add, And, Set, Shl, Shr, Sub, Xor};
use super::assembler::Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8};
use super::assembler::Size::{Double, Half, Word};
use super::assembler::When::{AtMost, Equal, Greater, Less, NotEqual};
use super::assembler::{Assembler, Instruction, Label};
use crate::frames::{HEADERS, Head};
use crate::payload::{STAMP_LEN, Stamp};

/// `enum xdp_action`.
pub(crate) const XDP_DROP: i32 = 1;
/// `enum bpf_func_id`.
const KTIME_GET_NS: i32 = 5;
const REDIRECT: i32 = 23;
/// `struct xdp_md`: where the frame begins and ends.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
/// Where things stand in a frame.
const UDP_CHECKSUM: i16 = 40;
const SEQUENCE: i16 = HEADERS as i16 + 8;
const SENT_AT: i16 = HEADERS as i16 + 16;
const WRITTEN: i32 = (HEADERS + STAMP_LEN) as i32;

/// The schedule counts in fractions of a nanosecond: so many bits of them.
const FRACTION: i32 = 12;

/// What the program counts, 8 bytes each, in this order at the beginning of the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// Datagrams that are still to be sent.
    Left,
    /// The next frame's place in its burst.
    Position,
    /// When the first burst was looked at; 0 = not yet.
    Began,
    /// When the first burst was due, moved by what was late.
    Origin,
    /// When the next burst is due after that, in fractions of a nanosecond.
    Offset,
    /// When the burst in hand was found due.
    Now,
    /// When the batch in hand was found closed; 0 = it is open.
    ClosedAt,
    /// Nanoseconds of the shortest closed batch.
    Shortest,
    /// Nanoseconds of all closed batches.
    Idle,
    /// When it was found that nothing is left; 0 = not yet.
    Ended,
    /// The next datagram's flow.
    Flow,
    /// And its number in it.
    Sequence,
}

impl Field {
    const fn at(self) -> i16 {
        8 * self as i16
    }

    /// Its value.
    pub(crate) fn of(self, memory: &[u8]) -> u64 {
        let at = self.at() as usize;
        u64::from_ne_bytes(memory[at..at + 8].try_into().expect("8 bytes"))
    }

    fn set(self, memory: &mut [u8], value: u64) {
        let at = self.at() as usize;
        memory[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// Behind the fields: one for each flow. Its headers and the part of the stamp that stays, then
/// the sum of all that stays in a datagram.
const HEADS: usize = 128;
const HEAD_LEN: usize = 64;
/// Bytes of a frame that stay in a flow.
const STAYS: usize = HEADERS + 8;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Frames of a burst.
    pub(crate) burst: u32,
    /// Flows, in turn.
    pub(crate) flows: u32,
    /// Datagrams in all.
    pub(crate) count: u64,
    /// Datagrams a second.
    pub(crate) rate: f64,
    /// Nanoseconds after which it ends, whatever is left.
    pub(crate) limit: u64,
    /// Nanoseconds that it may be late and catch up with; what it is later is left out.
    pub(crate) catch_up: u32,
}

/// The memory as it is at the beginning.
pub(crate) fn memory(schedule: &Schedule, heads: &[Head]) -> Vec<u8> {
    let mut memory = vec![0; HEADS + heads.len() * HEAD_LEN];
    Field::Left.set(&mut memory, schedule.count);
    Field::Shortest.set(&mut memory, u64::MAX >> 1);
    for (flow, (head, place)) in
        (0..).zip(heads.iter().zip(memory[HEADS..].chunks_exact_mut(HEAD_LEN)))
    {
        let stamp = Stamp { flow, sequence: 0, sent_at: 0 }.bytes();
        place[..HEADERS].copy_from_slice(&head.bytes);
        place[HEADERS..STAYS].copy_from_slice(&stamp[..8]);
        // The sum is as right in the order of this machine (RFC 1071 section 2).
        let sum = head.sum.bytes(&stamp[..8]).fold().to_be_bytes();
        place[STAYS..STAYS + 2].copy_from_slice(&sum);
    }
    memory
}

/// The program; frames leave by the interface `ifindex`.
pub(crate) fn program(map: i32, schedule: &Schedule, ifindex: u32) -> Vec<Instruction> {
    let mut code = Assembler::default();
    let (member, decided, drop) = (code.label(), code.label(), code.label());
    // R6 = the context, R7 = the memory.
    code.compute(Set, R6, R1);
    code.set_map_value(R7, map);
    code.load(Double, R1, R7, Field::Position.at());
    code.jump_when(R1, NotEqual, 0, member);
    // The first of its batch. R8 = now.
    code.call(KTIME_GET_NS);
    code.compute(Set, R8, R0);
    account(&mut code);
    decide(&mut code, schedule, decided);
    code.place(decided);
    code.load(Double, R1, R7, Field::Position.at());
    code.place(member);
    // Position += 1, and 0 behind the last.
    let kept = code.label();
    code.compute(Add, R1, 1);
    code.jump_when(R1, Less, schedule.burst as i32, kept);
    code.compute(Set, R1, 0);
    code.place(kept);
    code.store(Double, R7, Field::Position.at(), R1);
    // Closed: dropped.
    code.load(Double, R1, R7, Field::ClosedAt.at());
    code.jump_when(R1, NotEqual, 0, drop);
    // The last burst may be shorter.
    code.load(Double, R1, R7, Field::Left.at());
    code.jump_when(R1, Equal, 0, drop);
    write(&mut code, schedule, drop);
    code.compute(Set, R1, ifindex as i32);
    code.compute(Set, R2, 0);
    code.call(REDIRECT);
    code.end();
    code.place(drop);
    code.verdict(XDP_DROP);
    code.finish()
}

/// What the last batch took, if it was closed, is idle time. Softirqs and other threads may run at
/// its end, and are not idle: what takes twice as long as the shortest counts as the shortest.
fn account(code: &mut Assembler) {
    let (open, longer, count) = (code.label(), code.label(), code.label());
    code.load(Double, R1, R7, Field::ClosedAt.at());
    code.jump_when(R1, Equal, 0, open);
    // R2 = what it took, R3 = the shortest.
    code.compute(Set, R2, R8);
    code.compute(Sub, R2, R1);
    code.load(Double, R3, R7, Field::Shortest.at());
    code.jump_when(R3, AtMost, R2, longer);
    code.compute(Set, R3, R2);
    code.store(Double, R7, Field::Shortest.at(), R3);
    code.place(longer);
    code.compute(Set, R4, R3);
    code.compute(Shl, R4, 1);
    code.jump_when(R2, AtMost, R4, count);
    code.compute(Set, R2, R3);
    code.place(count);
    code.load(Double, R1, R7, Field::Idle.at());
    code.compute(Add, R1, R2);
    code.store(Double, R7, Field::Idle.at(), R1);
    code.place(open);
}

/// Opens the batch if a burst is due, else closes it.
fn decide(code: &mut Assembler, schedule: &Schedule, decided: Label) {
    let [begun, over, nothing_left, closed, in_time] = [(); 5].map(|()| code.label());
    code.load(Double, R1, R7, Field::Left.at());
    code.jump_when(R1, Equal, 0, nothing_left);
    // R2 = the beginning, which is now where nothing has begun.
    code.load(Double, R2, R7, Field::Began.at());
    code.jump_when(R2, NotEqual, 0, begun);
    code.compute(Set, R2, R8);
    code.store(Double, R7, Field::Began.at(), R2);
    code.store(Double, R7, Field::Origin.at(), R2);
    code.place(begun);
    // The time is over.
    code.compute(Set, R3, R8);
    code.compute(Sub, R3, R2);
    code.set_wide(R1, schedule.limit);
    code.jump_when(R3, Greater, R1, over);
    // R4 = when the burst is due, R5 = the schedule.
    code.load(Double, R5, R7, Field::Offset.at());
    code.compute(Set, R4, R5);
    code.compute(Shr, R4, FRACTION);
    code.load(Double, R2, R7, Field::Origin.at());
    code.compute(Add, R4, R2);
    code.jump_when(R4, Greater, R8, closed);
    // R3 = how late it is; what is too late moves the schedule.
    code.compute(Set, R3, R8);
    code.compute(Sub, R3, R4);
    code.jump_when(R3, AtMost, schedule.catch_up as i32, in_time);
    code.compute(Sub, R3, schedule.catch_up as i32);
    code.compute(Add, R2, R3);
    code.store(Double, R7, Field::Origin.at(), R2);
    code.place(in_time);
    let gap = f64::from(schedule.burst) * 1e9 / schedule.rate;
    code.set_wide(R1, (gap * f64::from(1 << FRACTION)) as u64);
    code.compute(Add, R5, R1);
    code.store(Double, R7, Field::Offset.at(), R5);
    code.store(Double, R7, Field::Now.at(), R8);
    code.compute(Set, R1, 0);
    code.store(Double, R7, Field::ClosedAt.at(), R1);
    code.jump(decided);
    code.place(over);
    code.compute(Set, R1, 0);
    code.store(Double, R7, Field::Left.at(), R1);
    code.place(nothing_left);
    code.load(Double, R1, R7, Field::Ended.at());
    code.jump_when(R1, NotEqual, 0, closed);
    code.store(Double, R7, Field::Ended.at(), R8);
    code.place(closed);
    code.store(Double, R7, Field::ClosedAt.at(), R8);
}

/// Writes the frame of the next datagram and counts it. R1 = how many are left.
fn write(code: &mut Assembler, schedule: &Schedule, drop: Label) {
    // R2 = the frame, if it is long enough.
    code.load(Word, R2, R6, DATA);
    code.load(Word, R3, R6, DATA_END);
    code.compute(Set, R4, R2);
    code.compute(Add, R4, WRITTEN);
    code.jump_when(R4, Greater, R3, drop);
    code.compute(Sub, R1, 1);
    code.store(Double, R7, Field::Left.at(), R1);
    // R3 = the flow's head. The verifier wants to see that it lies in the memory.
    code.load(Double, R5, R7, Field::Flow.at());
    code.jump_when(R5, Greater, schedule.flows as i32 - 1, drop);
    code.compute(Set, R3, R5);
    code.compute(Shl, R3, HEAD_LEN.ilog2() as i32);
    code.compute(Add, R3, R7);
    // All of it: who received the frame before may have changed it.
    let whole = STAYS as i16 / 8 * 8;
    for at in (0..whole).step_by(8) {
        code.load(Double, R4, R3, HEADS as i16 + at);
        code.store(Double, R2, at, R4);
    }
    code.load(Half, R4, R3, HEADS as i16 + whole);
    code.store(Half, R2, whole, R4);
    // R8 = the sum, beginning with what stays.
    code.load(Half, R8, R3, HEADS as i16 + STAYS as i16);
    code.load(Double, R6, R7, Field::Sequence.at());
    code.compute(Set, R4, R6);
    put(code, SEQUENCE);
    code.load(Double, R4, R7, Field::Now.at());
    put(code, SENT_AT);
    // The checksum: the sum in 16 bits, inverted; 0 would mean "none" (RFC 768).
    let some = code.label();
    for _ in 0..3 {
        code.compute(Set, R4, R8);
        code.compute(Shr, R4, 16);
        code.compute(And, R8, 0xffff);
        code.compute(Add, R8, R4);
    }
    code.compute(Xor, R8, 0xffff);
    code.jump_when(R8, NotEqual, 0, some);
    code.compute(Set, R8, 0xffff);
    code.place(some);
    code.store(Half, R2, UDP_CHECKSUM, R8);
    // The next flow, and after the last the next number.
    let same = code.label();
    code.compute(Add, R5, 1);
    code.jump_when(R5, Less, schedule.flows as i32, same);
    code.compute(Set, R5, 0);
    code.compute(Add, R6, 1);
    code.store(Double, R7, Field::Sequence.at(), R6);
    code.place(same);
    code.store(Double, R7, Field::Flow.at(), R5);
}

/// Writes R4 into the frame in network order and adds it to the sum.
fn put(code: &mut Assembler, at: i16) {
    code.network_order(R4);
    code.store(Double, R2, at, R4);
    // The halves, so that the sum cannot overflow.
    code.compute(Set, R3, R4);
    code.compute(Shr, R3, 32);
    code.compute(Add, R8, R3);
    code.compute(Shl, R4, 32);
    code.compute(Shr, R4, 32);
    code.compute(Add, R8, R4);
}
