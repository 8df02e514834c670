//! SIGHUP under traffic: what stays in the file loses nothing; a bad file changes nothing.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay                   |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Line, Receive, Relay, SOON, Send, sent_by, verify, wait_for};

const STAYS: &str = r#"{ name: "stays", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
    outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] }"#;

/// A file with the rule that stays and another one that differs from version to version.
fn file(version: u16) -> String {
    format!(
        r#"{{
  version: 1,
  rules: [
    {STAYS},
    {{ name: "changes", input: {{ interface: "in0", group: "239.1.1.2", port: 5000 }},
       outputs: [{{ interface: "out0", group: "239.2.2.3", port: {} }}] }},
  ],
}}
"#,
        7000 + version
    )
}

fn wait_port(mcrd: &Relay, port: u16) {
    wait_for(&format!("the changed rule sends to port {port}"), SOON, || {
        let mroute = mcrd.json(&["mroute"]);
        let there = mroute["entries"]
            .as_array()
            .is_some_and(|entries| entries.iter().any(|entry| entry["outputs"][0]["port"] == port));
        if there { Ok(()) } else { Err(mroute.to_string()) }
    });
}

pub(crate) fn unchanged_rule(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let (reloads, rate) = if verify() { (200, 20_000) } else { (20, 10_000) };
    let mcrd = Relay::with_config(&relay, lab.directory(), &file(0));
    mcrd.wait_all_active(2);
    let member = Receive {
        interface: "rcv0",
        at: ("239.2.2.2", 6000),
        groups: 1,
        count: None,
        duration: SOON * 60,
    };
    let member = member.start(&receiver);
    // It sends until it is stopped below.
    let sending = Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate,
        count: 1_000_000_000,
        stream: 1,
        args: "--size 1316",
    }
    .start(&source);
    let forwarded = || sent_by(&mcrd, "stays");
    let mut before = 0;
    for version in 1..=reloads {
        wait_for("traffic flows", SOON, || {
            let now = forwarded();
            if now > before { Ok(()) } else { Err(now) }
        });
        before = forwarded();
        mcrd.reload(&file(version));
        wait_port(&mcrd, 7000 + version);
    }
    // Counters of a rule that stayed go on, they do not start again.
    assert!(forwarded() >= before);
    drop(sending);
    let report = member.report();
    report.assert_flawless("the rule that stayed");
    assert_eq!(report.number("unique"), forwarded());
    mcrd.stop();
}

pub(crate) fn bad_file(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mcrd = Relay::with_config(&relay, lab.directory(), &file(1));
    mcrd.wait_all_active(2);
    let before = mcrd.json(&["mroute"]);

    // Several mistakes: all are named at once, each with line and path.
    mcrd.reload(
        r#"{
  rules: [
    { name: "a", input: { interface: "in0", group: "239.1.1.1", port: 70000 },
      outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] },
  ],
}
"#,
    );
    said(&mcrd, 3, &["rules[0].input.port", "70000"]);
    mcrd.reload(
        r#"{
  rules: [
    { name: "a", input: { interface: "in0", group: "10.1.0", port: 5000 },
      outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] },
    { name: "b", input: { interface: "in0", group: "239.1.1.2", port: 5000 },
      outputs: [] },
  ],
}
"#,
    );
    said(&mcrd, 3, &["rules[0].input.group", "rules[1].outputs"]);
    mcrd.reload("{ rules: [ { name: \"a\" \n input: {} ] }");
    said(&mcrd, 2, &[]);

    assert_eq!(mcrd.json(&["mroute"])["entries"], before["entries"], "the last good state stays");
    let member = Receive::count("rcv0", "239.2.2.2", 6000, 500).start(&receiver);
    Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 2_000,
        count: 500,
        stream: 1,
        args: "--size 1316",
    }
    .run(&source);
    member.report().assert_perfect("after bad files", 500);

    mcrd.reload(&file(9));
    wait_port(&mcrd, 7009);
    mcrd.stop();
}

/// The daemon named the file, the line of a mistake, and everything in `words`.
fn said(mcrd: &Relay, line: u32, words: &[&str]) {
    let place = format!("{}:{line}", mcrd.config().display());
    wait_for(&format!("a diagnostic at {place} with {words:?}"), SOON, || {
        let text = mcrd.stderr();
        let complete = text.contains(&place) && words.iter().all(|word| text.contains(word));
        if complete { Ok(()) } else { Err(text) }
    });
}
