//! Many rules, rules of an earlier relay, and rules that are saved and loaded again.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay                   |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Line, Relay, SOON, gets_through, verify, wait_for};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const RULES: u32 = 10_000;
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);

fn group(side: u8, number: u32) -> Ipv4Addr {
    let [.., high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(239, side, high, low)
}

fn many() -> String {
    let mut text = String::from("{ rules: [\n");
    for number in 0..RULES {
        writeln!(
            text,
            r#"  {{ input: {{ interface: "in0", group: "{}", port: 5000 }}, outputs: [{{ interface: "out0", group: "{}", port: 6000 }}] }},"#,
            group(1, number),
            group(2, number)
        )
        .expect("a String grows");
    }
    text + "] }\n"
}

fn count(list: &Value) -> usize {
    let rules = if list.is_array() { list } else { &list["rules"] };
    rules.as_array().map_or(0, Vec::len)
}

/// The time until all rules of a file are listed, after a start and after SIGHUP, and the time of
/// a list.
pub(crate) fn ten_thousand(lab: &Lab) {
    let line = Line::new(lab);
    let text = many();
    let all = usize::try_from(RULES).expect("fits");

    let start = Instant::now();
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    let after_start = listed(&mcrd, all, start);
    mcrd.reload("{ rules: [] }");
    listed(&mcrd, 0, start);
    let start = Instant::now();
    mcrd.reload(&text);
    let after_reload = listed(&mcrd, all, start);
    mcrd.wait_all_active(all);
    println!("{RULES} rules: all active {:?} after SIGHUP", start.elapsed());
    let list = (0..5).map(|_| list_time(&mcrd, all)).min().expect("five");
    println!(
        "{RULES} rules: listed {after_start:?} after the start, {after_reload:?} after SIGHUP; \
         mcrctl list -o json {list:?}"
    );
    // Others use the machine too, and a test build is slow: figures are for `make verify`.
    if verify() {
        assert!(after_start < Duration::from_secs(1), "{after_start:?} after the start");
        assert!(after_reload < Duration::from_secs(1), "{after_reload:?} after SIGHUP");
        assert!(list < Duration::from_millis(200), "a list takes {list:?}");
    }
    for number in [0, RULES / 2, RULES - 1] {
        gets_through(
            (&line.source, SOURCE, group(1, number), 5000),
            (&line.receiver, "rcv0", group(2, number), 6000),
        );
    }
    mcrd.stop();
}

/// When this many rules are listed.
fn listed(mcrd: &Relay, all: usize, start: Instant) -> Duration {
    wait_for(&format!("{all} rules are listed"), SOON * 3, || match mcrd.json(&["ping"])["rules"]
        .as_u64()
    {
        Some(rules) if usize::try_from(rules) == Ok(all) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let elapsed = start.elapsed();
    assert_eq!(count(&mcrd.json(&["list"])), all);
    elapsed
}

fn list_time(mcrd: &Relay, all: usize) -> Duration {
    let start = Instant::now();
    let output = mcrd.ctl(&["list", "-o", "json"]);
    let elapsed = start.elapsed();
    assert!(output.status.success());
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(count(&list), all);
    elapsed
}

/// What was written for the earlier relay: no names, snake_case keys, a group that means a unicast
/// address.
const EARLIER: &str = r#"{
  rules: [
    { input: { interface: "in0", group: "239.1.1.1", port: 5000 },
      outputs: [
        { group: "239.2.2.2", port: 6000, interface: "out0" },
        { group: "10.2.0.9", port: 7000, interface: "out0" },
      ] },
    { name: "second",
      input: { interface: "in0", group: "239.1.1.2", port: 5000, link_local: "drop" },
      outputs: [{ group: "239.2.2.3", port: 6000, interface: "out0", mtu_policy: "drop" }] },
    { input: { interface: "in0", group: "10.1.0.1", port: 5001 },
      outputs: [{ group: "239.2.2.4", port: 6001, interface: "out0" }] },
  ],
}
"#;

/// Rules with every field that is not at its default.
const FULL: &str = r#"{ rules: [
  { id: "an-id", name: "everything", enabled: false, priority: 7,
    input: { interfaces: [{ nameGlob: "eth*", cidr: "10.0.0.0/8", kind: "veth" },
                          { nameRegex: "en[0-9]+" }, { altName: "a-name-of-more-than-15" }],
             groups: ["239.4.0.0/24", "239.4.1.0/24"], ports: [{ start: 5000, end: 5009 }],
             sources: { include: ["10.0.0.0/8"], exclude: ["10.0.0.1"] },
             join: "never", vlan: 310 },
    outputs: [
      { name: "a", interface: "out0", group: "239.5.0.0/24", ttl: "decrement", dscp: 34 },
      { name: "b", interfaces: [{ nameGlob: "out?" }, { name: "other" }], group: "239.6.6.6",
        port: 9, source: { address: "10.9.9.9", port: 4000 }, mtuPolicy: "drop" },
      { group: "239.7.7.7", local: true, ttl: 3 },
      { address: "10.4.0.9", port: 8000 },
      { interface: "out0", port: 5555, source: "keep" },
    ] },
  { name: "any", input: { interface: "in0", group: "224.0.0.0/4", protocol: "any",
                          linkLocal: "relay", vlan: "any", join: "never" },
    outputs: [{ interface: "out0" }] },
] }
"#;

/// A file of an earlier relay relays; what is saved and loaded into an empty relay is the same.
pub(crate) fn saved_and_loaded(lab: &Lab) {
    let line = Line::new(lab);
    let rules = |text: &str| {
        let start = text.find('[').expect("rules");
        let end = text.rfind(']').expect("rules");
        text[start + 1..end].trim().trim_end_matches(',').to_owned()
    };
    for (what, text) in [
        ("an earlier file", EARLIER.to_owned()),
        ("every field", FULL.to_owned()),
        ("both", format!("{{ rules: [{}, {}] }}", rules(EARLIER), rules(FULL))),
    ] {
        let first = Relay::with_config(&line.relay, lab.directory(), &text);
        if what == "an earlier file" {
            first.wait_all_active(3);
            for (group, port, out, out_port) in [
                (Ipv4Addr::new(239, 1, 1, 1), 5000, Ipv4Addr::new(239, 2, 2, 2), 6000),
                (Ipv4Addr::new(239, 1, 1, 2), 5000, Ipv4Addr::new(239, 2, 2, 3), 6000),
            ] {
                gets_through(
                    (&line.source, SOURCE, group, port),
                    (&line.receiver, "rcv0", out, out_port),
                );
            }
        }
        let saved = lab.directory().join("saved.json5");
        let saved = saved.to_str().expect("a UTF-8 path");
        let shown = show(&first);
        succeeds(&first, &["config", "save", "--force", saved]);
        succeeds(&first, &["config", "check", saved]);
        succeeds(&first, &["config", "diff", saved]);
        first.stop();

        let empty = Relay::start(&line.relay, lab.directory());
        succeeds(&empty, &["config", "load", saved]);
        assert_eq!(show(&empty), shown, "{what}: loaded again");
        succeeds(&empty, &["config", "diff", saved]);
        empty.stop();
    }
}

fn show(mcrd: &Relay) -> String {
    String::from_utf8(succeeds(mcrd, &["config", "show"])).expect("UTF-8")
}

fn succeeds(mcrd: &Relay, args: &[&str]) -> Vec<u8> {
    let output = mcrd.ctl(args);
    assert!(
        output.status.success(),
        "mcrctl {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
