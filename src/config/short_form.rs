//! Rules as people write them: the shortest spec of a rule.

use super::v1;
use super::v1::{InputSpec, OutputSpec, RuleSpec};
use super::validate::address::text_of;
use super::validate::duration;
use super::validate::identity::derived_id;
use super::validate::output::default_ttl;
use super::validate::rule::DEFAULT_PRIORITY;
use crate::types::{
    Criteria, Destination, Dscp, Input, InterfaceSelector, Join, Limit, MtuPolicy, Output,
    OutputSource, Port, Protocol, Rule, Ttl, VlanFilter, When, is_multicast,
};
use ipnet::IpNet;

/// The shortest spec that gives `rule` back.
pub fn spec_of(rule: &Rule) -> RuleSpec {
    let derived = derived_id(rule.origin, rule.name.as_deref(), &rule.input, &rule.outputs);
    RuleSpec {
        id: (rule.id != derived).then(|| rule.id.to_string()),
        name: rule.name.clone(),
        enabled: (!rule.enabled).then_some(false),
        priority: Some(rule.priority).filter(|priority| *priority != DEFAULT_PRIORITY),
        input: Some(input_spec(&rule.input)),
        outputs: rule.outputs.iter().map(output_spec).collect(),
        health: None,
    }
}

fn input_spec(input: &Input) -> InputSpec {
    let (interface, interfaces) = interface_specs(&input.interfaces);
    let (group, groups) = match input.groups.as_slice() {
        [only] => (Some(text_of(only)), None),
        several => (None, Some(texts_of(several))),
    };
    let (port, ports) = match input.ports.as_slice() {
        [] => (None, None),
        [only] if only.start == only.end => (Some(only.start.get()), None),
        several => {
            let ranges = several.iter().map(|range| v1::PortRange {
                start: Some(range.start.get()),
                end: Some(range.end.get()),
            });
            (None, Some(ranges.collect()))
        }
    };
    let filter = &input.sources;
    let (source, sources) = match filter.include.as_slice() {
        [only] if filter.exclude.is_empty() => (Some(text_of(only)), None),
        _ if filter.takes_all() => (None, None),
        include => {
            let (include, exclude) = (texts_of(include), texts_of(&filter.exclude));
            (None, Some(v1::SourceFilter { include, exclude }))
        }
    };
    let has_groups = input.groups.first().is_some_and(|net| is_multicast(net.addr()));
    InputSpec {
        interface,
        interfaces,
        group,
        groups,
        port,
        ports,
        source,
        sources,
        protocol: (input.protocol == Protocol::Any).then_some(v1::Protocol::Any),
        join: match input.join {
            Join::Never => has_groups.then_some(v1::Join::Never),
            Join::OnDemand => Some(v1::Join::OnDemand),
            Join::Always => None,
        },
        link_local: input.link_local.then_some(v1::LinkLocal::Relay),
        vlan: match input.vlan {
            VlanFilter::Untagged => None,
            VlanFilter::Id(id) => Some(v1::Vlan::Id(id)),
            VlanFilter::Any => Some(v1::Vlan::Any),
        },
    }
}

fn output_spec(output: &Output) -> OutputSpec {
    let (interface, interfaces) = interface_specs(&output.interfaces);
    let (group, address) = match output.destination {
        Destination::Unchanged => (None, None),
        Destination::Address(group) if is_multicast(group) => (Some(group.to_string()), None),
        Destination::Address(address) => (None, Some(address.to_string())),
        Destination::Prefix(net) => (Some(net.to_string()), None),
    };
    let ttl = match output.ttl {
        ttl if ttl == default_ttl(output.source) => None,
        Ttl::Relayed => None,
        Ttl::Set(value) => Some(v1::Ttl::Set(value)),
        Ttl::Decrement => Some(v1::Ttl::Decrement),
        Ttl::Keep => Some(v1::Ttl::Keep),
    };
    OutputSpec {
        name: output.name.clone(),
        interface,
        interfaces,
        group,
        address,
        port: output.port.map(Port::get),
        ttl,
        local: output.local.then_some(true),
        dscp: match output.dscp {
            Dscp::Keep => None,
            Dscp::Set(value) => Some(v1::Dscp::Set(value)),
        },
        source: match output.source {
            OutputSource::Interface => None,
            OutputSource::Keep => Some(v1::OutputSource::Keep),
            OutputSource::Address { address, port } => Some(v1::OutputSource::Address {
                address: address.to_string(),
                port: port.map(Port::get),
            }),
        },
        mtu_policy: (output.mtu_policy == MtuPolicy::Drop).then_some(v1::MtuPolicy::Drop),
        rate_limit: output.rate_limit.as_deref().copied().map(limit_spec),
        burst: output.burst.map(|burst| u32::from(burst.get())),
        when: matches!(output.when, When::Joined { .. }).then_some(v1::When::Joined),
        linger: match output.when {
            When::Joined { linger } if !linger.is_zero() => Some(duration::text_of(linger)),
            When::Joined { .. } | When::Always => None,
        },
    }
}

fn limit_spec(limit: Limit) -> v1::RateLimit {
    let usual = Limit::default_burst_bytes(limit.bits_per_second);
    v1::RateLimit {
        bits_per_second: limit.bits_per_second.map(v1::BitRate),
        packets_per_second: limit.packets_per_second,
        burst_bytes: Some(limit.burst_bytes).filter(|bytes| *bytes != usual),
    }
}

/// `interface` and `interfaces`.
fn interface_specs(
    interfaces: &[InterfaceSelector],
) -> (Option<String>, Option<Vec<v1::InterfaceSelector>>) {
    match interfaces {
        [] => (None, None),
        [only] if only.only_name().is_some() => (only.only_name().map(ToString::to_string), None),
        several => (None, Some(several.iter().map(selector_spec).collect())),
    }
}

fn selector_spec(selector: &InterfaceSelector) -> v1::InterfaceSelector {
    let criteria = selector.criteria();
    let Criteria { name, name_glob, name_regex, alt_name, cidr, kind } = &*criteria;
    v1::InterfaceSelector {
        name: name.as_ref().map(ToString::to_string),
        name_glob: name_glob.as_ref().map(|glob| glob.as_str().to_owned()),
        name_regex: name_regex.as_ref().map(|regex| regex.as_str().to_owned()),
        alt_name: alt_name.clone(),
        cidr: cidr.as_ref().map(text_of),
        kind: kind.clone(),
    }
}

fn texts_of(nets: &[IpNet]) -> Vec<String> {
    nets.iter().map(text_of).collect()
}
