//! Rules as documents, dry runs, and the log level.

use super::*;
use crate::api::Client;
use crate::api::v1::{ChangeKind, ChangesJson, Document, LogLevel, RuleChange};
use crate::types::{Origin, Rule};

fn spec_of(name: &str, port: u16) -> Value {
    json!({"name": name, "input": {"interface": "eth0", "group": "239.1.1.1", "port": port},
           "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": port}]})
}

fn of_file(id: &str) -> Rule {
    let mut spec = spec_of("studio", 4000);
    spec["id"] = id.into();
    crate::config::rule_from_json(spec.to_string().as_bytes(), Origin::File).expect("a rule")
}

fn daemon(of_file: Vec<Rule>) -> Daemon {
    Daemon::with_core(Limits::default(), core::start(of_file))
}

async fn put(client: &Client, query: &str, body: &Value) -> Result<ChangesJson, ClientError> {
    client.put(&format!("/v1/rules{query}"), body).await?.read()
}

fn kinds(changes: &ChangesJson) -> Vec<(ChangeKind, &str)> {
    changes.changes.iter().map(|c: &RuleChange| (c.change, c.rule.as_str())).collect()
}

async fn names(client: &Client, origin: Option<Origin>) -> Vec<String> {
    let document = client.config(origin).await.expect("the document");
    assert_eq!(document.version, 1);
    document.rules.into_iter().filter_map(|rule| rule.name).collect()
}

#[tokio::test]
async fn a_document_is_put_shown_and_put_again() {
    let daemon = daemon(vec![of_file("f1")]);
    let client = daemon.client();
    assert_eq!(
        client.get("/v1/config?origin=runtime").await.expect("empty").body,
        "{\n  \"version\": 1,\n  \"rules\": []\n}\n"
    );
    let document = json!({"rules": [spec_of("a", 5000), spec_of("b", 5001)]});
    let done = put(&client, "", &document).await.expect("accepted");
    assert_eq!((done.dry_run, done.added, done.unchanged), (false, 2, 0));
    let shown = client.config(Some(Origin::Runtime)).await.expect("shown");
    assert_eq!(
        serde_json::to_value(&shown).expect("serialises"),
        json!({"version": 1, "rules": [spec_of("a", 5000), spec_of("b", 5001)]})
    );
    // What was shown can be put: nothing changes.
    let again = put(&client, "", &json!(shown)).await.expect("accepted");
    assert_eq!((again.added, again.removed, again.changed, again.unchanged), (0, 0, 0, 2));
    let other = json!({"version": 1, "rules": [spec_of("b", 6001), spec_of("c", 5002)]});
    let tried = put(&client, "?dryRun=true", &other).await.expect("tried");
    assert!(tried.dry_run);
    assert_eq!(names(&client, Some(Origin::Runtime)).await, ["a", "b"]);
    let done = put(&client, "?dryRun=false", &other).await.expect("accepted");
    assert_eq!(done.changes, tried.changes);
    assert_eq!(
        kinds(&done),
        [
            (ChangeKind::Changed, "runtime/b"),
            (ChangeKind::Added, "runtime/c"),
            (ChangeKind::Removed, "runtime/a"),
        ]
    );
    assert_eq!(names(&client, None).await, ["studio", "b", "c"]);
    assert_eq!(names(&client, Some(Origin::File)).await, ["studio"]);
    put(&client, "", &json!({"rules": []})).await.expect("accepted");
    assert_eq!(names(&client, None).await, ["studio"], "the file's rules are the file's");
    daemon.stop().await;
}

#[tokio::test]
async fn a_document_with_mistakes_changes_nothing_and_all_are_named() {
    let daemon = daemon(vec![of_file("f1")]);
    let client = daemon.client();
    put(&client, "", &json!({"rules": [spec_of("a", 5000)]})).await.expect("accepted");
    let mut group = spec_of("x", 1);
    group["input"]["group"] = "10.0.0.300".into();
    let mut unknown = spec_of("y", 2);
    unknown["outputs"][0]["colour"] = "red".into();
    let document = json!({"version": 2, "log": {"level": "debug"}, "control": {},
                          "rules": [group, spec_of("z", 3), unknown]});
    for query in ["", "?dryRun=true"] {
        let problem = refused(put(&client, query, &document).await.expect_err("mistakes"));
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (422, "urn:mcr:problem:invalid-document")
        );
        let mut paths: Vec<&str> = problem.errors.iter().map(|e| e.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            ["control", "log", "rules[0].input.group", "rules[2].outputs[0].colour", "version"]
        );
        assert!(problem.detail.contains("5 mistakes"), "{}", problem.detail);
    }
    for document in [json!({}), json!({"version": 1}), json!([]), json!(null), json!({"rules": 3})]
    {
        let problem = refused(put(&client, "", &document).await.expect_err("no rules"));
        assert_eq!(problem.status, 422, "{document}");
    }
    // Sound in themselves, but not beside the others.
    let mut taken = spec_of("t", 7);
    taken["id"] = "f1".into();
    let mut also = spec_of("u", 8);
    also["id"] = "f1x".into();
    let document = json!({"rules": [also, taken]});
    for query in ["", "?dryRun=true"] {
        let problem = refused(put(&client, query, &document).await.expect_err("taken"));
        assert_eq!((problem.status, problem.kind.as_str()), (409, "urn:mcr:problem:conflicts"));
        assert_eq!(problem.errors[0].path, "rules[1].id");
        assert!(problem.errors[0].message.contains("file/studio"), "{problem:?}");
    }
    assert_eq!(names(&client, Some(Origin::Runtime)).await, ["a"]);
    daemon.stop().await;
}

#[tokio::test]
async fn one_rule_is_tried_before_it_is_added_or_removed() {
    let daemon = daemon(vec![]);
    let client = daemon.client();
    let mut spec = spec_of("cam", 5000);
    spec["input"]["interface"] = "eth7".into();
    let answer = client.post("/v1/rules?dryRun=true", &spec).await.expect("tried");
    assert_eq!(answer.status, 200);
    let tried: ChangesJson = answer.read().expect("changes");
    assert!(tried.dry_run);
    assert_eq!(kinds(&tried), [(ChangeKind::Added, "runtime/cam")]);
    assert_eq!(tried.changes[0].reason.as_deref(), Some("input: there is no interface eth7"));
    assert_eq!(client.rules().await.expect("rules"), []);
    client.add_rule(&spec).await.expect("added");
    let gone: ChangesJson =
        client.try_delete_rule("runtime/cam").await.expect("tried").read().expect("changes");
    assert_eq!(kinds(&gone), [(ChangeKind::Removed, "runtime/cam")]);
    assert_eq!(client.rules().await.expect("rules").len(), 1);
    let nobody = refused(client.try_delete_rule("nobody").await.expect_err("nobody"));
    assert_eq!(nobody.status, 404);
    for query in ["?dryRun=maybe", "?dryRun", "?dryrun=true", "?x=1", "?dryRun=true&dryRun=true"] {
        let path = format!("/v1/rules{query}");
        let problem = refused(client.post(&path, &spec).await.expect_err(query));
        assert_eq!((problem.status, problem.kind.as_str()), (400, "urn:mcr:problem:bad-query"));
    }
    let problem = refused(client.get("/v1/config?origin=me").await.expect_err("no origin"));
    assert!(problem.status == 400 && problem.detail.contains("origin=runtime"), "{problem:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_log_level_is_shown_and_set() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let client = daemon.client();
    let level: LogLevel =
        client.get("/v1/log-level").await.expect("level").read().expect("a level");
    assert_eq!(level.level, "info");
    let body = json!({"level": "debug", "module": "netlink"});
    let level: LogLevel =
        client.put("/v1/log-level", &body).await.expect("set").read().expect("a level");
    assert_eq!(level.filter, "info,mcr::netlink=debug");
    let wrong = client.put("/v1/log-level", &json!({"level": "debgu"})).await;
    let problem = refused(wrong.expect_err("no level"));
    assert_eq!((problem.status, problem.kind.as_str()), (422, "urn:mcr:problem:bad-log-level"));
    for body in [json!({}), json!({"level": 3}), json!({"level": "info", "x": 1}), json!([])] {
        let problem = refused(client.put("/v1/log-level", &body).await.expect_err("no level"));
        assert_eq!(problem.status, 400, "{body}");
    }
    daemon.stop().await;
}

/// Ten times the rules that fit into the body of one rule.
#[tokio::test]
async fn ten_thousand_rules_are_put_in_one_document() {
    let daemon = daemon(vec![]);
    let client = daemon.client();
    let rules: Vec<Value> = (0..10_000u16)
        .map(|n| {
            let mut spec = spec_of(&format!("camera-{n}"), 5000);
            spec["input"]["group"] = format!("239.1.{}.{}", n / 256, n % 256).into();
            spec
        })
        .collect();
    let document = json!({"version": 1, "rules": rules});
    assert!(document.to_string().len() > Limits::default().max_body);
    let done = put(&client, "", &document).await.expect("accepted");
    assert_eq!((done.added, done.changes.len()), (10_000, 10_000));
    let shown: Document = client.config(None).await.expect("shown");
    assert_eq!(serde_json::to_value(shown).expect("serialises"), document);
    daemon.stop().await;
}
