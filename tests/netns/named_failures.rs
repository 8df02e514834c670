//! What goes wrong at an output while datagrams flow: each failure has its name and its exact number,
//! and when it is over the output works again by itself.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay              out0 |--------| rcv0          |
//!  | src0           |--------| in0     10.2.0.1/24     |  veth  | 10.2.0.9/24   |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24        out1 |--------| rcv1          |
//!  +----------------+        |         10.3.0.1/24     |  veth  | 10.3.0.9/24   |
//!                            +-------------------------+        +---------------+
//!                        out0 fails, out1 must not notice
//! ```

use crate::lab::{
    Lab, Line, Receive, Relay, SOON, Send, drops, output, rule, sent, wait_for, wanted,
};
use serde_json::Value;

const COUNT: u64 = 2_000;

const RULES: &str = r#"{ rules: [{
    name: "main", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
    outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000, mtuPolicy: "POLICY" },
              { interface: "out1", group: "239.3.3.3", port: 6001 }] }] }"#;

/// Sends as many as are expected at each receiver, and returns the counters when all are counted.
fn round(line: &Line, mcrd: &Relay, first: Option<u64>, args: &str) -> Value {
    let before = mcrd.json(&["stats"]);
    let counted = |stats: &Value| wanted(output(rule(stats, "main"), 1));
    let base = counted(&before);
    let receivers = [("rcv0", "239.2.2.2", 6000, first), ("rcv1", "239.3.3.3", 6001, Some(COUNT))];
    let started: Vec<_> = receivers
        .iter()
        .filter_map(|&(interface, group, port, count)| {
            let receive = Receive::count(interface, group, port, count?);
            Some((receive.start(&line.receiver), count?))
        })
        .collect();
    let to = ("239.1.1.1", 5000);
    Send { interface: "src0", to, rate: 20_000, count: COUNT, stream: 1, args }.run(&line.source);
    for (receiver, count) in started {
        receiver.report().assert_perfect(args, count);
    }
    wait_for("everything is counted", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let done = counted(&stats) == base + COUNT && stats["ledger"]["closes"] == true;
        if done { Ok(stats) } else { Err(stats.to_string()) }
    })
}

/// Drops of the first output for a reason, and what it has sent.
fn first(stats: &Value, reason: &str) -> (u64, u64) {
    let output = output(rule(stats, "main"), 0);
    (drops(output, reason), sent(output))
}

fn start(lab: &Lab, line: &Line, policy: &str) -> Relay {
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &RULES.replace("POLICY", policy));
    mcrd.wait_state("main", "active");
    mcrd
}

/// A packet filter refuses (EPERM), and the interface is set down (ENETDOWN or the table says so).
pub(crate) fn filter_and_link(lab: &Lab) {
    let line = Line::with_outputs(lab, 1500, &[1500, 1500]);
    let mcrd = start(lab, &line, "fragment");
    let train = "--size 400 --train 1-64";
    let whole = round(&line, &mcrd, Some(COUNT), train);
    assert_eq!(first(&whole, "filtered"), (0, COUNT));

    line.relay.run("nft add table inet wall");
    line.relay.run("nft add chain inet wall out { type filter hook output priority 0 ; }");
    line.relay.run("nft add rule inet wall out ip daddr 239.2.2.2 drop");
    let refused = round(&line, &mcrd, None, train);
    assert_eq!(first(&refused, "filtered"), (COUNT, COUNT), "{refused}");
    line.relay.run("nft delete table inet wall");
    let again = round(&line, &mcrd, Some(COUNT), train);
    assert_eq!(first(&again, "filtered"), (COUNT, 2 * COUNT));

    line.relay.run("ip link set out0 down");
    wait_for("the rule says so", SOON, || {
        let list = mcrd.json(&["list"]);
        let reason = rule(&list, "main")["outputs"][0]["reason"].to_string();
        if reason.contains("down") { Ok(()) } else { Err(reason) }
    });
    let down = round(&line, &mcrd, None, train);
    assert_eq!(first(&down, "interface_down"), (COUNT, 2 * COUNT), "{down}");
    line.relay.run("ip link set out0 up");
    mcrd.wait_state("main", "active");
    let up = round(&line, &mcrd, Some(COUNT), train);
    assert_eq!(first(&up, "interface_down"), (COUNT, 3 * COUNT));
    mcrd.stop();
}

/// The output's MTU is smaller than the datagrams: cut by the kernel, or dropped by name; with an MTU
/// of 9000 and of 65,535 they leave whole.
pub(crate) fn small_mtu_fragment(lab: &Lab) {
    small_mtu(lab, "fragment");
}

/// As [`small_mtu_fragment`], with the other policy.
pub(crate) fn small_mtu_drop(lab: &Lab) {
    small_mtu(lab, "drop");
}

fn small_mtu(lab: &Lab, policy: &str) {
    let line = Line::with_outputs(lab, 1500, &[1500, 1500]);
    let mcrd = start(lab, &line, policy);
    let (mut kept, mut lost) = (0, 0);
    for mtu in [1500, 576, 9000, 65_535] {
        line.relay.run(&format!("ip link set out0 mtu {mtu}"));
        line.receiver.run(&format!("ip link set rcv0 mtu {mtu}"));
        wait_for("the relay knows the MTU", SOON, || {
            let interfaces = mcrd.json(&["interfaces"]);
            let all = interfaces.as_array().expect("interfaces");
            let out = all.iter().find(|one| one["link"]["name"] == "out0").expect("out0");
            if out["link"]["mtu"] == mtu { Ok(()) } else { Err(out.to_string()) }
        });
        let fits = mtu > 1300 || policy == "fragment";
        let stats = round(&line, &mcrd, fits.then_some(COUNT), "--size 1200 --train 1-64");
        if fits {
            kept += COUNT;
        } else {
            lost += COUNT;
        }
        assert_eq!(first(&stats, "mtu_exceeded"), (lost, kept), "mtu {mtu}, {policy}");
    }
    mcrd.stop();
}
