//! FRR's zebra and pimd as a peer.

use super::{Namespace, Process, SOON, host, wait_for};
use serde_json::Value;
use std::path::{Path, PathBuf};

const PROGRAMS: &str = "/usr/lib/frr";

/// Both programs in a namespace.
pub(crate) struct Frr {
    directory: PathBuf,
    /// Ended in this order.
    _pimd: Process,
    _zebra: Process,
}

impl Frr {
    /// Starts them with a configuration of this text; returns when pimd answers.
    pub(crate) fn start(namespace: &Namespace, directory: &Path, config: &str) -> Self {
        let directory = directory.join(format!("frr-{}", namespace.name()));
        // They give up root for a user of their own, and keep logs of crashes outside of it.
        let shown = directory.display();
        host(&format!(
            "mkdir -p {shown} /run/frr && chown frr:frr {shown} /run/frr && \
             (mountpoint -q /var/tmp || mount -t tmpfs tmpfs /var/tmp)"
        ));
        let file = directory.join("frr.conf");
        std::fs::write(&file, config).expect("writing the peer's configuration");
        let start = |name: &str| {
            let path = |end: &str| directory.join(end).display().to_string();
            let pid = path(&format!("{name}.pid"));
            let (directory, zebra) = (directory.display().to_string(), path("zserv.api"));
            let file = file.display().to_string();
            let args = ["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "--vty_socket"];
            let args: Vec<&str> = args
                .into_iter()
                .chain([&*directory, "-z", &*zebra, "-i", &*pid, "-f", &*file])
                .collect();
            namespace.spawn(&format!("{PROGRAMS}/{name}"), &args)
        };
        let zebra = start("zebra");
        wait_for("zebra listens", SOON, || {
            let socket = directory.join("zserv.api");
            if socket.exists() { Ok(()) } else { Err(zebra.stderr()) }
        });
        let pimd = start("pimd");
        let frr = Self { directory, _pimd: pimd, _zebra: zebra };
        wait_for("pimd answers", SOON, || frr.try_show(namespace, "show ip igmp interface json"));
        frr
    }

    /// What a command of vtysh that ends in `json` shows.
    pub(crate) fn show(&self, namespace: &Namespace, command: &str) -> Value {
        self.try_show(namespace, command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_show(&self, namespace: &Namespace, command: &str) -> Result<Value, String> {
        let output = namespace
            .command("vtysh")
            .arg("--vty_socket")
            .arg(&self.directory)
            .args(["-d", "pimd", "-c", command])
            .output()
            .expect("starting vtysh");
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).map_err(|error| {
            format!("{error} in {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}
