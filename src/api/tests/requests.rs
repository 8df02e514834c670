//! What each request is answered, and what a client makes of it.

use super::*;
use crate::api::Client;
use crate::api::fake_core::{interface, mroute, rule, worker};
use crate::control::event::Reply;
use crate::types::Origin;
use std::time::Instant;
use tokio::sync::mpsc;

#[tokio::test]
async fn every_endpoint_answers() {
    let daemon = Daemon::start(Limits::default(), vec![rule("a1", Some("cam"))]);
    let client = daemon.client();
    assert_eq!(client.ping().await.expect("ping").rules, 1);
    let rules = client.rules().await.expect("rules");
    assert_eq!((rules.len(), rules[0].id.as_str()), (1, "a1"));
    let stats = client.stats().await.expect("stats");
    assert_eq!((stats.ports[0].kernel_dropped, stats.rules[0].outputs[0].sent_datagrams), (5, 980));
    assert_eq!(client.workers().await.expect("workers"), [worker()]);
    assert_eq!(client.interfaces().await.expect("interfaces"), [interface()]);
    assert_eq!(client.mroute().await.expect("mroute"), mroute());
    for key in ["a1", "cam", "runtime/cam"] {
        assert_eq!(client.rule(key).await.expect(key).id, "a1");
    }
    let answer =
        raw(&daemon.path, b"GET /v1/rules/runtime%2Fcam HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("content-type: application/json"));
    daemon.stop().await;
}

#[tokio::test]
async fn rules_are_added_once_and_removed() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let client = daemon.client();
    let (added, new) = client.add_rule(&spec()).await.expect("added");
    assert!(new);
    assert_eq!((added.id.as_str(), added.origin.as_str()), ("r1", "runtime/cam 1"));
    let (again, new) = client.add_rule(&spec()).await.expect("the same again");
    assert!(!new);
    assert_eq!(again.id, "r1");
    let mut other = spec();
    other["input"]["port"] = 5001.into();
    let conflict = refused(client.add_rule(&other).await.expect_err("the id is taken"));
    assert_eq!((conflict.status, conflict.kind.as_str()), (409, "urn:mcr:problem:id-taken"));
    assert_eq!(client.remove_rule("runtime/cam 1").await.expect("removed").id, "r1");
    let gone = refused(client.remove_rule("r1").await.expect_err("gone"));
    assert_eq!((gone.status, gone.kind.as_str()), (404, "urn:mcr:problem:no-such-rule"));
    let answer = raw(&daemon.path, &post(spec().to_string().as_bytes())).await;
    assert_eq!(status(&answer), 201);
    assert!(answer.contains("location: /v1/rules/r1\r\n"), "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_rule_of_another_origin_is_not_removed() {
    let mut of_file = rule("f1", Some("studio"));
    of_file.origin = Origin::File;
    let mut twin = rule("a1", Some("studio"));
    twin.input.ports = Default::default();
    let daemon = Daemon::start(Limits::default(), vec![of_file, twin]);
    let client = daemon.client();
    let problem = refused(client.remove_rule("file/studio").await.expect_err("not ours"));
    assert_eq!(problem.status, 403);
    assert!(problem.detail.contains("belongs to origin \"file\""), "{}", problem.detail);
    let problem = refused(client.rule("studio").await.expect_err("two have the name"));
    assert_eq!(problem.status, 409);
    assert!(problem.detail.contains("f1, a1"), "{}", problem.detail);
    assert_eq!(client.rule("file/studio").await.expect("one has it").id, "f1");
    daemon.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_which_do() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let ask = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
        let path = daemon.path.clone();
        async move { raw(&path, request.as_bytes()).await }
    };
    for path in ["/", "/v2/rules", "/v1/rules/", "/v1/rules/a/b", "/v1/ping/", "/%00", "//"] {
        let problem = problem(&ask(&format!("GET {path}")).await);
        assert_eq!(problem.status, 404, "{path}");
        assert!(problem.detail.contains("/v1/mroute") && problem.detail.contains("/v1/events"));
    }
    for (line, allowed) in [
        ("PATCH /v1/rules", "GET,HEAD,POST,PUT"),
        ("POST /v1/events", "GET,HEAD"),
        ("DELETE /v1/ping", "GET,HEAD"),
        ("POST /v1/rules/a1", "GET,HEAD,DELETE"),
        ("BREW /v1/stats", "GET,HEAD"),
    ] {
        let answer = ask(line).await;
        assert_eq!(problem(&answer).status, 405, "{line}");
        assert!(answer.contains(&format!("allow: {allowed}\r\n")), "{answer}");
    }
    let answer = ask("GET /v1/rules/%ff%fe").await;
    assert_eq!(problem(&answer).kind, "urn:mcr:problem:bad-path");
    assert_eq!(status(&answer), 400);
    daemon.stop().await;
}

#[tokio::test]
async fn bodies_that_are_not_rules_are_refused_with_the_reason() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let deep = [b"{\"input\":".as_slice(), &b"[".repeat(200_000)].concat();
    let closed = [b"[".repeat(5000), b"]".repeat(5000)].concat();
    let not_json: [&[u8]; 9] = [
        b"",
        b"garbage",
        b"\x00\x01\x02\xff",
        b"{\"name\":\"a\"",
        b"{\"name\":\"\xff\xfe\"}",
        b"{} trailing",
        b"{name: 'json5 is for files'}",
        &deep,
        &closed,
    ];
    for body in not_json {
        let problem = problem(&raw(&daemon.path, &post(body)).await);
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (400, "urn:mcr:problem:bad-json"),
            "{shown}"
        );
        assert!(problem.errors[0].line.is_some(), "{shown}");
    }
    let mut no_outputs = spec();
    no_outputs["outputs"] = json!([]);
    let mut unknown = spec();
    unknown["colour"] = "red".into();
    let mut port = spec();
    port["input"]["port"] = 70_000.into();
    let bad =
        [json!(null), json!([]), json!({}), json!("x"), json!(1e300), no_outputs, unknown, port];
    for body in bad {
        let problem = problem(&raw(&daemon.path, &post(body.to_string().as_bytes())).await);
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (422, "urn:mcr:problem:invalid-rule"),
            "{body}"
        );
        assert!(!problem.errors.is_empty() && !problem.errors[0].message.is_empty(), "{body}");
    }
    assert_eq!(daemon.client().rules().await.expect("rules"), []);
    daemon.stop().await;
}

#[tokio::test]
async fn a_core_that_is_late_dumb_or_gone_is_unavailable() {
    let limits = Limits { answer_timeout: Duration::from_millis(100), ..Limits::default() };
    let (to_core, mut requests) = mpsc::channel(1);
    let daemon = Daemon::with_core(limits, to_core);
    let client = daemon.client();
    let says = |error: ClientError| {
        let problem = refused(error);
        assert_eq!(problem.status, 503);
        problem.detail
    };
    // The first waits for its answer, the second even for a place in the queue.
    for _ in 0..2 {
        let detail = says(client.ping().await.expect_err("no answer"));
        assert!(detail.contains("no answer within 100ms"), "{detail}");
    }
    while requests.try_recv().is_ok() {}
    let dumb = tokio::spawn(async move {
        drop(requests.recv().await);
        requests
    });
    let detail = says(client.ping().await.expect_err("dropped"));
    assert!(detail.contains("it gave no answer"), "{detail}");
    drop(dumb.await.expect("no panic"));
    let detail = says(client.ping().await.expect_err("gone"));
    assert!(detail.contains("it is stopping"), "{detail}");
    daemon.stop().await;
}

#[tokio::test]
async fn shutdown_finishes_answers_hangs_up_on_idlers_and_removes_the_socket() {
    let limits = Limits { shutdown_grace: Duration::from_millis(300), ..Limits::default() };
    let (to_core, mut requests) = mpsc::channel(1);
    let daemon = Daemon::with_core(limits, to_core);
    let path = daemon.path.clone();
    let mut idle = UnixStream::connect(&path).await.expect("connects");
    let client = daemon.client();
    let asked = tokio::spawn(async move { client.workers().await });
    let (_, reply) = requests.recv().await.expect("a request");
    let stopped = tokio::spawn(daemon.stop());
    let started = Instant::now();
    while path.exists() {
        assert!(started.elapsed() < SOON, "the socket's file stays");
        tokio::task::yield_now().await;
    }
    reply.send(Ok(Reply::Workers(vec![]))).expect("it waits");
    assert_eq!(asked.await.expect("no panic").expect("answered in the grace"), []);
    assert_eq!(read(&mut idle).await, "");
    timeout(SOON, stopped).await.expect("soon").expect("stops");
    let error = Client::new(&path).ping().await.expect_err("nobody there");
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_not_mcrd_is_a_protocol_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let listener = crate::api::bind(&path, None).expect("binds");
    let answers: [&[u8]; 4] = [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
    ];
    for answer in answers {
        let client = Client::new(&path);
        let asked = tokio::spawn(async move { client.ping().await });
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut head = [0; 16];
        stream.read_exact(&mut head).await.expect("a request");
        stream.write_all(answer).await.expect("writes");
        drop(stream);
        let error = asked.await.expect("no panic").expect_err("not an answer");
        assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
    }
    let client = Client::new(&path).with_timeout(Duration::from_millis(50));
    let error = client.ping().await.expect_err("accepted by nobody");
    assert!(
        matches!(&error, ClientError::Unreachable(text) if text.contains("no answer within 50ms"))
    );
}

#[tokio::test]
async fn only_long_answers_are_not_indented() {
    for (rules, indented) in [(1, true), (1000, false)] {
        let all = (0..rules).map(|n| rule(&format!("r{n}"), None)).collect();
        let daemon = Daemon::start(Limits::default(), all);
        let answer = raw(&daemon.path, b"GET /v1/rules HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        assert_eq!(body.contains("\n  "), indented, "{rules} rules");
        assert_eq!(daemon.client().rules().await.expect("rules").len(), rules);
        daemon.stop().await;
    }
}
