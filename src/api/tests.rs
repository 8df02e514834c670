//! Server and client against each other, and the server against clients that mean no good.

use super::fake_core::{Daemon, interface, mroute, rule, worker};
use super::{Client, ClientError, Limits, Problem};
use crate::control::event::{Reply, Request};
use crate::types::Origin;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// Sends bytes as they are, reads to the end.
async fn raw(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.expect("connects");
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request).await;
    read(&mut stream).await
}

async fn read(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    let end = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server hangs up");
    if let Err(error) = end {
        // It closed with bytes of ours unread.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(answer).expect("text")
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {answer:?}"));
    code.parse().expect("a number")
}

fn problem(answer: &str) -> Problem {
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let problem: Problem = serde_json::from_str(body).expect("a problem document");
    assert_eq!(problem.status, status(answer));
    problem
}

fn post(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn still_serves(daemon: &Daemon) {
    assert_eq!(daemon.client().ping().await.expect("it still serves").pid, 42);
}

fn spec() -> Value {
    json!({"id": "r1", "name": "cam 1",
           "input": {"interface": "eth0", "group": "239.1.1.1", "port": 5000},
           "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": 6000}]})
}

fn refused(error: ClientError) -> Problem {
    match error {
        ClientError::Refused(problem) => problem,
        other => panic!("{other:?}"),
    }
}

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
    twin.input.port = None;
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
        assert!(problem.detail.contains("/v1/mroute"));
    }
    for (line, allowed) in [
        ("PUT /v1/rules", "GET,HEAD,POST"),
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
async fn what_is_not_http_is_hung_up_on() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    for bytes in [b"\x16\x03\x01\x02\x00\x01\x00".as_slice(), b"garbage\r\n\r\n", &[0xff; 9000]] {
        let answer = raw(&daemon.path, bytes).await;
        assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
    }
    let long = format!("GET /v1/ping HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(status(&raw(&daemon.path, long.as_bytes()).await), 431);
    let many = format!("GET /v1/ping HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(1000));
    assert_eq!(status(&raw(&daemon.path, many.as_bytes()).await), 431);
    still_serves(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn ten_megabytes_are_refused_and_the_server_lives() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let large = vec![b' '; 10 * 1024 * 1024];
    let declared = raw(&daemon.path, &post(&large)).await;
    assert_eq!(problem(&declared).status, 413);
    let head = b"POST /v1/rules HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let size = format!("{:x}\r\n", large.len());
    let chunked = [head.as_slice(), size.as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(problem(&raw(&daemon.path, &chunked).await).status, 413);
    // Who asks first is told so without sending anything.
    let polite = b"POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\
                   Expect: 100-continue\r\n\r\n";
    assert_eq!(problem(&raw(&daemon.path, polite).await).status, 413);
    let absurd = |length: &str| {
        format!("POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
    };
    let answer = raw(&daemon.path, absurd("1000000000000").as_bytes()).await;
    assert_eq!(problem(&answer).status, 413);
    for length in ["18446744073709551615", "99999999999999999999", "-1", "0x10"] {
        let answer = raw(&daemon.path, absurd(length).as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{length}: {answer}");
    }
    // One byte less than too much is read: it is not a rule, but not too large.
    let limits = Limits::default();
    let answer = raw(&daemon.path, &post(&vec![b' '; limits.max_body])).await;
    assert_eq!(problem(&answer).status, 400);
    let answer = raw(&daemon.path, &post(&vec![b' '; limits.max_body + 1])).await;
    assert_eq!(problem(&answer).status, 413);
    still_serves(&daemon).await;
    daemon.stop().await;
}

fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(150),
        body_timeout: Duration::from_millis(150),
        connection_timeout: Duration::from_millis(600),
        turn_away_timeout: Duration::from_millis(150),
        ..Limits::default()
    }
}

#[tokio::test]
async fn half_a_request_and_then_silence_ends_at_the_timeout() {
    let daemon = Daemon::start(short(), vec![]);
    for half in [b"".as_slice(), b"G", b"GET /v1/ping HTTP/1.1\r\nHost:"] {
        let started = Instant::now();
        let answer = raw(&daemon.path, half).await;
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
        assert!(started.elapsed() >= Duration::from_millis(140), "cut off too early");
        assert!(started.elapsed() < Duration::from_secs(10), "not the server's timeout");
    }
    let half_a_body = b"POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"na";
    let answer = raw(&daemon.path, half_a_body).await;
    assert_eq!(problem(&answer).kind, "urn:mcr:problem:too-slow");
    assert_eq!(status(&answer), 408);
    still_serves(&daemon).await;
    daemon.stop().await;
}

/// One byte at a time, faster than any timeout between two bytes could notice.
#[tokio::test]
async fn a_client_that_drips_is_cut_off_while_others_are_served() {
    let daemon = Daemon::start(short(), vec![]);
    for prefix in [
        b"GET /v1/ping HTTP/1.1\r\nX: ".as_slice(),
        b"POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&daemon.path).await.expect("connects");
        stream.write_all(prefix).await.expect("writes");
        let started = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            still_serves(&daemon).await;
            assert!(started.elapsed() < SOON, "it may drip for ever");
            if stream.write_all(b"x").await.is_err() {
                break;
            }
        }
        assert!(started.elapsed() >= Duration::from_millis(140), "cut off too early");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let rules = (0..1000).map(|n| rule(&format!("r{n}"), None)).collect();
    let daemon = Daemon::start(short(), rules);
    let mut deaf = UnixStream::connect(&daemon.path).await.expect("connects");
    deaf.write_all(b"GET /v1/rules HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    still_serves(&daemon).await;
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    // A byte more can be sent only while the server keeps the connection.
    while deaf.try_write(b"x").is_ok() {
        tick.tick().await;
        assert!(started.elapsed() < SOON, "it may stay deaf for ever");
    }
    let answer = read(&mut deaf).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))
        .and_then(|n| n.parse::<usize>().ok())
        .expect("a length");
    assert!(length > 500_000 && body.len() < length, "{} of {length}", body.len());
    daemon.stop().await;
}

#[tokio::test]
async fn beyond_the_limit_clients_hear_503_and_later_are_served() {
    let limits = Limits { max_connections: 4, max_turned_away: 2, ..Limits::default() };
    let daemon = Daemon::start(limits, vec![]);
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(UnixStream::connect(&daemon.path).await.expect("connects"));
    }
    let problem = refused(daemon.client().ping().await.expect_err("all places are taken"));
    assert_eq!((problem.status, problem.kind.as_str()), (503, "urn:mcr:problem:unavailable"));
    assert!(problem.detail.contains("4 connections are open"), "{}", problem.detail);
    silent.pop();
    let started = Instant::now();
    while daemon.client().ping().await.is_err() {
        assert!(started.elapsed() < SOON, "the free place is never given");
        tokio::task::yield_now().await;
    }
    daemon.stop().await;
}

/// Needs about 1,300 descriptors; where fewer are allowed, it uses as many clients as fit.
#[tokio::test]
async fn a_thousand_connections_at_once_leave_a_server_that_serves() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let allowed: usize = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(1024);
    let clients = 1000.min(allowed.saturating_sub(500));
    assert!(clients >= 300, "only {allowed} descriptors are allowed; raise `ulimit -n`");
    let daemon =
        Daemon::start(Limits { header_timeout: Duration::from_millis(500), ..short() }, vec![]);
    let mut open = Vec::new();
    for n in 0..clients {
        let path = daemon.path.clone();
        open.push(tokio::spawn(async move {
            let mut stream = UnixStream::connect(&path).await.expect("connects");
            if n % 2 == 0 {
                let _ = stream.write_all(b"GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
            }
            (n, read(&mut stream).await)
        }));
    }
    let (mut served, mut turned_away) = (0, 0);
    for client in open {
        let (n, answer) = client.await.expect("no panic");
        match answer.is_empty() {
            true => assert!(n % 2 == 1, "client {n} asked and got no answer"),
            false => match status(&answer) {
                200 => served += 1,
                503 => turned_away += 1,
                408 => {}
                other => panic!("{other}"),
            },
        }
    }
    assert!(served > 0, "nobody was served");
    assert_eq!(served + turned_away, clients.div_ceil(2), "everybody who asks gets an answer");
    still_serves(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let (to_core, mut requests) = mpsc::channel(16);
    let daemon = Daemon::with_core(Limits { max_connections: 1, ..Limits::default() }, to_core);
    let mut client = UnixStream::connect(&daemon.path).await.expect("connects");
    client.write_all(b"GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    let (request, reply) = timeout(SOON, requests.recv()).await.expect("soon").expect("a request");
    assert_eq!(request, Request::Ping);
    drop(client);
    // The core answers all the same, or finds that nobody waits; both are fine.
    let _ = reply.send(Ok(Reply::Workers(vec![])));
    let next = daemon.client();
    let asked = tokio::spawn(async move {
        loop {
            match next.workers().await {
                Err(ClientError::Refused(problem)) if problem.status == 503 => {
                    tokio::task::yield_now().await;
                }
                other => return other,
            }
        }
    });
    let (_, reply) = timeout(SOON, requests.recv()).await.expect("soon").expect("the next client");
    reply.send(Ok(Reply::Workers(vec![worker()]))).expect("it waits");
    assert_eq!(asked.await.expect("no panic").expect("workers"), [worker()]);
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
    let listener = super::bind(&path, None).expect("binds");
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

/// Runs itself again as a process that may have few descriptors.
#[test]
fn without_descriptors_the_server_waits_quietly_and_then_serves() {
    const CHILD: &str = "MCR_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let this = "api::tests::without_descriptors_the_server_waits_quietly_and_then_serves";
        let script = format!("ulimit -n 48; exec \"$0\" --exact {this} --nocapture");
        let child = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(std::env::current_exe().expect("a path"))
            .env(CHILD, "1")
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
        return;
    }
    let cpu = || nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID);
    let cpu = || Duration::from(cpu().expect("the clock"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let daemon = Daemon::start(Limits::default(), vec![]);
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        // One descriptor for the client's end, none for the server's.
        taken.pop();
        let mut client = UnixStream::connect(&daemon.path).await.expect("connects");
        client.write_all(b"GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
        let (used, window) = (cpu(), Duration::from_millis(500));
        let nothing = timeout(window, client.readable()).await;
        assert!(nothing.is_err(), "the server had a descriptor after all");
        let used = cpu() - used;
        assert!(used < window / 5, "accept() is tried all the time: {used:?} of {window:?}");
        taken.clear();
        assert_eq!(status(&read(&mut client).await), 200);
        still_serves(&daemon).await;
        daemon.stop().await;
    });
}
