//! What the kernel counts at input sockets.

use super::link::Ingress;
use crate::fib::counters::PortCounters;
use crate::sys::{packet, packet_ring};
use crate::types::DropReason;
use std::os::fd::BorrowedFd;

/// Adds what the kernel has counted at a port's socket since the last time. Nobody else may read it:
/// PACKET_STATISTICS is cleared by reading.
pub fn read(socket: BorrowedFd<'_>, ingress: Ingress, counters: &mut PortCounters) {
    let since = match ingress {
        Ingress::Packet(_) => packet::take_statistics(socket),
        // The kernel's counter has 32 bits and begins with the socket, as ours does.
        Ingress::Udp(_) => packet::udp_drops(socket).map(|now| {
            let since = u64::from(now.wrapping_sub(counters.kernel_dropped as u32));
            (since, since)
        }),
    };
    // A socket that does not answer has nothing to add; receiving from it says what is wrong.
    if let Ok((received, dropped)) = since {
        counters.kernel_received += received;
        counters.kernel_dropped += dropped;
    }
}

/// The last reading of a port that is about to be closed: what is queued is thrown away and counted.
pub fn finish(socket: BorrowedFd<'_>, ingress: Ingress, counters: &mut PortCounters) {
    read(socket, ingress, counters);
    let in_ring = packet_ring::discard(socket);
    let queued = in_ring.unwrap_or_else(|| packet::discard_queued(socket));
    counters.frames += queued;
    counters.drops.add(DropReason::PortClosed, queued);
}
