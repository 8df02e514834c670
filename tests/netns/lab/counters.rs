//! The kernel's own counters.

use super::Namespace;

/// A counter of `/proc/net/snmp` or `/proc/net/netstat`, for example `("IpExt",
/// "InMcastPkts")`. Both files hold pairs of lines: names, then values.
pub(crate) fn counter(namespace: &Namespace, table: &str, name: &str) -> u64 {
    let text = namespace.read("/proc/net/snmp") + &namespace.read("/proc/net/netstat");
    find(&text, table, name)
        .unwrap_or_else(|| panic!("no counter {table} {name} in {}", namespace.name()))
}

fn find(text: &str, table: &str, name: &str) -> Option<u64> {
    let prefix = format!("{table}:");
    let mut lines = text.lines().filter(|line| line.starts_with(&prefix));
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        if let Some((_, value)) = pairs.find(|(candidate, _)| *candidate == name) {
            return value.parse().ok();
        }
    }
    None
}
