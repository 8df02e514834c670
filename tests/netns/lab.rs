//! What scenarios are built from: namespaces, links, processes, the relay, traffic, captures.

mod capture;
mod counters;
mod footprint;
mod frames;
mod frr;
mod igmp;
pub(crate) mod igmp_frames;
mod line;
mod members;
mod memberships;
mod namespace;
mod plane;
mod process;
mod relay;
mod sockets;
mod tap;
mod times;
mod traffic;
mod wait;
mod witness;

pub(crate) use capture::Capture;
pub(crate) use counters::counter;
pub(crate) use footprint::{Footprint, Rounds};
pub(crate) use frames::{DONT_FRAGMENT, Frame, Injector};
pub(crate) use frr::Frr;
pub(crate) use igmp::{groups_on, igmp_on, igmp_stats, sources_of, wait_group};
pub(crate) use line::{Line, two_receivers};
pub(crate) use members::{Members, groups};
pub(crate) use memberships::Joined;
pub(crate) use namespace::Namespace;
pub(crate) use plane::PlaneGuard;
pub(crate) use process::Process;
pub(crate) use relay::{Relay, drops, output, port, rule, sent, sent_by, state, wanted};
pub(crate) use sockets::{AddressWatch, Steady, first_datagram, gets_through, listen, sender};
pub(crate) use tap::Tap;
pub(crate) use times::{last_sent, told, until_silent};
pub(crate) use traffic::{Receive, Report, Send, Stream};
pub(crate) use wait::wait_for;
pub(crate) use witness::Witness;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long anything may take that should happen at once; generous, because it only costs time
/// when a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// True for `make verify`: full counts.
pub(crate) fn verify() -> bool {
    std::env::var("MCR_VERIFY").is_ok_and(|value| value == "1")
}

/// One scenario's world; it goes away with the value.
pub(crate) struct Lab {
    directory: PathBuf,
    namespaces: RefCell<Vec<String>>,
}

impl Lab {
    /// An empty world with a directory for the logs of its processes.
    pub(crate) fn new(name: &str) -> Self {
        // In the sandbox's own tmpfs: it goes away with the sandbox.
        let directory = Path::new("/run/lab").join(name.replace("::", "-"));
        std::fs::create_dir_all(&directory).expect("the lab's directory");
        Self { directory, namespaces: RefCell::default() }
    }

    /// Where logs, sockets and files of this scenario are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new network namespace with its loopback up.
    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        host(&format!("ip netns add {name}"));
        self.namespaces.borrow_mut().push(name.to_owned());
        let namespace = Namespace::open(name, &self.directory);
        namespace.run("ip link set lo up");
        // Neighbour discovery and MLD would only add frames that no scenario is about.
        for scope in ["all", "default"] {
            if Path::new("/proc/sys/net/ipv6").exists() {
                namespace.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "1");
            }
        }
        namespace
    }

    /// A veth pair between two namespaces, both ends up.
    pub(crate) fn veth(&self, a: (&Namespace, &str), b: (&Namespace, &str), mtu: u32) {
        host(&format!(
            "ip link add {} netns {} mtu {mtu} type veth peer name {} netns {} mtu {mtu}",
            a.1,
            a.0.name(),
            b.1,
            b.0.name()
        ));
        a.0.run(&format!("ip link set {} up", a.1));
        b.0.run(&format!("ip link set {} up", b.1));
    }

    /// A new namespace that is a link: a bridge with these options (ip-link(8)), `bridge0`, to whose port `to-HOST`
    /// the interface of each host is connected, which gets the address.
    pub(crate) fn lan(
        &self,
        name: &str,
        options: &str,
        hosts: &[(&Namespace, &str, &str)],
    ) -> Namespace {
        let lan = self.namespace(name);
        lan.run(&format!("ip link add bridge0 type bridge {options}"));
        lan.run("ip link set bridge0 up");
        for (host, interface, address) in hosts {
            let port = format!("to-{}", host.name());
            self.veth((&lan, &port), (host, interface), 1500);
            lan.run(&format!("ip link set {port} master bridge0"));
            host.address(interface, address);
        }
        lan
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            process::print_logs(&self.directory);
        }
        for name in self.namespaces.borrow().iter() {
            // A failure here would hide the one that brought us here; the sandbox removes the rest.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Runs a command in the sandbox's own network namespace and checks that it succeeded.
pub(crate) fn host(command: &str) -> String {
    namespace::checked(command, Command::new("sh").args(["-c", command]))
}
