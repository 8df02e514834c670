//! The configuration as operators meet it: mistakes and their messages, spellings, round trips.

mod field_mistakes;
mod forms;
mod identity;
mod input_mistakes;
mod mistakes;
mod output_mistakes;
mod properties;
mod random;
mod schema_corpus;
mod sending_mistakes;
mod speed;
mod syntax_errors;

use super::{Diagnostic, load_text};

/// An input and an output that are right.
const INPUT: &str = r#"interface: "eth0", group: "239.1.1.1", port: 5000"#;
const OUTPUT: &str = r#"interface: "eth1", group: "239.2.2.2", port: 6000"#;

/// A file with one rule: the input stands on line 4, the output on line 5, `rule` on line 6 and `top`
/// on line 8.
fn file(input: &str, output: &str, rule: &str, top: &str) -> String {
    format!(
        "{{\n  rules: [{{\n    name: \"a\",\n    input: {{ {input} }},\n    outputs: [{{ {output} \
         }}],\n    {rule}\n  }}],\n  {top}\n}}\n"
    )
}

/// The mistakes in a text that must have some.
fn mistakes(text: &str) -> Vec<Diagnostic> {
    match load_text("test.json5", text) {
        Ok(loaded) => panic!("loaded {loaded:?} from {text}"),
        Err(diagnostics) => {
            assert!(!diagnostics.list.is_empty(), "an error without a message: {text}");
            diagnostics.list
        }
    }
}

/// Asserts that a text has one mistake: this one.
fn assert_mistake(text: &str, line: u32, path: &str, fragment: &str) {
    let found = mistakes(text);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    assert_eq!((found[0].line, found[0].path.as_str()), (Some(line), path), "{text}\n{}", found[0]);
    assert!(found[0].message.contains(fragment), "{text}\n{}\nlacks {fragment}", found[0]);
}
