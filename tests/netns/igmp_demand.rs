//! Streams that follow their receivers: a join starts one, a leave stops it, others do not notice.
//!
//! ```text
//!  +---------------+        +-----------------------+        +--------+        +-----------------+
//!  | source        |        | relay            out0 |--------| bridge |--------| first  h0       |
//!  | src0          |--------| in0     10.2.0.1/24   |  veth  |        |  veth  | 10.2.0.8/24     |
//!  | 10.1.0.10/24  |  veth  | 10.1.0.1/24           |        |        |--------| second h0       |
//!  +---------------+        +-----------------------+        +--------+        | 10.2.0.9/24     |
//!                                                                              +-----------------+
//! ```

use crate::lab::{
    Joined, Lab, Members, Namespace, Relay, SOON, Send, Stream, first_datagram, groups, groups_on,
    last_sent, listen, sent_by, told, two_receivers, verify, wait_for,
};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

const RULES: &str = r#"{
    igmp: { interfaces: [{ name: "out0", queryIntervalSeconds: 20, queryResponseInterval: "1s" }] },
    rules: [
      { name: "demanded", input: { interface: "in0", group: "239.1.1.1", port: 5000, join: "on-demand" },
        outputs: [{ interface: "out0", when: "joined" }] },
      { name: "others", input: { interface: "in0", group: "239.2.0.0/16", join: "on-demand" },
        outputs: [{ interface: "out0", when: "joined" }] },
      { name: "always", input: { interface: "in0", group: "239.3.3.3", port: 6000 },
        outputs: [{ interface: "out0" }] } ] }"#;

struct Lan {
    source: Namespace,
    relay: Namespace,
    first: Namespace,
    second: Namespace,
}

impl Lan {
    fn new(lab: &Lab) -> Self {
        let [source, relay] = ["source", "relay"].map(|name| lab.namespace(name));
        lab.veth((&source, "src0"), (&relay, "in0"), 1500);
        source.address("src0", "10.1.0.10/24");
        relay.address("in0", "10.1.0.1/24");
        let [first, second] = two_receivers(lab, &relay);
        Self { source, relay, first, second }
    }
}

/// The stream that is sent all the time, wanted or not.
fn offered(lan: &Lan, rate: u64) -> crate::lab::Process {
    let send = Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate,
        count: Stream::ENDLESS,
        stream: 1,
        args: "--size 200",
    };
    send.start(&lan.source)
}

fn nothing_upstream(lan: &Lan) {
    wait_for("nothing is asked for upstream", SOON, || {
        let joined = Joined::now(&lan.relay).on("in0");
        let of_demand: Vec<_> = joined.iter().filter(|group| group.octets()[1] != 3).collect();
        if of_demand.is_empty() { Ok(()) } else { Err(format!("{of_demand:?}")) }
    });
}

/// Joins, and the time until the first datagram.
fn join(host: &Namespace) -> (UdpSocket, Duration) {
    let start = Instant::now();
    let member = listen(host, "h0", GROUP, 5000);
    let (came, ..) = first_datagram(&member, SOON).expect("a join starts the stream");
    (member, came - start)
}

/// A join starts the stream here and upstream, a leave stops both; whoever else wants it is not cut.
pub(crate) fn a_join_starts_and_a_leave_stops(lab: &Lab) {
    let lan = Lan::new(lab);
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), RULES);
    mcrd.wait_all_active(3);
    nothing_upstream(&lan);
    let sending = offered(&lan, 1000);
    let rounds = if verify() { 100 } else { 3 };
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (member, took) = join(&lan.first);
        starts.push(took);
        assert!(Joined::now(&lan.relay).on("in0").contains(&GROUP), "asked for upstream");
        drop(member);
        let left = Instant::now();
        // A hundred times the time between two datagrams.
        stops.push(last_sent(&mcrd, "demanded", Duration::from_millis(100)) - left);
        nothing_upstream(&lan);
    }
    told("join to first packet", starts);
    told("leave to stop", stops.clone());
    // Last member query time is 2 s (RFC 9776 section 8.10).
    let longest = stops.iter().max().copied().unwrap_or_default();
    assert!(
        longest >= Duration::from_millis(1500),
        "nobody was asked who else is there: {longest:?}"
    );
    drop(sending);
    mcrd.stop();
}

/// Two receivers on the link, one leaves: the other loses nothing.
pub(crate) fn a_second_receiver_is_not_cut(lab: &Lab) {
    let lan = Lan::new(lab);
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), RULES);
    mcrd.wait_all_active(3);
    let first = Members::of(&lan.first, "h0", &[GROUP]);
    let send = Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 2000,
        count: Stream::ENDLESS,
        stream: 1,
        args: "--size 200",
    };
    let second = Members::of(&lan.second, "h0", &[GROUP]);
    wait_for("both are known", SOON, || match groups_on(&mcrd, "out0").get(&GROUP) {
        Some(group) if Joined::now(&lan.relay).on("in0").contains(&GROUP) => Ok(group.clone()),
        _ => Err("not yet"),
    });
    let stream = Stream::start((&lan.source, &send), (&lan.second, "h0", ("239.1.1.1", 5000)));
    let count = || sent_by(&mcrd, "demanded");
    let passes = |more: u64| {
        let before = count();
        wait_for("it flows on", SOON, || match count() {
            now if now > before + more => Ok(()),
            now => Err(now),
        });
    };
    passes(500);
    drop(first);
    // Longer than the last member query time: who is left was asked and has answered.
    passes(6000);
    drop(second);
    let received = stream.end("the second receiver");
    println!("{received} datagrams, none lost, while another receiver left");
    mcrd.stop();
}

/// Joins and leaves of other groups, a hundred a second, beside a stream that is always wanted.
pub(crate) fn joins_beside_a_stream(lab: &Lab) {
    let lan = Lan::new(lab);
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), RULES);
    mcrd.wait_all_active(3);
    let (rate, seconds) = if verify() { (50_000, 60) } else { (10_000, 3) };
    let send = Send {
        interface: "src0",
        to: ("239.3.3.3", 6000),
        rate,
        count: Stream::ENDLESS,
        stream: 1,
        args: "--size 200",
    };
    let stream = Stream::start((&lan.source, &send), (&lan.second, "h0", ("239.3.3.3", 6000)));
    let others = groups(Ipv4Addr::new(239, 2, 0, 1), 100);
    let start = Instant::now();
    let mut joins = 0u64;
    let mut held = std::collections::VecDeque::new();
    let mut most = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        let group = others[usize::try_from(joins).expect("few") % others.len()];
        held.push_back(Members::of(&lan.first, "h0", &[group]));
        joins += 1;
        if held.len() > 50 {
            held.pop_front();
        }
        if joins.is_multiple_of(100) {
            most = most.max(groups_on(&mcrd, "out0").len());
        }
        // The pace of the load, no wait for anything.
        let due = start + Duration::from_millis(10 * joins);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert!(most >= 50, "members were seen meanwhile: {most}");
    drop(held);
    let count = stream.end("the stream that is always wanted");
    println!("{joins} joins and leaves beside {count} datagrams, none lost");
    mcrd.stop();
}
