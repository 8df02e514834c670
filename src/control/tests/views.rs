//! What questions are answered with.

use super::*;
use crate::control::view::{Mroute, PortKind, Stats};
use crate::fib::counters::{OutputCounters, PortCounters, RuleCounters};
use crate::types::DropReason;

fn stats(core: &Core) -> Stats {
    match core.router.answer(core.now, &Request::Stats) {
        Ok(Reply::Stats(stats)) => *stats,
        other => panic!("{other:?}"),
    }
}

fn mroute(core: &Core) -> Mroute {
    match core.router.answer(core.now, &Request::Mroute) {
        Ok(Reply::Mroute(mroute)) => mroute,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_daemon_says_who_it_is() {
    let mut core = Core::new();
    core.router.pid = 4711;
    core.router.started = Time(1_000_000_000);
    core.now = Time(63_500_000_000);
    core.add(rule("r"));
    let Ok(Reply::Pong(pong)) = core.router.answer(core.now, &Request::Ping) else {
        panic!("pong")
    };
    assert_eq!((pong.pid, pong.uptime_seconds, pong.generation, pong.rules), (4711, 62, 1, 1));
}

#[test]
fn counters_are_sums_over_workers_by_rule_and_output() {
    let mut core = Core::with_workers(2);
    core.add(with(rule("other"), |r| r.input.groups = net("239.1.1.2")));
    core.add(with(rule("r"), |r| r.outputs = vec![output("b"), output("c")].into()));
    core.acknowledge();
    let (rule_slot, outputs) = core.slots("r");
    for (worker, n) in [(0u32, 3u64), (1, 4)] {
        let mut slots = SlotCounters::default();
        slots.grow(rule_slot.0 + 1, outputs[1].0 + 1);
        slots.rules[rule_slot.0 as usize] = RuleCounters { datagrams: n, bytes: 100 * n };
        let mut output = OutputCounters { wanted: n, sent: n - 1, bytes: 7, ..Default::default() };
        output.drops.add(DropReason::SendBufferFull, 1);
        slots.outputs[outputs[1].0 as usize] = output;
        let counters = WorkerCounters { turns: n, sends: 2 * n, ..WorkerCounters::default() };
        let ports = Vec::new();
        let report = WorkerReport { worker, generation: u64::MAX, ports, slots, counters };
        core.tell(Event::Report(Box::new(report)));
    }
    let status = core.status("r");
    assert_eq!((status.matched.datagrams, status.matched.bytes), (7, 700));
    let second = &status.outputs[1];
    assert_eq!((second.wanted, second.sent.datagrams, second.sent.bytes), (7, 5, 14));
    assert_eq!(second.drops, [(DropReason::SendBufferFull, 2)].into());
    assert_eq!((second.interfaces.clone(), status.outputs[0].wanted), (vec![IfIndex(3)], 0));
    assert_eq!(core.status("other").matched.datagrams, 0);
    let workers = stats(&core).workers;
    assert_eq!(workers.iter().map(|w| (w.turns, w.sends)).collect::<Vec<_>>(), [(3, 6), (4, 8)]);
    assert!(workers.iter().all(|w| w.running && w.generation == 2 && w.tier == "syscalls"));
    assert_eq!(workers.iter().map(|w| w.ports).sum::<u32>(), 1);
}

#[test]
fn rules_are_listed_by_origin_then_age() {
    let mut core = Core::new();
    core.add(rule("z"));
    core.add(with(rule("a"), |r| r.enabled = false));
    core.step(of(Origin::File, vec![rule("f")]));
    let Ok(Reply::Rules(rules)) = core.router.answer(core.now, &Request::Rules) else {
        panic!("rules")
    };
    let ids: Vec<_> = rules.iter().map(|status| status.rule.id.as_str()).collect();
    assert_eq!(ids, ["f", "z", "a"]);
    assert!(core.router.has(&rule("z")).is_some());
    assert!(core.router.has(&with(rule("z"), |r| r.priority = 1)).is_none());
    assert!(core.router.has(&rule("nobody")).is_none());
}

#[test]
fn ports_show_what_the_kernel_and_the_worker_counted() {
    let mut core = Core::new();
    core.add(rule("packet"));
    core.add(with(rule("udp"), |r| r.input.groups = net("10.0.1.1")));
    let counters = |n, kernel_received, kernel_dropped| PortCounters {
        frames: n,
        datagrams: n,
        kernel_received,
        kernel_dropped,
        ..PortCounters::default()
    };
    // A UDP socket tells its drops only.
    let ports = vec![(0, counters(8, 11, 3)), (1, counters(5, 3, 3))];
    core.tell(Event::Report(Box::new(WorkerReport { ports, ..WorkerReport::default() })));
    let ports = stats(&core).ports;
    let [packet, udp] = &ports[..] else { panic!("{ports:?}") };
    assert_eq!((packet.kind, packet.interface.as_str()), (PortKind::Packet, "a"));
    assert_eq!((packet.kernel_received, packet.kernel_dropped, packet.frames), (11, 3, 8));
    assert_eq!((udp.kind, udp.local.as_deref()), (PortKind::Udp, Some("10.0.1.1:5000")));
    assert_eq!((udp.kernel_received, udp.kernel_dropped, udp.frames), (8, 3, 5));
}

#[test]
fn interfaces_name_the_rules_on_them() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.name = Some("cameras".to_owned());
        r.outputs = vec![output("b"), with_port("b", "6000"), output("c")].into();
    }));
    core.add(with(rule("off"), |r| r.enabled = false));
    let Ok(Reply::Interfaces(all)) = core.router.answer(core.now, &Request::Interfaces) else {
        panic!("interfaces")
    };
    let uses: Vec<_> =
        all.iter().map(|i| (i.link.name.as_str(), i.input_of.len(), i.output_of.len())).collect();
    assert_eq!(uses, [("a", 1, 0), ("b", 0, 1), ("c", 0, 1)]);
    assert_eq!(all[0].input_of, ["runtime/cameras"]);
    assert_eq!(all[1].addresses, vec![address(2, "10.0.2.1/24").net]);
}

fn with_port(interface: &str, port: &str) -> RuleOutput {
    RuleOutput { port: port.parse().ok(), ..output(interface) }
}

#[test]
fn the_forwarding_state_is_shown_as_it_is_compiled() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.input.sources.include = net("10.0.1.9").to_vec();
        r.outputs = vec![with_port("b", "6000"), output("x")].into();
        r.outputs[1].ttl = Ttl::Keep;
        r.outputs[1].destination = Destination::Address(ip("239.9.9.9"));
    }));
    core.add(with(rule("every"), |r| r.input.ports = Default::default()));
    let shown = mroute(&core);
    assert_eq!(shown.generation, 2);
    let keys: Vec<_> = shown
        .entries
        .iter()
        .map(|e| {
            (
                e.interface.as_str(),
                e.group.as_str(),
                e.source.as_deref(),
                e.port.as_deref(),
                e.rules.join(" "),
            )
        })
        .collect();
    let every = || "runtime/every".to_owned();
    let (group, source) = ("239.1.1.1", Some("10.0.1.9"));
    // "every" keeps the port, and for packets to 6000 that is the other rule's copy: a set of its own.
    assert_eq!(
        keys,
        [
            ("a", group, None, None, every()),
            ("a", group, source, Some("0-4999"), every()),
            ("a", group, source, Some("5000"), "runtime/r runtime/every".to_owned()),
            ("a", group, source, Some("5001-5999"), every()),
            ("a", group, source, Some("6000"), every()),
            ("a", group, source, Some("6001-65535"), every()),
        ]
    );
    let outputs = &shown.entries[2].outputs;
    assert_eq!(outputs.len(), 3);
    assert_eq!((outputs[0].interface.as_deref(), outputs[0].port), (Some("b"), Some(6000)));
    assert_eq!((outputs[0].ttl.as_str(), outputs[0].blocked), ("16", None));
    assert_eq!((outputs[0].source.as_deref(), outputs[0].dscp), (Some("10.0.2.1"), None));
    assert_eq!(outputs[1].interface.as_deref(), Some("x"));
    assert_eq!(outputs[1].destination.as_deref(), Some("239.9.9.9"));
    assert_eq!(outputs[1].blocked, Some(DropReason::NoInterface));
    assert_eq!(outputs[1].ttl, "keep");
    let members: Vec<_> =
        shown.memberships.iter().map(|m| (m.interface.as_str(), m.source, m.joined)).collect();
    assert_eq!(members, [("a", None, true), ("a", Some(ip("10.0.1.9")), true)]);
}

#[test]
fn questions_about_one_rule_find_it_or_say_so() {
    let mut core = Core::new();
    core.add(rule("r"));
    let Ok(Reply::Rule(status)) =
        core.router.answer(core.now, &Request::RemoveRule("r".to_owned()))
    else {
        panic!("rule")
    };
    assert_eq!(*status.rule, rule("r"));
    let unknown = core.router.answer(core.now, &Request::RemoveRule("q".to_owned()));
    assert_eq!(unknown, Err(Refusal::NoSuchRule("q".to_owned())));
}
