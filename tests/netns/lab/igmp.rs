//! What the relay says of members, queriers and counters.

use super::Relay;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The groups with members on an interface, each as it is shown.
pub(crate) fn groups_on(mcrd: &Relay, interface: &str) -> BTreeMap<Ipv4Addr, Value> {
    let shown = mcrd.json(&["igmp", "groups"]);
    let groups = shown[interface]["groups"].as_array().cloned().unwrap_or_default();
    groups
        .into_iter()
        .map(|group| {
            let address = group["group"].as_str().and_then(|text| text.parse().ok());
            (address.unwrap_or_else(|| panic!("no group in {group}")), group)
        })
        .collect()
}

/// The sources that a group is shown with.
pub(crate) fn sources_of(group: &Value) -> Vec<Ipv4Addr> {
    let sources = group["sources"].as_array().cloned().unwrap_or_default();
    let mut sources: Vec<Ipv4Addr> = sources
        .iter()
        .map(|source| {
            let address = source["source"].as_str().and_then(|text| text.parse().ok());
            address.unwrap_or_else(|| panic!("no source in {source}"))
        })
        .collect();
    sources.sort_unstable();
    sources
}

/// IGMP on an interface as it is shown.
pub(crate) fn igmp_on(mcrd: &Relay, interface: &str) -> Value {
    let shown = mcrd.json(&["igmp", "interfaces"]);
    let of = shown[interface].clone();
    assert!(of.is_object(), "no {interface} in {shown}");
    of
}

/// What is counted of IGMP on an interface.
pub(crate) fn igmp_stats(mcrd: &Relay, interface: &str) -> Value {
    let shown = mcrd.json(&["igmp", "stats"]);
    let of = shown[interface].clone();
    assert!(of.is_object(), "no {interface} in {shown}");
    of
}
