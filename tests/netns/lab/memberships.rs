//! What the kernel of a namespace has joined.

use super::Namespace;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Who wants what on which interface, each with how often it is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Groups of 239.0.0.0/8 (`/proc/net/igmp`).
    pub(crate) groups: BTreeMap<(String, Ipv4Addr), u32>,
    /// Link-layer addresses of groups in the interface's filter (`/proc/net/dev_mcast`).
    pub(crate) filter: BTreeMap<(String, String), u32>,
}

impl Joined {
    /// What there is now.
    pub(crate) fn now(namespace: &Namespace) -> Self {
        Self {
            groups: groups(&namespace.read("/proc/net/igmp")),
            filter: filter(&namespace.read("/proc/net/dev_mcast")),
        }
    }

    /// The groups of one interface.
    pub(crate) fn on(&self, interface: &str) -> Vec<Ipv4Addr> {
        let all = self.groups.keys().filter(|(name, _)| name == interface);
        all.map(|(_, group)| *group).collect()
    }
}

/// A line for each interface, then one indented for each group.
fn groups(text: &str) -> BTreeMap<(String, Ipv4Addr), u32> {
    let mut joined = BTreeMap::new();
    let mut interface = "";
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        if !line.starts_with('\t') {
            interface = words.nth(1).expect("an interface").trim_end_matches(':');
            continue;
        }
        let group = words.next().and_then(|word| u32::from_str_radix(word, 16).ok());
        // The number is in memory as the address is on the wire.
        let group = Ipv4Addr::from(group.expect("a group").to_ne_bytes());
        if group.octets()[0] == 239 {
            let users = words.next().and_then(|word| word.parse().ok()).expect("users");
            joined.insert((interface.to_owned(), group), users);
        }
    }
    joined
}

/// Index, name, users, global users, address.
fn filter(text: &str) -> BTreeMap<(String, String), u32> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|words| words[4].starts_with("01005e"))
        .map(|words| ((words[1].to_owned(), words[4].to_owned()), words[2].parse().expect("users")))
        .collect()
}
