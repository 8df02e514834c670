//! socat: one process for each flow and output, as `scripts/compare` sets it up.

use super::{Job, Running, System, first_line, start};
use crate::lab::wait_for;
use crate::network::{Network, PORT};
use std::time::Duration;

/// More processes than that measure the scheduler.
const MOST: u32 = 64;

/// The installed one.
pub(crate) struct Socat;

impl System for Socat {
    fn name(&self) -> String {
        "socat".to_owned()
    }

    fn version(&self) -> Result<String, String> {
        first_line("socat", &["-V"], "socat")?;
        let said = std::process::Command::new("socat").arg("-V").output();
        let text = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.map_err(|error| error.to_string())?;
        let line = text.lines().find(|line| line.starts_with("socat version")).unwrap_or("socat");
        Ok(line.split(" on ").next().unwrap_or(line).to_owned())
    }

    fn outputs(&self, job: &Job) -> u32 {
        let possible = job.flows.count * job.outputs <= MOST;
        if possible { job.outputs } else { 0 }
    }

    fn start(&self, network: &Network, job: &Job) -> Running {
        let mut processes = Vec::new();
        for flow in 0..job.flows.count {
            let group = job.flows.group(flow);
            for number in 0..job.outputs {
                let from = format!(
                    "UDP4-RECV:{PORT},bind={group},reuseaddr,ip-add-membership={group}:in0,rcvbuf=33554432"
                );
                let to = format!(
                    "UDP4-DATAGRAM:{group}:{PORT},ip-multicast-if=10.2.{number}.1,ip-multicast-ttl=16,ip-multicast-loop=0"
                );
                processes.push(start(network, job, "socat", &["-u".to_owned(), from, to]));
            }
        }
        // The sockets to send by have no port yet and are not listed.
        wait_for("socat is ready", Duration::from_secs(20), || {
            let sockets = network.relay.read("/proc/net/udp").lines().count() - 1;
            if sockets >= processes.len() { Ok(()) } else { Err(format!("{sockets} sockets")) }
        });
        Running::of(processes)
    }
}
