//! Texts that are not JSON5.

use super::assert_mistake;
use crate::config::{load_file, load_text, rule_from_json};
use crate::types::Origin;

#[test]
fn have_one_message_with_a_hint() {
    let cases: &[(&str, u32, &str)] = &[
        ("", 1, "there is no configuration; the smallest one is { rules: [] }"),
        ("// only a comment\n", 1, "there is no configuration"),
        ("{\n  version: 1\n  rules: []\n}", 3, "expected ',' before \"rules\""),
        (
            "{\n  rules: [\n    { name: \"a\" }\n    { name: \"b\" }\n  ]\n}",
            4,
            "expected ',' before \"{\"",
        ),
        (
            "{\n  rules: [\n    { name: \"a\",\n  ]\n}",
            4,
            "']' found, but the '{' of line 3 is still open: close it with '}' first",
        ),
        ("{\n  rules: [\n    { name: \"a\" },\n", 2, "this '[' is never closed: ']' is missing"),
        ("{\n  rules: []\n", 1, "this '{' is never closed: '}' is missing"),
        ("{ rules: [] }\n}", 2, "'}' without an opening bracket; remove it"),
        ("{ rules: [] }\n{}", 2, "the configuration is complete before \"{\""),
        ("{\n  rules: [{ name: \"a }]\n}", 2, "no closing quote on its line"),
        ("{ /* comment\n rules: [] }", 1, "this comment is never closed"),
        ("{\n  log: { level: info }\n}", 2, "text and addresses need quotes"),
        ("{\n  group: 239.1.1.1\n}", 2, "text and addresses need quotes"),
        ("{\n  name: news\n}", 2, "text and addresses need quotes"),
        ("{\n  port = 5000\n}", 2, "expected ':' before \"=\""),
        ("{\n  my-key: 5000\n}", 2, "expected ':' before \"-key\""),
        ("{\n  version: 1,,\n}", 2, "one comma too many"),
        ("{\n  version:,\n}", 2, "expected a value before \",\""),
        ("{\n  version: 01\n}", 2, "must not begin with 0"),
        ("{\n  5: 1\n}", 2, "expected a key before \"5\""),
        ("{\n  name: \"\\u12\"\n}", 2, "a backslash is written"),
        // The first cause is told, not what follows from it.
        ("{\n  a = 1,\n  rules: [\n}", 2, "expected ':'"),
    ];
    for (text, line, fragment) in cases {
        assert_mistake(text, *line, "", fragment);
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let deep = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert_mistake(&deep(65), 1, "", "nest deeper than 64 levels");
        assert_mistake(&open.repeat(1_000_000), 1, "", "nest deeper than 64 levels");
        let error = load_text("f", &deep(64)).expect_err("no configuration");
        assert!(!error.to_string().contains("deeper"), "{error}");
    }
    // Brackets in strings and comments do not nest.
    let brackets = "[".repeat(1000);
    let text =
        format!("{{ /* {brackets} */ rules: [], // {brackets}\n log: {{ level: '{brackets}' }} }}");
    assert_mistake(&text, 2, "log.level", "must be \"error\"");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |path: &std::path::Path| load_file(path).expect_err("no file").to_string();
    let missing = folder.path().join("missing.json5");
    assert!(told(&missing).starts_with(&format!("{}: cannot be read: ", missing.display())));
    assert!(told(folder.path()).contains("cannot be read"));
    assert!(told(std::path::Path::new("/dev/zero")).contains("larger than 16 MiB"));
    let latin = folder.path().join("latin.json5");
    std::fs::write(&latin, b"{\n  // caf\xe9\n}").expect("writes");
    assert!(told(&latin).ends_with("latin.json5:2: is not text in UTF-8; save it as UTF-8"));
    std::fs::write(&latin, "{ rules: [] }").expect("writes");
    assert!(load_file(&latin).expect("a small file").rules.is_empty());
}

#[test]
fn requests_that_are_garbage() {
    for garbage in
        [&b""[..], b"\xff\xfe\x00", b"GET / HTTP/1.1\r\n", b"null", b"[]", b"\"x\"", b"{"]
    {
        let error = rule_from_json(garbage, Origin::Runtime).expect_err("garbage");
        assert!(!error.list.is_empty());
        assert_eq!(error.source, "request");
    }
}
