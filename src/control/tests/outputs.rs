//! What the core asks for, in which order, and that it asks for nothing where nothing changes.

use super::*;

#[test]
fn the_table_goes_out_before_the_port_opens_and_memberships_last() {
    let mut core = Core::new();
    assert_eq!(
        core.add(rule("r")),
        ["publish 1", "open 0 packet 1 at 0: 239.1.1.1", "join 1:239.1.1.1"]
    );
    core.acknowledge();
    // A second group on the same interface: the filter widens.
    let second = with(rule("s"), |r| {
        r.input.groups = net("239.1.1.2");
        r.input.sources.include = net("10.0.1.9").to_vec();
    });
    assert_eq!(
        core.add(second),
        ["publish 2", "filter 0: 239.1.1.1 239.1.1.2", "join 1:239.1.1.1 1:239.1.1.2<10.0.1.9"]
    );
    core.acknowledge();
    // The same group again: nobody needs to be asked for anything but the table.
    assert_eq!(core.add(with(rule("t"), |r| r.input.ports = Default::default())), ["publish 3"]);
    core.acknowledge();
    assert_eq!(
        core.step(Event::RemoveRule("s".to_owned())),
        ["publish 4", "filter 0: 239.1.1.1", "join 1:239.1.1.1"]
    );
    core.acknowledge();
    assert_eq!(core.step(Event::RemoveRule("r".to_owned())), ["publish 5"]);
    core.acknowledge();
    assert_eq!(core.step(Event::RemoveRule("t".to_owned())), ["publish 6", "close 0", "join "]);
}

#[test]
fn a_source_of_its_own_is_a_membership_of_its_own() {
    let mut core = Core::new();
    for (id, source) in [("r", "10.0.1.8"), ("s", "10.0.1.9")] {
        core.add(with(rule(id), |r| r.input.sources.include = net(source).to_vec()));
    }
    let member =
        |source| Membership { index: IfIndex(1), group: ip("239.1.1.1"), source: Some(ip(source)) };
    assert_eq!(core.router.memberships, [member("10.0.1.8"), member("10.0.1.9")].into());
}

#[test]
fn a_unicast_input_is_a_bound_socket_without_membership() {
    let mut core = Core::new();
    let asked = core.add(with(rule("r"), |r| r.input.groups = net("10.0.1.1")));
    assert_eq!(asked, ["publish 1", "open 0 udp 1 10.0.1.1:5000 at 0: "]);
}

#[test]
fn the_link_layer_goes_with_the_port() {
    let mut core = Core::new();
    core.net(NetEvent::Link(Link { link_layer: LinkLayer::None, ..link(1, "a") }));
    core.tell(Event::AddRule(rule("r")));
    let asked = core.settle();
    let layer = asked.iter().find_map(|output| match output {
        Output::OpenPort { link_layer, .. } => Some(*link_layer),
        _ => None,
    });
    assert_eq!(layer, Some(LinkLayer::None));
}

#[test]
fn nothing_is_published_where_nothing_changes() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    let quiet: Vec<Event> = vec![
        // The kernel announces an address again when its lifetime changes.
        Event::Net(NetEvent::Address(address(2, "10.0.2.1/24"))),
        Event::Net(NetEvent::Address(address(2, "10.0.2.2/24"))),
        Event::Net(NetEvent::AddressGone(address(2, "10.0.2.2/24"))),
        Event::Net(NetEvent::AddressGone(address(7, "10.0.7.2/24"))),
        Event::Net(NetEvent::Link(link(2, "b"))),
        Event::Net(NetEvent::Link(Link { mtu: 9000, ..link(1, "a") })),
        Event::Net(NetEvent::Link(link(4, "d"))),
        Event::Net(NetEvent::Route(route("192.0.2.0/24", 2))),
        Event::Net(NetEvent::Snapshot(network())),
        Event::AddRule(rule("r")),
        of(Origin::File, Vec::new()),
        Event::Timeout,
    ];
    for event in quiet {
        // d appeared and the snapshot does not know it.
        let asked = core.step(event.clone());
        let expected: &[&str] = match &event {
            Event::Net(NetEvent::Snapshot(_)) => &["gone 4"],
            _ => &[],
        };
        assert_eq!(asked, expected, "{event:?}");
        assert_eq!(core.router.fib.generation(), 1, "{event:?}");
    }
}

#[test]
fn a_table_is_sent_once_whoever_has_acknowledged_it() {
    let mut core = Core::with_workers(2);
    core.add(rule("r"));
    core.tell(Event::Programmed { worker: 0, generation: 1 });
    let touch = || NetEvent::Link(Link { mtu: 9000, ..link(1, "a") });
    assert_eq!(core.net(touch()), Vec::<String>::new(), "the data plane has it");
    core.router.publish_again();
    assert_eq!(core.settle().iter().map(short).collect::<Vec<_>>(), ["publish 2"]);
    assert_eq!(core.net(NetEvent::Link(link(1, "a"))), Vec::<String>::new());
}

#[test]
fn own_addresses_of_input_interfaces_are_in_the_table() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    let own =
        |core: &Core, index, address| core.router.fib.unpack().is_own(IfIndex(index), ip(address));
    assert!(own(&core, 1, "10.0.1.1"));
    assert!(!own(&core, 2, "10.0.2.1"), "nothing comes in there");
    assert!(!own(&core, 1, "10.0.2.1"), "another interface's");
    assert_eq!(core.net(NetEvent::Address(address(1, "10.0.1.7/24"))), ["publish 2"]);
    assert!(own(&core, 1, "10.0.1.7") && own(&core, 1, "10.0.1.1"));
    core.net(NetEvent::AddressGone(address(1, "10.0.1.1/24")));
    assert!(!own(&core, 1, "10.0.1.1"));
}

#[test]
fn a_recreated_interface_is_another_one() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    assert_eq!(
        core.net(NetEvent::LinkGone(IfIndex(1))),
        ["close 0", "gone 1", "publish 2"],
        "the membership went with the interface: nothing to leave"
    );
    assert_eq!(core.state("r").0, State::Pending);
    core.acknowledge();
    assert_eq!(
        core.net(NetEvent::Link(link(8, "a"))),
        ["publish 3", "open 1 packet 8 at 0: 239.1.1.1", "join 8:239.1.1.1"]
    );
    assert_eq!(core.state("r").0, State::Active);
    // Addresses went with it: nothing of the old one's is ours on the new one.
    assert!(!core.router.fib.unpack().is_own(IfIndex(8), ip("10.0.1.1")));
}

#[test]
fn the_same_number_again_within_one_turn_is_joined_again() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    core.tell(Event::Net(NetEvent::LinkGone(IfIndex(1))));
    core.tell(Event::Net(NetEvent::Link(link(1, "a"))));
    let asked: Vec<String> = core.settle().iter().map(short).collect();
    // The old socket is dead, though an interface of its number is there.
    assert_eq!(
        asked,
        ["close 0", "gone 1", "publish 2", "open 1 packet 1 at 0: 239.1.1.1", "join 1:239.1.1.1"]
    );
}

#[test]
fn a_snapshot_that_lacks_an_interface_is_its_end() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    let mut after = network();
    after.links.remove(0);
    after.addresses.remove(0);
    assert_eq!(core.net(NetEvent::Snapshot(after)), ["close 0", "gone 1", "publish 2"]);
    assert_eq!(core.state("r").1, Some("input: there is no interface a".to_owned()));
    core.acknowledge();
    assert_eq!(
        core.net(NetEvent::Snapshot(network())),
        ["publish 3", "open 1 packet 1 at 0: 239.1.1.1", "join 1:239.1.1.1"]
    );
}

#[test]
fn many_events_cost_one_table() {
    let mut core = Core::new();
    for n in 0..50u8 {
        core.tell(Event::AddRule(with(rule(&format!("r{n}")), |r| {
            r.input.groups = net(&format!("239.1.2.{n}"));
        })));
    }
    let asked = core.settle();
    let tables = asked.iter().filter(|output| matches!(output, Output::Publish { .. })).count();
    assert_eq!((tables, asked.len()), (1, 3));
    assert_eq!(core.router.fib.unpack().entries().len(), 50);
}

#[test]
fn ports_are_spread_over_workers() {
    let mut core = Core::with_workers(2);
    for (id, interface) in [("r", "a"), ("s", "b"), ("t", "c")] {
        core.add(with(rule(id), |r| {
            r.input.interfaces = on(interface);
            r.outputs = vec![output(if interface == "a" { "b" } else { "a" })].into();
        }));
    }
    let workers: Vec<u32> = core.router.ports.iter().map(|port| port.worker).collect();
    assert_eq!(workers, [0, 1, 0]);
}
