//! Copies from UDP sockets: the fields of an output; and which packets a rule takes.

use super::*;
use crate::types::{LAST_RELAYED_TTL, UNSET_TTL};

fn relay(send: Send, bytes: Vec<u8>) -> Outcome {
    run(vec![start(vec![Action::Send(send)]), frames(vec![(0, PLAIN, bytes)])], sent)
}

fn relay_one(send: Send, bytes: Vec<u8>) -> Seen {
    let outcome = relay(send, bytes);
    let [seen] = &outcome.log.sent[..] else { panic!("{:?}", outcome.output(0)) };
    seen.clone()
}

#[test]
fn a_datagram_from_a_socket_has_every_field_that_the_output_names() {
    let plain = sent_on(4, Ttl::Keep);
    let same = Seen {
        to: SocketAddrV4::new(group(1), 5000),
        oif: 4,
        source: Ipv4Addr::new(10, 0, 9, 1),
        ttl: 9,
        tos: 46 << 2,
        payload: b"hello".to_vec(),
    };
    let at = |address: [u8; 4], port| SocketAddrV4::new(address.into(), port);
    let source = |address: Ipv4Addr| Egress::Socket { source: Some(address.into()), port: None };
    let mapped = Target::Map { base: Ipv4Addr::new(232, 5, 0, 0).into(), host_bits: 16 };
    let rows = [
        (plain, same.clone()),
        (Send { dscp: Dscp::Set(0), ..plain }, Seen { tos: 0, ..same.clone() }),
        (Send { dscp: Dscp::Set(63), ..plain }, Seen { tos: 252, ..same.clone() }),
        (Send { port: Some(1), ..plain }, Seen { to: at([239, 1, 1, 1], 1), ..same.clone() }),
        (Send { target: mapped, ..plain }, Seen { to: at([232, 5, 1, 1], 5000), ..same.clone() }),
        (
            Send { target: Target::Set(Ipv4Addr::BROADCAST.into()), broadcast: true, ..plain },
            Seen { to: at([255; 4], 5000), ..same.clone() },
        ),
        (
            Send { egress: source(Ipv4Addr::LOCALHOST), oif: Some(IfIndex(8)), ..plain },
            Seen { source: Ipv4Addr::LOCALHOST, oif: 8, ..same.clone() },
        ),
        (Send { oif: None, ..plain }, Seen { oif: 0, ..same.clone() }),
    ];
    for (send, expected) in rows {
        assert_eq!(relay_one(send, packets::sample(b"hello")), expected, "{send:?}");
    }
}

#[test]
fn a_relayed_datagram_goes_so_far_and_no_further() {
    let rows = [
        (1, Some(UNSET_TTL)),
        (64, Some(UNSET_TTL)),
        (UNSET_TTL, Some(UNSET_TTL - 1)),
        (LAST_RELAYED_TTL + 1, Some(LAST_RELAYED_TTL)),
        (LAST_RELAYED_TTL, None),
    ];
    for (arriving, leaving) in rows {
        let outcome = relay(sent_on(4, Ttl::Relayed), packet(9, group(1), arriving, b"nine byte"));
        let seen: Vec<u8> = outcome.log.sent.iter().map(|seen| seen.ttl).collect();
        assert_eq!(seen, leaving.into_iter().collect::<Vec<_>>(), "from {arriving}");
        let looped = outcome.output(0).drops.get(DropReason::RelayLoop);
        assert_eq!(looped, u64::from(leaving.is_none()));
    }
}

#[test]
fn what_is_larger_than_the_mtu_is_dropped_where_the_output_says_so() {
    let payload: Vec<u8> = (0..250).collect();
    let run_with = |mtu, mtu_policy| {
        let send = Send { mtu, mtu_policy, ..sent_on(4, Ttl::Keep) };
        let bytes = packet(9, group(1), 9, &payload);
        run(vec![start(vec![Action::Send(send)]), frames(vec![(0, super_frame(100), bytes)])], sent)
    };
    // Two datagrams of 100 bytes and one of 50, each with 28 bytes of headers.
    let rows = [
        (Some(128), MtuPolicy::Drop, 3),
        (Some(127), MtuPolicy::Drop, 1),
        (Some(78), MtuPolicy::Drop, 1),
        (Some(77), MtuPolicy::Drop, 0),
        (None, MtuPolicy::Drop, 3),
        (Some(77), MtuPolicy::Fragment, 3),
    ];
    for (mtu, policy, expected) in rows {
        let output = run_with(mtu, policy).output(0);
        let dropped = output.drops.get(DropReason::MtuExceeded);
        assert_eq!((output.wanted, output.sent, dropped), (3, expected, 3 - expected));
    }
}

#[test]
fn a_fixed_port_serves_all_sources_and_a_foreign_address_none() {
    let spare = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let port = spare.local_addr().expect("bound").port();
    drop(spare);
    let source =
        |address: Ipv4Addr| Egress::Socket { source: Some(address.into()), port: Some(port) };
    let send = Send { egress: source(Ipv4Addr::LOCALHOST), ..sent_on(4, Ttl::Keep) };
    let batch = (2..9).map(|n| (0, PLAIN, packet(n, group(1), 9, b"x"))).collect();
    let outcome = run(vec![start(vec![Action::Send(send)]), frames(batch)], sent);
    assert_eq!((outcome.log.sent.len(), outcome.report.worker.egress_sockets), (7, 1));
    let send = Send { egress: source(Ipv4Addr::new(192, 0, 2, 1)), ..send };
    let outcome = relay(send, packet(9, group(1), 9, b"x"));
    assert_eq!(outcome.output(0).drops.get(DropReason::NoAddress), 1);
}

/// One packet of this protocol and VLAN to the group, relayed by a rule with these: the drop of the
/// port, none where it is relayed.
fn taken(rule: (Protocol, VlanFilter), packet: (u8, Option<u16>)) -> Option<DropReason> {
    let mut bytes = packets::sample(b"hello");
    bytes[23] = packet.0;
    bytes[24..26].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&bytes[14..34]).fold();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let meta = FrameMeta { vlan: packet.1, ..FrameMeta::plain(LinkLayer::Ethernet) };
    let mut builder = Builder::default();
    let action = Action::Drop(DropReason::NoCarrier);
    let resolved = resolved(0, 1, group(1), rule.1, &[action], 0);
    builder.rule(Resolved { protocol: rule.0, ..resolved });
    let commands = vec![open(0, PACKET), publish(builder.build(1).fib)];
    let start = Turn { commands, ..Turn::default() };
    let outcome = run(vec![start, frames(vec![(0, About::Packet(meta), bytes)])], sent);
    let port = outcome.port(0);
    let drops: Vec<_> = port.drops.iter().collect();
    assert_eq!(drops.len() as u64 + port.matched, 1, "{port:?}");
    assert_eq!(outcome.output(0).wanted, port.matched);
    // A frame of a VLAN that nobody asked for is not decoded.
    let is_tag = drops.first().is_some_and(|drop| drop.0 == DropReason::VlanTag);
    assert_eq!((port.frames, port.whole, port.datagrams), (1, !is_tag as u64, !is_tag as u64));
    drops.first().map(|&(reason, _)| reason)
}

#[test]
fn a_rule_takes_the_protocols_and_vlans_that_it_names() {
    use Protocol::{Any, Udp};
    use VlanFilter::{Id, Untagged};
    let rows = [
        ((Udp, Untagged), (17, None), None),
        ((Udp, Untagged), (17, Some(0)), None),
        ((Udp, Untagged), (17, Some(5)), Some(DropReason::VlanTag)),
        ((Udp, Untagged), (253, None), Some(DropReason::NotUdp)),
        ((Udp, Id(5)), (17, Some(5)), None),
        ((Udp, Id(5)), (17, Some(6)), Some(DropReason::VlanTag)),
        ((Udp, Id(5)), (17, None), Some(DropReason::NoRule)),
        ((Udp, VlanFilter::Any), (17, Some(6)), None),
        ((Udp, VlanFilter::Any), (17, None), None),
        ((Any, Untagged), (253, None), None),
        ((Any, Untagged), (2, None), Some(DropReason::LinkProtocol)),
        ((Any, Untagged), (103, None), Some(DropReason::LinkProtocol)),
        ((Any, Id(5)), (253, Some(5)), None),
    ];
    for (rule, packet, expected) in rows {
        assert_eq!(taken(rule, packet), expected, "{rule:?} {packet:?}");
    }
}
