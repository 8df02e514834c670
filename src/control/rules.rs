//! The rules that people and programs asked for, with their places in the counter arrays.

use super::adopt::KeptRule;
use super::event::Refusal;
use crate::fib::{OutputSlot, RuleSlot};
use crate::types::{Few, Origin, Rule, RuleId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Rules at most.
pub const MAX_RULES: usize = 100_000;

/// One rule and its counters' places.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) rule: Arc<Rule>,
    pub(super) slot: RuleSlot,
    /// One for each output, in order.
    pub(super) outputs: Few<OutputSlot>,
    /// Order of arrival.
    pub(super) serial: u64,
}

impl Entry {
    pub(super) fn kept(&self) -> KeptRule {
        let Self { rule, slot, outputs, serial } = self.clone();
        KeptRule { rule, slot, outputs, serial }
    }
}

/// Numbers that are given out, taken back and given out again.
#[derive(Clone, Debug, Default)]
struct Slots {
    next: u32,
    free: Vec<u32>,
}

impl Slots {
    /// All but those that are taken.
    fn around(taken: &BTreeSet<u32>) -> Self {
        let next = taken.last().map_or(0, |last| last + 1);
        Self { next, free: (0..next).rev().filter(|slot| !taken.contains(slot)).collect() }
    }

    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    entries: BTreeMap<RuleId, Entry>,
    rule_slots: Slots,
    output_slots: Slots,
    serial: u64,
    /// Slots that got new owners since the last [`Rules::take_resets`].
    reset: (Vec<RuleSlot>, Vec<OutputSlot>),
    /// Rules that came, went or changed since the last [`Rules::take_changed`].
    changed: BTreeSet<RuleId>,
}

impl Rules {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All slots of rules are below this.
    pub(super) fn slots(&self) -> usize {
        self.rule_slots.next as usize
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// True where some output leaves its interface to the kernel's routing.
    pub(super) fn any_routed_output(&self) -> bool {
        let mut outputs = self.entries.values().flat_map(|entry| &entry.rule.outputs);
        outputs.any(|output| output.interfaces.is_empty() && !output.local)
    }

    /// All rules, those that win contradictions first: by priority, origin, then age.
    pub(super) fn by_precedence(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.values().collect();
        all.sort_by_key(|entry| {
            (std::cmp::Reverse(entry.rule.priority), entry.rule.origin, entry.serial)
        });
        all
    }

    /// Slots whose counters must start at zero with the next table.
    pub(super) fn take_resets(&mut self) -> (Vec<RuleSlot>, Vec<OutputSlot>) {
        std::mem::take(&mut self.reset)
    }

    /// Adds one rule. True where it is new, false where the very same rule is there already.
    pub(super) fn add(&mut self, rule: Rule) -> Result<bool, Refusal> {
        if let Some(entry) = self.entries.get(&rule.id) {
            if *entry.rule == rule {
                return Ok(false);
            }
            return Err(taken(entry, &rule));
        }
        let namesake = self.entries.values().find(|entry| {
            entry.rule.name.is_some()
                && entry.rule.name == rule.name
                && entry.rule.origin == rule.origin
        });
        if let Some(entry) = namesake {
            return Err(taken(entry, &rule));
        }
        if self.entries.len() >= MAX_RULES {
            return Err(Refusal::TooManyRules { limit: MAX_RULES });
        }
        self.insert(rule);
        Ok(true)
    }

    /// Makes the rules of an origin equal to `set`. Rules that stay the same keep their counters.
    /// Nothing changes where the set is refused.
    pub(super) fn replace(&mut self, origin: Origin, set: Vec<Rule>) -> Result<bool, Refusal> {
        let others = self.entries.values().filter(|entry| entry.rule.origin != origin).count();
        if others + set.len() > MAX_RULES {
            return Err(Refusal::TooManyRules { limit: MAX_RULES });
        }
        let mut names: HashMap<&str, &RuleId> = HashMap::new();
        let mut ids: HashSet<&RuleId> = HashSet::new();
        for rule in &set {
            let foreign = self.entries.get(&rule.id).filter(|entry| entry.rule.origin != origin);
            if let Some(entry) = foreign {
                return Err(taken(entry, rule));
            }
            if !ids.insert(&rule.id) {
                let owner = rule.display_name();
                return Err(Refusal::IdTaken { id: rule.id.to_string(), owner });
            }
            if let Some(name) = &rule.name
                && let Some(id) = names.insert(name, &rule.id)
            {
                return Err(Refusal::NameTaken { name: name.clone(), id: id.to_string() });
            }
        }
        let gone: Vec<RuleId> = self
            .entries
            .values()
            .filter(|entry| entry.rule.origin == origin && !ids.contains(&entry.rule.id))
            .map(|entry| entry.rule.id.clone())
            .collect();
        let mut changed = !gone.is_empty();
        for id in gone {
            self.remove(&id);
        }
        for rule in set {
            if self.entries.get(&rule.id).is_some_and(|entry| *entry.rule == rule) {
                continue;
            }
            self.remove(&rule.id);
            self.insert(rule);
            changed = true;
        }
        Ok(changed)
    }

    /// Finds the rule that a person means: by id, by `origin/name`, or by a name that is unique.
    pub(super) fn find(&self, selector: &str) -> Result<&Entry, Refusal> {
        if let Some(entry) = selector.parse().ok().and_then(|id: RuleId| self.entries.get(&id)) {
            return Ok(entry);
        }
        let named: Vec<&Entry> = self
            .entries
            .values()
            .filter(|entry| {
                entry.rule.name.as_deref() == Some(selector)
                    || entry.rule.display_name() == selector
            })
            .collect();
        match named[..] {
            [entry] => Ok(entry),
            [] => Err(Refusal::NoSuchRule(selector.to_owned())),
            _ => Err(Refusal::Ambiguous {
                name: selector.to_owned(),
                candidates: named
                    .iter()
                    .map(|entry| entry.rule.id.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Removes a rule of origin `runtime`.
    pub(super) fn remove_runtime(&mut self, selector: &str) -> Result<Entry, Refusal> {
        let entry = self.find(selector)?;
        let remedy = match entry.rule.origin {
            Origin::Runtime => None,
            Origin::File => Some("take it out of the configuration file and send mcrd a SIGHUP"),
            Origin::Crd => Some("delete its MulticastRoute object with kubectl"),
        };
        if let Some(remedy) = remedy {
            return Err(Refusal::NotYours {
                rule: entry.rule.display_name(),
                origin: entry.rule.origin,
                remedy: remedy.to_owned(),
            });
        }
        let id = entry.rule.id.clone();
        self.remove(&id).ok_or_else(|| Refusal::NoSuchRule(selector.to_owned()))
    }

    /// Takes over a rule that has its slots; [`Rules::close_gaps`] follows.
    pub(super) fn adopt(&mut self, entry: Entry) {
        self.serial = self.serial.max(entry.serial);
        self.entries.insert(entry.rule.id.clone(), entry);
    }

    /// Makes the slots that no rule has the ones to be given out next.
    pub(super) fn close_gaps(&mut self) {
        let taken = self.entries.values().map(|entry| entry.slot.0).collect();
        self.rule_slots = Slots::around(&taken);
        let outputs = self.entries.values().flat_map(|entry| &entry.outputs);
        self.output_slots = Slots::around(&outputs.map(|slot| slot.0).collect());
    }

    /// The rules that came, went or changed since the last call; none = gone.
    pub(super) fn take_changed(&mut self) -> Vec<(RuleId, Option<KeptRule>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let kept = |id: &RuleId| self.entries.get(id).map(Entry::kept);
        changed.map(|id| (id.clone(), kept(&id))).collect()
    }

    fn insert(&mut self, rule: Rule) {
        let slot = RuleSlot(self.rule_slots.take());
        let outputs: Few<OutputSlot> =
            rule.outputs.iter().map(|_| OutputSlot(self.output_slots.take())).collect();
        self.reset.0.push(slot);
        self.reset.1.extend(outputs.iter());
        self.serial += 1;
        let id = rule.id.clone();
        self.changed.insert(id.clone());
        // A copy: where the rule was read it stands among all that is thrown away, and would keep that
        // from being given back.
        let rule = Arc::new(Rule::clone(&rule));
        self.entries.insert(id, Entry { rule, slot, outputs, serial: self.serial });
    }

    fn remove(&mut self, id: &RuleId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.changed.insert(id.clone());
        self.rule_slots.free.push(entry.slot.0);
        self.output_slots.free.extend(entry.outputs.iter().map(|slot| slot.0));
        Some(entry)
    }
}

fn taken(by: &Entry, rule: &Rule) -> Refusal {
    match &rule.name {
        Some(name) if by.rule.name.as_ref() == Some(name) && by.rule.origin == rule.origin => {
            Refusal::NameTaken { name: name.clone(), id: by.rule.id.to_string() }
        }
        _ => Refusal::IdTaken { id: rule.id.to_string(), owner: by.rule.display_name() },
    }
}
