//! Circles on one host: what would feed itself is cut, and says so.
//!
//! ```text
//!  +----------------+        +-----------------------------------+        +---------------+
//!  | source         |        | relay   left0 ---veth--- right0   |        | receiver      |
//!  | src0           |--------| in0     left1 ---veth--- right1   |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  |                              out0 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-----------------------------------+        +---------------+
//! ```

use crate::lab::{
    Frame, Injector, Lab, Line, Relay, SOON, drops, first_datagram, gets_through, listen, output,
    rule, sent, state, wait_for,
};
use serde_json::Value;
use std::net::Ipv4Addr;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const FIRST: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const OUT: Ipv4Addr = Ipv4Addr::new(239, 2, 2, 2);
const COUNT: u64 = 50;

fn topology(lab: &Lab) -> Line {
    let line = Line::new(lab);
    for number in [0, 1] {
        let (left, right) = (format!("left{number}"), format!("right{number}"));
        lab.veth((&line.relay, &left), (&line.relay, &right), 1500);
        line.relay.address(&left, &format!("10.{}.0.1/24", 20 + number));
        line.relay.address(&right, &format!("10.{}.0.1/24", 30 + number));
    }
    line
}

/// One rule of a file.
fn one(name: &str, inputs: &str, group: Ipv4Addr, outputs: &str) -> String {
    format!(
        r#"{{ name: "{name}", input: {{ interfaces: [{inputs}], group: "{group}", port: 5000 }},
             outputs: [{outputs}] }}"#
    )
}

fn out_of(rule: &Value, number: usize) -> (&str, &str) {
    let output = output(rule, number);
    (state(output), output["reason"].as_str().unwrap_or_default())
}

/// A rule whose output comes back into it by the other end of a veth pair. Its other output works.
pub(crate) fn own_tail(lab: &Lab) {
    let line = topology(lab);
    let text = format!(
        "{{ rules: [{}] }}",
        one(
            "tail",
            r#"{ name: "in0" }, { name: "right0" }"#,
            FIRST,
            r#"{ interface: "left0" }, { interface: "out0", group: "239.2.2.2" }"#,
        )
    );
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    let tail = mcrd.wait_state("tail", "active");
    let (state, reason) = out_of(&tail, 0);
    assert_eq!(state, "pending", "{tail}");
    assert!(reason.contains("would loop") && reason.contains("file/tail"), "{tail}");
    assert_eq!(out_of(&tail, 1), ("active", ""), "{tail}");

    gets_through((&line.source, SOURCE, FIRST, 5000), (&line.receiver, "rcv0", OUT, 5000));
    let before = mcrd.json(&["stats"]);
    let start = drops(output(rule(&before, "tail"), 0), "would_loop");
    let member = listen(&line.receiver, "rcv0", OUT, 5000);
    let injector = Injector::new(&line.source, "src0");
    for _ in 0..COUNT {
        injector.send(&Frame::udp(SOURCE, FIRST, 5000, b"once"));
    }
    for _ in 0..COUNT {
        assert_eq!(first_datagram(&member, SOON).expect("the other output").2, b"once");
    }
    let stats = mcrd.json(&["stats"]);
    let blocked = output(rule(&stats, "tail"), 0);
    assert_eq!((sent(blocked), drops(blocked, "would_loop")), (0, start + COUNT), "{stats}");
    assert_eq!(stats["ledger"]["closes"], true, "{stats}");

    // Without the other end here there is no circle.
    line.relay.run("ip link set right0 netns receiver");
    line.receiver.run("ip link set right0 up");
    wait_for("the output works", SOON, || {
        let list = mcrd.json(&["list"]);
        match out_of(rule(&list, "tail"), 0).0 {
            "active" => Ok(()),
            _ => Err(list.to_string()),
        }
    });
    mcrd.stop();
}

/// Rules may feed each other; the one that closes the circle is blocked, and it is the younger one.
pub(crate) fn circle(lab: &Lab) {
    let line = topology(lab);
    let chain = [
        one("enters", r#"{ name: "in0" }"#, FIRST, r#"{ interface: "left0" }"#),
        one(
            "first",
            r#"{ name: "right0" }"#,
            FIRST,
            r#"{ interface: "left1", group: "239.1.1.2" }"#,
        ),
        one(
            "leaves",
            r#"{ name: "right1" }"#,
            SECOND,
            r#"{ interface: "out0", group: "239.2.2.2" }"#,
        ),
    ];
    let closing = one(
        "second",
        r#"{ name: "right1" }"#,
        SECOND,
        r#"{ interface: "left0", group: "239.1.1.1" }"#,
    );
    let text = format!("{{ rules: [{}] }}", chain.join(", "));
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    mcrd.wait_all_active(3);
    // A chain of three rules through two veth pairs is no circle.
    gets_through((&line.source, SOURCE, FIRST, 5000), (&line.receiver, "rcv0", OUT, 5000));

    mcrd.reload(&format!("{{ rules: [{}, {closing}] }}", chain.join(", ")));
    let second = mcrd.wait_state("second", "pending");
    let (_, reason) = out_of(&second, 0);
    assert!(reason.contains("would loop") && reason.contains("file/first"), "{second}");
    for name in ["enters", "first", "leaves"] {
        mcrd.wait_state(name, "active");
    }
    let injector = Injector::new(&line.source, "src0");
    let member = listen(&line.receiver, "rcv0", OUT, 5000);
    for _ in 0..COUNT {
        injector.send(&Frame::udp(SOURCE, FIRST, 5000, b"once"));
    }
    for _ in 0..COUNT {
        assert_eq!(first_datagram(&member, SOON).expect("by the chain").2, b"once");
    }
    wait_for("each that would go round is counted", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let blocked = output(rule(&stats, "second"), 0);
        let loops = (sent(blocked), drops(blocked, "would_loop")) == (0, COUNT);
        if loops { Ok(()) } else { Err(blocked.to_string()) }
    });
    mcrd.stop();
}
