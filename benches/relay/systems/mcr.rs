//! mcr, this build's or another's with the same command line.

use super::{Job, Running, System, start};
use crate::lab::{PlaneGuard, wait_for};
use crate::network::{Network, PORT};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// How long 10,000 rules may take to be active.
const SOON: Duration = Duration::from_secs(60);
/// The first group of rules that nobody sends to.
const IDLE: Ipv4Addr = Ipv4Addr::new(239, 100, 0, 0);

/// One set of programs, and how it is used.
#[derive(Clone)]
pub(crate) struct Mcr {
    name: String,
    directory: PathBuf,
    /// Lines of the file beside the rules, such as `dataplane: { workers: 2 },`.
    pub(crate) settings: String,
    /// Fields of every output beside group and port, such as `burst: 1`.
    pub(crate) output: String,
    /// Rules beside those of the flows, for groups that nobody sends to.
    pub(crate) idle_rules: u32,
}

impl Mcr {
    /// The programs that were built with this benchmark.
    pub(crate) fn this() -> Self {
        let mcrd = Path::new(env!("CARGO_BIN_EXE_mcrd"));
        let directory = mcrd.parent().expect("target/release").to_owned();
        let (settings, output) = (String::new(), String::new());
        Self { name: "mcr".to_owned(), directory, settings, output, idle_rules: 0 }
    }

    /// Those of a directory.
    pub(crate) fn other(directory: &Path) -> Self {
        let name = format!("mcr ({})", directory.display());
        Self { name, directory: directory.to_owned(), ..Self::this() }
    }

    /// The same with many more rules.
    pub(crate) fn with_idle_rules(&self, count: u32) -> Self {
        let name = format!("{}, {} rules beside", self.name, count);
        Self { name, idle_rules: count, ..self.clone() }
    }

    /// The same as it is, and with each setting that trades latency, CPU and evenness.
    pub(crate) fn with_each_setting(&self) -> Vec<Self> {
        let with = |name, plane, output| self.with(name, plane, output);
        vec![
            self.clone(),
            with("io: \"syscalls\"", "io: 'syscalls'", ""),
            with("rings: 0", "rings: 0", ""),
            with("burst: 1", "", "burst: 1"),
            with("coalesceUsecs: 50", "coalesceUsecs: 50", ""),
            with("coalesceUsecs: 250", "coalesceUsecs: 250", ""),
            with("coalesceUsecs: 250, burst: 1", "coalesceUsecs: 250", "burst: 1"),
            self.with_busy_poll(),
            with("sched: \"fifo\"", "sched: 'fifo'", ""),
        ]
    }

    /// The same with a worker that looks for datagrams for a while before it sleeps.
    pub(crate) fn with_busy_poll(&self) -> Self {
        self.with("busyPollUsecs: 100", "busyPollUsecs: 100", "")
    }

    /// The same with a setting of the data plane and one of the outputs.
    fn with(&self, name: &str, plane: &str, output: &str) -> Self {
        Self {
            name: format!("{}, {name}", self.name),
            settings: format!("dataplane: {{ {plane} }},"),
            output: output.to_owned(),
            ..self.clone()
        }
    }

    fn program(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Starts it with a file of this text.
    pub(crate) fn start_with(&self, network: &Network, job: &Job, text: &str) -> Running {
        let (file, socket) =
            (network.directory.join("mcr.json5"), network.directory.join("mcr.sock"));
        std::fs::write(&file, text).expect("writing the file");
        let mut args = vec!["run".to_owned()];
        for (option, path) in [("--config", &file), ("--control-socket-path", &socket)] {
            args.extend([option.to_owned(), path.display().to_string()]);
        }
        let process = start(network, job, &self.program("mcrd"), &args);
        let plane = PlaneGuard::beside(&socket);
        let control = Control { program: self.program("mcrctl"), socket, file };
        wait_for("mcrd answers", SOON, || {
            let output = control.run(&["ping"]);
            if output.status.success() { Ok(()) } else { Err(process.stderr()) }
        });
        // Older ones have none.
        let plane = plane.pid().and_then(|pid| Some((plane, u32::try_from(pid).ok()?)));
        Running { processes: vec![process], plane, control: Some(control) }
    }

    /// The file for a job. `version` changes every rule that is not sent to.
    pub(crate) fn config(&self, job: &Job, version: u32) -> String {
        let Self { settings, output, idle_rules, .. } = self;
        let mut text = format!("{{ {settings} rules: [\n");
        let mut rule = |name: String, group: Ipv4Addr, port: u16| {
            let from = format!("interface: 'in0', group: '{group}', port: {PORT}");
            let _ = write!(text, "{{ name: '{name}', input: {{ {from} }}, outputs: [");
            for number in 0..job.outputs {
                let _ = write!(
                    text,
                    " {{ interface: 'out{number}', group: '{group}', port: {port}, {output} }},"
                );
            }
            text.push_str(" ] },\n");
        };
        // The rules in use stand in the middle of the others.
        for number in 0..*idle_rules / 2 {
            idle(&mut rule, number, version);
        }
        for flow in 0..job.flows.count {
            rule(format!("flow-{flow}"), job.flows.group(flow), PORT);
        }
        for number in *idle_rules / 2..*idle_rules {
            idle(&mut rule, number, version);
        }
        text + "] }\n"
    }
}

impl System for Mcr {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> Result<String, String> {
        let missing =
            ["mcrd", "mcrctl"].into_iter().find(|name| !self.directory.join(name).is_file());
        if let Some(name) = missing {
            return Err(format!("there is no {name} in {}", self.directory.display()));
        }
        super::first_line(&self.program("mcrctl"), &["--version"], "")
    }

    fn outputs(&self, job: &Job) -> u32 {
        job.outputs
    }

    fn mcr(&self) -> Option<&Mcr> {
        Some(self)
    }

    fn start(&self, network: &Network, job: &Job) -> Running {
        let running = self.start_with(network, job, &self.config(job, 0));
        let control = running.control.as_ref().expect("mcr has one");
        control.wait_active((job.flows.count + self.idle_rules) as usize);
        running
    }
}

fn idle(rule: &mut impl FnMut(String, Ipv4Addr, u16), number: u32, version: u32) {
    let group = Ipv4Addr::from(u32::from(IDLE) + number);
    let port = PORT + 1 + u16::try_from(version % 1000).unwrap_or(0);
    rule(format!("idle-{number}"), group, port);
}

/// `mcrctl`, and the file.
pub(crate) struct Control {
    program: String,
    socket: PathBuf,
    /// What `mcrd` reads again on SIGHUP.
    pub(crate) file: PathBuf,
}

impl Control {
    /// Runs a command.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("--socket-path").arg(&self.socket).args(args);
        command.output().expect("starting mcrctl")
    }

    /// Runs a command for its JSON; null where it failed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until so many rules are there and active.
    pub(crate) fn wait_active(&self, count: usize) {
        wait_for(&format!("{count} active rules"), SOON, || {
            let list = self.json(&["list"]);
            let rules = list.as_array().or_else(|| list["rules"].as_array());
            let rules = rules.map(Vec::as_slice).unwrap_or_default();
            let active = rules.iter().filter(|rule| rule["state"] == "active").count();
            if active == count { Ok(()) } else { Err(format!("{active} of {}", rules.len())) }
        });
    }

    /// Super-frames that came in.
    pub(crate) fn super_frames(&self) -> u64 {
        let stats = self.json(&["stats"]);
        let ports = stats["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        ports.iter().filter_map(|port| port["superFrames"].as_u64()).sum()
    }

    /// What the relay dropped, by name.
    pub(crate) fn drops(&self) -> BTreeMap<String, u64> {
        let mut drops = BTreeMap::new();
        collect(&self.json(&["stats"]), &mut drops);
        drops.retain(|_, count| *count > 0);
        drops
    }
}

/// All objects called "drops", and the kernel's own drops, wherever they stand.
fn collect(value: &Value, drops: &mut BTreeMap<String, u64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, drops)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Object(reasons) if name == "drops" => {
                        for (reason, count) in reasons {
                            *drops.entry(reason.clone()).or_default() +=
                                count.as_u64().unwrap_or(0);
                        }
                    }
                    Value::Number(count) if name == "kernelDropped" => {
                        let total = drops.entry("kernel_dropped".to_owned()).or_default();
                        *total += count.as_u64().unwrap_or(0);
                    }
                    // The same numbers again, as sums.
                    _ if name == "ledger" => {}
                    _ => collect(field, drops),
                }
            }
        }
        _ => {}
    }
}
