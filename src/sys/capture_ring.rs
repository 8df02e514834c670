//! A receive ring of AF_PACKET (TPACKET_V3, packet(7), `Documentation/networking/packet_mmap.rst`):
//! the kernel writes the beginnings of frames into shared memory, so that counting them costs
//! neither a system call nor a copy a frame.

use super::packet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// `TP_STATUS_KERNEL`: the block is the kernel's.
const KERNEL: u32 = 0;
/// `TP_STATUS_USER`: the block is ours.
const USER: u32 = 1;
/// Bytes of the smallest slot; the kernel wants a multiple of TPACKET_ALIGNMENT.
const SLOT: u32 = 256;
// Of struct tpacket_block_desc and tpacket_hdr_v1.
const BLOCK_STATUS: usize = 8;
const BLOCK_PACKETS: usize = 12;
const BLOCK_FIRST: usize = 16;
/// The `sockaddr_ll` stands behind struct tpacket3_hdr, and the interface at its byte 4.
const IFINDEX: usize = 48 + 4;

/// The beginning of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// When it arrived, nanoseconds of CLOCK_REALTIME.
    pub at: u64,
    /// The interface.
    pub ifindex: u32,
    /// Bytes of the whole frame.
    pub len: u32,
    /// `struct virtio_net_hdr` (PACKET_VNET_HDR).
    pub vnet: [u8; VNET],
    /// Its first bytes, from the link header: as many as the socket's filter let through.
    pub head: &'a [u8],
}

/// Bytes of struct virtio_net_hdr.
const VNET: usize = 10;

/// Blocks of frames shared with the kernel.
pub struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    blocks: usize,
    block_len: usize,
    next: usize,
}

// SAFETY: the memory belongs to this value alone; only the kernel shares it, and hands blocks over
// by their status word.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes a socket with `blocks` blocks of `block_len` bytes (a power of two, at least a page);
    /// a block that is not full is handed over after `retire_millis`. It receives nothing until it
    /// is bound ([`packet::bind`]; interface 0 = all of the namespace). Frames that we send are not
    /// seen. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// What setsockopt(2) and mmap(2) say: `EINVAL` for a length that is no power of two.
    pub fn open(blocks: u32, block_len: u32, retire_millis: u32) -> io::Result<Self> {
        let socket = packet::socket()?;
        packet::set_receive_options(socket.as_fd())?;
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        let fd = socket.as_fd();
        packet::set_option(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let request = libc::tpacket_req3 {
            tp_block_size: block_len,
            tp_block_nr: blocks,
            tp_frame_size: SLOT,
            tp_frame_nr: (block_len / SLOT).saturating_mul(blocks),
            tp_retire_blk_tov: retire_millis,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        packet::set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let (blocks, block_len) = (blocks as usize, block_len as usize);
        // SAFETY: a new mapping at an address of the kernel's choice; its length is that of the ring
        // which the call above has made.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                blocks * block_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { socket, memory, blocks, block_len, next: 0 })
    }

    /// The socket: to bind, to attach a filter, to poll.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes what is in the next block and gives the block back; false where there is none yet.
    pub fn take_block(&mut self, mut each: impl FnMut(Seen<'_>)) -> bool {
        let start = self.next * self.block_len;
        // SAFETY: `next` is less than `blocks`, so the status word lies in the mapping, and blocks
        // start at multiples of a page. The kernel and we access it as a whole.
        let status =
            unsafe { &*self.memory.add(start + BLOCK_STATUS).cast::<AtomicU32>().as_ptr() };
        if status.load(Ordering::Acquire) & USER == 0 {
            return false;
        }
        // SAFETY: the block lies in the mapping; it is ours until the store below, and the slice does
        // not live longer.
        let block = unsafe {
            std::slice::from_raw_parts(self.memory.add(start).as_ptr().cast_const(), self.block_len)
        };
        for frame in frames(block) {
            each(frame);
        }
        status.store(KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
        true
    }

    /// Frames that the kernel dropped for lack of a free block, since the last call.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn take_drops(&self) -> io::Result<u64> {
        packet::take_statistics(self.socket.as_fd()).map(|(_, drops)| drops)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing borrows it any more. A failure
        // would leave it mapped, which harms nobody.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.blocks * self.block_len) };
    }
}

/// The frames of a block; it ends early where the block is not as the kernel writes it.
fn frames(block: &[u8]) -> impl Iterator<Item = Seen<'_>> {
    let count = word(block, BLOCK_PACKETS).unwrap_or(0);
    let mut at = word(block, BLOCK_FIRST).unwrap_or(0) as usize;
    (0..count).map_while(move |_| {
        let slot = block.get(at..)?;
        at += word(slot, 0)? as usize;
        frame(slot)
    })
}

/// struct tpacket3_hdr: next, seconds, nanoseconds, captured, length, status, offset of the frame.
fn frame(slot: &[u8]) -> Option<Seen<'_>> {
    let (captured, len) = (word(slot, 12)?, word(slot, 16)?);
    let start = usize::from(u16::from_ne_bytes(slot.get(24..26)?.try_into().ok()?));
    let at = u64::from(word(slot, 4)?) * 1_000_000_000 + u64::from(word(slot, 8)?);
    let vnet = slot.get(start.checked_sub(VNET)?..start)?.try_into().ok()?;
    let head = slot.get(start..start + captured as usize)?;
    Some(Seen { at, ifindex: word(slot, IFINDEX)?, len, vnet, head })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with frames of these bytes, as the kernel writes it.
    fn block(heads: &[&[u8]]) -> Vec<u8> {
        let mut block = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(BLOCK_PACKETS, &(heads.len() as u32).to_ne_bytes());
        put(BLOCK_FIRST, &48u32.to_ne_bytes());
        for (number, head) in heads.iter().enumerate() {
            let at = 48 + number * SLOT as usize;
            for (offset, value) in [(0, SLOT), (4, 7), (8, 5), (12, head.len() as u32), (16, 1442)]
            {
                put(at + offset, &value.to_ne_bytes());
            }
            put(at + 24, &90u16.to_ne_bytes());
            put(at + IFINDEX, &3u32.to_ne_bytes());
            put(at + 80, &[1, 5, 42, 0, 0x78, 5, 34, 0, 6, 0]);
            put(at + 90, head);
        }
        block
    }

    #[test]
    fn a_block_is_read_frame_by_frame() {
        let block = block(&[b"first", b"second one"]);
        let seen: Vec<Seen<'_>> = frames(&block).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].head, seen[1].head), (&b"first"[..], &b"second one"[..]));
        assert_eq!((seen[0].at, seen[0].ifindex, seen[0].len), (7_000_000_005, 3, 1442));
        assert_eq!(seen[1].vnet, [1, 5, 42, 0, 0x78, 5, 34, 0, 6, 0]);
    }

    #[test]
    fn a_block_that_lies_ends_early() {
        let mut block = block(&[b"first", b"second one"]);
        block[48 + 12..48 + 16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(frames(&block).count(), 0);
        block[BLOCK_FIRST..BLOCK_FIRST + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(frames(&block).count(), 0);
    }
}
