//! Ports whose frames the kernel writes into a ring of shared memory: nothing is armed at them while frames come.

use super::pool::BufferPool;
use super::{PortState, UringBackend};
use crate::dataplane::backend::{About, Frame, PortEvent, PortHandle};
use crate::dataplane::decode::{FrameMeta, VNET_HEADER_LEN};
use crate::dataplane::link::Ingress;
use crate::sys::packet;
use crate::sys::packet_ring::{Extent, Taken};
use crate::types::LinkLayer;
use crate::wire::ethernet::vlan_id;
use slab::Slab;
use std::os::fd::{AsFd, BorrowedFd};

/// Frames of a batch at most; the rest waits in the rings.
const BATCH: usize = 256;
/// Marks the numbers of buffers that are slots of rings; the port stands in the next 15 bits, the slot in the
/// last 16.
const SLOT: u32 = 1 << 31;
const MAX_PORT: u32 = 0x7fff;

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the pool.
    Pool(u16),
    /// A slot of a port's ring.
    Slot(usize, u32),
}

/// False where a port's number is too large for its ring's slots to have numbers.
pub(super) fn has_numbers(port: PortHandle) -> bool {
    port.0 <= MAX_PORT
}

fn number(port: PortHandle, slot: u32) -> u32 {
    SLOT | port.0 << 16 | slot
}

#[inline]
pub(super) fn place(buffer: u32) -> Place {
    if buffer & SLOT == 0 {
        // Others are nobody's.
        Place::Pool(u16::try_from(buffer).unwrap_or(u16::MAX))
    } else {
        Place::Slot((buffer >> 16 & MAX_PORT) as usize, buffer & 0xffff)
    }
}

/// The bytes of a buffer that is ours; empty where it is not.
#[inline]
pub(super) fn bytes<'a>(pool: &'a BufferPool, ports: &'a Slab<PortState>, buffer: u32) -> &'a [u8] {
    match place(buffer) {
        Place::Pool(buffer) => pool.bytes(buffer),
        Place::Slot(port, slot) => {
            let ring = ports.get(port).and_then(|port| port.ring.as_ref());
            ring.map_or(&[], |ring| ring.slot(slot))
        }
    }
}

impl UringBackend {
    /// Takes what is in the rings of ports at which nothing is armed.
    pub(super) fn take_from_rings(&mut self, frames: &mut Vec<Frame>, events: &mut Vec<PortEvent>) {
        let Self { ring_ports, ports, pool, ring_turn, .. } = self;
        if ring_ports.is_empty() {
            return;
        }
        // Not always the same first: it might leave the others nothing of the batch.
        *ring_turn = (*ring_turn + 1) % ring_ports.len();
        let (later, first) = ring_ports.split_at(*ring_turn);
        for &handle in first.iter().chain(later) {
            let Some(port) = ports.get_mut(handle.0 as usize) else { continue };
            let Ingress::Packet(link_layer) = port.ingress else { continue };
            if port.armed || port.closing {
                continue;
            }
            let PortState { socket, ring, .. } = port;
            let Some(ring) = ring else { continue };
            while frames.len() < BATCH {
                // Only what is sure to have room.
                let Some(spare) = pool.lend() else { return };
                let taken = ring.take();
                if taken.is_none_or(|taken| taken.extent != Extent::Queued) {
                    pool.take_back(spare);
                }
                let Some(taken) = taken else { break };
                let frame = match taken.extent {
                    Extent::Whole => in_slot(ring.slot(taken.slot), link_layer, &taken)
                        .map(|frame| Frame { buffer: number(handle, taken.slot), ..frame }),
                    Extent::Queued => queued(socket.as_fd(), pool, spare, link_layer, &taken),
                    Extent::Cut => Err(libc::ENOBUFS),
                };
                if !matches!(frame, Ok(Frame { buffer, .. }) if buffer & SLOT != 0) {
                    ring.give(taken.slot);
                }
                match frame {
                    Ok(frame) => frames.push(Frame { port: handle, ..frame }),
                    Err(libc::EINVAL) => events.push(PortEvent::Refused(handle, libc::EINVAL)),
                    Err(_) => events.push(PortEvent::NoRoom(handle)),
                }
            }
        }
    }

    /// Has the kernel say when there is something in a ring again.
    pub(super) fn arm_rings(&mut self) {
        for at in 0..self.ring_ports.len() {
            self.arm(self.ring_ports[at]);
        }
    }

    /// A poll has ended: there is something in the ring, or an error at the socket; its number.
    pub(super) fn polled(&mut self, handle: PortHandle, result: i32) -> Option<i32> {
        let port = self.ports.get_mut(handle.0 as usize)?;
        if result < 0 {
            return Some(-result);
        }
        let is_error = result & i32::from(libc::POLLERR) != 0;
        is_error.then(|| packet::take_error(port.socket.as_fd())).filter(|errno| *errno != 0)
    }
}

/// A frame that is in its slot; whose and where is filled in by the caller. EINVAL where the kernel has not
/// described it.
fn in_slot(slot: &[u8], link_layer: LinkLayer, taken: &Taken) -> Result<Frame, i32> {
    let mut meta = FrameMeta::plain(link_layer);
    let header = (taken.start as usize).checked_sub(VNET_HEADER_LEN);
    let described = header.and_then(|header| meta.take_vnet_header(slot.get(header..)?));
    described.ok_or(libc::EINVAL)?;
    meta.vlan = taken.vlan_tag.map(vlan_id);
    let about = About::Packet(meta);
    Ok(Frame { port: PortHandle(0), buffer: 0, start: taken.start, len: taken.len, about })
}

/// A frame that is queued at the socket, taken into a buffer that is lent for it. Error numbers are those of
/// [`packet::receive_one`]; the buffer has been taken back then.
fn queued(
    socket: BorrowedFd<'_>,
    pool: &mut BufferPool,
    buffer: u16,
    link_layer: LinkLayer,
    taken: &Taken,
) -> Result<Frame, i32> {
    let into = pool.bytes_mut(buffer);
    let room = into.len();
    let outcome = match packet::receive_one(socket, into) {
        Ok(len) => {
            let mut meta = FrameMeta::plain(link_layer);
            meta.vlan = taken.vlan_tag.map(vlan_id);
            meta.truncated = len > room;
            let frame = meta.take_vnet_header(&into[..len.min(room)]);
            frame.ok_or(libc::EINVAL).map(|frame| Frame {
                port: PortHandle(0),
                buffer: u32::from(buffer),
                start: VNET_HEADER_LEN as u32,
                // A buffer has 66,048 bytes.
                len: frame.len() as u32,
                about: About::Packet(meta),
            })
        }
        Err(error) => Err(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    if outcome.is_err() {
        pool.take_back(buffer);
    }
    outcome
}
