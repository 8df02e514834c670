//! How long a large file takes.

use crate::config::load_text;
use nix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::time::Duration;

/// Rules of the shapes that large files have: plain, prefixes with patterns, and lists of sources.
fn large(count: usize) -> String {
    let mut text = String::from("{\n  rules: [\n");
    for n in 0..count {
        let (a, b) = (n / 250 % 250, n % 250);
        let _ = match n % 4 {
            0 | 1 => writeln!(
                text,
                "    {{ name: \"camera-{n}\", input: {{ interface: \"ens1f0\", group: \"239.{a}.1.{b}\", \
                 port: 5000 }}, outputs: [{{ interface: \"eth{b}\", group: \"239.100.{a}.{b}\", port: \
                 6000 }}, {{ address: \"10.9.{a}.{b}\", port: 6000 }}] }},"
            ),
            2 => writeln!(
                text,
                "    {{ input: {{ interfaces: [{{ nameGlob: \"bond{b}.3*\", cidr: \"10.{b}.0.0/16\" }}], \
                 group: \"239.{a}.{b}.0/24\", vlan: 310 }}, outputs: [{{ interfaces: [{{ nameRegex: \
                 \"veth[0-9]+\" }}], group: \"239.200.{b}.0/24\", source: \"keep\", dscp: 34 }}] }},"
            ),
            _ => writeln!(
                text,
                "    {{ name: \"{n}\", input: {{ interface: \"ens1f0\", groups: [\"232.1.{a}.{b}\", \
                 \"232.2.{a}.{b}\"], ports: [{{ start: 5000, end: 5007 }}], sources: {{ include: \
                 [\"10.1.{a}.{b}\", \"10.2.{a}.{b}\"], exclude: [\"10.3.0.0/16\"] }} }}, outputs: [{{ \
                 interface: \"eth1\", ttl: \"decrement\" }}] }},"
            ),
        };
    }
    text.push_str("  ],\n}\n");
    text
}

/// Processor time of this thread: other work on the machine takes no part in it.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock of the thread").into()
}

#[test]
fn ten_thousand_rules() {
    let text = large(10_000);
    let best = (0..3)
        .map(|_| {
            let start = spent();
            let loaded = load_text("f", &text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(loaded.rules.len(), 10_000);
            spent() - start
        })
        .min()
        .expect("three");
    println!("10,000 rules ({} KiB): {best:?}", text.len() >> 10);
}
