//! Members as real hosts: the kernel's IGMP of each version, source filters, what is on the wire for them.
//!
//! ```text
//!  +---------------+        +-----------------------+        +----------------+
//!  | source        |        | relay            out0 |--------| rcv0  receiver |
//!  | src0          |--------| in0     10.2.0.1/24   |  veth  | 10.2.0.9/24    |
//!  | 10.1.0.10/24  |  veth  | 10.1.0.1/24           |        | members        |
//!  +---------------+        +-----------------------+        +----------------+
//! ```

use crate::lab::{
    Frame, Injector, Lab, Line, Members, Relay, SOON, Tap, groups, groups_on, igmp_stats,
    sources_of, wait_for,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const FIRST: Ipv4Addr = Ipv4Addr::new(239, 7, 0, 1);
const COUNT: usize = 30;
/// Last member query time: 2 x 1 s (RFC 9776 section 8.10), and what a busy machine adds.
const LEAVE: Duration = Duration::from_millis(2200);

const QUERIER: &str = r#"{ igmp: { interfaces: [{ name: "out0",
    queryIntervalSeconds: 20, queryResponseInterval: "1s" }] }, rules: [] }"#;

/// I-1: thirty groups of a host that speaks each of the versions, found by a query and by their reports,
/// and gone with their leave.
pub(crate) fn i_1_each_version(lab: &Lab) {
    let line = Line::new(lab);
    for version in 1..=3 {
        let forced = version.to_string();
        line.receiver.sysctl("net.ipv4.conf.rcv0.force_igmp_version", &forced);
        let wanted = groups(FIRST, 30);
        let before = Members::of(&line.receiver, "rcv0", &wanted);
        assert_eq!(before.sockets(), 2, "20 memberships a socket");
        let mcrd = Relay::with_config(&line.relay, lab.directory(), QUERIER);
        // They joined before the relay was there: its first query finds them.
        all_there(&mcrd, version);
        drop(before);
        gone_after_a_leave(&mcrd, version);
        if version > 1 {
            let again = Members::of(&line.receiver, "rcv0", &wanted);
            all_there(&mcrd, version);
            drop(again);
            gone_after_a_leave(&mcrd, version);
        }
        mcrd.stop();
    }
}

fn all_there(mcrd: &Relay, version: u64) {
    // Hosts of versions 1 and 2 answer within ten seconds.
    wait_for(&format!("{COUNT} groups of version {version}"), SOON * 3, || {
        let there = groups_on(mcrd, "out0");
        let right = there.values().all(|group| group["version"] == version);
        if there.len() == COUNT && right { Ok(()) } else { Err(format!("{there:?}")) }
    });
}

fn gone_after_a_leave(mcrd: &Relay, version: u64) {
    let start = Instant::now();
    if version == 1 {
        // It has no leave: nothing may go before its time.
        let there = groups_on(mcrd, "out0");
        assert_eq!(there.len(), COUNT, "{there:?}");
        assert!(igmp_stats(mcrd, "out0")["received"]["leave"].is_null());
        return;
    }
    wait_for("the groups are gone", SOON, || {
        let there = groups_on(mcrd, "out0");
        if there.is_empty() { Ok(()) } else { Err(format!("{there:?}")) }
    });
    let took = start.elapsed();
    println!("version {version}: {COUNT} groups gone {} ms after their leave", took.as_millis());
    assert!(took >= Duration::from_millis(1500), "gone without asking who is left: {took:?}");
    if crate::lab::verify() {
        assert!(took <= LEAVE, "{took:?}");
    }
}

const KEPT: &str = r#"{
    igmp: { interfaces: [{ name: "out0", queryIntervalSeconds: 20, queryResponseInterval: "1s" }] },
    rules: [{ name: "kept", input: { interface: "in0", group: "239.7.0.0/16", join: "on-demand" },
        outputs: [{ interface: "out0", when: "joined", source: "keep", ttl: "keep" }] }] }"#;

/// I-2, V3-13: what members include and exclude is what is on the wire, and asked for upstream.
pub(crate) fn i_2_source_filters(lab: &Lab) {
    let line = Line::new(lab);
    let sources = [10, 11, 12].map(|last| Ipv4Addr::new(10, 1, 0, last));
    let mcrd = Relay::with_config(&line.relay, lab.directory(), KEPT);
    mcrd.wait_all_active(1);
    let [one, two, three] = sources;
    let group = FIRST;
    // Exactly these two.
    let member = Members::including(&line.receiver, "rcv0", group, &[one, two]);
    shown(&mcrd, group, "INCLUDE", &[one, two]);
    on_the_wire(&line, group, &sources, &[one, two]);
    drop(member);
    // One of two leaves: the other goes on.
    let first = Members::including(&line.receiver, "rcv0", group, &[one]);
    let second = Members::including(&line.receiver, "rcv0", group, &[two]);
    shown(&mcrd, group, "INCLUDE", &[one, two]);
    let asked = questions(&mcrd);
    drop(first);
    shown(&mcrd, group, "INCLUDE", &[two]);
    let asked_now = questions(&mcrd);
    assert!(asked_now >= asked + 2, "who else wants {one} was asked {asked} -> {asked_now} times");
    on_the_wire(&line, group, &sources, &[two]);
    drop(second);
    wait_for("nobody is left", SOON, || {
        let there = groups_on(&mcrd, "out0");
        if there.is_empty() { Ok(()) } else { Err(format!("{there:?}")) }
    });
    // All but one.
    let member = Members::excluding(&line.receiver, "rcv0", group, &[three]);
    shown(&mcrd, group, "EXCLUDE", &[three]);
    on_the_wire(&line, group, &sources, &[one, two]);
    drop(member);
    mcrd.stop();
}

fn shown(mcrd: &Relay, group: Ipv4Addr, mode: &str, sources: &[Ipv4Addr]) {
    wait_for(&format!("{group} is {mode} {sources:?}"), SOON, || {
        let there = groups_on(mcrd, "out0");
        let Some(found) = there.get(&group) else { return Err(format!("{there:?}")) };
        let right = found["mode"] == mode && sources_of(found) == sources;
        if right { Ok(()) } else { Err(found.to_string()) }
    });
}

/// Sends one datagram of each source, and of the last one more to see that all have passed.
fn on_the_wire(line: &Line, group: Ipv4Addr, sources: &[Ipv4Addr], expected: &[Ipv4Addr]) {
    let injector = Injector::new(&line.source, "src0");
    let tap = Tap::new(&line.receiver, "rcv0");
    let last = expected.last().expect("somebody is heard");
    wait_for(&format!("{group} from {expected:?} is on the wire"), SOON, || {
        for source in sources.iter().chain([last]) {
            injector.send(&Frame::udp(*source, group, 5000, b"filtered").ttl(9));
        }
        let mut seen = sources_seen(&tap, group);
        seen.sort_unstable();
        seen.dedup();
        if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

/// Group-and-source-specific queries so far.
fn questions(mcrd: &Relay) -> u64 {
    igmp_stats(mcrd, "out0")["sent"]["group_source_query"].as_u64().unwrap_or(0)
}

/// Who was heard at a group, until nothing more comes.
fn sources_seen(tap: &Tap, group: Ipv4Addr) -> Vec<Ipv4Addr> {
    let frames = std::iter::from_fn(|| tap.next(Duration::from_millis(50)));
    let of_group = frames.filter(|frame| frame.to() == group);
    of_group.map(|frame| frame.from()).collect()
}
