//! Fan-out to several outputs, one of them limited and one without carrier: the others lose nothing, and
//! what those two do not send has its name.
//!
//! ```text
//!  +----------------+        +-------------------------+        +-------------------+
//!  | source         |        | relay              out0 |--------| rcv0  10.2.0.9/24 |
//!  | src0           |--------| in0                out1 |--------| rcv1  10.3.0.9/24 |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24        out2 |--------| rcv2  set down    |
//!  +----------------+        |                    out3 |--------| rcv3  10.5.0.9/24 |
//!                            +-------------------------+        +-------------------+
//!    out1: 8 Mbit/s
//! ```

use crate::lab::{
    Lab, Receive, Relay, SOON, Send, drops, output, rule, sent, verify, wait_for, wanted,
};
use std::time::{Duration, Instant};

const SIZE: u64 = 1_000;
const RATE: u64 = 5_000;
/// Bytes a second.
const LIMIT: u64 = 1_000_000;
const BURST: u64 = 65_536;

fn file() -> String {
    let limit = format!("rateLimit: {{ bitsPerSecond: {}, burstBytes: {BURST} }}", LIMIT * 8);
    let outputs: Vec<String> = (0..4)
        .map(|n| {
            let more = if n == 1 { limit.as_str() } else { "" };
            format!("{{ interface: 'out{n}', group: '239.2.2.{n}', port: 6000, {more} }}")
        })
        .collect();
    format!(
        "{{ rules: [{{ name: 'main', input: {{ interface: 'in0', group: '239.1.1.1', port: 5000 }},
           outputs: [{}] }}] }}",
        outputs.join(",\n")
    )
}

pub(crate) fn others_lose_nothing(lab: &Lab) {
    let count = RATE * if verify() { 30 } else { 4 };
    let (source, relay, receiver) =
        (lab.namespace("source"), lab.namespace("relay"), lab.namespace("receiver"));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    for n in 0..4 {
        lab.veth((&relay, &format!("out{n}")), (&receiver, &format!("rcv{n}")), 1500);
        relay.address(&format!("out{n}"), &format!("10.{}.0.1/24", n + 2));
        receiver.address(&format!("rcv{n}"), &format!("10.{}.0.9/24", n + 2));
    }
    receiver.run("ip link set rcv2 down");
    let mcrd = Relay::with_config(&relay, lab.directory(), &file());
    wait_for("three outputs work and one has no carrier", SOON, || {
        let list = mcrd.json(&["list"]);
        let main = rule(&list, "main").clone();
        let states: Vec<_> = (0..4).map(|n| output(&main, n)["state"].clone()).collect();
        if states == ["active", "active", "pending", "active"] { Ok(()) } else { Err(main) }
    });

    let receive = |interface: &str, group: &str, count: Option<u64>| {
        let duration = Duration::from_secs(60);
        Receive { interface, at: (group, 6000), groups: 1, count, duration }.start(&receiver)
    };
    let first = receive("rcv0", "239.2.2.0", Some(count));
    let limited = receive("rcv1", "239.2.2.1", None);
    let last = receive("rcv3", "239.2.2.3", Some(count));
    let started = Instant::now();
    let args = format!("--size {SIZE}");
    let to = ("239.1.1.1", 5000);
    Send { interface: "src0", to, rate: RATE, count, stream: 1, args: &args }.run(&source);
    let longest = started.elapsed().as_secs_f64();
    first.report().assert_perfect("the first output", count);
    last.report().assert_perfect("the last output", count);
    let got = limited.report().number("unique");

    let stats = wait_for("all copies are counted", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let main = rule(&stats, "main");
        let complete = (0..4).all(|n| {
            let out = output(main, n);
            let dropped: u64 = out["drops"]
                .as_object()
                .map_or(0, |drops| drops.values().filter_map(serde_json::Value::as_u64).sum());
            wanted(out) == count && sent(out) + dropped == count
        });
        if complete { Ok(stats) } else { Err(main.to_string()) }
    });
    let main = rule(&stats, "main");
    assert_eq!((sent(output(main, 0)), sent(output(main, 3))), (count, count));
    assert_eq!(drops(output(main, 2), "no_carrier"), count, "{main}");
    let slow = output(main, 1);
    assert_eq!(sent(slow) + drops(slow, "rate_limited"), count, "{slow}");
    assert_eq!(got, sent(slow), "what passed has arrived");
    // Not more than rate and burst, and all of it.
    let bytes = sent(slow) * SIZE;
    let most = LIMIT as f64 * longest + BURST as f64;
    let least = LIMIT as f64 * (count - 1) as f64 / RATE as f64 * 0.98;
    assert!((bytes as f64) <= most, "{bytes} bytes in {longest} s");
    assert!((bytes as f64) >= least, "{bytes} bytes, less than {least}");
    mcrd.stop();
}
