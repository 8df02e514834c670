//! Where an output sends to: a group, a prefix of groups, an address, or where the packet was going.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::OutputSpec;
use super::address::{self, Cast, LINK_LOCAL, Use};
use crate::types::{Destination, Input};
use ipnet::{IpNet, Ipv4Net};

/// A destination and how many hosts it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) destination: Destination,
    pub(super) cast: Cast,
}

/// Checks `group` and `address` of the output at `at`. None where something is wrong; then it was
/// reported.
pub(super) fn goal(
    spec: &OutputSpec,
    input: Option<&Input>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Goal> {
    let (checked, key) = match (&spec.group, &spec.address) {
        (Some(_), Some(_)) => {
            findings.report(&at.key("address"), "give group or address, not both");
            return None;
        }
        (Some(group), None) => (to_group(group, input), "group"),
        (None, Some(address)) => (to_address(address), "address"),
        (None, None) => (unchanged(input), "group"),
    };
    let checked = checked.and_then(|goal| check_loopback(goal, spec).map(|()| goal));
    checked.map_err(|message| findings.report(&at.key(key), message)).ok()
}

fn unchanged(input: Option<&Input>) -> Result<Goal, String> {
    let first = input.and_then(|input| input.groups.first());
    let cast = first.map_or(Cast::Multicast, |net| Cast::of(net.addr()));
    if cast == Cast::Unicast {
        return Err(
            "is missing: the input is a unicast address, so each output needs a group or an \
                    address"
                .to_owned(),
        );
    }
    Ok(Goal { destination: Destination::Unchanged, cast })
}

fn to_address(text: &str) -> Result<Goal, String> {
    let net = address::ipv4(IpNet::from(address::parse(text, Use::Host)?))?;
    let cast = address::destination(net)?;
    if cast == Cast::Multicast {
        return Err(format!(
            "{} is a multicast group (224.0.0.0/4); write group: {} instead",
            net.addr(),
            quoted(text)
        ));
    }
    Ok(Goal { destination: Destination::Address(net.addr().into()), cast })
}

fn to_group(text: &str, input: Option<&Input>) -> Result<Goal, String> {
    let net = address::ipv4(address::parse_net(text, Use::Group)?)?;
    let cast = address::destination(net)?;
    // Where each group stays what it is, none becomes link-local.
    let stays = input.is_some_and(|input| input.groups == [IpNet::V4(net)]);
    let touches_link = LINK_LOCAL.contains(&net) || net.contains(&LINK_LOCAL);
    if touches_link && !stays && input.is_some_and(|input| !input.link_local) {
        return Err(format!(
            "{} {} link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add \
             linkLocal: \"relay\" to the input",
            address::text_of(&IpNet::V4(net)),
            if LINK_LOCAL.contains(&net) { "is" } else { "has groups that are" }
        ));
    }
    if net.prefix_len() == 32 {
        return Ok(Goal { destination: Destination::Address(net.addr().into()), cast });
    }
    check_lengths(net, input)?;
    Ok(Goal { destination: Destination::Prefix(IpNet::V4(net)), cast })
}

/// The bits after a prefix stay: there must be as many of them in the input.
fn check_lengths(net: Ipv4Net, input: Option<&Input>) -> Result<(), String> {
    let groups = input.map_or(&[][..], |input| input.groups.as_slice());
    let Some(other) = groups.iter().find(|group| group.prefix_len() != net.prefix_len()) else {
        return Ok(());
    };
    let (own, length) = (net.prefix_len(), other.prefix_len());
    Err(match other.max_prefix_len() == length {
        true => format!(
            "{net} is a /{own}, and {} of the input is one group (/{length}); give one group here",
            other.addr()
        ),
        false => format!(
            "{net} is a /{own}, and {other} of the input is a /{length}; both need the same length"
        ),
    })
}

/// 127.0.0.0/8 is for applications on this host.
fn check_loopback(goal: Goal, spec: &OutputSpec) -> Result<(), String> {
    match goal.destination {
        Destination::Address(std::net::IpAddr::V4(address))
            if address.is_loopback() && spec.local != Some(true) =>
        {
            Err(format!(
                "{address} is a loopback address (127.0.0.0/8), which no network carries; for \
                 applications on this host add local: true"
            ))
        }
        _ => Ok(()),
    }
}
