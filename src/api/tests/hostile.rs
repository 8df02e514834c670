//! Slow, large, many, gone: clients that must not hurt the relay or each other.

use super::*;
use crate::api::fake_core::{rule, worker};
use crate::control::event::{Reply, Request};
use std::time::Instant;
use tokio::sync::mpsc;

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

/// Runs itself again as a process that may have few descriptors.
#[test]
fn without_descriptors_the_server_waits_quietly_and_then_serves() {
    const CHILD: &str = "MCR_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let this =
            "api::tests::hostile::without_descriptors_the_server_waits_quietly_and_then_serves";
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
