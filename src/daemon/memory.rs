//! What control leaves with the data plane so that the next control process goes on where this one
//! ends: each rule with its places in the counter arrays, what was counted by those that are gone, and what
//! members of groups want.

use super::Daemon;
use crate::config::{self, v1::RuleSpec};
use crate::control::adopt::KeptRule;
use crate::control::sums::ChangedSums;
use crate::control::{KnownGroup, KnownMembers};
use crate::dataplane::process::message::Note;
use crate::fib::{OutputSlot, RuleSlot};
use crate::types::{IfIndex, Origin, RuleId};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Before the rule's id in the name of a note.
const PREFIX: &str = "rule/";

/// The names of the notes with sums.
const LOST_SLOTS: &str = "sums/slots";
const CLOSED_PORTS: &str = "sums/ports";

/// Before the interface's index and the last byte of the groups in the name of a note.
const MEMBERS: &str = "members/";

/// One rule as it is remembered, written as a list of these. Its own words are those of the configuration
/// file: another version of this program reads them. Its id is in the note's name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    origin: Origin,
    slot: u32,
    outputs: Vec<u32>,
    serial: u64,
    rule: Value,
}

fn name(id: &RuleId) -> String {
    format!("{PREFIX}{id}")
}

fn note(kept: &KeptRule) -> Option<Vec<u8>> {
    let KeptRule { rule, slot, outputs, serial } = kept;
    let spec = RuleSpec { id: None, ..config::spec_of(rule) };
    serde_json::to_vec(&(rule.origin, slot, outputs, serial, spec)).ok()
}

fn read(id: &str, bytes: &[u8]) -> Option<KeptRule> {
    let mut remembered: Remembered = serde_json::from_slice(bytes).ok()?;
    remembered.rule.as_object_mut()?.insert("id".to_owned(), id.into());
    let text = remembered.rule.to_string();
    let rule = config::rule_from_json(text.as_bytes(), remembered.origin).ok()?;
    Some(KeptRule {
        rule: Arc::new(rule),
        slot: RuleSlot(remembered.slot),
        outputs: remembered.outputs.into_iter().map(OutputSlot).collect(),
        serial: remembered.serial,
    })
}

/// The rules among what is remembered, and how many could not be read.
pub(super) fn rules(notes: &[(String, Vec<u8>)]) -> (Vec<KeptRule>, usize) {
    let of_rules =
        notes.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(PREFIX)?, bytes)));
    let read: Vec<Option<KeptRule>> = of_rules.map(|(id, bytes)| read(id, bytes)).collect();
    let lost = read.iter().filter(|rule| rule.is_none()).count();
    (read.into_iter().flatten().collect(), lost)
}

fn sums_noted(sums: &ChangedSums) -> impl Iterator<Item = Note> {
    let slots = sums.slots.as_ref().map(|sum| (LOST_SLOTS, serde_json::to_vec(sum)));
    let ports = sums.ports.as_ref().map(|sum| (CLOSED_PORTS, serde_json::to_vec(sum)));
    slots.into_iter().chain(ports).map(|(name, bytes)| (name.to_owned(), bytes.ok()))
}

/// The sums among what is remembered; those that cannot be read begin anew.
pub(super) fn sums(notes: &[(String, Vec<u8>)]) -> ChangedSums {
    let find = |wanted: &str| {
        let found = notes.iter().find(|(name, _)| name == wanted);
        found.map(|(_, bytes)| bytes.as_slice())
    };
    ChangedSums {
        slots: find(LOST_SLOTS).and_then(|bytes| serde_json::from_slice(bytes).ok()),
        ports: find(CLOSED_PORTS).and_then(|bytes| serde_json::from_slice(bytes).ok()),
    }
}

fn members_noted(known: Vec<KnownMembers>) -> impl Iterator<Item = Note> {
    known.into_iter().map(|KnownMembers { index, bucket, groups }| {
        let value = (!groups.is_empty()).then(|| serde_json::to_vec(&groups).ok()).flatten();
        (format!("{MEMBERS}{index}/{bucket}"), value)
    })
}

/// What members wanted, among what is remembered; what cannot be read is found out again.
pub(super) fn members(notes: &[(String, Vec<u8>)]) -> Vec<KnownGroup> {
    let of = notes.iter().filter_map(|(name, bytes)| {
        let (index, _) = name.strip_prefix(MEMBERS)?.split_once('/')?;
        let groups: Vec<(_, _)> = serde_json::from_slice(bytes).ok()?;
        Some((IfIndex(index.parse().ok()?), groups))
    });
    of.flat_map(|(index, groups)| {
        groups.into_iter().map(move |(group, reception)| (index, group, reception))
    })
    .collect()
}

impl Daemon {
    /// Notes of what has changed since the last call.
    pub(super) fn changed_notes(&mut self) -> Vec<Note> {
        let changed = self.router.take_changed_rules();
        let rules = changed.into_iter().map(|(id, kept)| (name(&id), kept.as_ref().and_then(note)));
        let members = members_noted(self.router.take_changed_members());
        rules.chain(sums_noted(&self.router.take_changed_sums())).chain(members).collect()
    }

    /// Everything that a data plane is to remember which knows nothing.
    pub(super) fn all_notes(&self) -> Vec<Note> {
        let all = self.router.kept_rules();
        let rules = all.iter().map(|kept| (name(&kept.rule.id), note(kept)));
        let members = members_noted(self.router.known_members());
        rules.chain(sums_noted(&self.router.sums())).chain(members).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_remembered_as_it_is_and_what_is_not_one_is_counted() {
        let text = r#"{"name": "a", "priority": 7, "input": {"interface": "eth0",
            "group": "239.1.1.0/24", "port": 5000},
            "outputs": [{"interface": "eth1", "ttl": 3}, {"address": "192.0.2.1", "port": 9}]}"#;
        for origin in [Origin::File, Origin::Runtime] {
            let rule = config::rule_from_json(text.as_bytes(), origin).expect("a rule");
            let outputs = vec![OutputSlot(8), OutputSlot(2)].into();
            let kept = KeptRule { rule: Arc::new(rule), slot: RuleSlot(3), outputs, serial: 11 };
            let bytes = note(&kept).expect("serialises");
            let notes = vec![
                (name(&kept.rule.id), bytes.clone()),
                ("rule/x".to_owned(), bytes[1..].to_vec()),
                ("something else".to_owned(), Vec::new()),
            ];
            assert_eq!(rules(&notes), (vec![kept], 1));
        }
    }

    #[test]
    fn members_are_remembered_as_they_are() {
        use crate::types::Reception;
        let group = |last| std::net::Ipv4Addr::new(239, 1, 1, last);
        let known = vec![
            (group(1), Reception::Include([group(9)].into())),
            (group(2), Reception::Exclude([].into())),
        ];
        let of = |bucket, groups| KnownMembers { index: IfIndex(7), bucket, groups };
        let noted: Vec<Note> = members_noted(vec![of(1, known.clone()), of(2, vec![])]).collect();
        assert_eq!(noted[1], ("members/7/2".to_owned(), None));
        let notes = vec![
            (noted[0].0.clone(), noted[0].1.clone().expect("bytes")),
            ("members/x/1".to_owned(), b"[]".to_vec()),
            ("members/8/1".to_owned(), b"[1]".to_vec()),
        ];
        let read: Vec<KnownGroup> =
            known.into_iter().map(|(group, wanted)| (IfIndex(7), group, wanted)).collect();
        assert_eq!(members(&notes), read);
    }
}
