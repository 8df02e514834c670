//! What a rule takes in.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{self, InputSpec};
use super::address::{self, Cast};
use super::group::{Groups, check_memberships, groups};
use super::interface::interfaces;
use super::port::{self, ports};
use super::source::sources;
use crate::types::{Input, Join, PortRange, Protocol, VlanFilter};

/// How many ports a unicast input may have: each is a socket.
const MAX_UNICAST_PORTS: u32 = 1024;

/// Checks the input at `at`. None where something is wrong; then it was reported.
pub(super) fn input(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<Input> {
    let interfaces =
        interfaces(spec.interface.as_deref(), spec.interfaces.as_deref(), at, findings);
    if interfaces.as_ref().is_some_and(Vec::is_empty) {
        findings.report(
            &at.key("interface"),
            "is missing: the interface that the datagrams arrive on, such as \"eth0\"",
        );
    }
    let groups = groups(spec, at, findings);
    let ports = ports(spec, at, findings);
    let sources = sources(spec, at, findings);
    let protocol = match spec.protocol {
        None | Some(v1::Protocol::Udp) => Protocol::Udp,
        Some(v1::Protocol::Any) => Protocol::Any,
    };
    let has_ports = ports.as_ref().is_some_and(|ports| !ports.is_empty());
    let is_unicast = groups.as_ref().is_some_and(|groups| groups.cast == Cast::Unicast);
    if protocol == Protocol::Any && has_ports && !is_unicast {
        let key = if spec.port.is_some() { "port" } else { "ports" };
        findings.report(
            &at.key(key),
            format!("protocol: \"any\" takes packets without ports too; remove {key} or protocol"),
        );
    }
    let groups = groups?;
    match groups.cast {
        Cast::Multicast => {
            let asks_for_all = matches!(spec.join, None | Some(v1::Join::Always));
            if asks_for_all && !findings.has(&at.key("join")) {
                check_memberships(&groups, findings);
            }
        }
        Cast::Broadcast | Cast::Unicast => not_multicast(spec, &groups, at, findings),
    }
    if is_unicast {
        unicast(spec, &groups, ports.as_deref(), at, findings);
    }
    Some(Input {
        interfaces: interfaces.filter(|list| !list.is_empty())?.into(),
        join: match spec.join {
            // Nobody asks for what is no group.
            _ if groups.cast != Cast::Multicast => Join::Never,
            Some(v1::Join::Never) => Join::Never,
            Some(v1::Join::OnDemand) => Join::OnDemand,
            None | Some(v1::Join::Always) => Join::Always,
        },
        groups: groups.nets.into(),
        ports: ports?.into(),
        sources: sources?,
        protocol,
        link_local: spec.link_local == Some(v1::LinkLocal::Relay),
        vlan: match spec.vlan {
            None => VlanFilter::Untagged,
            Some(v1::Vlan::Id(id)) => VlanFilter::Id(id),
            Some(v1::Vlan::Any) => VlanFilter::Any,
        },
    })
}

/// Refuses what means something for groups only.
fn not_multicast(spec: &InputSpec, groups: &Groups, at: &Path, findings: &mut Findings) {
    let what = match groups.cast {
        Cast::Broadcast => "broadcast",
        Cast::Multicast | Cast::Unicast => "unicast",
    };
    if spec.join == Some(v1::Join::Always) {
        let message = format!("a {what} address cannot be joined; remove join");
        findings.report(&at.key("join"), message);
    }
    if spec.link_local == Some(v1::LinkLocal::Relay) {
        let message =
            format!("linkLocal is about the groups of 224.0.0.0/24, not about {what}; remove it");
        findings.report(&at.key("linkLocal"), message);
    }
}

/// Refuses what a unicast input, which is a socket of this host, cannot do.
fn unicast(
    spec: &InputSpec,
    groups: &Groups,
    ports: Option<&[PortRange]>,
    at: &Path,
    findings: &mut Findings,
) {
    let shown = groups.nets.first().map(address::text_of).unwrap_or_default();
    if spec.protocol == Some(v1::Protocol::Any) {
        let message = format!(
            "protocol: \"any\" goes with multicast or broadcast, and {shown} is unicast; remove it"
        );
        findings.report(&at.key("protocol"), message);
    } else if ports.is_some_and(<[PortRange]>::is_empty) {
        let message = format!("is missing: {shown} is a unicast address, which needs a port");
        findings.report(&at.key("port"), message);
    }
    let wanted = ports.map_or(0, port::count);
    if wanted > MAX_UNICAST_PORTS {
        let message = format!(
            "is {wanted} ports; {MAX_UNICAST_PORTS} is the most of a unicast input, which needs a \
             socket for each"
        );
        findings.report(&at.key("ports"), message);
    }
    if spec.vlan.is_some() {
        findings.report(
            &at.key("vlan"),
            format!(
                "goes with multicast or broadcast: {shown} is unicast, and arrives on the VLAN's own \
                 interface; remove vlan"
            ),
        );
    }
}
