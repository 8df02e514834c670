//! A sender that delivers frames as a network card does: a burst at a time, in one turn of the
//! receiver's NAPI. It is an XDP program that runs on frames of the kernel's own ("live frames" of
//! BPF_PROG_TEST_RUN, Documentation/bpf/bpf_prog_run.rst) and redirects them to the veth.

pub(crate) mod assembler;
pub(crate) mod bpf;
pub(crate) mod program;

use crate::frames::{HEADERS, Head};
use crate::payload;
use bpf::{Map, Program};
use nix::errno::Errno;
use program::{Field, Schedule};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Frames of a burst at most (`TEST_XDP_MAX_BATCH`, net/bpf/test_run.c).
pub(crate) const MAX_BURST: u32 = 256;
/// `LOOPBACK_IFINDEX` (net/flow.h): the same in every namespace.
const LOOPBACK: u32 = 1;
/// How long one call of the kernel is to be: between two calls it may be stopped.
const CALL: Duration = Duration::from_millis(50);
/// Bursts of the first call; what it takes says how long the next may be.
const FIRST_CALL: u32 = 64;

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    /// Datagrams.
    pub(crate) count: u64,
    /// Nanoseconds from the first to the last.
    pub(crate) elapsed: u64,
    /// Run time in which it only waited for the next burst to be due, nanoseconds.
    pub(crate) idle: u64,
}

/// The sender, ready to begin.
pub(crate) struct LiveFrames {
    map: Map,
    program: Program,
    /// While the program is attached somewhere, a call of the kernel takes microseconds before its
    /// first frame. Else it changes the kernel's table of XDP programs and waits for all CPUs
    /// (`bpf_dispatcher_update`): tens of milliseconds, at the beginning and at the end.
    _attached: OwnedFd,
    frame: Vec<u8>,
    schedule: Schedule,
}

impl LiveFrames {
    /// For an interface of the calling thread's namespace, with payloads of `len` bytes.
    ///
    /// # Errors
    /// What the kernel refuses, and why.
    pub(crate) fn open(
        ifindex: u32,
        heads: &[Head],
        len: usize,
        schedule: Schedule,
    ) -> io::Result<Self> {
        let memory = program::memory(&schedule, heads);
        let map = Map::new(memory.len())?;
        map.write(&memory)?;
        let program = Program::load(&program::program(map.number(), &schedule, ifindex))?;
        // Nothing comes in at the loopback interface of a sender's namespace.
        let attached = program.attach(LOOPBACK)?;
        let frame = [&[0; HEADERS][..], &payload::blank(len)].concat();
        Ok(Self { map, program, _attached: attached, frame, schedule })
    }

    /// Sends everything from this thread's CPU, and in its namespace. `stopped` ends it early.
    ///
    /// # Errors
    /// EINVAL where the kernel knows no live frames.
    pub(crate) fn run(&self, stopped: impl Fn() -> bool) -> io::Result<Sending> {
        let burst = self.schedule.burst;
        let mut bursts = FIRST_CALL;
        loop {
            let start = Instant::now();
            match self.program.run_live(&self.frame, bursts * burst, burst) {
                Err(error) if error.raw_os_error() != Some(Errno::EINTR as i32) => {
                    return Err(error);
                }
                _ => {}
            }
            let memory = self.map.read()?;
            let ended = Field::Ended.of(&memory);
            if ended != 0 || stopped() {
                let last = if ended == 0 { Field::Now.of(&memory) } else { ended };
                let flows = u64::from(self.schedule.flows);
                return Ok(Sending {
                    count: Field::Sequence.of(&memory) * flows + Field::Flow.of(&memory),
                    elapsed: last.saturating_sub(Field::Began.of(&memory)),
                    idle: Field::Idle.of(&memory),
                });
            }
            let took = start.elapsed().as_secs_f64().max(1e-6);
            let grown = f64::from(bursts) * (CALL.as_secs_f64() / took).min(4.0);
            // The kernel counts frames with 32 bits.
            bursts = (grown as u32).clamp(1, (i32::MAX as u32) / MAX_BURST);
        }
    }

    /// Why this kernel does not let us send so; tried with a program that sends nothing.
    pub(crate) fn try_out(ifindex: u32) -> Result<(), String> {
        let schedule = Schedule { burst: 1, flows: 1, count: 0, rate: 1.0, limit: 0, catch_up: 0 };
        let head = Head { bytes: [0; HEADERS], sum: mcr::wire::checksum::Sum::default() };
        let sender = Self::open(ifindex, &[head], payload::STAMP_LEN, schedule);
        sender.and_then(|sender| sender.run(|| true)).map(|_| ()).map_err(|error| error.to_string())
    }
}
