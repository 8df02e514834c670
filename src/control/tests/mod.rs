//! The core on virtual time: what goes in, what comes out, in which order.

mod adoption;
mod contradictions;
mod dry_runs;
mod egress;
mod failures;
mod loops;
mod members;
mod notices;
mod outputs;
mod ownership;
mod pending;
mod properties;
mod selectors;
mod views;
mod workers;
mod world;

use super::*;
use crate::control::event::{Reply, Request, WorkerReport};
use crate::control::ports::PortState;
use crate::control::view::{RuleStatus, State};
use crate::fib::counters::{SlotCounters, WorkerCounters};
use crate::types::{
    Address, Destination, Few, IfName, Input, InterfaceSelector, Join, Link, NetSnapshot,
    Output as RuleOutput, PortRange, Protocol, Route, SourceFilter, Ttl, VlanFilter,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// A core and the time.
struct Core {
    router: Router,
    now: Time,
    /// What it has said.
    said: Vec<Notice>,
}

impl Core {
    /// One worker that runs; `a`, `b` and `c` (1, 2, 3) are up and have 10.0.N.1/24.
    fn new() -> Self {
        Self::with_workers(1)
    }

    fn with_workers(workers: u32) -> Self {
        let router = Router::new(Time(0), unbound(workers), 1);
        let mut core = Self { router, now: Time(0), said: Vec::new() };
        for worker in 0..workers {
            core.tell(ready(worker));
        }
        core.tell(Event::Net(NetEvent::Snapshot(network())));
        core.settle();
        core
    }

    fn tell(&mut self, event: Event) {
        self.router.handle(self.now, event).expect("not refused");
    }

    fn refused(&mut self, event: Event) -> Refusal {
        let before = format!("{:?}", self.router);
        let refusal = self.router.handle(self.now, event).expect_err("refused");
        assert_eq!(format!("{:?}", self.router), before, "a refusal changes nothing");
        refusal
    }

    fn settle(&mut self) -> Vec<Output> {
        self.router.settle(self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.router.poll_output()).collect();
        let is_notice = |output: &Output| matches!(output, Output::Notice(_));
        let (notices, outputs): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_notice);
        self.said.extend(notices.into_iter().filter_map(|output| match output {
            Output::Notice(notice) => Some(notice),
            _ => None,
        }));
        outputs
    }

    /// One event and what is asked for because of it, in short words.
    fn step(&mut self, event: Event) -> Vec<String> {
        self.tell(event);
        self.settle().iter().map(short).collect()
    }

    fn net(&mut self, event: NetEvent) -> Vec<String> {
        self.step(Event::Net(event))
    }

    fn add(&mut self, rule: Rule) -> Vec<String> {
        self.step(Event::AddRule(rule))
    }

    /// All workers say that they work by the newest table.
    fn acknowledge(&mut self) {
        let generation = self.router.fib.generation();
        for worker in 0..u32::try_from(self.router.workers.len()).expect("few") {
            self.tell(Event::Programmed { worker, generation });
        }
    }

    fn status(&self, id: &str) -> RuleStatus {
        self.router.rule_status(id).expect("is there")
    }

    fn state(&self, id: &str) -> (State, Option<String>) {
        let status = self.status(id);
        (status.state, status.reason)
    }

    fn slots(&self, id: &str) -> (RuleSlot, Vec<OutputSlot>) {
        let entry = self.router.rules.find(id).expect("is there");
        (entry.slot, entry.outputs.to_vec())
    }

    /// Waits for the time that the core has named and tells it.
    fn wait(&mut self) -> Vec<String> {
        self.now = self.router.next_timeout().expect("waits for something").max(self.now);
        self.step(Event::Timeout)
    }
}

fn short(output: &Output) -> String {
    match output {
        Output::OpenPort { port, worker, key, filter, .. } => {
            format!("open {port} {} at {worker}: {}", key_text(key), list(filter))
        }
        Output::SetFilter { port, filter } => format!("filter {port}: {}", list(filter)),
        Output::ClosePort { port } => format!("close {port}"),
        Output::Publish { fib, .. } => format!("publish {}", fib.generation()),
        Output::Memberships(wanted) => {
            let text = wanted.iter().map(|m| match m.source {
                Some(source) => format!("{}:{}<{source}", m.index, m.group),
                None => format!("{}:{}", m.index, m.group),
            });
            format!("join {}", text.collect::<Vec<_>>().join(" "))
        }
        Output::InterfaceGone(index) => format!("gone {index}"),
        Output::Notice(notice) => format!("{notice:?}"),
        Output::MovePort { port, worker } => format!("move {port} to {worker}"),
        Output::Workers(plans) => format!("workers {}", plans.len()),
        Output::Transmit(transmit) => format!("transmit {}", transmit.index),
        Output::LinkListeners(on) => format!("listen {}", indexes(on)),
        Output::HardwareGroups(groups) => {
            let text = groups.iter().map(|(index, group)| format!("{index}:{group}"));
            format!("hardware {}", text.collect::<Vec<_>>().join(" "))
        }
        Output::RejoinInterface(index) => format!("rejoin {index}"),
    }
}

fn indexes(of: &BTreeSet<IfIndex>) -> String {
    of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn key_text(key: &PortKey) -> String {
    match key {
        PortKey::Packet(iif, 0) => format!("packet {iif}"),
        PortKey::Packet(iif, shard) => format!("packet {iif}/{shard}"),
        PortKey::Udp(iif, address, port) => format!("udp {iif} {address}:{port}"),
    }
}

fn list(filter: &InputFilter) -> String {
    filter.destinations.iter().map(|net| net.addr().to_string()).collect::<Vec<_>>().join(" ")
}

fn ready(worker: u32) -> Event {
    Event::WorkerReady { worker, tier: "syscalls".to_owned(), reason: None, notes: Vec::new() }
}

fn died(worker: u32) -> Event {
    Event::WorkerDied { worker, reason: "panic: test".to_owned() }
}

/// Workers that are bound to no core; interfaces are not divided.
fn unbound(workers: u32) -> Layout {
    Layout::new(workers, Some(1), BTreeMap::new())
}

fn name(text: &str) -> IfName {
    text.parse().expect("interface name")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

/// One interface by its name.
fn on(interface: &str) -> Few<InterfaceSelector> {
    vec![InterfaceSelector::named(name(interface))].into()
}

/// One address, or a prefix.
fn net(text: &str) -> Few<IpNet> {
    vec![text.parse().unwrap_or_else(|_| ip(text).into())].into()
}

fn ports(port: Option<&str>) -> Few<PortRange> {
    port.map(|port| PortRange::one(port.parse().expect("a port"))).into_iter().collect()
}

fn link(index: u32, text: &str) -> Link {
    Link {
        index: IfIndex(index),
        name: name(text),
        alt_names: Vec::new(),
        up: true,
        carrier: true,
        carrier_losses: 0,
        loopback: false,
        mtu: 1500,
        kind: "veth".to_owned(),
        link_layer: LinkLayer::Ethernet,
        mac: None,
        peer: None,
    }
}

fn down(index: u32, text: &str) -> NetEvent {
    NetEvent::Link(Link { up: false, carrier: false, ..link(index, text) })
}

fn without_carrier(index: u32, text: &str) -> NetEvent {
    NetEvent::Link(Link { carrier: false, ..link(index, text) })
}

fn address(index: u32, net: &str) -> Address {
    Address { index: IfIndex(index), net: net.parse().expect("address and prefix") }
}

fn route(net: &str, oif: u32) -> Route {
    Route {
        net: net.parse().expect("prefix"),
        oif: Some(IfIndex(oif)),
        gateway: None,
        metric: 0,
        table: 254,
    }
}

fn network() -> NetSnapshot {
    NetSnapshot {
        links: vec![link(1, "a"), link(2, "b"), link(3, "c")],
        addresses: (1..4).map(|n| address(n, &format!("10.0.{n}.1/24"))).collect(),
        routes: Vec::new(),
    }
}

/// Takes 239.1.1.1:5000 on `a` and sends it on to `b`.
fn rule(id: &str) -> Rule {
    Rule {
        id: id.parse().expect("id"),
        name: None,
        origin: Origin::Runtime,
        enabled: true,
        priority: 100,
        input: Input {
            interfaces: on("a"),
            groups: net("239.1.1.1"),
            ports: ports(Some("5000")),
            sources: SourceFilter::default(),
            protocol: Protocol::Udp,
            join: Join::Always,
            link_local: false,
            vlan: VlanFilter::Untagged,
        },
        outputs: vec![output("b")].into(),
    }
}

fn output(interface: &str) -> RuleOutput {
    RuleOutput::unchanged(on(interface))
}

/// A rule with something changed.
fn with(mut rule: Rule, change: impl FnOnce(&mut Rule)) -> Rule {
    change(&mut rule);
    rule
}

fn of(origin: Origin, mut set: Vec<Rule>) -> Event {
    for rule in &mut set {
        rule.origin = origin;
    }
    Event::Rules { origin, set }
}
