//! Every table, as exact text.

use super::*;
use crate::api::fake_core;
use crate::api::v1::ClosedPorts;
use crate::types::DropReason;

fn rule(id: &str, name: Option<&str>) -> RuleJson {
    fake_core::status(fake_core::rule(id, name)).into()
}

#[test]
fn list_shows_rules_and_why_they_wait() {
    let cam = rule("9f86d081884c7d65", Some("studio-a-cameras"));
    let mut waiting = rule("r2", None);
    waiting.origin = "file/r2".into();
    waiting.state = State::Pending;
    waiting.reason = Some("interface eth0 does not exist".into());
    waiting.input.port = None;
    waiting.input.source = None;
    waiting.outputs.truncate(1);
    waiting.outputs[0].spec.ttl = None;
    waiting.outputs[0].spec.group = None;
    waiting.outputs[0].reason = waiting.reason.clone();
    let table = rules(&[cam, waiting]);
    assert_eq!(
        table,
        "\
ID                NAME              ORIGIN   STATE    INPUT                   OUTPUTS
9f86d081884c7d65  studio-a-cameras  runtime  active   239.1.1.1:5000 on eth0  239.2.2.2:6000 via eth1 ttl 8
                                                      from 10.0.0.1           10.9.9.9:7000 ttl decrement
    output 10.9.9.9:7000 ttl decrement is pending: no route to 10.9.9.9
r2                -                 file     pending  239.1.1.1 on eth0       same group, port 6000 via eth1
    pending: interface eth0 does not exist
"
    );
}

#[test]
fn the_widest_usual_rule_fits_in_120_columns() {
    let mut wide = rule("9f86d081884c7d65", Some("a name of three words or more"));
    wide.input.interface = Some("enp130s0f0np0.3".into());
    wide.input.group = Some("239.100.100.100".into());
    wide.input.source = Some("192.168.100.100".into());
    wide.outputs[0].spec.interface = Some("enp130s0f1np1.4".into());
    wide.outputs[0].spec.group = Some("239.100.100.101".into());
    for text in [rules(&[wide.clone()]), stats(&stats_of(vec![wide]))] {
        for line in text.lines().filter(|line| !line.contains("came in")) {
            assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
        }
    }
}

#[test]
fn no_rules_say_how_to_add_one() {
    assert_eq!(rules(&[]), "no rules; `mcrctl add` adds one\n");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut evil = rule("r1", Some("\u{1b}[2Jgone\r\nfake  line\u{202e}"));
    evil.origin = "runtime/\u{1b}]0;x\u{7}".into();
    evil.input.interface = Some("eth\u{9b}0".into());
    evil.outputs[1].reason = Some("because\u{7f}\n\u{1b}c".into());
    let texts = [
        rules(std::slice::from_ref(&evil)),
        super::super::sentences::added(&evil, true),
        super::super::sentences::removed(&evil),
        stats(&stats_of(vec![evil])),
    ];
    for text in texts {
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.chars().any(bad), "{text:?}");
        assert!(!text.contains("\nfake"), "{text:?}");
    }
}

#[test]
fn add_and_remove_say_id_and_state() {
    let mut cam = rule("r1", Some("cam"));
    cam.outputs.truncate(1);
    assert_eq!(super::super::sentences::added(&cam, true), "rule r1 (runtime/cam) is active\n");
    assert_eq!(
        super::super::sentences::added(&cam, false),
        "rule r1 (runtime/cam) is active (the same rule was there already)\n"
    );
    assert_eq!(super::super::sentences::removed(&cam), "removed rule r1 (runtime/cam)\n");
    let mut waiting = rule("r1", Some("cam"));
    waiting.state = State::Pending;
    waiting.reason = Some("interface eth0 does not exist".into());
    assert_eq!(
        super::super::sentences::added(&waiting, true),
        "\
rule r1 (runtime/cam) is pending: interface eth0 does not exist
    output 10.9.9.9:7000 ttl decrement is pending: no route to 10.9.9.9
"
    );
}

fn stats_of(rules: Vec<RuleJson>) -> StatsJson {
    let stats = fake_core::stats(vec![]);
    StatsJson { rules, ..stats.into() }
}

#[test]
fn stats_show_each_counter_that_is_not_zero_and_end_with_where_packets_went() {
    let mut all = stats_of(vec![rule("r1", Some("cam"))]);
    all.rules[0].outputs[0].drops.insert("no_carrier".into(), 0);
    assert_eq!(
        stats(&all),
        "\
RULE         STATE    WHERE                            DATAGRAMS    BYTES  NOT SENT
runtime/cam  active   in 239.1.1.1:5000 on eth0             1000  1400000
                      from 10.0.0.1
             active   out 239.2.2.2:6000 via eth1            980  1372000  20 send_buffer_full
                      ttl 8
             pending  out 10.9.9.9:7000 ttl decrement          0        0

PORT  INTERFACE    WORKER  KERNEL DROPS  FRAMES  DATAGRAMS  MATCHED  NOT MATCHED
1     eth0 packet       0             5    1015       1012     1000  12 no_rule
                                                                     3 fragment_invalid

1012 datagrams came in, 1000 matched (not matched: 12 no_rule, 3 fragment_invalid); 980 of 1000 copies sent (not sent: 20 send_buffer_full); the kernel dropped 5 frames before them
all sums close
"
    );
}

#[test]
fn closed_ports_are_a_row_and_part_of_the_sum() {
    let mut all = stats_of(vec![]);
    all.ports[0].kind = PortKind::Udp;
    all.ports[0].local = Some("10.0.0.7:5000".into());
    all.closed_ports = ClosedPorts {
        ports: 2,
        kernel_received: 12,
        kernel_dropped: 1,
        frames: 11,
        whole: 11,
        joined: 0,
        datagrams: 11,
        matched: 10,
        drops: [(DropReason::NoRule, 1)].into(),
    };
    assert_eq!(
        stats(&all),
        "\
PORT  INTERFACE               WORKER  KERNEL DROPS  FRAMES  DATAGRAMS  MATCHED  NOT MATCHED
1     eth0 udp 10.0.0.7:5000       0             5    1015       1012     1000  12 no_rule
                                                                                3 fragment_invalid
-     2 ports, closed              -             1      11         11       10  1 no_rule

1023 datagrams came in, 1010 matched (not matched: 13 no_rule, 3 fragment_invalid); 0 of 0 copies sent; the kernel dropped 6 frames before them
all sums close
"
    );
}

#[test]
fn workers_say_why_they_are_slow() {
    let mut busy = fake_core::worker();
    busy.worker = 1;
    busy.tier = "io_uring-multishot".into();
    busy.tier_reason = None;
    busy.running = false;
    busy.cpu = Some(3);
    busy.notes = vec!["not bound to core 3: it is offline".into()];
    busy.buffers_exhausted = 3;
    assert_eq!(
        workers(&[fake_core::worker(), busy]),
        "\
WORKER  CORE  STATE    I/O                 GENERATION  PORTS  FRAMES  SENDS  SOCKETS  RESTARTS
     0  any   running  syscalls                     7      1    1015    980        1         0
    not the fastest I/O: kernel.io_uring_disabled is 2
     1  3     stopped  io_uring-multishot           7      1    1015    980        1         0
    not bound to core 3: it is offline
    3 times all receive buffers were in use
"
    );
}

#[test]
fn interfaces_show_state_and_use() {
    let mut bare = fake_core::interface();
    bare.link.up = false;
    bare.link.kind = String::new();
    bare.link.alt_names = vec!["enp3s0".into()];
    bare.addresses.clear();
    assert_eq!(
        interfaces(&[fake_core::interface(), bare]),
        "\
INDEX  NAME    STATE       KIND   MTU  SHARDS  ADDRESSES    INPUT OF     OUTPUT OF
    2  eth0    no carrier  veth  1500       1  10.0.0.7/24  runtime/cam  -
    2  eth0    down        -     1500       1  -            runtime/cam  -
       enp3s0
"
    );
}

#[test]
fn mroute_shows_entries_and_memberships() {
    assert_eq!(
        mroute(&fake_core::mroute()),
        "\
forwarding table, generation 7
INPUT  SOURCE  GROUP           OUTPUTS                         RULES
eth0   any     239.1.1.1:5000  239.2.2.2:6000 via eth1 ttl 16  runtime/cam
                               blocked: no_carrier

MEMBER ON  SOURCE  GROUP      JOINED
eth0       any     239.1.1.1  no
    too many memberships
"
    );
}
