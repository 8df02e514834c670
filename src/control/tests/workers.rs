//! More and fewer workers, shards, and interfaces that are bound to cores.

use super::*;
use crate::control::view::{PortStatus, WorkerStatus};

fn divided(workers: u32, shards: Option<u32>, pinning: &[(&str, &[u32])]) -> Core {
    let pinning = pinning.iter().map(|(interface, cores)| (name(interface), cores.to_vec()));
    let layout = Layout::new(workers, shards, pinning.collect());
    let all = u32::try_from(layout.plans().len()).expect("few");
    let mut core = Core { router: Router::new(Time(0), layout, 1), now: Time(0), said: Vec::new() };
    (0..all).for_each(|worker| core.tell(ready(worker)));
    core.tell(Event::Net(NetEvent::Snapshot(network())));
    core.settle();
    core
}

fn workers(core: &Core) -> Vec<WorkerStatus> {
    match core.router.answer(core.now, &Request::Workers) {
        Ok(Reply::Workers(workers)) => workers,
        other => panic!("{other:?}"),
    }
}

fn ports(core: &Core) -> Vec<PortStatus> {
    match core.router.answer(core.now, &Request::Stats) {
        Ok(Reply::Stats(stats)) => stats.ports,
        other => panic!("{other:?}"),
    }
}

/// The lines about ports and workers.
fn about_ports(lines: Vec<String>) -> Vec<String> {
    let about = |line: &String| {
        ["open", "close", "move", "workers", "filter"].iter().any(|word| line.starts_with(word))
    };
    lines.into_iter().filter(about).collect()
}

#[test]
fn an_interface_is_divided_over_the_workers() {
    let mut core = divided(2, Some(4), &[]);
    let steps = about_ports(core.add(rule("r")));
    assert_eq!(
        steps,
        [
            "open 0 packet 1 at 0: 239.1.1.1",
            "open 1 packet 1/1 at 1: 239.1.1.1",
            "open 2 packet 1/2 at 0: 239.1.1.1",
            "open 3 packet 1/3 at 1: 239.1.1.1",
        ]
    );
    let shards: Vec<(u32, u32)> = ports(&core).iter().map(|p| (p.shard, p.worker)).collect();
    assert_eq!(shards, [(0, 0), (1, 1), (2, 0), (3, 1)]);
    // Every shard lets in the same.
    let more = with(rule("s"), |rule| rule.input.groups = net("239.1.1.2"));
    let steps = about_ports(core.add(more));
    assert_eq!(steps.len(), 4);
    assert!(steps.iter().all(|line| line.ends_with("239.1.1.1 239.1.1.2")), "{steps:?}");
    assert_eq!(core.state("r"), (State::Active, None));
    // One shard that works is enough for the rule; all are shown.
    core.step(Event::PortFailed { port: 1, reason: "test".into() });
    assert_eq!(core.state("r"), (State::Active, None));
    let interfaces = match core.router.answer(core.now, &Request::Interfaces) {
        Ok(Reply::Interfaces(interfaces)) => interfaces,
        other => panic!("{other:?}"),
    };
    assert_eq!(interfaces.iter().map(|i| i.shards).collect::<Vec<_>>(), [4, 0, 0]);
    for id in ["r", "s"] {
        core.step(Event::RemoveRule(id.into()));
    }
    assert_eq!(core.router.ports.iter().count(), 0);
}

#[test]
fn more_workers_take_shards_and_fewer_give_them_back() {
    let mut core = divided(1, Some(4), &[]);
    core.add(rule("r"));
    // Not before the new one runs.
    assert_eq!(about_ports(core.step(Event::Workers(2))), ["workers 2"]);
    assert_eq!(core.step(Event::Workers(2)), Vec::<String>::new());
    let steps = core.step(ready(1));
    assert_eq!(about_ports(steps.clone()), ["move 2 to 1", "move 3 to 1"]);
    assert_eq!(steps.len(), 2, "the table comes from the data plane: {steps:?}");
    assert_eq!(workers(&core).iter().map(|w| w.ports).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(core.state("r"), (State::Active, None));

    let steps = core.step(Event::Workers(1));
    assert_eq!(about_ports(steps), ["move 2 to 0", "move 3 to 0", "workers 1"]);
    assert_eq!(workers(&core).len(), 2, "it is still to end");
    core.step(Event::WorkerStopped { worker: 1 });
    assert_eq!(workers(&core).len(), 1);
    assert_eq!(ports(&core).iter().map(|p| p.worker).collect::<Vec<_>>(), [0; 4]);
}

#[test]
fn what_a_worker_counted_stays_when_it_has_ended() {
    let mut core = divided(2, Some(1), &[]);
    core.add(rule("r"));
    let (slot, _) = core.slots("r");
    core.acknowledge();
    let report = |worker, datagrams| {
        let mut slots = SlotCounters::default();
        slots.rules.resize(slot.0 as usize + 1, Default::default());
        slots.rules[slot.0 as usize].datagrams = datagrams;
        let generation = u64::MAX;
        Event::Report(Box::new(WorkerReport { worker, slots, generation, ..Default::default() }))
    };
    core.tell(report(0, 5));
    core.step(Event::Workers(1));
    core.tell(report(1, 7));
    core.step(Event::WorkerStopped { worker: 1 });
    assert_eq!(core.status("r").matched.datagrams, 12);
}

#[test]
fn a_move_that_cannot_be_is_an_opening_at_the_new_place() {
    let mut core = divided(1, Some(2), &[]);
    core.add(rule("r"));
    core.step(Event::Workers(2));
    assert_eq!(about_ports(core.step(ready(1))), ["move 1 to 1"]);
    let closed = |port, failure: Option<&str>| Event::PortClosed {
        port,
        counters: Default::default(),
        failure: failure.map(str::to_owned),
    };
    assert_eq!(about_ports(core.step(closed(1, None))), ["open 2 packet 1/1 at 1: 239.1.1.1"]);
    // Once: after that it is a failure again.
    assert_eq!(about_ports(core.step(closed(2, None))), Vec::<String>::new());
    assert!(core.router.next_timeout().is_some());
}

#[test]
fn an_interface_with_cores_is_read_by_their_workers() {
    let mut core = divided(1, None, &[("a", &[7, 2]), ("b", &[2])]);
    let cpus: Vec<Option<u32>> = workers(&core).iter().map(|w| w.cpu).collect();
    assert_eq!(cpus, [Some(2), Some(7), None]);
    let steps = about_ports(core.add(rule("r")));
    assert_eq!(steps.len(), 2);
    assert!(steps[0].starts_with("open 0 packet 1 at 1"), "{steps:?}");
    assert!(steps[1].starts_with("open 1 packet 1/1 at 0"), "{steps:?}");
    let on = |interface: &str| {
        with(rule(interface), |rule| {
            rule.input.interfaces = super::on(interface);
            rule.outputs = vec![output("a")].into();
        })
    };
    assert!(about_ports(core.add(on("b")))[0].starts_with("open 2 packet 2 at 0"));
    assert!(about_ports(core.add(on("c")))[0].starts_with("open 3 packet 3 at 2"));
    // The others may become more; those of cores stay.
    assert_eq!(about_ports(core.step(Event::Workers(2))), ["workers 4"]);
    assert_eq!(about_ports(core.step(ready(3))), Vec::<String>::new());
    // Without its worker a bound port waits, whoever else runs.
    core.step(died(0));
    let (state, reason) = core.state("b");
    assert_eq!(
        (state, reason.as_deref()),
        (State::Pending, Some("input: its worker does not run"))
    );
}

#[test]
fn an_interface_stays_divided_as_it_is_while_it_is_open() {
    let mut core = divided(2, None, &[]);
    assert_eq!(about_ports(core.add(rule("r"))).len(), 2);
    core.step(Event::Workers(4));
    (2..4).for_each(|worker| core.tell(ready(worker)));
    core.settle();
    assert_eq!(ports(&core).len(), 2);
    core.step(Event::RemoveRule("r".into()));
    assert_eq!(about_ports(core.add(rule("r"))).len(), 4, "divided anew");
}

#[test]
fn what_could_not_be_had_is_shown() {
    let mut core = divided(1, None, &[]);
    let notes = vec!["not bound to core 9: test".to_owned()];
    let tier = "syscalls".to_owned();
    core.tell(Event::WorkerReady { worker: 0, tier, reason: None, notes: notes.clone() });
    assert_eq!(workers(&core)[0].notes, notes);
}
