//! As many groups on one interface as the in-kernel filter tells apart, and more: all are forwarded,
//! and the port stays open while its filter changes.
//!
//! ```text
//!  +---------------+        +-------------------------+        +---------------+
//!  | source   src0 |--------| in0                out0 |--------| rcv0 receiver |
//!  | 10.1.0.10/24  |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +---------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Relay, gets_through, port};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

pub(crate) fn beyond_the_filter(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    let group = |side: u8, n: u16| {
        let [high, low] = (n + 1).to_be_bytes();
        Ipv4Addr::new(239, side, high, low)
    };
    let file = |count: u16| {
        let mut text = String::from("{ rules: [\n");
        for n in 0..count {
            writeln!(
                text,
                r#"{{ name: "g{n}", input: {{ interface: "in0", group: "{}", port: 5000 }},
                    outputs: [{{ interface: "out0", group: "{}", port: 6000 }}] }},"#,
                group(1, n),
                group(2, n)
            )
            .expect("a String grows");
        }
        text + "] }\n"
    };
    let mcrd = Relay::with_config(&relay, lab.directory(), &file(800));
    for count in [800, 801, 1200, 3] {
        mcrd.reload(&file(count));
        mcrd.wait_all_active(usize::from(count));
        for n in [0, count / 2, count - 1] {
            gets_through(
                (&source, Ipv4Addr::new(10, 1, 0, 10), group(1, n), 5000),
                (&receiver, "rcv0", group(2, n), 6000),
            );
        }
        let stats = mcrd.json(&["stats"]);
        let port = port(&stats, "in0");
        // The filter's groups change in place: the port was never closed for it.
        assert_eq!(port["port"], 0, "{port}");
    }
    mcrd.stop();
}
