//! Processes that end with the value that stands for them, and their logs.

use super::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running command; killed and reaped on drop. Its output goes to files of the scenario.
pub(crate) struct Process {
    label: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `directory`.
    pub(crate) fn start(label: &str, directory: &Path, command: &mut Command) -> Self {
        let (stdout, stderr) = (1..)
            .map(|n| format!("{label}-{n}"))
            .map(|n| (directory.join(format!("{n}.out")), directory.join(format!("{n}.err"))))
            .find(|(stdout, _)| !stdout.exists())
            .expect("a free log name");
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a log file"))
            .stderr(File::create(&stderr).expect("a log file"))
            .spawn()
            .unwrap_or_else(|error| panic!("{label}: cannot start {command:?}: {error}"));
        Self { label: label.to_owned(), child, stdout, stderr }
    }

    /// Its process id, as the sandbox sees it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        read_text(&self.stdout)
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read_text(&self.stderr)
    }

    /// The exit status, once it has ended.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waiting for a child of ours")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let label = self.label.clone();
        wait_for(&format!("the end of {label}"), deadline, || {
            self.try_wait().ok_or_else(|| format!("running; {}", self.stderr()))
        })
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{}: {signal}: {error}", self.label));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the logs of a failed scenario, the end of each.
pub(super) fn print_logs(directory: &Path) {
    const TAIL: usize = 4000;
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_log = name.ends_with(".out") || name.ends_with(".err") || name.ends_with(".json5");
        let text = if is_log { read_text(&path) } else { String::new() };
        if text.is_empty() {
            continue;
        }
        let start = (text.len().saturating_sub(TAIL)..text.len())
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        eprintln!("---- {name}\n{}", &text[start..]);
    }
}

fn read_text(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
