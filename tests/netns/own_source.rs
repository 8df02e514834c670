//! Our own packets that come back must not be forwarded again: two relays would build a storm.
//!
//! ```text
//!  +-----------------+        +-----------------------+        +---------------+
//!  | source          |        | relay                 |        | receiver      |
//!  | src0            |--------| in0              out0 |--------| rcv0          |
//!  | 10.1.0.10/24    |  veth  | 10.1.0.1/24  10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +-----------------+        +-----------------------+        +---------------+
//!  frames from 10.1.0.1 (the relay's own address there) come in on in0
//! ```

use crate::lab::{
    Frame, Injector, Lab, Relay, SOON, drops, first_datagram, listen, port, wait_for,
};
use std::net::Ipv4Addr;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

pub(crate) fn not_forwarded(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(
        "--name main --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0",
    );
    mcrd.wait_state("main", "active");
    let member = listen(&receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);

    let injector = Injector::new(&source, "src0");
    let own = Frame::udp(Ipv4Addr::new(10, 1, 0, 1), GROUP, 5000, b"own");
    let foreign = Frame::udp(Ipv4Addr::new(10, 1, 0, 10), GROUP, 5000, b"foreign");
    for _ in 0..25 {
        injector.send(&own);
    }
    injector.send(&foreign);
    // The frames are taken in order: when the foreign one is there, the others were looked at.
    let (_, _, payload) = first_datagram(&member, SOON).expect("the foreign one");
    assert_eq!(payload, b"foreign");
    wait_for("25 drops named own_source", SOON, || {
        match drops(port(&mcrd.json(&["stats"]), "in0"), "own_source") {
            25 => Ok(()),
            other => Err(other),
        }
    });
    mcrd.stop();
}
