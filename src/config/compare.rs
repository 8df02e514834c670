//! Two states of a configuration: the form in which they are written, and what differs.

use super::short_form::spec_of;
use super::v1;
use crate::types::{Rule, RuleId};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// One difference between the rules that run and those that are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The rule's id; where it changes, the one that runs.
    pub id: RuleId,
    /// `origin/name`, or `origin/id` where there is no name.
    pub rule: String,
    /// What would happen to it.
    pub change: Change,
}

/// What would happen to a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It is wanted and does not run.
    Added,
    /// It runs and is not wanted.
    Removed,
    /// It runs with other values; never empty, in the order of the paths.
    Changed(Vec<FieldChange>),
}

/// One value that differs, in the shortest form of its rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Where in the rule: `outputs[1].port`.
    pub path: String,
    /// What runs; none = nothing was said.
    pub running: Option<Value>,
    /// What is wanted; none = nothing is said.
    pub wanted: Option<Value>,
}

/// The file that says what `file` says besides its rules, and `rules` in their shortest form.
pub fn normal_form(file: &v1::File, rules: &[Rule]) -> v1::File {
    v1::File { rules: rules.iter().map(spec_of).collect(), ..file.clone() }
}

/// What has to change so that `wanted` runs instead of `running`: what is removed, changed and
/// added, in the order of the rules. A rule is the same by its id, else by its name and origin; the
/// order of rules means nothing.
pub fn difference(running: &[Rule], wanted: &[Rule]) -> Vec<Difference> {
    let partners = partners(running, wanted);
    let mut taken = vec![false; wanted.len()];
    let mut differences = Vec::new();
    for (old, partner) in running.iter().zip(&partners) {
        let new = partner.and_then(|index| {
            taken[index] = true;
            wanted.get(index)
        });
        let change = match new {
            None => Change::Removed,
            Some(new) if new == old => continue,
            Some(new) => Change::Changed(field_changes(old, new)),
        };
        differences.push(Difference { id: old.id.clone(), rule: old.display_name(), change });
    }
    for (new, _) in wanted.iter().zip(taken).filter(|(_, taken)| !taken) {
        let (id, rule) = (new.id.clone(), new.display_name());
        differences.push(Difference { id, rule, change: Change::Added });
    }
    differences
}

/// For each running rule the index of the wanted one that takes its place.
fn partners(running: &[Rule], wanted: &[Rule]) -> Vec<Option<usize>> {
    let by_id: HashMap<&RuleId, usize> =
        wanted.iter().enumerate().map(|(index, rule)| (&rule.id, index)).collect();
    let mut partners: Vec<Option<usize>> =
        running.iter().map(|rule| by_id.get(&rule.id).copied()).collect();
    let mut free: BTreeSet<usize> = (0..wanted.len()).collect();
    for index in partners.iter().flatten() {
        free.remove(index);
    }
    let mut by_name: HashMap<_, usize> = free
        .into_iter()
        .filter_map(|index| {
            let rule = wanted.get(index)?;
            Some(((rule.origin, rule.name.as_deref()?), index))
        })
        .collect();
    for (rule, partner) in running.iter().zip(&mut partners) {
        if let (None, Some(name)) = (&partner, rule.name.as_deref()) {
            *partner = by_name.remove(&(rule.origin, name));
        }
    }
    partners
}

fn field_changes(old: &Rule, new: &Rule) -> Vec<FieldChange> {
    let (mut old_spec, mut new_spec) = (spec_of(old), spec_of(new));
    // An id that is derived and stays is no change, whether it is written or not.
    let changed = old.id != new.id;
    old_spec.id = changed.then(|| old.id.to_string());
    new_spec.id = changed.then(|| new.id.to_string());
    let mut changes = Vec::new();
    if old.origin != new.origin {
        changes.push(FieldChange {
            path: "origin".to_owned(),
            running: Some(old.origin.to_string().into()),
            wanted: Some(new.origin.to_string().into()),
        });
    }
    // A spec is plain data: there is always a value of it.
    let value = |spec| serde_json::to_value(spec).unwrap_or_default();
    compare(String::new(), Some(&value(old_spec)), Some(&value(new_spec)), &mut changes);
    changes
}

/// Adds what differs between two values at `path`: the smallest parts that both have, or lists and
/// objects that only one has.
fn compare(
    path: String,
    running: Option<&Value>,
    wanted: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    match (running, wanted) {
        (running, wanted) if running == wanted => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let separator = if path.is_empty() { "" } else { "." };
                compare(format!("{path}{separator}{key}"), old.get(key), new.get(key), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(format!("{path}[{index}]"), old.get(index), new.get(index), changes);
            }
        }
        (running, wanted) => {
            let (running, wanted) = (running.cloned(), wanted.cloned());
            changes.push(FieldChange { path, running, wanted });
        }
    }
}
