//! Outputs by pattern while the interfaces that it selects come and go under traffic: each gets
//! copies as soon as it is there, and another output loses nothing.
//!
//! ```text
//!  +----------------+        +-------------------------+        +-----------------------------+
//!  | source         |        | relay              out0 |--------| rcv0           receiver     |
//!  | src0           |--------| in0               veth0 |========| pod0  === come and go       |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24         ... |========| ...                         |
//!  +----------------+        +-------------------------+        +-----------------------------+
//!  one rule: 239.1.1.1:5000 -> 239.2.2.2:6000 on out0, 239.3.3.3:6001 on all "veth*"
//! ```

use crate::lab::{
    Lab, Line, Receive, Relay, SOON, Send, first_datagram, listen, output, rule, sent, verify,
    wait_for,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const PODS: Ipv4Addr = Ipv4Addr::new(239, 3, 3, 3);
const AT_ONCE: u32 = 3;

pub(crate) fn come_and_go(lab: &Lab) {
    let line = Line::new(lab);
    let mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ rules: [{ name: "pods", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
             outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 },
                       { interfaces: [{ nameGlob: "veth*" }], group: "239.3.3.3", port: 6001 }] }] }"#,
    );
    mcrd.wait_state("pods", "active");
    let other = Receive {
        interface: "rcv0",
        at: ("239.2.2.2", 6000),
        groups: 1,
        count: None,
        duration: SOON * 60,
    };
    let other = other.start(&line.receiver);
    // It sends until it is stopped below.
    let sending = Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 5_000,
        count: 1_000_000_000,
        stream: 1,
        args: "--size 700",
    }
    .start(&line.source);

    let rounds = if verify() { 100 } else { 8 };
    for round in 0..rounds {
        let numbers = || (round..round + AT_ONCE).map(|n| n % 5);
        for number in numbers() {
            appear(lab, &line, number);
        }
        for number in numbers() {
            let member = listen(&line.receiver, &format!("pod{number}"), PODS, 6001);
            let first = first_datagram(&member, SOON);
            assert!(first.is_some(), "round {round}: nothing comes to veth{number}");
        }
        selects(
            &mcrd,
            numbers().map(|number| line.relay.index(&format!("veth{number}"))).collect(),
        );
        for number in numbers() {
            line.relay.run(&format!("ip link del veth{number}"));
        }
        selects(&mcrd, BTreeSet::new());
    }
    drop(sending);
    let report = other.report();
    report.assert_flawless("the output that does not change");
    let stats = mcrd.json(&["stats"]);
    assert_eq!(sent(output(rule(&stats, "pods"), 0)), report.number("unique"), "{stats}");
    assert_eq!(stats["ledger"]["closes"], true, "{stats}");
    mcrd.stop();
}

fn appear(lab: &Lab, line: &Line, number: u32) {
    let (near, far) = (format!("veth{number}"), format!("pod{number}"));
    lab.veth((&line.relay, &near), (&line.receiver, &far), 1500);
    line.relay.address(&near, &format!("10.{}.0.1/24", 40 + number));
    line.receiver.address(&far, &format!("10.{}.0.9/24", 40 + number));
}

/// The relay sends to exactly these interfaces by the pattern.
fn selects(mcrd: &Relay, expected: BTreeSet<u32>) {
    wait_for(&format!("the pattern selects {expected:?}"), SOON, || {
        let interfaces = mcrd.json(&["interfaces"]);
        let selected: BTreeSet<u32> = interfaces
            .as_array()
            .expect("interfaces")
            .iter()
            .filter(|interface| {
                interface["link"]["name"].as_str().is_some_and(|name| name.starts_with("veth"))
                    && interface["outputOf"].as_array().is_some_and(|rules| !rules.is_empty())
            })
            .filter_map(|interface| interface["link"]["index"].as_u64()?.try_into().ok())
            .collect();
        if selected == expected { Ok(()) } else { Err(format!("{selected:?}")) }
    });
}
