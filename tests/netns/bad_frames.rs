//! Broken frames: each ends under its own name, and a good stream beside them loses nothing.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay                   |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//!  mcrgen and a packet socket, both on src0
//! ```

use crate::lab::{
    Frame, Injector, Lab, Receive, Relay, SOON, Send, drops, first_datagram, listen, port, wait_for,
};
use std::net::Ipv4Addr;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const PORT: u16 = 5000;

/// Of a datagram that never becomes whole.
fn first_fragment() -> Frame {
    Frame::udp(SOURCE, GROUP, PORT, b"sixteen bytes...").id(2).ip(6, &[0x20, 0x00])
}

/// The frames and the reason under which each must be counted.
fn broken() -> Vec<(&'static str, &'static str, Frame)> {
    let good = || Frame::udp(SOURCE, GROUP, PORT, b"sixteen bytes...");
    let length = |bytes: u16| bytes.to_be_bytes();
    vec![
        ("IP header longer than the frame", "ip_header", good().ip_unsealed(0, &[0x4f])),
        ("IP header length below 20", "ip_header", good().ip_unsealed(0, &[0x44])),
        ("IP version 6 in an IPv4 frame", "ip_header", good().ip_unsealed(0, &[0x65])),
        ("total length beyond the frame", "ip_header", good().ip(2, &length(1400))),
        ("total length below the header", "ip_header", good().ip(2, &length(12))),
        ("frame cut in the payload", "ip_header", good().cut(50)),
        ("IP checksum", "ip_checksum", good().ip_unsealed(10, &[0xde, 0xad])),
        ("UDP length beyond the packet", "udp_length", good().udp_bytes(4, &length(1400))),
        ("UDP length below its header", "udp_length", good().udp_bytes(4, &length(3))),
        ("no room for the UDP header", "udp_length", good().ip(2, &length(24)).cut(38)),
        ("UDP checksum", "udp_checksum", good().udp_bytes(6, &[0xde, 0xad])),
        ("changed payload", "udp_checksum", good().udp_bytes(12, b"X")),
        ("VLAN tag", "vlan_tag", good().tagged(310)),
        // The first of them is kept already: see below.
        ("fragment that repeats another", "fragment_invalid", first_fragment()),
    ]
}

pub(crate) fn named_counters(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(&format!(
        "--name broken --input-interface in0 --input-group {GROUP} --input-port {PORT} \
         --outputs 239.2.2.2:6000:out0"
    ));
    mcrd.add(
        "--name good --input-interface in0 --input-group 239.1.1.2 --input-port 5000 \
         --outputs 239.2.2.3:6000:out0",
    );
    mcrd.wait_all_active(2);

    let count = 20_000;
    let good = Receive::count("rcv0", "239.2.2.3", 6000, count).start(&receiver);
    let leaked = listen(&receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
    let mut stream = Send {
        interface: "src0",
        to: ("239.1.1.2", 5000),
        rate: 10_000,
        count,
        stream: 1,
        args: "--size 700",
    }
    .start(&source);

    let injector = Injector::new(&source, "src0");
    injector.send(&first_fragment());
    for (what, reason, frame) in broken() {
        let counted = || drops(port(&mcrd.json(&["stats"]), "in0"), reason);
        let before = counted();
        for _ in 0..5 {
            injector.send(&frame);
        }
        wait_for(&format!("{what}: 5 more drops named {reason}"), SOON, || {
            let stats = mcrd.json(&["stats"]);
            match drops(port(&stats, "in0"), reason) - before {
                5 => Ok(()),
                _ => Err(port(&stats, "in0").to_string()),
            }
        });
    }
    // IP options are legal: the payload behind them goes through, the options do not.
    injector.send(&Frame::with_options(SOURCE, GROUP, PORT, &[1, 1, 1, 0]));
    let (_, _, payload) = first_datagram(&leaked, SOON).expect("the datagram with options");
    assert_eq!(payload, b"options", "of all those frames only this one may come out");

    assert!(stream.wait(SOON * 2).success());
    good.report().assert_perfect("the good stream beside broken frames", count);
    let workers = mcrd.json(&["list-workers"]);
    assert_eq!(workers[0]["restarts"], 0, "{workers}");
    mcrd.stop();
}
