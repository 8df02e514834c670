//! Several workers for one interface: each flow stays whole and in order, and so it does while its shard
//! goes from worker to worker.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay: 1 or 2 workers   |        | receiver      |
//!  | src0           |--------| in0: 2 or 4 shards out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//!    16 flows, to 239.1.1.0 .. 239.1.1.15
//! ```

use crate::lab::{Lab, Line, Receive, Relay, SOON, Send, output, rule, sent, verify, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const FLOWS: u32 = 16;

/// The source port is given: else each worker has one of its own for an incoming source, and receivers
/// would see another flow after a move.
fn file(workers: u32, shards: u32) -> String {
    format!(
        r#"{{ rules: [{{ name: "main",
             input: {{ interface: "in0", group: "239.1.1.0/28", port: 5000 }},
             outputs: [{{ interface: "out0", group: "239.2.2.0/28", port: 6000,
                         source: {{ address: "10.2.0.1", port: 7000 }} }}] }}],
           dataplane: {{ workers: {workers}, shards: {shards} }} }}"#
    )
}

fn sending(rate: u64, count: u64, args: &str) -> Send<'_> {
    Send { interface: "src0", to: ("239.1.1.0", 5000), rate, count, stream: 1, args }
}

fn receiving(count: u64) -> Receive<'static> {
    let duration = Duration::from_secs(60 + count / 5_000);
    Receive {
        interface: "rcv0",
        at: ("239.2.2.0", 6000),
        groups: FLOWS,
        count: Some(count),
        duration,
    }
}

/// The ports of in0.
fn ports(stats: &Value) -> Vec<&Value> {
    let all = stats["ports"].as_array().unwrap_or_else(|| panic!("no ports in {stats}"));
    all.iter().filter(|port| port["interface"] == "in0").collect()
}

/// All counters, once the relay has counted everything and all sums close.
fn settled(mcrd: &Relay, count: u64) -> Value {
    wait_for("all copies are counted and all sums close", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let done =
            sent(output(rule(&stats, "main"), 0)) == count && stats["ledger"]["closes"] == true;
        if done { Ok(stats) } else { Err(stats.to_string()) }
    })
}

pub(crate) fn several_workers(lab: &Lab) {
    const COUNT: u64 = 32_000;
    let line = Line::new(lab);
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file(2, 4));
    mcrd.wait_state("main", "active");
    let receiver = receiving(COUNT).start(&line.receiver);
    sending(8_000, COUNT, "--groups 16 --size 1000").run(&line.source);
    let report = receiver.report();
    report.assert_perfect("16 flows through 4 shards", COUNT);
    assert_eq!(report.flows().len(), FLOWS as usize, "{}", report.0);

    let stats = settled(&mcrd, COUNT);
    let ports = ports(&stats);
    let shards: BTreeSet<u64> = ports.iter().filter_map(|port| port["shard"].as_u64()).collect();
    assert_eq!(shards, BTreeSet::from([0, 1, 2, 3]), "{stats}");
    let matched: u64 = ports.iter().filter_map(|port| port["matched"].as_u64()).sum();
    assert_eq!(matched, COUNT);
    for worker in 0..2 {
        let of_worker = ports.iter().filter(|port| port["worker"] == worker);
        let frames: Vec<u64> = of_worker.filter_map(|port| port["frames"].as_u64()).collect();
        assert_eq!(frames.len(), 2, "two shards for each worker: {stats}");
        assert!(frames.iter().sum::<u64>() > 0, "worker {worker} saw nothing: {stats}");
    }
    let interfaces = mcrd.json(&["interfaces"]);
    let in0 =
        interfaces.as_array().and_then(|all| all.iter().find(|one| one["link"]["name"] == "in0"));
    assert_eq!(in0.map(|one| &one["shards"]), Some(&4.into()), "{interfaces}");
    mcrd.stop();
}

/// Datagrams of one flow, some in fragments and some whole.
pub(crate) fn fragments(lab: &Lab) {
    const COUNT: u64 = 8_000;
    let line = Line::new(lab);
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file(2, 2));
    mcrd.wait_state("main", "active");
    let receiver = receiving(COUNT).start(&line.receiver);
    sending(2_000, COUNT, "--groups 16 --size-range 100-6000").run(&line.source);
    receiver.report().assert_perfect("in fragments and whole", COUNT);
    let stats = settled(&mcrd, COUNT);
    let joined: Vec<u64> = ports(&stats).iter().filter_map(|p| p["joined"].as_u64()).collect();
    assert!(joined.len() == 2 && joined.iter().all(|joined| *joined > 0), "{stats}");
    mcrd.stop();
}

/// Workers 1 -> 2 -> 1 by SIGHUP, again and again, under traffic.
pub(crate) fn moved(lab: &Lab) {
    let (rate, seconds) = if verify() { (100_000, 30) } else { (10_000, 8) };
    let count = rate * seconds;
    let line = Line::new(lab);
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file(1, 4));
    mcrd.wait_state("main", "active");
    let receiver = receiving(count).start(&line.receiver);
    let mut sender = sending(rate, count, "--groups 16 --size 200").start(&line.source);
    let taken = || -> u64 {
        let stats = mcrd.json(&["stats"]);
        ports(&stats).iter().filter_map(|port| port["matched"].as_u64()).sum()
    };
    let mut rounds = 0;
    while sender.try_wait().is_none() {
        for (workers, each) in [(2, 2), (1, 4)] {
            mcrd.reload(&file(workers, 4));
            wait_for(&format!("{workers} workers have {each} shards each"), SOON, || {
                let stats = mcrd.json(&["stats"]);
                let ports = ports(&stats);
                let of = |worker| ports.iter().filter(|port| port["worker"] == worker).count();
                let there = ports.len() == 4 && (0..workers).all(|worker| of(worker) == each);
                if there { Ok(()) } else { Err(stats["ports"].to_string()) }
            });
            let before = taken();
            wait_for("traffic flows on", SOON, || {
                if taken() > before || before == count { Ok(()) } else { Err(before) }
            });
        }
        rounds += 1;
    }
    assert!(rounds >= 3, "only {rounds} rounds");
    receiver.report().assert_perfect("while shards were moved", count);
    let stats = settled(&mcrd, count);
    assert_eq!(stats["closedPorts"]["ports"], 0, "none was closed: {stats}");
    let kernel = ports(&stats);
    assert!(kernel.iter().all(|port| port["kernelDropped"] == 0), "{stats}");
    mcrd.stop();
}
