//! Documents: shown, saved, loaded, checked, compared.

use super::super::commands::tests::{Said, mcrctl};
use super::*;
use crate::api::Limits;
use crate::api::fake_core::{Daemon, rule};
use crate::cli::Exit;
use crate::types::Rule;

fn daemon(rules: Vec<Rule>) -> Daemon {
    Daemon::start(Limits::default(), rules)
}

async fn config(daemon: &Daemon, line: &str) -> Said {
    mcrctl(&daemon.path, &format!("config {line}")).await
}

fn rules() -> Vec<Rule> {
    let mut of_file = rule("f1", Some("studio"));
    of_file.origin = Origin::File;
    vec![of_file, rule("a1", Some("cam")), rule("b1", None)]
}

#[tokio::test]
async fn what_is_saved_can_be_loaded_and_is_then_the_same() {
    for form in ["", " -o json"] {
        let daemon = daemon(rules());
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("saved");
        let save = format!("save {} --origin runtime{form}", file.display());
        let said = config(&daemon, &save).await;
        assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
        let saved = fs::read_to_string(&file).expect("saved");
        assert_eq!(saved, config(&daemon, &format!("show --origin runtime{form}")).await.out);
        assert_eq!(saved.starts_with("{\n  version: 1,\n"), form.is_empty(), "{saved}");
        // Not twice, unless it is said so; and nothing else is left in the directory.
        let said = config(&daemon, &save).await;
        assert_eq!(said.exit, Exit::Refused);
        assert!(said.err.contains("--force replaces it"), "{}", said.err);
        fs::write(&file, "precious").expect("writes");
        assert_eq!(config(&daemon, &save).await.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(&file).expect("reads"), "precious");
        assert_eq!(config(&daemon, &format!("{save} --force")).await.exit, Exit::Done);
        assert_eq!(fs::read_to_string(&file).expect("reads"), saved);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);

        let load = format!("load {}", file.display());
        let said = config(&daemon, &load).await;
        assert_eq!(said.out, "added 0, removed 0, changed 0, left 2 as it was\n");
        let before = daemon.client().config(None).await.expect("the document");
        daemon.client().remove_rule("a1").await.expect("removed");
        let tried = config(&daemon, &format!("{load} --dry-run")).await;
        assert_eq!(
            tried.out,
            "+ a1 (runtime/cam) active\nthis would add 1, remove 0, change 0 and leave 1 as it is\n"
        );
        assert_eq!(daemon.client().rules().await.expect("rules").len(), 2, "only tried");
        let said = config(&daemon, &load).await;
        assert!(said.out.ends_with("added 1, removed 0, changed 0, left 1 as it was\n"));
        assert_eq!(daemon.client().config(None).await.expect("the document"), before);
        let diff = format!("diff {} --origin runtime", file.display());
        let said = config(&daemon, &diff).await;
        assert_eq!(said.exit, Exit::Done, "{}", said.out);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_file_with_mistakes_is_told_line_by_line_and_not_loaded() {
    let daemon = daemon(rules());
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("wrong.json5");
    let text = "{\n  rules: [\n    { name: \"x\", input: { interface: \"eth0\", group: \"10.0.0.300\" },\n      outputs: [] },\n  ],\n  colour: 1,\n}\n";
    fs::write(&file, text).expect("writes");
    for command in ["check", "load", "diff", "load --dry-run"] {
        let said = config(&daemon, &format!("{command} {}", file.display())).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""), "{command}");
        let lines: Vec<&str> = said.err.lines().collect();
        let place = |line: u32| format!("{}:{line}:", file.display());
        assert!(lines[0].starts_with(&place(3)), "{}", said.err);
        assert!(lines[0].contains("rules[0].input.group"), "{}", said.err);
        assert!(lines.iter().any(|line| line.starts_with(&place(6))), "{}", said.err);
        assert_eq!(*lines.last().expect("lines"), "mcrctl: 3 mistakes");
    }
    let said = config(&daemon, &format!("check {} -o json", file.display())).await;
    let problem: Value = serde_json::from_str(&said.err).expect("JSON");
    assert_eq!(problem["errors"][0]["line"], 3);
    assert_eq!(daemon.client().rules().await.expect("rules").len(), 3);
    // What concerns the host is not for a running relay, and no daemon is needed to check it.
    fs::write(&file, "{log: {level: 'debug'}, dataplane: {workers: 2}, rules: []}")
        .expect("writes");
    let said = config(&daemon, &format!("load {}", file.display())).await;
    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains("dataplane, log cannot be loaded"), "{}", said.err);
    let nobody = dir.path().join("nobody");
    let said = mcrctl(&nobody, &format!("config check {}", file.display())).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    assert!(said.out.ends_with("0 rules, no mistakes\n"), "{}", said.out);
    let said = mcrctl(&nobody, &format!("config diff {}", file.display())).await;
    assert_eq!(said.exit, Exit::Unreachable);
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_is_compared_rule_by_rule() {
    let daemon = daemon(vec![rule("a1", Some("cam")), rule("b1", Some("gone"))]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("other.json5");
    let mut document = serde_json::to_value(daemon.client().config(None).await.expect("document"))
        .expect("serialises");
    document["rules"][0]["input"]["port"] = 5009.into();
    document["rules"][0]["priority"] = 7.into();
    document["rules"][1]["name"] = "new".into();
    // Without the id, that of the other would be meant.
    document["rules"][1]["id"] = "n1".into();
    fs::write(&file, document.to_string()).expect("writes");
    let said = config(&daemon, &format!("diff {}", file.display())).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Refused, ""));
    assert_eq!(
        said.out,
        "\
~ cam
    input.port: 5000 -> 5009
    priority: (absent) -> 7
- gone
+ new
"
    );
    let said = config(&daemon, &format!("diff {} -o json", file.display())).await;
    assert_eq!(said.exit, Exit::Refused);
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json["same"], false);
    assert_eq!(
        json["differences"][0],
        json!({"rule": "cam", "change": "changed", "fields": [
            {"path": "input.port", "running": 5000, "file": 5009},
            {"path": "priority", "running": null, "file": 7}]})
    );
    // The order of rules is no difference.
    let mut document = serde_json::to_value(daemon.client().config(None).await.expect("document"))
        .expect("serialises");
    document["rules"].as_array_mut().expect("a list").reverse();
    fs::write(&file, document.to_string()).expect("writes");
    let said = config(&daemon, &format!("diff {} -o json", file.display())).await;
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.exit, json), (Exit::Done, json!({"same": true, "differences": []})));
    daemon.stop().await;
}
