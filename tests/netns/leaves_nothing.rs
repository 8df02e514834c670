//! The harness itself: a run that is killed in the middle leaves nothing behind.
//!
//! ```text
//!  this sandbox                     a second run of this binary, in a sandbox of its own
//!  +----------+   veth              +-------------------+        +-------------------+
//!  | watch w0 |---------------------| w1 hang-a     a0 |--------| b0    hang-b      |
//!  +----------+                     +-------------------+  veth  +-------------------+
//! ```
//! `w0` can only vanish when the kernel frees the other namespace, and with it its processes' last
//! reference to it.

use crate::lab::{Lab, Namespace, SOON, wait_for};
use crate::sandbox;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// Set for the run that is to be killed.
pub(crate) const HANG: &str = "MCR_NETNS_HANG";

/// What the run that is to be killed does: it builds something and waits.
pub(crate) fn hang() -> ! {
    let lab = Lab::new("hang");
    let (a, b) = (lab.namespace("hang-a"), lab.namespace("hang-b"));
    lab.veth((&a, "a0"), (&b, "b0"), 1500);
    let child = b.spawn("sleep", &["100000"]);
    println!("ready {}", child.id());
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

pub(crate) fn a_killed_run(lab: &Lab) {
    let watch = lab.namespace("watch");
    let own = std::env::current_exe().expect("our own path");
    let own = own.to_str().expect("a UTF-8 path");
    let mut command = Command::new(own);
    command.env(HANG, "1").env_remove(sandbox::INSIDE);
    let mut run = crate::lab::Process::start("hang", lab.directory(), &mut command);
    wait_for("the other run is at work", SOON, || {
        if run.stdout().contains("ready") { Ok(()) } else { Err(run.stderr()) }
    });
    // `ip netns exec` becomes `sleep` a moment later.
    let (family, sleep) = wait_for("sleep is among the other run's processes", SOON, || {
        let family = descendants(run.id());
        match family.iter().find(|pid| comm(**pid).as_deref() == Some("sleep")) {
            Some(&sleep) => Ok((family, sleep)),
            None => Err(format!("{family:?}")),
        }
    });
    // The waiting process, unshare, the sandbox's init, the test binary, sleep.
    assert!(family.len() >= 5, "only {family:?}");
    watch.run(&format!("ip link add w0 type veth peer name w1 netns {sleep}"));
    assert!(has_link(&watch, "w0"));

    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.wait(SOON);
    wait_for("no process of the killed run is left", SOON, || {
        // A zombie waits for our init; it runs nothing and holds nothing.
        let left: Vec<_> = family.iter().filter(|pid| alive(**pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    wait_for("the killed run's namespaces and links are gone", SOON, || {
        if has_link(&watch, "w0") { Err("w0 is still there") } else { Ok(()) }
    });
    let names: BTreeSet<_> = crate::lab::host("ip netns list").lines().map(str::to_owned).collect();
    assert!(!names.iter().any(|name| name.starts_with("hang-")), "{names:?}");
}

fn has_link(namespace: &Namespace, name: &str) -> bool {
    namespace.read("/proc/net/dev").lines().any(|line| line.trim().starts_with(&format!("{name}:")))
}

/// The process and everything below it.
fn descendants(root: u32) -> BTreeSet<u32> {
    let mut family = BTreeSet::from([root]);
    loop {
        let before = family.len();
        for pid in all_processes() {
            if status(pid, "PPid:")
                .is_some_and(|ppid| ppid.parse().is_ok_and(|p| family.contains(&p)))
            {
                family.insert(pid);
            }
        }
        if family.len() == before {
            return family;
        }
    }
}

fn all_processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn comm(pid: u32) -> Option<String> {
    status(pid, "Name:")
}

fn alive(pid: u32) -> bool {
    status(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

fn status(pid: u32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
}
