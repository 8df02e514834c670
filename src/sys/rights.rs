//! Descriptors that go with bytes over a Unix stream socket (SCM_RIGHTS, unix(7)).

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Descriptors that one message carries at most (SCM_MAX_FD, net/scm.h).
pub const MAX_DESCRIPTORS: usize = 253;

/// What [`receive`] got.
#[derive(Debug, Default)]
pub struct Got {
    /// Bytes; 0 = the peer has closed.
    pub len: usize,
    /// Descriptors that came with them, in order; close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// True where there was no room for all descriptors (MSG_CTRUNC): some are lost.
    pub cut: bool,
}

/// Sends some of the bytes, and with the first of them the descriptors. How many bytes were taken.
///
/// # Errors
/// WouldBlock where nothing can be sent now; then no descriptor was taken either.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
            Err(nix::errno::Errno::EINTR) => {}
            outcome => return outcome.map_err(io::Error::from),
        }
    }
}

/// Receives what is there, up to the buffer's length.
///
/// # Errors
/// WouldBlock where nothing is there.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Got> {
    // Aligned as `struct cmsghdr` must be, and longer than CMSG_SPACE of all descriptors.
    let mut control = [0u64; (MAX_DESCRIPTORS * 4).div_ceil(8) + 4];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is a plain C struct; all zeros is its empty value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let len = loop {
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the message points to `part`, which points to `buffer`, and to `control`, each with
        // its length; all live for the call.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
        match usize::try_from(got) {
            Ok(len) => break len,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    let cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled in `msg_controllen`; the macros stay within it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: the header lies within `control`, and so do the bytes that it announces.
        let (about, data) = unsafe { (*header, libc::CMSG_DATA(header)) };
        if about.cmsg_level == libc::SOL_SOCKET && about.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: no memory is involved.
            let before = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = about.cmsg_len.saturating_sub(before) / size_of::<RawFd>();
            for index in 0..count {
                // SAFETY: within the data of this header; the number is that of a descriptor that the
                // kernel made for us in this call, and nobody else knows.
                descriptors.push(unsafe {
                    OwnedFd::from_raw_fd(data.cast::<RawFd>().add(index).read_unaligned())
                });
            }
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(Got { len, descriptors, cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_arrive_with_their_bytes() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let file = std::fs::File::open("/dev/null").expect("opens");
        let many = [file.as_fd(); MAX_DESCRIPTORS];
        assert_eq!(send(ours.as_fd(), b"first", &many).expect("sends"), 5);
        assert_eq!(send(ours.as_fd(), b"second", &[]).expect("sends"), 6);
        let mut buffer = [0; 64];
        let first = receive(theirs.as_fd(), &mut buffer).expect("receives");
        assert_eq!((&buffer[..first.len], first.cut), (&b"first"[..], false));
        assert_eq!(first.descriptors.len(), MAX_DESCRIPTORS);
        let second = receive(theirs.as_fd(), &mut buffer).expect("receives");
        assert_eq!((&buffer[..second.len], second.descriptors.len()), (&b"second"[..], 0));
        let none = receive(theirs.as_fd(), &mut buffer).expect_err("nothing is there");
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        assert_eq!(receive(theirs.as_fd(), &mut buffer).expect("the end").len, 0);
    }
}
