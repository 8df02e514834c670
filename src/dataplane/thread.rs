//! What a worker's thread asks of the scheduler: its core and its class.

use super::link::{Sched, Settings, WorkerPlan};
use crate::sys::sched;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::io;

/// Above what runs at a priority of 1 by default (threaded interrupts of some systems run at 50), and
/// far below what keeps the kernel itself going at 99.
const FIFO_PRIORITY: i32 = 10;

/// Prepares the calling thread, a worker's; called once, before the worker starts. Returns what was asked
/// for and could not be had, a sentence each: a worker runs without it.
pub fn prepare(settings: &Settings, plan: &WorkerPlan) -> Vec<String> {
    let bound = plan.cpu.and_then(bind);
    let real_time = if settings.sched == Sched::Fifo { fifo() } else { None };
    bound.into_iter().chain(real_time).collect()
}

/// Binds the calling thread to a core; why that cannot be.
fn bind(cpu: u32) -> Option<String> {
    let mut cpus = CpuSet::new();
    let set = cpus.set(cpu as usize).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cpus));
    let cause = match set {
        Ok(()) => return None,
        Err(Errno::EINVAL) => {
            "there is no such core, it is offline, or the control group's cpuset leaves it out"
                .to_owned()
        }
        Err(error) => io::Error::from(error).to_string(),
    };
    Some(format!("not bound to core {cpu}: {cause}"))
}

/// Puts the calling thread into SCHED_FIFO; why that cannot be.
fn fifo() -> Option<String> {
    let cause = match sched::set_fifo(FIFO_PRIORITY) {
        Ok(()) => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => format!(
            "needs CAP_SYS_NICE, or RLIMIT_RTPRIO of {FIFO_PRIORITY} or more (LimitRTPRIO= of systemd)"
        ),
        Err(error) => error.to_string(),
    };
    Some(format!("sched \"fifo\" not set, runs as \"normal\": {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::link::IoChoice;
    use nix::sched::sched_getaffinity;

    /// On a thread of its own: what it asks for stays with it.
    fn on_a_thread(sched: Sched, cpu: Option<u32>, look: impl FnOnce(Vec<String>) + Send) {
        let settings = Settings {
            io: IoChoice::Auto,
            egress_sockets: 1,
            buffers: 1,
            sched,
            coalesce_usecs: 0,
            busy_poll_usecs: 0,
            workers: Vec::new(),
        };
        std::thread::scope(|scope| {
            let run = || look(prepare(&settings, &WorkerPlan { cpu }));
            scope.spawn(run).join().expect("nothing panics");
        });
    }

    fn cores() -> Vec<usize> {
        let cpus = sched_getaffinity(Pid::from_raw(0)).expect("is told");
        (0..CpuSet::count()).filter(|cpu| cpus.is_set(*cpu) == Ok(true)).collect()
    }

    #[test]
    fn a_thread_is_bound_to_its_core() {
        let allowed = cores();
        for cpu in &allowed {
            on_a_thread(Sched::Normal, u32::try_from(*cpu).ok(), |notes| {
                assert_eq!((cores(), notes), (vec![*cpu], Vec::new()));
            });
        }
        on_a_thread(Sched::Normal, None, |notes| assert_eq!((cores(), notes), (allowed, vec![])));
    }

    #[test]
    fn a_core_that_there_is_not_is_named_and_the_thread_goes_on() {
        let allowed = cores();
        for cpu in [1000, 1023, 1024, u32::MAX] {
            on_a_thread(Sched::Normal, Some(cpu), |notes| {
                assert_eq!(cores(), allowed);
                assert_eq!(notes.len(), 1);
                let start = format!("not bound to core {cpu}: there is no such core");
                assert!(notes[0].starts_with(&start), "{notes:?}");
            });
        }
    }

    #[test]
    fn fifo_is_set_or_the_missing_right_is_named() {
        let fifo = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        on_a_thread(Sched::Fifo, None, |notes| match sched::policy().expect("is told") {
            policy if policy == fifo => assert_eq!(notes, Vec::<String>::new()),
            policy => {
                assert_eq!((policy, notes.len()), (libc::SCHED_OTHER, 1));
                assert!(notes[0].contains("CAP_SYS_NICE, or RLIMIT_RTPRIO of 10"), "{notes:?}");
            }
        });
        on_a_thread(Sched::Normal, None, |_| {
            assert_eq!(sched::policy().expect("is told"), libc::SCHED_OTHER);
        });
    }
}
