//! The relay under test, by its own two programs.

use super::{Namespace, PlaneGuard, Process, SOON, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// `mcrd run` in a namespace.
pub(crate) struct Relay {
    process: Process,
    socket: PathBuf,
    config: PathBuf,
    /// Last: it goes when control has gone.
    plane: PlaneGuard,
}

impl Relay {
    /// Starts it without a file.
    pub(crate) fn start(namespace: &Namespace, directory: &Path) -> Self {
        Self::launch(namespace, directory, false)
    }

    /// Starts it with a file of this content.
    pub(crate) fn with_config(namespace: &Namespace, directory: &Path, text: &str) -> Self {
        std::fs::write(directory.join("relay.json5"), text).expect("writing the file");
        Self::launch(namespace, directory, true)
    }

    /// Starts this copy of it, with a file of this content.
    pub(crate) fn of_program(
        namespace: &Namespace,
        directory: &Path,
        program: &Path,
        text: &str,
    ) -> Self {
        std::fs::write(directory.join("relay.json5"), text).expect("writing the file");
        Self::launch_program(namespace, directory, true, program)
    }

    fn launch(namespace: &Namespace, directory: &Path, with_file: bool) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_mcrd"));
        Self::launch_program(namespace, directory, with_file, program)
    }

    fn launch_program(
        namespace: &Namespace,
        directory: &Path,
        with_file: bool,
        program: &Path,
    ) -> Self {
        let socket = directory.join("control.sock");
        let config = directory.join("relay.json5");
        let mut args = vec!["run".into(), "--control-socket-path".into(), socket.clone()];
        if with_file {
            args.extend(["--config".into(), config.clone()]);
        }
        let process = namespace.spawn(&program.display().to_string(), &args);
        let plane = PlaneGuard::beside(&socket);
        let mut relay = Self { process, socket, config, plane };
        wait_for("the relay answers a ping", SOON, || {
            if let Some(status) = relay.process.try_wait() {
                panic!("the relay ended ({status}):\n{}", relay.process.stderr());
            }
            let output = relay.ctl(&["ping"]);
            if output.status.success() { Ok(()) } else { Err(text_of(&output)) }
        });
        relay
    }

    /// Runs `mcrctl` with these arguments.
    pub(crate) fn ctl(&self, args: &[&str]) -> Output {
        self.start_ctl(args).wait_with_output().expect("mcrctl ends")
    }

    /// Starts `mcrctl` with these arguments.
    pub(crate) fn start_ctl(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcrctl"));
        command.arg("--socket-path").arg(&self.socket).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("starting mcrctl")
    }

    /// Its process.
    pub(crate) fn control_pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a process id")
    }

    /// Runs `mcrctl add` (words separated by spaces) and checks that it was accepted.
    pub(crate) fn add(&self, arguments: &str) {
        let words: Vec<_> = ["add"].into_iter().chain(arguments.split_whitespace()).collect();
        let output = self.ctl(&words);
        assert!(output.status.success(), "mcrctl {words:?}: {}", text_of(&output));
    }

    /// Runs `mcrctl` and parses its JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let words: Vec<_> = args.iter().copied().chain(["-o", "json"]).collect();
        let output = self.ctl(&words);
        assert!(output.status.success(), "mcrctl {words:?}: {}", text_of(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("mcrctl {words:?}: {error} in {}", String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Waits until the named rule is in a state, and returns it.
    pub(crate) fn wait_state(&self, name: &str, expected: &str) -> Value {
        wait_for(&format!("rule {name} is {expected}"), SOON, || {
            let list = self.json(&["list"]);
            match rules(&list).iter().find(|rule| rule["name"] == name) {
                Some(found) if found["state"] == expected => Ok(found.clone()),
                Some(found) => Err(found.to_string()),
                None => Err(format!("no such rule in {list}")),
            }
        })
    }

    /// Waits until every rule is active.
    pub(crate) fn wait_all_active(&self, count: usize) {
        wait_for(&format!("{count} active rules"), SOON * 3, || {
            let list = self.json(&["list"]);
            let rules = rules(&list);
            let waiting = rules.iter().find(|rule| rule["state"] != "active");
            match waiting {
                None if rules.len() == count => Ok(()),
                None => Err(format!("{} rules", rules.len())),
                Some(rule) => Err(rule.to_string()),
            }
        });
    }

    /// Replaces the file's content and sends SIGHUP.
    pub(crate) fn reload(&self, text: &str) {
        std::fs::write(&self.config, text).expect("writing the file");
        self.process.signal(Signal::SIGHUP);
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends the data plane a signal.
    pub(crate) fn signal_plane(&self, signal: Signal) {
        kill(Pid::from_raw(self.plane_pid()), signal).expect("a data plane runs");
    }

    /// Kills control with SIGKILL; the data plane stays.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.wait(SOON);
    }

    /// Starts control again after [`Self::kill`], as it was started before.
    pub(crate) fn again(self, namespace: &Namespace) -> Self {
        let directory = self.socket.parent().expect("a directory").to_owned();
        let with_file = self.config.exists();
        // The data plane is not to be ended with this value.
        let Self { plane, .. } = self;
        std::mem::forget(plane);
        Self::launch(namespace, &directory, with_file)
    }

    /// The data plane's process.
    pub(crate) fn plane_pid(&self) -> i32 {
        self.plane.pid().expect("a data plane listens")
    }

    /// The data plane's socket.
    pub(crate) fn plane_socket(&self) -> &Path {
        self.plane.socket()
    }

    /// The file's path.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The control socket's path.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it said so far.
    pub(crate) fn stderr(&self) -> String {
        self.process.stderr() + &self.process.stdout()
    }

    /// Ends it with SIGTERM; it must end cleanly and take its socket along.
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait(SOON);
        assert!(status.success(), "the relay ended with {status}:\n{}", self.stderr());
        assert!(!self.socket.exists(), "the control socket is still there");
    }
}

fn text_of(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The rules of `list` or `stats`.
fn rules(answer: &Value) -> &Vec<Value> {
    let list = if answer.is_array() { answer } else { &answer["rules"] };
    list.as_array().unwrap_or_else(|| panic!("no list of rules in {answer}"))
}

/// The rule with this name in `list` or `stats`.
pub(crate) fn rule<'a>(answer: &'a Value, name: &str) -> &'a Value {
    rules(answer)
        .iter()
        .find(|rule| rule["name"] == name)
        .unwrap_or_else(|| panic!("no rule {name} in {answer}"))
}

/// An output of a rule.
pub(crate) fn output(rule: &Value, number: usize) -> &Value {
    &rule["outputs"][number]
}

/// `active`, `pending` or `disabled`, of a rule or an output.
pub(crate) fn state(of: &Value) -> &str {
    of["state"].as_str().unwrap_or_else(|| panic!("no state in {of}"))
}

/// Datagrams that an output sent.
pub(crate) fn sent(output: &Value) -> u64 {
    number(output, "sentDatagrams")
}

/// How many copies the first output of a rule has sent so far.
pub(crate) fn sent_by(mcrd: &Relay, name: &str) -> u64 {
    sent(output(rule(&mcrd.json(&["stats"]), name), 0))
}

/// Copies that an output should have sent.
pub(crate) fn wanted(output: &Value) -> u64 {
    number(output, "wanted")
}

/// A named drop of a port or an output; reasons that never occurred are absent.
pub(crate) fn drops(of: &Value, reason: &str) -> u64 {
    assert!(of["drops"].is_object(), "no drops in {of}");
    of["drops"][reason].as_u64().unwrap_or(0)
}

/// The packet port of an interface in `stats`.
pub(crate) fn port<'a>(stats: &'a Value, interface: &str) -> &'a Value {
    stats["ports"]
        .as_array()
        .and_then(|ports| {
            ports.iter().find(|port| port["interface"] == interface && port["kind"] == "packet")
        })
        .unwrap_or_else(|| panic!("no port on {interface} in {stats}"))
}

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or_else(|| panic!("no {field} in {of}"))
}
