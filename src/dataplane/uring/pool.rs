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
/// That go round at least.
const LEAST: u16 = 16;
/// Bytes of a batch that are still in the processor's cache when they are sent: with larger batches
/// fewer buffers go round, so that what waits does so in the socket.
const CACHED: usize = 512 << 10;

/// Buffers that are never given: for frames that are longer than a ring's slot. As few as that they stay in the
/// processor's cache.
pub(super) const LENT: usize = 16;

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
    /// Buffers below this number have been given, the others never.
    given: u16,
    /// How many go round, and how many shall.
    round: u16,
    wanted: u16,
    /// Buffers that have been given and go round no more.
    aside: Vec<u16>,
    /// Bytes of the last batch.
    last_batch: usize,
    /// What we have published up to; the ring's tail.
    tail: u16,
    /// Buffers that are never given, and free.
    lent: Vec<u16>,
    /// True where the buffer is ours (invariant 2); false where it is the kernel's, or aside.
    ours: Vec<bool>,
}

impl BufferPool {
    /// Maps `count` (a power of two up to 32,768) buffers, and after them `spares` and [`LENT`] that are never
    /// given; the pages are touched as they are used.
    pub(super) fn new(count: usize, spares: usize, buffer_len: usize) -> io::Result<Self> {
        let small = u16::try_from(count).map_err(io::Error::other)?;
        if !small.is_power_of_two() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a power of two"));
        }
        Ok(Self {
            entries: Mapping::new(count * size_of::<BufRingEntry>())?,
            memory: Mapping::new((count + spares + LENT) * buffer_len)?,
            count: small,
            buffer_len,
            given: 0,
            round: 0,
            wanted: 0,
            aside: Vec::with_capacity(count),
            last_batch: 0,
            tail: 0,
            ours: vec![true; count + spares + LENT],
            lent: (count + spares..count + spares + LENT)
                .filter_map(|n| n.try_into().ok())
                .collect(),
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

    /// A free buffer that is never given.
    pub(super) fn lend(&mut self) -> Option<u16> {
        self.lent.pop()
    }

    /// Takes such a buffer back; false where it is none.
    pub(super) fn take_back(&mut self, buffer: u16) -> bool {
        let is_one = usize::from(buffer) >= self.ours.len() - LENT;
        if is_one && self.lent.len() < LENT {
            self.lent.push(buffer);
        }
        is_one
    }

    /// The number of the first buffer that is never given.
    pub(super) fn first_spare(&self) -> u32 {
        u32::from(self.count)
    }

    /// The bytes of a buffer that is never given; empty where the number is of no such buffer.
    pub(super) fn spare(&mut self, spare: u32) -> &mut [u8] {
        if spare < self.first_spare() || spare as usize >= self.ours.len() - LENT {
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

    /// Lets more buffers go round: [`FIRST`] at first, then twice as many as before. Not where the last
    /// batch was large: what it held would not be in the processor's cache any more when it is sent.
    ///
    /// The kernel takes buffers in turn, so as long as few go round the same few are used.
    pub(super) fn grow(&mut self) {
        if self.last_batch > CACHED / 2 {
            return;
        }
        self.wanted = self.round.saturating_mul(2).max(FIRST).min(self.count);
        while self.round < self.wanted {
            let buffer = self.aside.pop().unwrap_or_else(|| {
                self.given += 1;
                self.given - 1
            });
            self.round += 1;
            self.take(buffer);
            self.give(buffer);
        }
        self.publish();
    }

    /// True where all buffers go round.
    pub(super) fn is_all(&self) -> bool {
        self.round == self.count
    }

    /// Gives the buffers of a batch back that held so many bytes; some may go round no more.
    pub(super) fn give_batch(&mut self, buffers: impl Iterator<Item = u16>, bytes: usize) {
        self.last_batch = bytes;
        if bytes > CACHED {
            self.wanted = (self.round / 2).max(LEAST).min(self.count);
        }
        for buffer in buffers {
            match self.ours.get_mut(usize::from(buffer)) {
                Some(ours) if *ours && self.round > self.wanted => {
                    // Nobody's, so that it is not given twice.
                    *ours = false;
                    self.round -= 1;
                    self.aside.push(buffer);
                }
                _ => self.give(buffer),
            }
        }
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_buffer_is_never_given() {
        let mut pool = BufferPool::new(4, 2, 128).expect("maps");
        pool.grow();
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

    /// How many the kernel has.
    fn theirs(pool: &BufferPool, buffers: u16) -> u16 {
        let gone = (0..buffers).filter(|buffer| pool.bytes(*buffer).is_empty()).count();
        (gone - pool.aside.len()) as u16
    }

    #[test]
    fn buffers_are_given_as_they_are_needed() {
        let mut pool = BufferPool::new(256, 3, 128).expect("maps");
        for given in [FIRST, 2 * FIRST, 256, 256] {
            pool.grow();
            assert_eq!((pool.tail, theirs(&pool, 259)), (given, given));
            assert_eq!(pool.is_all(), given == 256);
        }
    }

    #[test]
    fn large_batches_have_fewer_go_round_and_small_ones_more_again() {
        let mut pool = BufferPool::new(256, 0, 128).expect("maps");
        pool.grow();
        let mut batch = |bytes| {
            // The kernel fills all that it has.
            let is_there = |n: &u16| pool.bytes(*n).is_empty() && !pool.aside.contains(n);
            let filled: Vec<u16> = (0..256).filter(is_there).collect();
            filled.iter().for_each(|buffer| pool.take(*buffer));
            pool.grow();
            pool.give_batch(filled.into_iter(), bytes);
            theirs(&pool, 256)
        };
        // The first large batch is not known as one before it is over.
        assert_eq!([(); 5].map(|()| batch(CACHED + 1)), [64, 32, LEAST, LEAST, LEAST]);
        assert_eq!([(); 5].map(|()| batch(CACHED / 2)), [LEAST, FIRST, 128, 256, 256]);
        assert_eq!(batch(CACHED + 1), 128);
        // Given twice is given once, whatever goes round.
        let before = pool.round;
        pool.give_batch([0, 0].into_iter(), CACHED + 1);
        assert_eq!(pool.round, before);
    }

    #[test]
    fn a_buffer_of_the_kernel_has_no_bytes() {
        let mut pool = BufferPool::new(4, 0, 128).expect("maps");
        assert_eq!(pool.bytes(1).len(), 128);
        pool.grow();
        for buffer in 0..4 {
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
