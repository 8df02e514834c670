//! Namespaces and processes, as the network scenarios of the tests make them.

// The scenarios use more of these than the benchmark does.
#![allow(dead_code)]

#[path = "../../tests/netns/lab/namespace.rs"]
mod namespace;
#[path = "../../tests/netns/lab/plane.rs"]
mod plane;
#[path = "../../tests/netns/lab/process.rs"]
mod process;
#[path = "../../tests/netns/lab/wait.rs"]
mod wait;

pub(crate) use namespace::Namespace;
pub(crate) use plane::PlaneGuard;
pub(crate) use process::Process;
pub(crate) use wait::wait_for;

use std::path::Path;
use std::process::Command;

/// A new network namespace of the sandbox, its loopback up, without IPv6. The logs of its processes
/// go to `directory`.
pub(crate) fn namespace(name: &str, directory: &Path) -> Namespace {
    host(&format!("ip netns add {name}"));
    let namespace = Namespace::open(name, directory);
    namespace.run("ip link set lo up");
    for scope in ["all", "default"] {
        if Path::new("/proc/sys/net/ipv6").exists() {
            namespace.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "1");
        }
    }
    namespace
}

/// Runs a command outside of the namespaces, and checks that it succeeded.
pub(crate) fn host(command: &str) -> String {
    namespace::checked(command, Command::new("sh").args(["-c", command]))
}
