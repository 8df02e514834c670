//! What a change would do: tried on a copy of the core, which is thrown away.

use super::event::{Change, Conflict, Event, Refusal};
use super::router::Router;
use super::view::{ChangeKind, RuleChange, RuleStatus};
use crate::types::{Origin, Rule, RuleId, Time};
use std::collections::{BTreeMap, HashMap, HashSet};

impl Router {
    /// What `change` would do now, and the state that each rule it concerns would have.
    ///
    /// # Errors
    /// What the change itself would be refused with.
    pub fn dry_run(&self, now: Time, change: &Change) -> Result<Vec<RuleChange>, Refusal> {
        let mut copy = self.clone();
        let before = self.rules_of(Some(Origin::Runtime));
        let event = match change {
            Change::Add(rule) => Event::AddRule(rule.clone()),
            Change::Remove(selector) => Event::RemoveRule(selector.clone()),
            Change::Replace(set) => {
                self.check_set(Origin::Runtime, set)?;
                Event::Rules { origin: Origin::Runtime, set: set.clone() }
            }
        };
        copy.handle(now, event)?;
        copy.settle(now);
        let mut changes = copy.changes_since(&before);
        // Who asks about one rule hears about one rule.
        match change {
            Change::Add(rule) => changes.retain(|change| change.id == rule.id),
            Change::Remove(_) => changes.retain(|change| change.change == ChangeKind::Removed),
            Change::Replace(_) => {}
        }
        Ok(changes)
    }

    /// The rules of an origin, or of all, in the order in which they came.
    pub fn rules_of(&self, origin: Option<Origin>) -> Vec<Rule> {
        let mut entries: Vec<_> = self
            .rules
            .iter()
            .filter(|entry| origin.is_none_or(|origin| entry.rule.origin == origin))
            .collect();
        entries.sort_by_key(|entry| (entry.rule.origin, entry.serial));
        entries.into_iter().map(|entry| Rule::clone(&entry.rule)).collect()
    }

    /// How the rules of origin `runtime` differ from what they were.
    pub fn changes_since(&self, before: &[Rule]) -> Vec<RuleChange> {
        let mut before: BTreeMap<&RuleId, &Rule> =
            before.iter().map(|rule| (&rule.id, rule)).collect();
        let mut changes = Vec::new();
        for status in self.rule_statuses() {
            if status.rule.origin != Origin::Runtime {
                continue;
            }
            let change = match before.remove(&status.rule.id) {
                None => ChangeKind::Added,
                Some(old) if *old == *status.rule => ChangeKind::Unchanged,
                Some(_) => ChangeKind::Changed,
            };
            changes.push(change_of(&status, change));
        }
        changes.extend(before.into_values().map(|rule| RuleChange {
            change: ChangeKind::Removed,
            id: rule.id.clone(),
            rule: rule.display_name(),
            state: None,
            reason: None,
        }));
        changes
    }

    /// Refuses a set of rules of an origin that cannot be in force together with the others; all
    /// conflicts are named.
    ///
    /// # Errors
    /// `Conflicts`, or `TooManyRules`.
    pub fn check_set(&self, origin: Origin, set: &[Rule]) -> Result<(), Refusal> {
        let others = self.rules.iter().filter(|entry| entry.rule.origin != origin);
        let limit = super::MAX_RULES;
        if others.count().saturating_add(set.len()) > limit {
            return Err(Refusal::TooManyRules { limit });
        }
        let foreign: HashMap<&RuleId, String> = self
            .rules
            .iter()
            .filter(|entry| entry.rule.origin != origin)
            .map(|entry| (&entry.rule.id, entry.rule.display_name()))
            .collect();
        let mut ids: HashMap<&RuleId, String> = HashMap::new();
        let mut names: HashSet<&str> = HashSet::new();
        let mut conflicts = Vec::new();
        for (index, rule) in set.iter().enumerate() {
            let (id, name) = (rule.id.to_string(), rule.name.as_deref());
            let refusal = match (foreign.get(&rule.id).or_else(|| ids.get(&rule.id)), name) {
                (Some(owner), _) => Some(Refusal::IdTaken { id, owner: owner.clone() }),
                (None, Some(name)) if names.contains(name) => {
                    Some(Refusal::NameTaken { name: name.to_owned(), id })
                }
                (None, _) => None,
            };
            match refusal {
                Some(refusal) => {
                    let key = match refusal {
                        Refusal::NameTaken { .. } => "name",
                        _ => "id",
                    };
                    conflicts.push(Conflict { index, key: key.into(), text: refusal.to_string() });
                }
                None => {
                    ids.insert(&rule.id, rule.display_name());
                    names.extend(name);
                }
            }
        }
        if conflicts.is_empty() { Ok(()) } else { Err(Refusal::Conflicts(conflicts)) }
    }
}

fn change_of(status: &RuleStatus, change: ChangeKind) -> RuleChange {
    RuleChange {
        change,
        id: status.rule.id.clone(),
        rule: status.rule.display_name(),
        state: Some(status.state),
        reason: status.reason.clone(),
    }
}
