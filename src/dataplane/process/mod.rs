//! The data plane in a process of its own: it takes descriptors and tables from control over a Unix
//! socket, gives up what it may do on this host, and forwards whether control is there or not.
//!
//! One control process is served at a time; one that comes later and speaks this language takes
//! over. Whoever says something else is not listened to: the last good table stays.

pub mod connection;
pub mod frame;
pub mod message;
mod sandbox;

use super::egress::Supplies;
use super::engine::Engine;
use super::link::Settings;
use super::pool::{Pool, Reports};
use crate::clock;
use crate::sys::heap;
use crate::types::Time;
use connection::Connection;
use frame::FrameError;
use message::{FromPlane, PROTOCOL, ToPlane};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Connections that have not said who they are, at most.
const STRANGERS: usize = 8;
/// How long one may take to say it; and how long a process waits for its first control.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sockets that need a capability to be opened, opened before there is none: for frames, for packets,
/// and UDP sockets with large buffers.
const SUPPLIES: (usize, usize, usize) = (64, 16, 128);

/// A table has come, and the last one goes when the workers have the new one: so much later what both took is
/// given back.
const REST: Duration = Duration::from_millis(100);

type Control = Connection<ToPlane>;

/// What is listened to.
struct Ears {
    /// None = the one connection that there is from the start is the only one.
    listener: Option<UnixListener>,
    signals: Option<SignalFd>,
}

struct Plane {
    ears: Ears,
    reports: Reports,
    engine: Option<Engine<Pool>>,
    control: Option<Control>,
    strangers: Vec<(Control, Time)>,
    supplies: Supplies,
    trouble: Vec<String>,
    /// Memory was freed: then it is given back.
    rest_at: Option<Time>,
    /// Without a control by then there was no sense in starting it.
    give_up_at: Option<Time>,
}

/// Runs the data plane of this process until control or SIGTERM ends it. Standard input is the
/// socket to listen on; it stands on `/dev/null` afterwards.
pub fn run() -> io::Result<()> {
    heap::keep_little();
    // Started as /proc/self/exe, it would be called "exe" in ps(1).
    let _ = nix::sys::prctl::set_name(c"mcrd");
    // A Ctrl-C in control's terminal is for control. Refused where we lead a group already.
    let _ = nix::unistd::setsid();
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    // Once more, so that it is our process that peers are told of (SO_PEERCRED, unix(7)).
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(64)?)?;
    listener.set_nonblocking(true)?;
    let mut ending = SigSet::empty();
    ending.add(Signal::SIGTERM);
    ending.add(Signal::SIGINT);
    let mut blocked = ending;
    blocked.add(Signal::SIGHUP);
    blocked.thread_block()?;
    let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (supplies, mut trouble) = match Supplies::open(SUPPLIES.0, SUPPLIES.1, SUPPLIES.2) {
        Ok(supplies) => (supplies, Vec::new()),
        Err(error) => {
            let what = format!("no sockets for frames of our making ({error})");
            (Supplies::default(), vec![what])
        }
    };
    trouble.extend(sandbox::enter());
    let ears = Ears { listener: Some(listener), signals: Some(signals) };
    Plane::new(ears, None, supplies, trouble)?.serve()
}

/// Runs a data plane on this thread for the one control process at the other end of `connection`; it
/// ends with it. It gives up no rights.
pub fn serve_one(connection: UnixStream) -> io::Result<()> {
    let ears = Ears { listener: None, signals: None };
    Plane::new(ears, Some(connection), Supplies::default(), Vec::new())?.serve()
}

impl Plane {
    fn new(
        ears: Ears,
        first: Option<UnixStream>,
        supplies: Supplies,
        trouble: Vec<String>,
    ) -> io::Result<Self> {
        let (reports, _) = Reports::channel()?;
        let now = clock::now();
        let strangers = first
            .into_iter()
            .map(|socket| Ok((Connection::new(socket)?, now.plus(PATIENCE))))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            ears,
            reports,
            engine: None,
            control: None,
            strangers,
            supplies,
            trouble,
            rest_at: None,
            give_up_at: Some(now.plus(PATIENCE)),
        })
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            if self.wait()? {
                break;
            }
            let now = clock::now();
            self.reports.clear();
            if let Some(engine) = &mut self.engine {
                engine.listen(now);
                if engine.next_timeout() <= now {
                    engine.tick(now);
                }
            }
            self.accept(now);
            self.meet_strangers(now);
            if !self.hear_control(now) {
                break;
            }
            self.speak();
            if self.rest_at.take_if(|at| *at <= now).is_some() {
                heap::give_back();
            }
            let alone = self.control.is_none() && self.strangers.is_empty();
            if alone && self.ears.listener.is_none()
                || self.engine.is_none() && self.give_up_at.is_some_and(|at| at <= now)
            {
                break;
            }
        }
        // What was answered last shall arrive.
        self.speak();
        if let Some(engine) = self.engine.take() {
            engine.stop();
        }
        Ok(())
    }

    /// Waits until there is something to do; true where a signal says to end.
    fn wait(&self) -> io::Result<bool> {
        let signals = self.ears.signals.as_ref();
        let mut polled: Vec<PollFd<'_>> = vec![PollFd::new(self.reports.wake(), PollFlags::POLLIN)];
        polled.extend(signals.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let listener = self.ears.listener.as_ref();
        polled.extend(listener.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let strangers = self.strangers.iter().map(|(stranger, _)| stranger);
        for connection in strangers.chain(&self.control) {
            polled.push(PollFd::new(connection.socket(), connection.interest()));
        }
        let now = clock::now();
        let engine = self.engine.as_ref().map(Engine::next_timeout);
        let begin = self.give_up_at.filter(|_| self.engine.is_none());
        let strangers = self.strangers.iter().map(|(_, until)| *until).min();
        let due = [engine, begin, strangers, self.rest_at].into_iter().flatten().min();
        let timeout = due.map_or(PollTimeout::NONE, |at| {
            let wait = at.since(now).as_millis().saturating_add(1);
            PollTimeout::try_from(i32::try_from(wait).unwrap_or(i32::MAX))
                .unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut polled, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(signals.is_some_and(|signals| matches!(signals.read_signal(), Ok(Some(_)))))
    }

    fn accept(&mut self, now: Time) {
        let Some(listener) = &self.ears.listener else { return };
        while let Ok((socket, _)) = listener.accept() {
            if self.strangers.len() < STRANGERS
                && connection::is_one_of_us(socket.as_fd())
                && let Ok(connection) = Connection::new(socket)
            {
                self.strangers.push((connection, now.plus(PATIENCE)));
            }
        }
    }

    /// Reads what strangers say: the first that greets properly is control from now on.
    fn meet_strangers(&mut self, now: Time) {
        let mut at = 0;
        while let Some((stranger, until)) = self.strangers.get_mut(at) {
            let late = *until <= now;
            match stranger.hear() {
                Ok(None) if !late => at += 1,
                Ok(Some((ToPlane::Hello { protocol: PROTOCOL }, None))) => {
                    let (control, _) = self.strangers.remove(at);
                    // Whoever was there before sees that its connection ends.
                    self.control = Some(control);
                }
                Ok(Some((ToPlane::Hello { .. }, None))) => {
                    let (mut stranger, _) = self.strangers.remove(at);
                    let version = env!("CARGO_PKG_VERSION").to_owned();
                    let pid = std::process::id();
                    let answer = FromPlane::OtherProtocol { protocol: PROTOCOL, version, pid };
                    // It does not understand it, or has gone: its affair.
                    let _ = stranger.say(&answer, None);
                }
                _ => drop(self.strangers.remove(at)),
            }
        }
    }

    /// Obeys control; false where it says that all shall end.
    fn hear_control(&mut self, now: Time) -> bool {
        while let Some(control) = &mut self.control {
            match control.hear() {
                Ok(None) => return true,
                Ok(Some((message, descriptor))) => {
                    if !self.obey(message, descriptor, now) {
                        return false;
                    }
                }
                Err(_) => self.control = None,
            }
        }
        true
    }

    fn obey(&mut self, message: ToPlane, descriptor: Option<OwnedFd>, now: Time) -> bool {
        match (message, &mut self.engine) {
            (ToPlane::Stop, _) => return false,
            (ToPlane::Start(settings), engine) => {
                if engine.is_none() {
                    match self.start(settings, now) {
                        Ok(()) => {}
                        // Control sees the end of the connection, and that of this process.
                        Err(_) => return false,
                    }
                }
                if let Some(engine) = &mut self.engine {
                    // What was said to nobody is in the inventory.
                    engine.listen(now);
                    engine.answers();
                    let inventory = engine.inventory();
                    self.tell(inventory);
                }
            }
            (message, Some(engine)) => {
                if matches!(message, ToPlane::Publish { .. } | ToPlane::Remember(_)) {
                    self.rest_at = Some(now.plus(REST));
                }
                return engine.obey(message, descriptor, now);
            }
            // Not before it is started.
            (_, None) => self.control = None,
        }
        true
    }

    fn start(&mut self, settings: Settings, now: Time) -> io::Result<()> {
        let (reports, heard) = Reports::channel()?;
        self.reports = reports.clone();
        let pool = Pool::new(settings.clone(), reports, self.supplies.share()?);
        self.engine = Some(Engine::start(pool, heard, settings, self.trouble.clone(), now));
        Ok(())
    }

    fn tell(&mut self, answers: Vec<(FromPlane, Option<OwnedFd>)>) {
        let Some(control) = &mut self.control else { return };
        let told: Result<(), FrameError> =
            answers.into_iter().try_for_each(|(answer, fd)| control.queue(&answer, fd));
        if told.is_err() {
            self.control = None;
        }
    }

    fn speak(&mut self) {
        if let Some(engine) = &mut self.engine {
            let answers = engine.answers();
            self.tell(answers);
        }
        if let Some(control) = &mut self.control
            && control.flush().is_err()
        {
            self.control = None;
        }
    }
}
