//! What holds for every rule and every text.

use super::random::rule;
use crate::config::{load_text, parse_output, rule_from_json, rule_from_spec, spec_of, v1};
use crate::types::{Origin, RuleId};
use proptest::prelude::*;

const VALID: &str = r#"// what is read
{
  version: 1,
  rules: [
    { name: "a", input: { interface: "eth0", group: "239.1.1.1", port: 5000, source: "10.0.0.1" },
      outputs: [{ interface: 'eth1', group: "239.2.2.2", port: 0x1770, ttl: { mode: "keep" } },
                { address: "10.0.0.9", port: 7000, ttl: 3 }], },
    { input: { interfaces: [{ name: "eth0" }, { nameGlob: "veth*", kind: "veth" }], vlan: "any",
               groups: ["239.1.1.0/24"], ports: [], sources: { exclude: ["10.0.0.0/8"] } },
      outputs: [{ interface: "eth2", group: "239.2.2.0/24", source: "keep", dscp: 34 },
                { group: "239.9.9.9", local: true, source: { address: "10.0.0.9", port: 4000 } }],
      enabled: false, priority: 7, },
  ],
  dataplane: { workers: 2, receive_buffer_bytes: 65536 },
  log: { level: "debug", format: "json" }, /* end */
}
"#;

proptest! {
    #[test]
    fn a_rule_survives_its_spec_and_its_json(rule in rule()) {
        let spec = spec_of(&rule);
        let back = match rule_from_spec(&spec, rule.origin) {
            Ok(back) => back,
            Err(told) => {
                // Random rules may loop or repeat a copy; nothing else may be wrong.
                for told in &told {
                    prop_assert!(
                        told.message.contains("would loop") || told.message.contains("same copy"),
                        "{}", told
                    );
                }
                return Ok(());
            }
        };
        prop_assert_eq!(&back, &rule);
        let json = serde_json::to_string(&spec).expect("JSON");
        prop_assert!(!json.contains("null"), "{}", json);
        let back = rule_from_json(json.as_bytes(), rule.origin).map_err(|e| e.to_string());
        prop_assert_eq!(back.as_ref(), Ok(&rule));
        let json5 = json5::to_string(&spec).expect("JSON5");
        let back = rule_from_json(json5.as_bytes(), rule.origin).map_err(|e| e.to_string());
        prop_assert_eq!(back, Ok(rule));
        let read: v1::RuleSpec = serde_json::from_str(&json).expect("the same schema");
        prop_assert_eq!(read, spec);
    }

    #[test]
    fn a_derived_id_is_left_out_and_comes_back(mut rule in rule()) {
        rule.id = RuleId::derived("x");
        let mut spec = spec_of(&rule);
        spec.id = None;
        if let Ok(derived) = rule_from_spec(&spec, rule.origin) {
            prop_assert_eq!(spec_of(&derived).id, None);
            prop_assert_eq!(rule_from_spec(&spec_of(&derived), rule.origin), Ok(derived));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = load_text("f", &text);
        let _ = rule_from_json(text.as_bytes(), Origin::Runtime);
        let _ = parse_output(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = rule_from_json(&bytes, Origin::Runtime);
    }

    #[test]
    fn no_pieces_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "/*", "*/", "//", "\n", "\r", " ", "a",
                "rules", "input", "outputs", "ttl", "null", "true", "NaN", "-", "0x", "1", "1e999",
                "\u{2028}", "é", "\"x\"", "'eth0'", "link_local", "linkLocal", "\\u0061",
            ]),
            0..40,
        ),
    ) {
        let text = pieces.concat();
        if let Err(told) = load_text("f", &text) {
            prop_assert!(!told.list.is_empty());
        }
    }

    #[test]
    fn mutated_configurations_never_panic_and_have_places(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..6, any::<char>()), 1..6),
    ) {
        let mut chars: Vec<char> = VALID.chars().collect();
        for (place, edit, c) in edits {
            // Everything may have been removed.
            if chars.is_empty() {
                break;
            }
            let at = place.index(chars.len());
            match edit {
                0 => { chars.remove(at); }
                1 => chars.insert(at, c),
                2 => chars[at] = c,
                3 => chars.truncate(at.max(1)),
                4 => { let swapped = at.saturating_sub(1); chars.swap(swapped, at); }
                _ => {
                    let copy: Vec<char> = chars[at..(at + 20).min(chars.len())].to_vec();
                    chars.splice(at..at, copy);
                }
            }
        }
        let text: String = chars.into_iter().collect();
        if let Err(told) = load_text("f", &text) {
            let lines = u32::try_from(text.lines().count()).unwrap_or(0) + 1;
            prop_assert!(!told.list.is_empty());
            for one in &told.list {
                prop_assert!(one.line.is_some_and(|line| (1..=lines).contains(&line)), "{}", one);
            }
        }
    }

    /// Values of every kind at every place: each is accepted or named, by its own path.
    #[test]
    fn wrong_values_are_named(
        key in proptest::sample::select(vec![
            "id", "name", "enabled", "priority", "input", "outputs", "health",
        ]),
        value in proptest::sample::select(vec![
            "null", "true", "-1", "1.5", "1e300", "18446744073709551615", "\"\"", "\"x\"", "[]",
            "[1]", "[[]]", "{}", "{ x: 1 }", "[{ ttl: {} }]", "[{ ttl: { mode: 5, value: [] } }]",
        ]),
    ) {
        let text = format!("{{ rules: [{{ {key}: {value} }}] }}");
        let told = load_text("f", &text).expect_err("incomplete").list;
        let mut paths: Vec<&str> = told.iter().map(|d| d.path.as_str()).collect();
        let all = paths.len();
        paths.sort_unstable();
        paths.dedup();
        prop_assert_eq!(paths.len(), all, "{:?}", told);
        for one in &told {
            prop_assert!(one.path.starts_with("rules[0]"), "{}", one);
        }
    }
}

#[test]
fn the_valid_configuration_is_valid() {
    let loaded = load_text("f", VALID).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.rules.len(), 2);
    assert!(!loaded.rules[1].enabled);
    // The printed form reads the same.
    let printed = json5::to_string(&loaded.file).expect("JSON5");
    let again = load_text("f", &printed).unwrap_or_else(|e| panic!("{e}\n{printed}"));
    assert_eq!((again.rules, again.dataplane), (loaded.rules, loaded.dataplane));
    assert!(printed.contains("ttl: \"keep\""), "{printed}");
}
