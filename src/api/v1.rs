//! The JSON of version 1. Rules are written as in the configuration file, with state and counters
//! beside each field; everything else is the core's view as it is.

pub use super::events::EventJson;
pub use crate::control::notice::{InterfaceState, Notice, RuleName};
pub use crate::control::view::{
    ChangeKind, ClosedPorts, DataPlaneUpgrade, FilterMode, IgmpGroup, IgmpHostSide, IgmpInterface,
    IgmpRouterSide, IgmpSource, IgmpStatistics, InterfaceStatus, Ledger, LogLevel,
    MembershipStatus, Mroute, MrouteEntry, MrouteOutput, Pong, PortKind, PortStatus, QuerierState,
    RuleChange, State, StateFileStatus, Sum, SumKind, Upgrade, WorkerStatus,
};

use crate::config::spec_of;
use crate::config::v1::{InputSpec, OutputSpec, RuleSpec};
use crate::control::view::{Drops, OutputStatus, RuleStatus, Stats};
use crate::types::{Rule, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Copies or frames dropped, by reason; reasons with zero are absent. The reasons are text, so that
/// a client reads the answer of a newer daemon.
pub type DropsJson = BTreeMap<String, u64>;

/// One rule, what it does and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleJson {
    /// Unique among all rules.
    pub id: String,
    /// Unique within its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who asked for it, and the rule's name (or id) there: `runtime/cam1`.
    pub origin: String,
    /// False: known, listed, without effect.
    pub enabled: bool,
    /// 0 to 1000; the higher wins a contradiction.
    pub priority: u16,
    /// Active, pending or disabled.
    pub state: State,
    /// Why it is pending.
    pub reason: Option<String>,
    /// What it takes, as the file writes it.
    pub input: InputSpec,
    /// Where it goes.
    pub outputs: Vec<OutputJson>,
    /// Datagrams that matched.
    pub matched_datagrams: u64,
    /// UDP payload bytes that matched.
    pub matched_bytes: u64,
}

/// One output of a rule and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputJson {
    /// The output as the file writes it.
    #[serde(flatten)]
    pub spec: OutputSpec,
    /// Active or pending.
    pub state: State,
    /// Why it is pending.
    pub reason: Option<String>,
    /// Copies that should have been sent: `sentDatagrams` and all of `drops`.
    pub wanted: u64,
    /// Copies that the kernel took.
    pub sent_datagrams: u64,
    /// Their UDP payload bytes.
    pub sent_bytes: u64,
    /// Copies that were not sent.
    pub drops: DropsJson,
    /// Of an output that waits for members: how many groups have some, over all of its interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_groups: Option<usize>,
}

/// Counters of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsJson {
    /// When the counters were read: nanoseconds on a monotonic clock. Two answers give a rate.
    pub at: Time,
    /// Input sockets.
    pub ports: Vec<PortStatus>,
    /// Sums over input sockets that are closed by now.
    pub closed_ports: ClosedPorts,
    /// Rules.
    pub rules: Vec<RuleJson>,
    /// Workers.
    pub workers: Vec<WorkerStatus>,
    /// Whether all of it adds up.
    pub ledger: Ledger,
}

/// Rules as a configuration file has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// 1.
    pub version: u32,
    /// Each in its shortest form.
    pub rules: Vec<RuleSpec>,
}

impl Document {
    /// What a file can have besides `version` and `rules`: it concerns the host, not the rules.
    pub const SECTIONS_OF_FILES: [&str; 8] =
        ["pinning", "dataplane", "igmp", "pim", "msdp", "control", "metrics", "log"];

    /// The document of some rules.
    pub fn of(rules: &[Rule]) -> Self {
        Self { version: 1, rules: rules.iter().map(spec_of).collect() }
    }
}

/// What a change did or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangesJson {
    /// True: nothing has happened.
    pub dry_run: bool,
    /// How many rules are added.
    pub added: usize,
    /// How many are removed.
    pub removed: usize,
    /// How many have other contents.
    pub changed: usize,
    /// How many stay as they are, with their counters.
    pub unchanged: usize,
    /// Each of them.
    pub changes: Vec<RuleChange>,
}

impl ChangesJson {
    pub(super) fn of(changes: Vec<RuleChange>, dry_run: bool) -> Self {
        let count = |kind| changes.iter().filter(|change| change.change == kind).count();
        Self {
            dry_run,
            added: count(ChangeKind::Added),
            removed: count(ChangeKind::Removed),
            changed: count(ChangeKind::Changed),
            unchanged: count(ChangeKind::Unchanged),
            changes,
        }
    }
}

/// The body of `PUT /v1/log-level`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLogLevel {
    /// off, error, warn, info, debug or trace; without `module` also a filter such as
    /// `info,mcr::netlink=debug`.
    pub level: String,
    /// The module that it is for; absent: everything, and no module has a level of its own any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

impl From<RuleStatus> for RuleJson {
    fn from(status: RuleStatus) -> Self {
        let RuleStatus { rule, state, reason, matched, outputs } = status;
        let origin = rule.display_name();
        let RuleSpec { input, outputs: specs, .. } = spec_of(&rule);
        // A status that is missing would be the core's mistake: such an output shows as pending.
        let mut statuses = outputs.into_iter();
        let outputs = specs.into_iter().map(|spec| output(spec, statuses.next())).collect();
        Self {
            id: rule.id.to_string(),
            name: rule.name.clone(),
            origin,
            enabled: rule.enabled,
            priority: rule.priority,
            state,
            reason,
            input: input.unwrap_or_default(),
            outputs,
            matched_datagrams: matched.datagrams,
            matched_bytes: matched.bytes,
        }
    }
}

fn output(spec: OutputSpec, status: Option<OutputStatus>) -> OutputJson {
    let status = status.unwrap_or_else(|| OutputStatus {
        state: State::Pending,
        reason: None,
        interfaces: Vec::new(),
        wanted: 0,
        sent: Default::default(),
        drops: Default::default(),
        joined_groups: None,
    });
    OutputJson {
        spec,
        state: status.state,
        reason: status.reason,
        wanted: status.wanted,
        sent_datagrams: status.sent.datagrams,
        sent_bytes: status.sent.bytes,
        drops: drops(&status.drops),
        joined_groups: status.joined_groups,
    }
}

fn drops(drops: &Drops) -> DropsJson {
    drops.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect()
}

impl From<Stats> for StatsJson {
    fn from(stats: Stats) -> Self {
        Self {
            at: stats.at,
            ports: stats.ports,
            closed_ports: stats.closed_ports,
            rules: stats.rules.into_iter().map(RuleJson::from).collect(),
            workers: stats.workers,
            ledger: stats.ledger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake_core::{rule, status};
    use serde_json::json;

    #[test]
    fn a_rule_shows_spec_state_and_counters() {
        let json = serde_json::to_value(RuleJson::from(status(rule("a1", Some("cam")))))
            .expect("serialises");
        assert_eq!(
            json,
            json!({
                "id": "a1", "name": "cam", "origin": "runtime/cam", "enabled": true,
                "priority": 500, "state": "active", "reason": null,
                "input": {"interface": "eth0", "group": "239.1.1.1", "port": 5000,
                          "source": "10.0.0.1"},
                "outputs": [
                    {"interface": "eth1", "group": "239.2.2.2", "port": 6000, "ttl": 8,
                     "state": "active", "reason": null, "wanted": 1000, "sentDatagrams": 980,
                     "sentBytes": 1_372_000, "drops": {"send_buffer_full": 20}},
                    {"address": "10.9.9.9", "port": 7000, "ttl": "decrement",
                     "state": "pending", "reason": "no route to 10.9.9.9", "wanted": 0,
                     "sentDatagrams": 0, "sentBytes": 0, "drops": {}},
                ],
                "matchedDatagrams": 1000, "matchedBytes": 1_400_000,
            })
        );
        let back: RuleJson = serde_json::from_value(json).expect("reads its own JSON");
        assert_eq!(back, RuleJson::from(status(rule("a1", Some("cam")))));
    }

    /// Every field that the file has for this rule stands in the answer with the same value.
    #[test]
    fn the_answer_contains_the_rule_as_the_file_writes_it() {
        let rule = rule("a1", Some("cam"));
        let spec = serde_json::to_value(crate::config::spec_of(&rule)).expect("serialises");
        let json = serde_json::to_value(RuleJson::from(status(rule))).expect("serialises");
        contains(&json, &spec, "rule");
    }

    fn contains(whole: &serde_json::Value, part: &serde_json::Value, path: &str) {
        use serde_json::Value;
        match (whole, part) {
            (Value::Object(whole), Value::Object(part)) => {
                for (key, value) in part {
                    let path = format!("{path}.{key}");
                    contains(whole.get(key).unwrap_or_else(|| panic!("no {path}")), value, &path);
                }
            }
            (Value::Array(whole), Value::Array(part)) => {
                assert_eq!(whole.len(), part.len(), "{path}");
                for (whole, part) in whole.iter().zip(part) {
                    contains(whole, part, path);
                }
            }
            _ => assert_eq!(whole, part, "{path}"),
        }
    }
}
