//! Frames that the kernel writes into slots of shared memory (TPACKET_V2 with PACKET_RX_RING, packet(7),
//! `Documentation/networking/packet_mmap.rst`): taking one costs no system call and no copy.
//!
//! A frame that is longer than its slot, such as a super-frame, is queued at the socket as well
//! (PACKET_COPY_THRESH), and its slot says so. The ring belongs to the socket, not to who has mapped it: another
//! thread or process that gets the descriptor maps it again and goes on where the other has stopped.

use super::packet::{discard_queued, get_uints, set_option};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a slot: what the kernel writes before a frame, and a frame of an MTU of 1,500 with its link
/// header.
pub const SLOT_LEN: usize = 2048;
/// Bytes of a run of slots that the kernel allocates together.
const BLOCK_LEN: u32 = 65_536;
/// The smallest ring and the largest, bytes. Sizes are powers of two, so that there are few to be tried.
const LEAST: u32 = BLOCK_LEN;
const MOST: u32 = 1 << 27;

// Of struct tpacket2_hdr (if_packet.h): status, length, captured length, offset of the link header (u16),
// of the network header (u16), seconds, nanoseconds, VLAN tag (u16).
const LEN: usize = 4;
const CAPTURED: usize = 8;
const LINK: usize = 12;
const SECONDS: usize = 16;
const VLAN: usize = 24;
/// `TP_STATUS_KERNEL`: the slot is the kernel's.
const KERNEL: u32 = 0;
/// `TP_STATUS_USER`: the slot is ours.
const USER: u32 = 1;
/// `TP_STATUS_COPY`: the whole frame is queued at the socket.
const COPY: u32 = 1 << 1;
/// `TP_STATUS_VLAN_VALID`.
const VLAN_VALID: u32 = 1 << 4;

/// A frame in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The slot; it is ours until [`PacketRing::give`].
    pub slot: u32,
    /// Where the frame starts in the slot; `struct virtio_net_hdr` stands before it (PACKET_VNET_HDR).
    pub start: u32,
    /// Bytes of the frame that are there.
    pub len: u32,
    /// How much of it there is.
    pub extent: Extent,
    /// The tag that was taken out of the frame (`vlan_tci`).
    pub vlan_tag: Option<u16>,
}

/// How much of a frame is in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Its beginning; all of it is the next that is queued at the socket.
    Queued,
    /// Its beginning, and there was no room for the rest.
    Cut,
}

/// Gives an AF_PACKET socket a ring of about so many bytes: a power of two from 64 KiB to 128 MiB, memory of the
/// kernel's that is there from now on. Before it is bound, and after PACKET_VNET_HDR was set.
///
/// # Errors
/// What setsockopt(2) says: ENOMEM.
pub fn give_ring(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let bytes = bytes.clamp(LEAST, MOST);
    let bytes = 1u32 << bytes.ilog2();
    let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
    set_option(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
    // Any number but 0 will do (tpacket_rcv, af_packet.c).
    set_option(socket, libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &1i32)?;
    let request = libc::tpacket_req {
        tp_block_size: BLOCK_LEN,
        tp_block_nr: bytes / BLOCK_LEN,
        tp_frame_size: SLOT_LEN as u32,
        tp_frame_nr: bytes / SLOT_LEN as u32,
    };
    set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

/// True where a socket has a ring.
pub fn has_ring(socket: BorrowedFd<'_>) -> bool {
    let version = get_uints(socket, libc::SOL_PACKET, libc::PACKET_VERSION);
    version.is_ok_and(|[version]| version == libc::tpacket_versions::TPACKET_V2 as u32)
}

/// Throws away what is in a socket's ring and queued at the socket; how many frames it was. None where it has
/// no ring that can be mapped.
pub fn discard(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut ring = PacketRing::of(socket).ok()??;
    let mut count = 0;
    // Bounded: more may come all the time.
    while count < u64::from(ring.slots)
        && let Some(taken) = ring.take()
    {
        ring.give(taken.slot);
        count += 1;
    }
    // Each of these had its slot.
    discard_queued(socket);
    Some(count)
}

/// A ring that is mapped here.
pub struct PacketRing {
    memory: NonNull<u8>,
    slots: u32,
    /// The slot that is taken next; none = not known, since it is not the first who reads the ring.
    next: Option<u32>,
    /// By slot: it was taken and not given back.
    ours: Vec<bool>,
}

// SAFETY: the mapping belongs to this value alone. The kernel shares it, and slots go between it and us by
// their status words.
unsafe impl Send for PacketRing {}

impl PacketRing {
    /// Maps the ring of a socket; none = it has none.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        if !has_ring(socket) {
            return Ok(None);
        }
        // The kernel does not tell how large it is, but maps it as a whole or not at all (packet_mmap, af_packet.c).
        let mut bytes = MOST;
        let memory = loop {
            // SAFETY: a new mapping at an address of the kernel's choice.
            let memory = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    bytes as usize,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    socket.as_raw_fd(),
                    0,
                )
            };
            if memory != libc::MAP_FAILED {
                break memory;
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EINVAL) || bytes <= LEAST {
                return Err(error);
            }
            bytes /= 2;
        };
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        let slots = bytes / SLOT_LEN as u32;
        Ok(Some(Self { memory, slots, next: None, ours: vec![false; slots as usize] }))
    }

    /// The next frame, in the order of their arrival; none where there is none now.
    pub fn take(&mut self) -> Option<Taken> {
        let slot = self.next.or_else(|| self.oldest())?;
        if self.ours[slot as usize] {
            // All are ours.
            return None;
        }
        let status = self.status(slot).load(Ordering::Acquire);
        if status & USER == 0 {
            return None;
        }
        self.next = Some((slot + 1) % self.slots);
        self.ours[slot as usize] = true;
        let header = self.slot(slot);
        let (len, captured) = (word(header, LEN), word(header, CAPTURED));
        let start = half(header, LINK);
        let inside = start as usize + captured as usize <= SLOT_LEN;
        let extent = match (status & COPY != 0, inside && captured >= len) {
            (true, _) => Extent::Queued,
            (false, true) => Extent::Whole,
            (false, false) => Extent::Cut,
        };
        let vlan_tag = (status & VLAN_VALID != 0).then(|| half(header, VLAN) as u16);
        let len = if inside { captured } else { 0 };
        Some(Taken { slot, start, len, extent, vlan_tag })
    }

    /// Where the kernel's next frame stands or will stand, as long as that is not known: none while there is
    /// no frame. From any slot that is ours back to the first one of its row; where all are, the oldest.
    fn oldest(&self) -> Option<u32> {
        let is_full = |slot: u32| self.status(slot).load(Ordering::Acquire) & USER != 0;
        let mut first = (0..self.slots).find(|slot| is_full(*slot))?;
        for _ in 0..self.slots {
            let before = first.checked_sub(1).unwrap_or(self.slots - 1);
            if !is_full(before) {
                return Some(first);
            }
            first = before;
        }
        let time = |slot: &u32| {
            let header = self.header(*slot);
            (word(header, SECONDS), word(header, SECONDS + 4))
        };
        (0..self.slots).min_by_key(time)
    }

    /// The bytes of a slot that was taken; empty where it was not.
    #[inline]
    pub fn slot(&self, slot: u32) -> &[u8] {
        if self.ours.get(slot as usize) != Some(&true) {
            return &[];
        }
        self.header(slot)
    }

    /// The same, to be written; sends that are queued from it would send what is written.
    #[inline]
    pub fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        if self.ours.get(slot as usize) != Some(&true) {
            return &mut [];
        }
        // SAFETY: the slot lies in the mapping, which the kernel has initialised, and it does not touch it before
        // `give`; the borrow of `self` keeps every other reference away.
        unsafe {
            let start = self.memory.as_ptr().add(slot as usize * SLOT_LEN);
            std::slice::from_raw_parts_mut(start, SLOT_LEN)
        }
    }

    /// Gives a slot back that was taken; without effect on others.
    #[inline]
    pub fn give(&mut self, slot: u32) {
        if let Some(ours) = self.ours.get_mut(slot as usize)
            && std::mem::replace(ours, false)
        {
            self.status(slot).store(KERNEL, Ordering::Release);
        }
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    fn header(&self, slot: u32) -> &[u8] {
        debug_assert!(slot < self.slots);
        // SAFETY: the slot lies in the mapping, which the kernel has initialised. Who reads more than the status
        // has seen in it that the kernel has done with the slot.
        unsafe {
            let start = self.memory.as_ptr().add(slot as usize * SLOT_LEN);
            std::slice::from_raw_parts(start, SLOT_LEN)
        }
    }

    fn status(&self, slot: u32) -> &AtomicU32 {
        debug_assert!(slot < self.slots);
        // SAFETY: the status word lies in the mapping, at a multiple of 2,048. The kernel and we access it as a whole.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(slot as usize * SLOT_LEN).cast()) }
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        for slot in 0..self.slots {
            self.give(slot);
        }
        // SAFETY: the mapping was made with this length, and nothing borrows it any more. A failure would leave it
        // mapped, which harms nobody.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.slots as usize * SLOT_LEN) };
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_ne_bytes(word.unwrap_or_default())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    let half = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    u16::from_ne_bytes(half.unwrap_or_default()).into()
}

#[cfg(test)]
#[path = "packet_ring_tests.rs"]
mod tests;
