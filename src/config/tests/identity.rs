//! Ids that are derived: they stay what they were, and differ where rules do.

use super::random::rule;
use crate::config::{rule_from_json, rule_from_spec, spec_of};
use crate::types::Origin;
use proptest::prelude::*;
use std::collections::HashMap;

fn id(text: &str) -> String {
    let read = rule_from_json(text.as_bytes(), Origin::Runtime);
    read.unwrap_or_else(|e| panic!("{text}\n{e}")).id.to_string()
}

fn id_of(input: &str, outputs: &str) -> String {
    id(&format!("{{ input: {{ {input} }}, outputs: [{outputs}] }}"))
}

/// Other programs have stored these.
#[test]
fn ids_of_rules_of_earlier_versions_stay() {
    let one = "{ interface: 'eth1', group: '239.2.2.2', port: 6000 }";
    let plain = "interface: 'eth0', group: '239.1.1.1', port: 5000";
    assert_eq!(
        id(&format!("{{ name: 'n', input: {{ {plain} }}, outputs: [{one}] }}")),
        "d13eb95a52843506"
    );
    assert_eq!(id_of(plain, one), "25697ec529d16d79");
    let source = "interface: 'eth0', group: '239.1.1.1', source: '10.0.0.1'";
    assert_eq!(id_of(source, "{ interface: 'eth1' }"), "d07588775caca4e1");
    assert_eq!(id_of(source, "{ interface: 'eth1', ttl: 16 }"), "d07588775caca4e1");
    let tunnel = "interface: 'wg0', group: '10.0.0.50', port: 5000";
    let three = "{ interface: 'eth1', group: '239.2.2.2', port: 6000, ttl: 3 },
                 { address: '10.0.0.9', port: 7000, ttl: 'keep' },
                 { address: '10.0.0.8', interface: 'wg0', ttl: 'decrement' }";
    assert_eq!(id_of(tunnel, three), "51c8c2537f8a5fd7");
}

#[test]
fn what_means_the_same_has_one_id() {
    let same: &[(&str, &str)] = &[
        ("groups: ['239.1.1.1', '239.2.0.0/24'],", "groups: ['239.2.0.0/24', '239.1.1.1/32'],"),
        (
            "group: '239.1.1.1', ports: [{ start: 1, end: 5 }, { start: 4, end: 9 }, { start: 10, end: 10 }],",
            "group: '239.1.1.1', ports: [{ start: 1, end: 10 }],",
        ),
        (
            "group: '239.1.1.1', sources: { include: ['10.0.0.1', '10.0.0.2'] },",
            "group: '239.1.1.1', sources: { include: ['10.0.0.2/32', '10.0.0.1'], exclude: [] },",
        ),
        ("group: '239.1.1.1', join: 'always', linkLocal: 'drop',", "group: '239.1.1.1',"),
        ("group: '10.0.0.1', port: 5, join: 'never',", "group: '10.0.0.1', port: 5,"),
    ];
    let to = |dscp: &str| format!("{{ interface: 'e1', group: '239.9.9.9'{dscp} }}");
    for (one, other) in same {
        let one = id_of(&format!("{one} interface: 'e0'"), &to(""));
        assert_eq!(
            one,
            id_of(&format!("{other} interface: 'e0'"), &to(", dscp: 'keep'")),
            "{other}"
        );
    }
    let two = |list: &str| id_of(&format!("interfaces: [{list}], group: '239.1.1.1'"), &to(""));
    assert_eq!(two("{ name: 'a' }, { nameGlob: 'b' }"), two("{ nameGlob: 'b' }, { name: 'a' }"));
    assert_ne!(two("{ nameGlob: 'b' }"), two("{ nameRegex: 'b' }"));
    assert_ne!(two("{ nameGlob: 'b' }"), two("{ name: 'b' }"));
}

proptest! {
    /// Two random rules, each without name and id: they have one id only where they do the same.
    #[test]
    fn different_rules_have_different_ids(rules in proptest::collection::vec(rule(), 2..6)) {
        let mut seen = HashMap::new();
        for mut rule in rules {
            rule.name = None;
            let mut spec = spec_of(&rule);
            (spec.id, spec.priority, spec.enabled) = (None, None, None);
            for output in &mut spec.outputs {
                output.name = None;
            }
            if let Ok(rule) = rule_from_spec(&spec, rule.origin) {
                let id = rule.id.clone();
                let before = seen.insert(id, rule.clone());
                prop_assert!(before.is_none_or(|before| before == rule));
            }
        }
    }
}
