//! What differs between rules that run and rules that are wanted.

use super::random::rule;
use super::{INPUT, OUTPUT, file};
use crate::config::{Change, Difference, difference, load_text, normal_form};
use crate::types::Rule;
use proptest::prelude::*;

fn rules(text: &str) -> Vec<Rule> {
    load_text("f", &format!("{{ rules: [{text}] }}"))
        .unwrap_or_else(|e| panic!("{text}\n{e}"))
        .rules
}

fn named(name: &str, more: &str) -> String {
    format!("{{ name: '{name}', {more} input: {{ {INPUT} }}, outputs: [{{ {OUTPUT} }}] }},")
}

/// As lines: sign, rule, and for each change path, running and wanted value.
fn told(differences: &[Difference]) -> Vec<String> {
    let mut lines = Vec::new();
    for Difference { rule, change, .. } in differences {
        match change {
            Change::Added => lines.push(format!("+ {rule}")),
            Change::Removed => lines.push(format!("- {rule}")),
            Change::Changed(fields) => {
                assert!(!fields.is_empty(), "{rule} changes, but nothing in it");
                for field in fields {
                    let shown = |value: &Option<serde_json::Value>| {
                        value.as_ref().map_or("-".to_owned(), ToString::to_string)
                    };
                    let (old, new) = (shown(&field.running), shown(&field.wanted));
                    lines.push(format!("~ {rule} {}: {old} -> {new}", field.path));
                }
            }
        }
    }
    lines
}

#[test]
fn added_removed_and_changed() {
    let running = rules(&[named("a", ""), named("b", ""), named("c", "")].concat());
    let changed = "{ name: 'b', priority: 7, input: { interface: 'eth0', group: '239.1.1.1',
        ports: [{ start: 5000, end: 5001 }], sources: { exclude: ['10.0.0.1'] } },
        outputs: [{ interface: 'eth2', group: '239.2.2.2', port: 6000 },
                  { address: '10.0.0.9', ttl: 3 }] },";
    let wanted = rules(&[changed, &named("d", ""), &named("a", "enabled: true,")].concat());
    assert_eq!(
        told(&difference(&running, &wanted)),
        [
            "~ file/b input.port: 5000 -> -",
            "~ file/b input.ports: - -> [{\"end\":5001,\"start\":5000}]",
            "~ file/b input.sources: - -> {\"exclude\":[\"10.0.0.1\"]}",
            "~ file/b outputs[0].interface: \"eth1\" -> \"eth2\"",
            "~ file/b outputs[1]: - -> {\"address\":\"10.0.0.9\",\"ttl\":3}",
            "~ file/b priority: - -> 7",
            "- file/c",
            "+ file/d",
        ]
    );
    assert_eq!(difference(&running, &running), []);
    assert_eq!(difference(&[], &[]), []);
}

#[test]
fn a_rule_is_the_same_by_id_or_name() {
    let one = |more: &str| format!("{{ {more} input: {{ {INPUT} }}, outputs: [{{ {OUTPUT} }}] }}");
    let renamed =
        difference(&rules(&one("id: 'x', name: 'a',")), &rules(&one("id: 'x', name: 'b',")));
    assert_eq!(told(&renamed), ["~ file/a name: \"a\" -> \"b\""]);
    let other_id =
        difference(&rules(&one("id: 'x', name: 'a',")), &rules(&one("id: 'y', name: 'a',")));
    assert_eq!(told(&other_id), ["~ file/a id: \"x\" -> \"y\""]);
    assert_eq!(other_id[0].id.as_str(), "x");
    // What has neither is another rule when it does something else.
    let moved = difference(&rules(&one("")), &rules(&one("").replace("6000", "6001")));
    assert_eq!(moved.len(), 2);
    assert_eq!((&moved[0].change, &moved[1].change), (&Change::Removed, &Change::Added));
}

#[test]
fn the_normal_form_says_the_same() {
    let text = file(
        "interfaces: [{ name: 'eth0' }], groups: ['239.1.1.1/32'], ports: []",
        "interface: 'eth1', ttl: { mode: 'keep' }, dscp: { mode: 'keep' }",
        "enabled: true, priority: 500,",
        "log: { level: 'debug' }",
    );
    let loaded = load_text("f", &text).unwrap_or_else(|e| panic!("{e}"));
    let normal = normal_form(&loaded.file, &loaded.rules);
    let written = serde_json::to_string(&normal).expect("JSON");
    assert_eq!(
        written,
        "{\"rules\":[{\"name\":\"a\",\"input\":{\"interface\":\"eth0\",\"group\":\"239.1.1.1\"},\
         \"outputs\":[{\"interface\":\"eth1\",\"ttl\":\"keep\"}]}],\"log\":{\"level\":\"debug\"}}"
    );
    let again = load_text("f", &written).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((again.rules, again.log), (loaded.rules, loaded.log));
}

proptest! {
    #[test]
    fn every_difference_is_named(one in rule(), mut other in rule()) {
        prop_assert_eq!(difference(std::slice::from_ref(&one), std::slice::from_ref(&one)), []);
        other.id = one.id.clone();
        let found = difference(std::slice::from_ref(&one), std::slice::from_ref(&other));
        if one != other {
            prop_assert!(matches!(&found[..], [Difference { change: Change::Changed(fields), .. }]
                if !fields.is_empty()), "{:?}", found);
        }
    }
}
