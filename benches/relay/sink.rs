//! The checking sink: a tap on every output that takes the beginning of each frame.

use super::arrivals::Arrivals;
use super::clock;
use super::network::{Network, PORT};
use mcr::sys::capture_ring::Ring;
use mcr::sys::packet;
use nix::libc::sock_filter;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// 64 MiB of beginnings of frames. A block is handed over when it is full or after some milliseconds,
/// so together they last for two seconds in which the sink does not get to run.
const BLOCKS: u32 = 512;
const BLOCK_LEN: u32 = 1 << 17;
const RETIRE: u32 = 4;
/// Bytes of each frame that are copied.
const HEAD: u32 = 128;
/// How long nothing must come before it is over, and the longest wait for that.
const QUIET: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(2);

/// The tap.
pub(crate) struct Sink {
    ring: Ring,
}

impl Sink {
    /// A tap on every interface of the receivers' namespace.
    pub(crate) fn open(network: &Network) -> Self {
        let tap = |ifindex| {
            let ring = Ring::open(BLOCKS, BLOCK_LEN, RETIRE).expect("a packet ring as root");
            packet::attach_filter(ring.socket(), &heads_of_ours()).expect("a valid filter");
            packet::bind(ring.socket(), ifindex).expect("bound");
            Self { ring }
        };
        network.receiver.within(|| tap(0))
    }

    /// A tap on the relay's input: what the way to the relay alone costs.
    pub(crate) fn at_input(network: &Network) -> (Self, BTreeMap<u32, usize>) {
        let index = network.relay.index("in0");
        let sink = network.relay.within(|| {
            let ring = Ring::open(BLOCKS, BLOCK_LEN, RETIRE).expect("a packet ring as root");
            packet::attach_filter(ring.socket(), &heads_of_ours()).expect("a valid filter");
            packet::bind(ring.socket(), index).expect("bound");
            Self { ring }
        });
        (sink, BTreeMap::from([(index, 0)]))
    }

    /// Throws away what came before.
    pub(crate) fn clear(&mut self) {
        while self.ring.take_block(|_| {}) {}
        self.ring.take_drops().expect("PACKET_STATISTICS");
    }

    /// Takes what comes until `over` and then nothing for a while.
    pub(crate) fn watch(
        &mut self,
        receivers: &BTreeMap<u32, usize>,
        flows: u32,
        size: usize,
        over: &AtomicBool,
    ) -> Arrivals {
        clock::settle_on(clock::relay_cpu());
        let start = clock::own_cpu();
        let real = clock::real_less_monotonic();
        let mut arrivals = Arrivals::new(receivers.len(), flows as usize);
        let (mut last, mut ended) = (clock::now(), None);
        loop {
            let before = arrivals.frames;
            while self.ring.take_block(|seen| {
                let output = receivers.get(&seen.ifindex).copied();
                arrivals.frame(&seen, output, size, real);
            }) {}
            let now = clock::now();
            if arrivals.frames != before {
                last = now;
            }
            if ended.is_none() && over.load(Ordering::Acquire) {
                ended = Some(now);
            }
            if let Some(ended) = ended {
                let quiet = Duration::from_nanos(now - last.max(ended)) >= QUIET;
                if quiet || Duration::from_nanos(now - ended) >= PATIENCE {
                    break;
                }
            }
            let mut ready = [PollFd::new(self.ring.socket(), PollFlags::POLLIN)];
            poll(&mut ready, 10u8).expect("poll");
        }
        arrivals.missed = self.ring.take_drops().expect("PACKET_STATISTICS");
        arrivals.cpu = clock::own_cpu() - start;
        arrivals
    }
}

/// Classic BPF (linux/filter.h): the beginning of whole IPv4 UDP datagrams to our port, nothing of
/// others. IP options do not occur here.
fn heads_of_ours() -> Vec<sock_filter> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let test = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_HALF, 12),
        test(JUMP_IF_EQUAL, 0x0800, 0, 7),
        step(LOAD_BYTE, 23),
        test(JUMP_IF_EQUAL, 17, 0, 5),
        // More fragments, or not the first.
        step(LOAD_HALF, 20),
        test(JUMP_IF_ANY, 0x3fff, 3, 0),
        step(LOAD_HALF, 36),
        test(JUMP_IF_EQUAL, PORT as u32, 0, 1),
        step(RETURN, HEAD),
        step(RETURN, 0),
    ]
}
