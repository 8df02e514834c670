//! What belongs to the whole machine: settings that are changed for the run and put back, and the
//! kernel threads that cannot be seen from the sandbox. Everything else happens in the sandbox,
//! which the kernel takes apart when it ends, however it ends.

use mcr::traffic::stop::StopSignal;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Set inside the sandbox: the settings of this run.
const INSIDE: &str = "MCR_BENCH_INSIDE";
/// Names the descriptors of the softirq threads' run time to the process in the sandbox.
const THREADS: &str = "MCR_BENCH_SOFTIRQ_THREADS";
const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/sandbox");

/// Settings without a namespace: key and least value for the run. Socket buffers for those who
/// cannot force them (socat), and the queue of a CPU for frames of a veth.
const WANTED: [(&str, u64); 3] = [
    ("net.core.rmem_max", 16 << 20),
    ("net.core.wmem_max", 16 << 20),
    ("net.core.netdev_max_backlog", 10_000),
];

/// The settings of this run, where we are inside.
pub(crate) fn inside() -> Option<String> {
    std::env::var(INSIDE).ok()
}

/// Runs ourselves in the sandbox with our arguments, and puts the settings back. 0 is success.
pub(crate) fn run_inside() -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("bench: network namespaces need root: sudo -E make bench");
        return ExitCode::FAILURE;
    }
    // Blocked here, not in what we start: Ctrl-C ends the sandbox, and then we put things back.
    let stop = StopSignal::install().expect("signalfd");
    let settings = Settings::apply();
    let threads: Vec<File> = softirq_threads();
    let numbers: Vec<String> = threads.iter().map(|file| file.as_raw_fd().to_string()).collect();
    let own = std::env::current_exe().expect("our own path");
    let child = Command::new(SANDBOX)
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, settings.text())
        .env(THREADS, numbers.join(","))
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("bench: {SANDBOX}: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return code.map_or(ExitCode::FAILURE, ExitCode::from);
            }
            Err(error) => {
                eprintln!("bench: waiting for the sandbox: {error}");
                return ExitCode::FAILURE;
            }
        }
        if stop.wait(None, Some(Duration::from_millis(100))).unwrap_or(false) {
            // The sandbox is tied to this process, and all in it to the sandbox.
            let _ = child.kill();
        }
    }
}

/// Settings as they were; put back at the end.
struct Settings {
    earlier: Vec<(String, String)>,
}

impl Settings {
    fn apply() -> Self {
        let mut earlier = Vec::new();
        for (key, value) in WANTED {
            let path = path(key);
            let Ok(before) = fs::read_to_string(&path) else { continue };
            let enough = before.trim().parse::<u64>().is_ok_and(|before| before >= value);
            if !enough && fs::write(&path, value.to_string()).is_ok() {
                earlier.push((path, before));
            }
        }
        Self { earlier }
    }

    fn text(&self) -> String {
        let now = |key| fs::read_to_string(path(key)).unwrap_or_default().trim().to_owned();
        let texts: Vec<_> = WANTED.iter().map(|(key, _)| format!("{key}={}", now(key))).collect();
        texts.join(" ")
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (path, before) in &self.earlier {
            if fs::write(path, before).is_err() {
                eprintln!("bench: {path} could not be set back to {}", before.trim());
            }
        }
    }
}

fn path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

/// The run time of each CPU's softirq thread, open for us and for what we start.
fn softirq_threads() -> Vec<File> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let threads = entries.filter(|entry| {
        fs::read_to_string(entry.path().join("comm"))
            .is_ok_and(|name| name.starts_with("ksoftirqd/"))
    });
    let files = threads.filter_map(|entry| File::open(entry.path().join("schedstat")).ok());
    files
        .inspect(|file| {
            // It is to live on in the processes that we start; else they count 0.
            let _ = fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()));
        })
        .collect()
}

/// What [`softirq_threads`] opened outside, inside: the descriptors that we inherited, each opened
/// again.
pub(crate) fn inherited_threads() -> Vec<File> {
    let numbers = std::env::var(THREADS).unwrap_or_default();
    let numbers = numbers.split(',').filter(|number| !number.is_empty());
    numbers.filter_map(|number| File::open(format!("/proc/self/fd/{number}")).ok()).collect()
}
