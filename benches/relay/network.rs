//! The three namespaces and the links between them.
//!
//! ```text
//!  +--------------+        +--------------------------+        +-----------+
//!  | src          |        | relay         out0..outN |--------| d0..dN    | dst
//!  | s0 10.1.0.10 |--------| in0 10.1.0.1  10.2.N.1   |  veth  | 10.2.N.9  |
//!  +--------------+  veth  +--------------------------+        +-----------+
//! ```

use super::lab::{self, Namespace};
use super::xdp::LiveFrames;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The address of `s0`.
pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
/// The first group.
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 0, 1);
/// The UDP port of all flows, in and out.
pub(crate) const PORT: u16 = 5000;
/// How long a held datagram waits for others to be joined with, nanoseconds (GRO).
const GRO_FLUSH: u32 = 50_000;

/// How the stream comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ingress {
    /// Frames with their checksums filled in, one a datagram.
    Nic,
    /// The same, and the input interface joins them (GRO forwarding).
    NicGro,
    /// From a sender on the next host that uses UDP_SEGMENT: super-frames.
    Gso,
}

impl Ingress {
    /// In reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nic => "nic",
            Self::NicGro => "nic+gro",
            Self::Gso => "gso",
        }
    }
}

/// All of it; it goes away with the sandbox.
pub(crate) struct Network {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    pub(crate) receiver: Namespace,
    pub(crate) directory: PathBuf,
    /// Whether frames can come in as from a card, a burst at a time; why not.
    pub(crate) live_frames: Result<(), String>,
}

impl Network {
    /// With so many outputs.
    pub(crate) fn new(outputs: u32) -> Self {
        let directory = Path::new("/run/bench");
        std::fs::create_dir_all(directory).expect("the sandbox' own /run");
        let [source, relay, receiver] =
            ["src", "relay", "dst"].map(|name| lab::namespace(name, directory));
        // Keys before the links: their settings are copied from "default".
        for scope in ["all", "default"] {
            receiver.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0");
        }
        let (directory, live_frames) = (directory.to_owned(), Ok(()));
        let mut network = Self { source, relay, receiver, directory, live_frames };
        let (source, relay) = (&network.source, &network.relay);
        lab::host("ip link add s0 netns src type veth peer name in0 netns relay");
        source.address("s0", &format!("{SOURCE}/24"));
        relay.address("in0", "10.1.0.1/24");
        source.run("ip link set s0 up");
        relay.run("ip link set in0 up");
        source.offload("s0", "tx-udp-segmentation", true);
        for number in 0..outputs {
            let (near, far) = (format!("out{number}"), format!("d{number}"));
            lab::host(&format!(
                "ip link add {near} netns relay type veth peer name {far} netns dst"
            ));
            relay.address(&near, &format!("10.2.{number}.1/24"));
            network.receiver.address(&far, &format!("10.2.{number}.9/24"));
            relay.run(&format!("ip link set {near} up"));
            network.receiver.run(&format!("ip link set {far} up"));
        }
        let s0 = network.source.index("s0");
        network.live_frames = network.source.within(|| LiveFrames::try_out(s0));
        network
    }

    /// Sets the input interface for a way of coming in.
    pub(crate) fn ingress(&self, ingress: Ingress) {
        let gro = ingress == Ingress::NicGro;
        // It gives a veth the NAPI that live frames need; it joins none without what follows.
        let napi = gro || ingress == Ingress::Nic && self.live_frames.is_ok();
        self.relay.offload("in0", "gro", napi);
        self.relay.offload("in0", "rx-udp-gro-forwarding", gro);
        let wait = if gro { GRO_FLUSH } else { 0 };
        let set = format!("echo {wait} >/sys/class/net/in0/gro_flush_timeout");
        let done = self.relay.command("sh").args(["-c", &set]).status();
        assert!(done.is_ok_and(|status| status.success()), "{set}");
    }

    /// Sets whether the outputs take super-frames (UDP segmentation offload).
    pub(crate) fn segmentation(&self, outputs: u32, on: bool) {
        for number in 0..outputs {
            self.relay.offload(&format!("out{number}"), "tx-udp-segmentation", on);
        }
    }

    /// The number of each receiving interface, and which output it belongs to.
    pub(crate) fn receivers(&self, outputs: u32) -> BTreeMap<u32, usize> {
        let index = |number| self.receiver.index(&format!("d{number}"));
        (0..outputs).map(|number| (index(number), number as usize)).collect()
    }
}
