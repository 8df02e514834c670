//! SIGKILL for control, again and again, while something changes: a rule that does not change loses and
//! doubles nothing, and nothing is left of any round.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay              out0 |--------| rcv0          |
//!  | src0           |--------| in0                     |  veth  |               |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24       veth0 |========| pod0          |  === come and go
//!  +----------------+        |                     ... |========| ...  receiver |      in `churn`
//!                            +-------------------------+        +---------------+
//!  "stays": in0 239.1.1.1 -> out0, in all of them
//! ```

use crate::lab::{
    Joined, Lab, Line, Relay, Rounds, SOON, Send, Stream, output, rule, sent, sent_by, verify,
    wait_for,
};
use std::net::Ipv4Addr;
use std::time::Duration;

const STAYS: &str = r#"{ name: "stays", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
    outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] }"#;

/// Enough rounds for something left behind by each of them to show.
fn rounds() -> u16 {
    if verify() { 100 } else { 4 }
}

fn stream(line: &Line, rate: u64) -> Stream {
    let to = ("239.1.1.1", 5000);
    let send =
        Send { interface: "src0", to, rate, count: Stream::ENDLESS, stream: 1, args: "--size 200" };
    Stream::start((&line.source, &send), (&line.receiver, "rcv0", ("239.2.2.2", 6000)))
}

fn forwarded(mcrd: &Relay) -> u64 {
    sent_by(mcrd, "stays")
}

/// Waits until the rule that stays has forwarded some more.
fn flows(mcrd: &Relay, before: u64) -> u64 {
    wait_for("traffic flows", SOON, || match forwarded(mcrd) {
        now if now > before => Ok(now),
        now => Err(now),
    })
}

/// The end of each: nothing is lost or doubled, and the counters agree.
fn unharmed(what: &str, stream: Stream, mcrd: Relay, watch: Rounds) {
    let count = stream.end(what);
    let stats = mcrd.json(&["stats"]);
    assert_eq!(sent(output(rule(&stats, "stays"), 0)), count, "{what}: the counters go on");
    assert_eq!(stats["ledger"]["closes"], true, "{what}: {}", stats["ledger"]);
    println!("{what}: {count} datagrams, none lost, none doubled");
    watch.end(what);
    mcrd.stop();
}

/// A file with the rule that stays and another one that differs from version to version.
fn swapped(version: u16) -> String {
    format!(
        r#"{{ dataplane: {{ holdTime: "1s" }}, rules: [ {STAYS},
    {{ name: "changes", input: {{ interface: "in0", group: "239.1.1.2", port: 5000 }},
       outputs: [{{ interface: "out0", group: "239.2.2.3", port: {} }}] }} ] }}"#,
        7000 + version
    )
}

/// Killed while a reloaded file takes effect.
pub(crate) fn during_swaps(lab: &Lab) {
    let line = Line::new(lab);
    let mut mcrd = Relay::with_config(&line.relay, lab.directory(), &swapped(0));
    mcrd.wait_all_active(2);
    let mut watch = Rounds::begin(&line.relay, mcrd.plane_pid());
    let stream = stream(&line, 5_000);
    let mut before = flows(&mcrd, 0);
    for round in 1..=rounds() {
        mcrd.reload(&swapped(round));
        // Not a wait for anything: killed at another moment of the swap each time.
        std::thread::sleep(Duration::from_millis(u64::from(round % 7)));
        mcrd.kill();
        mcrd = mcrd.again(&line.relay);
        mcrd.wait_all_active(2);
        before = flows(&mcrd, before);
        watch.over(mcrd.plane_pid());
    }
    unharmed("control was killed during swaps", stream, mcrd, watch);
}

/// Killed under load, with nothing else to do.
pub(crate) fn under_load(lab: &Lab) {
    let line = Line::new(lab);
    let mut mcrd = Relay::with_config(&line.relay, lab.directory(), &swapped(0));
    mcrd.wait_all_active(2);
    let mut watch = Rounds::begin(&line.relay, mcrd.plane_pid());
    let rate = if verify() { 50_000 } else { 10_000 };
    let stream = stream(&line, rate);
    let mut before = flows(&mcrd, 0);
    for _ in 0..rounds() {
        mcrd.kill();
        mcrd = mcrd.again(&line.relay);
        mcrd.wait_all_active(2);
        before = flows(&mcrd, before);
        watch.over(mcrd.plane_pid());
    }
    unharmed(&format!("control was killed at {rate} a second"), stream, mcrd, watch);
}

/// Interfaces that come and go all at once, in one run of ip(8).
struct Pods<'a> {
    lab: &'a Lab,
    line: &'a Line,
    count: u16,
}

impl Pods<'_> {
    /// Each is an output of one rule, and an input of another.
    fn file(&self) -> String {
        format!(
            r#"{{ dataplane: {{ holdTime: "1s" }}, rules: [ {STAYS},
    {{ name: "to", input: {{ interface: "in0", group: "239.1.1.2", port: 5000 }},
       outputs: [{{ interfaces: [{{ nameGlob: "veth*" }}], group: "239.2.2.3", port: 6001 }}] }},
    {{ name: "from", input: {{ interfaces: [{{ nameGlob: "veth*" }}], group: "239.1.1.3", port: 5000 }},
       outputs: [{{ interface: "out0", group: "239.2.2.4", port: 6002 }}] }} ] }}"#
        )
    }

    /// What ip(8) is to do in the relay, and then in the receiver.
    fn batches(&self, come: bool) -> [String; 2] {
        let numbers = 0..self.count;
        if !come {
            return [numbers.map(|n| format!("link del veth{n}\n")).collect(), String::new()];
        }
        let near = |n: u16| {
            let [high, low] = (n + 1).to_be_bytes();
            format!(
                "link add veth{n} type veth peer name pod{n} netns receiver\n\
                 link set veth{n} up\naddress add 10.100.{high}.{low}/32 dev veth{n}\n"
            )
        };
        [
            numbers.clone().map(near).collect(),
            numbers.map(|n| format!("link set pod{n} up\n")).collect(),
        ]
    }

    /// Kills control for as long as they come, or go. Returns how often.
    fn change(&self, come: bool, mut mcrd: Relay, pause: Duration) -> (Relay, u64) {
        let [near, far] = ["near", "far"].map(|name| self.lab.directory().join(name));
        for (path, text) in [&near, &far].iter().zip(self.batches(come)) {
            std::fs::write(path, text).expect("writes");
        }
        let (near, far) = (near.display(), far.display());
        let command = format!("ip -batch {near} && ip -netns receiver -batch {far}");
        let mut ip = self.line.relay.spawn("sh", &["-c", &command]);
        let mut kills = 0;
        let status = loop {
            // Not a wait for anything: killed at another moment each time.
            std::thread::sleep(pause);
            mcrd.kill();
            mcrd = mcrd.again(&self.line.relay);
            kills += 1;
            if let Some(status) = ip.try_wait() {
                break status;
            }
        };
        assert!(status.success(), "ip -batch: {status}: {}", ip.stderr());
        (mcrd, kills)
    }

    /// The group is joined on each of those that are there, and on nothing else.
    fn joined(&self, here: bool) {
        let wanted = if here { usize::from(self.count) } else { 0 };
        wait_for(&format!("{wanted} interfaces have joined"), SOON * 3, || {
            let joined = Joined::now(&self.line.relay);
            let on = |n| joined.on(&format!("veth{n}")) == [Ipv4Addr::new(239, 1, 1, 3)];
            let there = (0..self.count).filter(|n| on(*n)).count();
            // And the two that stay.
            let right = there == wanted && joined.groups.len() == wanted + 2;
            if right { Ok(()) } else { Err(format!("{there}: {joined:?}")) }
        });
    }
}

/// Killed while many interfaces appear and disappear that rules select.
pub(crate) fn during_churn(lab: &Lab) {
    let line = Line::new(lab);
    let pods = Pods { lab, line: &line, count: if verify() { 200 } else { 20 } };
    let mut mcrd = Relay::with_config(&line.relay, lab.directory(), &pods.file());
    mcrd.wait_state("stays", "active");
    let mut watch = Rounds::begin(&line.relay, mcrd.plane_pid());
    let stream = stream(&line, 5_000);
    // What goes to those that come and go: some of it has nowhere to go.
    let to = ("239.1.1.2", 5000);
    let count = Stream::ENDLESS;
    let others = Send { interface: "src0", to, rate: 200, count, stream: 2, args: "" };
    let others = others.start(&line.source);
    let mut before = flows(&mcrd, 0);
    let mut kills = 0;
    for round in 0..rounds() {
        let come = round % 2 == 0;
        let pause = Duration::from_millis(u64::from(round) * 13 % 50);
        let (again, more) = pods.change(come, mcrd, pause);
        (mcrd, kills) = (again, kills + more);
        pods.joined(come);
        before = flows(&mcrd, before);
        watch.over(mcrd.plane_pid());
    }
    drop(others);
    println!("control was killed {kills} times while {} interfaces came or went", pods.count);
    unharmed("control was killed during churn", stream, mcrd, watch);
}
