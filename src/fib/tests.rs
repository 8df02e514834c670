//! The table against a naive model: all rules that match a packet, one by one.

use super::*;
use crate::types::SourceFilter;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn group(last: u8) -> IpAddr {
    Ipv4Addr::new(239, 1, 1, last).into()
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn packet(destination: IpAddr, port: u16, source: u8) -> FlowKey {
    FlowKey {
        iif: IfIndex(1),
        vlan: 0,
        destination,
        source: Ipv4Addr::new(10, 0, 0, source).into(),
        protocol: protocol::UDP,
        port,
    }
}

fn send(oif: u32, ttl: u8) -> Send {
    Send {
        oif: Some(IfIndex(oif)),
        target: Target::UNCHANGED,
        port: None,
        ttl: Ttl::Set(ttl),
        dscp: Dscp::Keep,
        egress: Egress::Socket { source: None, port: None },
        broadcast: false,
        mtu: None,
        mtu_policy: MtuPolicy::Fragment,
        limit: None,
        burst: None,
    }
}

fn rule(slot: u32, groups: &[&str], sends: &[Send]) -> Resolved {
    let copies = (0u32..)
        .zip(sends)
        .map(|(n, send)| CopyOut { slot: OutputSlot(slot * 4 + n), action: Action::Send(*send) });
    Resolved {
        slot: RuleSlot(slot),
        iif: IfIndex(1),
        vlan: VlanFilter::Untagged,
        groups: groups.iter().map(|text| net(text)).collect(),
        ports: Vec::new(),
        sources: SourceFilter::default(),
        protocol: Protocol::Udp,
        link_local: false,
        copies: copies.collect(),
    }
}

fn build(rules: Vec<Resolved>) -> Compiled {
    let mut builder = Builder::default();
    for rule in rules {
        builder.rule(rule);
    }
    builder.build(7)
}

fn slots(found: Result<&Entry, DropReason>) -> Result<Vec<u32>, DropReason> {
    found.map(|entry| entry.rules.iter().map(|slot| slot.0).collect())
}

#[test]
fn the_name_of_a_miss_says_what_was_missing() {
    let filtered = Resolved {
        ports: vec![(5000, 5009)],
        sources: SourceFilter { include: vec![], exclude: vec![net("10.0.0.2/32")] },
        ..rule(0, &["239.1.1.0/24"], &[send(2, 5)])
    };
    let wide = Resolved { ports: vec![(1, 65535)], ..rule(1, &["224.0.0.0/4"], &[send(3, 5)]) };
    let all = Resolved { protocol: Protocol::Any, ..rule(2, &["239.9.9.9/32"], &[send(2, 5)]) };
    let fib = build(vec![filtered, wide, all]).fib;
    let miss = |key: FlowKey| slots(fib.lookup(&key));
    assert_eq!(miss(packet(group(1), 5009, 1)), Ok(vec![0, 1]));
    assert_eq!(miss(packet(group(1), 5009, 2)), Ok(vec![1]));
    assert_eq!(miss(packet(group(1), 0, 1)), Err(DropReason::NoRule));
    let link_local = Ipv4Addr::new(224, 0, 0, 251).into();
    assert_eq!(miss(packet(link_local, 5353, 1)), Err(DropReason::LinkLocal));
    let other_group = Ipv4Addr::new(224, 0, 1, 0).into();
    assert_eq!(miss(packet(other_group, 5353, 1)), Ok(vec![1]));
    assert_eq!(miss(packet(Ipv4Addr::new(10, 9, 9, 9).into(), 1, 1)), Err(DropReason::NoRule));
    let any = Ipv4Addr::new(239, 9, 9, 9).into();
    for (protocol, outcome) in [
        (1, Ok(vec![2])),
        (17, Ok(vec![1, 2])),
        (protocol::IGMP, Err(DropReason::LinkProtocol)),
        (protocol::PIM, Err(DropReason::LinkProtocol)),
    ] {
        assert_eq!(miss(FlowKey { protocol, ..packet(any, 1, 1) }), outcome, "{protocol}");
    }
    assert_eq!(miss(FlowKey { protocol: 1, ..packet(group(1), 1, 1) }), Err(DropReason::NotUdp));
    let only = Resolved {
        sources: SourceFilter { include: vec![net("10.0.0.0/31")], exclude: vec![] },
        ports: vec![(5000, 5000)],
        ..rule(0, &["239.1.1.1/32"], &[send(2, 5)])
    };
    let fib = build(vec![only]).fib;
    assert_eq!(slots(fib.lookup(&packet(group(1), 5000, 1))), Ok(vec![0]));
    assert_eq!(fib.lookup(&packet(group(1), 5000, 2)), Err(DropReason::SourceFiltered));
    assert_eq!(fib.lookup(&packet(group(1), 5001, 2)), Err(DropReason::NoRule));
}

#[test]
fn vlans_are_apart_and_any_takes_all() {
    let tagged = Resolved { vlan: VlanFilter::Id(310), ..rule(1, &["239.1.1.1/32"], &[]) };
    let untagged = rule(0, &["239.1.1.1/32"], &[]);
    let fib = build(vec![untagged.clone(), tagged.clone()]).fib;
    let at = |fib: &Fib, vlan| slots(fib.lookup(&FlowKey { vlan, ..packet(group(1), 1, 1) }));
    assert_eq!(at(&fib, 0), Ok(vec![0]));
    assert_eq!(at(&fib, 310), Ok(vec![1]));
    assert_eq!(at(&fib, 311), Err(DropReason::NoRule));
    assert!(fib.takes_vlan(IfIndex(1), 310) && !fib.takes_vlan(IfIndex(1), 311));
    assert!(!fib.takes_vlan(IfIndex(2), 310) && fib.takes_vlan(IfIndex(2), 0));
    let any = Resolved { vlan: VlanFilter::Any, ..rule(2, &["239.1.1.1/32"], &[]) };
    let fib = build(vec![untagged, tagged, any]).fib;
    assert_eq!(at(&fib, 0), Ok(vec![0, 2]));
    assert_eq!(at(&fib, 310), Ok(vec![1, 2]));
    assert_eq!(at(&fib, 311), Ok(vec![2]));
    assert!(fib.takes_vlan(IfIndex(1), 311));
}

#[test]
fn a_prefix_keeps_host_bits() {
    let base = Target::Map { base: Ipv4Addr::new(239, 110, 0, 0).into(), host_bits: 8 };
    assert_eq!(base.of(Ipv4Addr::new(232, 10, 0, 77).into()), IpAddr::from([239, 110, 0, 77]));
    assert_eq!(Target::UNCHANGED.of(group(9)), group(9));
    assert_eq!(Target::Set(group(1)).of(group(9)), group(1));
}

#[test]
fn a_contradiction_for_one_destination_only_is_partial() {
    let wide = rule(0, &["239.1.1.0/24"], &[send(2, 1)]);
    let fixed = Send { target: Target::Set(group(7)), ..send(2, 2) };
    let compiled = build(vec![wide, rule(1, &["239.1.1.0/24"], &[fixed])]);
    let expected = Conflict { loser: OutputSlot(4), winner: RuleSlot(0), partial: true };
    assert_eq!(compiled.conflicts, BTreeSet::from([expected]));
    let copies = |last| compiled.fib.lookup(&packet(group(last), 1, 1)).expect("hit").copies.len();
    assert_eq!((copies(6), copies(7)), (2, 2));
    let entry = compiled.fib.lookup(&packet(group(7), 1, 1)).expect("hit");
    assert_eq!(entry.copies[1].action, Action::Drop(DropReason::Contradicted));
    let same = build(vec![
        rule(0, &["239.1.1.1/32"], &[send(2, 1)]),
        rule(1, &["239.1.1.1/32"], &[send(2, 9)]),
    ]);
    assert!(same.conflicts.iter().all(|conflict| !conflict.partial) && same.conflicts.len() == 1);
}

#[test]
fn tables_that_differ_in_one_thing_forward_differently() {
    let one = || rule(0, &["239.1.1.0/24"], &[send(2, 1)]);
    let base = build(vec![one()]).fib;
    assert!(base.forwards_like(&build(vec![one()]).fib));
    let others = [
        Resolved { link_local: true, vlan: VlanFilter::Any, ..one() },
        Resolved { ports: vec![(1, 2)], ..one() },
        Resolved { protocol: Protocol::Any, ..one() },
        Resolved { groups: vec![net("239.1.1.0/25")], ..one() },
        rule(0, &["239.1.1.0/24"], &[send(2, 2)]),
        rule(0, &["239.1.1.0/24"], &[Send { dscp: Dscp::Set(1), ..send(2, 1) }]),
    ];
    for other in others {
        assert!(!base.forwards_like(&build(vec![other]).fib));
    }
    let mut builder = Builder::default();
    builder.rule(one());
    builder.own_address(IfIndex(1), group(1));
    assert!(!base.forwards_like(&builder.build(7).fib));
}

/// A copy of one packet: where it goes, and how it is rewritten.
type Copy = (Option<IfIndex>, IpAddr, u16, Ttl);

fn copies_of(entry: &Entry, packet: &FlowKey) -> (Vec<Copy>, usize) {
    let mut copies = Vec::new();
    let mut contradicted = 0;
    for copy in &entry.copies {
        match copy.action {
            Action::Send(s) => copies.push((
                s.oif,
                s.target.of(packet.destination),
                s.port.unwrap_or(packet.port),
                s.ttl,
            )),
            Action::Drop(_) => contradicted += 1,
        }
    }
    (copies, contradicted)
}

/// What ought to come out, by going through all rules.
fn model(rules: &[Resolved], packet: &FlowKey) -> Option<(Vec<u32>, Vec<Copy>, usize)> {
    let matching: Vec<&Resolved> = rules
        .iter()
        .filter(|rule| {
            let vlan = match rule.vlan {
                VlanFilter::Untagged => packet.vlan == 0,
                VlanFilter::Id(id) => packet.vlan == id,
                VlanFilter::Any => true,
            };
            let IpAddr::V4(destination) = packet.destination else { return false };
            let stays = destination.octets()[..3] == [224, 0, 0] && !rule.link_local;
            let source = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&packet.source));
            let port = |&(start, end): &(u16, u16)| (start..=end).contains(&packet.port);
            let udp = packet.protocol == protocol::UDP;
            rule.iif == packet.iif
                && vlan
                && !stays
                && rule.groups.iter().any(|net| net.contains(&packet.destination))
                && (rule.sources.include.is_empty() || source(&rule.sources.include))
                && !source(&rule.sources.exclude)
                && (udp || rule.protocol == Protocol::Any)
                && (!udp || rule.ports.is_empty() || rule.ports.iter().any(port))
        })
        .collect();
    let mut copies: Vec<Copy> = Vec::new();
    let mut contradicted = 0;
    for send in matching.iter().flat_map(|rule| rule.sends()) {
        let fixed_port = if packet.protocol == protocol::UDP { send.port } else { None };
        let (oif, to) = (send.oif, send.target.of(packet.destination));
        let port = fixed_port.unwrap_or(packet.port);
        if (oif, to, port) == (Some(packet.iif), packet.destination, packet.port) {
            continue;
        }
        match copies.iter().find(|other| (other.0, other.1, other.2) == (oif, to, port)) {
            None => copies.push((oif, to, port, send.ttl)),
            Some(other) if other.3 == send.ttl => {}
            Some(_) => contradicted += 1,
        }
    }
    let slots: Vec<u32> = matching.iter().map(|rule| rule.slot.0).collect();
    (!slots.is_empty()).then_some((slots, copies, contradicted))
}

fn any_net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (0u8..6).prop_map(|last| net(&format!("239.1.1.{last}/32"))),
        (0u8..4, 29u8..32)
            .prop_map(|(last, length)| { net(&format!("239.1.1.{}/{length}", last * 2)).trunc() }),
        Just(net("224.0.0.0/4")),
        Just(net("224.0.0.0/23")),
        Just(net("224.0.0.5/32")),
    ]
}

fn any_sources() -> impl Strategy<Value = Vec<IpNet>> {
    let one = (0u8..4, 30u8..=32)
        .prop_map(|(last, length)| net(&format!("10.0.0.{last}/{length}")).trunc());
    proptest::collection::vec(one, 0..3)
}

fn any_send() -> impl Strategy<Value = Send> {
    let target = prop_oneof![
        2 => Just(Target::UNCHANGED),
        1 => (0u8..6).prop_map(|last| Target::Set(group(last))),
        1 => (0u8..2).prop_map(|last| Target::Map { base: group(last * 8), host_bits: 3 }),
    ];
    let port = prop_oneof![Just(None), (1u16..5).prop_map(Some)];
    (1u32..4, target, port, 1u8..3).prop_map(|(oif, target, port, ttl)| Send {
        target,
        port,
        ..send(oif, ttl)
    })
}

prop_compose! {
    fn any_rule()(
        groups in proptest::collection::btree_set(any_net(), 1..3),
        include in any_sources(),
        exclude in any_sources(),
        ports in proptest::collection::vec((1u16..4, 0u16..3), 0..3),
        vlan in prop_oneof![Just(VlanFilter::Untagged), Just(VlanFilter::Id(5)), Just(VlanFilter::Any)],
        (any_protocol, link_local) in any::<(bool, bool)>(),
        sends in proptest::collection::vec(any_send(), 1..3),
    ) -> Resolved {
        Resolved {
            groups: groups.into_iter().collect(),
            sources: SourceFilter { include, exclude },
            ports: ports.into_iter().map(|(start, more)| (start, start + more)).collect(),
            protocol: if any_protocol { Protocol::Any } else { Protocol::Udp },
            vlan,
            link_local,
            ..rule(0, &[], &sends)
        }
    }
}

prop_compose! {
    fn any_packet()(
        destination in prop_oneof![
            4 => (0u8..8).prop_map(group),
            1 => (0u8..7).prop_map(|last| Ipv4Addr::new(224, 0, 0, last).into()),
            1 => Just(Ipv4Addr::new(224, 0, 1, 5).into()),
        ],
        source in 0u8..6,
        port in 0u16..7,
        vlan in prop_oneof![Just(0u16), Just(5), Just(6)],
        protocol in prop_oneof![3 => Just(protocol::UDP), 1 => Just(1u8)],
    ) -> FlowKey {
        FlowKey { vlan, protocol, ..packet(destination, port, source) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_lookup_finds_exactly_what_all_matching_rules_say(
        rules in proptest::collection::vec(any_rule(), 0..6),
        packets in proptest::collection::vec(any_packet(), 1..40),
    ) {
        let rules: Vec<Resolved> = (0u32..)
            .zip(rules)
            .map(|(slot, rule)| {
                // Host bits are kept of prefixes that are as long as the output's.
                let wide = rule.groups.iter().any(|group| group.prefix_len() < 29);
                let copies = (0u32..).zip(rule.copies).map(|(n, copy)| match copy.action {
                    Action::Send(send @ Send { target: Target::Map { .. }, .. }) if wide => {
                        let action = Action::Send(Send { target: Target::UNCHANGED, ..send });
                        CopyOut { slot: OutputSlot(slot * 4 + n), action }
                    }
                    action => CopyOut { slot: OutputSlot(slot * 4 + n), action },
                });
                Resolved { slot: RuleSlot(slot), copies: copies.collect(), ..rule }
            })
            .collect();
        let fib = build(rules.clone()).fib;
        for packet in &packets {
            let expected = model(&rules, packet);
            match fib.lookup(packet) {
                Ok(entry) => {
                    let slots: Vec<u32> = entry.rules.iter().map(|slot| slot.0).collect();
                    let (copies, contradicted) = copies_of(entry, packet);
                    prop_assert_eq!(Some((slots, copies, contradicted)), expected, "{:?}", packet);
                }
                Err(_) => prop_assert_eq!(None, expected, "{:?}", packet),
            }
        }
        // Each entry that is listed is the one that a packet of its set finds.
        for (set, entry) in fib.entries() {
            let packet = FlowKey {
                iif: set.iif,
                vlan: match set.vlan {
                    VlanClass::Untagged => 0,
                    VlanClass::Id(id) => id,
                    VlanClass::Other => 4000,
                },
                destination: set.destinations.network(),
                source: set.sources.map_or(Ipv4Addr::new(99, 0, 0, 1).into(), |net| net.network()),
                protocol: if set.ports.is_some() { protocol::UDP } else { 1 },
                port: set.ports.map_or(0, |(start, _)| start),
            };
            // A longer prefix may begin at the same address.
            if let Ok(found) = fib.lookup(&packet)
                && set.destinations.prefix_len() == 32 && set.sources.is_none()
            {
                prop_assert_eq!(found, entry);
            }
        }
    }
}
