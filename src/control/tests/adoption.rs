//! A core that goes on where another ended.

use super::failures::{closed, report};
use super::*;
use crate::control::adopt::{KeptPort, KeptRule};
use crate::control::layout::Layout;
use crate::control::sums::ChangedSums;

fn empty() -> Core {
    let layout = Layout::new(1, None, Default::default());
    Core { router: Router::new(Time(0), layout, 1), now: Time(0), said: Vec::new() }
}

/// One that has two rules, `r` on `a` and `s` on `b`, and what it leaves.
fn left() -> (Core, Vec<KeptRule>, Vec<KeptPort>) {
    let mut core = Core::new();
    core.add(rule("gone"));
    core.add(rule("r"));
    core.add(with(rule("s"), |rule| {
        rule.input.interfaces = on("b");
        rule.outputs = vec![output("c")].into();
    }));
    core.step(Event::RemoveRule("gone".into()));
    core.acknowledge();
    let rules = core.router.kept_rules();
    let ports = core.router.ports.iter();
    let ports = ports.map(|port| KeptPort { id: port.id, worker: port.worker, key: port.key });
    let ports = ports.collect();
    (core, rules, ports)
}

#[test]
fn what_is_as_it_was_is_not_touched() {
    let (old, rules, ports) = left();
    let generation = old.router.fib.generation();
    let mut new = empty();
    assert_eq!(new.router.adopt((generation, 1), rules, ports), Vec::<u32>::new());
    assert!(new.step(ready(0)).is_empty(), "not before the network is known");
    let asked = new.net(NetEvent::Snapshot(network()));
    assert_eq!(asked[0], format!("publish {}", generation + 1));
    assert!(asked.iter().all(|line| !line.starts_with("open") && !line.starts_with("close")));
    assert_eq!(asked.iter().filter(|line| line.starts_with("filter")).count(), 2, "{asked:?}");
    for id in ["r", "s"] {
        assert_eq!((new.slots(id), new.state(id).0), (old.slots(id), State::Active));
    }
    assert!(new.router.fib.forwards_like(&old.router.fib));
    // A place that is free is given out, and starts at zero; numbers of ports are new ones.
    let taken = [new.slots("r").0, new.slots("s").0];
    new.add(with(rule("t"), |rule| rule.input.groups = net("10.0.1.1")));
    assert!(!taken.contains(&new.slots("t").0));
    assert_eq!(new.slots("t").0, RuleSlot(0));
    assert_eq!(new.router.ports.iter().map(|port| port.id).max(), Some(2));
}

#[test]
fn what_is_not_wanted_any_more_is_closed() {
    let (_, mut rules, mut ports) = left();
    rules.retain(|kept| kept.rule.id.as_str() != "s");
    // A port of an interface that is not there any more.
    ports.push(KeptPort { id: 40, worker: 0, key: PortKey::Packet(IfIndex(77), 0) });
    let mut new = empty();
    new.router.adopt((9, 1), rules, ports);
    new.tell(ready(0));
    let asked = new.net(NetEvent::Snapshot(network()));
    assert_eq!(asked.iter().filter(|line| line.starts_with("close")).count(), 2, "{asked:?}");
    assert!(asked.contains(&"close 40".to_owned()));
}

#[test]
fn what_contradicts_itself_is_left_out() {
    let (_, rules, ports) = left();
    let mut twice = rules.clone();
    twice[1].slot = twice[0].slot;
    let mut short = rules.clone();
    short[0].outputs = Default::default();
    short[1].slot = RuleSlot(u32::MAX);
    for (wrong, expected) in [(twice, 1), (short, 0)] {
        let mut new = empty();
        assert!(new.router.adopt((1, 1), wrong, Vec::new()).is_empty());
        assert_eq!(new.router.rule_count(), expected);
    }
    let mut new = empty();
    let again = KeptPort { id: 50, ..ports[0] };
    let stray = KeptPort { id: 51, worker: 7, key: PortKey::Packet(IfIndex(9), 0) };
    let all = [ports, vec![again, stray]].concat();
    assert_eq!(new.router.adopt((1, 1), rules, all), [50, 51]);
}

#[test]
fn sums_of_those_that_are_gone_are_told_when_they_change_and_taken_over() {
    let (mut core, rules, ports) = left();
    assert_eq!(core.router.take_changed_sums().slots, None);
    core.tell(report(0, 1, 5));
    core.tell(Event::DataPlaneReplaced);
    core.tell(ready(0));
    let sums = core.router.take_changed_sums();
    assert_eq!(sums.slots.as_ref().expect("told").rules.iter().map(|r| r.datagrams).max(), Some(5));
    assert_eq!(core.router.take_changed_sums(), ChangedSums::default());
    let mut new = empty();
    new.router.adopt_sums(core.router.sums());
    new.router.adopt((1, 1), rules, ports);
    new.tell(ready(0));
    new.net(NetEvent::Snapshot(network()));
    assert_eq!(new.router.sums(), core.router.sums());
    // A slot with a new owner, and a closed port.
    core.add(with(rule("t"), |rule| rule.input.groups = net("10.0.1.1")));
    let slots = core.router.take_changed_sums().slots.expect("one is counted anew");
    assert_eq!(slots.rules.iter().map(|r| r.datagrams).max(), Some(0));
    core.step(Event::RemoveRule("s".into()));
    let closing = core.router.ports.by_id(1).map(|port| port.id).expect("on its way");
    core.tell(closed(closing, 3, None));
    assert_eq!(core.router.take_changed_sums().ports.expect("told").counters.frames, 3);
}

#[test]
fn changed_rules_are_told_once() {
    let (mut core, ..) = left();
    let changed = |core: &mut Core| {
        let changed = core.router.take_changed_rules().into_iter();
        changed.map(|(id, kept)| (id.to_string(), kept.is_some())).collect::<Vec<_>>()
    };
    let told = |id: &str, there| (id.to_owned(), there);
    assert_eq!(changed(&mut core), [told("gone", false), told("r", true), told("s", true)]);
    assert_eq!(changed(&mut core), []);
    core.step(Event::RemoveRule("r".into()));
    core.add(rule("r"));
    assert_eq!(changed(&mut core), [told("r", true)]);
}
