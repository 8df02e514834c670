//! Every reason for which a rule waits, what is compiled meanwhile, and that it ends.

use super::*;
use crate::fib::{Action, Egress, Send};
use crate::types::DropReason;

/// What the table does with the copies of the only entry; none where there is no entry.
fn compiled(core: &Core) -> Option<Vec<Option<DropReason>>> {
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    assert!(entries.len() <= 1);
    let actions = entries.first()?.1.copies.iter().map(|copy| match copy.action {
        Action::Send(_) => None,
        Action::Drop(reason) => Some(reason),
    });
    Some(actions.collect())
}

struct Row {
    change: Vec<NetEvent>,
    heal: Vec<NetEvent>,
    rule: Rule,
    reason: &'static str,
    /// Reasons of the outputs.
    outputs: Vec<Option<&'static str>>,
    /// None: not in the table at all.
    drops: Option<Vec<Option<DropReason>>>,
}

/// The input cannot be bound, or nothing comes in.
fn inputs() -> Vec<Row> {
    let a = || NetEvent::Link(link(1, "a"));
    let unicast = |destination: &str| with(rule("r"), |r| r.input.groups = net(destination));
    let row = |change, heal, reason| Row {
        change: vec![change],
        heal,
        rule: rule("r"),
        reason,
        outputs: vec![None],
        drops: None,
    };
    vec![
        row(
            NetEvent::LinkGone(IfIndex(1)),
            vec![NetEvent::Link(link(9, "a"))],
            "input: there is no interface a",
        ),
        row(down(1, "a"), vec![a()], "input: a is down (ip link set a up)"),
        Row {
            drops: Some(vec![None]),
            ..row(without_carrier(1, "a"), vec![a()], "input: a has no carrier")
        },
        Row {
            rule: unicast("10.0.1.9"),
            change: Vec::new(),
            outputs: vec![None],
            ..row(
                a(),
                vec![NetEvent::Address(address(1, "10.0.1.9/32"))],
                "input: 10.0.1.9 is not an address of a",
            )
        },
        Row {
            rule: unicast("10.0.1.1"),
            ..row(
                NetEvent::AddressGone(address(1, "10.0.1.1/24")),
                vec![NetEvent::Address(address(1, "10.0.1.1/24"))],
                "input: 10.0.1.1 is not an address of a",
            )
        },
        // The address of another interface is not enough.
        Row {
            rule: unicast("10.0.2.1"),
            change: Vec::new(),
            ..row(
                a(),
                vec![NetEvent::Address(address(1, "10.0.2.1/24"))],
                "input: 10.0.2.1 is not an address of a",
            )
        },
    ]
}

/// An output cannot send.
fn outputs() -> Vec<Row> {
    let b = || NetEvent::Link(link(2, "b"));
    let row = |change, heal, drop, outputs: Vec<&'static str>, reason| Row {
        change: vec![change],
        heal: vec![heal],
        rule: rule("r"),
        reason,
        drops: Some(outputs.iter().map(|_| Some(drop)).collect()),
        outputs: outputs.into_iter().map(Some).collect(),
    };
    vec![
        Row {
            heal: vec![NetEvent::Link(link(9, "b")), NetEvent::Address(address(9, "10.0.2.1/24"))],
            ..row(
                NetEvent::LinkGone(IfIndex(2)),
                b(),
                DropReason::NoInterface,
                vec!["there is no interface b"],
                "output: there is no interface b",
            )
        },
        row(
            down(2, "b"),
            b(),
            DropReason::InterfaceDown,
            vec!["b is down (ip link set b up)"],
            "output: b is down (ip link set b up)",
        ),
        row(
            without_carrier(2, "b"),
            b(),
            DropReason::NoCarrier,
            vec!["b has no carrier"],
            "output: b has no carrier",
        ),
        row(
            NetEvent::AddressGone(address(2, "10.0.2.1/24")),
            NetEvent::Address(address(2, "10.0.2.7/24")),
            DropReason::NoAddress,
            vec!["b has no IPv4 address"],
            "output: b has no IPv4 address",
        ),
        Row {
            rule: with(rule("r"), |r| r.outputs = vec![output("x"), output("x")].into()),
            heal: vec![NetEvent::Link(link(9, "x")), NetEvent::Address(address(9, "10.0.9.1/24"))],
            ..row(
                b(),
                b(),
                DropReason::NoInterface,
                vec!["there is no interface x", "there is no interface x"],
                "every output; the first: there is no interface x",
            )
        },
    ]
}

#[test]
fn every_reason_stands_in_the_rule_and_goes_when_it_is_healed() {
    for row in inputs().into_iter().chain(outputs()) {
        // The change comes before the rule in one world and after it in the other.
        for late in [false, true] {
            let mut core = Core::new();
            if late {
                core.add(row.rule.clone());
            }
            for event in row.change.clone() {
                core.tell(Event::Net(event));
            }
            if late {
                core.settle();
            } else {
                core.add(row.rule.clone());
            }
            assert_eq!(core.state("r"), (State::Pending, Some(row.reason.to_owned())));
            let status = core.status("r");
            let reasons: Vec<_> = status.outputs.iter().map(|o| o.reason.as_deref()).collect();
            assert_eq!(reasons, row.outputs, "{}", row.reason);
            for output in &status.outputs {
                assert_eq!(output.state == State::Pending, output.reason.is_some());
            }
            assert_eq!(compiled(&core), row.drops, "{}", row.reason);
            for event in row.heal.clone() {
                core.tell(Event::Net(event));
            }
            core.settle();
            assert_eq!(core.state("r"), (State::Active, None), "after {}", row.reason);
            let sends = row.rule.outputs.len();
            let copies = compiled(&core).expect("in the table");
            // The second of two equal outputs is the same copy.
            assert!(copies.iter().all(Option::is_none) && (1..=sends).contains(&copies.len()));
        }
    }
}

#[test]
fn one_output_that_sends_is_enough() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| r.outputs = vec![output("x"), output("b")].into()));
    assert_eq!(core.state("r"), (State::Active, None));
    let states: Vec<_> = core.status("r").outputs.iter().map(|o| o.state).collect();
    assert_eq!(states, [State::Pending, State::Active]);
    assert_eq!(compiled(&core), Some(vec![Some(DropReason::NoInterface), None]));
}

#[test]
fn disabled_is_neither_active_nor_pending() {
    let mut core = Core::new();
    let asked = core.add(with(rule("r"), |r| r.enabled = false));
    assert_eq!(core.state("r"), (State::Disabled, None));
    assert_eq!(core.status("r").outputs[0].state, State::Disabled);
    assert_eq!(compiled(&core), None);
    assert!(!asked.iter().any(|line| line.starts_with("open") || line.starts_with("join")));
}

#[test]
fn ipv6_waits_with_a_word() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| r.input.groups = net("ff3e::1")));
    let reason = "input: IPv6 is not forwarded yet".to_owned();
    assert_eq!(core.state("r"), (State::Pending, Some(reason)));
}

/// Only the main table is known, and a policy rule may lead to another: it is tried, with a word.
#[test]
fn an_output_without_a_known_route_is_tried() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.outputs[0].interfaces = Default::default();
        r.outputs[0].destination = Destination::Address(ip("192.0.2.1"));
    }));
    let output = |core: &Core| core.status("r").outputs[0].clone();
    let unknown = Some("there is no route to 192.0.2.1 in the main table".to_owned());
    assert_eq!((output(&core).state, output(&core).reason), (State::Active, unknown.clone()));
    assert!(matches!(core.router.fib.unpack().entries()[0].1.copies[0].action, Action::Send(_)));
    core.acknowledge();
    // Routes do not change the table, but the word goes and comes.
    assert!(core.net(NetEvent::Route(route("192.0.2.0/24", 2))).is_empty());
    assert_eq!(output(&core).reason, None);
    core.net(NetEvent::LinkGone(IfIndex(2)));
    assert_eq!(output(&core).reason, unknown);
    assert_eq!(core.state("r"), (State::Active, None));
}

#[test]
fn names_decide_not_numbers() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| r.input.interfaces = on("cam0")));
    assert_eq!(core.state("r").0, State::Pending);
    // Renamed to what the rule names.
    core.net(NetEvent::Link(link(1, "cam0")));
    assert_eq!(core.state("r").0, State::Active);
    core.net(NetEvent::Link(link(1, "other")));
    assert_eq!(core.state("r").0, State::Pending);
    // An alternative name serves too, until the name goes to another interface.
    let alternative = Link { alt_names: vec!["cam0".to_owned()], ..link(1, "other") };
    core.net(NetEvent::Link(alternative));
    assert_eq!(core.state("r").0, State::Active);
    assert_eq!(core.router.fib.unpack().entries()[0].0.iif, IfIndex(1));
    core.net(NetEvent::Link(link(3, "cam0")));
    assert_eq!(core.router.fib.unpack().entries()[0].0.iif, IfIndex(3));
}

#[test]
fn the_first_address_that_is_not_link_local_is_the_source() {
    let mut core = Core::new();
    core.add(rule("r"));
    let source = |core: &Core| match core.router.fib.unpack().entries()[0].1.copies[0].action {
        Action::Send(Send { egress: Egress::Socket { source, .. }, .. }) => source,
        _ => None,
    };
    assert_eq!(source(&core), Some(ip("10.0.2.1")));
    core.net(NetEvent::Address(address(2, "10.0.2.2/24")));
    assert_eq!(source(&core), Some(ip("10.0.2.1")));
    core.tell(Event::Net(NetEvent::AddressGone(address(2, "10.0.2.1/24"))));
    core.tell(Event::Net(NetEvent::AddressGone(address(2, "10.0.2.2/24"))));
    core.net(NetEvent::Address(address(2, "169.254.3.3/16")));
    assert_eq!(source(&core), Some(ip("169.254.3.3")));
    core.net(NetEvent::Address(address(2, "10.0.2.3/24")));
    assert_eq!(source(&core), Some(ip("10.0.2.3")));
}
