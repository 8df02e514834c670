//! An interface goes and another comes under the same index while the relay cannot look: its socket
//! on the old one is dead, and nobody tells it.
//!
//! ```text
//!  +---------------+        +-------------------------+        +---------------+
//!  | source   src0 |========| in0 (index 50)     out0 |--------| rcv0 receiver |
//!  | 10.1.0.10/24  |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +---------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Namespace, Relay, gets_through};
use nix::sys::signal::Signal;
use std::net::Ipv4Addr;

/// The source's address.
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);

const IN: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OUT: Ipv4Addr = Ipv4Addr::new(239, 2, 2, 2);

/// `in0` with index 50 in the relay's namespace.
fn make_input(source: &Namespace, relay: &Namespace) {
    relay.run("ip link add in0 index 50 type veth peer name src0");
    relay.run(&format!("ip link set src0 netns {}", source.name()));
    relay.address("in0", "10.1.0.1/24");
    relay.run("ip link set in0 up");
    source.address("src0", "10.1.0.10/24");
    source.run("ip link set src0 up");
}

pub(crate) fn unseen(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    make_input(&source, &relay);
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(&format!(
        "--name cam --input-interface in0 --input-group {IN} --input-port 5000 \
         --outputs {OUT}:6000:out0"
    ));
    mcrd.wait_state("cam", "active");
    gets_through((&source, SOURCE, IN, 5000), (&receiver, "rcv0", OUT, 6000));
    for _ in 0..3 {
        mcrd.signal(Signal::SIGSTOP);
        relay.run("ip link del in0");
        make_input(&source, &relay);
        mcrd.signal(Signal::SIGCONT);
        gets_through((&source, SOURCE, IN, 5000), (&receiver, "rcv0", OUT, 6000));
        let mroute = mcrd.json(&["mroute"]);
        assert_eq!(mroute["memberships"][0]["joined"], true, "{mroute}");
        let members = relay.read("/proc/net/igmp");
        assert!(members.contains("010101EF"), "joined on the new interface: {members}");
    }
    mcrd.stop();
}
