//! The sandbox: mount, PID and network namespaces of our own, entered by running
//! ourselves again under `scripts/sandbox`.
//!
//! Everything that a scenario makes lives in them: namespaces are bind mounts in our private
//! `/run`, links live in our network namespaces, processes in our PID namespace. When its first
//! process ends, the kernel ends all others and frees the rest. That first process is tied to ours, so
//! SIGKILL on the test binary has the same effect.

use std::process::{Command, ExitCode};

/// Set inside the sandbox.
pub(crate) const INSIDE: &str = "MCR_NETNS_INSIDE";

/// Shared with the demo.
const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/sandbox");

/// How an attempt to get into the sandbox ended.
pub(crate) enum Entered {
    /// We are inside.
    Inside,
    /// Everything ran inside and ended with this status.
    Ended(ExitCode),
    /// It cannot be had here, with the reason.
    Refused(String),
}

/// Runs the test binary again, inside, and waits for it; inside it says so.
///
/// The process outside only waits: whatever ends it takes the sandbox along, by a parent-death
/// signal.
pub(crate) fn enter() -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        return Entered::Inside;
    }
    if let Err(reason) = probe() {
        return Entered::Refused(reason);
    }
    let own = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => return Entered::Refused(format!("our own path is unknown: {error}")),
    };
    let status =
        Command::new(SANDBOX).arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1").status();
    match status {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Entered::Ended(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
        Err(error) => Entered::Refused(format!("{SANDBOX}: {error}")),
    }
}

fn probe() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("not root; run as root (sudo -E cargo test --test netns)".to_owned());
    }
    let output = Command::new(SANDBOX)
        .arg("true")
        .output()
        .map_err(|error| format!("{SANDBOX}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{SANDBOX}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The lines of `skips.txt`: name and reason.
pub(crate) fn skips() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("skips.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(char::is_whitespace).unwrap_or((line, "")))
        .map(|(name, reason)| (name, reason.trim()))
}

/// The reason why a scenario is left out.
pub(crate) fn allowed_skip(name: &str) -> Option<&'static str> {
    skips().find(|(skipped, _)| *skipped == name).map(|(_, reason)| reason)
}
