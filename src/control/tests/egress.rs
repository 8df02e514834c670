//! How copies leave: sockets, frames, or raw packets; and with which source.

use super::*;
use crate::fib::{Action, Egress, Send, SourceRewrite, Target};
use crate::types::{DropReason, Dscp, MtuPolicy, OutputSource};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn core() -> Core {
    let mut core = Core::new();
    core.net(NetEvent::Link(Link { mac: Some(MAC), mtu: 9000, ..link(2, "b") }));
    let lo = Link { loopback: true, mac: None, ..link(10, "lo") };
    core.net(NetEvent::Link(lo));
    core.net(NetEvent::Address(address(10, "127.0.0.1/8")));
    core
}

fn action(output: RuleOutput) -> Action {
    let mut core = core();
    core.add(with(rule("r"), |r| r.outputs = vec![output].into()));
    core.router.fib.unpack().entries()[0].1.copies[0].action
}

fn sent(output: RuleOutput) -> Send {
    match action(output.clone()) {
        Action::Send(send) => send,
        Action::Drop(reason) => panic!("{output:?}: {reason:?}"),
    }
}

fn to(destination: &str, output: RuleOutput) -> RuleOutput {
    RuleOutput { destination: Destination::Address(ip(destination)), ..output }
}

fn from(address: &str, port: Option<&str>, output: RuleOutput) -> RuleOutput {
    let port = port.map(|port| port.parse().expect("a port"));
    RuleOutput { source: OutputSource::Address { address: ip(address), port }, ..output }
}

fn frames(address: Option<&str>, port: Option<u16>) -> Egress {
    let source = SourceRewrite { address: address.map(ip), port };
    Egress::Link { source, link_layer: LinkLayer::Ethernet, mac: MAC }
}

#[test]
fn a_source_of_ours_leaves_by_a_socket_and_any_other_by_frames_or_raw_packets() {
    let keep = RuleOutput { source: OutputSource::Keep, ..output("b") };
    let socket = |address: &str, port| Egress::Socket { source: Some(ip(address)), port };
    let unrouted = to("192.0.2.9", RuleOutput::unchanged(Vec::new()));
    let raw = |address: &str, port| Egress::Raw {
        source: SourceRewrite { address: Some(ip(address)), port },
    };
    for (output, egress) in [
        (output("b"), socket("10.0.2.1", None)),
        (from("10.0.3.1", None, output("b")), socket("10.0.3.1", None)),
        (from("10.0.2.1", Some("4000"), output("b")), socket("10.0.2.1", Some(4000))),
        (keep.clone(), frames(None, None)),
        (to("10.0.2.255", keep.clone()), frames(None, None)),
        (from("10.9.9.9", None, output("b")), frames(Some("10.9.9.9"), None)),
        (from("10.9.9.9", Some("4000"), output("b")), frames(Some("10.9.9.9"), Some(4000))),
        (from("10.9.9.9", None, to("10.0.2.7", output("b"))), raw("10.9.9.9", None)),
        (from("10.9.9.9", Some("4"), unrouted.clone()), raw("10.9.9.9", Some(4))),
        (unrouted, Egress::Socket { source: None, port: None }),
    ] {
        assert_eq!(sent(output.clone()).egress, egress, "{output:?}");
    }
    assert_eq!(action(to("10.0.2.7", keep)), Action::Drop(DropReason::SendError));
}

#[test]
fn frames_need_no_address_but_sockets_do() {
    let mut core = core();
    core.net(NetEvent::AddressGone(address(2, "10.0.2.1/24")));
    core.add(with(rule("kept"), |r| r.outputs[0].source = OutputSource::Keep));
    core.add(rule("ours"));
    assert_eq!(core.state("kept"), (State::Active, None));
    let reason = "output: b has no IPv4 address";
    assert_eq!(core.state("ours").1.as_deref(), Some(reason));
}

#[test]
fn the_mtu_is_known_where_we_need_it_only() {
    let keep = RuleOutput { source: OutputSource::Keep, ..output("b") };
    let drop = RuleOutput { mtu_policy: MtuPolicy::Drop, ..output("b") };
    assert_eq!(sent(output("b")).mtu, None, "the kernel fragments");
    assert_eq!(sent(keep).mtu, Some(9000));
    assert_eq!((sent(drop.clone()).mtu, sent(drop).mtu_policy), (Some(9000), MtuPolicy::Drop));
    let mut core = core();
    core.add(with(rule("any"), |r| {
        r.input.protocol = crate::types::Protocol::Any;
        r.input.ports = Default::default();
    }));
    let Action::Send(send) = core.router.fib.unpack().entries()[0].1.copies[0].action else {
        panic!("a send")
    };
    assert_eq!(send.mtu, Some(9000), "of other protocols we make the fragments");
}

#[test]
fn fields_go_over_as_they_are() {
    let output = RuleOutput {
        ttl: Ttl::Decrement,
        dscp: Dscp::Set(34),
        port: "6000".parse().ok(),
        destination: Destination::Prefix("239.110.0.0/24".parse().expect("a prefix")),
        ..output("b")
    };
    let mut core = core();
    core.add(with(rule("r"), |r| {
        r.input.groups = net("232.10.0.0/24");
        r.outputs = vec![output].into();
    }));
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    let Action::Send(send) = entries[0].1.copies[0].action else { panic!("a send") };
    assert_eq!((send.ttl, send.dscp, send.port), (Ttl::Decrement, Dscp::Set(34), Some(6000)));
    assert_eq!(send.target, Target::Map { base: ip("239.110.0.0"), host_bits: 8 });
    assert_eq!(send.target.of(ip("232.10.0.77")), ip("239.110.0.77"));
}

#[test]
fn local_copies_go_over_the_loopback_interface_whose_groups_are_joined() {
    let local = RuleOutput { local: true, ..RuleOutput::unchanged(Vec::new()) };
    let mut core = core();
    core.add(with(rule("r"), |r| r.outputs = vec![to("239.9.9.9", local)].into()));
    let member = Membership { index: IfIndex(10), group: ip("239.9.9.9"), source: None };
    assert!(core.router.memberships.contains(&member));
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    let Action::Send(send) = entries[0].1.copies[0].action else { panic!("a send") };
    assert_eq!(send.oif, Some(IfIndex(10)));
    assert_eq!(send.egress, Egress::Socket { source: Some(ip("127.0.0.1")), port: None });
}

#[test]
fn broadcasts_are_known_as_such() {
    for (destination, broadcast) in
        [("10.0.2.255", true), ("255.255.255.255", true), ("10.0.2.7", false), ("239.1.1.1", false)]
    {
        assert_eq!(sent(to(destination, output("b"))).broadcast, broadcast, "{destination}");
    }
    let mut core = core();
    core.add(with(rule("r"), |r| r.input.groups = net("255.255.255.255")));
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    let Action::Send(send) = entries[0].1.copies[0].action else { panic!("a send") };
    assert!(send.broadcast, "what came as one goes out as one");
}
