//! Rules whose inputs and outputs are sets: of interfaces, groups, ports, sources.

use super::*;
use crate::fib::Action;
use crate::types::Criteria;

fn glob(text: &str) -> Few<InterfaceSelector> {
    let name_glob = Some(text.to_owned().try_into().expect("a glob"));
    vec![Criteria { name_glob, ..Criteria::default() }.into()].into()
}

fn open_ports(core: &Core) -> Vec<String> {
    core.router.ports.iter().map(|port| key_text(&port.key)).collect()
}

fn members(core: &Core) -> Vec<String> {
    let text = |m: &Membership| match m.source {
        Some(source) => format!("{}:{}<{source}", m.index, m.group),
        None => format!("{}:{}", m.index, m.group),
    };
    core.router.memberships.iter().map(text).collect()
}

fn oifs(core: &Core, iif: u32) -> Vec<u32> {
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    let (_, entry) = entries.iter().find(|(set, _)| set.iif == IfIndex(iif)).expect("an entry");
    let sent = entry.copies.iter().filter_map(|copy| match copy.action {
        Action::Send(send) => send.oif.map(|oif| oif.0),
        Action::Drop(_) => None,
    });
    sent.collect()
}

#[test]
fn interfaces_are_bound_as_they_appear() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.input.interfaces = glob("cam*");
        r.outputs = vec![RuleOutput::unchanged(glob("out*"))].into();
    }));
    let reason = "input: there is no interface with nameGlob cam*";
    assert_eq!(core.state("r"), (State::Pending, Some(reason.to_owned())));
    core.net(NetEvent::Link(link(7, "cam7")));
    core.net(NetEvent::Link(link(8, "cam8")));
    assert_eq!(open_ports(&core), ["packet 7", "packet 8"]);
    assert_eq!(members(&core), ["7:239.1.1.1", "8:239.1.1.1"]);
    let reason = "output: there is no interface with nameGlob out*";
    assert_eq!(core.state("r").1.as_deref(), Some(reason));
    core.net(NetEvent::Link(link(9, "out9")));
    assert_eq!(core.state("r").1.as_deref(), Some("output: out9 has no IPv4 address"));
    core.net(NetEvent::Address(address(9, "10.0.9.1/24")));
    assert_eq!(core.state("r"), (State::Active, None));
    assert_eq!((oifs(&core, 7), oifs(&core, 8)), (vec![9], vec![9]));
    assert_eq!(core.status("r").outputs[0].interfaces, [IfIndex(9)]);
    core.net(NetEvent::LinkGone(IfIndex(7)));
    assert_eq!(open_ports(&core), ["packet 8"]);
    // One of two that does not work is told, and the other goes on.
    core.net(down(10, "cam10"));
    let reason = "input: cam10 is down (ip link set cam10 up)";
    assert_eq!(core.state("r"), (State::Active, Some(reason.to_owned())));
}

#[test]
fn a_copy_never_goes_back_unchanged_to_where_it_came_from() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.input.interfaces = glob("?");
        r.outputs = vec![RuleOutput::unchanged(glob("?"))].into();
    }));
    for (iif, expected) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
        assert_eq!(oifs(&core, iif), expected);
    }
}

#[test]
fn unchanged_in_other_words_is_unchanged() {
    for change in [
        |output: &mut RuleOutput| output.port = "5000".parse().ok(),
        |output: &mut RuleOutput| output.destination = Destination::Address(ip("239.1.1.1")),
        |output: &mut RuleOutput| output.ttl = Ttl::Keep,
    ] {
        let mut core = Core::new();
        core.add(with(rule("r"), |r| {
            r.input.interfaces = glob("?");
            let mut output = RuleOutput::unchanged(glob("?"));
            change(&mut output);
            r.outputs = vec![output].into();
        }));
        assert_eq!(oifs(&core, 1), [2, 3]);
    }
}

#[test]
fn a_prefix_is_joined_group_by_group_and_filtered_as_one() {
    let mut core = Core::new();
    let asked = core.add(with(rule("r"), |r| r.input.groups = net("239.1.1.4/30")));
    assert_eq!(
        asked,
        [
            "publish 1",
            "open 0 packet 1 at 0: 239.1.1.4",
            "join 1:239.1.1.4 1:239.1.1.5 1:239.1.1.6 1:239.1.1.7"
        ]
    );
    let filter = core.router.ports.iter().next().expect("a port").filter.clone();
    let destinations: Vec<String> = filter.destinations.iter().map(ToString::to_string).collect();
    assert_eq!(destinations, ["239.1.1.4/30"]);
    assert!(!filter.any_protocol && !filter.all_multicast);
}

#[test]
fn who_does_not_join_receives_all_multicast() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| {
        r.input.join = Join::Never;
        r.input.protocol = Protocol::Any;
        r.input.ports = Default::default();
    }));
    assert!(members(&core).is_empty());
    let filter = core.router.ports.iter().next().expect("a port").filter.clone();
    assert!(filter.all_multicast && filter.any_protocol);
}

#[test]
fn sources_are_joined_one_by_one_where_they_can_be() {
    let joined = |include: &[&str], exclude: &[&str]| {
        let mut core = Core::new();
        core.add(with(rule("r"), |r| {
            r.input.sources.include = include.iter().flat_map(|text| net(text).to_vec()).collect();
            r.input.sources.exclude = exclude.iter().flat_map(|text| net(text).to_vec()).collect();
        }));
        members(&core)
    };
    assert_eq!(
        joined(&["10.0.1.8", "10.0.1.9"], &[]),
        ["1:239.1.1.1<10.0.1.8", "1:239.1.1.1<10.0.1.9"]
    );
    assert_eq!(joined(&["10.0.1.8", "10.0.1.9"], &["10.0.1.9"]), ["1:239.1.1.1<10.0.1.8"]);
    assert_eq!(joined(&["10.0.1.8", "10.0.2.0/24"], &[]), ["1:239.1.1.1"]);
    assert_eq!(joined(&[], &["10.0.1.9"]), ["1:239.1.1.1"]);
}

#[test]
fn broadcasts_come_by_frames_and_unicast_by_sockets() {
    let mut core = Core::new();
    core.add(with(rule("limited"), |r| r.input.groups = net("255.255.255.255")));
    core.add(with(rule("subnet"), |r| r.input.groups = net("10.0.1.255")));
    core.add(with(rule("unicast"), |r| {
        r.input.groups = net("10.0.1.1");
        let port = |text: &str| text.parse().expect("a port");
        r.input.ports = vec![PortRange { start: port("7000"), end: port("7002") }].into();
    }));
    assert_eq!(
        open_ports(&core),
        ["packet 1", "udp 1 10.0.1.1:7000", "udp 1 10.0.1.1:7001", "udp 1 10.0.1.1:7002"]
    );
    assert!(members(&core).is_empty());
    core.add(with(rule("other"), |r| r.input.groups = net("10.0.2.255")));
    let reason = "input: 10.0.2.255 is not an address of a";
    assert_eq!(core.state("other").1.as_deref(), Some(reason));
}
