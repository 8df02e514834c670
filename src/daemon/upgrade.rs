//! Control replaced by the program that stands on disk now: same process, same arguments, while the data
//! plane goes on.

use super::questions::ReplySender;
use super::reload::load_apart;
use super::{Daemon, clock};
use crate::control::event::{Refusal, Reply};
use crate::control::view::Upgrade;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{error, info};

/// How long the new program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const GLANCE: Duration = Duration::from_millis(5);
/// Bytes of what it says that are read.
const MOST_SAID: usize = 4096;
/// What the kernel adds to the name of a program whose file is gone (proc_pid_exe(5)).
const GONE: &[u8] = b" (deleted)";

/// A program that is tried before it takes our place, and who asked for that.
pub(super) struct Trial {
    tried: JoinHandle<Result<String, String>>,
    program: PathBuf,
    reply: ReplySender,
}

/// Waits for the end of a trial; for ever where there is none. Cancelling loses nothing.
pub(super) async fn tried(trial: &mut Option<Trial>) -> Result<String, String> {
    match trial {
        Some(trial) => (&mut trial.tried).await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

impl Daemon {
    /// Begins an upgrade.
    pub(super) fn upgrade(&mut self, reply: ReplySender) {
        let refused = |reply: ReplySender, what: &str| {
            // The asker may have gone; that is its affair.
            let _ = reply.send(Err(Refusal::NoUpgrade(what.to_owned())));
        };
        if self.trial.is_some() {
            return refused(reply, "an upgrade is under way");
        }
        let program = match program() {
            Ok(program) => program,
            Err(error) => return refused(reply, &format!("cannot tell our own program: {error}")),
        };
        let path = program.clone();
        let tried = tokio::task::spawn_blocking(move || version_of(&path, PATIENCE));
        self.trial = Some(Trial { tried, program, reply });
    }

    /// The program has been tried: it is what to become, or the asker is told why not.
    pub(super) fn upgrade_tried(&mut self, outcome: Result<String, String>) -> Option<PathBuf> {
        let Trial { program, reply, .. } = self.trial.take()?;
        match outcome.and_then(|to| self.check_file().map(|()| to)) {
            Ok(to) => {
                let from = env!("CARGO_PKG_VERSION").to_owned();
                info!(program = %program.display(), from, to, "upgrade: control is replaced");
                let path = program.display().to_string();
                let upgrade = Upgrade { from, to, program: path, pid: std::process::id() };
                // The asker may have gone; what it asked for is done.
                let _ = reply.send(Ok(Reply::Upgrade(upgrade)));
                self.service.reloading(clock::now());
                Some(program)
            }
            Err(what) => {
                error!(program = %program.display(), error = what, "upgrade refused");
                let _ = reply.send(Err(Refusal::NoUpgrade(what)));
                None
            }
        }
    }

    /// With a file that is wrong the next control would not start. One that is right is loaded here, so
    /// that what it does not have any more is not held.
    fn check_file(&mut self) -> Result<(), String> {
        let Some(path) = self.config.clone() else { return Ok(()) };
        let loaded = load_apart(&path)
            .map_err(|mistakes| format!("the configuration has mistakes: {mistakes}"))?;
        if self.settings.other_socket(&loaded) {
            // The data plane that runs listens beside this one: the next control would not find it.
            return Err("the file names another control socket; that needs a restart".to_owned());
        }
        self.reload();
        Ok(())
    }
}

/// The file that this program was started from, or what stands there by now.
fn program() -> io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?.into_os_string().into_vec();
    let path = path.strip_suffix(GONE).unwrap_or(&path);
    Ok(OsStr::from_bytes(path).into())
}

/// Runs `<program> --version`; the version, where it is an mcrd.
fn version_of(program: &Path, patience: Duration) -> Result<String, String> {
    let about = |what: String| format!("{}: {what}", program.display());
    let failed = |error: io::Error| about(format!("does not run: {error}"));
    let mut child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let until = clock::now().plus(patience);
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if clock::now() >= until => {
                // It may end by itself at this very moment.
                let _ = child.kill();
                let _ = child.wait();
                return Err(about(format!("does not say its version within {patience:?}")));
            }
            None => std::thread::sleep(GLANCE),
        }
    };
    if !status.success() {
        return Err(about(format!("`--version` fails: {status}")));
    }
    let said = child.stdout.take().map(said).transpose().map_err(failed)?.unwrap_or_default();
    match said.trim().strip_prefix("mcrd ") {
        Some(version) => Ok(version.to_owned()),
        None => Err(about("it is not an mcrd: `--version` says something else".to_owned())),
    }
}

/// What is in the pipe now: somebody else may hold its other end open for ever.
fn said(mut pipe: impl Read + AsFd) -> io::Result<String> {
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut bytes = vec![0; MOST_SAID];
    match pipe.read(&mut bytes) {
        Ok(len) => bytes.truncate(len),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bytes.clear(),
        Err(error) => return Err(error),
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The signals that control listens to.
fn signals() -> SigSet {
    [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Becomes `program`, with our arguments and environment; returns only where neither it nor the program
/// that runs here can be started.
pub(super) fn become_program(program: &Path) -> io::Error {
    // What comes before the next control listens waits for it instead of ending it: the mask and what
    // is pending outlive execve(2).
    let _ = signals().thread_block();
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| OsString::from("mcrd"));
    let words: Vec<OsString> = words.collect();
    let become_this = |path: &Path| Command::new(path).arg0(&name).args(&words).exec();
    let failed = become_this(program);
    error!(program = %program.display(), error = %failed, "cannot become the new program");
    // The old one, from memory: it takes over from itself.
    become_this(Path::new("/proc/self/exe"))
}

/// Control listens to signals from now on: what came while it was replaced is heard.
pub(super) fn hear_signals() {
    let _ = signals().thread_unblock();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn said_of(script: &str, patience: Duration) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("program");
        fs::write(&path, script).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
        version_of(&path, patience)
    }

    #[test]
    fn a_program_is_tried_before_it_is_trusted() {
        let long = Duration::from_secs(20);
        assert_eq!(said_of("#!/bin/sh\necho mcrd 9.8.7\n", long), Ok("9.8.7".to_owned()));
        for (script, patience, why) in [
            ("#!/bin/sh\necho mcrd 1; exit 3\n", long, "fails: exit status: 3"),
            ("#!/bin/sh\necho other 1\n", long, "is not an mcrd"),
            ("#!/bin/sh\n", long, "is not an mcrd"),
            ("#!/nonexistent/interpreter\n", long, "does not run"),
            ("\u{7f}ELF", long, "does not run"),
            ("#!/bin/sh\nexec sleep 100\n", Duration::from_millis(50), "within 50ms"),
        ] {
            let error = said_of(script, patience).expect_err(script);
            assert!(error.contains(why), "{error}");
        }
        let error = version_of(Path::new("/nonexistent/mcrd"), long).expect_err("missing");
        assert!(error.contains("does not run"), "{error}");
        // Whoever keeps the pipe open holds nothing up.
        let kept = said_of("#!/bin/sh\necho mcrd 2\nsleep 1 &\n", long);
        assert_eq!(kept, Ok("2".to_owned()));
    }
}
