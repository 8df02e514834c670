//! An independent witness: packet counters of nftables, which know nothing of the relay.

use super::Namespace;
use serde_json::Value;

/// Counts the UDP packets that come in at an interface, before anything else can drop them.
pub(crate) struct Witness<'n> {
    namespace: &'n Namespace,
    table: String,
}

impl<'n> Witness<'n> {
    /// Counts UDP to this port from now on. Super-frames count once, so the sender's side must not
    /// make any.
    pub(crate) fn new(namespace: &'n Namespace, interface: &str, port: u16) -> Self {
        let table = format!("witness-{interface}-{port}");
        namespace.run(&format!("nft add table ip {table}"));
        namespace.run(&format!(
            "nft add chain ip {table} in {{ type filter hook prerouting priority -400 ; }}"
        ));
        namespace.run(&format!(
            "nft add rule ip {table} in iifname {interface} udp dport {port} counter"
        ));
        Self { namespace, table }
    }

    /// How many there were.
    pub(crate) fn packets(&self) -> u64 {
        let text = self.namespace.run(&format!("nft -j list chain ip {} in", self.table));
        let json: Value = serde_json::from_str(&text).expect("nft's JSON");
        let counted = json["nftables"].as_array().and_then(|items| {
            let parts = items.iter().filter_map(|item| item["rule"]["expr"].as_array());
            parts.flatten().find_map(|part| part["counter"]["packets"].as_u64())
        });
        counted.unwrap_or_else(|| panic!("no counter in {text}"))
    }

    /// Counts no more.
    pub(crate) fn remove(self) {
        self.namespace.run(&format!("nft delete table ip {}", self.table));
    }
}
