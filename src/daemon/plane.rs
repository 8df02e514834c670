//! Control's end of the data plane: found or started, spoken with, ended.

use crate::clock;
use crate::config;
use crate::dataplane::link::Settings;
use crate::dataplane::process::connection::{self, Connection};
use crate::dataplane::process::frame::FrameError;
use crate::dataplane::process::message::{FromPlane, Inventory, PROTOCOL, PortSpec, ToPlane};
use crate::dataplane::process::serve_one;
use crate::types::Time;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::Interest;
use tracing::{debug, info, warn};

/// How long a data plane may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that was told to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// How the name of a data plane's socket ends while it is to take over from another.
const SUCCESSOR: &str = "successor";
/// How often its end is looked for.
const GLANCE: Duration = Duration::from_millis(2);

/// Where the data plane runs.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a process of its own that listens here.
    Process(PathBuf),
    /// On a thread of this process, for tests of what is around it.
    Thread,
}

impl Place {
    /// Beside the control socket.
    pub(super) fn beside(control: &Path) -> Self {
        let mut path = OsString::from(control);
        path.push(config::DATA_PLANE_SUFFIX);
        Self::Process(path.into())
    }

    /// Where another listens until it has taken over from the one that is there.
    pub(super) fn of_successor(&self) -> Self {
        match self {
            // No longer than the other: socket paths are short.
            Self::Process(path) => Self::Process(path.with_extension(SUCCESSOR)),
            Self::Thread => Self::Thread,
        }
    }

    /// Where control was killed while a data plane took over from another, there are two, or the later one has
    /// not taken the place yet. The one before goes on where it is there; what the other had is lost.
    fn settle_succession(&self) {
        let (Self::Process(path), Self::Process(other)) = (self, self.of_successor()) else {
            return;
        };
        let Ok(socket) = UnixStream::connect(&other) else { return };
        let pid = connection::peer_pid(socket.as_fd());
        if UnixStream::connect(path).is_err() && fs::rename(&other, path).is_ok() {
            warn!(pid, "a data plane has taken over from another while nobody looked");
            return;
        }
        let how = pid.map(|pid| end(pid, Duration::ZERO));
        warn!(pid, how, "a data plane had not taken over yet and is ended");
        let _ = fs::remove_file(&other);
    }
}

/// What a data plane that ran already has.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) inventory: Inventory,
    /// Each with the worker that reads it.
    pub(super) ports: Vec<(u32, PortSpec, OwnedFd)>,
}

/// A data plane and the connection to it.
pub(super) struct Plane {
    connection: Connection<FromPlane>,
    /// The same socket, to wait for it.
    ready: tokio::net::UnixStream,
    pid: i32,
    version: String,
    path: Option<PathBuf>,
    thread: Option<JoinHandle<()>>,
    /// It is gone as far as we are concerned.
    broken: Option<String>,
}

impl Plane {
    /// The data plane that runs at this place already, if one does. One that does not answer, or not
    /// in our language, is ended.
    pub(super) fn attach(place: &Place, settings: &Settings) -> Option<(Self, Found)> {
        let Place::Process(path) = place else { return None };
        place.settle_succession();
        let socket = UnixStream::connect(path).ok()?;
        let pid = connection::peer_pid(socket.as_fd());
        match Self::greet(socket, settings, Some(path.clone()), None) {
            Ok(met) => Some(met),
            Err(error) => {
                warn!(pid, %error, "the data plane that runs cannot be used; another is started");
                if let Some(pid) = pid {
                    end(pid, Duration::ZERO);
                }
                None
            }
        }
    }

    /// Starts a data plane.
    pub(super) fn start(place: &Place, settings: &Settings) -> io::Result<(Self, Found)> {
        match place {
            Place::Thread => {
                let (ours, theirs) = UnixStream::pair()?;
                let thread = std::thread::Builder::new().name("mcr-dataplane".into());
                let thread = thread.spawn(move || {
                    if let Err(error) = serve_one(theirs) {
                        warn!(%error, "the data plane failed");
                    }
                })?;
                Self::greet(ours, settings, None, Some(thread))
            }
            Place::Process(path) => {
                let pid = spawn(path)?;
                let met = UnixStream::connect(path)
                    .and_then(|socket| Self::greet(socket, settings, Some(path.clone()), None));
                if met.is_err() {
                    end(pid, Duration::ZERO);
                }
                let (mut plane, found) = met?;
                plane.pid = pid;
                Ok((plane, found))
            }
        }
    }

    fn greet(
        socket: UnixStream,
        settings: &Settings,
        path: Option<PathBuf>,
        thread: Option<JoinHandle<()>>,
    ) -> io::Result<(Self, Found)> {
        let ready = socket.try_clone()?;
        let mut connection = Connection::new(socket)?;
        connection.queue(&ToPlane::Hello { protocol: PROTOCOL }, None).map_err(failed)?;
        connection.queue(&ToPlane::Start(settings.clone()), None).map_err(failed)?;
        let until = clock::now().plus(PATIENCE);
        let mut found: Option<Found> = None;
        loop {
            match hear(&mut connection, until)? {
                (FromPlane::OtherProtocol { protocol, version, .. }, _) => {
                    return Err(io::Error::other(format!(
                        "it is of version {version} and speaks language {protocol}, this program {PROTOCOL}"
                    )));
                }
                (FromPlane::Inventory(inventory), _) => {
                    found = Some(Found { inventory: *inventory, ports: Vec::new() });
                }
                (FromPlane::Port { worker, port }, Some(socket)) => {
                    if let Some(found) = &mut found {
                        found.ports.push((worker, port, socket));
                    }
                }
                _ => {}
            }
            if found.as_ref().is_some_and(|f| f.ports.len() >= f.inventory.follow as usize)
                && let Some(found) = found.take()
            {
                let pid = i32::try_from(found.inventory.pid).unwrap_or(0);
                let version = found.inventory.version.clone();
                let ready = tokio::net::UnixStream::from_std(ready)?;
                let plane = Self { connection, ready, pid, version, path, thread, broken: None };
                return Ok((plane, found));
            }
        }
    }

    /// Sends a message; where that fails, [`Self::next`] says so.
    pub(super) fn send(&mut self, message: &ToPlane, descriptor: Option<OwnedFd>) {
        if self.broken.is_none()
            && let Err(error) = self.connection.say(message, descriptor)
        {
            self.broken = Some(error.to_string());
        }
    }

    /// Waits for a message; an error says that the data plane is lost. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<FromPlane, String> {
        loop {
            if let Some(reason) = &self.broken {
                return Err(reason.clone());
            }
            let heard = self.connection.flush().and_then(|()| self.connection.hear());
            match heard {
                Ok(Some((message, _))) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            let interest = match self.connection.interest().contains(PollFlags::POLLOUT) {
                true => Interest::READABLE | Interest::WRITABLE,
                false => Interest::READABLE,
            };
            if let Err(error) = self.ready.ready(interest).await {
                return Err(error.to_string());
            }
            // Taken note of: it is read and written above, until nothing is there.
            let over = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
            for seen in [Interest::READABLE, Interest::WRITABLE] {
                let _ = self.ready.try_io(seen, over);
            }
        }
    }

    /// Waits for a message without letting anything else happen; an error says that it does not come.
    pub(super) fn hear_until(&mut self, until: Time) -> Result<FromPlane, String> {
        match &self.broken {
            Some(reason) => Err(reason.clone()),
            None => hear(&mut self.connection, until)
                .map(|(message, _)| message)
                .map_err(|error| error.to_string()),
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The version of its program.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Has it listen at another place; who listens there now is not found there any more.
    pub(super) fn take_place(&mut self, place: &Place) -> io::Result<()> {
        if let (Some(from), Place::Process(to)) = (&self.path, place) {
            fs::rename(from, to)?;
            self.path = Some(to.clone());
        }
        Ok(())
    }

    /// As [`Self::stop`], for one whose place another has taken.
    pub(super) fn retire(mut self) {
        self.path = None;
        self.stop();
    }

    /// Tells it to end, and sees to it that it does. Nothing of it is left.
    pub(super) fn stop(mut self) {
        self.send(&ToPlane::Stop, None);
        self.wait_for_the_end(GRACE);
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }

    /// It is lost: sees to it that nothing of it is left, and says what is known of its end.
    pub(super) fn bury(self) -> String {
        drop(self.connection);
        match self.thread {
            Some(thread) => {
                let _ = thread.join();
                "its thread has ended".to_owned()
            }
            None => end(self.pid, Duration::from_millis(20)),
        }
    }

    fn wait_for_the_end(&mut self, grace: Duration) {
        if let Some(thread) = self.thread.take() {
            // It ends when it has read the message, and at the latest when the connection ends.
            let _ = self.connection.flush();
            let _ = thread.join();
            return;
        }
        let how = end(self.pid, grace);
        debug!(pid = self.pid, how, "the data plane has ended");
    }
}

fn failed(error: FrameError) -> io::Error {
    io::Error::other(error.to_string())
}

/// The next message, waited for.
fn hear(
    connection: &mut Connection<FromPlane>,
    until: Time,
) -> io::Result<(FromPlane, Option<OwnedFd>)> {
    loop {
        connection.flush().map_err(failed)?;
        if let Some(heard) = connection.hear().map_err(failed)? {
            return Ok(heard);
        }
        let left = until.since(clock::now()).as_millis();
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
        }
        let mut polled = [PollFd::new(connection.socket(), connection.interest())];
        let timeout = i32::try_from(left).unwrap_or(i32::MAX);
        match poll(&mut polled, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Binds the socket and starts the process that listens on it: who connects from now on is heard.
fn spawn(path: &Path) -> io::Result<i32> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let about =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let listener = UnixListener::bind(path).map_err(about)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(about)?;
    // The very program that runs here, whatever stands under its name by now.
    let child = Command::new("/proc/self/exe")
        .arg0("mcrd")
        .arg("dataplane")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    info!(pid, socket = %path.display(), "data plane started");
    Ok(pid)
}

/// Waits for the end of a process of ours, or of one that an earlier control started, and kills it when the
/// time is over. What is known of its end.
fn end(pid: i32, grace: Duration) -> String {
    let process = Pid::from_raw(pid);
    let until = clock::now().plus(grace);
    let mut killed = false;
    loop {
        match waitpid(process, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(WaitStatus::Exited(_, code)) => return format!("it ended with code {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => return format!("it was ended by {signal}"),
            Ok(_) | Err(Errno::EINTR) => {}
            // Not our child.
            Err(_) if !is_alive(pid) => return "it has ended".to_owned(),
            Err(_) => {}
        }
        if !killed && clock::now() >= until {
            killed = true;
            // It may end by itself at this very moment.
            let _ = kill(process, Signal::SIGKILL);
        }
        if killed && clock::now().since(until) > PATIENCE {
            return "it does not end".to_owned();
        }
        std::thread::sleep(GLANCE);
    }
}

/// False where there is no such process, or only its remains that its parent does not collect.
fn is_alive(pid: i32) -> bool {
    // Name in parentheses, then the state (proc_pid_stat(5)).
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X'))
}
