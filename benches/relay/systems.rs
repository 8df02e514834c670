//! What is measured: relays of different kinds behind one face.

mod mcr;
mod smcroute;
mod socat;

pub(crate) use mcr::Mcr;
pub(crate) use smcroute::Smcroute;
pub(crate) use socat::Socat;

use super::clock;
use super::cpu;
use super::frames::Flows;
use super::lab::{PlaneGuard, Process};
use super::network::Network;
use std::collections::BTreeMap;
use std::process::Command;

/// What a system is to relay: every flow to every output, group and port as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// The flows that are sent.
    pub(crate) flows: Flows,
    /// Outputs, from `out0` on.
    pub(crate) outputs: u32,
    /// With a real-time priority (SCHED_FIFO 10).
    pub(crate) fifo: bool,
}

/// A kind of relay.
pub(crate) trait System {
    /// In reports.
    fn name(&self) -> String;

    /// What it says its version is, or why it cannot be measured here.
    fn version(&self) -> Result<String, String>;

    /// How many of so many outputs it can serve; 0 where it cannot do the job at all.
    fn outputs(&self, job: &Job) -> u32;

    /// Itself where it is mcr: some cases are about what only mcr has.
    fn mcr(&self) -> Option<&Mcr> {
        None
    }

    /// Starts it and waits until it forwards.
    fn start(&self, network: &Network, job: &Job) -> Running;
}

/// A relay at work; it ends with the value.
pub(crate) struct Running {
    /// The processes that were started.
    pub(crate) processes: Vec<Process>,
    /// The data plane that mcr has started itself, and its process. Ended last: control would start another.
    pub(crate) plane: Option<(PlaneGuard, u32)>,
    /// Asks it for its counters, where it can be asked.
    pub(crate) control: Option<mcr::Control>,
}

impl Running {
    /// Of processes that start no others.
    pub(crate) fn of(processes: Vec<Process>) -> Self {
        Self { processes, plane: None, control: None }
    }

    /// All its processes.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        let plane = self.plane.iter().map(|(_, id)| *id);
        self.processes.iter().map(Process::id).chain(plane)
    }

    /// Run time of all its threads, nanoseconds.
    pub(crate) fn cpu(&self) -> u64 {
        self.ids().map(cpu::of_process).sum()
    }

    /// Resident memory, bytes; what its processes share counts once.
    pub(crate) fn resident(&self) -> u64 {
        self.ids().map(cpu::resident).sum()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        self.ids().map(cpu::descriptors).sum()
    }

    /// Its own drop counters by name, since it started; empty where it has none.
    pub(crate) fn drops(&self) -> BTreeMap<String, u64> {
        self.control.as_ref().map(mcr::Control::drops).unwrap_or_default()
    }
}

/// Starts a program in the relay's namespace on the relay's CPU, before all others there.
fn start(network: &Network, job: &Job, program: &str, args: &[String]) -> Process {
    let mut words = vec!["-n".to_owned(), "-19".to_owned(), "taskset".to_owned()];
    words.extend(["-c".to_owned(), clock::relay_cpu().to_string()]);
    if job.fifo {
        words.extend(["chrt", "-f", "10"].map(str::to_owned));
    }
    words.push(program.to_owned());
    words.extend_from_slice(args);
    // Each of these becomes the next one: the process is the program's own.
    network.relay.spawn("nice", &words)
}

/// The first line that a program prints, as its version; Err where it is not there.
fn first_line(program: &str, args: &[&str], package: &str) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|_| format!("{program} is not installed (package {package})"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("?").to_owned())
}
