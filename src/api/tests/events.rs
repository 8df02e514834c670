//! The stream of events, and clients that do not read it or go away.

use super::*;
use crate::control::notice::Notice;
use std::time::{Instant, UNIX_EPOCH};

fn notice(text: &str) -> Notice {
    Notice::LogLevelChanged { filter: text.to_owned() }
}

fn impatient() -> Limits {
    Limits { alive_interval: Duration::from_millis(30), ..short() }
}

/// Server-side sockets of this daemon: the listener and what it has accepted (unix(7)).
fn descriptors(daemon: &Daemon) -> usize {
    let path = daemon.path.display().to_string();
    let all = std::fs::read_to_string("/proc/net/unix").expect("proc");
    all.lines().filter(|line| line.ends_with(&path)).count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

const LISTEN: &[u8] = b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n";

/// A client that has heard the first line.
async fn listener(daemon: &Daemon) -> UnixStream {
    let mut stream = UnixStream::connect(&daemon.path).await.expect("connects");
    stream.write_all(LISTEN).await.expect("writes");
    let mut heard = Vec::new();
    while !heard.windows(10).any(|bytes| bytes == b"subscribed") {
        let mut bytes = [0; 512];
        let n = timeout(SOON, stream.read(&mut bytes)).await.expect("soon").expect("reads");
        assert!(n > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&bytes[..n]);
    }
    stream
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn events_come_in_order_with_number_and_time_until_the_daemon_stops() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    daemon.publisher.publish(UNIX_EPOCH, notice("nobody listens"));
    let mut events = daemon.client().events().await.expect("listens");
    let mut next = async || events.next().await.expect("no error");
    let first = next().await.expect("a line");
    assert_eq!(first, r#"{"event":"subscribed","sequence":1}"#);
    daemon.publisher.publish(UNIX_EPOCH + Duration::from_millis(1500), notice("debug"));
    daemon.publisher.publish(UNIX_EPOCH, Notice::Stopping);
    let line: Value = serde_json::from_str(&next().await.expect("a line")).expect("JSON");
    assert_eq!(
        line,
        json!({"sequence": 2, "time": "1970-01-01T00:00:01.500Z", "event": "logLevelChanged",
               "filter": "debug"})
    );
    let line: Value = serde_json::from_str(&next().await.expect("a line")).expect("JSON");
    assert_eq!((&line["event"], &line["sequence"]), (&json!("stopping"), &json!(3)));
    assert_eq!(next().await, None);
    let started = Instant::now();
    daemon.stop().await;
    assert!(started.elapsed() < Limits::default().shutdown_grace, "the stream held it up");
}

#[tokio::test]
async fn a_stream_outlives_the_limit_of_a_request() {
    let limits = impatient();
    let patience = limits.connection_timeout * 2;
    let daemon = Daemon::start(limits, vec![]);
    let mut events = daemon.client().events().await.expect("listens");
    let started = Instant::now();
    let mut alive = 0;
    while started.elapsed() < patience {
        let line = timeout(SOON, events.next()).await.expect("soon").expect("goes on");
        alive += usize::from(line.as_deref() == Some(r#"{"event":"alive"}"#));
    }
    assert!(alive >= 5, "{alive}");
    daemon.publisher.publish(UNIX_EPOCH, notice("still here"));
    loop {
        let line = events.next().await.expect("goes on").expect("goes on");
        if line.contains("still here") {
            break;
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_slow_client_loses_the_oldest_and_is_told_how_many() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let mut deaf = listener(&daemon).await;
    let mut other = daemon.client().events().await.expect("listens");
    other.next().await.expect("no error").expect("the first line");
    const MANY: u64 = 20_000;
    let text = "x".repeat(500);
    for n in 0..MANY {
        daemon.publisher.publish(UNIX_EPOCH, notice(&text));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    still_serves(&daemon).await;
    daemon.publisher.publish(UNIX_EPOCH, Notice::Stopping);
    let answer = read(&mut deaf).await;
    // Between them stand the lengths of chunks.
    let lines: Vec<Value> = answer
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let lost: u64 = lines.iter().filter_map(|line| line.get("lost")?.as_u64()).sum();
    let told = lines.iter().filter(|line| line["event"] == "logLevelChanged").count();
    assert!(lost > 0, "it was never too slow");
    assert_eq!(lost + u64::try_from(told).expect("few"), MANY);
    assert_eq!(lines.last().expect("a line")["event"], "stopping");
    // In order, and the gap is where it was told.
    let mut expected = 0;
    for line in &lines {
        match line.get("lost").and_then(Value::as_u64) {
            Some(lost) => expected += lost,
            None if line.get("sequence").is_some() => {
                expected += 1;
                assert_eq!(line["sequence"], expected);
            }
            None => {}
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn clients_that_go_away_in_the_middle_leave_nothing_behind() {
    let limits = Limits { max_listeners: 8, max_connections: 12, ..impatient() };
    let daemon = Daemon::start(limits, vec![]);
    still_serves(&daemon).await;
    until("the first connection ends", || descriptors(&daemon) == 1).await;
    let (tasks_before, descriptors_before) = (tasks(), descriptors(&daemon));
    for round in 0..25 {
        let mut gone = Vec::new();
        for n in 0..8 {
            let mut stream = listener(&daemon).await;
            if n % 2 == 0 {
                daemon.publisher.publish(UNIX_EPOCH, notice("half read"));
                let _ = stream.read(&mut [0; 7]).await;
            }
            gone.push(stream);
        }
        assert_eq!(descriptors(&daemon), descriptors_before + 8);
        if round == 0 {
            let problem = refused(daemon.client().events().await.expect_err("all places taken"));
            assert_eq!(problem.status, 503);
            assert!(problem.detail.contains("8 clients listen"), "{}", problem.detail);
        }
        drop(gone);
        until("sockets are closed", || descriptors(&daemon) == descriptors_before).await;
        until("tasks end", || tasks() == tasks_before).await;
    }
    still_serves(&daemon).await;
    daemon.stop().await;
}
