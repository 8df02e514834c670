//! One rule with 32 outputs, one of them without carrier and one limited: the other 30 lose nothing, and
//! each copy that those two do not send is a drop by its name.
//!
//! ```text
//!  +----------------+        +-------------------------+        +-----------------------+
//!  | source         |        | relay              out0 |--------| rcv0   10.2.0.9/24    |
//!  | src0           |--------| in0                 ... |--------| ...                   |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24       out31 |--------| rcv31  10.33.0.9/24   |
//!  +----------------+        +-------------------------+        +-----------------------+
//!    out7: limited to a fifth of what comes    rcv20: set down, so out20 has no carrier
//! ```

use crate::lab::{
    Lab, Line, Receive, Relay, SOON, Send, drops, output, port, rule, sent, state, verify,
    wait_for, wanted,
};
use serde_json::Value;
use std::time::Duration;

const OUTPUTS: usize = 32;
const LIMITED: usize = 7;
const NO_CARRIER: usize = 20;
/// Bytes of payload.
const SIZE: u64 = 500;
const BURST: u64 = 65_536;

fn file(rate: u64) -> String {
    let bits = rate / 5 * SIZE * 8;
    let outputs: Vec<String> = (0..OUTPUTS)
        .map(|n| {
            let limit = format!(", rateLimit: {{ bitsPerSecond: {bits}, burstBytes: {BURST} }}");
            let more = if n == LIMITED { limit } else { String::new() };
            format!("{{ interface: 'out{n}', group: '239.2.2.{n}', port: 6000{more} }}")
        })
        .collect();
    format!(
        "{{ rules: [{{ name: 'main', input: {{ interface: 'in0', group: '239.1.1.1', port: 5000 }},
           outputs: [{}] }}] }}",
        outputs.join(",\n")
    )
}

/// All drops of an output or a port, whatever their names.
fn all_drops(of: &Value) -> u64 {
    let drops = of["drops"].as_object().unwrap_or_else(|| panic!("no drops in {of}"));
    drops.values().filter_map(Value::as_u64).sum()
}

pub(crate) fn thirty_of_thirty_two(lab: &Lab) {
    let (rate, seconds) = if verify() { (4_000, 30) } else { (500, 4) };
    let count = rate * seconds;
    let line = Line::with_outputs(lab, 1500, &[1500; OUTPUTS]);
    line.receiver.run(&format!("ip link set rcv{NO_CARRIER} down"));
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file(rate));
    wait_for("31 outputs are active, one has no carrier", SOON, || {
        let list = mcrd.json(&["list"]);
        let main = rule(&list, "main");
        let right =
            |n| state(output(main, n)) == if n == NO_CARRIER { "pending" } else { "active" };
        if (0..OUTPUTS).all(right) { Ok(()) } else { Err(main.to_string()) }
    });

    let receive = |n: usize| {
        let (interface, group) = (format!("rcv{n}"), format!("239.2.2.{n}"));
        let count = (n != LIMITED).then_some(count);
        let duration = Duration::from_secs(60 + seconds);
        Receive { interface: &interface, at: (&group, 6000), groups: 1, count, duration }
            .start(&line.receiver)
    };
    let working = (0..OUTPUTS).filter(|n| *n != NO_CARRIER);
    let receivers: Vec<_> = working.map(|n| (n, receive(n))).collect();
    let to = ("239.1.1.1", 5000);
    let args = format!("--size {SIZE}");
    Send { interface: "src0", to, rate, count, stream: 1, args: &args }.run(&line.source);
    let mut passed = 0;
    for (n, receiver) in receivers {
        let report = receiver.report();
        if n == LIMITED {
            passed = report.number("unique");
        } else {
            report.assert_perfect(&format!("output {n}"), count);
        }
    }

    let stats = wait_for("every copy is sent or a drop", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let main = rule(&stats, "main");
        let complete = (0..OUTPUTS)
            .map(|n| output(main, n))
            .all(|out| wanted(out) == count && sent(out) + all_drops(out) == count);
        if complete { Ok(stats) } else { Err(main.to_string()) }
    });
    let main = rule(&stats, "main");
    for n in 0..OUTPUTS {
        let out = output(main, n);
        let (no_carrier, limited) = (drops(out, "no_carrier"), drops(out, "rate_limited"));
        let expected = match n {
            NO_CARRIER => (0, count, 0),
            LIMITED => (passed, 0, count - passed),
            _ => (count, 0, 0),
        };
        assert_eq!((sent(out), no_carrier, limited), expected, "output {n}: {out}");
    }
    // A fifth passes and the burst, more where the sender was held up (see `rate_limit`).
    assert!(passed >= count / 5 && passed < count, "{passed} of {count} passed the limit");
    let input = port(&stats, "in0");
    assert_eq!(all_drops(input), 0, "{input}");
    assert_eq!(stats["ledger"]["closes"], true, "{}", stats["ledger"]);
    println!(
        "{count} datagrams to {OUTPUTS} outputs: 30 complete; no_carrier {count}; {passed} passed the \
         limit, rate_limited {}",
        count - passed
    );
    mcrd.stop();
}
