//! Random rules that use every field. They are valid, but for outputs that loop or repeat a copy.

use crate::types::{
    Criteria, Destination, Dscp, Few, Input, InterfaceSelector, Join, Limit, MAX_BURST, MtuPolicy,
    Origin, Output, OutputSource, Port, PortRange, Protocol, Rule, RuleId, SourceFilter, Ttl,
    VlanFilter, is_multicast,
};
use ipnet::{IpNet, Ipv4Net};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;

fn group() -> impl Strategy<Value = IpAddr> {
    (225u8..=239, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d).into())
}

fn host() -> impl Strategy<Value = IpAddr> {
    (1u8..=126, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d).into())
}

fn net(address: impl Strategy<Value = IpAddr>, longest: u8) -> impl Strategy<Value = IpNet> {
    (address, 8..=longest)
        .prop_map(|(address, length)| IpNet::new(address, length).expect("a short length").trunc())
}

pub(super) fn port() -> impl Strategy<Value = Port> {
    (1u16..).prop_map(|port| Port::new(port).expect("not 0"))
}

pub(super) fn name() -> impl Strategy<Value = Option<String>> {
    option::of("[a-zA-Z0-9äß\"'\\\\/][a-z \u{1F600}]{0,20}[a-z]")
}

fn named() -> impl Strategy<Value = InterfaceSelector> {
    "[a-z][a-z0-9.@-]{0,14}"
        .prop_map(|name| InterfaceSelector::named(name.parse().expect("an interface name")))
}

fn selector() -> impl Strategy<Value = InterfaceSelector> {
    let glob = option::of("[a-z*?.]{1,20}".prop_map(|g| g.try_into().expect("a glob")));
    let regex = option::of(
        proptest::sample::select(vec!["eth[0-9]+", "ens.*|eno\\d", "(veth|tap)x?"])
            .prop_map(|r| r.to_owned().try_into().expect("a regex")),
    );
    let cidr = option::of(prop_oneof![
        net(host(), 32),
        Just("2001:db8::/32".parse().expect("a prefix")),
        Just("fe80::1/128".parse().expect("a prefix")),
    ]);
    let words = (option::of("[a-zäö0-9_:/-]{1,60}"), option::of("[a-z]{2,15}"));
    (option::of(named()), glob, regex, cidr, words)
        .prop_map(|(named, name_glob, name_regex, cidr, (alt_name, kind))| {
            let name = named.and_then(|named| named.only_name().copied());
            Criteria { name, name_glob, name_regex, alt_name, cidr, kind }.into()
        })
        .prop_filter("says something", |selector| *selector != InterfaceSelector::default())
}

fn interfaces() -> impl Strategy<Value = Vec<InterfaceSelector>> {
    let several = vec(prop_oneof![named().boxed(), selector().boxed()], 1..5).prop_map(unique);
    prop_oneof![named().prop_map(|one| vec![one]).boxed(), several.boxed()]
}

fn unique<T: Clone + Eq + std::hash::Hash>(list: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    list.into_iter().filter(|one| seen.insert(one.clone())).collect()
}

fn groups() -> impl Strategy<Value = Vec<IpNet>> {
    let any_length =
        vec(prop_oneof![net(group(), 32).boxed(), group().prop_map_into().boxed()], 1..6);
    let one_length = (vec(group(), 1..4), 8u8..=31).prop_map(|(groups, length)| {
        let net = |group| IpNet::new(group, length).expect("a short length").trunc();
        groups.into_iter().map(net).collect()
    });
    let one = group().prop_map(|group| vec![IpNet::from(group)]);
    let link_local = Just(vec!["224.0.0.251/32".parse().expect("a group")]);
    let all = Just(vec!["224.0.0.0/4".parse().expect("a prefix")]);
    prop_oneof![
        one.boxed(),
        any_length.boxed(),
        one_length.boxed(),
        link_local.boxed(),
        all.boxed()
    ]
    .prop_map(unique)
}

/// Ranges in order, with at least one port between them.
fn ports() -> impl Strategy<Value = Vec<PortRange>> {
    vec((2u16..200, 0u16..100), 0..6).prop_map(|steps| {
        let mut next = 4000;
        let mut ranges = Vec::new();
        for (gap, length) in steps {
            let (start, end) = (next + gap, next + gap + length);
            next = end;
            let port = |number| Port::new(number).expect("not 0");
            ranges.push(PortRange { start: port(start), end: port(end) });
        }
        ranges
    })
}

fn sources() -> impl Strategy<Value = SourceFilter> {
    (vec(net(host(), 32), 0..4), vec(net(host(), 32), 0..4)).prop_map(|(include, exclude)| {
        let include = unique(include);
        let covers = |net: &IpNet| include.iter().any(|include| net.contains(include));
        let exclude = unique(exclude).into_iter().filter(|net| !covers(net)).collect();
        SourceFilter { include, exclude }
    })
}

fn input() -> impl Strategy<Value = Input> {
    let broadcast = Just(vec![IpNet::from(IpAddr::from(Ipv4Addr::BROADCAST))]);
    let unicast = vec(host().prop_map_into::<IpNet>(), 1..4).prop_map(unique);
    let taken = prop_oneof![6 => groups().boxed(), 1 => broadcast.boxed(), 2 => unicast.boxed()];
    let vlan = prop_oneof![
        2 => Just(VlanFilter::Untagged),
        1 => (1u16..=4094).prop_map(VlanFilter::Id),
        1 => Just(VlanFilter::Any),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (interfaces(), taken, ports(), sources(), vlan, flags).prop_map(
        |(interfaces, groups, mut ports, sources, vlan, (any, never, relay))| {
            let link: Ipv4Net = "224.0.0.0/24".parse().expect("a prefix");
            let in_link = groups.iter().any(|net| IpNet::V4(link).contains(net));
            let multicast = is_multicast(groups[0].addr());
            let limited = groups[0].addr() == IpAddr::from(Ipv4Addr::BROADCAST);
            let many: u64 = groups.iter().map(|net| 1_u64 << (32 - net.prefix_len())).sum();
            let any = any && (multicast || limited);
            if any {
                ports.clear();
            } else if !multicast && !limited && ports.is_empty() {
                ports.push(PortRange::one(Port::new(5000).expect("not 0")));
            }
            Input {
                interfaces: interfaces.into(),
                ports: ports.into(),
                sources,
                protocol: if any { Protocol::Any } else { Protocol::Udp },
                join: match never || !multicast || many > 1024 {
                    true => Join::Never,
                    false => Join::Always,
                },
                link_local: multicast && (relay || in_link),
                vlan: if multicast || limited { vlan } else { VlanFilter::Untagged },
                groups: groups.into(),
            }
        },
    )
}

fn small(number: u8) -> NonZeroU8 {
    NonZeroU8::new(number).expect("not 0")
}

/// Bits per second with a burst or without, datagrams per second, or both.
fn limit() -> impl Strategy<Value = Limit> {
    let burst = option::of(Limit::MIN_BURST_BYTES..=Limit::MAX_BURST_BYTES);
    let bits = prop_oneof![1u64..=u64::from(u32::MAX), 1u64..=10_000_000_000_000];
    (option::of((bits, burst)), option::of(1u64..=1_000_000_000)).prop_filter_map(
        "no rate",
        |(bits, packets_per_second)| {
            let bits_per_second = bits.map(|(bits, _)| bits);
            (bits.is_some() || packets_per_second.is_some()).then_some(Limit {
                bits_per_second,
                packets_per_second,
                burst_bytes: bits
                    .and_then(|(_, burst)| burst)
                    .unwrap_or_else(|| Limit::default_burst_bytes(bits_per_second)),
            })
        },
    )
}

fn output() -> impl Strategy<Value = Output> {
    let destination = prop_oneof![
        3 => group().prop_map(Destination::Address),
        3 => host().prop_map(Destination::Address),
        1 => Just(Destination::Address(Ipv4Addr::BROADCAST.into())),
        3 => Just(Destination::Unchanged),
        3 => net(group(), 31).prop_map(Destination::Prefix),
        1 => Just(Destination::Address([127, 0, 0, 9].into())),
    ];
    let ttl =
        option::of(prop_oneof![(1u8..).prop_map(Ttl::Set), Just(Ttl::Decrement), Just(Ttl::Keep)]);
    let dscp = prop_oneof![Just(Dscp::Keep), (0u8..64).prop_map(Dscp::Set)];
    let address = (host(), option::of(port()))
        .prop_map(|(address, port)| OutputSource::Address { address, port });
    let source =
        prop_oneof![Just(OutputSource::Interface), Just(OutputSource::Keep), address.boxed()];
    let policy = prop_oneof![Just(MtuPolicy::Fragment), Just(MtuPolicy::Drop)];
    let policy = (policy, option::of(limit()), option::of((1u8..=MAX_BURST).prop_map(small)));
    let place = (interfaces(), any::<bool>(), any::<bool>());
    (place, destination, option::of(port()), (ttl, dscp), source, policy).prop_map(
        |(
            (interfaces, local, routed),
            destination,
            port,
            (ttl, dscp),
            source,
            (mtu_policy, rate_limit, burst),
        )| {
            let unset = if source == OutputSource::Keep { Ttl::Decrement } else { Ttl::Relayed };
            let ttl = ttl.unwrap_or(unset);
            let interfaces = if routed { Vec::new() } else { interfaces };
            let output = Output::unchanged(interfaces);
            Output {
                local,
                destination,
                port,
                ttl,
                dscp,
                source,
                mtu_policy,
                rate_limit: rate_limit.map(Box::new),
                burst,
                ..output
            }
        },
    )
}

/// Makes an output go with its input.
fn fit(output: &mut Output, input: &Input) {
    let length = input.groups[0].prefix_len();
    let one_length = input.groups.iter().all(|net| net.prefix_len() == length);
    match output.destination {
        Destination::Prefix(net) if one_length && (8..32).contains(&length) => {
            let net = IpNet::new(net.addr(), length).expect("a short length").trunc();
            output.destination = Destination::Prefix(net);
        }
        Destination::Prefix(net) => output.destination = Destination::Address(net.addr()),
        Destination::Unchanged if !is_multicast(input.groups[0].addr()) => {
            output.destination = Destination::Address([239, 255, 0, 1].into());
        }
        _ => {}
    }
    let (unicast, broadcast, loopback) = match output.destination {
        Destination::Address(IpAddr::V4(a)) => {
            (!a.is_multicast() && !a.is_broadcast(), a.is_broadcast(), a.is_loopback())
        }
        _ => (false, false, false),
    };
    output.local = (output.local || loopback) && !broadcast;
    if output.local {
        output.interfaces = Few::default();
    } else if output.interfaces.is_empty() && !unicast {
        output.interfaces = vec![InterfaceSelector::named("eth77".parse().expect("a name"))].into();
    }
    if output.source == OutputSource::Keep && (output.local || unicast) {
        output.source = OutputSource::Interface;
        output.ttl = Ttl::Relayed;
    }
    if input.protocol == Protocol::Any {
        output.port = None;
        if let OutputSource::Address { port, .. } = &mut output.source {
            *port = None;
        }
    }
}

pub(super) fn rule() -> impl Strategy<Value = Rule> {
    let origin = prop_oneof![Just(Origin::File), Just(Origin::Crd), Just(Origin::Runtime)];
    let id = "[A-Za-z0-9._-]{1,64}".prop_map(|id| id.parse::<RuleId>().expect("an id"));
    let outputs = vec((output(), name()), 1..8);
    (id, name(), origin, any::<bool>(), 0u16..=1000, input(), outputs).prop_map(
        |(id, name, origin, enabled, priority, input, outputs)| {
            let outputs = outputs
                .into_iter()
                .enumerate()
                .map(|(index, (mut output, name))| {
                    output.name = name.map(|name| format!("{index}{name}"));
                    fit(&mut output, &input);
                    output
                })
                .collect();
            Rule { id, name, origin, enabled, priority, input, outputs }
        },
    )
}
