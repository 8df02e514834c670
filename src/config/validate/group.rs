//! The groups and addresses that a rule takes.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{InputSpec, LinkLocal};
use super::address::{self, Cast, LINK_LOCAL, Use};
use ipnet::{IpNet, Ipv4Net};
use std::collections::HashMap;

/// How many entries `groups` may have.
const MAX_GROUPS: usize = 1024;
/// How many groups one rule may ask for upstream, on each of its interfaces.
const MAX_MEMBERSHIPS: u64 = 1024;

/// The groups of an input: all of one kind.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// Never empty.
    pub(super) nets: Vec<IpNet>,
    /// What they are.
    pub(super) cast: Cast,
    /// Where they stand: `group` or `groups`.
    pub(super) at: Path,
}

/// Checks `group` and `groups` of the input at `at`. None where something is wrong; then it was
/// reported.
pub(super) fn groups(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<Groups> {
    let long = at.key("groups");
    let (texts, places) = match (&spec.group, spec.groups.as_deref()) {
        (Some(_), Some(_)) => {
            findings.report(&long, "give group or groups, not both");
            return None;
        }
        (Some(group), None) => (std::slice::from_ref(group), at.key("group")),
        (None, Some([])) => {
            findings.report(&long, "is empty; give one group, such as [\"239.1.1.1\"]");
            return None;
        }
        (None, Some(several)) if several.len() > MAX_GROUPS => {
            let message =
                format!("has {} groups; {MAX_GROUPS} is the most of one rule", several.len());
            findings.report(&long, message);
            return None;
        }
        (None, Some(several)) => (several, long.clone()),
        (None, None) => {
            findings.report(
                &at.key("group"),
                "is missing: the multicast group (such as \"239.1.1.1\"), or an own unicast address",
            );
            return None;
        }
    };
    let relays = spec.link_local == Some(LinkLocal::Relay) || findings.has(&at.key("linkLocal"));
    let is_list = spec.groups.is_some();
    let mut nets: Vec<IpNet> = Vec::with_capacity(texts.len());
    let mut first_of: HashMap<Ipv4Net, usize> = HashMap::new();
    let mut kind: Option<(Cast, Ipv4Net)> = None;
    for (index, text) in texts.iter().enumerate() {
        let checked = one(text, relays).and_then(|(net, cast)| {
            if let Some(first) = first_of.insert(net, index) {
                return Err(format!("is the same as groups[{first}]; remove one"));
            }
            let (first_cast, first) = *kind.get_or_insert((cast, net));
            if cast == first_cast { Ok(net) } else { Err(mixed(net, cast, first, first_cast)) }
        });
        match checked {
            Ok(net) => nets.push(IpNet::V4(net)),
            Err(message) if is_list => findings.report(&places.index(index), message),
            Err(message) => findings.report(&places, message),
        }
    }
    let (cast, _) = kind?;
    (nets.len() == texts.len()).then_some(Groups { nets, cast, at: places })
}

fn one(text: &str, relays_link_local: bool) -> Result<(Ipv4Net, Cast), String> {
    let net = address::ipv4(address::parse_net(text, Use::Group)?)?;
    let cast = address::destination(net)?;
    if cast == Cast::Unicast {
        address::host(net)?;
    }
    if LINK_LOCAL.contains(&net) && !relays_link_local {
        return Err(format!(
            "{} is link-local (224.0.0.0/24), which stays on its link; to relay it all the same, \
             add linkLocal: \"relay\"",
            address::text_of(&IpNet::V4(net))
        ));
    }
    Ok((net, cast))
}

fn mixed(net: Ipv4Net, cast: Cast, first: Ipv4Net, first_cast: Cast) -> String {
    let what = |cast| match cast {
        Cast::Multicast => "multicast",
        Cast::Broadcast => "broadcast",
        Cast::Unicast => "unicast",
    };
    format!(
        "{} is {} and {} is {}; write one rule for each",
        address::text_of(&IpNet::V4(net)),
        what(cast),
        address::text_of(&IpNet::V4(first)),
        what(first_cast)
    )
}

/// Refuses more memberships than one rule may ask for.
pub(super) fn check_memberships(groups: &Groups, findings: &mut Findings) {
    let each = |net: &IpNet| 1_u64 << (net.max_prefix_len() - net.prefix_len()).min(63);
    let wanted = groups.nets.iter().map(each).fold(0, u64::saturating_add);
    if wanted > MAX_MEMBERSHIPS {
        findings.report(
            &groups.at,
            format!(
                "would be {wanted} memberships; at most {MAX_MEMBERSHIPS}: give a longer prefix, or \
                 join: \"never\""
            ),
        );
    }
}
