//! recvmmsg(2) and sendmmsg(2) with raw ancillary data.

use super::address::Address;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;

/// Messages of one call.
pub const BATCH: usize = 64;
/// Room for the ancillary data of a received message.
pub const CONTROL_LEN: usize = 128;
/// Room for the source address of a received message.
pub const NAME_LEN: usize = 16;

/// Buffers of equal length in one piece of memory; pages are touched as they are used.
pub struct Arena {
    memory: Box<[u8]>,
    buffer_len: usize,
}

impl Arena {
    /// `count` buffers of `buffer_len` bytes.
    pub fn new(count: usize, buffer_len: usize) -> Self {
        Self { memory: vec![0; count * buffer_len].into_boxed_slice(), buffer_len }
    }

    /// One buffer; empty where there is none of that number.
    pub fn buffer(&self, buffer: u32) -> &[u8] {
        let start = buffer as usize * self.buffer_len;
        self.memory.get(start..start + self.buffer_len).unwrap_or(&[])
    }

    /// One buffer to be written; empty where there is none of that number.
    pub fn buffer_mut(&mut self, buffer: u32) -> &mut [u8] {
        let start = buffer as usize * self.buffer_len;
        self.memory.get_mut(start..start + self.buffer_len).unwrap_or(&mut [])
    }

    /// Copies `len` bytes at `start` of a buffer to `at` of another. False where either does not
    /// have so many.
    pub fn copy(&mut self, from: (u32, u32, u32), to: u32, at: u32) -> bool {
        let (from, start, len) = (from.0 as usize, from.1 as usize, from.2 as usize);
        let (to, at) = (to as usize, at as usize);
        let fits = start + len <= self.buffer_len && at + len <= self.buffer_len;
        let last = self.memory.len() / self.buffer_len.max(1);
        if !fits || from >= last || to >= last {
            return false;
        }
        let start = from * self.buffer_len + start;
        self.memory.copy_within(start..start + len, to * self.buffer_len + at);
        true
    }
}

/// One received message.
pub struct Received {
    /// The buffer that holds it.
    pub buffer: u32,
    /// Its length in bytes, at most the buffer's.
    pub len: usize,
    /// The source address as the kernel wrote it.
    pub name: [u8; NAME_LEN],
    /// Ancillary data.
    pub control: Control,
    /// Bytes of `control` that were written.
    pub control_len: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
}

/// Ancillary data, aligned as cmsg(3) wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Control(pub [u8; CONTROL_LEN]);

/// Receives without blocking what is queued, at most [`BATCH`] messages and one for each of
/// `free`, the numbers of unused buffers. Fails with `WouldBlock` where nothing is queued.
pub fn receive(
    socket: RawFd,
    arena: &mut Arena,
    free: &[u32],
    mut each: impl FnMut(Received),
) -> io::Result<usize> {
    let wanted: Vec<u32> = free
        .iter()
        .copied()
        .filter(|&buffer| !arena.buffer(buffer).is_empty())
        .take(BATCH)
        .collect();
    let mut names = [[0u8; NAME_LEN]; BATCH];
    let mut controls = [Control([0; CONTROL_LEN]); BATCH];
    let mut vectors: Vec<libc::iovec> = Vec::with_capacity(BATCH);
    let memory = arena.memory.as_mut_ptr();
    for &buffer in &wanted {
        // SAFETY: the filter above has checked that the buffer lies in the arena.
        let start = unsafe { memory.add(buffer as usize * arena.buffer_len) };
        vectors.push(libc::iovec { iov_base: start.cast(), iov_len: arena.buffer_len });
    }
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
    for ((vector, name), control) in vectors.iter_mut().zip(&mut names).zip(&mut controls) {
        // SAFETY: an all-zero mmsghdr is valid.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = NAME_LEN as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_LEN;
        headers.push(header);
    }
    // SAFETY: every pointer in `headers` is to memory that lives until the end of this function,
    // has the stated length, and is borrowed by nobody else: buffer numbers in `free` that occur
    // twice would only let the second message overwrite the first.
    let count = unsafe {
        libc::recvmmsg(
            socket,
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (at, header) in headers.iter().take(count).enumerate() {
        each(Received {
            buffer: wanted[at],
            len: (header.msg_len as usize).min(arena.buffer_len),
            name: names[at],
            control: controls[at],
            control_len: header.msg_hdr.msg_controllen.min(CONTROL_LEN),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        });
    }
    Ok(count)
}

/// One message to send.
pub struct Message<'a, const CONTROL: usize> {
    /// Where to, with its length.
    pub to: (Address, libc::socklen_t),
    /// Ancillary data.
    pub control: [u8; CONTROL],
    /// How many bytes of it there are.
    pub control_len: usize,
    /// What is sent, one after the other.
    pub parts: Vec<IoSlice<'a>>,
}

/// Sends without blocking, in order, at most [`BATCH`] messages: how many the kernel took. An
/// error belongs to the first message.
pub fn send<const CONTROL: usize>(
    socket: RawFd,
    messages: &[Message<'_, CONTROL>],
) -> io::Result<usize> {
    let messages = &messages[..messages.len().min(BATCH)];
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(messages.len());
    for message in messages {
        // SAFETY: an all-zero mmsghdr is valid.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = (&raw const message.to.0).cast_mut().cast();
        header.msg_hdr.msg_namelen = message.to.1.min(size_of::<Address>() as libc::socklen_t);
        // An IoSlice is an iovec (std::io::IoSlice: ABI compatible on Unix).
        header.msg_hdr.msg_iov = message.parts.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_iovlen = message.parts.len();
        header.msg_hdr.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_controllen = message.control_len.min(CONTROL);
        headers.push(header);
    }
    // SAFETY: every pointer in `headers` is to memory of the stated length that lives until the end
    // of this function; sendmmsg reads it and writes `msg_len` only. Unaligned ancillary data is
    // copied by the kernel before it is read.
    let count = unsafe {
        libc::sendmmsg(
            socket,
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
