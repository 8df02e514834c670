//! Receive buffers that the kernel picks from (IORING_REGISTER_PBUF_RING, Linux 5.19).

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Lengths are rounded up to this: a multiple of every page size that Linux uses by default.
const PAGE: usize = 65_536;

/// Buffers that go round at first.
const FIRST: u16 = 64;

/// Anonymous memory, page aligned, zeroed, unmapped on drop.
struct Mapping {
    start: NonNull<libc::c_void>,
    len: NonZeroUsize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
        let len =
            NonZeroUsize::new(len.next_multiple_of(PAGE)).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping touches no memory that exists.
        let start = unsafe { mmap_anonymous(None, len, access, MapFlags::MAP_PRIVATE) }?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those of the mapping that `new` made; nobody else unmaps it.
        // Failing would mean that they are not; there is nothing to do about it.
        let _ = unsafe { nix::sys::mman::munmap(self.start, self.len.get()) };
    }
}

// SAFETY: the mapping is plain memory owned by this value alone.
unsafe impl Send for Mapping {}

/// Buffers of equal length. A buffer is either the kernel's (given) or ours (taken).
pub(super) struct BufferPool {
    entries: Mapping,
    memory: Mapping,
    count: u16,
    buffer_len: usize,
    /// Buffers below this number go round; the others have never been given.
    given: u16,
    /// What we have published up to; the ring's tail.
    tail: u16,
    /// True where the buffer is ours (invariant 2).
    ours: Vec<bool>,
}

impl BufferPool {
    /// Maps `count` (a power of two up to 32,768) buffers, and after them `spares` that are never
    /// given; the pages are touched as they are used.
    pub(super) fn new(count: usize, spares: usize, buffer_len: usize) -> io::Result<Self> {
        let small = u16::try_from(count).map_err(io::Error::other)?;
        if !small.is_power_of_two() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a power of two"));
        }
        Ok(Self {
            entries: Mapping::new(count * size_of::<BufRingEntry>())?,
            memory: Mapping::new((count + spares) * buffer_len)?,
            count: small,
            buffer_len,
            given: 0,
            tail: 0,
            ours: vec![true; count + spares],
        })
    }

    /// Makes the pool known to the ring and gives it all buffers.
    ///
    /// # Safety
    /// The pool must stay alive until the ring is gone or the group unregistered.
    pub(super) unsafe fn register(&self, ring: &IoUring, group: u16) -> io::Result<()> {
        let base = self.entries.start.as_ptr() as u64;
        // SAFETY: the entries are mapped, page aligned and `count` long; the caller keeps them.
        unsafe { ring.submitter().register_buf_ring_with_flags(base, self.count, group, 0) }?;
        Ok(())
    }

    /// Notes that a completion named this buffer: it is ours.
    pub(super) fn take(&mut self, buffer: u16) {
        if let Some(ours) = self.ours.get_mut(usize::from(buffer)) {
            *ours = true;
        }
    }

    /// The bytes of a buffer that is ours; empty where it is the kernel's.
    pub(super) fn bytes(&self, buffer: u16) -> &[u8] {
        if self.ours.get(usize::from(buffer)) != Some(&true) {
            return &[];
        }
        // SAFETY: the buffer lies in the mapping, which is initialised (zeroed by the kernel), and
        // the kernel does not write to it while it is ours (invariant 2).
        unsafe {
            let start = self.memory.start.as_ptr().cast::<u8>();
            std::slice::from_raw_parts(
                start.add(usize::from(buffer) * self.buffer_len),
                self.buffer_len,
            )
        }
    }

    /// The bytes of a buffer that is ours, to be written; empty where it is the kernel's. Sends that
    /// are queued from it would send what is written.
    pub(super) fn bytes_mut(&mut self, buffer: u16) -> &mut [u8] {
        if self.ours.get(usize::from(buffer)) != Some(&true) {
            return &mut [];
        }
        // SAFETY: as in `bytes`; the borrow of `self` keeps every other reference to it away.
        unsafe {
            let start = self.memory.start.as_ptr().cast::<u8>();
            std::slice::from_raw_parts_mut(
                start.add(usize::from(buffer) * self.buffer_len),
                self.buffer_len,
            )
        }
    }

    /// The number of the first buffer that is never given.
    pub(super) fn first_spare(&self) -> u32 {
        u32::from(self.count)
    }

    /// The bytes of a buffer that is never given; empty where the number is of no such buffer.
    pub(super) fn spare(&mut self, spare: u32) -> &mut [u8] {
        if spare < self.first_spare() || spare as usize >= self.ours.len() {
            return &mut [];
        }
        // SAFETY: the buffer lies in the mapping, which is initialised, the kernel never writes to
        // it, and the borrow of `self` keeps every other reference to it away. A send that is under
        // way may read it: what it sends then is the caller's affair.
        unsafe {
            let start = self.memory.start.as_ptr().cast::<u8>();
            std::slice::from_raw_parts_mut(
                start.add(spare as usize * self.buffer_len),
                self.buffer_len,
            )
        }
    }

    /// Copies `len` bytes at `start` of a buffer of ours to `at` of one that is never given. False
    /// where either does not have so many, or they are the same.
    pub(super) fn copy_to_spare(&mut self, from: (u32, u32, u32), spare: u32, at: u32) -> bool {
        let (buffer, start, len) = from;
        let (start, at, len) = (start as usize, at as usize, len as usize);
        let buffer = u16::try_from(buffer).unwrap_or(u16::MAX);
        if u32::from(buffer) == spare || self.bytes(buffer).len() < start + len {
            return false;
        }
        let from = self.bytes(buffer)[start..].as_ptr();
        let Some(to) = self.spare(spare).get_mut(at..at + len) else { return false };
        // SAFETY: both are `len` bytes long, in different buffers of the mapping, and `from` is of
        // a buffer of ours, to which nobody writes (invariant 2).
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), len) };
        true
    }

    /// Gives a buffer of ours to the kernel; it sees it after [`Self::publish`].
    pub(super) fn give(&mut self, buffer: u16) {
        match self.ours.get_mut(usize::from(buffer)) {
            Some(ours) if *ours && buffer < self.count => *ours = false,
            _ => return,
        }
        let mask = self.count - 1;
        let base = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the place lies in the mapping (masked), no other reference to it exists, and the
        // kernel does not read it before the tail moves over it. The entry is written field by
        // field because the first entry's last field is the tail itself.
        unsafe {
            let entry = &mut *base.add(usize::from(self.tail & mask));
            let start = self.memory.start.as_ptr().cast::<u8>();
            entry.set_addr(start.add(usize::from(buffer) * self.buffer_len) as u64);
            entry.set_len(u32::try_from(self.buffer_len).unwrap_or(u32::MAX));
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see the buffers given so far.
    pub(super) fn publish(&self) {
        let base = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the tail lies in the first entry, is 2-aligned, and is written by us alone; the
        // kernel reads it with acquire semantics, so the entries must be visible before.
        unsafe {
            let tail = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Gives more buffers that were never given: [`FIRST`] at first, then as many as there were before.
    /// False where there are no more.
    ///
    /// The kernel takes buffers in turn. As long as few do, the same few go round, and what they hold
    /// is still in the processor's cache when it is sent.
    pub(super) fn grow(&mut self) -> bool {
        let more = self.given.max(FIRST).min(self.count - self.given);
        for buffer in self.given..self.given + more {
            self.give(buffer);
        }
        self.given += more;
        self.publish();
        more > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_buffer_is_never_given() {
        let mut pool = BufferPool::new(4, 2, 128).expect("maps");
        assert!(pool.grow());
        pool.give(4);
        pool.give(5);
        assert_eq!((pool.tail, pool.first_spare()), (4, 4));
        pool.spare(4).fill(7);
        pool.spare(5)[3..7].copy_from_slice(b"abcd");
        assert!(pool.copy_to_spare((5, 3, 4), 4, 124));
        assert_eq!(pool.bytes(4)[..124], [7; 124]);
        assert_eq!(&pool.bytes(4)[124..], b"abcd");
        for (from, spare, at) in
            [((5, 0, 5), 4, 124), ((5, 125, 4), 4, 0), ((1, 0, 1), 4, 0), ((5, 0, 1), 1, 0)]
        {
            assert!(!pool.copy_to_spare(from, spare, at), "{from:?} {spare} {at}");
        }
        assert!(pool.spare(3).is_empty() && pool.spare(6).is_empty());
    }

    #[test]
    fn buffers_are_given_as_they_are_needed() {
        let mut pool = BufferPool::new(256, 3, 128).expect("maps");
        for given in [FIRST, 2 * FIRST, 256] {
            assert!(pool.grow());
            assert_eq!(pool.tail, given);
            let theirs = (0..259).filter(|buffer| pool.bytes(*buffer).is_empty()).count();
            assert_eq!(theirs, usize::from(given));
        }
        assert!(!pool.grow());
        assert_eq!(pool.tail, 256);
    }

    #[test]
    fn a_buffer_of_the_kernel_has_no_bytes() {
        let mut pool = BufferPool::new(4, 0, 128).expect("maps");
        assert_eq!(pool.bytes(1).len(), 128);
        assert!(pool.grow());
        for buffer in 0..5 {
            assert!(pool.bytes(buffer).is_empty());
        }
        pool.take(1);
        assert_eq!(pool.bytes(1).len(), 128);
        let before = pool.tail;
        pool.give(1);
        pool.give(1);
        assert_eq!(pool.tail, before + 1, "given once");
    }
}
