//! What the data plane gives up before it serves: all capabilities, the right to gain any, and every
//! system call that it does not need.

use capctl::caps::{CapState, ambient, bounding};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// The priority that real-time workers get; the limit is raised to it.
const REALTIME: u64 = 10;

/// Gives up what can be given up; what could not be is said. To be called before other threads run:
/// they inherit it.
pub(super) fn enter() -> Vec<String> {
    let mut trouble = Vec::new();
    raise_limits();
    let mut attempt = |what: &str, outcome: Result<(), String>| {
        if let Err(error) = outcome {
            trouble.push(format!("{what}: {error}"));
        }
    };
    let text = |error: capctl::Error| error.to_string();
    attempt("no_new_privs", capctl::prctl::set_no_new_privs().map_err(text));
    if ambient::is_supported() {
        attempt("ambient capabilities", ambient::clear().map_err(text));
    }
    // Only who has CAP_SETPCAP may; without it the set is of no use under no_new_privs.
    let _ = bounding::clear();
    attempt("capabilities", CapState::empty().set_current().map_err(text));
    attempt(
        "system call filter",
        filter().and_then(|program| apply_filter(&program).map_err(|error| error.to_string())),
    );
    trouble
}

/// As far as we may now and will not later. What cannot be raised is noticed where it is needed.
fn raise_limits() {
    for (resource, wanted) in [
        (Resource::RLIMIT_NOFILE, None),
        (Resource::RLIMIT_MEMLOCK, Some(nix::sys::resource::RLIM_INFINITY)),
        (Resource::RLIMIT_RTPRIO, Some(REALTIME)),
    ] {
        let Ok((_, hard)) = getrlimit(resource) else { continue };
        let most = wanted.unwrap_or(hard).max(hard);
        if setrlimit(resource, most, most).is_err() {
            let _ = setrlimit(resource, hard, hard);
        }
    }
}

/// System calls that are allowed whatever their arguments.
const ALLOWED: &[libc::c_long] = &[
    // Descriptors and what is read and written.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    // Sockets.
    // A pair, to try what io_uring can do.
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads: workers are started again.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_getparam,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_getattr,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals, time, chance.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
];

/// Those of older architectures for what others do by newer calls.
#[cfg(target_arch = "x86_64")]
const OLD: &[libc::c_long] = &[libc::SYS_poll, libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[libc::c_long] = &[];

/// Everything else is answered with EPERM.
fn filter() -> Result<BpfProgram, String> {
    let text = |error: seccompiler::BackendError| error.to_string();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLD).map(|number| (*number, Vec::new())).collect();
    // New sockets are UDP ones: a worker's senders.
    let inet =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::AF_INET as u64);
    let inet = SeccompRule::new(vec![inet.map_err(text)?]).map_err(text)?;
    rules.insert(libc::SYS_socket, vec![inet]);
    let arch = ARCH.try_into().map_err(text)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch);
    filter.and_then(TryInto::try_into).map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_for_this_machine() {
        assert!(!filter().expect("a program").is_empty());
    }
}
