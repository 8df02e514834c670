//! The kernel's own multicast routing, set up by smcrouted as `scripts/compare` does.

use super::{Job, Running, System, first_line, start};
use crate::lab::wait_for;
use crate::network::Network;
use std::fmt::Write as _;
use std::time::Duration;

/// Virtual interfaces of the kernel (MAXVIFS, linux/mroute.h), less the input.
const OUTPUTS: u32 = 31;

/// The installed one.
pub(crate) struct Smcroute;

impl System for Smcroute {
    fn name(&self) -> String {
        "ipmr (smcroute)".to_owned()
    }

    fn version(&self) -> Result<String, String> {
        first_line("smcrouted", &["-v"], "smcroute")
    }

    fn outputs(&self, job: &Job) -> u32 {
        job.outputs.min(OUTPUTS)
    }

    fn start(&self, network: &Network, job: &Job) -> Running {
        let outputs: Vec<String> =
            (0..self.outputs(job)).map(|number| format!("out{number}")).collect();
        let mut text = String::from("phyint in0 enable\n");
        for output in &outputs {
            let _ = writeln!(text, "phyint {output} enable");
        }
        for flow in 0..job.flows.count {
            let (group, source) = (job.flows.group(flow), job.flows.source);
            let _ = writeln!(text, "mgroup from in0 group {group}");
            let to = outputs.join(" ");
            let _ = writeln!(text, "mroute from in0 source {source} group {group} to {to}");
        }
        let file = |suffix: &str| {
            network.directory.join(format!("smcroute.{suffix}")).display().to_string()
        };
        std::fs::write(file("conf"), text).expect("writing the file");
        let words = ["-n", "-N", "-f", &file("conf"), "-P", &file("pid"), "-u", &file("sock")];
        let process = start(network, job, "smcrouted", &words.map(str::to_owned));
        let wanted = job.flows.count as usize;
        wait_for("the kernel has the routes", Duration::from_secs(10), || {
            let routes = network.relay.read("/proc/net/ip_mr_cache").lines().count() - 1;
            if routes >= wanted { Ok(()) } else { Err(format!("{routes}; {}", process.stderr())) }
        });
        Running::of(vec![process])
    }
}
