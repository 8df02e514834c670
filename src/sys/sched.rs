//! The scheduling class of a thread (sched(7)).

use std::io;

/// Puts the calling thread into SCHED_FIFO with this priority, 1 to 99; threads that it starts are of
/// the normal class (SCHED_RESET_ON_FORK). Needs CAP_SYS_NICE or an RLIMIT_RTPRIO that is not smaller.
///
/// # Errors
/// EPERM without either, and in a control group without real-time runtime; EINVAL for a priority that
/// there is not.
pub fn set_fifo(priority: i32) -> io::Result<()> {
    // SAFETY: an all-zero sched_param is valid.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = priority;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel reads `param`, which is borrowed for the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The scheduling class and flags of the calling thread, such as SCHED_FIFO | SCHED_RESET_ON_FORK.
pub fn policy() -> io::Result<i32> {
    // SAFETY: no memory is involved; 0 is the calling thread.
    match unsafe { libc::sched_getscheduler(0) } {
        policy @ 0.. => Ok(policy),
        _ => Err(io::Error::last_os_error()),
    }
}
