//! Outputs that come back in by another interface of this host.

use super::*;
use crate::fib::Action;
use crate::types::DropReason;

/// `a` to `c`, the loopback interface, and the two ends of a veth pair, `left` and `right`.
fn core() -> Core {
    let mut core = Core::new();
    for (index, name, peer) in [(5, "left", 6), (6, "right", 5)] {
        core.net(NetEvent::Link(Link { peer: Some(IfIndex(peer)), ..link(index, name) }));
        core.net(NetEvent::Address(address(index, &format!("10.0.{index}.1/24"))));
    }
    core.net(NetEvent::Link(Link { loopback: true, ..link(10, "lo") }));
    core
}

fn from_to(id: &str, from: &str, to: &str) -> Rule {
    with(rule(id), |r| {
        r.input.interfaces = on(from);
        r.outputs = vec![output(to)].into();
    })
}

fn blocked(core: &Core) -> usize {
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    let copies = entries.iter().flat_map(|(_, entry)| &entry.copies);
    copies.filter(|copy| copy.action == Action::Drop(DropReason::WouldLoop)).count()
}

#[test]
fn both_ways_between_two_networks_is_no_loop() {
    let mut core = core();
    core.add(from_to("there", "a", "b"));
    core.add(from_to("back", "b", "a"));
    assert_eq!(blocked(&core), 0);
    assert_eq!(core.state("there").0, State::Active);
}

#[test]
fn a_chain_over_a_veth_pair_is_no_loop_and_a_circle_is() {
    let mut core = core();
    core.add(from_to("first", "a", "left"));
    core.add(from_to("second", "right", "b"));
    assert_eq!(blocked(&core), 0, "a chain");
    // left, right, left: what "third" sends to left comes in at right, where it is sent to left.
    core.add(from_to("third", "right", "left"));
    assert_eq!(blocked(&core), 1);
    let reason = "would loop: it feeds runtime/third, which leads back here";
    let status = core.status("third");
    assert_eq!(status.outputs[0].reason.as_deref(), Some(reason));
    assert_eq!((status.state, core.state("second").0), (State::Pending, State::Active));
    core.step(Event::RemoveRule("third".to_owned()));
    assert_eq!(blocked(&core), 0);
}

#[test]
fn of_two_rules_that_feed_each_other_the_later_is_cut() {
    let mut core = core();
    core.add(with(from_to("one", "right", "left"), |r| {
        r.outputs[0].destination = Destination::Address(ip("239.2.2.2"));
    }));
    assert_eq!(blocked(&core), 0, "another group: nobody takes it in");
    core.add(with(from_to("two", "right", "left"), |r| {
        r.input.groups = net("239.2.2.2");
        r.outputs[0].destination = Destination::Address(ip("239.1.1.1"));
    }));
    assert_eq!(blocked(&core), 1);
    assert_eq!((core.state("one").0, core.state("two").0), (State::Active, State::Pending));
    core.step(Event::RemoveRule("one".to_owned()));
    assert_eq!(core.state("two").0, State::Active);
}

#[test]
fn other_ports_do_not_meet() {
    let mut core = core();
    let rule = |id, port: &str| {
        with(from_to(id, "right", "left"), |r| r.outputs[0].port = port.parse().ok())
    };
    core.add(rule("away", "6000"));
    assert_eq!(blocked(&core), 0);
    core.add(rule("same", "5000"));
    assert_eq!(blocked(&core), 1);
}

#[test]
fn a_copy_has_no_tag_and_feeds_no_vlan() {
    let mut core = core();
    core.add(with(from_to("r", "right", "left"), |r| r.input.vlan = VlanFilter::Id(310)));
    assert_eq!(blocked(&core), 0);
    core.add(with(from_to("s", "right", "left"), |r| r.input.vlan = VlanFilter::Any));
    assert!(blocked(&core) > 0);
}

#[test]
fn local_copies_come_in_by_the_loopback_interface() {
    let mut core = core();
    core.add(with(from_to("r", "lo", "b"), |r| {
        r.outputs = vec![RuleOutput { local: true, ..RuleOutput::unchanged(Vec::new()) }].into();
    }));
    assert_eq!(blocked(&core), 0, "it would go back unchanged: no copy at all");
    core.add(with(from_to("s", "lo", "b"), |r| {
        r.input.groups = net("239.1.1.0/30");
        let to = Destination::Prefix("239.1.1.0/30".parse().expect("a prefix"));
        let all = RuleOutput::unchanged(Vec::new());
        r.outputs = vec![RuleOutput { local: true, destination: to, ..all }].into();
    }));
    assert!(blocked(&core) > 0);
}
