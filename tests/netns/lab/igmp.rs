//! What the relay says of members, queriers and counters.

use super::{Relay, SOON, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The groups with members on an interface, each as it is shown.
pub(crate) fn groups_on(mcrd: &Relay, interface: &str) -> BTreeMap<Ipv4Addr, Value> {
    let shown = mcrd.json(&["igmp", "groups", "--interface", interface]);
    let groups = shown.as_array().unwrap_or_else(|| panic!("no list: {shown}")).iter();
    groups.map(|group| (address(&group["group"]), group.clone())).collect()
}

/// Waits until a group has members on an interface; all groups there, then.
pub(crate) fn wait_group(
    mcrd: &Relay,
    interface: &str,
    group: Ipv4Addr,
) -> BTreeMap<Ipv4Addr, Value> {
    wait_for(&format!("{group} is known on {interface}"), SOON, || {
        let there = groups_on(mcrd, interface);
        if there.contains_key(&group) { Ok(there) } else { Err(format!("{there:?}")) }
    })
}

/// The sources that a group is shown with, in order.
pub(crate) fn sources_of(group: &Value) -> Vec<Ipv4Addr> {
    let sources = group["sources"].as_array().unwrap_or_else(|| panic!("no sources: {group}"));
    sources.iter().map(|source| address(&source["source"])).collect()
}

fn address(text: &Value) -> Ipv4Addr {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no address: {text}"))
}

/// The router side of IGMP on an interface as it is shown.
pub(crate) fn igmp_on(mcrd: &Relay, interface: &str) -> Value {
    only(&mcrd.json(&["igmp", "interfaces", "--interface", interface]))["router"].clone()
}

/// What is counted of IGMP on an interface.
pub(crate) fn igmp_stats(mcrd: &Relay, interface: &str) -> Value {
    only(&mcrd.json(&["igmp", "stats", "--interface", interface])).clone()
}

fn only(shown: &Value) -> &Value {
    match shown.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => panic!("not one: {shown}"),
    }
}
