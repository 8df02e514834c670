//! recvmmsg(2) and sendmmsg(2) with raw ancillary data.

use std::io;
use std::net::SocketAddrV4;
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

/// One datagram to send.
pub struct Message<'a, const CONTROL: usize> {
    /// Where to.
    pub to: SocketAddrV4,
    /// Ancillary data.
    pub control: [u8; CONTROL],
    /// The payload.
    pub payload: &'a [u8],
}

/// Sends without blocking, in order, at most [`BATCH`] messages: how many the kernel took. An
/// error belongs to the first message.
pub fn send<const CONTROL: usize>(
    socket: RawFd,
    messages: &[Message<'_, CONTROL>],
) -> io::Result<usize> {
    let messages = &messages[..messages.len().min(BATCH)];
    let mut addresses: Vec<libc::sockaddr_in> = messages
        .iter()
        .map(|message| libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: message.to.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(message.to.ip().octets()) },
            sin_zero: [0; 8],
        })
        .collect();
    let mut vectors: Vec<libc::iovec> = messages
        .iter()
        .map(|message| libc::iovec {
            iov_base: message.payload.as_ptr().cast_mut().cast(),
            iov_len: message.payload.len(),
        })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(messages.len());
    for ((message, address), vector) in messages.iter().zip(&mut addresses).zip(&mut vectors) {
        // SAFETY: an all-zero mmsghdr is valid.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = (&raw mut *address).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_controllen = CONTROL;
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
