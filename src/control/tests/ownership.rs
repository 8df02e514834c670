//! Whose rules they are: sets, ids, names, and counters that stay with their rule.

use super::*;
use crate::control::MAX_RULES;

/// What the next table resets.
fn resets(core: &mut Core) -> (Vec<RuleSlot>, Vec<OutputSlot>) {
    core.settle()
        .into_iter()
        .find_map(|output| match output {
            Output::Publish { reset_rules, reset_outputs, .. } => {
                Some((reset_rules, reset_outputs))
            }
            _ => None,
        })
        .unwrap_or_default()
}

fn group(id: &str, last: u8) -> Rule {
    with(rule(id), |r| r.input.groups = net(&format!("239.1.1.{last}")))
}

#[test]
fn an_unchanged_rule_of_a_set_keeps_its_counters_and_others_start_at_zero() {
    let mut core = Core::new();
    core.tell(of(Origin::File, vec![group("stays", 1), group("changes", 2), group("goes", 3)]));
    assert_eq!(resets(&mut core).0.len(), 3);
    core.acknowledge();
    let (stays, changes) = (core.slots("stays"), core.slots("changes"));
    let changed = with(group("changes", 2), |r| r.outputs = vec![output("b"), output("c")].into());
    core.tell(of(Origin::File, vec![group("new", 4), changed, group("stays", 1)]));
    let (mut rules, mut outputs) = resets(&mut core);
    assert_eq!(core.slots("stays"), stays);
    rules.sort();
    outputs.sort();
    let (mut new_rules, mut new_outputs) = (Vec::new(), Vec::new());
    for id in ["new", "changes"] {
        let (rule, outputs) = core.slots(id);
        new_rules.push(rule);
        new_outputs.extend(outputs);
    }
    new_rules.sort();
    new_outputs.sort();
    assert_eq!((rules, outputs), (new_rules, new_outputs));
    assert_ne!(core.slots("changes").1.len(), changes.1.len());
    assert!(core.router.rule_status("goes").is_err());
    // The same set again is no change at all.
    core.acknowledge();
    let again = core.router.rules.iter().map(|entry| Rule::clone(&entry.rule)).collect();
    assert!(core.step(of(Origin::File, again)).is_empty());
}

#[test]
fn a_set_touches_its_own_origin_only() {
    let mut core = Core::new();
    core.add(group("mine", 1));
    core.tell(of(Origin::File, vec![group("file", 2)]));
    core.tell(of(Origin::Crd, vec![group("crd", 3)]));
    core.settle();
    core.tell(of(Origin::File, Vec::new()));
    core.settle();
    assert!(core.router.rule_status("file").is_err());
    assert!(core.router.rule_status("mine").is_ok() && core.router.rule_status("crd").is_ok());
}

#[test]
fn a_refused_set_changes_nothing_at_all() {
    let named = |id: &str, text: &str| with(rule(id), |r| r.name = Some(text.to_owned()));
    let mut core = Core::new();
    core.add(named("mine", "x"));
    core.tell(of(Origin::File, vec![named("old", "old")]));
    core.settle();
    // Each set begins with something that would have been a change.
    let refusal = core.refused(of(Origin::File, vec![group("new", 2), rule("mine")]));
    let owner = "runtime/x".to_owned();
    assert_eq!(refusal, Refusal::IdTaken { id: "mine".to_owned(), owner });
    let refusal = core.refused(of(Origin::File, vec![group("twice", 2), group("twice", 3)]));
    let owner = "file/twice".to_owned();
    assert_eq!(refusal, Refusal::IdTaken { id: "twice".to_owned(), owner });
    let refusal = core.refused(of(Origin::File, vec![named("p", "same"), named("q", "same")]));
    assert_eq!(refusal, Refusal::NameTaken { name: "same".to_owned(), id: "p".to_owned() });
    let many = (0..MAX_RULES).map(|n| rule(&format!("r{n}"))).collect();
    let refusal = core.refused(of(Origin::File, many));
    assert_eq!(refusal, Refusal::TooManyRules { limit: MAX_RULES });
    assert!(core.settle().is_empty());
    // A name of another origin, and a name that moves to another rule of the set, are free.
    core.tell(of(Origin::File, vec![named("other", "x"), named("next", "old")]));
}

#[test]
fn ids_and_names_are_taken_once() {
    let mut core = Core::new();
    core.add(with(rule("r"), |r| r.name = Some("cameras".to_owned())));
    let refusal = core.refused(Event::AddRule(group("r", 2)));
    let owner = "runtime/cameras".to_owned();
    assert_eq!(refusal, Refusal::IdTaken { id: "r".to_owned(), owner });
    let namesake = with(group("s", 2), |r| r.name = Some("cameras".to_owned()));
    let refusal = core.refused(Event::AddRule(namesake));
    assert_eq!(refusal, Refusal::NameTaken { name: "cameras".to_owned(), id: "r".to_owned() });
    core.add(group("s", 2));
    core.add(group("t", 3));
    let ids = core.router.rules.iter().map(|entry| entry.rule.id.to_string());
    assert_eq!(ids.collect::<Vec<_>>(), ["r", "s", "t"], "rules without a name are no namesakes");
}

#[test]
fn a_rule_is_found_by_id_by_name_and_by_origin_and_name() {
    let named = |id: &str| with(rule(id), |r| r.name = Some("cameras".to_owned()));
    let mut core = Core::new();
    core.add(named("r"));
    core.tell(of(Origin::File, vec![named("f")]));
    core.settle();
    let refusal = core.refused(Event::RemoveRule("cameras".to_owned()));
    let candidates = "f, r".to_owned();
    assert_eq!(refusal, Refusal::Ambiguous { name: "cameras".to_owned(), candidates });
    let refusal = core.refused(Event::RemoveRule("nobody".to_owned()));
    assert_eq!(refusal, Refusal::NoSuchRule("nobody".to_owned()));
    core.tell(Event::RemoveRule("runtime/cameras".to_owned()));
    assert!(core.router.rule_status("r").is_err());
    // One is left, so the name is enough; but it is the file's.
    let refusal = core.refused(Event::RemoveRule("cameras".to_owned()));
    assert!(matches!(
        refusal,
        Refusal::NotYours { rule, origin: Origin::File, remedy }
            if rule == "file/cameras" && remedy.contains("SIGHUP")
    ));
}

#[test]
fn only_runtime_rules_come_and_go_one_by_one() {
    let mut core = Core::new();
    for origin in [Origin::File, Origin::Crd] {
        let refusal = core.refused(Event::AddRule(with(rule("r"), |r| r.origin = origin)));
        assert!(matches!(refusal, Refusal::NotYours { origin: owner, .. } if owner == origin));
    }
    core.tell(of(Origin::Crd, vec![rule("c")]));
    let refusal = core.refused(Event::RemoveRule("c".to_owned()));
    assert!(matches!(refusal, Refusal::NotYours { remedy, .. } if remedy.contains("kubectl")));
}

#[test]
fn the_table_of_rules_is_bounded() {
    let mut core = Core::new();
    let disabled = |n: usize| with(rule(&format!("r{n}")), |r| r.enabled = false);
    core.tell(of(Origin::File, (0..MAX_RULES).map(disabled).collect()));
    let outcome = core.router.handle(core.now, Event::AddRule(rule("one-more")));
    assert_eq!(outcome, Err(Refusal::TooManyRules { limit: MAX_RULES }));
    // What is there already is no more than there is, and one out makes room for one.
    core.tell(of(Origin::File, (1..MAX_RULES).map(disabled).collect()));
    core.tell(Event::AddRule(rule("one-more")));
    core.tell(Event::AddRule(rule("one-more")));
    assert_eq!(core.router.rules.len(), MAX_RULES);
}

#[test]
fn a_slot_with_a_new_owner_starts_at_zero() {
    let mut core = Core::new();
    core.add(rule("old"));
    core.acknowledge();
    let counted = SlotCounters {
        rules: vec![crate::fib::counters::RuleCounters { datagrams: 7, bytes: 70 }],
        ..SlotCounters::default()
    };
    let report = |generation: u64| {
        let slots = counted.clone();
        Event::Report(Box::new(WorkerReport { generation, slots, ..WorkerReport::default() }))
    };
    core.tell(report(1));
    assert_eq!(core.status("old").matched.datagrams, 7);
    core.tell(Event::RemoveRule("old".to_owned()));
    core.add(group("new", 2));
    assert_eq!(core.slots("new").0, RuleSlot(0), "the place is used again");
    assert_eq!(core.status("new").matched.datagrams, 0);
    // The worker sent this before it took the new table: it is the old rule's.
    core.tell(report(1));
    assert_eq!(core.status("new").matched.datagrams, 0);
    let generation = core.router.fib.generation();
    core.tell(report(generation));
    assert_eq!(core.status("new").matched.datagrams, 7, "from here on they are its own");
}
