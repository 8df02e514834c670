//! One network namespace: commands, files and sockets in it.

use super::Process;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A named network namespace of the sandbox.
pub(crate) struct Namespace {
    name: String,
    directory: PathBuf,
    handle: File,
}

impl Namespace {
    pub(super) fn open(name: &str, directory: &Path) -> Self {
        let handle = File::open(format!("/run/netns/{name}")).expect("a namespace just made");
        Self { name: name.to_owned(), directory: directory.to_owned(), handle }
    }

    /// Its name in `ip netns`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command (words separated by spaces) and returns its output.
    ///
    /// # Panics
    /// When it fails, with what it wrote.
    pub(crate) fn run(&self, command: &str) -> String {
        checked(&format!("in {}: {command}", self.name), &mut self.words(command))
    }

    fn words(&self, command: &str) -> Command {
        let mut inside = self.command("env");
        inside.args(command.split_whitespace());
        inside
    }

    /// A command that will run in here. `ip netns exec` replaces itself by the program, so the
    /// process id is the program's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Starts a program in here.
    pub(crate) fn spawn<S: AsRef<std::ffi::OsStr>>(&self, program: &str, args: &[S]) -> Process {
        let base = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let label = format!("{}-{base}", self.name);
        Process::start(&label, &self.directory, self.command(program).args(args))
    }

    /// Runs `work` on a thread in here; sockets that it makes stay in here.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                work()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread in here for the rest of its life.
    fn enter(&self) {
        setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("entering a namespace as root");
    }

    /// Reads a file as seen from in here.
    pub(crate) fn read(&self, path: &str) -> String {
        // /proc/net belongs to the process' first thread, which stays outside.
        let path = path.replace("/proc/net/", "/proc/thread-self/net/");
        self.within(|| {
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
    }

    /// Gives an interface an address, `ADDRESS/LENGTH`.
    pub(crate) fn address(&self, interface: &str, address: &str) {
        self.run(&format!("ip address add {address} dev {interface}"));
    }

    /// Sets a sysctl of this namespace; dots separate, as in sysctl(8).
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.within(|| {
            std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
        });
    }

    /// Switches an offload of an interface (`ethtool -K`) and checks that the device followed.
    pub(crate) fn offload(&self, interface: &str, feature: &str, on: bool) {
        let word = if on { "on" } else { "off" };
        self.run(&format!("ethtool -K {interface} {feature} {word}"));
        let name = if feature == "gro" { "generic-receive-offload" } else { feature };
        let features = self.run(&format!("ethtool -k {interface}"));
        let expected = format!("{name}: {word}");
        assert!(
            features.lines().any(|line| line.trim().starts_with(&expected)),
            "in {}: {interface} did not take \"{expected}\":\n{features}",
            self.name
        );
    }

    /// What leaves an interface leaves as single frames with their checksums filled in.
    pub(crate) fn plain_frames(&self, interface: &str) {
        for feature in ["tx-udp-segmentation", "tx-checksum-ip-generic"] {
            self.offload(interface, feature, false);
        }
    }

    /// The number of an interface.
    pub(crate) fn index(&self, interface: &str) -> u32 {
        self.within(|| nix::net::if_::if_nametoindex(interface))
            .unwrap_or_else(|error| panic!("in {}: {interface}: {error}", self.name))
    }
}

/// Runs a command, panics with all it said when it fails.
pub(super) fn checked(what: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
