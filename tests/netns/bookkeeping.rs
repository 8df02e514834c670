//! Outside bookkeeping: what the sender sent less what the receivers got is what the relay says it
//! dropped, exactly and under the right name; nftables counts in between.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay              out0 |--------| rcv0          |
//!  | src0           |--------| in0     10.2.0.1/24     |  veth  | 10.2.0.9/24   |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24        out1 |--------| rcv1          |
//!  +----------------+        |         10.3.0.1/24     |  veth  | 10.3.0.9/24   |
//!       mcrgen               +-------------------------+        +---------------+
//!                      nft counts at in0               nft counts at rcv0    mcrgen
//! ```

use crate::lab::{
    Lab, Line, Receive, Relay, Report, SOON, Send, Witness, drops, output, port, rule, sent,
    wait_for, wanted,
};
use nix::sys::signal::Signal;
use serde_json::Value;

const IN_PORT: u16 = 5000;
const OUT_PORT: u16 = 6000;

/// A rule from in0 to out0; both can have more about them.
fn file(input: &str, output: &str, more: &str) -> String {
    format!(
        r#"{{ rules: [{{ name: "main",
             input: {{ interface: "in0", group: "239.1.1.1", port: {IN_PORT}{input} }},
             outputs: [{{ interface: "out0", group: "239.2.2.2", port: {OUT_PORT}{output} }}] }}],
           {more} }}"#
    )
}

fn sending(rate: u64, count: u64, args: &str) -> Send<'_> {
    Send { interface: "src0", to: ("239.1.1.1", IN_PORT), rate, count, stream: 1, args }
}

/// A receiver that ends when nothing more comes; where nothing comes at all, at its deadline.
fn receiving(seconds: u64) -> Receive<'static> {
    Receive {
        interface: "rcv0",
        at: ("239.2.2.2", OUT_PORT),
        groups: 1,
        count: None,
        duration: std::time::Duration::from_secs(seconds),
    }
}

/// The counters once everything that the sender sent has been looked at or dropped by the kernel.
fn settled(mcrd: &Relay, sent: u64) -> Value {
    wait_for(&format!("all {sent} are accounted for"), SOON, || {
        let stats = mcrd.json(&["stats"]);
        let input = port(&stats, "in0");
        let number = |field: &str| input[field].as_u64().unwrap_or(0);
        let done = number("kernelReceived") == sent
            && number("kernelReceived") == number("kernelDropped") + number("frames");
        if done { Ok(stats) } else { Err(input.to_string()) }
    })
}

/// Every sum of the architecture's "How counters add up", and the relay's own opinion of them.
fn sums_close(stats: &Value) {
    let number = |of: &Value, field: &str| {
        of[field].as_u64().unwrap_or_else(|| panic!("no {field} in {of}"))
    };
    let all_drops = |of: &Value| -> u64 {
        let drops = of["drops"].as_object().unwrap_or_else(|| panic!("no drops in {of}"));
        drops.values().filter_map(Value::as_u64).sum()
    };
    let input = port(stats, "in0");
    assert_eq!(
        number(input, "kernelReceived"),
        number(input, "kernelDropped") + number(input, "frames"),
        "{input}"
    );
    // No super-frames and no fragments here: a frame is a datagram, or a drop before it is one.
    let lookup: u64 =
        ["no_rule", "source_filtered", "own_source", "link_local", "link_protocol", "not_udp"]
            .iter()
            .map(|reason| drops(input, reason))
            .sum();
    let before = all_drops(input) - lookup;
    assert_eq!(number(input, "frames"), number(input, "datagrams") + before, "{input}");
    assert_eq!(number(input, "datagrams"), number(input, "matched") + lookup, "{input}");
    for rule in stats["rules"].as_array().expect("rules") {
        for output in rule["outputs"].as_array().expect("outputs") {
            assert_eq!(wanted(output), sent(output) + all_drops(output), "{output}");
        }
    }
    assert_eq!(stats["ledger"]["closes"], true, "{}", stats["ledger"]);
}

/// Nothing else went wrong on the receiver's side.
fn received(report: &Report) -> u64 {
    for fault in ["socketDropped", "corrupted", "duplicated", "foreign"] {
        assert_eq!(report.number(fault), 0, "{fault}: {}", report.0);
    }
    report.number("unique")
}

/// (a) A receive buffer that is too small, and a relay that does not run for a while.
pub(crate) fn kernel_drops(lab: &Lab) {
    const COUNT: u64 = 40_000;
    let line = Line::new(lab);
    line.source.plain_frames("src0");
    let text = file("", "", "dataplane: { receiveBufferBytes: 65536 }");
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    mcrd.wait_state("main", "active");
    let (before, after) =
        (Witness::new(&line.relay, "in0", IN_PORT), Witness::new(&line.receiver, "rcv0", OUT_PORT));
    let receiver = receiving(60).start(&line.receiver);
    // 200 ms of it find the relay stopped.
    let mut sender = sending(50_000, COUNT, "--size 200").start(&line.source);
    let passed = |more: u64| {
        let start = before.packets();
        wait_for(&format!("{more} more are sent"), SOON, || match before.packets() - start {
            count if count >= more => Ok(()),
            count => Err(count),
        });
    };
    passed(5_000);
    mcrd.signal_plane(Signal::SIGSTOP);
    passed(10_000);
    mcrd.signal_plane(Signal::SIGCONT);
    let status = sender.wait(SOON * 2);
    assert!(status.success(), "mcrgen: {status}: {}", sender.stderr());

    let stats = settled(&mcrd, COUNT);
    let got = received(&receiver.report());
    let dropped = port(&stats, "in0")["kernelDropped"].as_u64().expect("a count");
    println!("kernelDropped {dropped} of {COUNT}");
    assert!(dropped >= 9_000, "only {dropped} did not fit into 64 KiB");
    assert_eq!(before.packets(), COUNT, "nothing is lost before the relay");
    assert_eq!(COUNT - got, dropped);
    assert_eq!(after.packets(), COUNT - dropped);
    assert_eq!(sent(output(rule(&stats, "main"), 0)), got);
    sums_close(&stats);
    mcrd.stop();
}

/// (b) A slow interface: its queue is full, and says so for each datagram. Each leaves by itself: of a
/// train that such a queue cuts apart (tbf), it may drop a part and say that all was taken.
pub(crate) fn slow_output(lab: &Lab) {
    const COUNT: u64 = 2_000;
    let line = Line::new(lab);
    line.source.plain_frames("src0");
    line.relay.run("tc qdisc add dev out0 root tbf rate 1mbit burst 10kb limit 3000");
    for (name, more) in [
        ("interface", r#", source: "interface", burst: 1"#),
        ("keep", r#", source: "keep", burst: 1"#),
    ] {
        let mcrd = Relay::with_config(&line.relay, lab.directory(), &file("", more, ""));
        mcrd.wait_state("main", "active");
        let before = Witness::new(&line.relay, "in0", IN_PORT);
        let after = Witness::new(&line.receiver, "rcv0", OUT_PORT);
        let receiver = receiving(30).start(&line.receiver);
        sending(2_000, COUNT, "--size 500 --ttl 64").run(&line.source);
        let stats = settled(&mcrd, COUNT);
        let got = received(&receiver.report());
        let out = output(rule(&stats, "main"), 0);
        let refused = drops(out, "transmit_queue_full");
        println!("source {name}: transmit_queue_full {refused} of {COUNT}");
        assert!(refused > COUNT / 2, "1 Mbit/s does not carry 8: {out}");
        assert_eq!(before.packets(), COUNT);
        assert_eq!((COUNT - got, after.packets()), (refused, got), "source {name}: {out}");
        assert_eq!(sent(out), got, "source {name}: {out}");
        sums_close(&stats);
        before.remove();
        after.remove();
        mcrd.stop();
    }
}

/// (c) An output without carrier, beside one that has it.
pub(crate) fn no_carrier(lab: &Lab) {
    const COUNT: u64 = 1_000;
    let line = Line::with_outputs(lab, 1500, &[1500, 1500]);
    line.source.plain_frames("src0");
    let second = r#" }, { interface: "out1", group: "239.3.3.3", port: 6001"#;
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file("", second, ""));
    mcrd.wait_state("main", "active");
    line.receiver.run("ip link set rcv1 down");
    wait_for("the second output says that it has no carrier", SOON, || {
        let list = mcrd.json(&["list"]);
        let second = output(rule(&list, "main"), 1).clone();
        let says = second["reason"].as_str().is_some_and(|reason| reason.contains("no carrier"));
        if second["state"] == "pending" && says { Ok(()) } else { Err(second.to_string()) }
    });
    let receiver = Receive::count("rcv0", "239.2.2.2", OUT_PORT, COUNT).start(&line.receiver);
    sending(5_000, COUNT, "--size 500").run(&line.source);
    receiver.report().assert_perfect("the output with carrier", COUNT);
    let stats = settled(&mcrd, COUNT);
    let second = output(rule(&stats, "main"), 1);
    assert_eq!((sent(second), drops(second, "no_carrier")), (0, COUNT), "{second}");
    sums_close(&stats);
    mcrd.stop();
}

/// (d) A source that the rule leaves out, and (e) datagrams that arrive with a TTL of 1.
pub(crate) fn filtered_and_expired(lab: &Lab) {
    const COUNT: u64 = 1_000;
    let line = Line::new(lab);
    line.source.plain_frames("src0");
    line.source.address("src0", "10.1.0.11/24");
    let input = r#", sources: { exclude: ["10.1.0.11"] }"#;
    let text = file(input, r#", ttl: "decrement""#, "");
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    mcrd.wait_state("main", "active");
    let before = Witness::new(&line.relay, "in0", IN_PORT);
    let after = Witness::new(&line.receiver, "rcv0", OUT_PORT);
    let receiver = Receive::count("rcv0", "239.2.2.2", OUT_PORT, COUNT).start(&line.receiver);
    for args in [
        "--size 500 --ttl 1 --source-address 10.1.0.10",
        "--size 500 --ttl 9 --source-address 10.1.0.11",
        "--size 500 --ttl 2 --source-address 10.1.0.10",
    ] {
        sending(5_000, COUNT, args).run(&line.source);
    }
    let stats = settled(&mcrd, 3 * COUNT);
    let got = received(&receiver.report());
    let input = port(&stats, "in0");
    let out = output(rule(&stats, "main"), 0);
    let (filtered, expired) = (drops(input, "source_filtered"), drops(out, "ttl_expired"));
    assert_eq!((filtered, expired), (COUNT, COUNT), "{input} {out}");
    assert_eq!(before.packets(), 3 * COUNT);
    assert_eq!(3 * COUNT - got, filtered + expired);
    assert_eq!((after.packets(), sent(out)), (got, got));
    sums_close(&stats);
    mcrd.stop();
}
