//! The worker threads: started, woken, started again, stopped.

use super::egress::Supplies;
use super::link::{FromWorker, IoChoice, Settings, Tier, ToWorker, WorkerPlan};
use super::syscalls::SyscallBackend;
use super::thread as worker_thread;
use super::uring::UringBackend;
use super::worker::{Means, Worker};
use crate::clock;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

struct Handle {
    commands: Sender<ToWorker>,
    wake: EventFd,
    thread: JoinHandle<()>,
}

/// The worker threads. What they say comes out at the channel given to `start`,
/// with the worker's number.
pub struct Pool {
    settings: Settings,
    reports: UnboundedSender<(u32, FromWorker)>,
    workers: Vec<Handle>,
}

impl Pool {
    /// Starts the workers.
    pub fn start(
        settings: Settings,
        reports: UnboundedSender<(u32, FromWorker)>,
    ) -> io::Result<Self> {
        let workers = (0u32..)
            .zip(&settings.workers)
            .map(|(worker, plan)| spawn(worker, &settings, *plan, reports.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { settings, reports, workers })
    }

    /// Starts the workers that there are not yet; returns their numbers. Those that are too many stay.
    pub fn grow(&mut self, plans: &[WorkerPlan]) -> io::Result<Vec<u32>> {
        let mut started = Vec::new();
        for (worker, plan) in (0u32..).zip(plans).skip(self.workers.len()) {
            self.workers.push(spawn(worker, &self.settings, *plan, self.reports.clone())?);
            self.settings.workers.push(*plan);
            started.push(worker);
        }
        Ok(started)
    }

    /// Sends one message and wakes the worker. False where the worker has died and does not get it.
    pub fn send(&self, worker: u32, message: ToWorker) -> bool {
        let Some(handle) = self.workers.get(worker as usize) else { return false };
        let sent = handle.commands.send(message).is_ok();
        // Writing fails only at 2^64 unread wake-ups.
        sent && handle.wake.write(1).is_ok()
    }

    /// Starts a worker again after it has died, with nothing open and an empty table.
    pub fn restart(&mut self, worker: u32) -> io::Result<()> {
        let plan = self.settings.workers.get(worker as usize).copied().unwrap_or_default();
        let fresh = spawn(worker, &self.settings, plan, self.reports.clone())?;
        if let Some(handle) = self.workers.get_mut(worker as usize) {
            *handle = fresh;
        }
        Ok(())
    }

    /// Ends all workers and waits for them.
    pub fn stop(self) {
        for handle in &self.workers {
            // A worker that is gone needs no stop.
            let _ = handle.commands.send(ToWorker::Stop);
            let _ = handle.wake.write(1);
        }
        for handle in self.workers {
            // Panics are caught inside the thread.
            let _ = handle.thread.join();
        }
    }
}

fn spawn(
    worker: u32,
    settings: &Settings,
    plan: WorkerPlan,
    reports: UnboundedSender<(u32, FromWorker)>,
) -> io::Result<Handle> {
    let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let (commands, inbox) = channel();
    let theirs: OwnedFd = nix::unistd::dup(&wake)?;
    let settings = settings.clone();
    let thread = thread::Builder::new().name(format!("mcr-worker-{worker}")).spawn(move || {
        // Nobody listens any more where the send fails: the process is ending.
        let report = |message| {
            let _ = reports.send((worker, message));
        };
        let ended = catch_unwind(AssertUnwindSafe(|| work(&settings, plan, theirs, inbox, report)));
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => report(FromWorker::Died(error.to_string())),
            Err(panic) => report(FromWorker::Died(format!("panic: {}", text_of(&*panic)))),
        }
    })?;
    Ok(Handle { commands, wake, thread })
}

fn work(
    settings: &Settings,
    plan: WorkerPlan,
    wake: OwnedFd,
    inbox: Receiver<ToWorker>,
    mut report: impl FnMut(FromWorker),
) -> io::Result<()> {
    let notes = worker_thread::prepare(settings, &plan);
    let usecs = |usecs: u32| Duration::from_micros(usecs.into());
    let means = Means {
        max_sockets: settings.egress_sockets,
        supplies: Supplies::default(),
        coalesce: usecs(settings.coalesce_usecs),
        busy_poll: usecs(settings.busy_poll_usecs),
    };
    let buffers = settings.buffers.clamp(1, 32_768).next_power_of_two() as usize;
    let reason = match settings.io {
        IoChoice::Syscalls => "the configuration says dataplane.io: \"syscalls\"".to_owned(),
        IoChoice::Auto | IoChoice::IoUring => match UringBackend::new(wake.try_clone()?, buffers) {
            Ok(backend) => {
                report(FromWorker::Ready { tier: Tier::UringMultishot, reason: None, notes });
                return Worker::new(backend, inbox, report, means, clock::now).run();
            }
            Err(error) if settings.io == IoChoice::IoUring => return Err(error),
            Err(error) => error.to_string(),
        },
    };
    report(FromWorker::Ready { tier: Tier::Syscalls, reason: Some(reason), notes });
    let backend = SyscallBackend::new(wake, buffers);
    Worker::new(backend, inbox, report, means, clock::now).run()
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
