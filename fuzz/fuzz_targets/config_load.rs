//! Any text as a configuration: no panic, no overflow, and an error always says something.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match mcr::config::load_text("fuzz", text) {
        Ok(loaded) => {
            for rule in &loaded.rules {
                let spec = mcr::config::spec_of(rule);
                assert_eq!(mcr::config::rule_from_spec(&spec, rule.origin).as_ref(), Ok(rule));
            }
        }
        Err(diagnostics) => assert!(!diagnostics.list.is_empty()),
    }
});
