//! What the querier says and heeds, byte for byte: the test is the host and the other router.
//!
//! ```text
//!  +---------------------+        +----------------------+
//!  | relay          out0 |--------| rcv0        receiver |
//!  | 10.2.0.5/24         |  veth  | frames by hand, tap  |
//!  +---------------------+        +----------------------+
//! ```

use crate::lab::igmp_frames::{
    ALL_SYSTEMS, group_record, igmp, is_sealed, leave, query_v3, record, report, report_v3,
};
use crate::lab::{
    Frame, Injector, Lab, Line, Relay, SOON, Tap, groups_on, igmp_on, igmp_stats, sources_of,
    wait_for, wait_group,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 77);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const QUERY: u8 = 0x11;
const S_FLAG: u8 = 8;

const fn group(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 5, 5, last)
}

fn sources(first: u16, count: u16) -> Vec<Ipv4Addr> {
    let source = |n: u16| Ipv4Addr::from(0x0a09_0000 + u32::from(n));
    (first..first + count).map(source).collect()
}

struct Wire {
    line: Line,
    tap: Tap,
    injector: Injector,
}

impl Wire {
    fn new(lab: &Lab) -> Self {
        let line = Line::new(lab);
        line.relay.run("ip address flush dev out0");
        line.relay.address("out0", &format!("{RELAY}/24"));
        let tap = Tap::new(&line.receiver, "rcv0");
        let injector = Injector::new(&line.receiver, "rcv0");
        Self { line, tap, injector }
    }

    /// With these settings of the interface besides its name.
    fn relay(&self, lab: &Lab, settings: &str) -> Relay {
        let text =
            format!("{{ igmp: {{ interfaces: [{{ name: 'out0', {settings} }}] }}, rules: [] }}");
        Relay::with_config(&self.line.relay, lab.directory(), &text)
    }

    /// With a general query half a minute from now.
    fn quiet_relay(&self, lab: &Lab) -> Relay {
        let mcrd = self.relay(lab, "queryIntervalSeconds: 120, queryResponseInterval: '1s'");
        self.query(ALL_SYSTEMS);
        mcrd
    }

    /// The next query to this address, and when it came.
    fn query(&self, to: Ipv4Addr) -> (Query, Instant) {
        let until = Instant::now() + SOON;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let frame = self.tap.next(left).unwrap_or_else(|| panic!("no query to {to}"));
            let now = Instant::now();
            if frame.protocol() == 2 && frame.to() == to && frame.ip_payload()[0] == QUERY {
                return (Query(frame), now);
            }
        }
    }

    fn send(&self, frames: &[Frame]) {
        frames.iter().for_each(|frame| self.injector.send(frame));
    }

    fn is_gone(&self, mcrd: &Relay, group: Ipv4Addr) -> Instant {
        wait_for(&format!("{group} is gone"), SOON, || {
            let there = groups_on(mcrd, "out0");
            if there.contains_key(&group) { Err(format!("{there:?}")) } else { Ok(Instant::now()) }
        })
    }
}

/// A query that is right as a packet (V2-1).
struct Query(Frame);

impl Query {
    fn message(&self) -> &[u8] {
        self.0.ip_payload()
    }

    /// Without checksums, which are right.
    fn check(&self, to: Ipv4Addr, expected: &[u8]) {
        let frame = &self.0;
        let header = frame.ip_header();
        assert_eq!((header.len(), header[1], header[8]), (24, 0xc0, 1), "length, precedence, TTL");
        assert_eq!(header[20..], [0x94, 4, 0, 0], "Router Alert (RFC 2113)");
        assert_eq!((frame.from(), frame.to()), (RELAY, to));
        let [_, b, c, d] = to.octets();
        assert_eq!(frame.bytes()[..6], [1, 0, 0x5e, b & 0x7f, c, d]);
        // Sealed again it is the same.
        assert_eq!(*frame, frame.clone().ttl(1), "the header's checksum");
        assert!(is_sealed(self.message()), "the message's checksum");
        let mut message = self.message().to_vec();
        message[2..4].copy_from_slice(&[0, 0]);
        assert_eq!(message, expected);
    }

    fn sources(&self) -> Vec<Ipv4Addr> {
        let message = self.message();
        let count = usize::from(u16::from_be_bytes([message[10], message[11]]));
        assert_eq!(message.len(), 12 + count * 4);
        message[12..].chunks(4).map(|s| Ipv4Addr::new(s[0], s[1], s[2], s[3])).collect()
    }

    fn suppresses(&self) -> bool {
        self.message()[8] & S_FLAG != 0
    }
}

/// General queries: their bytes in each version, the burst at the start, the interval.
pub(crate) fn v2_1_v2_2_v2_3_v3_1_general_queries(lab: &Lab) {
    let wire = Wire::new(lab);
    let check = |settings: &str, expected: &[u8]| {
        let mcrd = wire.relay(lab, settings);
        let (first, at) = wire.query(ALL_SYSTEMS);
        first.check(ALL_SYSTEMS, expected);
        (mcrd, at)
    };
    const TIMES: &str = "queryIntervalSeconds: 8, queryResponseInterval: '1s'";
    let (mcrd, first) = check(TIMES, &[QUERY, 10, 0, 0, 0, 0, 0, 0, 2, 8, 0, 0]);
    // Robustness 2: one more after a quarter of the interval (V2-2), then at the interval (V2-3).
    let (_, second) = wire.query(ALL_SYSTEMS);
    let (_, third) = wire.query(ALL_SYSTEMS);
    assert!(second - first > Duration::from_millis(1900), "{:?}", second - first);
    assert!(third - second > Duration::from_millis(7900), "{:?}", third - second);
    assert!(third - second > (second - first) * 2, "{:?}", second - first);
    mcrd.stop();
    check(&format!("version: 2, {TIMES}"), &[QUERY, 10, 0, 0, 0, 0, 0, 0]).0.stop();
    check(&format!("version: 1, {TIMES}"), &[QUERY, 0, 0, 0, 0, 0, 0, 0]).0.stop();
    // 25 x 2^3 s between queries, 20 x 2^3 tenths to answer (RFC 9776 sections 4.1.1 and 4.1.7), robustness 5.
    let floats = "queryIntervalSeconds: 200, queryResponseInterval: '16s', robustness: 5";
    check(floats, &[QUERY, 0x84, 0, 0, 0, 0, 0, 0, 5, 0x89, 0, 0]).0.stop();
}

/// Leaves: who is asked, how often, how long it takes, and who stays.
pub(crate) fn v2_6_v2_7_v3_5_v3_7_v3_8_questions_after_a_leave(lab: &Lab) {
    let wire = Wire::new(lab);
    let mcrd = wire.quiet_relay(lab);
    let asked = |group: Ipv4Addr| {
        let [a, b, c, d] = group.octets();
        [QUERY, 10, 0, 0, a, b, c, d, 2, 120, 0, 0]
    };

    // V2-6: at once, and again after a second; gone a second after that.
    wire.send(&[report(2, HOST, group(1))]);
    wait_group(&mcrd, "out0", group(1));
    let left = Instant::now();
    wire.send(&[leave(HOST, group(1))]);
    let (first, at) = wire.query(group(1));
    first.check(group(1), &asked(group(1)));
    let (second, then) = wire.query(group(1));
    second.check(group(1), &asked(group(1)));
    assert!(then - at > Duration::from_millis(900), "{:?}", then - at);
    assert!(at - left < then - at, "the first at once: {:?}", at - left);
    let gone = wire.is_gone(&mcrd, group(1));
    assert!(gone - left > Duration::from_millis(1900), "{:?}", gone - left);

    // V2-7: who answers stays.
    wire.send(&[report(2, HOST, group(2))]);
    wait_group(&mcrd, "out0", group(2));
    wire.send(&[leave(HOST, group(2))]);
    wire.query(group(2));
    wire.send(&[report(2, HOST, group(2))]);

    // V3-5, V3-8: two sources are given up; one is confirmed, which the second question says by its S flag.
    let three = sources(1, 3);
    let record = |kind: u8, group, sources: &[Ipv4Addr]| {
        report_v3(HOST, &[group_record(kind, 0, group, sources)])
    };
    wire.send(&[record(record::ALLOW, group(3), &three)]);
    wait_group(&mcrd, "out0", group(3));
    wire.send(&[record(record::BLOCK, group(3), &three[1..])]);
    let (question, _) = wire.query(group(3));
    assert_eq!((question.sources(), question.suppresses()), (three[1..].to_vec(), false));
    wire.send(&[record(record::IS_IN, group(3), &three[2..])]);
    let seconds = [wire.query(group(3)).0, wire.query(group(3)).0];
    let by_flag = |suppresses| {
        let of_flag = seconds.iter().filter(|query| query.suppresses() == suppresses);
        of_flag.flat_map(Query::sources).collect::<Vec<_>>()
    };
    assert_eq!((by_flag(true), by_flag(false)), (vec![three[2]], vec![three[1]]));
    wait_for("the source that nobody wants is gone", SOON, || {
        let there = sources_of(&groups_on(&mcrd, "out0")[&group(3)]);
        if there == [three[0], three[2]] { Ok(()) } else { Err(format!("{there:?}")) }
    });
    // More than the last member query time has passed since its leave.
    wait_group(&mcrd, "out0", group(2));

    // V3-7: 400 sources are asked for in packets that fit the MTU.
    let many = sources(1000, 400);
    let halves = many.chunks(200).map(|half| record(record::ALLOW, group(4), half));
    wire.send(&halves.collect::<Vec<_>>());
    wait_for("400 sources", SOON, || match groups_on(&mcrd, "out0").get(&group(4)) {
        Some(group) if group["sourcesCount"] == 400 => Ok(()),
        other => Err(format!("{:?}", other.map(|group| group["sourcesCount"].clone()))),
    });
    wire.send(&[record(record::TO_IN, group(4), &[])]);
    let parts = [wire.query(group(4)).0, wire.query(group(4)).0];
    assert_eq!(parts.each_ref().map(|part| part.sources().len()), [366, 34]);
    assert!(parts.iter().all(|part| part.0.bytes().len() <= 14 + 1500 && !part.suppresses()));
    let mut all: Vec<Ipv4Addr> = parts.iter().flat_map(Query::sources).collect();
    all.sort_unstable();
    assert_eq!(all, many);
    wire.is_gone(&mcrd, group(4));
    mcrd.stop();
}

/// What is wrong, of an older version or of nobody: named and without effect; what is right beside it counts.
pub(crate) fn v2_10_v2_11_v2_12_v2_13_v3_2_v3_10_v3_11_what_reports_do(lab: &Lab) {
    let wire = Wire::new(lab);
    let mcrd = wire.quiet_relay(lab);
    let stranger = Ipv4Addr::new(192, 0, 2, 9);
    let specific = Ipv4Addr::new(232, 1, 1, 1);
    let good = report(2, HOST, group(9));
    let kind = |kind: u8| igmp(HOST, group(9), vec![kind, 0, 0, 0, 239, 5, 5, 9]);
    let unsealed = good.clone().udp_bytes(2, &[0, 1]);
    let of_three = sources(1, 3);
    wire.send(&[
        // V2-11, and packets that did not begin on this link.
        unsealed,
        igmp(HOST, group(9), vec![0x16, 0, 0, 0]),
        kind(0x20),
        good.clone().ttl(2),
        good.clone().ip_unsealed(10, &[0, 1]),
        // A claim of 65,535 sources in a short report.
        igmp(HOST, Ipv4Addr::new(224, 0, 0, 22), {
            let mut message = vec![0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0xff, 0xff, 239, 5, 5, 9];
            message.extend([0; 8]);
            message
        }),
        // V2-13, V3-11.
        report(2, stranger, group(9)),
        report(2, HOST, specific),
        report_v3(HOST, &[group_record(record::IS_EX, 0, specific, &[])]),
        // V2-10: a leave is for all routers.
        report(2, HOST, group(1)),
        igmp(HOST, group(1), vec![0x17, 0, 0, 0, 239, 5, 5, 1]),
        // V2-12, V3-10: version 1 hides leaves, version 2 hides sources.
        report(1, HOST, group(2)),
        leave(HOST, group(2)),
        report_v3(HOST, &[group_record(record::TO_IN, 0, group(2), &[])]),
        report(2, HOST, group(3)),
        report_v3(HOST, &[group_record(record::BLOCK, 0, group(3), &of_three)]),
        // V2-13: a host that has no address yet.
        report(2, ANY, group(4)),
        // V3-2: every record, behind one of a kind that nobody knows, and past auxiliary data.
        report_v3(
            HOST,
            &[
                group_record(99, 3, group(8), &of_three),
                group_record(record::IS_IN, 2, group(5), &of_three[..2]),
                group_record(record::IS_EX, 0, group(6), &of_three[2..]),
            ],
        ),
        report(2, HOST, group(7)),
    ]);
    let there = wait_group(&mcrd, "out0", group(7));
    let shown: Vec<(Ipv4Addr, u64, String, Vec<Ipv4Addr>)> = there
        .iter()
        .map(|(group, shown)| {
            let version = shown["version"].as_u64().expect("a version");
            let mode = shown["mode"].as_str().expect("a mode").to_owned();
            (*group, version, mode, sources_of(shown))
        })
        .collect();
    let (include, exclude) = (|| "INCLUDE".to_owned(), || "EXCLUDE".to_owned());
    assert_eq!(
        shown,
        [
            (group(1), 2, exclude(), vec![]),
            (group(2), 1, exclude(), vec![]),
            (group(3), 2, exclude(), vec![]),
            (group(4), 2, exclude(), vec![]),
            (group(5), 3, include(), of_three[..2].to_vec()),
            (group(6), 3, exclude(), of_three[2..].to_vec()),
            (group(7), 2, exclude(), vec![]),
        ]
    );
    let stats = igmp_stats(&mcrd, "out0");
    for (reason, count) in [
        ("checksum", 1),
        ("short", 1),
        ("length", 1),
        ("unknown_type", 1),
        ("ttl", 1),
        ("ip_checksum", 1),
        ("off_subnet", 1),
        ("ssm_range", 2),
        ("destination", 1),
        ("unknown_record", 1),
    ] {
        assert_eq!(stats["dropped"][reason], count, "{reason}: {stats}");
    }
    // Nobody has left: nobody is asked.
    assert_eq!(stats["sent"]["group_query"].as_u64().unwrap_or(0), 0, "{stats}");
    mcrd.stop();
}

/// Another router that asks: who wins, what it tells us, and what becomes of our own questions.
pub(crate) fn v2_4_v2_8_v2_9_v3_8_v3_9_another_querier(lab: &Lab) {
    let wire = Wire::new(lab);
    let mcrd = wire.quiet_relay(lab);
    let general = |from| query_v3(from, ANY, 3, 2, false);
    let (lower, higher) = (Ipv4Addr::new(10, 2, 0, 2), Ipv4Addr::new(10, 2, 0, 200));
    // V2-4: none of these elects anybody; a report behind them is read after them.
    wire.send(&[
        general(higher),
        general(ANY),
        general(Ipv4Addr::new(10, 1, 0, 1)),
        general(lower).destination(RELAY).target_mac([0xff; 6]),
        report(2, HOST, group(1)),
    ]);
    wait_group(&mcrd, "out0", group(1));
    assert_eq!(igmp_on(&mcrd, "out0")["querier"], "local", "{}", igmp_on(&mcrd, "out0"));

    // V2-8: what we have begun to ask we ask to the end. V3-9: its robustness and interval are ours.
    wire.send(&[leave(HOST, group(1))]);
    wire.query(group(1));
    wire.send(&[general(lower)]);
    wire.query(group(1));
    let shown = igmp_on(&mcrd, "out0");
    assert_eq!(
        (&shown["querier"], &shown["querierIp"]),
        (&"other".into(), &lower.to_string().into())
    );
    assert_eq!((&shown["robustness"], &shown["queryInterval"]), (&3.into(), &2.into()), "{shown}");
    wire.is_gone(&mcrd, group(1));

    // V2-9, V3-8: its questions lower our timers, unless it says that they shall not.
    wire.send(&[report(2, HOST, group(2)), report(2, HOST, group(3)), general(lower)]);
    wait_group(&mcrd, "out0", group(3));
    let asked = Instant::now();
    wire.send(&[query_v3(lower, group(2), 3, 2, false), query_v3(lower, group(3), 3, 2, true)]);
    let gone = wire.is_gone(&mcrd, group(2));
    // Three times the second that it gives hosts to answer.
    assert!(gone - asked > Duration::from_millis(2900), "{:?}", gone - asked);
    wait_group(&mcrd, "out0", group(3));

    // V2-4: it falls silent for longer than 3 x 2 s + 0.5 s.
    wire.query(ALL_SYSTEMS).0.check(ALL_SYSTEMS, &[QUERY, 10, 0, 0, 0, 0, 0, 0, 2, 120, 0, 0]);
    assert_eq!(igmp_on(&mcrd, "out0")["querier"], "local");
    mcrd.stop();
}
