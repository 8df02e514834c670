//! How a rule's copies are sent.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{self, OutputSpec, When};
use super::address::{self, Cast, Use};
use super::destination::{Goal, goal};
use super::interface::interfaces;
use super::{duration, is_name, name_rule, pace, port_number};
use crate::types::{
    self, Dscp, Input, InterfaceSelector, MtuPolicy, Output, OutputSource, Protocol, Ttl,
};
use ipnet::IpNet;
use std::time::Duration;

/// The longest `linger`.
const LONGEST_LINGER: Duration = Duration::from_secs(3600);

/// Checks the output at `at`; `input` is the rule's where that is sound. None where something is
/// wrong; then it was reported.
pub(super) fn output(
    spec: &OutputSpec,
    input: Option<&Input>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Output> {
    let before = findings.len();
    if let Some(name) = spec.name.as_deref().filter(|name| !is_name(name)) {
        findings.report(&at.key("name"), name_rule(name));
    }
    let interfaces =
        interfaces(spec.interface.as_deref(), spec.interfaces.as_deref(), at, findings);
    let goal = goal(spec, input, at, findings);
    let port = port_number(spec.port, &at.key("port"), findings);
    let is_any = input.is_some_and(|input| input.protocol == Protocol::Any);
    if is_any && spec.port.is_some() {
        let message = "goes with UDP only, and the input takes protocol: \"any\"; remove port";
        findings.report(&at.key("port"), message);
    }
    let source = source(spec, is_any, at, findings);
    let rate_limit = spec.rate_limit.as_ref();
    let rate_limit =
        rate_limit.and_then(|limit| pace::limit(limit, &at.key("rateLimit"), findings));
    let burst = spec.burst.and_then(|burst| pace::burst(burst, &at.key("burst"), findings));
    let (interfaces, goal, port) = (interfaces?, goal?, port?);
    way(spec, &interfaces, goal, at, findings);
    let when = when(spec, goal, at, findings);
    let source = source?;
    if findings.len() > before {
        return None;
    }
    Some(Output {
        name: spec.name.clone(),
        interfaces: interfaces.into(),
        local: spec.local == Some(true),
        destination: goal.destination,
        port,
        ttl: ttl(spec, source),
        dscp: match spec.dscp {
            None | Some(v1::Dscp::Keep) => Dscp::Keep,
            Some(v1::Dscp::Set(value)) => Dscp::Set(value),
        },
        source,
        mtu_policy: match spec.mtu_policy {
            None | Some(v1::MtuPolicy::Fragment) => MtuPolicy::Fragment,
            Some(v1::MtuPolicy::Drop) => MtuPolicy::Drop,
        },
        rate_limit: rate_limit.map(Box::new),
        burst,
        when,
    })
}

/// When it sends, and for how long after its last member.
fn when(spec: &OutputSpec, goal: Goal, at: &Path, findings: &mut Findings) -> types::When {
    let linger = spec.linger.as_ref().and_then(|text| {
        let parsed = duration::parse(text).and_then(|linger| match linger <= LONGEST_LINGER {
            true => Ok(linger),
            false => Err(format!("{text:?} is longer than \"1h\"")),
        });
        parsed.map_err(|message| findings.report(&at.key("linger"), message)).ok()
    });
    if spec.when != Some(When::Joined) {
        if spec.linger.is_some() {
            let message = "goes with when: \"joined\"; add that, or remove linger";
            findings.report(&at.key("linger"), message);
        }
        return types::When::Always;
    }
    let wrong = match goal.cast {
        _ if spec.local == Some(true) => Some("local: true goes to programs on this host"),
        Cast::Multicast => None,
        Cast::Broadcast => Some("nobody joins a broadcast address"),
        Cast::Unicast => Some("nobody joins a unicast address"),
    };
    if let Some(wrong) = wrong {
        let message = format!("\"joined\" waits for members of a group, and {wrong}; remove when");
        findings.report(&at.key("when"), message);
    }
    types::When::Joined { linger: linger.unwrap_or_default() }
}

/// The TTL of an output that says none, by its source.
pub(crate) fn default_ttl(source: OutputSource) -> Ttl {
    match source {
        OutputSource::Keep => Ttl::Decrement,
        OutputSource::Interface | OutputSource::Address { .. } => Ttl::Relayed,
    }
}

fn ttl(spec: &OutputSpec, source: OutputSource) -> Ttl {
    match spec.ttl {
        None => default_ttl(source),
        Some(v1::Ttl::Set(value)) => Ttl::Set(value),
        Some(v1::Ttl::Decrement) => Ttl::Decrement,
        Some(v1::Ttl::Keep) => Ttl::Keep,
    }
}

fn source(
    spec: &OutputSpec,
    is_any: bool,
    at: &Path,
    findings: &mut Findings,
) -> Option<OutputSource> {
    let (text, number) = match &spec.source {
        None | Some(v1::OutputSource::Interface) => return Some(OutputSource::Interface),
        Some(v1::OutputSource::Keep) => return Some(OutputSource::Keep),
        Some(v1::OutputSource::Address { address, port }) => (address, *port),
    };
    let at = at.key("source");
    let host = address::parse(text, Use::Host).and_then(|address| {
        let net = address::ipv4(IpNet::from(address))?;
        address::host(net).map(|()| address)
    });
    let host = host.map_err(|message| findings.report(&at.key("address"), message)).ok();
    let port = port_number(number, &at.key("port"), findings);
    if is_any && number.is_some() {
        let message = "goes with UDP only, and the input takes protocol: \"any\"; remove port";
        findings.report(&at.key("port"), message);
    }
    Some(OutputSource::Address { address: host?, port: port? })
}

/// Checks that destination, interfaces, `local` and source go together.
fn way(
    spec: &OutputSpec,
    interfaces: &[InterfaceSelector],
    goal: Goal,
    at: &Path,
    findings: &mut Findings,
) {
    let keeps = spec.source == Some(v1::OutputSource::Keep);
    if spec.local == Some(true) {
        if !interfaces.is_empty() {
            let key = if spec.interface.is_some() { "interface" } else { "interfaces" };
            let message =
                format!("local: true goes to applications on this host; remove {key} or local");
            findings.report(&at.key(key), message);
        }
        if goal.cast == Cast::Broadcast {
            let message = "255.255.255.255 needs an interface, and local: true has none; give a \
                           group or an address of this host";
            findings.report(&at.key("local"), message);
        }
        if keeps {
            let message = "\"keep\" needs an interface, and local: true has none; remove source";
            findings.report(&at.key("source"), message);
        }
        return;
    }
    if goal.cast == Cast::Unicast {
        if keeps {
            let message = "\"keep\" goes with a group or 255.255.255.255: a unicast output is sent \
                           from an address of this host; write source: { address: \"10.0.0.9\" } \
                           for another, or remove source";
            findings.report(&at.key("source"), message);
        }
        return;
    }
    // Where `local` was unreadable, no interface may be right.
    if interfaces.is_empty() && !findings.has(&at.key("local")) {
        let message = match goal.cast {
            Cast::Broadcast => {
                "is missing: 255.255.255.255 needs the interface to send on, such as \"eth1\""
            }
            Cast::Multicast | Cast::Unicast => {
                "is missing: a multicast output needs the interface to send on, such as \"eth1\" (or \
                 local: true for applications on this host)"
            }
        };
        findings.report(&at.key("interface"), message);
    }
}
