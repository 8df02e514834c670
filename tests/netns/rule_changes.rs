//! Many rules changed one by one and as a whole under traffic: a rule that does not change loses nothing.
//! How long a change takes, from the call until all workers have it, is printed, not asserted.
//!
//! The topology is that of `lab::Line`, with one output. Every rule has a group of its own.

use crate::lab::{Lab, Line, Relay, SOON, Send, Stream, output, rule, sent, verify, wait_for};
use mcr::api::Client;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

struct Size {
    rules: u32,
    changes: u32,
    /// Changes of all rules at once, of each kind.
    wholes: u16,
    rate: u64,
    args: &'static str,
}

fn size() -> Size {
    if verify() {
        let args = "--size 200 --gso --train 1-16";
        return Size { rules: 10_000, changes: 1_000, wholes: 20, rate: 200_000, args };
    }
    Size { rules: 300, changes: 50, wholes: 3, rate: 10_000, args: "--size 200" }
}

fn group(side: u8, number: u32) -> Ipv4Addr {
    let [.., high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(239, side, high, low)
}

fn stays() -> Value {
    json!({ "name": "stays", "input": { "interface": "in0", "group": "239.9.1.1", "port": 5000 },
            "outputs": [{ "interface": "out0", "group": "239.9.2.2", "port": 6000 }] })
}

/// One of the many; they differ from version to version by the port that they send to.
fn one(number: u32, version: u16) -> Value {
    json!({ "name": format!("r{number}"),
            "input": { "interface": "in0", "group": group(1, number), "port": 5000 },
            "outputs": [{ "interface": "out0", "group": group(2, number), "port": 7000 + version }] })
}

fn all(rules: u32, version: u16) -> impl Iterator<Item = Value> {
    (0..rules).map(move |number| one(number, version))
}

/// The API as mcrctl uses it, without the start of a program for each call.
struct Api {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn of(mcrd: &Relay) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { client: Client::new(mcrd.socket()), runtime: runtime.expect("a runtime") }
    }

    /// Adds a rule. Returns the time until all workers had it.
    fn add(&self, rule: &Value) -> Duration {
        let start = Instant::now();
        let added = self.runtime.block_on(self.client.add_rule(rule));
        let elapsed = start.elapsed();
        let (added, new) = added.unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert!(new, "{rule} was there: {added:?}");
        elapsed
    }

    /// Removes a rule. Returns the time until no worker had it.
    fn remove(&self, name: &str) -> Duration {
        let start = Instant::now();
        let removed = self.runtime.block_on(self.client.remove_rule(name));
        let elapsed = start.elapsed();
        removed.unwrap_or_else(|error| panic!("{name}: {error}"));
        elapsed
    }

    /// Replaces all rules of origin `runtime`. Returns the time until all workers had them.
    fn put(&self, rules: Vec<Value>) -> Duration {
        let document = json!({ "rules": rules });
        let start = Instant::now();
        let answer = self.runtime.block_on(self.client.put("/v1/rules", &document));
        let elapsed = start.elapsed();
        answer.unwrap_or_else(|error| panic!("PUT /v1/rules: {error}"));
        elapsed
    }

    /// Has a file read again. Returns the time until all workers work by the table that came of it.
    fn reload(&self, mcrd: &Relay, rules: Vec<Value>) -> Duration {
        let ping = || self.runtime.block_on(self.client.ping()).expect("a pong").generation;
        let before = ping();
        let text = json!({ "rules": rules }).to_string();
        let start = Instant::now();
        mcrd.reload(&text);
        wait_for("all workers have the file", SOON * 3, || {
            let workers = self.runtime.block_on(self.client.workers()).expect("workers");
            let oldest = workers.iter().map(|worker| worker.generation).min().expect("a worker");
            if oldest > before { Ok(()) } else { Err(format!("{oldest}, not above {before}")) }
        });
        start.elapsed()
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}, {} times: p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
}

/// All rules are there and send to the port of this version.
fn are(mcrd: &Relay, rules: u32, port: impl Fn(u32) -> u16) {
    let rules = usize::try_from(rules).expect("fits");
    mcrd.wait_all_active(rules + 1);
    let mroute = mcrd.json(&["mroute"]);
    let entries = mroute["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), rules + 1, "entries");
    for entry in entries {
        let to = &entry["outputs"][0];
        let group: Ipv4Addr =
            to["destination"].as_str().and_then(|g| g.parse().ok()).expect("a group");
        let [_, side, high, low] = group.octets();
        if side == 2 {
            let number = u32::from(u16::from_be_bytes([high, low])) - 1;
            assert_eq!(to["port"], port(number), "rule r{number}: {entry}");
        }
    }
}

pub(crate) fn one_by_one_and_as_a_whole(lab: &Lab) {
    let Size { rules, changes, wholes, rate, args } = size();
    let line = Line::new(lab);
    // Trains arrive as they are sent: it is the relay that has to keep up, not sender and receiver.
    line.relay.offload("out0", "tx-checksum-ip-generic", true);
    line.relay.offload("out0", "tx-udp-segmentation", true);
    let text = json!({ "rules": [stays()] }).to_string();
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    mcrd.wait_all_active(1);
    let api = Api::of(&mcrd);
    api.put(all(rules, 0).collect());
    are(&mcrd, rules, |_| 7000);

    let to = ("239.9.1.1", 5000);
    let send = Send { interface: "src0", to, rate, count: Stream::ENDLESS, stream: 1, args };
    let at = (&line.receiver, "rcv0", ("239.9.2.2", 6000));
    let stream = Stream::start((&line.source, &send), at);
    let started = Instant::now();

    // A rule goes and comes again as another, all over the table.
    let changed = |n: u32| n * 7919 % rules;
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for number in (0..changes / 2).map(changed) {
        removed.push(api.remove(&format!("r{number}")));
        added.push(api.add(&one(number, 1)));
    }
    let other: std::collections::BTreeSet<u32> = (0..changes / 2).map(changed).collect();
    are(&mcrd, rules, |number| 7000 + u16::from(other.contains(&number)));
    let put = (2..2 + wholes).map(|version| api.put(all(rules, version).collect())).collect();
    are(&mcrd, rules, |_| 7001 + wholes);
    api.put(Vec::new());
    let reloaded = (1..=wholes)
        .map(|version| {
            api.reload(&mcrd, [stays()].into_iter().chain(all(rules, version)).collect())
        })
        .collect();
    are(&mcrd, rules, |_| 7000 + wholes);

    let elapsed = started.elapsed();
    let count = stream.end("the rule that stays");
    let stats = mcrd.json(&["stats"]);
    assert_eq!(sent(output(rule(&stats, "stays"), 0)), count);
    assert_eq!(stats["ledger"]["closes"], true, "{}", stats["ledger"]);
    println!("{rules} rules, {count} datagrams in {elapsed:?}, none lost, none doubled");
    print("one rule added until all workers have it", added);
    print("one rule removed until all workers have let go", removed);
    print("all rules replaced by PUT until all workers have them", put);
    print("all rules replaced by SIGHUP until all workers have them", reloaded);
    mcrd.stop();
}

/// With workers that do not run for a moment: nothing is said to be done that they have not done.
pub(crate) fn answered_when_done(lab: &Lab) {
    let line = Line::new(lab);
    let text = json!({ "rules": [stays()] }).to_string();
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &text);
    mcrd.wait_all_active(1);
    let add = "add --name other --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
               --outputs 239.2.2.2:6000:out0";
    for (command, rules) in [(add, 2), ("remove other", 1)] {
        mcrd.signal_plane(Signal::SIGSTOP);
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut asked = mcrd.start_ctl(&words);
        wait_for("control has done it", SOON, || match mcrd.json(&["ping"])["rules"].as_u64() {
            Some(known) if known == rules => Ok(()),
            other => Err(format!("{other:?}")),
        });
        // Had it been answered at once, it would have ended before those that ask after it.
        for _ in 0..3 {
            mcrd.json(&["ping"]);
        }
        let ended = asked.try_wait().expect("a child of ours");
        mcrd.signal_plane(Signal::SIGCONT);
        assert_eq!(ended, None, "{command}: answered before the workers had it");
        assert!(asked.wait().expect("a child of ours").success(), "{command}");
    }
    mcrd.stop();
}
