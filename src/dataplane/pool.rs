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
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What workers say, with their numbers, and a descriptor that becomes readable when they do.
#[derive(Clone, Debug)]
pub struct Reports {
    sender: Sender<(u32, FromWorker)>,
    wake: Arc<EventFd>,
}

impl Reports {
    /// The two ends.
    pub fn channel() -> io::Result<(Self, Receiver<(u32, FromWorker)>)> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (sender, receiver) = channel();
        Ok((Self { sender, wake: Arc::new(wake) }, receiver))
    }

    /// To be polled; readable after something was said.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes note of a wake-up.
    pub fn clear(&self) {
        // Emptied by whoever read it before: nothing to do about a failure.
        let _ = self.wake.read();
    }

    fn say(&self, worker: u32, message: FromWorker) {
        // Nobody listens any more where the send fails: the process is ending.
        if self.sender.send((worker, message)).is_ok() {
            // Writing fails only at 2^64 unread wake-ups.
            let _ = self.wake.write(1);
        }
    }
}

/// Workers that can be started, told and stopped.
pub trait Crew {
    /// Starts one, in the place of one of its number that has died.
    fn start(&mut self, worker: u32, plan: WorkerPlan) -> io::Result<()>;

    /// Sends one message. False where the worker has died and does not get it.
    fn send(&self, worker: u32, message: ToWorker) -> bool;

    /// Ends one and waits for it; what it said is in the channel by then.
    fn stop(&mut self, worker: u32);
}

struct Handle {
    commands: Sender<ToWorker>,
    wake: EventFd,
    thread: JoinHandle<()>,
}

/// The worker threads.
pub struct Pool {
    settings: Settings,
    reports: Reports,
    supplies: Supplies,
    workers: BTreeMap<u32, Handle>,
}

impl Pool {
    /// No workers yet; all that come share the supplies.
    pub fn new(settings: Settings, reports: Reports, supplies: Supplies) -> Self {
        Self { settings, reports, supplies, workers: BTreeMap::new() }
    }
}

impl Crew for Pool {
    fn start(&mut self, worker: u32, plan: WorkerPlan) -> io::Result<()> {
        let fresh =
            spawn(worker, &self.settings, plan, self.supplies.share()?, self.reports.clone())?;
        self.workers.insert(worker, fresh);
        Ok(())
    }

    fn send(&self, worker: u32, message: ToWorker) -> bool {
        let Some(handle) = self.workers.get(&worker) else { return false };
        let sent = handle.commands.send(message).is_ok();
        // Writing fails only at 2^64 unread wake-ups.
        sent && handle.wake.write(1).is_ok()
    }

    fn stop(&mut self, worker: u32) {
        self.send(worker, ToWorker::Stop);
        if let Some(handle) = self.workers.remove(&worker) {
            // Panics are caught inside the thread.
            let _ = handle.thread.join();
        }
    }
}

fn spawn(
    worker: u32,
    settings: &Settings,
    plan: WorkerPlan,
    supplies: Supplies,
    reports: Reports,
) -> io::Result<Handle> {
    let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let (commands, inbox) = channel();
    let theirs: OwnedFd = nix::unistd::dup(&wake)?;
    let settings = settings.clone();
    let thread = thread::Builder::new().name(format!("mcr-worker-{worker}")).spawn(move || {
        let report = |message| reports.say(worker, message);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            work(&settings, (plan, supplies), theirs, inbox, report)
        }));
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
    (plan, supplies): (WorkerPlan, Supplies),
    wake: OwnedFd,
    inbox: Receiver<ToWorker>,
    mut report: impl FnMut(FromWorker),
) -> io::Result<()> {
    let notes = worker_thread::prepare(settings, &plan);
    let usecs = |usecs: u32| Duration::from_micros(usecs.into());
    let means = Means {
        max_sockets: settings.egress_sockets,
        supplies,
        coalesce: usecs(settings.coalesce_usecs),
        busy_poll: usecs(settings.busy_poll_usecs),
    };
    let buffers = settings.buffers.clamp(1, 32_768).next_power_of_two() as usize;
    let reason = match settings.io {
        IoChoice::Syscalls => "the configuration says dataplane.io: \"syscalls\"".to_owned(),
        IoChoice::Auto | IoChoice::IoUring => match UringBackend::new(wake.try_clone()?, buffers) {
            Ok(backend) => {
                report(FromWorker::Ready { tier: Tier::UringRings, reason: None, notes });
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
