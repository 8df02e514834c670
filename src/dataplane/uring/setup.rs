//! Making a ring, and what its errors mean.

use io_uring::IoUring;
use std::io;

/// Submission queue entries: a full set of sends and some re-arming.
const SUBMISSIONS: u32 = 2048;

/// A ring for the calling thread with room for so many completions; the error names the likely
/// cause.
pub(super) fn build_ring(completions: u32) -> io::Result<IoUring> {
    let mut best = IoUring::builder();
    best.setup_cqsize(completions).setup_submit_all().setup_single_issuer().setup_defer_taskrun();
    let mut plain = IoUring::builder();
    plain.setup_cqsize(completions);
    best.build(SUBMISSIONS).or_else(|_| plain.build(SUBMISSIONS)).map_err(|error| {
        let cause = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                "refused: kernel.io_uring_disabled is set, or a seccomp profile forbids it"
            }
            Some(libc::ENOSYS) => "this kernel has no io_uring, or a seccomp profile hides it",
            Some(libc::ENOMEM) => "out of locked memory: raise `ulimit -l`",
            _ => "io_uring_setup failed",
        };
        io::Error::new(error.kind(), format!("{cause} ({error})"))
    })
}

/// True where the same call may simply be made again.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}
