//! Whether this kernel can do what the backend needs. The opcode probe does not tell: multishot
//! recvmsg is a flag of an old opcode. So a real one is tried on a socket pair.

use super::pool::BufferPool;
use io_uring::{IoUring, cqueue, opcode, types};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// The receive's token.
const RECEIVE: u64 = 1;

/// Ok where multishot recvmsg with a provided buffer ring works (Linux 6.0).
pub(super) fn multishot_recvmsg() -> io::Result<()> {
    let (near, far) = UnixDatagram::pair()?;
    far.send(b"?")?;
    let mut ring = IoUring::new(4)?;
    let mut pool = BufferPool::new(2, 0, 256)?;
    // SAFETY: the receive is cancelled and reaped below, before `pool` goes.
    unsafe { pool.register(&ring, 0) }?;
    pool.grow();
    // SAFETY: an all-zero msghdr is valid.
    let header: libc::msghdr = unsafe { std::mem::zeroed() };
    let receive = opcode::RecvMsgMulti::new(types::Fd(near.as_raw_fd()), &raw const header, 0)
        .build()
        .user_data(RECEIVE);
    // SAFETY: `header` and the buffers outlive the receive, which ends below.
    unsafe { ring.submission().push(&receive) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let (result, mut armed) = ring
        .completion()
        .next()
        .map_or((-libc::ETIME, true), |entry| (entry.result(), cqueue::more(entry.flags())));
    let works = result > 0 && armed;
    while armed {
        let cancel = opcode::AsyncCancel::new(RECEIVE).build();
        // SAFETY: a cancel points at nothing.
        unsafe { ring.submission().push(&cancel) }.map_err(io::Error::other)?;
        ring.submit_and_wait(1)?;
        armed = !ring
            .completion()
            .any(|entry| entry.user_data() == RECEIVE && !cqueue::more(entry.flags()));
    }
    if works {
        return Ok(());
    }
    let errno = if result < 0 { -result } else { libc::EOPNOTSUPP };
    let error = io::Error::from_raw_os_error(errno);
    Err(io::Error::new(error.kind(), format!("no multishot recvmsg with a buffer ring ({error})")))
}
