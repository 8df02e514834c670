//! For tests: a core that keeps rules in a list and answers everything else with samples.

use super::server::{Exchange, Limits, serve};
use super::{Client, Publisher, bind};
use crate::control::event::{Change, Conflict, Refusal, Reply, Request};
use crate::control::view::{
    ChangeKind, ClosedPorts, DataPlaneUpgrade, FilterMode, IgmpGroup, IgmpHostSide, IgmpInterface,
    IgmpRouterSide, IgmpSource, IgmpStatistics, InterfaceStatus, Ledger, LogLevel,
    MembershipStatus, Mroute, MrouteEntry, MrouteOutput, OutputStatus, Pong, PortKind, PortStatus,
    QuerierState, RuleChange, RuleStatus, State, Stats, Traffic, Upgrade, WorkerStatus,
};
use crate::types::{
    Destination, DropReason, Few, IfIndex, Input, InterfaceSelector, Join, Link, LinkLayer, Origin,
    Output, Port, PortRange, Protocol, Rule, SourceFilter, Time, Ttl, VlanFilter,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A runtime rule from 239.1.1.1:5000 on eth0 to a group and, routed, to an address.
pub(crate) fn rule(id: &str, name: Option<&str>) -> Rule {
    let on = |name: &str| -> Few<InterfaceSelector> {
        vec![InterfaceSelector::named(name.parse().expect("a name"))].into()
    };
    let multicast = Output {
        destination: Destination::Address(ip("239.2.2.2")),
        port: Port::new(6000),
        ttl: Ttl::Set(8),
        ..Output::unchanged(on("eth1"))
    };
    let unicast = Output {
        destination: Destination::Address(ip("10.9.9.9")),
        port: Port::new(7000),
        ttl: Ttl::Decrement,
        ..Output::unchanged(Vec::new())
    };
    Rule {
        id: id.parse().expect("an id"),
        name: name.map(str::to_owned),
        origin: Origin::Runtime,
        enabled: true,
        priority: 500,
        input: Input {
            interfaces: on("eth0"),
            groups: vec![ip("239.1.1.1").into()].into(),
            ports: Port::new(5000).map(PortRange::one).into_iter().collect(),
            sources: SourceFilter { include: vec![ip("10.0.0.1").into()], exclude: Vec::new() },
            protocol: Protocol::Udp,
            join: Join::Always,
            link_local: false,
            vlan: VlanFilter::Untagged,
        },
        outputs: vec![multicast, unicast].into(),
    }
}

/// That rule at work: the first output sent 980 of 1000, the others are pending.
pub(crate) fn status(rule: Rule) -> RuleStatus {
    let mut outputs: Vec<OutputStatus> = rule
        .outputs
        .iter()
        .map(|_| OutputStatus {
            state: State::Pending,
            reason: Some("no route to 10.9.9.9".into()),
            interfaces: Vec::new(),
            wanted: 0,
            sent: Traffic::default(),
            drops: [].into(),
            joined_groups: None,
        })
        .collect();
    if let Some(first) = outputs.first_mut() {
        first.state = State::Active;
        first.reason = None;
        first.interfaces = vec![IfIndex(3)];
        first.wanted = 1000;
        first.sent = Traffic { datagrams: 980, bytes: 1_372_000 };
        first.drops = [(DropReason::SendBufferFull, 20)].into();
    }
    RuleStatus {
        rule: Arc::new(rule),
        state: State::Active,
        reason: None,
        matched: Traffic { datagrams: 1000, bytes: 1_400_000 },
        outputs,
    }
}

pub(crate) fn port() -> PortStatus {
    PortStatus {
        port: 1,
        kind: PortKind::Packet,
        index: IfIndex(2),
        interface: "eth0".into(),
        shard: 0,
        local: None,
        worker: 0,
        kernel_received: 1020,
        kernel_dropped: 5,
        frames: 1015,
        super_frames: 0,
        partial_checksums: 0,
        whole: 1012,
        joined: 0,
        held: 0,
        datagrams: 1012,
        matched: 1000,
        drops: [(DropReason::FragmentInvalid, 3), (DropReason::NoRule, 12)].into(),
    }
}

pub(crate) fn stats(rules: Vec<RuleStatus>) -> Stats {
    Stats {
        at: Time(1_000_000_000),
        ports: vec![port()],
        closed_ports: ClosedPorts::default(),
        rules,
        workers: vec![worker()],
        ledger: Ledger { closes: true, sums: vec![] },
    }
}

pub(crate) fn worker() -> WorkerStatus {
    WorkerStatus {
        worker: 0,
        tier: "syscalls".into(),
        tier_reason: Some("kernel.io_uring_disabled is 2".into()),
        cpu: None,
        notes: vec![],
        running: true,
        generation: 7,
        ports: 1,
        turns: 88,
        frames: 1015,
        sends: 980,
        egress_sockets: 1,
        egress_evictions: 0,
        buffers_exhausted: 0,
        stale_completions: 0,
        restarts: 0,
    }
}

pub(crate) fn interface() -> InterfaceStatus {
    InterfaceStatus {
        link: Link {
            index: IfIndex(2),
            name: "eth0".parse().expect("a name"),
            alt_names: vec![],
            up: true,
            carrier: false,
            carrier_losses: 3,
            loopback: false,
            mtu: 1500,
            kind: "veth".into(),
            link_layer: LinkLayer::Ethernet,
            mac: Some([2, 0, 0, 0, 0, 1]),
            peer: None,
        },
        addresses: vec!["10.0.0.7/24".parse().expect("a prefix")],
        shards: 1,
        input_of: vec!["runtime/cam".into()],
        output_of: vec![],
    }
}

pub(crate) fn mroute() -> Mroute {
    let output = MrouteOutput {
        interface: Some("eth1".into()),
        destination: Some("239.2.2.2".into()),
        port: Some(6000),
        ttl: "16".into(),
        dscp: None,
        source: None,
        rate_limit: None,
        burst: None,
        blocked: Some(DropReason::NoCarrier),
    };
    Mroute {
        generation: 7,
        entries: vec![MrouteEntry {
            interface: "eth0".into(),
            vlan: None,
            source: None,
            group: "239.1.1.1".into(),
            port: Some("5000".into()),
            other_protocols: false,
            rules: vec!["runtime/cam".into()],
            outputs: vec![output],
        }],
        memberships: vec![MembershipStatus {
            index: IfIndex(2),
            interface: "eth0".into(),
            group: ip("239.1.1.1"),
            source: None,
            joined: false,
            reason: Some("too many memberships".into()),
        }],
    }
}

pub(crate) fn igmp_group() -> IgmpGroup {
    IgmpGroup {
        interface: "eth1".into(),
        index: IfIndex(3),
        group: "239.1.1.1".parse().expect("a group"),
        version: 3,
        mode: FilterMode::Exclude,
        sources: vec![IgmpSource {
            source: "10.0.0.9".parse().expect("an address"),
            timer_seconds: None,
        }],
        sources_count: 1,
        timer_seconds: Some(250),
        uptime_seconds: 36,
        last_reporter: "10.0.1.9".parse().ok(),
        hosts: None,
        is_static: false,
    }
}

pub(crate) fn igmp_interface() -> IgmpInterface {
    IgmpInterface {
        interface: "eth1".into(),
        index: IfIndex(3),
        reason: None,
        router: Some(IgmpRouterSide {
            address: "10.0.1.1".parse().ok(),
            version: 3,
            querier_mode: crate::types::QuerierMode::Auto,
            querier: QuerierState::Other,
            querier_ip: "10.0.1.0".parse().ok(),
            query_timer: None,
            query_other_timer: Some(200),
            query_interval: 125,
            query_response_interval: 10,
            robustness: 2,
            group_membership_interval_msec: 270_000,
            older_host_present_interval_msec: 260_000,
            other_querier_present_interval_msec: 255_000,
            last_member_query_msec: 2000,
            last_member_query_count: 2,
            groups: 1,
            max_groups: 16_384,
        }),
        host: Some(IgmpHostSide {
            version: 2,
            querier: None,
            robustness: 2,
            groups: 4,
            over_limit: 0,
        }),
    }
}

pub(crate) fn igmp_statistics() -> IgmpStatistics {
    IgmpStatistics {
        interface: "eth1".into(),
        index: IfIndex(3),
        kernel_dropped: 0,
        received: [("query_v3".into(), 7), ("report_v3".into(), 21)].into(),
        total_groups: 1,
        peak_groups: 4,
        sent: [("general_query".into(), 9)].into(),
        dropped: [("ttl".into(), 1)].into(),
        version_mismatches: 0,
    }
}

fn answer(rules: &mut Vec<Rule>, request: Request) -> Result<Reply, Refusal> {
    let all = |rules: &[Rule]| rules.iter().cloned().map(status).collect::<Vec<_>>();
    Ok(match request {
        Request::Ping => Reply::Pong(Pong {
            version: "0.1.0".into(),
            pid: 42,
            uptime_seconds: 93_784,
            generation: 7,
            rules: rules.len(),
            state_file: None,
        }),
        Request::AddRule(rule) => match rules.iter().find(|r| r.id == rule.id) {
            Some(same) if *same == rule => Reply::Unchanged(Box::new(status(rule))),
            Some(other) => {
                let owner = other.display_name();
                return Err(Refusal::IdTaken { id: rule.id.into(), owner });
            }
            None => {
                rules.push(rule.clone());
                Reply::Rule(Box::new(status(rule)))
            }
        },
        Request::RemoveRule(key) => {
            let found = rules.iter().position(|r| r.id.as_str() == key || r.display_name() == key);
            let Some(index) = found else { return Err(Refusal::NoSuchRule(key)) };
            if rules[index].origin != Origin::Runtime {
                return Err(Refusal::NotYours {
                    rule: key,
                    origin: rules[index].origin,
                    remedy: "change the file and send mcrd SIGHUP".into(),
                });
            }
            Reply::Rule(Box::new(status(rules.remove(index))))
        }
        Request::Rules => Reply::Rules(all(rules)),
        Request::Stats => Reply::Stats(Box::new(stats(all(rules)))),
        Request::Workers => Reply::Workers(vec![worker()]),
        Request::Interfaces => Reply::Interfaces(vec![interface()]),
        Request::Mroute => Reply::Mroute(mroute()),
        Request::IgmpGroups(_) => Reply::IgmpGroups(vec![igmp_group()]),
        Request::IgmpInterfaces(_) => Reply::IgmpInterfaces(vec![igmp_interface()]),
        Request::IgmpStats(_) => Reply::IgmpStats(vec![igmp_statistics()]),
        Request::RuleSet(origin) => {
            let asked = rules.iter().filter(|rule| origin.is_none_or(|o| rule.origin == o));
            Reply::RuleSet(asked.cloned().collect())
        }
        Request::ReplaceRules(set) => Reply::Changes(replace(rules, set)?),
        Request::DryRun(change) => {
            let mut copy = rules.clone();
            let set = match change {
                Change::Replace(set) => set,
                Change::Add(rule) => {
                    answer(&mut copy, Request::AddRule(rule.clone()))?;
                    let known = rules.contains(&rule);
                    let kind = if known { ChangeKind::Unchanged } else { ChangeKind::Added };
                    return Ok(Reply::Changes(vec![changed(&rule, kind)]));
                }
                Change::Remove(key) => match answer(&mut copy, Request::RemoveRule(key))? {
                    Reply::Rule(gone) => {
                        let gone = changed(&gone.rule, ChangeKind::Removed);
                        return Ok(Reply::Changes(vec![gone]));
                    }
                    other => panic!("{other:?}"),
                },
            };
            Reply::Changes(replace(&mut copy, set)?)
        }
        Request::Upgrade => Reply::Upgrade(Upgrade {
            from: "0.1.0".into(),
            to: "0.2.0".into(),
            program: "/usr/bin/mcrd".into(),
            pid: 42,
        }),
        Request::UpgradeDataPlane => Reply::DataPlaneUpgrade(DataPlaneUpgrade {
            from: "0.1.0".into(),
            to: "0.2.0".into(),
            pid: 43,
            ports: 2,
            milliseconds: 17,
        }),
        Request::LogLevel => Reply::LogLevel(log_level("info")),
        Request::SetLogLevel { level, .. } if level == "debgu" => {
            return Err(Refusal::BadLogLevel("\"debgu\" is not a log level".into()));
        }
        Request::SetLogLevel { level, module } => Reply::LogLevel(match module {
            None => log_level(&level),
            Some(module) => LogLevel {
                filter: format!("info,mcr::{module}={level}"),
                modules: [(format!("mcr::{module}"), level)].into(),
                ..log_level("info")
            },
        }),
    })
}

fn log_level(level: &str) -> LogLevel {
    LogLevel {
        level: level.into(),
        modules: [].into(),
        filter: level.into(),
        set_by: "runtime".into(),
    }
}

fn changed(rule: &Rule, change: ChangeKind) -> RuleChange {
    let there = change != ChangeKind::Removed;
    RuleChange {
        change,
        id: rule.id.clone(),
        rule: rule.display_name(),
        state: there.then_some(State::Active),
        reason: None,
    }
}

/// Makes the rules of origin `runtime` these.
fn replace(rules: &mut Vec<Rule>, set: Vec<Rule>) -> Result<Vec<RuleChange>, Refusal> {
    let foreign = |rule: &Rule| rules.iter().any(|r| r.id == rule.id && r.origin != rule.origin);
    let taken = set.iter().enumerate().filter(|(_, rule)| foreign(rule));
    let conflicts: Vec<Conflict> = taken
        .map(|(index, rule)| Conflict {
            index,
            key: "id".into(),
            text: format!("rule id \"{}\" is taken", rule.id),
        })
        .collect();
    if !conflicts.is_empty() {
        return Err(Refusal::Conflicts(conflicts));
    }
    let (before, others): (Vec<Rule>, Vec<Rule>) =
        std::mem::take(rules).into_iter().partition(|rule| rule.origin == Origin::Runtime);
    let kind = |rule: &Rule| match before.iter().find(|old| old.id == rule.id) {
        None => ChangeKind::Added,
        Some(old) if old == rule => ChangeKind::Unchanged,
        Some(_) => ChangeKind::Changed,
    };
    let mut changes: Vec<RuleChange> = set.iter().map(|rule| changed(rule, kind(rule))).collect();
    let gone = before.iter().filter(|old| set.iter().all(|rule| rule.id != old.id));
    changes.extend(gone.map(|rule| changed(rule, ChangeKind::Removed)));
    *rules = others.into_iter().chain(set).collect();
    Ok(changes)
}

/// A server on a socket of its own, with the core above behind it.
pub(crate) struct Daemon {
    pub(crate) path: PathBuf,
    /// Tells events.
    pub(crate) publisher: Publisher,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start(limits: Limits, mut rules: Vec<Rule>) -> Self {
        let (to_core, mut requests) = mpsc::channel::<Exchange>(16);
        tokio::spawn(async move {
            while let Some((request, reply)) = requests.recv().await {
                let _ = reply.send(answer(&mut rules, request));
            }
        });
        Self::with_core(limits, to_core)
    }

    /// A server whose core is somebody else's.
    pub(crate) fn with_core(limits: Limits, to_core: mpsc::Sender<Exchange>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control.sock");
        let listener = bind(&path, None).expect("binds");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let publisher = Publisher::default();
        let events = publisher.subscriptions();
        let server = tokio::spawn(serve(listener, to_core, events, limits, shutdown));
        Self { path, publisher, stop: Some(stop), server, _dir: dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.path)
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.server.await.expect("no panic").expect("no error");
    }
}
